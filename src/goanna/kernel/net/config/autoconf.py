"""IPv6 addresses, routes and name servers by what routers advertise (RFC 4861 6.3, RFC 4862 5, RFC 8106).

Time and advertisements are arguments; who runs it comes back at `deadline`.
"""

from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.claim import claim
from goanna.kernel.net.interface import Interface, Local, Standing, interfaces_lock
from goanna.kernel.net.link import blank, group_mac
from goanna.kernel.net.neighbour import learn
from goanna.kernel.net.network import MILLISECOND, SECOND, changed
from goanna.kernel.net.route import Route, RouteKind, add_route, remove_route
from goanna.kernel.net.solicitation import send_from_link
from goanna.kernel.net.wire import discovery, ip6
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Ptr, Slice, metal, struct, u32, u64

__all__ = ["Autoconf", "Expiring", "link_local", "until"]

MOST_ROUTERS, MOST_PREFIXES = 4, 8
SOLICITATIONS, SOLICITATION_INTERVAL = 3, 4 * SECOND  # RFC 4861 10
TWO_HOURS = 7200 * SECOND  # RFC 4862 5.5.3 (e)
FOREVER = 0xFFFF_FFFF  # seconds
LEAST_MTU = 1280
ADDRESS_LENGTH = 64  # of prefixes that addresses are made in: Ethernet's identifiers have 64 bits (RFC 2464 4)
DEFAULT_METRIC, PREFIX_METRIC = 1024, 256  # as on Linux
BY_KERNEL, BY_ROUTER = 2, 9  # rtnetlink's RTPROT_KERNEL, RTPROT_RA


@struct
class Expiring:
    """Something that holds for a time. `until` 0: the entry is free."""

    address: Address
    length: u32
    until: u64


@metal
def until(now: u64, seconds: u32) -> u64:
    """When a lifetime ends."""
    return NEVER if seconds == FOREVER else now + u64(seconds) * SECOND


@metal
def identifier(mac: u64) -> u64:
    """The modified EUI-64 interface identifier (RFC 4291 appendix A)."""
    return (mac >> 24 ^ 0x02_0000) << 40 | 0xFF_FE00_0000 | mac & 0xFF_FFFF


@metal
def link_local(interface: Interface, now: u64) -> None:
    """Claim the link-local address, if it isn't there."""
    address = Address()
    address.set(0xFE80 << 48, identifier(interface.mac))
    claim(interface, address, ADDRESS_LENGTH, True, now)


@struct
class Autoconf:
    """Of one interface. Zeroed memory with `interface` set is one that is off."""

    interface: Ptr[Interface]
    left: u32  # solicitations to be sent
    next: u64  # when
    mtu: u32  # that a router said, for IPv6 alone; 0: the interface's
    routers: Array[Expiring, MOST_ROUTERS]
    prefixes: Array[Expiring, MOST_PREFIXES]  # on the link
    servers: Array[Expiring, discovery.MOST_SERVERS]  # of names

    def start(self, now: u64) -> None:
        """The link came up: make the link-local address, and ask for routers (RFC 4861 6.3.7)."""
        link_local(self.interface, now)
        self.left = SOLICITATIONS
        self.next = now + SECOND // 10 + random_u64() % SECOND

    def stop(self) -> None:
        """The link was lost: ask nobody."""
        self.left = 0

    def deadline(self) -> u64:
        """When timer must be called; NEVER if it need not."""
        earliest: u64 = self.next if self.left != 0 else u64(NEVER)
        for router in self.routers:
            earliest = sooner(earliest, router.until)
        for prefix in self.prefixes:
            earliest = sooner(earliest, prefix.until)
        for server in self.servers:
            earliest = sooner(earliest, server.until)
        for local in self.interface.addresses:
            if local.standing != Standing.UNUSED and not local.address.is4():
                earliest = min(earliest, local.valid_until)
                if local.standing == Standing.PREFERRED:
                    earliest = min(earliest, local.preferred_until)
        return earliest

    def timer(self, now: u64) -> None:
        """Ask again, and end what has run out."""
        if self.left != 0 and self.next <= now:
            self.left -= 1
            self.next = now + SOLICITATION_INTERVAL
            self.solicit()
        for router in self.routers:
            if router.until != 0 and router.until <= now:
                self.forget_router(router)
        for prefix in self.prefixes:
            if prefix.until != 0 and prefix.until <= now:
                self.forget_prefix(prefix)
        for server in self.servers:
            if server.until <= now:
                server.until = 0
        self.age(now)

    def age(self, now: u64) -> None:
        """Deprecate and remove addresses."""
        interface: Interface = self.interface
        with interfaces_lock:
            for local in interface.addresses:
                if local.standing == Standing.UNUSED or local.address.is4():
                    continue
                if local.valid_until <= now:
                    interface.remove_address(local.address)
                elif local.preferred_until <= now and local.standing == Standing.PREFERRED:
                    local.standing = Standing.DEPRECATED
                    changed()

    def solicit(self) -> None:
        """Send a router solicitation, from the link-local address if it is ours by now."""
        interface: Interface = self.interface
        source = Address()
        for local in interface.addresses:
            if local.usable() and not local.address.is4() and local.address.link_local():
                source = local.address
        packet = blank(ip6.HEADER + 16)
        if packet is None:
            return
        routers = Address()
        routers.set(0xFF02 << 48, 2)
        mac: u64 = 0 if source.unspecified() else interface.mac
        size = discovery.write_router_solicitation(packet.bytes()[ip6.HEADER :], mac)
        packet.trim(ip6.HEADER + u32(size))
        send_from_link(interface, packet, source, routers, group_mac(routers))

    def advertised(self, source: Address, router: discovery.Router, now: u64) -> None:
        """A router advertises, by a message that was checked: from a link-local address, with hop limit 255."""
        interface: Interface = self.interface
        if router.lifetime != 0:
            self.left = 0
        if router.hops != 0:
            interface.hop_limit = router.hops
        if 0 < router.reachable <= 3_600_000:  # RFC 4861 6.2.1
            interface.reachable_time = u64(router.reachable) * MILLISECOND
        if router.retransmit != 0:
            interface.retransmit_time = max(u64(router.retransmit), u64(100)) * MILLISECOND
        if LEAST_MTU <= router.mtu <= interface.mtu:
            self.mtu = router.mtu
        if router.source_mac != 0 and router.source_mac >> 40 & 1 == 0:
            learn(interface, source, router.source_mac, False, True, True, now)
        self.take_router(source, u32(router.lifetime), now)
        for index in range(u64(router.prefix_count)):
            prefix = router.prefixes[index]
            if prefix.length <= 128 and not prefix.prefix.link_local() and not prefix.prefix.multicast():
                if prefix.flags & discovery.ON_LINK != 0:
                    self.take_prefix(prefix, now)
                if prefix.flags & discovery.AUTONOMOUS != 0 and prefix.preferred <= prefix.valid:
                    self.take_address(prefix, now)
        for index in range(u64(router.server_count)):
            self.take_server(router.servers[index], router.server_lifetime, now)

    def take_router(self, source: Address, lifetime: u32, now: u64) -> None:
        """A default router, or one no more (RFC 4861 6.3.4)."""
        entry, known = entry_of(self.routers[:], source, 0)
        if entry is None or (lifetime == 0 and not known):
            return
        if lifetime == 0:
            self.forget_router(entry)
            return
        entry.until = until(now, lifetime)
        if not known:
            entry.address = source
            route = Route()
            self.router_route(entry, route)
            add_route(route)

    def router_route(self, entry: Expiring, route: Route) -> None:
        """The default route by a router."""
        route.gateway = entry.address
        route.metric = DEFAULT_METRIC
        route.interface = self.interface
        route.mtu = self.mtu
        route.kind = RouteKind.UNICAST
        route.protocol = BY_ROUTER

    def forget_router(self, entry: Expiring) -> None:
        """A router is none any more."""
        route = Route()
        self.router_route(entry, route)
        remove_route(route)
        entry.until = 0

    def take_prefix(self, option: discovery.PrefixOption, now: u64) -> None:
        """A prefix whose addresses are on the link."""
        address = option.prefix
        address.mask(u32(option.length))
        entry, known = entry_of(self.prefixes[:], address, u32(option.length))
        if entry is None or (option.valid == 0 and not known):
            return
        if option.valid == 0:
            self.forget_prefix(entry)
            return
        entry.until = until(now, option.valid)
        if not known:
            entry.address = address
            entry.length = u32(option.length)
            route = Route()
            self.prefix_route(entry, route)
            add_route(route)

    def prefix_route(self, entry: Expiring, route: Route) -> None:
        """The route for a prefix on the link."""
        route.prefix = entry.address
        route.length = entry.length
        route.metric = PREFIX_METRIC
        route.interface = self.interface
        route.mtu = self.mtu
        route.kind = RouteKind.UNICAST
        route.protocol = BY_KERNEL

    def forget_prefix(self, entry: Expiring) -> None:
        """A prefix is not on the link any more."""
        route = Route()
        self.prefix_route(entry, route)
        remove_route(route)
        entry.until = 0

    def take_address(self, option: discovery.PrefixOption, now: u64) -> None:
        """Make an address in a prefix, or give the one we have more time (RFC 4862 5.5.3)."""
        if option.length != ADDRESS_LENGTH:
            return
        interface: Interface = self.interface
        address = Address()
        address.set(option.prefix.high, identifier(interface.mac))
        local = interface.find(address)
        ends = until(now, option.valid)
        if local is None:
            if option.valid == 0 or not claim(interface, address, ADDRESS_LENGTH, True, now):
                return
            local = interface.find(address)
            if local is None:
                return
        elif ends < now + TWO_HOURS and ends < local.valid_until:
            ends = min(local.valid_until, now + TWO_HOURS)
        self.prolong(local, ends, until(now, option.preferred), now)

    def prolong(self, local: Local, ends: u64, preferred: u64, now: u64) -> None:
        """Set an address's lifetimes."""
        with interfaces_lock:
            local.valid_until = ends
            local.preferred_until = preferred
            if local.standing == Standing.DEPRECATED and preferred > now:
                local.standing = Standing.PREFERRED
                changed()

    def take_server(self, address: Address, lifetime: u32, now: u64) -> None:
        """A name server (RFC 8106 5.1)."""
        entry, _ = entry_of(self.servers[:], address, 0)
        if entry is not None:
            entry.address = address
            entry.until = 0 if lifetime == 0 else until(now, lifetime)


@metal
def sooner(earliest: u64, time: u64) -> u64:
    """The earlier of two times, of which 0 is none."""
    return earliest if time == 0 else min(earliest, time)


@metal
def entry_of(entries: Slice[Expiring], address: Address, length: u32) -> tuple[Ptr[Expiring], bool]:
    """The entry of an address and true, else a free one or None."""
    unused: Ptr[Expiring] = None
    for entry in entries:
        if entry.until == 0:
            unused = entry
        elif entry.length == length and entry.address.equals(address):
            return entry, True
    return unused, False
