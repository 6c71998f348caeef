"""IPv6 headers and the chain of extension headers behind them (RFC 8200, RFC 5095, RFC 2711)."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32
from goanna.metal import Slice, enumeration, metal, struct, u8, u16, u32, u64, unlikely

__all__ = ["FRAGMENT", "FRAGMENT_HEADER", "HEADER", "NONE", "Chain", "Header", "Verdict", "parse", "walk", "write"]

HEADER = 40  # bytes
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, NONE, DESTINATION = 0, 43, 44, 51, 59, 60
FRAGMENT_HEADER = 8  # bytes
MOST_EXTENSIONS = 16  # headers of one packet: far more than anybody sends; more are dropped
MOST_OPTIONS = 64  # of one header
PAD1, PADN, ROUTER_ALERT = 0, 1, 5


@enumeration(u8)
class Verdict:
    """What becomes of a packet by its chain."""

    GOOD = 0
    DROP = 1
    ERRONEOUS = 2  # parameter problem, code 0
    UNKNOWN_HEADER = 3  # parameter problem, code 1
    UNKNOWN_OPTION = 4  # parameter problem, code 2
    UNKNOWN_OPTION_UNICAST = 5  # the same, unless it was sent to a multicast address
    END = 6  # nothing follows the headers


@struct
class Header:
    """The fixed header's fields."""

    source: Address
    target: Address
    flow: u32
    payload_length: u32  # bytes behind the fixed header
    traffic: u8
    next: u8
    hops: u8


@struct
class Chain:
    """What the extension headers say; offsets count from the fixed header's first byte."""

    protocol: u8  # of what follows
    offset: u32  # where that begins
    before: u32  # offset of the "next header" byte that named it
    fragment: u32  # offset of the fragment header, 0: none
    more: bool  # of that: more fragments follow
    fragment_offset: u32  # bytes
    identification: u32
    pointer: u32  # where a mistake is
    router_alert: bool


@metal
def parse(data: Slice[u8], total: u32, header: Header) -> bool:
    """Read and check the fixed header. `total` bytes came, which may be more than the packet has, not fewer. False:
    drop it."""
    if unlikely(len(data) < HEADER or data[0] >> 4 != 6):
        return False
    first = get32(data, 0)
    header.traffic = u8.wrap(first >> 20)
    header.flow = first & 0xFFFFF
    header.payload_length = u32(get16(data, 4))
    header.next = data[6]
    header.hops = data[7]
    header.source.load(data[8:24])
    header.target.load(data[24:40])
    return header.payload_length + HEADER <= total


@metal
def walk(data: Slice[u8], first: u8, chain: Chain) -> Verdict:
    """Follow the chain of a packet, fixed header included, up to a transport's header or a fragment's data."""
    chain.protocol = first
    chain.offset = HEADER
    chain.before = 6
    chain.fragment = 0
    chain.more = False
    chain.fragment_offset = 0
    chain.router_alert = False
    for number in range(MOST_EXTENSIONS):
        kind = chain.protocol
        at = u64(chain.offset)
        if kind == NONE:
            return Verdict.END
        if kind != HOP_BY_HOP and kind != ROUTING and kind != FRAGMENT and kind != DESTINATION:
            return Verdict.GOOD
        if kind == HOP_BY_HOP and number != 0:
            chain.pointer = chain.before
            return Verdict.UNKNOWN_HEADER
        if at + 8 > len(data):
            return Verdict.DROP
        size = u64(FRAGMENT_HEADER) if kind == FRAGMENT else (u64(data[at + 1]) + 1) * 8
        if at + size > len(data):
            return Verdict.DROP
        verdict = Verdict.GOOD
        if kind == FRAGMENT:
            if chain.fragment != 0:
                return Verdict.DROP
            chain.fragment = u32(at)
            word = get16(data, at + 2)
            chain.fragment_offset = u32(word & 0xFFF8)
            chain.more = word & 1 != 0
            chain.identification = get32(data, at + 4)
        elif kind == ROUTING:
            verdict = routing(data, at, chain)
        else:
            verdict = options(data[0 : at + size], at + 2, chain)
        if verdict != Verdict.GOOD:
            return verdict
        chain.before = u32(at)
        chain.protocol = data[at]
        chain.offset = u32(at + size)
        if kind == FRAGMENT and chain.fragment_offset != 0:
            return Verdict.GOOD
    return Verdict.DROP


@metal
def routing(data: Slice[u8], at: u64, chain: Chain) -> Verdict:
    """A routing header: passed over at the end of its route, refused before it (RFC 8200 4.4, RFC 5095)."""
    if data[at + 3] == 0:
        return Verdict.GOOD
    chain.pointer = u32(at) + 2
    return Verdict.ERRONEOUS


@metal
def options(data: Slice[u8], at: u64, chain: Chain) -> Verdict:
    """The options of a hop-by-hop or destination header; what to do with an unknown one is in its number (4.2)."""
    for _ in range(MOST_OPTIONS):
        if at == len(data):
            return Verdict.GOOD
        kind = data[at]
        if kind == PAD1:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + u64(data[at + 1]) > len(data):
            return Verdict.DROP
        if kind == ROUTER_ALERT and data[at + 1] == 2:
            chain.router_alert = True
        elif kind != PADN and kind >> 6 != 0:
            chain.pointer = u32(at)
            if kind >> 6 == 1:
                return Verdict.DROP
            return Verdict.UNKNOWN_OPTION if kind >> 6 == 2 else Verdict.UNKNOWN_OPTION_UNICAST
        at += 2 + u64(data[at + 1])
    return Verdict.DROP


@metal
def write(data: Slice[u8], header: Header) -> None:
    """Write the fixed header of HEADER bytes."""
    put32(data, 0, 0x6000_0000 | u32(header.traffic) << 20 | header.flow)
    put16(data, 4, u16(header.payload_length))
    data[6] = header.next
    data[7] = header.hops
    header.source.store(data[8:24])
    header.target.store(data[24:40])
