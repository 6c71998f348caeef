"""TCP headers and options (RFC 9293 3.1, RFC 7323, RFC 2018, RFC 7413): a segment's fields and back."""

from goanna.kernel.net.wire.bytes import get16, get32, put16, put32
from goanna.metal import Array, Slice, likely, metal, struct, u8, u16, u32, u64, unlikely

__all__ = [
    "ACK", "FIN", "HEADER", "MOST_BLOCKS", "NO_SCALE", "PSH", "RST", "STAMP_SPACE", "SYN", "URG", "Block", "Segment",
    "parse", "write", "write_sack", "write_stamp", "write_syn_options",
]  # fmt: skip

HEADER = 20  # bytes, without options
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = 1, 2, 4, 8, 16, 32, 64, 128
END, NO_OPERATION, MSS, SCALE, SACK_PERMITTED, SACK, STAMP, FAST_OPEN = 0, 1, 2, 3, 4, 5, 8, 34
NO_SCALE = 255
NO_COOKIE = 255
LARGEST_SCALE = 14  # RFC 7323 2.3
MOST_BLOCKS = 4
STAMP_WORD = 0x0101080A  # two no-operations, then a timestamp: what every segment of a connection begins with
STAMP_SPACE = 12  # bytes of that in all


@struct
class Block:
    """A stretch of sequence numbers, `right` not included."""

    left: u32
    right: u32


@struct
class Segment:
    """A segment's header. Options that only a SYN may carry are read from a SYN only."""

    source: u16
    target: u16
    sequence: u32
    acknowledgment: u32
    flags: u8
    header_length: u32  # bytes, options included
    window: u32  # as sent: not scaled
    urgent: u16
    length: u32  # bytes of text behind the header
    stamped: bool
    stamp: u32
    echo: u32
    block_count: u32
    blocks: Array[Block, MOST_BLOCKS]
    mss: u16  # 0: none said
    scale: u8  # NO_SCALE: none said
    sack_permitted: bool
    cookie_length: u8  # of fast open; NO_COOKIE: no such option, 0: a cookie is asked for


@metal
def parse(data: Slice[u8], total: u32, segment: Segment) -> bool:
    """Read the header of a segment for which IP has `total` bytes. False: drop it. The checksum is the caller's.

    Malformed options end the options, they don't spoil the segment (as Linux has it).
    """
    if unlikely(len(data) < HEADER):
        return False
    segment.header_length = u32(data[12] >> 4) * 4
    if unlikely(segment.header_length < HEADER or u64(segment.header_length) > len(data)):
        return False
    if unlikely(segment.header_length > total):
        return False
    segment.source = get16(data, 0)
    segment.target = get16(data, 2)
    segment.sequence = get32(data, 4)
    segment.acknowledgment = get32(data, 8)
    segment.flags = data[13]
    segment.window = u32(get16(data, 14))
    segment.urgent = get16(data, 18)
    segment.length = total - segment.header_length
    segment.stamped = False
    segment.block_count = 0
    segment.mss = 0
    segment.scale = NO_SCALE
    segment.sack_permitted = False
    segment.cookie_length = NO_COOKIE
    if likely(segment.header_length == HEADER + STAMP_SPACE and get32(data, HEADER) == STAMP_WORD):
        segment.stamped = True
        segment.stamp = get32(data, HEADER + 4)
        segment.echo = get32(data, HEADER + 8)
    elif segment.header_length != HEADER:
        parse_options(data[HEADER : u64(segment.header_length)], segment)
    return True


@metal
def parse_options(data: Slice[u8], segment: Segment) -> None:
    """Read the options."""
    synchronize = segment.flags & SYN != 0
    at: u64 = 0
    while at < len(data):
        kind = data[at]
        if kind == END:
            return
        if kind == NO_OPERATION:
            at += 1
            continue
        if at + 2 > len(data) or data[at + 1] < 2 or at + u64(data[at + 1]) > len(data):
            return
        size = u64(data[at + 1])
        if kind == STAMP and size == 10:
            segment.stamped = True
            segment.stamp = get32(data, at + 2)
            segment.echo = get32(data, at + 6)
        elif kind == SACK and size >= 10 and (size - 2) % 8 == 0:
            each = at + 2
            while each < at + size and segment.block_count < MOST_BLOCKS:
                block = segment.blocks[u64(segment.block_count)]
                block.left = get32(data, each)
                block.right = get32(data, each + 4)
                segment.block_count += 1
                each += 8
        elif synchronize and kind == MSS and size == 4:
            segment.mss = get16(data, at + 2)
        elif synchronize and kind == SCALE and size == 3:
            segment.scale = min(data[at + 2], u8(LARGEST_SCALE))
        elif synchronize and kind == SACK_PERMITTED and size == 2:
            segment.sack_permitted = True
        elif synchronize and kind == FAST_OPEN and (size == 2 or 6 <= size <= 18):
            segment.cookie_length = u8(size - 2)
        at += size


@metal
def write(
    data: Slice[u8], source: u16, target: u16, sequence: u32, acknowledgment: u32, length: u32, flags: u8, window: u16
) -> None:
    """Write the fixed header of a segment whose header has `length` bytes with options; checksum and urgent are 0."""
    put16(data, 0, source)
    put16(data, 2, target)
    put32(data, 4, sequence)
    put32(data, 8, acknowledgment)
    data[12] = u8(length * 4)
    data[13] = flags
    put16(data, 14, window)
    put32(data, 16, 0)


@metal
def write_stamp(data: Slice[u8], at: u64, stamp: u32, echo: u32) -> u64:
    """Write a timestamp option of STAMP_SPACE bytes; the offset behind it."""
    put32(data, at, STAMP_WORD)
    put32(data, at + 4, stamp)
    put32(data, at + 8, echo)
    return at + STAMP_SPACE


@metal
def write_sack(data: Slice[u8], at: u64, blocks: Slice[Block]) -> u64:
    """Write a SACK option of 4 + 8 bytes a block; the offset behind it."""
    put32(data, at, 0x01010500 | u32(len(blocks) * 8 + 2))
    at += 4
    for block in blocks:
        put32(data, at, block.left)
        put32(data, at + 4, block.right)
        at += 8
    return at


@metal
def write_syn_options(
    data: Slice[u8], at: u64, mss: u16, scale: u8, sack: bool, stamped: bool, stamp: u32, echo: u32
) -> u64:
    """Write a SYN's options, those wanted, in whole words; the offset behind them."""
    put32(data, at, MSS << 24 | 4 << 16 | u32(mss))
    at += 4
    if sack:
        put32(data, at, NO_OPERATION << 24 | NO_OPERATION << 16 | SACK_PERMITTED << 8 | 2)
        at += 4
    if stamped:
        at = write_stamp(data, at, stamp, echo)
    if scale != NO_SCALE:
        put32(data, at, NO_OPERATION << 24 | SCALE << 16 | 3 << 8 | u32(scale))
        at += 4
    return at
