"""The way to one target: route, source address, neighbour and MTU, found once, with the headers ready made.

Whoever sends again and again to one target keeps a Path. Sending is then copying a header of up to 58 bytes and
patching its length. What was found is good while nothing in the network has changed (network.generation) and no
neighbour or MTU has run out (`recheck`).
"""

from goanna.kernel.base.errno import EACCES, EADDRNOTAVAIL, EHOSTUNREACH, EINVAL, EMSGSIZE, ENETUNREACH
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.checksum import finish, summed
from goanna.kernel.net.fragment import fragment
from goanna.kernel.net.interface import (
    Interface,
    Kind,
    Local,
    Standing,
    interface_by_index,
    interfaces,
    local_interface,
)
from goanna.kernel.net.link import group_mac, link_header
from goanna.kernel.net.loopback import loop_group, loopback
from goanna.kernel.net.neighbour import confirm, hold, resolve
from goanna.kernel.net.network import counters, generation
from goanna.kernel.net.packet import Packet, drop
from goanna.kernel.net.path_mtu import LEAST_MTU4, known_mtu
from goanna.kernel.net.route import Route, RouteKind, find_route
from goanna.kernel.net.wire import ethernet, ip4, ip6
from goanna.kernel.net.wire.bytes import put16, raw16
from goanna.kernel.time.timer import NEVER
from goanna.metal import (
    Array,
    Ptr,
    Slice,
    byte_swap,
    enumeration,
    i64,
    likely,
    metal,
    struct,
    u8,
    u16,
    u32,
    u64,
    unlikely,
)

__all__ = ["DEFAULT_HOPS", "Discover", "Path"]

DEFAULT_HOPS = 64
TEMPLATE = 64  # bytes; the largest header is 18 + 40


@enumeration(u8)
class Discover:
    """Whether routers may fragment (IPv4) and whether we do: the numbers of IP_MTU_DISCOVER."""

    DONT = 0  # neither DF, nor a limit but the interface's
    WANT = 1  # DF, and fragments by the path MTU
    DO = 2  # DF, and EMSGSIZE for what is larger than the path MTU
    PROBE = 3  # DF, whatever is known of the path MTU


@struct
class Path:
    """A way. Set `target`, and if wanted `source`, `bound`, `hops`, `traffic`, `discover`, `protocol`; then open()."""

    target: Address
    source: Address  # unspecified: open() chooses
    bound: u32  # index of the only interface to use; 0: any
    hops: u8  # TTL or hop limit; 0: the default
    traffic: u8
    discover: Discover
    protocol: u8  # of what is sent
    flow: u32
    # What open() finds:
    interface: Ptr[Interface]
    hop: Address  # the neighbour that packets go to
    generation: u64  # of the network, when it was found; 0: not open
    recheck: u64  # ns: not good beyond
    mtu: u32  # bytes of an IP packet
    link_size: u32  # bytes of the link header
    head_size: u32  # and of both
    sum: u64  # IPv4: of the header with neither length nor identification
    six: bool
    shared: bool  # many hear what is sent, and this machine may be one of them
    quiet: bool  # but does not want to (IP_MULTICAST_LOOP)
    resolved: bool  # the template's link header is right
    identification: u16  # IPv4: of the next packet
    template: Array[u8, TEMPLATE]

    def current(self, now: u64) -> bool:
        """Whether what was found is still good."""
        return likely(self.generation == generation.load() and now < self.recheck)

    def local(self) -> bool:
        """Whether the target is this machine."""
        return self.interface is loopback

    def open(self, now: u64) -> i64:
        """Find the way. 0, -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL or -EADDRNOTAVAIL."""
        seen = generation.load()
        self.generation = 0
        self.six = not self.target.is4()
        self.recheck = NEVER
        route = Route()
        result = self.choose(route)
        if result != 0:
            return result
        interface: Interface = self.interface
        if self.source.loopback() and self.source.is4() and interface is not loopback:
            return -EINVAL
        if self.source.unspecified() and not self.pick_source(interface, route):
            return -EADDRNOTAVAIL
        self.mtu = interface.mtu if route.mtu == 0 else min(route.mtu, interface.mtu)
        if self.six and self.mtu < 1280:
            return -ENETUNREACH
        if not self.six:
            self.mtu = min(self.mtu, u32(ip4.LARGEST))
        known, expires = known_mtu(self.target, now)
        if known != 0 and self.discover != Discover.PROBE and self.discover != Discover.DONT:
            self.mtu = min(self.mtu, known)
            self.recheck = expires
        self.write_template(interface, now)
        self.generation = seen
        return 0

    def choose(self, route: Route) -> i64:
        """Interface and next hop."""
        self.interface = None
        self.hop = self.target
        if self.target.loopback() or local_interface(self.target) is not None:
            self.interface = loopback
            if self.source.unspecified():
                self.source = self.target
                if self.target.loopback() and not self.six:
                    self.source.set4(0x7F00_0001)  # whichever of 127.0.0.0/8 it is for
            return 0
        if self.bound == 0 and self.group_target() and self.target.is4() and not self.source.unspecified():
            # Who has chosen a source has chosen the interface, as on Linux.
            self.interface = loopback if self.source.loopback() else local_interface(self.source)
            return 0 if self.interface is not None else -EINVAL
        only = interface_by_index(self.bound)
        if self.bound != 0 and only is None:
            return -ENETUNREACH
        if self.target.unspecified():
            return -ENETUNREACH
        if find_route(self.target, only, route):
            if route.kind != RouteKind.UNICAST:
                return refusal(route.kind)
            self.interface = route.interface
            if not route.direct() and not self.group_target():
                self.hop = route.gateway
            if not route.source.unspecified() and self.source.unspecified():
                self.source = route.source
            return 0
        if self.group_target() or self.target.link_local() or only is not None:
            self.interface = only if only is not None else first_link()
        return 0 if self.interface is not None else -ENETUNREACH

    def group_target(self) -> bool:
        """Whether packets go to many at once, without a next hop."""
        return self.target.multicast() or self.target.broadcast()

    def pick_source(self, interface: Interface, route: Route) -> bool:
        """An address to send from: RFC 6724 5 for IPv6, of the next hop's network first for IPv4."""
        best: Ptr[Local] = None
        for local in interface.addresses:
            fits = local.usable() and local.address.is4() == self.target.is4()
            if fits and (best is None or better(local, best, self.target, self.hop)):
                best = local
        if best is None:  # an interface without addresses borrows another's (RFC 6724 4)
            for other in interfaces:
                if other is not None and other is not loopback:
                    for local in other.addresses:
                        fits = local.usable() and local.address.is4() == self.target.is4()
                        if fits and best is None and not local.address.link_local():
                            best = local
        if best is None:
            return False
        self.source = best.address
        return True

    def write_template(self, interface: Interface, now: u64) -> None:
        """Make the headers."""
        self.shared = False
        self.link_size = link_header(interface)
        self.head_size = self.link_size + (ip6.HEADER if self.six else ip4.HEADER)
        mac = self.link_target(interface, now)
        self.resolved = mac != 0 or self.link_size == 0
        if self.link_size != 0:
            kind: u16 = ethernet.IP6 if self.six else ethernet.IP4
            ethernet.write(self.template[0 : u64(self.link_size)], mac, interface.mac, kind, interface.vlan)
        hops = self.hops if self.hops != 0 else interface.hop_limit
        if hops == 0:
            hops = 1 if self.target.multicast() else DEFAULT_HOPS
        place = self.template[u64(self.link_size) : u64(self.head_size)]
        if self.six:
            self.write6(place, hops)
        else:
            self.write4(place, hops)

    def write4(self, place: Slice[u8], hops: u8) -> None:
        """The IPv4 header, without length and identification, and its sum."""
        head = ip4.Header()
        head.source = self.source.four()
        head.target = self.target.four()
        head.header_length = ip4.HEADER
        head.traffic = self.traffic
        head.hops = hops
        head.protocol = self.protocol
        head.fragment = ip4.DONT_FRAGMENT if self.dont_fragment() else 0
        ip4.write(place, head)
        put16(place, 10, 0)
        self.sum = summed(place)
        if self.identification == 0:
            self.identification = u16.wrap(random_u64())

    def write6(self, place: Slice[u8], hops: u8) -> None:
        """The IPv6 header, without length."""
        head = ip6.Header()
        head.source = self.source
        head.target = self.target
        head.traffic = self.traffic
        head.flow = self.flow
        head.next = self.protocol
        head.hops = hops
        ip6.write(place, head)

    def dont_fragment(self) -> bool:
        """Whether IPv4 packets say that routers must not fragment them."""
        return self.discover != Discover.DONT and not (self.discover == Discover.WANT and self.mtu <= LEAST_MTU4)

    def link_target(self, interface: Interface, now: u64) -> u64:
        """The link address to send to; 0: it is to be asked for first."""
        if interface.kind != Kind.ETHERNET:
            return 0
        self.shared = True
        if self.target.multicast():
            return group_mac(self.target)
        if self.target.broadcast():
            return ethernet.BROADCAST
        for local in interface.addresses:
            if local.usable() and local.broadcast(self.target):
                return ethernet.BROADCAST
        self.shared = False
        mac, until = resolve(interface, self.hop, now)
        if mac == 0:
            self.recheck = 0
        else:
            self.recheck = min(self.recheck, until)
        return mac

    def confirmed(self, now: u64) -> None:
        """What was sent has arrived: the neighbour need not be asked whether it is there (RFC 4861 7.3.1)."""
        if self.interface is not None and self.link_size != 0:
            confirm(self.interface, self.hop, now)

    def send(self, packet: Packet, now: u64) -> i64:
        """Send a packet that begins with the transport's header. It is gone, whatever the result: 0, what open() says,
        or -EMSGSIZE: it is larger than the path takes and may not be fragmented (`mtu` is right now)."""
        if unlikely(not self.current(now)):
            result = self.open(now)
            if result != 0:
                counters.ip_no_route += 1
                drop(packet)
                return result
        counters.ip_sent += 1
        size = self.head_size - self.link_size
        if unlikely(packet.total + size > self.mtu) and packet.segment_size == 0:
            if self.discover == Discover.DO or self.discover == Discover.PROBE:
                drop(packet)
                return -EMSGSIZE
            return fragment(self, packet, now)
        self.send_whole(packet, now)
        return 0

    def send_whole(self, packet: Packet, now: u64) -> None:
        """Put the headers in front of a packet that needs no fragments, and hand it on."""
        packet.transport = u16(packet.start)
        packet.protocol = self.protocol
        packet.six = self.six
        total = packet.total
        place = packet.push(self.head_size)
        place[:] = self.template[0 : u64(self.head_size)]
        at = u64(self.link_size)
        packet.network = u16(packet.start + self.link_size)
        if self.six:
            put16(place, at + 4, u16.wrap(total))  # 0 beyond 65535: only within this machine
        else:
            length = byte_swap(u16.wrap(total + ip4.HEADER))
            number = self.identification
            self.identification = u16.wrap(u32(number) + 1)
            raw16(place, at + 2, length)
            raw16(place, at + 4, number)
            raw16(place, at + 10, finish(self.sum + u64(length) + u64(number)))
        self.hand_on(packet, now)

    def send_made(self, packet: Packet, now: u64) -> None:
        """Send a packet that has its IP header, of this path's version and right for it. The path is current."""
        counters.ip_sent += 1
        packet.six = self.six
        packet.network = u16(packet.start)
        packet.protocol = 0
        packet.push(self.link_size)[:] = self.template[0 : u64(self.link_size)]
        self.hand_on(packet, now)

    def comes_back(self, interface: Interface) -> bool:
        """Whether this machine hears what is sent to many."""
        return not self.target.multicast() or (not self.quiet and interface.member(self.target))

    def hand_on(self, packet: Packet, now: u64) -> None:
        """To the device, or to wait for the neighbour. The packet has all its headers."""
        interface: Interface = self.interface
        if unlikely(self.shared) and self.comes_back(interface):
            loop_group(packet, self.link_size, interface.index)
        if likely(self.resolved):
            interface.send(packet)
            return
        packet.pull(self.link_size)
        hold(interface, self.hop, packet, now)


@metal
def refusal(kind: RouteKind) -> i64:
    """What a route that leads nowhere says."""
    match kind:
        case RouteKind.UNREACHABLE:
            return -EHOSTUNREACH
        case RouteKind.PROHIBIT:
            return -EACCES
        case RouteKind.BLACKHOLE | RouteKind.UNICAST:
            return -EINVAL


@metal
def first_link() -> Ptr[Interface]:
    """The first interface to others that is up, or None."""
    for interface in interfaces:
        if interface is not None and interface.kind != Kind.LOOPBACK and interface.up:
            return interface
    return None


@metal
def scope(address: Address) -> u32:
    """The scope of an address (RFC 6724 3.1); multicast ones say it themselves."""
    if address.high >> 56 == 0xFF:
        return u32(address.high >> 48) & 15
    return 2 if address.link_local() or address.loopback() else 14


@metal
def better(a: Local, b: Local, target: Address, hop: Address) -> bool:
    """Whether `a` is a better source for a target than `b`: the rules 1, 2, 3 and 8 of RFC 6724 5."""
    if target.is4():
        return hop.within(a.address, a.length) and not hop.within(b.address, b.length)
    if a.address.equals(target) or b.address.equals(target):
        return a.address.equals(target)
    mine, other, wanted = scope(a.address), scope(b.address), scope(target)
    if mine != other:
        return other < wanted if mine > other else mine >= wanted
    if a.standing != b.standing:
        return a.standing == Standing.PREFERRED
    return min(a.address.common(target), a.length) > min(b.address.common(target), b.length)
