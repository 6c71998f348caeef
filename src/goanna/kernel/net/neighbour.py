"""Neighbours: who on a link has which link address, and whether they still answer (RFC 826, RFC 4861 7).

One table for ARP and neighbour discovery: both are RFC 4861's state machine, as on Linux. Packets for a neighbour that
is being asked for wait with it. Time comes as an argument; `timer` does what is due.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface
from goanna.kernel.net.link import link_send
from goanna.kernel.net.network import SECOND, changed, counters, look_by
from goanna.kernel.net.packet import Packet, Packets, drop, limit
from goanna.kernel.net.solicitation import solicit
from goanna.kernel.net.wire import ethernet
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Fn, Ptr, enumeration, hook, metal, static, struct, u8, u16, u32, u64, wrapping

__all__ = [
    "Neighbour", "Reach", "confirm", "flush_interface", "hold", "learn", "lookup", "neighbour_deadline",
    "neighbour_timer", "on_unreachable", "resolve",
]  # fmt: skip

BUCKETS = 64
MOST = 1024  # entries; past that the one unused longest goes
MOST_HELD = 64  # packets that wait for one neighbour; the oldest is dropped (RFC 4861 7.2.2)
HELD_BYTES = 212992  # of memory, for one neighbour; for all, an eighth of what packets have
REACHABLE_TIME = 30 * SECOND  # RFC 4861 10, where no router says otherwise
RETRANSMIT_TIME = SECOND
DELAY_FIRST_PROBE = 5 * SECOND
SOLICITATIONS = 3  # MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT
AT_ONCE = 16  # that neighbour_timer asks in one look at the table
FORGOTTEN = 600 * SECOND  # a stale entry that nobody used so long is removed


@enumeration(u8)
class Reach:
    """A neighbour's state (RFC 4861 7.3.2); PERMANENT is set by hand and never asked for."""

    INCOMPLETE = 0
    REACHABLE = 1
    STALE = 2
    DELAY = 3
    PROBE = 4
    PERMANENT = 5


@struct
class Neighbour:
    """One neighbour."""

    link: Link  # of its bucket
    interface: Ptr[Interface]
    address: Address
    mac: u64
    reach: Reach
    router: bool
    solicitations: u32  # sent in this state
    deadline: u64  # when the state changes by itself; of a stale one: when it is forgotten
    used: u64  # when it was last asked for; 0: never, a message made it
    held: Packets
    held_count: u32
    held_bytes: u32


Bucket = List(Neighbour, "link")
table = static(Array[Bucket, BUCKETS])
neighbours_lock = static(SpinLock)  # protects the table and all neighbours
count = static(u64)
held_memory = static(u64)  # bytes of packets that wait, with all neighbours
earliest = static(u64, NEVER)  # no deadline is before
entries = Cache(Neighbour)

# A packet, from its IP header on, whose neighbour did not answer; the hook's owner tells its sender and drops it.
# `packet.interface` is where it was to go out.
on_unreachable = hook(Fn[[Packet, u64], None])


@metal
def bucket_of(interface: Interface, address: Address) -> Bucket:
    """Where a neighbour is."""
    mixed = wrapping((address.low ^ address.high ^ u64(interface.index)) * 0x9E37_79B9_7F4A_7C15)
    return table[mixed >> 58]


@metal
def lookup(interface: Interface, address: Address) -> Ptr[Neighbour]:
    """The entry of a neighbour, or None. With the lock, or to look only."""
    bucket = bucket_of(interface, address)
    each = bucket.head()
    while each is not None:
        if each.interface is interface and each.address.equals(address):
            return each
        each = bucket.after(each)
    return None


@metal
def due(neighbour: Neighbour, deadline: u64) -> None:
    """Set a deadline. With the lock."""
    global earliest
    neighbour.deadline = deadline
    earliest = min(earliest, deadline)
    look_by(deadline)


@metal
def create(interface: Interface, address: Address, now: u64) -> Ptr[Neighbour]:
    """A new entry, or None. With the lock. The held packets of one that had to go for it are lost."""
    global count
    if count >= MOST:
        evict()
    made = entries.allocate()
    if made is None:
        return None
    made.interface = interface
    made.address = address
    made.reach = Reach.INCOMPLETE
    made.used = now
    made.deadline = NEVER
    bucket_of(interface, address).append(made)
    count += 1
    return made


@metal
def evict() -> None:
    """Remove the entry that was not used for longest; before all that have answered, one that did not. So whoever makes
    us ask for any number of neighbours, or tells of them, drives none out that we speak with. With the lock."""
    oldest: Ptr[Neighbour] = None
    least: u64 = NEVER
    for bucket in table:
        each = bucket.head()
        while each is not None:
            age = each.used // 2 + (0 if each.reach == Reach.INCOMPLETE else NEVER // 2)
            if each.used == 0:
                age = 0
            if each.reach != Reach.PERMANENT and age < least:
                oldest = each
                least = age
            each = bucket.after(each)
    lost = Packets()
    if oldest is not None:
        release(oldest, lost)
        remove(oldest)
    while not lost.empty():
        counters.ip_dropped += 1
        drop(lost.pop())


@metal
def remove(neighbour: Neighbour) -> None:
    """Remove an entry that holds no packets. With the lock."""
    global count
    bucket_of(neighbour.interface, neighbour.address).remove(neighbour)
    if neighbour.mac != 0 and neighbour.used != 0:  # else no path has it
        changed()
    entries.free(neighbour)
    count -= 1


@metal
def release(neighbour: Neighbour, onto: Packets) -> None:
    """Move all packets that wait for a neighbour onto another list. With the lock."""
    global held_memory
    while not neighbour.held.empty():
        onto.append(neighbour.held.pop())
    held_memory -= u64(neighbour.held_bytes)
    neighbour.held_count = 0
    neighbour.held_bytes = 0


@metal
def resolve(interface: Interface, address: Address, now: u64) -> tuple[u64, u64]:
    """The link address for a packet that is about to be sent, and until when nobody needs to ask again.

    0: it is not known, hold() the packet. The first packet to a stale neighbour starts its probing (RFC 4861 7.3.3).
    """
    with neighbours_lock:
        neighbour = lookup(interface, address)
        if neighbour is None:
            return 0, 0
        neighbour.used = now
        if neighbour.reach == Reach.INCOMPLETE:
            return 0, 0
        if neighbour.reach == Reach.REACHABLE and neighbour.deadline <= now:
            neighbour.reach = Reach.STALE
        if neighbour.reach == Reach.STALE:
            neighbour.reach = Reach.DELAY
            due(neighbour, now + DELAY_FIRST_PROBE)
        return neighbour.mac, neighbour.deadline


@metal
def hold(interface: Interface, address: Address, packet: Packet, now: u64) -> None:
    """Keep a packet, from its IP header on, until its neighbour's link address is known; ask for that if nobody did."""
    ask = False
    mac: u64 = 0
    with neighbours_lock:
        neighbour = lookup(interface, address)
        if neighbour is None:
            neighbour = create(interface, address, now)
            if neighbour is None:
                counters.ip_dropped += 1
                drop(packet)
                return
            neighbour.solicitations = 1
            due(neighbour, now + retransmit_time(interface))
            ask = True
        neighbour.used = now
        mac = neighbour.mac
        if neighbour.reach == Reach.INCOMPLETE:
            keep(neighbour, packet)
    if ask:
        solicit(interface, address, 0)
    elif mac != 0:  # it became known meanwhile
        link_send(interface, packet, mac, kind_of(address))


@metal
def keep(neighbour: Neighbour, packet: Packet) -> None:
    """Add a packet to those that wait. With the lock."""
    global held_memory
    packet.base = packet.footprint()
    if held_memory + u64(packet.base) > limit // 8:
        counters.ip_dropped += 1
        drop(packet)
        return
    held_memory += u64(packet.base)
    packet.interface = neighbour.interface.index
    neighbour.held.append(packet)
    neighbour.held_count += 1
    neighbour.held_bytes += packet.base
    while neighbour.held_count > MOST_HELD or (neighbour.held_bytes > HELD_BYTES and neighbour.held_count > 1):
        oldest: Packet = neighbour.held.pop()
        neighbour.held_count -= 1
        neighbour.held_bytes -= oldest.base
        held_memory -= u64(oldest.base)
        counters.ip_dropped += 1
        drop(oldest)


@metal
def kind_of(address: Address) -> u16:
    """The EtherType of packets to an address."""
    return ethernet.IP4 if address.is4() else ethernet.IP6


@metal
def retransmit_time(interface: Interface) -> u64:
    """Time between solicitations."""
    return interface.retransmit_time if interface.retransmit_time != 0 else u64(RETRANSMIT_TIME)


@metal
def reachable_until(interface: Interface, now: u64) -> u64:
    """When a neighbour confirmed now turns stale: the base time by a random factor of 0.5 to 1.5 (RFC 4861 6.3.2)."""
    base = interface.reachable_time if interface.reachable_time != 0 else u64(REACHABLE_TIME)
    return now + base // 2 + random_u64() % base


@metal
def learn(
    interface: Interface, address: Address, mac: u64, solicited: bool, override: bool, make: bool, now: u64
) -> None:
    """A message said that a neighbour has a link address (RFC 4861 7.2.3 to 7.2.5, 6.3.4; RFC 826).

    `solicited`: it answers us, so both directions work. `override`: it may replace another link address. `make`: an
    entry is made if there is none. `mac` 0: the message left out what we know already (RFC 4861 4.4).
    """
    waiting = Packets()
    with neighbours_lock:
        neighbour = lookup(interface, address)
        if neighbour is None:
            if make:
                neighbour = create(interface, address, now)
            if neighbour is None:
                return
            neighbour.used = 0
        if neighbour.reach == Reach.PERMANENT or (mac == 0 and neighbour.reach == Reach.INCOMPLETE):
            return
        if mac == 0:
            mac = neighbour.mac
        if neighbour.reach == Reach.INCOMPLETE:
            neighbour.mac = mac
            settle(neighbour, solicited, now)
            release(neighbour, waiting)
        elif neighbour.mac != mac and not override:
            if neighbour.reach == Reach.REACHABLE:
                settle(neighbour, False, now)
            return
        elif neighbour.mac != mac or solicited:
            if neighbour.mac != mac:
                neighbour.mac = mac
                changed()
            settle(neighbour, solicited, now)
    while not waiting.empty():
        link_send(interface, waiting.pop(), mac, kind_of(address))


@metal
def settle(neighbour: Neighbour, reachable: bool, now: u64) -> None:
    """Become reachable, or stale. With the lock."""
    neighbour.solicitations = 0
    if reachable:
        neighbour.reach = Reach.REACHABLE
        due(neighbour, reachable_until(neighbour.interface, now))
    else:
        neighbour.reach = Reach.STALE
        due(neighbour, now + FORGOTTEN)


@metal
def confirm(interface: Interface, address: Address, now: u64) -> None:
    """A higher layer has seen that packets to a neighbour arrive (RFC 4861 7.3.1)."""
    with neighbours_lock:
        neighbour = lookup(interface, address)
        if neighbour is not None and neighbour.reach not in (Reach.INCOMPLETE, Reach.PERMANENT):
            settle(neighbour, True, now)


@metal
def neighbour_deadline() -> u64:
    """When neighbour_timer must be called next, NEVER if it need not."""
    return earliest


@metal
def neighbour_timer(now: u64) -> None:
    """Do what is due: ask again, give up, turn stale, forget."""
    global earliest
    asked = Array[Ptr[Interface], AT_ONCE]()
    targets = Array[Address, AT_ONCE]()
    macs = Array[u64, AT_ONCE]()
    dead = Packets()
    again = True
    while again:
        number: u64 = 0
        with neighbours_lock:
            earliest = NEVER
            for bucket in table:
                each = bucket.head()
                while each is not None:
                    following = bucket.after(each)
                    if each.deadline > now or number == AT_ONCE:
                        earliest = min(earliest, each.deadline)
                    elif expire(each, now, dead):
                        asked[number] = each.interface
                        targets[number] = each.address
                        macs[number] = each.mac
                        number += 1
                    each = following
            again = earliest <= now
        for index in range(number):
            solicit(asked[index], targets[index], macs[index])
        while not dead.empty():
            on_unreachable(dead.pop(), now)


@metal
def expire(neighbour: Neighbour, now: u64, dead: Packets) -> bool:
    """The deadline of an entry has passed; whether it is to be asked. It may be removed, its packets put on `dead`.
    With the lock."""
    match neighbour.reach:
        case Reach.REACHABLE:
            settle(neighbour, False, now)
            return False
        case Reach.STALE:
            if neighbour.used + FORGOTTEN <= now:
                remove(neighbour)
            else:
                due(neighbour, neighbour.used + FORGOTTEN)
            return False
        case Reach.PERMANENT:
            neighbour.deadline = NEVER
            return False
        case Reach.DELAY:
            neighbour.reach = Reach.PROBE
            neighbour.solicitations = 0
        case Reach.INCOMPLETE | Reach.PROBE:
            pass
    if neighbour.solicitations < SOLICITATIONS:
        neighbour.solicitations += 1
        due(neighbour, now + retransmit_time(neighbour.interface))
        return True
    release(neighbour, dead)
    remove(neighbour)
    return False


@metal
def flush_interface(interface: Interface) -> None:
    """Forget all neighbours of an interface: it goes, or its link was lost."""
    lost = Packets()
    with neighbours_lock:
        for bucket in table:
            each = bucket.head()
            while each is not None:
                following = bucket.after(each)
                if each.interface is interface:
                    release(each, lost)
                    remove(each)
                each = following
    while not lost.empty():
        drop(lost.pop())
