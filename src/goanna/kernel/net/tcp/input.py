"""A segment arrives (RFC 9293 3.10.7): the states, and which segments are acceptable (RFC 5961, RFC 7323)."""

from goanna.kernel.base.errno import ECONNREFUSED, ECONNRESET, EPIPE
from goanna.kernel.net.network import MILLISECOND, SECOND
from goanna.kernel.net.packet import Packet, drop
from goanna.kernel.net.tcp.acknowledge import acknowledge
from goanna.kernel.net.tcp.congestion import begin_window
from goanna.kernel.net.tcp.connection import (
    CONNECTED,
    DEFAULT_MSS4,
    DEFAULT_MSS6,
    INITIAL_WINDOW,
    MOST_SEND_LIMIT,
    READABLE,
    WRITABLE,
    Connection,
    State,
    fail,
)
from goanna.kernel.net.tcp.output import own_mss, send_acknowledgment, send_reset, send_synchronize, stamp_now
from goanna.kernel.net.tcp.receive import take_text
from goanna.kernel.net.tcp.recovery import measure
from goanna.kernel.net.tcp.sequence import at_most, before, less, plus
from goanna.kernel.net.tcp.timers import settle
from goanna.kernel.net.wire import tcp
from goanna.kernel.time.timer import NEVER
from goanna.metal import likely, metal, u32, u64, unlikely

__all__ = ["TIME_WAIT_LENGTH", "negotiate", "segment_arrives", "set_mss"]

TIME_WAIT_LENGTH = 60 * SECOND  # as Linux; RFC 9293 3.4.2 says twice an MSL of two minutes
LEAST_MSS = 48  # what peers say below that would make headers of everything (CVE-2019-11479); as Linux
CHALLENGE_INTERVAL = 500 * MILLISECOND  # between answers to segments that we did not want (RFC 5961 7)
STAMP_LIFETIME = 24 * 24 * 3600 * SECOND  # RFC 7323 5.5


@metal
def segment_arrives(c: Connection, packet: Packet, segment: tcp.Segment, now: u64) -> None:
    """Take in a segment for this connection; `packet` is its text. It is gone afterwards. What there is to send is in
    the outbox then. Not for CLOSED and LISTEN, which the table answers."""
    if unlikely(c.state == State.SYN_SENT):
        in_syn_sent(c, packet, segment, now)
    elif c.state == State.CLOSED:
        drop(packet)
    else:
        synchronized(c, packet, segment, now)
    settle(c, now)


@metal
def set_mss(c: Connection) -> None:
    """Find the size of segments anew: the path's MTU and what the other side takes (RFC 9293 3.7.1)."""
    limit = min(own_mss(c), max(c.peer_mss, u32(LEAST_MSS)))
    c.mss = limit - (tcp.STAMP_SPACE if c.stamps else 0)


@metal
def negotiate(c: Connection, segment: tcp.Segment, now: u64) -> None:
    """Take in what a SYN offers (RFC 7323 2.2, 3.2; RFC 2018 2). What we don't want ourselves stays off."""
    c.scaling = c.scaling and segment.scale != tcp.NO_SCALE
    if c.scaling:
        c.send_scale = segment.scale
    else:
        c.send_scale = 0
        c.receive_scale = 0
    c.sack = c.sack and segment.sack_permitted
    c.stamps = c.stamps and segment.stamped
    if c.stamps:
        c.stamp_recent = segment.stamp
        c.stamp_age = now
    c.peer_mss = u32(segment.mss)
    if c.peer_mss == 0:
        c.peer_mss = DEFAULT_MSS6 if c.six else DEFAULT_MSS4
    set_mss(c)
    c.initial_receive = segment.sequence
    c.receive_next = plus(segment.sequence, 1)
    c.last_ack_sent = c.receive_next
    c.receive_edge = c.receive_next
    c.last_heard = now


@metal
def in_syn_sent(c: Connection, packet: Packet, segment: tcp.Segment, now: u64) -> None:
    """3.10.7.3."""
    flags = segment.flags
    acknowledged = flags & tcp.ACK != 0
    if acknowledged and segment.acknowledgment != c.send_next:
        if flags & tcp.RST == 0:
            send_reset(c, segment.acknowledgment, now)
        drop(packet)
        return
    if flags & tcp.RST != 0:
        if acknowledged:
            fail(c, ECONNREFUSED)
        drop(packet)
        return
    if flags & tcp.SYN == 0:
        drop(packet)
        return
    negotiate(c, segment, now)
    c.window_sequence = segment.sequence
    c.send_window = segment.window  # of a SYN: not scaled
    c.largest_window = c.send_window
    if not acknowledged:  # both opened at once
        c.state = State.SYN_RECEIVED
        c.timer_base = now
        send_synchronize(c, now)
        drop(packet)
        return
    become_established(c, segment, now)
    c.ack_now = True
    fin = take_text(c, packet, c.receive_next, flags & tcp.FIN != 0, now)
    if fin:
        take_fin(c, now)


@metal
def become_established(c: Connection, segment: tcp.Segment, now: u64) -> None:
    """The handshake is complete."""
    if c.backoff == 0:
        measure(c, now - c.timer_base, now)
    elif c.stamps and segment.stamped:
        elapsed = less(stamp_now(c, now), segment.echo)
        if elapsed < 0x7FFF_FFFF:
            measure(c, u64(elapsed) * MILLISECOND, now)
    begin_window(c)
    if c.send_most == MOST_SEND_LIMIT:  # nobody has set it: two first windows, one in flight and one ready
        c.send_limit = max(c.send_limit, min(2 * INITIAL_WINDOW * c.mss, u32(MOST_SEND_LIMIT)))
    if c.backoff != 0:
        c.window = c.mss  # RFC 6298 5.7, RFC 5681 3.1: a SYN was lost
    c.backoff = 0
    c.first_loss = 0
    c.send_una = segment.acknowledgment
    c.rack_forward = c.send_una
    c.rack_round = c.send_una
    c.small_end = c.send_una
    c.window_ack = segment.acknowledgment
    c.state = State.ESTABLISHED
    c.events |= CONNECTED | WRITABLE
    if c.keep_alive:
        c.life_deadline = now + c.keep_idle


@metal
def synchronized(c: Connection, packet: Packet, segment: tcp.Segment, now: u64) -> None:
    """3.10.7.4: all states but CLOSED, LISTEN and SYN-SENT."""
    flags = segment.flags
    if unlikely(not acceptable(c, segment, now)):
        drop(packet)
        return
    if unlikely(flags & (tcp.RST | tcp.SYN) != 0):
        unusual(c, packet, segment, now)
        return
    if unlikely(flags & tcp.ACK == 0):
        drop(packet)
        return
    if unlikely(c.state == State.SYN_RECEIVED):
        if segment.acknowledgment != c.send_next:
            send_reset(c, segment.acknowledgment, now)
            drop(packet)
            return
        c.send_window = c.scale_window(segment.window)
        become_established(c, segment, now)
        c.window_sequence = less(segment.sequence, 1)
        if c.fin_wanted:
            c.state = State.FIN_WAIT_1
    # RFC 5961 5: what it acknowledges must have been sent, and not long ago; nor is it from before the connection.
    if unlikely(before(c.send_next, segment.acknowledgment)):
        challenge(c, now)
        drop(packet)
        return
    if unlikely(before(segment.acknowledgment, c.send_una)):
        if u64(less(c.send_una, segment.acknowledgment)) > min(u64(c.largest_window), c.delivered):
            challenge(c, now)
            drop(packet)
            return
    else:
        c.last_heard = now
        c.window_probes = 0
        c.keep_sent = 0
        remember_stamp(c, segment, now)
        if not c.in_flight.empty():
            acknowledge(c, segment, now)
        update_window(c, segment)
        if our_fin_acknowledged(c, now):
            drop(packet)
            return
    if packet.total == 0 and flags & tcp.FIN == 0:
        drop(packet)
        return
    text(c, packet, segment, now)


@metal
def acceptable(c: Connection, segment: tcp.Segment, now: u64) -> bool:
    """First: whether the segment lies in the window (3.4), and its timestamp is not old (RFC 7323 5.3). What does not
    is answered by an acknowledgment, unless it is an RST."""
    reset = segment.flags & tcp.RST != 0
    old = c.stamps and segment.stamped and before(segment.stamp, c.stamp_recent)
    if unlikely(old and not reset and now < c.stamp_age + STAMP_LIFETIME):
        refuse(c, segment, now)
        return False
    sequence = segment.sequence
    size = segment.length + u32(segment.flags & tcp.SYN != 0) + u32(segment.flags & tcp.FIN != 0)
    window: u32 = less(c.receive_edge, c.receive_next) if before(c.receive_next, c.receive_edge) else 0
    if likely(sequence == c.receive_next and (size <= window or size == 0)):
        return True
    ahead = less(sequence, c.receive_next)
    good = ahead < window or (size == 0 and (ahead == 0 or (ahead == window and window != 0)))
    if size != 0 and not good:
        good = less(plus(sequence, size - 1), c.receive_next) < window
    if size != 0 and window == 0:
        good = False
        # A closed window: acknowledgments are taken, text is not (3.4).
        if ahead == 0 and not reset and segment.flags & tcp.SYN == 0:
            c.ack_now = True
            return True
    if not good and not reset:
        refuse(c, segment, now)
    return good


@metal
def refuse(c: Connection, segment: tcp.Segment, now: u64) -> None:
    """Answer a segment that is not acceptable. One with text was sent again for want of an acknowledgment; others are
    answered only so often, lest two machines answer each other for ever."""
    if segment.length != 0 and segment.flags & tcp.SYN == 0:
        if before(segment.sequence, c.receive_next) and c.sack:
            c.duplicate.left = segment.sequence
            c.duplicate.right = plus(segment.sequence, segment.length)
            if before(c.receive_next, c.duplicate.right):
                c.duplicate.right = c.receive_next
        c.ack_now = True
    else:
        challenge(c, now)
    if c.state == State.TIME_WAIT and segment.flags & tcp.FIN != 0:
        c.life_deadline = now + TIME_WAIT_LENGTH


@metal
def challenge(c: Connection, now: u64) -> None:
    """Send an acknowledgment, at most one in CHALLENGE_INTERVAL (RFC 5961 7)."""
    if c.challenge_time == 0 or now >= c.challenge_time + CHALLENGE_INTERVAL:
        c.challenge_time = now
        send_acknowledgment(c, now)


@metal
def unusual(c: Connection, packet: Packet, segment: tcp.Segment, now: u64) -> None:
    """An RST or a SYN within the window (RFC 5961 3 and 4)."""
    drop(packet)
    if segment.flags & tcp.RST == 0:
        challenge(c, now)
        return
    if segment.sequence != c.receive_next:
        challenge(c, now)
        return
    match c.state:
        case State.SYN_RECEIVED:
            fail(c, ECONNREFUSED)
        case State.CLOSE_WAIT:
            fail(c, EPIPE)
        case State.CLOSING | State.LAST_ACK | State.TIME_WAIT:
            fail(c, 0)
        case _:
            fail(c, ECONNRESET)


@metal
def remember_stamp(c: Connection, segment: tcp.Segment, now: u64) -> None:
    """RFC 7323 4.3."""
    if not c.stamps or not segment.stamped or before(c.last_ack_sent, segment.sequence):
        return
    if at_most(c.stamp_recent, segment.stamp) or now >= c.stamp_age + STAMP_LIFETIME:
        c.stamp_recent = segment.stamp
        c.stamp_age = now


@metal
def update_window(c: Connection, segment: tcp.Segment) -> None:
    """The window that the other side offers (3.10.7.4, fifth)."""
    # An acknowledgment of more brings the window that goes with it, whatever text carries it: as on Linux.
    newer = before(c.window_sequence, segment.sequence) or before(c.window_ack, segment.acknowledgment)
    if newer or (c.window_sequence == segment.sequence and c.window_ack == segment.acknowledgment):
        window = c.scale_window(segment.window)
        if c.send_window < window and c.in_flight.empty():
            c.backoff = 0
            c.first_loss = 0
        c.send_window = window
        c.largest_window = max(c.largest_window, window)
        c.window_sequence = segment.sequence
        c.window_ack = segment.acknowledgment


@metal
def our_fin_acknowledged(c: Connection, now: u64) -> bool:
    """What an acknowledgment of our FIN changes. True: the connection is over."""
    if not c.fin_wanted or not before(c.write_end, c.send_una):
        return False
    match c.state:
        case State.FIN_WAIT_1:
            c.state = State.FIN_WAIT_2
            if c.orphan:
                c.life_deadline = now + c.fin_timeout
        case State.CLOSING:
            enter_time_wait(c, now)
        case State.LAST_ACK:
            fail(c, 0)
            return True
        case _:
            pass
    return False


@metal
def enter_time_wait(c: Connection, now: u64) -> None:
    """Both sides have said all; the last acknowledgment may be lost (3.4.2)."""
    c.state = State.TIME_WAIT
    c.ack_deadline = NEVER
    c.life_deadline = now + TIME_WAIT_LENGTH


@metal
def text(c: Connection, packet: Packet, segment: tcp.Segment, now: u64) -> None:
    """Seventh and eighth: text and FIN."""
    if not c.receiving():
        c.ack_now = True  # the other side has sent a FIN already; it sends again what was acknowledged
        if c.state == State.TIME_WAIT:
            c.life_deadline = now + TIME_WAIT_LENGTH
        drop(packet)
        return
    if c.orphan and before(c.receive_next, plus(segment.sequence, segment.length)):
        # Nobody will read it: say so (RFC 1122 4.2.2.13, RFC 2525 2.17).
        drop(packet)
        send_reset(c, c.send_next, now)
        fail(c, ECONNRESET)
        return
    if take_text(c, packet, segment.sequence, segment.flags & tcp.FIN != 0, now):
        take_fin(c, now)


@metal
def take_fin(c: Connection, now: u64) -> None:
    """The other side will send no more (3.10.7.4, eighth)."""
    c.receive_next = plus(c.receive_next, 1)
    c.fin_received = True
    c.ack_now = True
    c.events |= READABLE
    match c.state:
        case State.ESTABLISHED:
            c.state = State.CLOSE_WAIT
        case State.FIN_WAIT_1:
            c.state = State.CLOSING
        case State.FIN_WAIT_2:
            enter_time_wait(c, now)
        case _:
            pass
