"""DHCPv6 messages: bytes to values and back (RFC 8415 8, 21; RFC 3646)."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.config.dhcp_message import NAME_SIZE, name
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32
from goanna.kernel.net.wire.ethernet import store_mac
from goanna.metal import Array, Slice, metal, struct, u8, u16, u32, u64

__all__ = [
    "ADVERTISE", "ASK", "CLIENT_PORT", "INFINITE", "LARGEST", "NOT_ON_LINK", "NO_BINDING", "REBIND", "RENEW", "REPLY",
    "REQUEST", "SERVER_PORT", "SOLICIT", "SUCCESS", "UNSPECIFIED_FAILURE", "Lease6", "parse6", "write6",
]  # fmt: skip

CLIENT_PORT, SERVER_PORT = 546, 547
SOLICIT, ADVERTISE, REQUEST, RENEW, REBIND, REPLY, ASK = 1, 2, 3, 5, 6, 7, 11
SUCCESS, UNSPECIFIED_FAILURE, NO_BINDING, NOT_ON_LINK = 0, 1, 3, 4
INFINITE = 0xFFFF_FFFF
LARGEST = 320  # bytes of a message that we send
MOST_SERVERS = 4
LONGEST_ID = 130  # bytes of a DUID

# Options.
CLIENT, SERVER, ADDRESSES, ADDRESS, ORDER, PREFERENCE, ELAPSED, STATUS = 1, 2, 3, 5, 6, 7, 8, 13
NAMES, DOMAINS, REFRESH = 23, 24, 32
LINK_LAYER, ETHERNET = 3, 1  # DUID-LL (11.4), hardware type
ID_SIZE = 10  # of our own


@struct
class Lease6:
    """What a server offers, grants or knows. Numbers are 0, and texts empty, where it says nothing."""

    kind: u8  # ADVERTISE, REPLY
    preference: u8
    status: u16  # the message's, or its address's if that went wrong
    address: Address  # ::: none
    preferred: u32  # seconds; INFINITE
    valid: u32
    renewal: u32
    rebinding: u32
    refresh: u32
    server_length: u64
    server: Array[u8, LONGEST_ID]  # its DUID
    name_count: u32
    names: Array[Address, MOST_SERVERS]  # servers of names
    domain_length: u64
    domain: Array[u8, NAME_SIZE]


@metal
def put_id(data: Slice[u8], at: u64, mac: u64) -> None:
    """Our DUID."""
    put16(data, at, LINK_LAYER)
    put16(data, at + 2, ETHERNET)
    store_mac(data, at + 4, mac)


@metal
def write6(data: Slice[u8], kind: u8, transaction: u32, elapsed: u16, mac: u64, lease: Lease6) -> u64:
    """Write a message of ours: for the address and to the server of a lease, where the kind has them; its size.
    `elapsed` counts hundredths of a second."""
    put32(data, 0, u32(kind) << 24 | transaction)
    put16(data, 4, CLIENT)
    put16(data, 6, ID_SIZE)
    put_id(data, 8, mac)
    put16(data, 18, ELAPSED)
    put16(data, 20, 2)
    put16(data, 22, elapsed)
    put16(data, 24, ORDER)
    put16(data, 26, 6)
    put16(data, 28, NAMES)
    put16(data, 30, DOMAINS)
    put16(data, 32, REFRESH)
    at: u64 = 34
    if kind in (REQUEST, RENEW):
        put16(data, at, SERVER)
        put16(data, at + 2, u16(lease.server_length))
        data[at + 4 : at + 4 + lease.server_length] = lease.server[0 : lease.server_length]
        at += 4 + lease.server_length
    if kind != ASK:
        put16(data, at, ADDRESSES)
        put16(data, at + 2, 12 if kind == SOLICIT else 40)
        put32(data, at + 4, u32.wrap(mac))  # the IAID
        put32(data, at + 8, 0)
        put32(data, at + 12, 0)
        at += 16
        if kind != SOLICIT:
            put16(data, at, ADDRESS)
            put16(data, at + 2, 24)
            lease.address.store(data[at + 4 : at + 20])
            put32(data, at + 20, 0)
            put32(data, at + 24, 0)
            at += 28
    return at


@metal
def option(data: Slice[u8], at: u64) -> tuple[u32, u64]:
    """The code and size of an option; 0 and what is left if it is cut short."""
    if at + 4 > len(data):
        return 0, 0
    size = u64(get16(data, at + 2))
    if at + 4 + size > len(data):
        return 0, 0
    return u32(get16(data, at)), size


@metal
def parse6(data: Slice[u8], transaction: u32, mac: u64, lease: Lease6) -> bool:
    """Read an answer to us into a zeroed lease. False: it is none, or malformed (16.3, 16.10)."""
    if len(data) < 4 or get32(data, 0) & 0xFF_FFFF != transaction:
        return False
    lease.kind = data[0]
    ours = False
    at: u64 = 4
    while at < len(data):
        code, size = option(data, at)
        if code == 0:
            return False
        content = data[at + 4 : at + 4 + size]
        if code == CLIENT:
            own = Array[u8, ID_SIZE]()
            put_id(own[:], 0, mac)
            ours = content == own[:]
        elif not take(code, content, mac, lease):
            return False
        at += 4 + size
    return ours and lease.server_length != 0 and (lease.kind == ADVERTISE or lease.kind == REPLY)


@metal
def take(code: u32, content: Slice[u8], mac: u64, lease: Lease6) -> bool:
    """One option; whether it is well formed. Those that are not known are passed over."""
    match code:
        case 2:  # SERVER
            lease.server_length = len(content)
            if not 0 < len(content) <= LONGEST_ID:
                return False
            lease.server[0 : len(content)] = content
        case 3:  # ADDRESSES
            if len(content) < 12:
                return False
            if get32(content, 0) == u32.wrap(mac):
                lease.renewal = get32(content, 4)
                lease.rebinding = get32(content, 8)
                return take_addresses(content[12:], lease)
        case 7:  # PREFERENCE
            if len(content) != 1:
                return False
            lease.preference = content[0]
        case 13:  # STATUS
            return take_status(content, lease)
        case 23:  # NAMES
            if len(content) % 16 != 0:
                return False
            lease.name_count = u32(min(len(content) // 16, u64(MOST_SERVERS)))
            for index in range(u64(lease.name_count)):
                lease.names[index].load(content[index * 16 : index * 16 + 16])
        case 24:  # DOMAINS
            take_domain(content, lease)
        case 32:  # REFRESH
            if len(content) != 4:
                return False
            lease.refresh = get32(content, 0)
        case _:
            pass
    return True


@metal
def take_status(content: Slice[u8], lease: Lease6) -> bool:
    """A status: the first that isn't success is kept."""
    if len(content) < 2:
        return False
    if lease.status == SUCCESS:
        lease.status = get16(content, 0)
    return True


@metal
def take_addresses(data: Slice[u8], lease: Lease6) -> bool:
    """The options of an identity association: its first usable address (21.6)."""
    at: u64 = 0
    while at < len(data):
        code, size = option(data, at)
        if code == 0:
            return False
        content = data[at + 4 : at + 4 + size]
        if code == STATUS and not take_status(content, lease):
            return False
        if code == ADDRESS:
            if size < 24:
                return False
            preferred, valid = get32(content, 16), get32(content, 20)
            if lease.address.unspecified() and preferred <= valid and valid != 0:
                lease.address.load(content[0:16])
                lease.preferred = preferred
                lease.valid = valid
                if lease.address.multicast() or lease.address.link_local() or lease.address.loopback():
                    lease.address = Address()
        at += 4 + size
    return True


@metal
def take_domain(content: Slice[u8], lease: Lease6) -> None:
    """The first domain of a list (RFC 1035 3.1, without compression); what is none is left."""
    at: u64 = 0
    length: u64 = 0
    while at < len(content) and content[at] != 0:
        size = u64(content[at])
        if size > 63 or at + 1 + size >= len(content) or length + size + 1 > NAME_SIZE:
            return
        if length != 0:
            lease.domain[length] = ord(".")
            length += 1
        lease.domain[length : length + size] = content[at + 1 : at + 1 + size]
        length += size
        at += 1 + size
    lease.domain_length = name(length, lease.domain[:])
