"""Taps: who sees whole frames, as they come and go (packet(7)). Packet sockets are told of each by `on_frame`.

A tap gets a copy with the link header, so that nothing it does with it changes the packet; loopback's frames, which
have no link header, are shown with one of zero addresses, as on Linux.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.net.address import Address
from goanna.kernel.net.endpoint import Endpoint, put, read_address
from goanna.kernel.net.interface import FRAME, Interface, Kind, on_frame, taps_open
from goanna.kernel.net.link import group_mac
from goanna.kernel.net.packet import BUFFER, BUFFER_ROOM, CHUNK, Packet, allocate, drop
from goanna.kernel.net.wire import ethernet
from goanna.metal import Array, Ptr, Slice, metal, static, struct, u8, u16, u32, u64, unsafe

__all__ = ["Tap", "close_tap", "open_tap", "taps_lock"]

ALL, RAW_802_3, LLC_802_2 = 3, 1, 4  # ETH_P_ALL, ETH_P_802_3, ETH_P_802_2
HOST, BROADCAST, MULTICAST, OTHER_HOST, OUTGOING = range(5)  # PACKET_: whom a frame was for


@struct
class Tap:
    """One who sees frames. `taps_lock` protects what it wants to see."""

    link: Link
    endpoint: Ptr[Endpoint]  # its queue
    interface: u32  # index; 0: all
    protocol: u16  # EtherType, or ALL, which sees what is sent as well
    cooked: bool  # without the link header
    ignores_sent: bool
    sees_others: bool  # frames that are for others
    seen: u32  # frames that were to be put on the queue
    opened: bool
    sending: u16  # what it says that the frame is that it is sending


Taps = List(Tap, "link")
taps_lock = static(SpinLock)  # protects the list
taps = static(Taps)


@metal
def open_tap(tap: Tap) -> None:
    """Let a tap see frames from now on."""
    with taps_lock:
        if not tap.opened:
            tap.opened = True
            taps.append(tap)
            taps_open.add(1)


@metal
def close_tap(tap: Tap) -> None:
    """Let it see no more. Afterwards nothing is put on its queue."""
    with taps_lock:
        if tap.opened:
            tap.opened = False
            taps.remove(tap)
            taps_open.sub(1)


@on_frame.set
@metal
def show(interface: Interface, packet: Packet, sent: bool, sender: u64) -> None:
    """Show a frame to all taps that want it but its sender. It stays the caller's."""
    head = Array[u8, ethernet.HEADER]()
    framed = interface.kind == Kind.ETHERNET or packet.flags & FRAME != 0
    if framed and packet.total < ethernet.HEADER:
        return
    if framed:
        packet.copy_out(0, head[:])
    else:
        loopback_header(packet, head[:])
    kind = kind_of(packet, head[:], sent, sender)
    way = way_of(interface, ethernet.load_mac(head[:], 0), sent)
    with taps_lock:
        each = taps.head()
        while each is not None:
            here = each.interface == 0 or each.interface == interface.index
            if sent:
                here = here and each.protocol == ALL and not each.ignores_sent and unsafe.address(each) != sender
            else:
                ours = way != OTHER_HOST or each.sees_others or interface.kind == Kind.LOOPBACK
                here = here and ours and each.protocol in (ALL, kind)
            if here:
                each.seen += 1
                made = copied(packet, head[:], framed)
                if made is not None:
                    made.hops = way
                    made.sequence = u32(kind)
                    made.interface = interface.index
                    if each.cooked:
                        made.pull(ethernet.HEADER)
                    put(each.endpoint, made)
            each = taps.after(each)


@metal
def kind_of(packet: Packet, head: Slice[u8], sent: bool, sender: u64) -> u16:
    """What a frame is said to be: its EtherType, or as its sender has it; 802.3 frames have a length there."""
    if sent and sender != 0:
        tap = unsafe.at(Tap, sender)
        if tap.cooked or tap.sending not in (0, ALL):
            return tap.sending
    kind = u16(head[12]) << 8 | u16(head[13])
    if sent or kind >= ethernet.LEAST_TYPE:
        return kind
    payload = Array[u8, 2]()
    if packet.total >= ethernet.HEADER + 2:
        packet.copy_out(ethernet.HEADER, payload[:])
    return RAW_802_3 if payload[0] == 0xFF and payload[1] == 0xFF else LLC_802_2


@metal
def loopback_header(packet: Packet, head: Slice[u8]) -> None:
    """The header that a packet on loopback would have."""
    target = Address()
    read_address(packet, target, False)
    mac = group_mac(target) if target.multicast() else u64(0)
    ethernet.write(head, mac, 0, ethernet.IP6 if packet.six else ethernet.IP4, 0)


@metal
def way_of(interface: Interface, target: u64, sent: bool) -> u8:
    """Whom a frame to a link address is for."""
    if sent:
        return OUTGOING
    if target == ethernet.BROADCAST and interface.kind == Kind.ETHERNET:
        return BROADCAST
    if target & ethernet.GROUP_BIT != 0:
        return MULTICAST
    return HOST if target == interface.mac else OTHER_HOST


@metal
def copied(packet: Packet, head: Slice[u8], framed: bool) -> Ptr[Packet]:
    """A copy of a frame, whose link header's place is in `network`; None: memory is out."""
    offset: u32 = ethernet.HEADER if framed else 0
    left = packet.total - offset
    first = allocate(CHUNK if left + ethernet.HEADER > BUFFER_ROOM else BUFFER, 0)
    if first is None:
        return None
    first.network = 0
    first.extend(ethernet.HEADER)[:] = head
    each: Packet = first
    while left != 0:
        if each.room() == 0:
            following = allocate(CHUNK, 0)
            if following is None:
                drop(first)
                return None
            first.append(following)
            each = following
        count = min(left, each.room())
        packet.copy_out(offset, each.extend(count))
        if each is not first:
            first.total += count
            each.total = 0
        offset += count
        left -= count
    return first
