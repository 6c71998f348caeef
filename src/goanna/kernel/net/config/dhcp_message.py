"""DHCP messages: bytes to values and back (RFC 2131 2, RFC 2132, RFC 3396, RFC 3442)."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32
from goanna.kernel.net.wire.ethernet import load_mac, store_mac
from goanna.metal import Array, Slice, fill, metal, struct, u8, u16, u32, u64

__all__ = [
    "ACK", "CLIENT_PORT", "DISCOVER", "INFINITE", "LARGEST", "MOST_ROUTES", "MOST_SERVERS", "NAK", "OFFER",
    "REQUEST", "SERVER_PORT", "Lease", "Outgoing", "parse", "write",
]  # fmt: skip

CLIENT_PORT, SERVER_PORT = 68, 67
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6  # of option 53
FIXED = 236  # bytes in front of the options
COOKIE = 0x63825363
LARGEST = 576  # bytes of a message that we send; all servers take it (RFC 2131 2)
INFINITE = 0xFFFF_FFFF
BROADCAST_FLAG = 0x8000  # answers are to be broadcast: we have no address yet

MOST_SERVERS, MOST_ROUTERS, MOST_ROUTES = 4, 4, 16
NAME_SIZE = 128

# Options (RFC 2132).
MASK, ROUTER, NAMES, HOSTNAME, DOMAIN, MTU = 1, 3, 6, 12, 15, 26
WANTED_ADDRESS, LEASE_TIME, OVERLOAD, KIND, SERVER, PARAMETERS = 50, 51, 52, 53, 54, 55
LARGEST_MESSAGE, RENEWAL_TIME, REBINDING_TIME, CLIENT = 57, 58, 59, 61
CLASSLESS_ROUTES = 121
PAD, END = 0, 255
ASKED = bytes([MASK, ROUTER, NAMES, HOSTNAME, DOMAIN, MTU, RENEWAL_TIME, REBINDING_TIME, CLASSLESS_ROUTES])


@struct
class Route:
    """A route of option 121."""

    target: u32
    length: u32  # bits
    router: u32  # 0: the link itself


@struct
class Lease:
    """What a server offers or grants. Numbers are 0, and texts empty, where it says nothing."""

    kind: u8  # OFFER, ACK, NAK
    address: u32
    server: u32
    length: u32  # of the network's prefix, bits
    mtu: u16
    duration: u32  # seconds; INFINITE
    renewal: u32
    rebinding: u32
    server_count: u32
    servers: Array[Address, MOST_SERVERS]  # of names
    route_count: u32
    routes: Array[Route, MOST_ROUTES]  # a default route among them; of option 121 or, without that, 3
    hostname_length: u64
    hostname: Array[u8, NAME_SIZE]
    domain_length: u64
    domain: Array[u8, NAME_SIZE]


@struct
class Outgoing:
    """What a client says."""

    kind: u8  # DISCOVER, REQUEST
    transaction: u32
    seconds: u16  # since it began
    mac: u64
    current: u32  # ciaddr: the address that it has and answers for
    wanted: u32  # option 50
    server: u32  # option 54


@struct
class Writer:
    """Options under way; there is room for all of ours."""

    data: Slice[u8]
    at: u64

    def head(self, code: u8, size: u8) -> None:
        """Begin an option."""
        self.data[self.at] = code
        self.data[self.at + 1] = size
        self.at += 2

    def number(self, code: u8, value: u32) -> None:
        """An option of 32 bits, unless it is 0."""
        if value != 0:
            self.head(code, 4)
            put32(self.data, self.at, value)
            self.at += 4


@metal
def write(data: Slice[u8], message: Outgoing, hostname: Slice[u8]) -> u64:
    """Write a message into at least LARGEST bytes; its size."""
    fill(data, 0)
    data[0] = 1  # BOOTREQUEST
    data[1] = 1  # Ethernet
    data[2] = 6
    put32(data, 4, message.transaction)
    put16(data, 8, message.seconds)
    if message.current == 0:
        put16(data, 10, BROADCAST_FLAG)
    put32(data, 12, message.current)
    store_mac(data, 28, message.mac)
    put32(data, FIXED, COOKIE)
    out = Writer(data=data, at=FIXED + 4)
    out.head(KIND, 1)
    data[out.at] = message.kind
    out.at += 1
    out.head(CLIENT, 7)
    data[out.at] = 1
    store_mac(data, out.at + 1, message.mac)
    out.at += 7
    out.number(WANTED_ADDRESS, message.wanted)
    out.number(SERVER, message.server)
    out.head(LARGEST_MESSAGE, 2)
    put16(data, out.at, 1500)
    out.at += 2
    size = min(len(hostname), u64(63))
    if size != 0:
        out.head(HOSTNAME, u8(size))
        data[out.at : out.at + size] = hostname[0:size]
        out.at += size
    out.head(PARAMETERS, len(ASKED))
    data[out.at : out.at + len(ASKED)] = ASKED
    out.at += len(ASKED)
    data[out.at] = END
    return max(out.at + 1, u64(300))  # BOOTP's size, which some relays demand


@metal
def collect(data: Slice[u8], code: u8, out: Slice[u8], found: u64) -> tuple[u64, bool]:
    """Append all options of a code in one field to what was found (RFC 3396); whether the field is well-formed."""
    at: u64 = 0
    while at < len(data) and data[at] != END:
        if data[at] == PAD:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + u64(data[at + 1]) > len(data):
            return found, False
        size = u64(data[at + 1])
        if data[at] == code:
            taken = min(size, len(out) - found)
            out[found : found + taken] = data[at + 2 : at + 2 + taken]
            found += taken
        at += 2 + size
    return found, True


@metal
def option(data: Slice[u8], code: u8, out: Slice[u8]) -> u64:
    """The bytes of an option, from all fields that hold options; how many there are, cut to what fits."""
    found, _ = collect(data[FIXED + 4 :], code, out, 0)
    one = Array[u8, 1]()
    has, _ = collect(data[FIXED + 4 :], OVERLOAD, one, 0)
    if has != 0 and one[0] & 1 != 0:
        found, _ = collect(data[108:FIXED], code, out, found)
    if has != 0 and one[0] & 2 != 0:
        found, _ = collect(data[44:108], code, out, found)
    return found


@metal
def number(data: Slice[u8], code: u8) -> u32:
    """An option of 32 bits; 0: it isn't there."""
    four = Array[u8, 4]()
    if option(data, code, four) != 4:
        return 0
    return get32(four, 0)


@metal
def parse(data: Slice[u8], transaction: u32, mac: u64, lease: Lease) -> bool:
    """Read a server's answer to us. False: it is none, malformed, or of no use."""
    if len(data) < FIXED + 4 or data[0] != 2 or get32(data, 4) != transaction or load_mac(data, 28) != mac:
        return False
    if get32(data, FIXED) != COOKIE:
        return False
    big = Array[u8, 256]()
    _, good = collect(data[FIXED + 4 :], END, big[0:0], 0)
    if not good or option(data, KIND, big) != 1:
        return False
    lease.kind = big[0]
    lease.server = number(data, SERVER)
    if lease.kind == NAK:
        return True
    if lease.kind not in (OFFER, ACK):
        return False
    lease.address = get32(data, 16)
    if not host_address(lease.address):
        return False
    lease.duration = number(data, LEASE_TIME)
    lease.renewal = number(data, RENEWAL_TIME)
    lease.rebinding = number(data, REBINDING_TIME)
    lease.length = prefix_length(number(data, MASK), lease.address)
    two = Array[u8, 2]()
    lease.mtu = get16(two, 0) if option(data, MTU, two) == 2 else u16(0)
    lease.server_count = u32(option(data, NAMES, big) // 4)
    lease.server_count = min(lease.server_count, u32(MOST_SERVERS))
    for index in range(u64(lease.server_count)):
        lease.servers[index].set4(get32(big, index * 4))
    lease.hostname_length = name(option(data, HOSTNAME, lease.hostname[:]), lease.hostname[:])
    lease.domain_length = name(option(data, DOMAIN, lease.domain[:]), lease.domain[:])
    lease.route_count = 0
    size = option(data, CLASSLESS_ROUTES, big)
    if size == 0 or not parse_routes(big[0:size], lease):
        lease.route_count = 0
        if option(data, ROUTER, big) >= 4 and host_address(get32(big, 0)):
            lease.route_count = 1
            lease.routes[0].target = 0
            lease.routes[0].length = 0
            lease.routes[0].router = get32(big, 0)
    return lease.kind == OFFER or lease.duration != 0


@metal
def parse_routes(data: Slice[u8], lease: Lease) -> bool:
    """The routes of option 121 (RFC 3442). False: it is malformed, and counts as not there."""
    at: u64 = 0
    while at < len(data):
        length = u32(data[at])
        octets = u64((length + 7) // 8)
        if length > 32 or at + 1 + octets + 4 > len(data):
            return False
        target: u32 = 0
        for index in range(octets):
            target |= u32(data[at + 1 + index]) << u32(24 - index * 8)
        if lease.route_count < MOST_ROUTES:
            route = lease.routes[u64(lease.route_count)]
            route.target = target
            route.length = length
            route.router = get32(data, at + 1 + octets)
            lease.route_count += 1
        at += 1 + octets + 4
    return True


@metal
def host_address(address: u32) -> bool:
    """Whether an address can be a host's: not 0/8, 127/8, multicast, reserved or broadcast."""
    first = address >> 24
    return first != 0 and first != 127 and first < 224


@metal
def prefix_length(mask: u32, address: u32) -> u32:
    """The bits of a mask; of one that is none, those of the address's class (RFC 791)."""
    length: u32 = 0
    while length < 32 and mask >> (31 - length) & 1 != 0:
        length += 1
    rest: u32 = 0 if length == 32 else mask & (0xFFFF_FFFF >> length)
    if length != 0 and rest == 0:
        return length
    return 8 if address >> 31 == 0 else (16 if address >> 30 == 2 else 24)


@metal
def name(length: u64, text: Slice[u8]) -> u64:
    """The length of a host's or domain's name as it may stand in files: letters, digits, `-`, `.`, `_`; else 0."""
    while length != 0 and text[length - 1] == 0:
        length -= 1
    for byte in text[0:length]:
        lower = byte | 0x20
        if not (0x61 <= lower <= 0x7A or 0x2D <= byte <= 0x2E or 0x30 <= byte <= 0x39 or byte == 0x5F):
            return 0
    return length
