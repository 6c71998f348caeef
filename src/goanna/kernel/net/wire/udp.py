"""UDP headers (RFC 768, RFC 8200 8.1)."""

from goanna.kernel.net.wire.bytes import get16, put16
from goanna.metal import Slice, metal, struct, u8, u16, u32, unlikely

__all__ = ["HEADER", "Datagram", "parse", "write"]

HEADER = 8  # bytes


@struct
class Datagram:
    """The header's fields."""

    source: u16
    target: u16
    length: u32  # bytes, header included
    summed: bool  # whether a checksum was sent


@metal
def parse(data: Slice[u8], total: u32, datagram: Datagram) -> bool:
    """Read the header of a datagram for which IP has `total` bytes. False: drop it. Checksums are the caller's."""
    if unlikely(len(data) < HEADER):
        return False
    datagram.source = get16(data, 0)
    datagram.target = get16(data, 2)
    datagram.length = u32(get16(data, 4))
    datagram.summed = u32(data[6]) + u32(data[7]) != 0
    return HEADER <= datagram.length <= total


@metal
def write(data: Slice[u8], source: u16, target: u16, length: u16) -> None:
    """Write a header, with no checksum."""
    put16(data, 0, source)
    put16(data, 2, target)
    put16(data, 4, length)
    put16(data, 6, 0)
