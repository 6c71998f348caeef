"""Finding out what was lost, and how fast to send meanwhile: RACK-TLP (RFC 8985), NewReno where there is no SACK
(RFC 6582), proportional rate reduction (RFC 6937), and what a retransmission timeout means (RFC 6298 5, RFC 5681 3.1).
"""

from goanna.kernel.net.network import SECOND
from goanna.kernel.net.tcp.congestion import grow, reduce
from goanna.kernel.net.tcp.connection import (
    EVER_RETRANSMITTED,
    FIN_FLAG,
    LEAST_RTO,
    LOST,
    MOST_RTO,
    RETRANSMITTED,
    SACKED,
    Connection,
    Flight,
    Mode,
)
from goanna.kernel.net.tcp.output import retransmit, send_new, split
from goanna.kernel.net.tcp.sequence import at_most, before, less, plus
from goanna.kernel.time.timer import NEVER
from goanna.metal import metal, u8, u32, u64

__all__ = [
    "after_acknowledgment", "count_duplicate", "mark_lost", "measure", "probe_tail", "rack_delivered", "rack_detect",
    "rack_duplicate", "timeout",
]  # fmt: skip

DUPLICATES = 3  # RFC 5681 2, DupThresh
LEAST_RTT_WINDOW = 10 * SECOND
MOST_STEPS = 64  # quarters of the least RTT in RACK's reordering window; the smoothed RTT limits it besides
CALM_RECOVERIES = 16  # without DSACK, until the window shrinks again (RFC 8985 6.2 step 4)


@metal
def measure(c: Connection, rtt: u64, now: u64) -> None:
    """A round trip was measured (RFC 6298 2)."""
    rtt = max(rtt, u64(1))
    if c.srtt == 0:
        c.srtt = rtt
        c.rttvar = rtt // 2
    else:
        difference = c.srtt - rtt if c.srtt > rtt else rtt - c.srtt
        c.rttvar = (3 * c.rttvar + difference) // 4
        c.srtt = (7 * c.srtt + rtt) // 8
    c.rto = max(c.srtt + max(4 * c.rttvar, u64(1_000_000)), u64(LEAST_RTO))
    c.rto = min(c.rto, u64(MOST_RTO))
    if rtt <= c.least_rtt or now > c.least_rtt_time + LEAST_RTT_WINDOW:
        c.least_rtt = rtt
        c.least_rtt_time = now


@metal(inline=True)
def sent_after(time: u64, end: u32, other: u64, other_end: u32) -> bool:
    """Whether one flight was sent after another (RFC 8985 5.2)."""
    return time > other or (time == other and before(other_end, end))


@metal
def rack_delivered(c: Connection, flight: Flight, now: u64, echo: u32, echoed: bool) -> None:
    """A flight was delivered: steps 1 and 2 of RFC 8985 6.2. `echo`: the timestamp echoed, in our clock's ms."""
    rtt = now - flight.sent
    if flight.flags & EVER_RETRANSMITTED != 0:
        if echoed and before(echo, u32.wrap(flight.sent // 1_000_000)):
            return
        if rtt < c.least_rtt:
            return
    elif before(flight.end, c.rack_forward):
        c.rack_reordering = True
    c.rack_rtt = rtt
    if sent_after(flight.sent, flight.end, c.rack_sent, c.rack_end):
        c.rack_sent = flight.sent
        c.rack_end = flight.end
    if before(c.rack_forward, flight.end):
        c.rack_forward = flight.end


@metal
def rack_duplicate(c: Connection) -> None:
    """A DSACK came: a retransmission was not needed (RFC 8985 6.2 step 4)."""
    if at_most(c.rack_round, c.send_una):
        c.rack_round = c.send_next
        c.rack_steps = min(c.rack_steps + 1, u32(MOST_STEPS))
    c.rack_persist = CALM_RECOVERIES


@metal
def reordering_window(c: Connection) -> u64:
    """How late a segment may be before it counts as lost."""
    if not c.rack_reordering and (c.mode != Mode.OPEN or c.sacked >= DUPLICATES * c.mss):
        return 0
    if c.least_rtt == NEVER:
        return 0
    return min(c.least_rtt // 4 * u64(c.rack_steps), c.srtt)


@metal
def mark_lost(c: Connection, flight: Flight) -> None:
    """A flight counts as lost; it is neither SACKED nor lost already."""
    size = less(flight.end, flight.sequence)
    if flight.flags & RETRANSMITTED != 0:
        c.retransmitted -= size
        flight.flags &= ~u8(RETRANSMITTED)
    flight.flags |= LOST
    c.lost += size


@metal
def rack_detect(c: Connection, now: u64) -> None:
    """Mark what was sent so much before something delivered that it must be lost (RFC 8985 6.2 step 5)."""
    c.rack_wait = 0
    if c.rack_sent == 0:
        return
    window = reordering_window(c)
    flight = c.in_flight.head()
    while flight is not None:
        watched = flight.flags & (SACKED | LOST) == 0
        if watched and sent_after(c.rack_sent, c.rack_end, flight.sent, flight.end):
            expires = flight.sent + c.rack_rtt + window
            if expires <= now:
                mark_lost(c, flight)
            else:
                c.rack_wait = max(c.rack_wait, expires - now)
        flight = c.in_flight.after(flight)


@metal
def count_duplicate(c: Connection) -> None:
    """A duplicate acknowledgment where there is no SACK: a segment has left the network (RFC 5681 3.2)."""
    c.duplicates += 1
    first = c.in_flight.head()
    if first is None:
        return
    others = less(c.send_next, c.send_una) - min(less(first.end, first.sequence), c.mss)
    c.sacked = min(c.sacked + c.mss, others - min(c.lost, others))
    c.delivered += u64(c.mss)
    if c.duplicates == DUPLICATES and c.mode == Mode.OPEN:
        lose_first(c)


@metal
def lose_first(c: Connection) -> None:
    """The first segment in flight is lost."""
    first = c.in_flight.head()
    if first is not None and first.flags & (LOST | SACKED) == 0:
        if less(first.end, first.sequence) > c.mss + u32(first.flags & FIN_FLAG != 0):
            split(c, first, plus(first.sequence, c.mss))
        mark_lost(c, first)
        flight_size = less(c.send_next, c.send_una)
        c.sacked = min(c.sacked, flight_size - c.lost)


@metal
def after_acknowledgment(c: Connection, acknowledged: u32, delivered: u32, now: u64) -> None:
    """An acknowledgment was taken in: `acknowledged` bytes by number, `delivered` in all that were not before. Recovery
    begins, goes on or ends, and the window changes."""
    if c.mode != Mode.OPEN and at_most(c.recovery_point, c.send_una):
        leave_recovery(c)
    if c.sack:
        if c.sacked != 0 or c.mode != Mode.OPEN or c.probing:
            rack_detect(c, now)
        else:
            c.rack_wait = 0
    elif acknowledged != 0:
        c.duplicates = 0
        c.sacked -= min(c.sacked, acknowledged)
        if c.mode == Mode.RECOVERY:
            lose_first(c)  # a partial acknowledgment (RFC 6582 3.2)
    check_probe(c)
    if c.lost != 0 and c.mode == Mode.OPEN:
        enter_recovery(c)
        c.recovery_delivered = delivered
        c.credit = max(reduction(c, delivered), c.mss)
    elif c.mode == Mode.RECOVERY:
        c.recovery_delivered += delivered
        c.credit = reduction(c, delivered)
    elif acknowledged != 0:
        grow(c, acknowledged, now)


@metal
def reduction(c: Connection, delivered: u32) -> u32:
    """How many bytes may go out in answer to an acknowledgment in recovery (RFC 6937 3.1, with slow start)."""
    pipe = c.pipe()
    if pipe > c.threshold:
        flight = u64(max(c.recovery_flight, c.mss))
        earned = u32(min((u64(c.recovery_delivered) * u64(c.threshold) + flight - 1) // flight, u64(0x7FFF_FFFF)))
        return earned - c.recovery_sent if earned > c.recovery_sent else u32(0)
    behind: u32 = 0
    if c.recovery_delivered > c.recovery_sent:
        behind = c.recovery_delivered - c.recovery_sent
    return min(c.threshold - pipe, max(behind, delivered) + c.mss)


@metal
def enter_recovery(c: Connection) -> None:
    """Something was lost (RFC 6675 5)."""
    c.recovery_point = c.send_next
    c.recovery_flight = less(c.send_next, c.send_una)
    c.recovery_sent = 0
    c.recovery_delivered = 0
    c.mode = Mode.RECOVERY
    reduce(c)


@metal
def leave_recovery(c: Connection) -> None:
    """All that was in flight when recovery began has arrived."""
    if c.mode == Mode.RECOVERY:
        c.window = max(c.threshold, c.mss)
    c.mode = Mode.OPEN
    c.duplicates = 0
    c.credit = 0
    if not c.sack:
        c.sacked = 0
    if c.rack_persist != 0:
        c.rack_persist -= 1
        if c.rack_persist == 0:
            c.rack_steps = 1


@metal
def timeout(c: Connection, now: u64) -> None:
    """The retransmission timer ran out: everything counts as lost, and sending begins anew (RFC 6298 5.4 to 5.6).

    What was SACKED may have been thrown away by the receiver, so it is forgotten (RFC 2018 8).
    """
    if c.mode != Mode.LOSS or at_most(c.recovery_point, c.send_una):
        if c.mode != Mode.RECOVERY:
            reduce(c)
        c.recovery_flight = less(c.send_next, c.send_una)
    c.mode = Mode.LOSS
    c.recovery_point = c.send_next
    c.recovery_sent = 0
    c.credit = 0
    c.window = c.mss
    c.cubic_epoch = 0
    c.sacked = 0
    c.lost = 0
    c.retransmitted = 0
    c.duplicates = 0
    c.probing = False
    c.rack_wait = 0
    flight = c.in_flight.head()
    while flight is not None:
        flight.flags &= ~u8(SACKED | RETRANSMITTED)
        flight.flags |= LOST
        c.lost += less(flight.end, flight.sequence)
        flight = c.in_flight.after(flight)
    c.timer_base = now


@metal
def probe_tail(c: Connection, now: u64) -> None:
    """Send a tail loss probe: new text if there is some, else the last segment again (RFC 8985 7.3). Where memory is
    out, nothing is sent, and the retransmission timer is next all the same."""
    c.probe_again = not send_new(c, now, True) and repeat_last(c, now)
    c.probing = True
    c.probe_end = c.send_next


@metal
def repeat_last(c: Connection, now: u64) -> bool:
    """Send the last segment in flight again, if it counts as in flight and there is memory."""
    last = c.in_flight.tail()
    if last is None:
        return False
    size = less(last.end, last.sequence)
    if size > c.mss and last.flags & FIN_FLAG == 0:
        split(c, last, less(last.end, size % c.mss if size % c.mss != 0 else c.mss))
        last = c.in_flight.tail()
    return last.flags & (LOST | SACKED) == 0 and retransmit(c, last, now)


@metal
def check_probe(c: Connection) -> None:
    """Whether the tail loss probe has been answered, and what that says (RFC 8985 7.4)."""
    if not c.probing or before(c.send_una, c.probe_end):
        return
    c.probing = False
    # A DSACK would have said that the probe was not needed: rack_duplicate has cleared probe_again then.
    if c.probe_again and c.mode == Mode.OPEN and c.send_una == c.probe_end:
        c.probe_again = False
        return
    if c.probe_again and c.mode == Mode.OPEN:
        reduce(c)
        c.window = c.threshold
