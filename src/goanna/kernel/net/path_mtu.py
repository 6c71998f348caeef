"""What was learnt of path MTUs (RFC 1191, RFC 8201): the least that a router said for a target, for ten minutes.

A bounded table without allocation: each target has WAYS places to be in, and the one that expires first makes room.
Only messages that quote a packet of ours get here (icmp.py asks the transport).
"""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.net.address import Address
from goanna.kernel.net.network import SECOND, changed
from goanna.metal import Array, constant, metal, static, struct, u32, u64, wrapping

__all__ = ["LEAST_MTU4", "LEAST_MTU6", "known_mtu", "learn_mtu", "plateau"]

LEAST_MTU4 = 552  # Linux's net.ipv4.route.min_pmtu: less is believed only so far, and then sent without DF
LEAST_MTU6 = 1280
LIFETIME = 600 * SECOND  # RFC 1191 6.3
SETS, WAYS = 64, 4

# RFC 1191 7.1, for routers that don't say their MTU.
PLATEAUS = constant(Array[u32, 10], [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68])


@struct
class Known:
    """One target."""

    target: Address
    mtu: u32
    expires: u64  # ns; in the past: unused


table = static(Array[Known, SETS * WAYS])
mtu_lock = static(SpinLock)  # protects the table


@metal
def first_of(target: Address) -> u64:
    """The first place where a target may be."""
    return (wrapping((target.high ^ target.low) * 0x9E37_79B9_7F4A_7C15) >> 58) * WAYS


@metal
def known_mtu(target: Address, now: u64) -> tuple[u32, u64]:
    """The MTU known for a target, and until when; 0 if none is."""
    first = first_of(target)
    with mtu_lock:
        for place in range(first, first + WAYS):
            entry = table[place]
            if entry.expires > now and entry.target.equals(target):
                return entry.mtu, entry.expires
    return 0, 0


@metal
def learn_mtu(target: Address, mtu: u32, now: u64) -> bool:
    """A router said that packets to a target must not be larger. Whether that is news."""
    mtu = max(mtu, u32(LEAST_MTU4) if target.is4() else u32(LEAST_MTU6))
    first = first_of(target)
    with mtu_lock:
        best = table[first]
        for place in range(first, first + WAYS):
            entry = table[place]
            if entry.expires > now and entry.target.equals(target):
                if entry.mtu <= mtu:
                    return False
                best = entry
                break
            if entry.expires < best.expires:
                best = entry
        best.target = target
        best.mtu = mtu
        best.expires = now + LIFETIME
    changed()
    return True


@metal
def plateau(size: u32) -> u32:
    """The largest usual MTU below the size of a packet that was too large."""
    for each in PLATEAUS:
        if each < size:
            return each
    return 68
