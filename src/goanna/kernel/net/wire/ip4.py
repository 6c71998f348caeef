"""IPv4 headers and their options (RFC 791, RFC 1122 3.2.1.8, RFC 2113)."""

from goanna.kernel.net.checksum import finish, summed
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32, raw16
from goanna.metal import Slice, metal, struct, u8, u16, u32, u64, unlikely

__all__ = [
    "DONT_FRAGMENT",
    "HEADER",
    "LARGEST",
    "MORE_FRAGMENTS",
    "Header",
    "Options",
    "parse",
    "parse_options",
    "write",
]

HEADER = 20  # bytes, without options
LARGEST = 65535  # bytes of a whole packet
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000
OFFSET = 0x1FFF

END, NO_OPERATION, LOOSE_ROUTE, STRICT_ROUTE, ROUTER_ALERT = 0, 1, 131, 137, 148


@struct
class Header:
    """A header's fields."""

    source: u32
    target: u32
    header_length: u32  # bytes
    total_length: u32  # bytes of the whole packet
    identification: u16
    fragment: u16  # flags and offset, as they stand
    traffic: u8
    hops: u8
    protocol: u8

    def fragmented(self) -> bool:
        """Whether the packet is a part of a larger one."""
        return self.fragment & (MORE_FRAGMENTS | OFFSET) != 0

    def offset(self) -> u32:
        """Where a fragment belongs, in bytes."""
        return u32(self.fragment & OFFSET) * 8


@struct
class Options:
    """What the options say."""

    pointer: u32  # offset in the header of a mistake, for the ICMP message; 0: there is none
    source_route: bool
    router_alert: bool


@metal
def parse(data: Slice[u8], total: u32, header: Header) -> bool:
    """Read and check a header that lies in `data` whole. `total` bytes came, which may be more than the packet has, not
    fewer. False: drop it (RFC 1122 3.2.1)."""
    if unlikely(len(data) < HEADER):
        return False
    header.header_length = u32(data[0] & 15) * 4
    header.total_length = u32(get16(data, 2))
    if unlikely(data[0] >> 4 != 4 or header.header_length < HEADER or header.total_length < header.header_length):
        return False
    if unlikely(header.total_length > total or u64(header.header_length) > len(data)):
        return False
    if unlikely(finish(summed(data[0 : u64(header.header_length)])) != 0):
        return False
    header.traffic = data[1]
    header.identification = get16(data, 4)
    header.fragment = get16(data, 6)
    header.hops = data[8]
    header.protocol = data[9]
    header.source = get32(data, 12)
    header.target = get32(data, 16)
    return True


@metal
def parse_options(data: Slice[u8], options: Options) -> bool:
    """Check the options of a whole header. False: one is malformed, and `options.pointer` says where."""
    options.pointer = 0
    options.source_route = False
    options.router_alert = False
    at: u64 = HEADER
    while at < len(data):
        kind = data[at]
        if kind == END:
            break
        if kind == NO_OPERATION:
            at += 1
            continue
        if at + 2 > len(data) or data[at + 1] < 2 or at + u64(data[at + 1]) > len(data):
            options.pointer = u32(at)
            return False
        size = u64(data[at + 1])
        if kind in (LOOSE_ROUTE, STRICT_ROUTE):
            if size < 3 or options.source_route:
                options.pointer = u32(at)
                return False
            options.source_route = True
        elif kind == ROUTER_ALERT:
            if size != 4:
                options.pointer = u32(at)
                return False
            options.router_alert = True
        at += size
    return True


@metal
def write(data: Slice[u8], header: Header) -> None:
    """Write a header of `header_length` bytes and its checksum; what options there are stand there already."""
    data[0] = 0x40 | u8(header.header_length // 4)
    data[1] = header.traffic
    put16(data, 2, u16(header.total_length))
    put16(data, 4, header.identification)
    put16(data, 6, header.fragment)
    data[8] = header.hops
    data[9] = header.protocol
    put16(data, 10, 0)
    put32(data, 12, header.source)
    put32(data, 16, header.target)
    raw16(data, 10, finish(summed(data[0 : u64(header.header_length)])))
