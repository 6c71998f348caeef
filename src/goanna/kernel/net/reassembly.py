"""Putting fragments together again (RFC 791 3.2, RFC 815, RFC 8200 4.5), with limits and without overlaps (RFC 5722).

Where fragments overlap, all that came of their packet is thrown away, for both versions of IP, as on Linux; one that
brings nothing but what was there before is passed over.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.address import Address
from goanna.kernel.net.network import SECOND, counters, look_by
from goanna.kernel.net.packet import Packet, Packets, drop, limit
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, metal, static, struct, u8, u32, u64

__all__ = ["add_fragment", "expired_fragment", "reassembly_deadline", "reassembly_memory"]

LARGEST = 65535
TIMEOUT4, TIMEOUT6 = 30 * SECOND, 60 * SECOND  # as Linux; RFC 8200 4.5
MOST_MEMORY = 4 << 20  # bytes of all fragments, at most a quarter of what packets have; past that the oldest go
MOST_PACKETS = 256  # being put together
MOST_FRAGMENTS = 256  # of one packet


@struct
class Reassembly:
    """A packet that is being put together."""

    link: Link  # of all, the oldest first
    source: Address
    target: Address
    identification: u32
    protocol: u8  # 0 for IPv6, where the identification alone counts
    six: bool
    fragments: Packets  # in order; `base` is where each begins, `count` its bytes
    number: u32  # of fragments
    received: u32  # bytes
    total: u32  # bytes in all; 0: the last fragment has not come
    memory: u64
    deadline: u64


Reassemblies = List(Reassembly, "link")
pending = static(Reassemblies)
pending_lock = static(SpinLock)  # protects the list, all that is on it, and both below
pending_count = static(u64)
memory = static(u64)  # bytes
entries = Cache(Reassembly)


@metal
def find(six: bool, source: Address, target: Address, identification: u32, protocol: u8) -> Ptr[Reassembly]:
    """The packet that a fragment belongs to. With the lock."""
    each = pending.tail()
    while each is not None:
        same = each.identification == identification and each.protocol == protocol and each.six == six
        if same and each.source.equals(source) and each.target.equals(target):
            return each
        each = pending.before(each)
    return None


@metal
def empty(reassembly: Reassembly) -> None:
    """Drop all fragments. With the lock."""
    global memory
    while not reassembly.fragments.empty():
        counters.fragments_dropped += 1
        drop(reassembly.fragments.pop())
    memory -= reassembly.memory
    reassembly.memory = 0
    reassembly.number = 0


@metal
def remove(reassembly: Reassembly) -> None:
    """Forget a packet and drop its fragments. With the lock."""
    global pending_count
    empty(reassembly)
    pending.remove(reassembly)
    pending_count -= 1
    entries.free(reassembly)


@metal
def begin(six: bool, source: Address, target: Address, identification: u32, protocol: u8, now: u64) -> Ptr[Reassembly]:
    """A new entry; the oldest makes room. None: memory is out. With the lock."""
    global pending_count
    if pending_count >= MOST_PACKETS:
        remove(pending.head())
    made = entries.allocate()
    if made is None:
        return None
    made.six = six
    made.source = source
    made.target = target
    made.identification = identification
    made.protocol = protocol
    made.deadline = now + (TIMEOUT6 if six else TIMEOUT4)
    look_by(made.deadline)
    pending.append(made)
    pending_count += 1
    return made


@metal
def add_fragment(
    packet: Packet, six: bool, source: Address, target: Address, identification: u32, protocol: u8, offset: u32,
    more: bool, now: u64,
) -> Ptr[Packet]:  # fmt: skip
    """Take a fragment, which begins with its data. When it is the last that was missing, the whole packet, from the
    transport's header on; else None."""
    global memory
    counters.fragments_received += 1
    end = offset + packet.total
    if packet.total == 0 or end > LARGEST or (more and packet.total % 8 != 0):
        counters.fragments_dropped += 1
        drop(packet)
        return None
    with pending_lock:
        entry = find(six, source, target, identification, protocol)
        if entry is None:
            entry = begin(six, source, target, identification, protocol, now)
        if entry is None or not place(entry, packet, offset, more):
            counters.fragments_dropped += 1
            drop(packet)
            return None
        cost = u64(packet.footprint())
        entry.memory += cost
        memory += cost
        while memory > min(u64(MOST_MEMORY), limit // 4):
            oldest: Reassembly = pending.head()
            gone = oldest is entry
            remove(oldest)
            if gone:
                return None
        if entry.received != entry.total:
            return None
        return join(entry)


@metal
def place(entry: Reassembly, packet: Packet, offset: u32, more: bool) -> bool:
    """Put a fragment in its place. False: it is not wanted, for all of it was there, or it overlaps and the packet is
    gone."""
    end = offset + packet.total
    before = entry.fragments.tail()
    while before is not None and before.base > offset:
        before = entry.fragments.before(before)
    reach: u32 = 0  # end of what follows `before` without a hole
    each = before
    while each is not None and (each is before or each.base == reach):
        reach = each.base + each.count
        each = entry.fragments.after(each)
    if end <= reach:
        return False
    after = entry.fragments.head() if before is None else entry.fragments.after(before)
    overlaps = (before is not None and before.base + before.count > offset) or (after is not None and after.base < end)
    beyond = entry.total != 0 and (end > entry.total or (not more and end != entry.total))
    short = not more and after is not None
    if overlaps or beyond or short or entry.number == MOST_FRAGMENTS:
        remove(entry)
        return False
    packet.base = offset
    packet.count = packet.total
    insert(entry.fragments, packet, before)
    entry.number += 1
    entry.received += packet.total
    if not more:
        entry.total = end
    return True


@metal
def insert(fragments: Packets, packet: Packet, before: Ptr[Packet]) -> None:
    """Put a packet behind another one, or in front of all."""
    if before is None:
        fragments.prepend(packet)
        return
    after: Ptr[Packet] = fragments.after(before)
    if after is None:
        fragments.append(packet)
        return
    packet.link.previous = before.link
    packet.link.next = after.link
    before.link.next = packet.link
    after.link.previous = packet.link


@metal
def join(entry: Reassembly) -> Ptr[Packet]:
    """The packet of all fragments. With the lock."""
    global memory
    whole: Packet = entry.fragments.pop()
    last = whole
    while not entry.fragments.empty():
        following: Packet = entry.fragments.pop()
        while last.more is not None:
            last = last.more
        last.more = following
        whole.total += following.total
        last = following
    counters.reassembled += 1
    memory -= entry.memory
    entry.memory = 0
    remove(entry)
    return whole


@metal
def expired_fragment(now: u64) -> tuple[Ptr[Packet], bool]:
    """Give up one packet whose time is over. Its first fragment, if that came, for the ICMP message; whether there was
    one to give up."""
    with pending_lock:
        each = pending.head()
        while each is not None and each.deadline > now:
            each = pending.after(each)
        if each is None:
            return None, False
        first = each.fragments.head()
        if first is not None:
            if first.base == 0:
                each.fragments.remove(first)
            else:
                first = None
        remove(each)
        return first, True


@metal
def reassembly_deadline() -> u64:
    """When expired_fragment must be called next, NEVER if it need not."""
    with pending_lock:
        deadline: u64 = NEVER
        each = pending.head()
        while each is not None:
            deadline = min(deadline, each.deadline)
            each = pending.after(each)
        return deadline


@metal
def reassembly_memory() -> u64:
    """Bytes of memory that fragments take."""
    return memory
