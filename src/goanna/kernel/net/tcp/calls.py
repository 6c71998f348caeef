"""What a program does with a connection (RFC 9293 3.10.1 to 3.10.5): open, send, shut down, close, abort.

Reading is receive.take_received. After each of these the outbox is to be sent.
"""

from goanna.kernel.net.checksum import pseudo_header
from goanna.kernel.net.packet import Packet, drop, scarce
from goanna.kernel.net.tcp.connection import LOST, SACKED, Connection, State, fail
from goanna.kernel.net.tcp.input import negotiate, set_mss
from goanna.kernel.net.tcp.output import send_reset, send_synchronize
from goanna.kernel.net.tcp.recovery import mark_lost
from goanna.kernel.net.tcp.sequence import less, plus
from goanna.kernel.net.tcp.timers import arm, settle
from goanna.kernel.net.wire import tcp
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, metal, u8, u32, u64, unlikely, unsafe

__all__ = ["abort", "begin", "close", "connect", "mtu_changed", "set_keep_alive", "shut_down", "writable", "write"]

TCP = 6
FIRST_ROOM = 2048  # bytes that a connection may write while memory is scarce
JOINED = 8192  # bytes: pieces up to that are copied behind the last buffer's, lest most of a buffer lies idle


@metal
def begin(c: Connection, initial_send: u32, stamp_offset: u32) -> None:
    """Set up what both kinds of opening need; addresses, ports and limits are set."""
    c.six = not c.local.is4()
    if c.six:
        c.pseudo = pseudo_header(c.local.high, c.local.low, c.remote.high, c.remote.low, TCP, 0)
    else:
        c.pseudo = pseudo_header(0, u64(c.local.four()), 0, u64(c.remote.four()), TCP, 0)
    c.initial_send = initial_send
    c.stamp_offset = stamp_offset
    c.send_una = initial_send
    c.send_next = plus(initial_send, 1)
    c.write_end = c.send_next
    c.receive_scale = scale_for(c.receive_most)


@metal
def scale_for(limit: u32) -> u8:
    """The window scale that a receive buffer of a size needs (RFC 7323 2.3)."""
    scale: u8 = 0
    while scale < tcp.LARGEST_SCALE and (limit // 2) >> scale > 0xFFFF:
        scale += 1
    return scale


@metal
def connect(c: Connection, initial_send: u32, stamp_offset: u32, now: u64) -> None:
    """Open actively. `path` is open."""
    begin(c, initial_send, stamp_offset)
    c.peer_mss = 536
    set_mss(c)
    c.state = State.SYN_SENT
    c.timer_base = now
    send_synchronize(c, now)
    arm(c, now)


@metal
def accept(c: Connection, segment: tcp.Segment, initial_send: u32, stamp_offset: u32, now: u64) -> None:
    """Answer a SYN (3.10.7.2): for whoever does not keep half-open connections apart (see listener.py)."""
    begin(c, initial_send, stamp_offset)
    negotiate(c, segment, now)
    c.state = State.SYN_RECEIVED
    c.send_window = segment.window
    c.largest_window = segment.window
    c.window_sequence = segment.sequence
    c.timer_base = now
    send_synchronize(c, now)
    arm(c, now)


@metal
def writable(c: Connection) -> u32:
    """How many bytes of memory the send queue may still take. Where memory is scarce, none beside a first buffer, which
    is no CHUNK then."""
    if unlikely(scarce()):
        return u32(FIRST_ROOM) if c.sent_memory == 0 else u32(0)
    return c.send_limit - c.sent_memory if c.send_limit > c.sent_memory else u32(0)


@metal
def write(c: Connection, packet: Packet, now: u64) -> bool:
    """Queue text and send what may be sent. The packet is one buffer with its bytes behind HEADROOM, or a chain of
    such, and gone afterwards. False: the connection does not send any more."""
    if c.fin_wanted or c.state in (State.CLOSED, State.TIME_WAIT):
        drop(packet)
        return False
    each: Ptr[Packet] = packet
    while each is not None:
        following = each.more
        each.more = None
        append(c, each)
        each = following
    settle(c, now)
    return True


@metal
def append(c: Connection, packet: Packet) -> None:
    """Put one buffer on the send queue, a small piece into the room of the last one."""
    size = packet.length
    if size == 0:
        drop(packet)
        return
    last = c.queue.tail()
    if last is not None and size <= JOINED and last.owner is None and last.base + last.count + size <= last.capacity:
        place = last.at(last.base + last.count)
        copy_bytes(place, packet)
        last.count += size
        c.write_end = plus(c.write_end, size)
        drop(packet)
        if c.unsent is None:
            c.unsent = last
            c.unsent_offset = last.count - size
        return
    packet.base = packet.start
    packet.count = size
    c.queue.append(packet)
    c.sent_memory += packet.weight()
    c.write_end = plus(c.write_end, size)
    if c.unsent is None or c.unsent_offset >= c.unsent.count:
        c.unsent = packet
        c.unsent_offset = 0


@metal
def copy_bytes(place: u64, packet: Packet) -> None:
    """Copy what a buffer holds to an address."""
    data = packet.bytes()
    unsafe.slice(u8, place, len(data))[:] = data


@metal
def shut_down(c: Connection, now: u64) -> None:
    """The program will send no more: a FIN follows what is queued (3.10.4)."""
    if c.fin_wanted:
        return
    match c.state:
        case State.ESTABLISHED:
            c.state = State.FIN_WAIT_1
        case State.CLOSE_WAIT:
            c.state = State.LAST_ACK
        case State.SYN_SENT:
            fail(c, 0)
            return
        case State.SYN_RECEIVED:
            pass
        case _:
            return
    c.fin_wanted = True
    settle(c, now)


@metal
def close(c: Connection, now: u64) -> None:
    """The program has closed. What it had not read makes it a reset (RFC 2525 2.17); else what is queued is sent, and
    the connection ends by itself."""
    unread = not c.received.empty()
    c.orphan = True
    while not c.received.empty():
        drop(c.received.pop())
    c.received_bytes = 0
    if unread and c.state not in (State.CLOSED, State.TIME_WAIT):
        abort(c, now)
        return
    shut_down(c, now)
    if c.state == State.FIN_WAIT_2 and c.life_deadline == NEVER:
        c.life_deadline = now + c.fin_timeout
        arm(c, now)


@metal
def abort(c: Connection, now: u64) -> None:
    """End at once, by a reset (3.10.5)."""
    if c.state not in (State.CLOSED, State.SYN_SENT, State.TIME_WAIT):
        send_reset(c, c.send_next, now)
    fail(c, 0)


@metal
def set_keep_alive(c: Connection, on: bool, now: u64) -> None:
    """Switch keep-alive on or off, or take in that its times changed."""
    c.keep_alive = on
    open_now = c.state in (State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.FIN_WAIT_2)
    if open_now and not (c.state == State.FIN_WAIT_2 and c.orphan):
        c.life_deadline = max(c.last_heard + c.keep_idle, now) if on else u64(NEVER)
        arm(c, now)


@metal
def mtu_changed(c: Connection, now: u64) -> None:
    """The path's MTU is another. What is in flight and too large for it is sent again at once, in smaller segments (RFC
    8201 5.4); that is no sign of congestion."""
    old = c.mss
    set_mss(c)
    if c.mss >= old:
        return
    flight = c.in_flight.head()
    while flight is not None:
        if less(flight.end, flight.sequence) > c.mss and flight.flags & (SACKED | LOST) == 0:
            mark_lost(c, flight)
        flight = c.in_flight.after(flight)
    settle(c, now)
