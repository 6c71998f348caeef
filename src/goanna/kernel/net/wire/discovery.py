"""Neighbour discovery: the ICMPv6 messages 133 to 137 and their options (RFC 4861 4, RFC 4862, RFC 8106)."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32
from goanna.kernel.net.wire.ethernet import load_mac, store_mac
from goanna.metal import Array, Slice, fill, metal, struct, u8, u16, u32, u64

__all__ = [
    "ADVERTISEMENT", "MOST_PREFIXES", "MOST_SERVERS", "REDIRECT", "ROUTER_ADVERTISEMENT", "ROUTER_SOLICITATION",
    "SIZE", "SOLICITATION", "Discovery", "PrefixOption", "Router", "parse", "parse_router", "write_neighbour",
    "write_router_solicitation",
]  # fmt: skip

ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT, REDIRECT = 133, 134, 135, 136, 137
SOURCE_LINK, TARGET_LINK, PREFIX, REDIRECTED, MTU, SERVERS = 1, 2, 3, 4, 5, 25  # options
SIZE = 32  # bytes of a neighbour message with a link address
MOST_PREFIXES, MOST_SERVERS = 8, 4

IS_ROUTER, SOLICITED, OVERRIDE = 0x80, 0x40, 0x20  # of an advertisement
ON_LINK, AUTONOMOUS = 0x80, 0x40  # of a prefix
MANAGED, OTHER = 0x80, 0x40  # of a router advertisement


@struct
class Discovery:
    """A solicitation, an advertisement or a redirect."""

    kind: u8
    flags: u8  # of an advertisement
    target: Address
    destination: Address  # of a redirect
    source_mac: u64  # from options; 0: none
    target_mac: u64


@struct
class PrefixOption:
    """A prefix of a router advertisement."""

    prefix: Address
    length: u8
    flags: u8
    valid: u32  # seconds
    preferred: u32


@struct
class Router:
    """A router advertisement."""

    hops: u8  # 0: unspecified
    flags: u8
    lifetime: u16  # seconds
    reachable: u32  # ms, 0: unspecified
    retransmit: u32  # ms, 0: unspecified
    mtu: u32  # 0: none said
    source_mac: u64
    prefix_count: u32
    server_count: u32
    server_lifetime: u32  # seconds
    prefixes: Array[PrefixOption, MOST_PREFIXES]
    servers: Array[Address, MOST_SERVERS]


@metal
def option(data: Slice[u8], at: u64) -> u64:
    """The size in bytes of the option at an offset; 0: it is malformed, and so is the message (4.6)."""
    if at + 8 > len(data):
        return 0
    size = u64(data[at + 1]) * 8
    return size if size != 0 and at + size <= len(data) else u64(0)


@metal
def parse(data: Slice[u8], message: Discovery) -> bool:
    """Read a solicitation, advertisement or redirect, ICMPv6 header included. False: drop it (7.1, 8.1)."""
    if len(data) < 24:
        return False
    message.kind = data[0]
    message.flags = data[4]
    message.target.load(data[8:24])
    message.source_mac = 0
    message.target_mac = 0
    at: u64 = 24
    if message.kind == REDIRECT:
        if len(data) < 40:
            return False
        message.destination.load(data[24:40])
        at = 40
    if data[1] != 0 or (message.target.multicast() and message.kind != REDIRECT):
        return False
    while at < len(data):
        size = option(data, at)
        if size == 0:
            return False
        if data[at] == SOURCE_LINK:
            message.source_mac = load_mac(data, at + 2)
        elif data[at] == TARGET_LINK:
            message.target_mac = load_mac(data, at + 2)
        at += size
    return True


@metal
def parse_router(data: Slice[u8], router: Router) -> bool:
    """Read a router advertisement, ICMPv6 header included. False: drop it (6.1.2). Options beyond the most are left."""
    if len(data) < 16 or data[1] != 0:
        return False
    router.hops = data[4]
    router.flags = data[5]
    router.lifetime = get16(data, 6)
    router.reachable = get32(data, 8)
    router.retransmit = get32(data, 12)
    router.mtu = 0
    router.source_mac = 0
    router.prefix_count = 0
    router.server_count = 0
    at: u64 = 16
    while at < len(data):
        size = option(data, at)
        if size == 0:
            return False
        kind = data[at]
        if kind == SOURCE_LINK:
            router.source_mac = load_mac(data, at + 2)
        elif kind == MTU:
            router.mtu = get32(data, at + 4)
        elif kind == PREFIX and size == 32 and router.prefix_count < MOST_PREFIXES:
            entry = router.prefixes[u64(router.prefix_count)]
            router.prefix_count += 1
            entry.length = data[at + 2]
            entry.flags = data[at + 3]
            entry.valid = get32(data, at + 4)
            entry.preferred = get32(data, at + 8)
            entry.prefix.load(data[at + 16 : at + 32])
        elif kind == SERVERS and size >= 24:
            router.server_lifetime = get32(data, at + 4)
            each = at + 8
            while each + 16 <= at + size and router.server_count < MOST_SERVERS:
                router.servers[u64(router.server_count)].load(data[each : each + 16])
                router.server_count += 1
                each += 16
        at += size
    return True


@metal
def write_neighbour(data: Slice[u8], kind: u8, flags: u8, target: Address, mac: u64) -> u64:
    """Write a solicitation or advertisement, with a link address if `mac` is not 0; its size. No checksum."""
    fill(data[0:24], 0)
    data[0] = kind
    data[4] = flags
    target.store(data[8:24])
    if mac == 0:
        return 24
    data[24] = SOURCE_LINK if kind == SOLICITATION else TARGET_LINK
    data[25] = 1
    store_mac(data, 26, mac)
    return SIZE


@metal
def write_router_solicitation(data: Slice[u8], mac: u64) -> u64:
    """Write a router solicitation, with our link address if `mac` is not 0; its size. No checksum."""
    put32(data, 0, ROUTER_SOLICITATION << 24)
    put32(data, 4, 0)
    if mac == 0:
        return 8
    put16(data, 8, SOURCE_LINK << 8 | 1)
    store_mac(data, 10, mac)
    return 16
