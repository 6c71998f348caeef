"""What neighbours say: ARP messages and the neighbour messages of IPv6, taken in (RFC 826, RFC 5227, RFC 4861 7)."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.claim import conflict
from goanna.kernel.net.interface import Interface, Standing
from goanna.kernel.net.link import group_mac
from goanna.kernel.net.neighbour import learn
from goanna.kernel.net.network import counters
from goanna.kernel.net.solicitation import send_arp, send_discovery
from goanna.kernel.net.wire import arp, discovery, ethernet
from goanna.metal import Fn, Slice, metal, static, u8, u64

__all__ = ["hear_routers", "receive_arp", "receive_discovery", "receive_router"]

# Who is told of each router advertisement that came from a link-local address and is sound (RFC 4861 6.1.2), no lock
# being held; None: nobody.
on_router = static(Fn[[Interface, Address, discovery.Router, u64], None])


@metal
def receive_arp(interface: Interface, data: Slice[u8], now: u64) -> None:
    """An ARP message: learn from it, answer it, notice conflicts."""
    message = arp.Arp()
    if not arp.parse(data, message) or message.sender_mac & ethernet.GROUP_BIT != 0:
        return
    sender = Address()
    target = Address()
    sender.set4(message.sender)
    target.set4(message.target)
    if message.sender_mac == interface.mac or sender.multicast() or sender.broadcast() or sender.loopback():
        return
    ours = interface.find(sender)
    if ours is not None:
        conflict(interface, ours, now)
        return
    wanted = interface.find(target)
    if message.sender == 0:
        if wanted is not None and wanted.standing == Standing.TENTATIVE and message.operation == arp.REQUEST:
            conflict(interface, wanted, now)  # two probe for it at once (RFC 5227 2.1.1)
            return
    else:
        for_us = wanted is not None and wanted.usable()
        answer = message.operation == arp.REPLY and for_us
        learn(interface, sender, message.sender_mac, answer, True, for_us and message.operation == arp.REQUEST, now)
    if message.operation == arp.REQUEST and wanted is not None and wanted.usable():
        send_arp(interface, arp.REPLY, message.target, message.sender, message.sender_mac, message.sender_mac)


@metal
def receive_discovery(
    interface: Interface, source: Address, target: Address, hops: u8, data: Slice[u8], now: u64
) -> None:
    """A neighbour solicitation or advertisement whose ICMPv6 checksum is right."""
    message = discovery.Discovery()
    if hops != 255 or not discovery.parse(data, message):
        counters.icmp_malformed += 1
        return
    if message.kind == discovery.SOLICITATION:
        solicitation(interface, source, target, message, now)
    elif message.kind == discovery.ADVERTISEMENT:
        advertisement(interface, target, message, now)


@metal
def solicitation(interface: Interface, source: Address, to: Address, message: discovery.Discovery, now: u64) -> None:
    """Somebody asks for an address (RFC 4861 7.2.3, RFC 4862 5.4.3)."""
    probe = source.unspecified()
    solicited = to.high == 0xFF02 << 48 and to.low >> 24 == 0x1FF
    if probe and (not solicited or message.source_mac != 0):
        return
    wanted = interface.find(message.target)
    if wanted is None:
        return
    if wanted.standing == Standing.TENTATIVE:
        if probe:
            conflict(interface, wanted, now)
        return
    if not wanted.usable():
        return
    everybody = Address()
    everybody.set(0xFF02 << 48, 1)
    if probe:
        send_discovery(
            interface, discovery.ADVERTISEMENT, discovery.OVERRIDE, message.target, message.target, everybody,
            group_mac(everybody),
        )  # fmt: skip
        return
    if message.source_mac == 0 or message.source_mac & ethernet.GROUP_BIT != 0:
        return
    learn(interface, source, message.source_mac, False, True, True, now)
    flags: u8 = discovery.SOLICITED | discovery.OVERRIDE
    send_discovery(
        interface, discovery.ADVERTISEMENT, flags, message.target, message.target, source, message.source_mac
    )


@metal
def advertisement(interface: Interface, to: Address, message: discovery.Discovery, now: u64) -> None:
    """Somebody has an address (RFC 4861 7.2.5)."""
    ours = interface.find(message.target)
    if ours is not None:
        if message.target_mac != interface.mac:
            conflict(interface, ours, now)
        return
    if message.flags & discovery.SOLICITED != 0 and to.multicast():
        return
    mac = message.target_mac
    if mac & ethernet.GROUP_BIT != 0:
        return
    solicited = message.flags & discovery.SOLICITED != 0
    learn(interface, message.target, mac, solicited, message.flags & discovery.OVERRIDE != 0, False, now)


@metal
def receive_router(interface: Interface, source: Address, hops: u8, data: Slice[u8], now: u64) -> None:
    """A router advertisement whose ICMPv6 checksum is right."""
    router = discovery.Router()
    if hops != 255 or source.is4() or not source.link_local() or not discovery.parse_router(data, router):
        counters.icmp_malformed += 1
        return
    if on_router is not None:
        on_router(interface, source, router, now)


@metal
def hear_routers(listener: Fn[[Interface, Address, discovery.Router, u64], None]) -> None:
    """Say who is told of routers. At start."""
    global on_router
    on_router = listener
