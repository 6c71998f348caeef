"""Listening: half-open connections, SYN cookies when there are too many, and the queue of those to be accepted.

A SYN costs a HalfOpen of some 200 bytes; the connection is made when the handshake is complete. Past the limits the
answer to a SYN is a cookie (RFC 4987 3.6), which costs nothing. All of it is under the table's lock.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.pages import free_pages, reserved_pages
from goanna.kernel.net.arrival import Arrival
from goanna.kernel.net.network import MILLISECOND, SECOND, look_by
from goanna.kernel.net.path import Discover
from goanna.kernel.net.tcp.calls import begin, scale_for
from goanna.kernel.net.tcp.connection import (
    DEFAULT_MSS4,
    DEFAULT_MSS6,
    DEFAULT_RECEIVE_LIMIT,
    MOST_RECEIVE_LIMIT,
    Connection,
    Entry,
    EntryKind,
    State,
    connections,
    start,
)
from goanna.kernel.net.tcp.input import negotiate
from goanna.kernel.net.tcp.respond import Answer, refuse, reply
from goanna.kernel.net.tcp.secret import check_cookie, initial_sequence, make_cookie, pair_hash, stamp_offset
from goanna.kernel.net.tcp.sequence import before, less, plus
from goanna.kernel.net.tcp.table import Binding, bindings_of, enter, entry_of, leave, table_lock
from goanna.kernel.net.wire import tcp
from goanna.kernel.time.timer import NEVER
from goanna.metal import Fn, Ptr, metal, static, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "HalfOpen", "Listener", "answer_half_open", "answer_listener", "close_listener", "find_listener",
    "half_open_deadline", "half_open_timer", "take_accepted",
]  # fmt: skip

MOST_HALF_OPEN = 4096  # in all
RETRIES = 5  # of a SYN-ACK: 63 s in all
FIRST_WAIT = SECOND
GRAIN = 100 * MILLISECOND  # deadlines are multiples, so that many are done at once
COOKIE_LIFE = 192 * SECOND  # after the last cookie was sent, none is believed
AT_ONCE = 16
TCP = 6
SPREAD = 0x7370726561  # purpose of the hash

Accepted = List(Connection, "accept_link")


@struct
class Listener:
    """A socket that listens; the table's lock."""

    binding: Binding
    backlog: u32
    accepted: Accepted  # complete, for the program to take
    accepted_count: u32
    half_open: u32
    receive_limit: u32  # of new connections; 0: the default
    # Called for each new connection before its handshake ends, to hand down the socket's options; may be None.
    prepare: Fn[["Listener", Connection], None]
    # Called when there is something to accept. With the table's lock: it wakes who waits, and no more.
    notify: Fn[["Listener"], None]
    owner: u64  # the socket


@struct
class HalfOpen:
    """A SYN came and was answered. The table's lock."""

    entry: Entry
    link: Link  # of all
    listener: Ptr[Listener]
    arrival: Arrival  # how it came: where answers go
    initial_receive: u32
    initial_send: u32
    window: u16
    mss: u16
    scale: u8
    sack: bool
    stamped: bool
    stamp: u32
    retries: u32
    began: u64
    deadline: u64


HalfOpens = List(HalfOpen, "link")
pending = static(HalfOpens)
pending_count = static(u64)
half_opens = Cache(HalfOpen)
cookie_time = static(u64)  # when a cookie was last sent; 0: never


@metal
def find_listener(arrival: Arrival, port: u16, source_port: u16) -> Ptr[Listener]:
    """The listener that a SYN is for, the one that fits best; some may share a port. With the lock."""
    best: Ptr[Binding] = None
    score: u32 = 0
    equal: u64 = 0
    spread = pair_hash(SPREAD, arrival.target, arrival.source, u64(source_port), 0) >> 8
    bucket = bindings_of(port)
    each = bucket.head()
    while each is not None:
        if each.port == port and each.listening:
            own = fits(each, arrival)
            if own > score:
                best = each
                score = own
                equal = 1
            elif own != 0 and own == score and each.reuse_port:
                equal += 1
                if spread % equal == 0:
                    best = each
        each = bucket.after(each)
    if best is None:
        return None
    return unsafe.pointer(Listener, unsafe.address(best))


@metal
def fits(binding: Binding, arrival: Arrival) -> u32:
    """How well a binding fits a SYN, 0: not at all."""
    score: u32 = 1
    if not binding.local.unspecified():
        if not binding.local.equals(arrival.target):
            return 0
        score += 4
    elif (arrival.six and binding.local.is4()) or (not arrival.six and not binding.takes4()):
        return 0
    elif binding.local.is4():
        score += 1
    if binding.bound != 0:
        if binding.bound != arrival.interface.index:
            return 0
        score += 2
    return score


@metal
def answer_listener(listener: Listener, arrival: Arrival, segment: tcp.Segment) -> Ptr[Connection]:
    """A segment for a listener (RFC 9293 3.10.7.2). A connection that it completes by a cookie is given, in the table
    and not yet accepted; the segment is its first. With the lock."""
    flags = segment.flags
    if flags & tcp.RST != 0:
        return None
    if flags & tcp.ACK != 0:
        made: Ptr[Connection] = None
        if flags & tcp.SYN == 0:
            made = take_cookie(listener, arrival, segment)
        if made is None:
            refuse(arrival, segment)
        return made
    if flags & tcp.SYN == 0 or listener.accepted_count > listener.backlog:
        return None
    if u64(listener.half_open) >= max(u64(listener.backlog), u64(8)) or pending_count >= MOST_HALF_OPEN:
        send_cookie(listener, arrival, segment)
        return None
    open_half(listener, arrival, segment, 0)
    return None


@metal
def memory_low() -> bool:
    """Whether there is little left but the kernel's reserve, which those need who are connected already."""
    return free_pages() < reserved_pages() - reserved_pages() // 4


@metal
def open_half(listener: Listener, arrival: Arrival, segment: tcp.Segment, least_sequence: u32) -> None:
    """Remember a SYN and answer it. `least_sequence`: where a connection of these ends that is over stood; 0: none."""
    global pending_count
    made: Ptr[HalfOpen] = None if memory_low() else half_opens.allocate()
    if made is None:
        return
    made.entry.local = arrival.target
    made.entry.remote = arrival.source
    made.entry.local_port = segment.target
    made.entry.remote_port = segment.source
    made.listener = listener
    made.arrival = arrival
    made.initial_receive = segment.sequence
    made.initial_send = initial_sequence(arrival.target, arrival.source, segment.target, segment.source, arrival.now)
    if least_sequence != 0 and before(made.initial_send, least_sequence):
        made.initial_send = plus(least_sequence, 65537)
    made.window = u16(segment.window)
    made.mss = segment.mss
    made.scale = segment.scale
    made.sack = segment.sack_permitted
    made.stamped = segment.stamped
    made.stamp = segment.stamp
    made.began = arrival.now
    made.deadline = rounded(arrival.now + FIRST_WAIT)
    look_by(made.deadline)
    enter(made.entry, EntryKind.HALF_OPEN)
    pending.append(made)
    pending_count += 1
    listener.half_open += 1
    send_answer(made, arrival.now)


@metal
def rounded(time: u64) -> u64:
    """The next multiple of GRAIN."""
    return (time + (GRAIN - 1)) // GRAIN * GRAIN


@metal
def remove(half: HalfOpen) -> None:
    """Forget a half-open connection. With the lock."""
    global pending_count
    leave(half.entry)
    pending.remove(half)
    pending_count -= 1
    half.listener.half_open -= 1
    half_opens.free(half)


@metal
def limit_of(listener: Listener) -> u32:
    """The receive buffer of new connections."""
    return listener.receive_limit if listener.receive_limit != 0 else u32(DEFAULT_RECEIVE_LIMIT)


@metal
def first_window(listener: Listener) -> u16:
    """The window that a SYN-ACK offers; never scaled."""
    return u16(min(limit_of(listener) // 2, u32(0xFFFF)))


@metal
def offered_scale(listener: Listener) -> u8:
    """Our window scale."""
    return scale_for(listener.receive_limit if listener.receive_limit != 0 else u32(MOST_RECEIVE_LIMIT))


@metal
def send_answer(half: HalfOpen, now: u64) -> None:
    """Send the SYN-ACK."""
    listener: Listener = half.listener
    answer = Answer()
    answer.sequence = half.initial_send
    answer.acknowledgment = plus(half.initial_receive, 1)
    answer.flags = tcp.SYN | tcp.ACK
    answer.window = first_window(listener)
    answer.synchronize = True
    answer.mss = 0xFFFF
    answer.scale = offered_scale(listener) if half.scale != tcp.NO_SCALE else tcp.NO_SCALE
    answer.sack = half.sack
    answer.stamped = half.stamped
    answer.stamp = plus(u32.wrap(now // MILLISECOND), stamp_offset(half.entry.local, half.entry.remote))
    answer.echo = half.stamp
    segment = tcp.Segment()
    segment.source = half.entry.remote_port
    segment.target = half.entry.local_port
    half.arrival.now = now
    reply(half.arrival, segment, answer)


@metal
def send_cookie(listener: Listener, arrival: Arrival, segment: tcp.Segment) -> None:
    """Answer a SYN without remembering it. What a cookie can't hold rides in the timestamp's low bits, as Linux does:
    four of window scale, one of SACK."""
    global cookie_time
    cookie_time = arrival.now
    mss = u32(segment.mss) if segment.mss != 0 else u32(DEFAULT_MSS6 if arrival.six else DEFAULT_MSS4)
    answer = Answer()
    answer.sequence = make_cookie(
        arrival.target, arrival.source, segment.target, segment.source, segment.sequence, mss, arrival.now
    )
    answer.acknowledgment = plus(segment.sequence, 1)
    answer.flags = tcp.SYN | tcp.ACK
    answer.window = first_window(listener)
    answer.synchronize = True
    answer.mss = 0xFFFF
    answer.scale = tcp.NO_SCALE
    if segment.stamped:
        answer.stamped = True
        answer.echo = segment.stamp
        answer.sack = segment.sack_permitted
        kept: u32 = 15
        if segment.scale != tcp.NO_SCALE:
            kept = u32(segment.scale)
            answer.scale = offered_scale(listener)
        raw = plus(u32.wrap(arrival.now // MILLISECOND), stamp_offset(arrival.target, arrival.source))
        answer.stamp = (raw & ~u32(63)) | kept | (u32(segment.sack_permitted) << 4)
        if before(raw, answer.stamp):
            answer.stamp = less(answer.stamp, 64)
    reply(arrival, segment, answer)


@metal
def take_cookie(listener: Listener, arrival: Arrival, segment: tcp.Segment) -> Ptr[Connection]:
    """The connection that an acknowledgment of a cookie completes, or None."""
    now = arrival.now
    if cookie_time == 0 or now > cookie_time + COOKIE_LIFE or listener.accepted_count > listener.backlog:
        return None
    initial_receive = less(segment.sequence, 1)
    cookie = less(segment.acknowledgment, 1)
    mss = check_cookie(arrival.target, arrival.source, segment.target, segment.source, initial_receive, cookie, now)
    if mss == 0:
        return None
    half = HalfOpen()
    half.initial_receive = initial_receive
    half.initial_send = cookie
    half.mss = u16(mss)
    half.scale = tcp.NO_SCALE
    half.window = u16(min(segment.window, u32(0xFFFF)))
    half.began = now
    if segment.stamped:
        half.stamped = True
        half.stamp = segment.stamp
        half.sack = segment.echo & 16 != 0
        if segment.echo & 15 != 15:
            half.scale = u8(segment.echo & 15)
    return establish(listener, half, arrival, segment)


@metal
def answer_half_open(half: HalfOpen, arrival: Arrival, segment: tcp.Segment) -> Ptr[Connection]:
    """A segment for a half-open connection. The connection that it completes, as answer_listener. With the lock."""
    flags = segment.flags
    next = plus(half.initial_receive, 1)
    listener: Listener = half.listener
    if flags & tcp.RST != 0:
        if segment.sequence == next:
            remove(half)
        return None
    if flags & tcp.SYN != 0:
        if segment.sequence == half.initial_receive and flags & tcp.ACK == 0:
            send_answer(half, arrival.now)  # ours was lost
        return None
    if flags & tcp.ACK == 0:
        return None
    if segment.acknowledgment != plus(half.initial_send, 1):
        refuse(arrival, segment)
        return None
    old = half.stamped and segment.stamped and before(segment.stamp, half.stamp)
    if old or less(segment.sequence, next) > u32(first_window(listener)):
        return None
    if listener.accepted_count > listener.backlog:
        return None  # the other side will send again, and so do we
    made = establish(listener, half, arrival, segment)
    if made is not None:
        remove(half)
    return made


@metal
def establish(listener: Listener, half: HalfOpen, arrival: Arrival, segment: tcp.Segment) -> Ptr[Connection]:
    """Make the connection, in SYN-RECEIVED: the segment at hand completes it. None: memory is out, or no way back."""
    c: Ptr[Connection] = None if memory_low() else connections.allocate()
    if c is None:
        return None
    start(c)
    c.local = arrival.target
    c.remote = arrival.source
    c.local_port = segment.target
    c.remote_port = segment.source
    c.receive_limit = limit_of(listener)
    if listener.receive_limit != 0:
        c.receive_most = c.receive_limit
    if listener.prepare is not None:
        listener.prepare(listener, c)
    if not find_way(c, arrival.interface.index if arrival.source.link_local() else 0, arrival.now):
        connections.free(c)
        return None
    begin(c, half.initial_send, stamp_offset(c.local, c.remote))
    first = tcp.Segment()
    first.sequence = half.initial_receive
    first.scale = half.scale
    first.sack_permitted = half.sack
    first.stamped = half.stamped
    first.stamp = half.stamp
    first.mss = half.mss
    negotiate(c, first, arrival.now)
    c.receive_edge = plus(c.receive_next, u32(first_window(listener)))
    c.state = State.SYN_RECEIVED
    c.send_window = u32(half.window)
    c.largest_window = c.send_window
    c.window_sequence = half.initial_receive
    c.timer_base = half.began
    c.latest = half.began
    c.backoff = half.retries
    if half.entry.link.linked():
        leave(half.entry)
    enter(entry_of(c), EntryKind.CONNECTION)
    listener.accepted.append(c)
    listener.accepted_count += 1
    return c


@metal
def find_way(c: Connection, bound: u32, now: u64) -> bool:
    """Open a connection's path, and what depends on it."""
    path = c.path
    path.target = c.remote
    path.source = c.local
    path.protocol = TCP
    path.discover = Discover.DO
    path.bound = bound
    if path.open(now) != 0:
        return False
    c.local = path.source
    can: u32 = 4 if path.six else 2
    c.segment_limit = path.interface.segment_limit if path.interface.features & can != 0 else 0
    c.segment_limit = min(c.segment_limit, u32(65535 - 120))
    return True


@metal
def take_accepted(listener: Listener) -> Ptr[Connection]:
    """Take the connection that waits for longest, or None. One that ended meanwhile is given too, as on Linux."""
    with table_lock:
        c = listener.accepted.pop()
        if c is not None:
            listener.accepted_count -= 1
        return c


@metal
def close_listener(listener: Listener) -> Ptr[Connection]:
    """Stop listening: half-open connections are forgotten. Call it until it gives None; each connection given was not
    accepted, and the caller aborts it."""
    with table_lock:
        listener.binding.listening = False
        each = pending.head()
        while each is not None:
            following = pending.after(each)
            if each.listener is listener:
                remove(each)
            each = following
        c = listener.accepted.pop()
        if c is not None:
            listener.accepted_count -= 1
        return c


@metal
def half_open_deadline() -> u64:
    """When half_open_timer must be called next, NEVER if it need not."""
    earliest: u64 = NEVER
    with table_lock:
        each = pending.head()
        while each is not None:
            earliest = min(earliest, each.deadline)
            each = pending.after(each)
    return earliest


@metal
def half_open_timer(now: u64) -> None:
    """Send SYN-ACKs again, and give up (RFC 9293 3.8.1)."""
    with table_lock:
        each = pending.head()
        while each is not None:
            following = pending.after(each)
            if each.deadline <= now:
                if each.retries >= RETRIES:
                    remove(each)
                else:
                    each.retries += 1
                    each.deadline = rounded(now + (FIRST_WAIT << each.retries))
                    send_answer(each, now)
            each = following
