"""What stands before each frame that crosses a virtio network device: checksums, how it is cut (virtio 1.2, 5.1.6)."""

from goanna.kernel.net.packet import CHECKSUM_GOOD, CHECKSUM_WANTED, Packet
from goanna.metal import metal, struct, u8, u16, u32, u64, unsafe

__all__ = ["HEADER_SIZE", "OLD_HEADER_SIZE", "buffers_of", "read_header", "write_header"]

HEADER_SIZE = 12  # bytes
OLD_HEADER_SIZE = 10  # of legacy devices that don't merge buffers: without the last field

NEEDS_SUM, SUM_GOOD = 1, 2  # flags
CUT4, CUT6 = 1, 4  # gso_type: TCP over IPv4, over IPv6
TCP_LENGTH = 12  # offset of the data offset in a TCP header


@struct
class Header:
    """struct virtio_net_hdr."""

    flags: u8
    cut: u8  # gso_type
    headers: u16  # bytes of a frame in front of the TCP payload
    segment_size: u16  # bytes of payload in each segment
    sum_start: u16  # offset in the frame where the sum begins
    sum_offset: u16  # from there to the field that it goes to
    buffers: u16  # that a received frame lies in


@metal
def buffers_of(packet: Packet) -> u64:
    """In how many buffers a frame came whose first is this one; it holds a header of HEADER_SIZE."""
    return u64(unsafe.at(Header, packet.data + u64(packet.start)).buffers)


@metal
def read_header(packet: Packet, size: u32, trusted: bool) -> None:
    """Take the header off a frame that came. `trusted`: the device may vouch for checksums (GUEST_CSUM). One that is
    still to be filled in comes from another machine of this host, and nobody damages what doesn't leave it."""
    head = unsafe.at(Header, packet.data + u64(packet.start))
    if trusted and head.flags & (NEEDS_SUM | SUM_GOOD) != 0:
        packet.flags |= CHECKSUM_GOOD
    packet.pull(size)


@metal
def write_header(packet: Packet, size: u32) -> None:
    """Put the header in front of a frame, with what it asks the device to do."""
    start = packet.start
    place = unsafe.address(packet.push(size))
    unsafe.store(u64, place, 0, unaligned=True)
    unsafe.store(u16, place + 8, 0, unaligned=True)
    if size == HEADER_SIZE:
        unsafe.store(u16, place + 10, 0, unaligned=True)
    if packet.flags & CHECKSUM_WANTED == 0:
        return
    head = unsafe.at(Header, place)
    head.flags = NEEDS_SUM
    head.sum_start = u16(u32(packet.checksum_start) - start)
    head.sum_offset = packet.checksum_offset
    if packet.segment_size == 0:
        return
    head.cut = CUT6 if packet.six else CUT4
    head.segment_size = packet.segment_size
    head.headers = head.sum_start + tcp_header(packet, u32(head.sum_start) + size)


@metal
def tcp_header(packet: Packet, offset: u32) -> u16:
    """The bytes of the TCP header at an offset of a packet."""
    first: Packet = packet
    while offset >= first.length:
        offset -= first.length
        first = first.more
    return u16(unsafe.load(u8, first.data + u64(first.start + offset) + TCP_LENGTH) >> 4) * 4
