"""TCP's two ends in the stack: segments that IP hands up find their connection, and what connections send goes down.

All that a socket does with a connection goes through `locked` sections of this shape: take its lock, call the machine
(calls.py, receive.py), finish(), release, and retire() if finish() says so.
"""

from goanna.kernel.base.errno import EADDRNOTAVAIL
from goanna.kernel.net.arrival import Arrival, Report, on_tcp_error
from goanna.kernel.net.checksum import finish as finish_sum
from goanna.kernel.net.checksum import joined, pseudo_header
from goanna.kernel.net.ip_input import on_segment
from goanna.kernel.net.network import counters
from goanna.kernel.net.packet import CHECKSUM_GOOD, Packet, drop
from goanna.kernel.net.tcp import calls, timers
from goanna.kernel.net.tcp.connection import (
    Connection,
    EntryKind,
    State,
    connections,
    discard,
    fail,
    orphans,
)
from goanna.kernel.net.tcp.input import segment_arrives
from goanna.kernel.net.tcp.listener import (
    HalfOpen,
    Listener,
    answer_half_open,
    answer_listener,
    find_listener,
    find_way,
    open_half,
)
from goanna.kernel.net.tcp.respond import Answer, refuse, reply
from goanna.kernel.net.tcp.secret import initial_sequence, stamp_offset
from goanna.kernel.net.tcp.sequence import at_most, before, plus
from goanna.kernel.net.tcp.table import choose_port, find, leave, table_lock
from goanna.kernel.net.tcp.time_wait import TimeWait, forget, keep, may_begin_anew, refresh
from goanna.kernel.net.wire import tcp
from goanna.metal import Fn, Ptr, hook, i64, metal, u16, u32, u64, unlikely, unsafe

__all__ = [
    "close_connection", "connection_timer", "finish", "free_connection", "on_deadline", "on_forget", "open_connection",
    "receive", "retire",
]  # fmt: skip

TCP = 6

# The connection's deadline is nearer than `armed`: a timer is to be set for it, which calls connection_timer. With the
# connection's lock; the hook's owner sets `armed`.
on_deadline = hook(Fn[[Connection], None])
# Nobody has the connection any more: its timer is to be stopped and free_connection called. No lock is held.
on_forget = hook(Fn[[Connection], None])


@on_segment.set
@metal
def receive(arrival: Arrival, packet: Packet) -> None:
    """A segment came, from its header on."""
    counters.tcp_received += 1
    segment = tcp.Segment()
    good = packet.pullable(tcp.HEADER) and packet.pullable(u32(packet.bytes()[12] >> 4) * 4)
    if unlikely(not good or not tcp.parse(packet.bytes(), packet.total, segment) or not sound(arrival, packet)):
        counters.tcp_malformed += 1
        drop(packet)
        return
    packet.pull(segment.header_length)
    table_lock.acquire()
    entry = find(arrival.target, arrival.source, segment.target, segment.source)
    c: Ptr[Connection] = None
    listener: Ptr[Listener] = None
    if entry is None:
        listener = find_listener(arrival, segment.target, segment.source)
        if listener is None:
            refuse(arrival, segment)
        else:
            c = answer_listener(listener, arrival, segment)
    elif entry.kind == EntryKind.CONNECTION:
        c = unsafe.at(Connection, unsafe.address(entry))
    elif entry.kind == EntryKind.HALF_OPEN:
        half = unsafe.at(HalfOpen, unsafe.address(entry))
        listener = half.listener
        c = answer_half_open(half, arrival, segment)
    else:
        in_time_wait(unsafe.at(TimeWait, unsafe.address(entry)), arrival, segment)
    if c is None:
        table_lock.release()
        drop(packet)
        return
    c.lock.acquire()
    if listener is not None and listener.notify is not None:
        listener.notify(listener)
    table_lock.release()
    time = c.moment(arrival.now)
    segment_arrives(c, packet, segment, time)
    over = finish(c, time)
    c.lock.release()
    if unlikely(over):
        retire(c, time)


@metal
def sound(arrival: Arrival, packet: Packet) -> bool:
    """Whether the checksum is right."""
    if packet.flags & CHECKSUM_GOOD != 0:
        return True
    a, b = arrival.source, arrival.target
    total = packet.summed(0)
    if arrival.six:
        total = joined(pseudo_header(a.high, a.low, b.high, b.low, TCP, packet.total), total, 0)
    else:
        total = joined(pseudo_header(0, u64(a.four()), 0, u64(b.four()), TCP, packet.total), total, 0)
    return finish_sum(total) == 0


@metal
def in_time_wait(waiting: TimeWait, arrival: Arrival, segment: tcp.Segment) -> None:
    """A segment for a connection that is over (RFC 9293 3.10.7.4, RFC 6191, RFC 1337). With the table's lock."""
    flags = segment.flags
    if flags & tcp.RST != 0:
        return  # RFC 1337 3 (F1)
    if flags & (tcp.SYN | tcp.ACK) == tcp.SYN and may_begin_anew(waiting, segment):
        listener = find_listener(arrival, segment.target, segment.source)
        if listener is not None and listener.accepted_count <= listener.backlog:
            least = waiting.send_next
            forget(waiting)
            open_half(listener, arrival, segment, least)
            return
    if segment.length == 0 and flags & (tcp.SYN | tcp.FIN) == 0 and segment.sequence == waiting.receive_next:
        return  # an acknowledgment that nobody needs to answer
    answer = Answer()
    answer.sequence = waiting.send_next
    answer.acknowledgment = waiting.receive_next
    answer.flags = tcp.ACK
    answer.window = u16(waiting.window)
    if waiting.stamps:
        answer.stamped = True
        answer.stamp = plus(u32.wrap(arrival.now // 1_000_000), waiting.stamp_offset)
        answer.echo = waiting.stamp_recent
    if flags & tcp.FIN != 0:
        refresh(waiting, arrival.now)
    reply(arrival, segment, answer)


@metal
def finish(c: Connection, now: u64) -> bool:
    """Send what the machine has put into the outbox, tell the socket of events, and see to the timer. Whether the
    connection is over: then retire() must follow when the lock, which is held here, is released."""
    if unlikely(not c.path.current(now)) and not c.outbox.empty():
        mtu = c.path.mtu
        if c.path.open(now) == 0 and c.path.mtu != mtu:
            calls.mtu_changed(c, now)
    packet = c.outbox.pop()
    while packet is not None:
        c.path.send(packet, now)
        packet = c.outbox.pop()
    if c.events != 0 and c.notify is not None:
        c.notify(c)
    if c.deadline < c.armed:
        on_deadline(c)
    over = c.state in (State.CLOSED, State.TIME_WAIT)
    c.retiring += u32(over)
    return over


@metal
def retire(c: Connection, now: u64) -> None:
    """Take a connection that is over out of the table; one in TIME-WAIT leaves a small entry there. If no program has
    it, it is forgotten. No lock is held."""
    forgotten = False
    with table_lock, c.lock:
        c.retiring -= 1
        if c.state == State.TIME_WAIT:
            keep(c, now)
            fail(c, 0)
            if c.notify is not None:
                c.notify(c)
        elif c.state == State.CLOSED:
            leave(c.entry)
        if c.state == State.CLOSED and c.orphan and not c.retired and c.retiring == 0:
            c.retired = True
            orphans.sub(1)
            forgotten = True
    if forgotten:
        on_forget(c)


@metal
def free_connection(c: Connection) -> None:
    """Free a connection that is neither in the table nor waited for by a timer."""
    discard(c)
    connections.free(c)


@metal
def connection_timer(c: Connection, now: u64) -> None:
    """The connection's deadline may have come. The owner of the timer has set `armed` to NEVER. No lock is held."""
    c.lock.acquire()
    now = c.moment(now)
    if c.deadline <= now:
        timers.fire(c, now)
    over = finish(c, now)
    c.lock.release()
    if over:
        retire(c, now)


@metal
def open_connection(c: Connection, bound: u32, now: u64) -> i64:
    """Open actively to `remote` and `remote_port`; `local` and `local_port` may be set too. 0 when the SYN is sent, or
    what Path.open or choose_port say."""
    c.path.target = c.remote
    c.path.source = c.local
    c.path.protocol = TCP
    if not find_way(c, bound, now):
        c.path.source = c.local
        result = c.path.open(now)
        return result if result != 0 else -EADDRNOTAVAIL
    table_lock.acquire()
    result = choose_port(c)
    if result != 0:
        table_lock.release()
        return result
    c.lock.acquire()
    table_lock.release()
    now = c.moment(now)
    first = initial_sequence(c.local, c.remote, c.local_port, c.remote_port, now)
    calls.connect(c, first, stamp_offset(c.local, c.remote), now)
    over = finish(c, now)
    c.lock.release()
    if over:
        retire(c, now)
    return 0


@metal
def close_connection(c: Connection, abort: bool, now: u64) -> None:
    """The program has closed: the connection goes on by itself until it is over, and is then forgotten. `abort`: it
    ends at once, by a reset (SO_LINGER with no time, or nobody accepted it)."""
    c.lock.acquire()
    now = c.moment(now)
    c.orphan = True
    orphans.add(1)
    abort = abort or (not c.queue.empty() and timers.out_of_resources())
    if abort and c.state != State.CLOSED:
        calls.abort(c, now)
    else:
        calls.close(c, now)
    over = finish(c, now)
    c.lock.release()
    if over:
        retire(c, now)


@on_tcp_error.set
@metal
def receive_error(report: Report) -> bool:
    """An ICMP error about a segment. One that was not sent, or long ago, was made up (RFC 5927 4.1)."""
    table_lock.acquire()
    entry = find(report.local, report.remote, report.local_port, report.remote_port)
    if entry is None or entry.kind != EntryKind.CONNECTION:
        table_lock.release()
        return False
    c = unsafe.at(Connection, unsafe.address(entry))
    c.lock.acquire()
    table_lock.release()
    time = c.moment(report.now)
    ours = at_most(c.send_una, report.sequence) and before(report.sequence, c.send_next)
    over = False
    if ours and report.mtu != 0:
        c.path.mtu = min(c.path.mtu, max(report.mtu, u32(1280) if c.six else u32(552)))
        calls.mtu_changed(c, time)
        over = finish(c, time)
    elif ours and c.state in (State.SYN_SENT, State.SYN_RECEIVED) and report.error != 0:
        fail(c, report.error)
        over = finish(c, time)
    elif ours:
        c.soft_error = report.error
    c.lock.release()
    if over:
        retire(c, time)
    return ours
