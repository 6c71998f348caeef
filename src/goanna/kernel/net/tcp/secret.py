"""Numbers of TCP that strangers must not guess: initial sequence numbers (RFC 6528), timestamp offsets (RFC 7323 7.1),
ports (RFC 6056) and SYN cookies (RFC 4987 3.6)."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.keyed_hash import hash_words
from goanna.kernel.net.network import SECOND
from goanna.kernel.net.tcp.sequence import plus
from goanna.metal import Array, constant, metal, u16, u32, u64

__all__ = ["check_cookie", "initial_sequence", "make_cookie", "pair_hash", "stamp_offset"]

TICK = 4000  # ns of the clock of initial sequence numbers
ISN, STAMP, COOKIE = 0x69736E, 0x7374616D70, 0x636F6F6B6965  # purposes of the hash
COOKIE_PERIOD = 64 * SECOND
COOKIE_PERIODS = 2  # how many a cookie is good for

# The sizes that a cookie can remember: the nearest below is used.
COOKIE_MSS = constant(Array[u16, 8], [216, 536, 1024, 1220, 1380, 1440, 1460, 8960])


@metal
def pair_hash(purpose: u64, local: Address, remote: Address, ports: u64, more: u64) -> u64:
    """The keyed hash of both ends and another number."""
    words = Array[u64, 6]()
    words[0] = local.high
    words[1] = local.low
    words[2] = remote.high
    words[3] = remote.low
    words[4] = ports
    words[5] = more
    return hash_words(purpose, words)


@metal(inline=True)
def both_ports(local_port: u16, remote_port: u16) -> u64:
    """Two ports as one number."""
    return u64(local_port) << 16 | u64(remote_port)


@metal
def initial_sequence(local: Address, remote: Address, local_port: u16, remote_port: u16, now: u64) -> u32:
    """The initial sequence number of a connection that begins now."""
    hashed = u32.wrap(pair_hash(ISN, local, remote, both_ports(local_port, remote_port), 0))
    return plus(hashed, u32.wrap(now // TICK))


@metal
def stamp_offset(local: Address, remote: Address) -> u32:
    """Where the timestamps between two hosts begin: the same for all their connections, so that the timestamps of one
    tell old segments of another (RFC 6191)."""
    return u32.wrap(pair_hash(STAMP, local, remote, 0, 0))


@metal
def cookie_of(local: Address, remote: Address, ports: u64, initial: u32, period: u64, size: u64) -> u32:
    """The cookie of a period: 5 bits of the period, 3 of the MSS, 24 that nobody else can make."""
    hashed = pair_hash(COOKIE, local, remote, ports, u64(initial) << 32 | period << 3 | size)
    return u32(period & 31) << 27 | u32(size) << 24 | u32(hashed & 0xFF_FFFF)


@metal
def make_cookie(
    local: Address, remote: Address, local_port: u16, remote_port: u16, initial: u32, mss: u32, now: u64
) -> u32:
    """The sequence number for a SYN-ACK that remembers what is needed, so that this machine need not. `initial`: the
    SYN's sequence number."""
    size: u64 = 0
    for index in range(u64(8)):
        if u32(COOKIE_MSS[index]) <= mss:
            size = index
    return cookie_of(local, remote, both_ports(local_port, remote_port), initial, now // COOKIE_PERIOD, size)


@metal
def check_cookie(
    local: Address, remote: Address, local_port: u16, remote_port: u16, initial: u32, cookie: u32, now: u64
) -> u32:
    """The MSS that a cookie remembers; 0: it is none of ours, or too old."""
    period = now // COOKIE_PERIOD
    age = (period - u64(cookie >> 27)) & 31 if period >= u64(cookie >> 27) else u64(31)
    if age > COOKIE_PERIODS or age > period:
        return 0
    size = u64(cookie >> 24 & 7)
    if cookie_of(local, remote, both_ports(local_port, remote_port), initial, period - age, size) != cookie:
        return 0
    return u32(COOKIE_MSS[size])
