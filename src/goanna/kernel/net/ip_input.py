"""IP taken in: which packets are whole and for us, put together where they came in fragments, handed to their protocol.

`receive` is what a device driver calls with a frame, and the one entry of the stack for what comes from outside.
"""

from goanna.kernel.net.arrival import Arrival, on_raw, raw_users
from goanna.kernel.net.icmp import receive_icmp, report_locally
from goanna.kernel.net.icmp_error import ICMP6, send_error
from goanna.kernel.net.interface import (
    FRAME,
    Interface,
    Target,
    interface_by_index,
    interfaces,
    on_frame,
    taps_open,
    target_of,
)
from goanna.kernel.net.loopback import loopback, next_looped
from goanna.kernel.net.membership import receive_igmp
from goanna.kernel.net.neighbour import on_unreachable
from goanna.kernel.net.neighbour_input import receive_arp
from goanna.kernel.net.network import counters
from goanna.kernel.net.packet import CHECKSUM_GOOD, GROUP, Packet, drop
from goanna.kernel.net.reassembly import add_fragment, expired_fragment
from goanna.kernel.net.wire import ethernet, icmp, ip4, ip6
from goanna.metal import Fn, Ptr, hook, likely, metal, u8, u16, u32, u64, unlikely

__all__ = ["on_datagram", "on_segment", "reassembly_timer", "receive", "receive_looped"]

TCP, UDP = 6, 17

# A UDP datagram or TCP segment, from its header on; the receiver drops it.
on_datagram = hook(Fn[[Arrival, Packet], None])
on_segment = hook(Fn[[Arrival, Packet], None])


@metal
def receive(interface: Interface, packet: Packet, now: u64) -> None:
    """A packet came by an interface, link header and all. It is gone afterwards."""
    packet.interface = interface.index
    interface.received_packets += 1
    interface.received_bytes += u64(packet.total)
    if unlikely(taps_open.load() != 0):
        on_frame(interface, packet, False, 0)
    frame = ethernet.Frame()
    if unlikely(not ethernet.parse(packet.bytes(), frame)):
        interface.received_dropped += 1
        drop(packet)
        return
    to: Ptr[Interface] = interface
    if unlikely(frame.vlan() != 0):
        to = vlan_of(interface, frame.vlan())
    ours = False
    if frame.group():
        packet.flags |= GROUP
        # A segment that gives us back what we sent (QEMU's multicast) would have our addresses look taken.
        ours = frame.source == interface.mac
    if to is None or not to.up or ours or (frame.target != to.mac and not frame.group()):
        interface.received_dropped += 1
        drop(packet)
        return
    packet.pull(frame.length)
    match frame.kind:
        case ethernet.IP4:
            receive4(to, packet, now)
        case ethernet.IP6:
            receive6(to, packet, now)
        case ethernet.ARP:
            receive_arp(to, packet.bytes(), now)
            drop(packet)
        case _:
            interface.received_dropped += 1
            drop(packet)


@metal
def vlan_of(interface: Interface, vlan: u16) -> Ptr[Interface]:
    """The interface of a VLAN on a device, or None."""
    for each in interfaces:
        if each is not None and each.below is interface and each.vlan == vlan:
            return each
    return None


@metal
def receive_looped(now: u64, most: u32) -> u32:
    """Take in up to `most` packets that we sent to ourselves; how many there were."""
    for number in range(most):
        packet = next_looped()
        if packet is None:
            return number
        if unlikely(packet.interface != loopback.index):
            receive_own(packet, now)
            continue
        if unlikely(taps_open.load() != 0):
            on_frame(loopback, packet, False, 0)
        if unlikely(packet.flags & FRAME != 0) and not unframed(packet):
            drop(packet)
        elif packet.six:
            receive6(loopback, packet, now)
        else:
            receive4(loopback, packet, now)
    return most


@metal
def receive_own(packet: Packet, now: u64) -> None:
    """Take in a copy of what was sent to a group that this machine is in."""
    interface = interface_by_index(packet.interface)
    if interface is None:
        drop(packet)
    elif packet.six:
        receive6(interface, packet, now)
    else:
        receive4(interface, packet, now)


@metal
def unframed(packet: Packet) -> bool:
    """Take the link header off what a program sent to loopback. Whether it is a packet of IP."""
    if not packet.pullable(ethernet.HEADER):
        return False
    kind = u16(packet.bytes()[12]) << 8 | u16(packet.bytes()[13])
    packet.flags &= ~u8(FRAME | CHECKSUM_GOOD)
    packet.six = kind == ethernet.IP6
    packet.pull(ethernet.HEADER)
    return packet.total != 0 and kind in (ethernet.IP4, ethernet.IP6)


@metal
def malformed(packet: Packet) -> None:
    """Drop a packet with a bad header."""
    counters.ip_malformed += 1
    drop(packet)


@metal
def receive4(interface: Interface, packet: Packet, now: u64) -> None:
    """An IPv4 packet (RFC 1122 3.2.1, 3.3)."""
    counters.ip_received += 1
    head = ip4.Header()
    if unlikely(not packet.pullable(ip4.HEADER)):
        malformed(packet)
        return
    if unlikely(packet.bytes()[0] != 0x45 and not packet.pullable(u32(packet.bytes()[0] & 15) * 4)):
        malformed(packet)
        return
    if unlikely(not ip4.parse(packet.bytes(), packet.total, head)):
        malformed(packet)
        return
    packet.trim(head.total_length)
    arrival = Arrival()
    arrival.interface = interface
    arrival.now = now
    arrival.source.set4(head.source)
    arrival.target.set4(head.target)
    arrival.protocol = head.protocol
    arrival.hops = head.hops
    arrival.traffic = head.traffic
    packet.network = u16(packet.start)
    packet.six = False
    if not acceptable(arrival, packet):
        return
    if unlikely(head.header_length != ip4.HEADER):
        options = ip4.Options()
        well = ip4.parse_options(packet.bytes()[0 : u64(head.header_length)], options)
        packet.pull(head.header_length)
        if not well:
            send_error(arrival, packet, icmp.PARAMETER4, 0, options.pointer << 24)
        if not well or options.source_route:
            malformed(packet)
            return
    else:
        packet.pull(ip4.HEADER)
    if unlikely(head.fragmented()):
        whole = add_fragment(
            packet, False, arrival.source, arrival.target, u32(head.identification), head.protocol, head.offset(),
            head.fragment & ip4.MORE_FRAGMENTS != 0, now,
        )  # fmt: skip
        if whole is not None:
            deliver(arrival, whole)
        return
    deliver(arrival, packet)


@metal
def acceptable(arrival: Arrival, packet: Packet) -> bool:
    """Whether a packet is for us and its source can be one. Else it is gone."""
    interface: Interface = arrival.interface
    source = arrival.source
    arrival.to = target_of(interface, arrival.target)
    if likely(arrival.to == Target.UNICAST and packet.flags & GROUP == 0):
        odd = source.multicast() or source.broadcast() or (source.loopback() and interface is not loopback)
        if likely(not odd):
            return True
    elif arrival.to in (Target.BROADCAST, Target.MULTICAST):
        odd = source.multicast() or source.broadcast() or (source.loopback() and interface is not loopback)
        if not odd:
            return True
    counters.ip_not_ours += 1
    drop(packet)
    return False


@metal
def receive6(interface: Interface, packet: Packet, now: u64) -> None:
    """An IPv6 packet (RFC 8200)."""
    counters.ip_received += 1
    head = ip6.Header()
    if unlikely(not packet.pullable(ip6.HEADER) or not ip6.parse(packet.bytes(), packet.total, head)):
        malformed(packet)
        return
    # Only what this machine sends to itself is longer than its length can say; it says 0 then.
    if likely(head.payload_length != 0 or interface is not loopback):
        packet.trim(head.payload_length + ip6.HEADER)
    arrival = Arrival()
    arrival.interface = interface
    arrival.now = now
    arrival.source = head.source
    arrival.target = head.target
    arrival.six = True
    arrival.protocol = head.next
    arrival.hops = head.hops
    arrival.traffic = head.traffic
    packet.network = u16(packet.start)
    packet.six = True
    if head.source.is4() or head.target.is4():  # mapped addresses never cross a wire (RFC 4291 2.5.5.2)
        malformed(packet)
        return
    if not acceptable(arrival, packet):
        return
    if likely(head.next in (TCP, UDP, ICMP6)):
        packet.pull(ip6.HEADER)
        deliver(arrival, packet)
        return
    extended(arrival, packet, head.next)


@metal
def extended(arrival: Arrival, packet: Packet, first: u8) -> None:
    """An IPv6 packet with extension headers, which must lie in its first buffer."""
    chain = ip6.Chain()
    packet.pullable(min(packet.total, u32(1280)))
    verdict = ip6.walk(packet.bytes(), first, chain)
    if verdict in (ip6.Verdict.DROP, ip6.Verdict.END):
        malformed(packet)
        return
    arrival.protocol = chain.protocol
    if verdict != ip6.Verdict.GOOD:
        packet.pull(ip6.HEADER)
        group = arrival.to != Target.UNICAST
        if verdict == ip6.Verdict.ERRONEOUS:
            send_error(arrival, packet, icmp.PARAMETER6, 0, chain.pointer)
        elif verdict == ip6.Verdict.UNKNOWN_HEADER:
            send_error(arrival, packet, icmp.PARAMETER6, 1, chain.pointer)
        elif verdict == ip6.Verdict.UNKNOWN_OPTION or not group:
            send_error(arrival, packet, icmp.PARAMETER6, 2, chain.pointer)
        malformed(packet)
        return
    size = packet.total - chain.offset
    packet.pull(chain.offset)
    if chain.fragment == 0 or (chain.fragment_offset == 0 and not chain.more):  # atomic fragments: RFC 6946
        deliver(arrival, packet)
        return
    if chain.more and size % 8 != 0:  # RFC 8200 4.5
        send_error(arrival, packet, icmp.PARAMETER6, 0, 4)
    elif chain.fragment_offset + size > 65535:
        send_error(arrival, packet, icmp.PARAMETER6, 0, chain.fragment + 2)
    packet.protocol = chain.protocol
    whole = add_fragment(
        packet, True, arrival.source, arrival.target, chain.identification, 0, chain.fragment_offset, chain.more,
        arrival.now,
    )  # fmt: skip
    if whole is not None:
        # The first fragment's header says what it is (RFC 8200 4.5); the last to come may be another.
        arrival.protocol = whole.protocol
        deliver(arrival, whole)


@metal
def deliver(arrival: Arrival, packet: Packet) -> None:
    """Hand a whole packet to its protocol."""
    packet.transport = u16(packet.start)
    taken = unlikely(raw_users.load() != 0) and on_raw(arrival, packet)
    match arrival.protocol:
        case 6:
            on_segment(arrival, packet)
        case 17:
            on_datagram(arrival, packet)
        case 2 if not arrival.six:
            receive_igmp(arrival.interface, packet, arrival.now)
            drop(packet)
        case 1:
            if arrival.six:
                unknown(arrival, packet, taken)
            else:
                receive_icmp(arrival, packet)
        case 58:
            if arrival.six:
                receive_icmp(arrival, packet)
            else:
                unknown(arrival, packet, taken)
        case _:
            unknown(arrival, packet, taken)


@metal
def unknown(arrival: Arrival, packet: Packet, taken: bool) -> None:
    """No protocol of ours (RFC 1122 3.2.2.1, RFC 8200 4), unless a raw socket has taken it."""
    if taken:
        drop(packet)
        return
    counters.ip_unknown_protocol += 1
    if arrival.six:
        send_error(arrival, packet, icmp.PARAMETER6, 1, 6)
    else:
        send_error(arrival, packet, icmp.UNREACHABLE4, icmp.PROTOCOL4, 0)
    drop(packet)


@metal
def reassembly_timer(now: u64) -> None:
    """Give up what did not come whole in time, and say so where the first fragment came (RFC 792, RFC 4443 3.3)."""
    again = True
    while again:
        first, again = expired_fragment(now)
        if first is None:
            continue
        back = first.start - u32(first.network)
        arrival = Arrival()
        arrival.now = now
        arrival.six = first.six
        arrival.interface = interface_by_index(first.interface)
        first.start -= back
        first.length += back
        first.total += back
        if arrival.interface is not None:
            known(arrival, first)
        first.pull(back)
        if arrival.interface is not None:
            kind: u8 = icmp.EXCEEDED6 if first.six else icmp.EXCEEDED4
            send_error(arrival, first, kind, icmp.REASSEMBLY, 0)
        drop(first)


@metal
def known(arrival: Arrival, packet: Packet) -> None:
    """Fill in what the header of a packet says, which was checked when it came."""
    if packet.six:
        head6 = ip6.Header()
        ip6.parse(packet.bytes(), packet.total, head6)
        arrival.source = head6.source
        arrival.target = head6.target
        arrival.protocol = packet.protocol
    else:
        head4 = ip4.Header()
        ip4.parse(packet.bytes(), 0xFFFF_FFFF, head4)
        arrival.source.set4(head4.source)
        arrival.target.set4(head4.target)
        arrival.protocol = head4.protocol
    arrival.to = target_of(arrival.interface, arrival.target)


on_unreachable.set(report_locally)
