"""ICMP errors that we send, and when we don't (RFC 1122 3.2.2, RFC 1812 4.3.2, RFC 4443 2.4).

Their rate is limited in all and for each target, by token buckets.
"""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.net.address import Address
from goanna.kernel.net.arrival import Arrival
from goanna.kernel.net.checksum import finish, joined, pseudo_header
from goanna.kernel.net.interface import Target
from goanna.kernel.net.keyed_hash import hash_words
from goanna.kernel.net.loopback import loopback
from goanna.kernel.net.network import MILLISECOND, SECOND, counters
from goanna.kernel.net.packet import GROUP, HEADROOM, SHORT, Packet, allocate, drop, views
from goanna.kernel.net.path import Path
from goanna.kernel.net.wire import icmp
from goanna.kernel.net.wire.bytes import put32, raw16
from goanna.metal import Array, Ptr, metal, static, struct, u8, u32, u64

__all__ = ["ICMP4", "ICMP6", "send_error", "send_message"]

ICMP4, ICMP6 = 1, 58  # protocols
MOST_QUOTED4, MOST_QUOTED6 = 576, 1280  # bytes of the whole message (RFC 1812 4.3.2.3, RFC 4443 2.4 (c))
RATE, BURST = 1000, 50  # messages a second in all, and at once (Linux's icmp_msgs_per_sec, icmp_msgs_burst)
TARGET_INTERVAL, TARGET_BURST = 1000 * MILLISECOND, 6  # for one target (Linux's icmp_ratelimit)
TARGETS = 256
INTERNETWORK_CONTROL = 0xC0  # precedence of an error (RFC 1812 4.3.2.5)
PURPOSE = 0x69636D70  # of the hash


@struct
class Bucket:
    """A token bucket: the time that has not been used yet."""

    since: u64  # ns: tokens have been gathered from then on

    def take(self, now: u64, interval: u64, burst: u64) -> bool:
        """Take a token, of which one comes every `interval` ns and at most `burst` are kept."""
        if now > interval * burst and self.since < now - interval * burst:
            self.since = now - interval * burst
        if self.since + interval > now:
            return False
        self.since += interval
        return True


limit_lock = static(SpinLock)  # protects both
all_targets = static(Bucket)
targets = static(Array[Bucket, TARGETS])  # by a hash that strangers can't guess; two targets may share one


@metal
def allowed(target: Address, now: u64) -> bool:
    """Whether the limits allow an error to a target now."""
    words = Array[u64, 2]()
    words[0] = target.high
    words[1] = target.low
    place = hash_words(PURPOSE, words) % TARGETS
    with limit_lock:
        shifted = now + SECOND * (TARGET_BURST + 1)  # so that all tokens are there at time 0
        if not targets[place].take(shifted, TARGET_INTERVAL, TARGET_BURST):
            counters.icmp_limited += 1
            return False
        if not all_targets.take(shifted, SECOND // RATE, BURST):
            counters.icmp_limited += 1
            return False
    return True


@metal
def about_error(packet: Packet, arrival: Arrival) -> bool:
    """Whether the packet is itself an ICMP error, or one that can't be told from it: no error is sent about those."""
    if packet.total == 0 or packet.length == 0:
        return arrival.protocol in (ICMP4, ICMP6)
    kind = packet.bytes()[0]
    if arrival.six:
        return arrival.protocol == ICMP6 and (kind < 128 or kind == 137)
    return arrival.protocol == ICMP4 and kind not in (0, 8, 9, 10, 13, 14, 15, 16, 17, 18)


@metal
def send_error(arrival: Arrival, packet: Packet, kind: u8, code: u8, rest: u32) -> None:
    """Tell the sender of a packet, which begins behind its IP headers and stays the caller's, what is wrong with it."""
    to_group = arrival.to != Target.UNICAST or packet.flags & GROUP != 0
    said_of_groups = arrival.six and (kind == icmp.TOO_BIG6 or (kind == icmp.PARAMETER6 and code == 2))
    if to_group and not said_of_groups:
        return
    source = arrival.source
    if source.unspecified() or source.multicast() or source.broadcast() or (source.loopback() and not from_us(arrival)):
        return
    if about_error(packet, arrival) or not (from_us(arrival) or allowed(source, arrival.now)):
        return
    path = Path()
    path.target = source
    path.bound = arrival.interface.index if source.link_local() else 0
    path.protocol = ICMP6 if arrival.six else ICMP4
    if not to_group:
        path.source = arrival.target
    if not arrival.six:
        path.traffic = (arrival.traffic & 0x1E) | INTERNETWORK_CONTROL
    if path.open(arrival.now) != 0:
        return
    # The packet from its IP header on: the layers only moved `start`.
    back = packet.start - u32(packet.network)
    quoted = packet.total + back
    room: u32 = MOST_QUOTED6 - 48 if arrival.six else MOST_QUOTED4 - 28
    packet.start -= back
    packet.length += back
    packet.total += back
    copy = views(packet, 0, min(quoted, room))
    packet.pull(back)
    if copy is not None:
        send_message(path, kind, code, rest, copy, arrival.now)


@metal
def from_us(arrival: Arrival) -> bool:
    """Whether the packet came by the loopback interface."""
    return arrival.interface is loopback


@metal
def send_message(path: Path, kind: u8, code: u8, rest: u32, body: Ptr[Packet], now: u64) -> None:
    """Send an ICMP message along an open path; `body` is gone then."""
    head = allocate(SHORT, HEADROOM)
    if head is None:
        if body is not None:
            drop(body)
        return
    place = head.extend(icmp.HEADER)
    place[0] = kind
    place[1] = code
    raw16(place, 2, 0)
    put32(place, 4, rest)
    if body is not None:
        head.append(body)
    total = head.summed(0)
    if path.six:
        a, b = path.source, path.target
        total = joined(pseudo_header(a.high, a.low, b.high, b.low, ICMP6, head.total), total, 0)
    raw16(place, 2, finish(total))
    counters.icmp_sent += 1
    path.send(head, now)
