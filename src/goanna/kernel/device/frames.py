"""Frames on their way out, as devices want them: in few pieces, with room in front."""

from goanna.kernel.net.packet import CHUNK, SHORT, Packet, allocate, drop
from goanna.metal import Ptr, metal, u16, u32, u64

__all__ = ["in_front", "joined", "pieces"]


@metal
def pieces(packet: Packet) -> u64:
    """How many buffers a packet has."""
    count: u64 = 0
    each: Ptr[Packet] = packet
    while each is not None:
        count += 1
        each = each.more
    return count


@metal
def head_of(packet: Packet) -> Ptr[Packet]:
    """An empty buffer that is noted what was noted for a packet; None: no memory, and the packet is gone."""
    head = allocate(SHORT, 64)
    if head is None:
        drop(packet)
        return None
    take_over(head, packet, 64)
    return head


@metal
def in_front(packet: Packet) -> Ptr[Packet]:
    """A packet with an empty buffer in front of it, for headers; None: no memory, and it is gone."""
    head = head_of(packet)
    if head is not None:
        head.append(packet)
    return head


@metal
def joined(packet: Packet) -> Ptr[Packet]:
    """A copy of a packet in large buffers; None: no memory. The packet is gone."""
    head = head_of(packet)
    if head is None:
        return None
    at: u32 = 0
    while at < packet.total:
        part = allocate(CHUNK, 0)
        if part is None:
            drop(head)
            drop(packet)
            return None
        count = min(packet.total - at, part.room())
        packet.copy_out(at, part.extend(count))
        head.append(part)
        at += count
    drop(packet)
    return head


@metal
def take_over(head: Packet, packet: Packet, start: u32) -> None:
    """Note for a buffer in front what was noted for a packet: offsets are from the first buffer's memory on."""
    head.flags = packet.flags
    head.six = packet.six
    head.segment_size = packet.segment_size
    head.checksum_start = u16.wrap(u32(packet.checksum_start) + 0x1_0000 + start - packet.start)
    head.checksum_offset = packet.checksum_offset
