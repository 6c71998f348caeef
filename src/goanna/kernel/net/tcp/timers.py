"""What a connection does when time passes: retransmit, probe, acknowledge, keep alive, give up."""

from goanna.kernel.base.errno import ETIMEDOUT
from goanna.kernel.net.network import MILLISECOND, SECOND
from goanna.kernel.net.packet import FOR_PROGRAMS, beyond
from goanna.kernel.net.tcp.connection import (
    MOST_RTO,
    Connection,
    Mode,
    State,
    Waiting,
    fail,
    orphans,
)
from goanna.kernel.net.tcp.output import (
    repeat_lost,
    send_more,
    send_new,
    send_probe,
    send_reset,
    send_synchronize,
)
from goanna.kernel.net.tcp.recovery import enter_recovery, probe_tail, rack_detect, timeout
from goanna.kernel.net.tcp.sequence import before, less, plus
from goanna.kernel.time.timer import NEVER
from goanna.metal import metal, u32, u64

__all__ = ["arm", "fire", "settle"]

SYN_RETRIES, SYN_ACK_RETRIES = 6, 5  # as Linux: 127 and 63 s
MOST_ORPHANS = 8192
RETRIES, ORPHAN_RETRIES = 15, 8  # about 15 minutes (RFC 9293 3.8.3, R2), and without a program
PROBE_DELAY = 200 * MILLISECOND  # RFC 8985 7.2, WCDelAckT
LEAST_PROBE = 2 * MILLISECOND
FIRST_PROBE = SECOND  # where no round trip was measured


@metal
def settle(c: Connection, now: u64) -> None:
    """What ends every call of the machine: send what may be sent, and say when the time is next needed."""
    if c.state != State.CLOSED:
        send_more(c, now)
        arm(c, now)


@metal
def waiting_time(c: Connection) -> u64:
    """The retransmission timeout with its backoff (RFC 6298 5.5)."""
    return min(c.rto << min(c.backoff, u32(16)), u64(MOST_RTO))


@metal
def arm(c: Connection, now: u64) -> None:
    """Set transmit_deadline and deadline from the state."""
    c.waiting = Waiting.NOTHING
    c.transmit_deadline = NEVER
    if c.state in (State.SYN_SENT, State.SYN_RECEIVED):
        c.waiting = Waiting.HANDSHAKE
        c.transmit_deadline = c.timer_base + waiting_time(c)
    elif not c.in_flight.empty():
        arm_flight(c, now)
    elif c.sending() and (c.write_end != c.send_next and not c.fin_sent()):
        c.waiting = Waiting.WINDOW
        c.transmit_deadline = max(c.timer_base, c.last_sent) + waiting_time(c)
        if c.transmit_deadline <= now:
            c.transmit_deadline = now + waiting_time(c)
    c.deadline = min(c.transmit_deadline, c.ack_deadline, c.life_deadline)


@metal
def arm_flight(c: Connection, now: u64) -> None:
    """Something is in flight: the retransmission timer, or what comes before it."""
    c.waiting = Waiting.RETRANSMISSION
    c.transmit_deadline = c.timer_base + waiting_time(c)
    if c.rack_wait != 0 and c.sack:
        c.waiting = Waiting.REORDERING
        c.transmit_deadline = now + c.rack_wait
    elif c.sack and c.mode == Mode.OPEN and c.sacked == 0 and c.backoff == 0 and not c.probing:
        wait: u64 = FIRST_PROBE
        if c.srtt != 0:
            wait = max(2 * c.srtt, u64(LEAST_PROBE))
            if less(c.send_next, c.send_una) <= c.mss:
                wait += PROBE_DELAY
        c.waiting = Waiting.PROBE
        c.transmit_deadline = max(min(c.last_sent + wait, c.transmit_deadline), now)


@metal
def fire(c: Connection, now: u64) -> None:
    """Do what is due, then settle()."""
    if c.transmit_deadline <= now:
        match c.waiting:
            case Waiting.RETRANSMISSION:
                retransmission(c, now)
            case Waiting.PROBE:
                probe_tail(c, now)
                c.timer_base = now
            case Waiting.REORDERING:
                reordering(c, now)
            case Waiting.WINDOW:
                window_probe(c, now)
            case Waiting.HANDSHAKE:
                handshake(c, now)
            case Waiting.NOTHING:
                pass
    if c.ack_deadline <= now:
        c.ack_deadline = NEVER
        c.ack_now = True
    if c.life_deadline <= now:
        life(c, now)
    settle(c, now)


@metal
def out_of_resources() -> bool:
    """Whether connections that no program has any more must go: memory is short, or there are too many."""
    return beyond(FOR_PROGRAMS) or orphans.load() > MOST_ORPHANS


@metal
def give_up(c: Connection, now: u64) -> None:
    """Nobody answers any more. What ICMP said meanwhile is the reason, if it said something (RFC 1122 4.2.3.9)."""
    if c.orphan and out_of_resources():
        send_reset(c, c.send_next, now)
    fail(c, c.soft_error if c.soft_error != 0 else u32(ETIMEDOUT))


@metal
def patience_over(c: Connection, tries: u32, now: u64) -> bool:
    """Whether it was tried for long enough (RFC 9293 3.8.3, RFC 5482). Of a connection that no program has, less is
    enough, and nothing while others want its memory."""
    if c.orphan and out_of_resources():
        return True
    if c.user_timeout != 0 and c.first_loss != 0:
        return now >= c.first_loss + c.user_timeout
    return tries >= (ORPHAN_RETRIES if c.orphan else RETRIES)


@metal
def retransmission(c: Connection, now: u64) -> None:
    """The retransmission timer."""
    if c.first_loss == 0:
        c.first_loss = c.timer_base
    if patience_over(c, c.backoff, now):
        give_up(c, now)
        return
    timeout(c, now)
    # Where our own memory is out, that says nothing of the other side: it is tried again as soon.
    if repeat_lost(c, now):
        c.backoff += 1


@metal
def reordering(c: Connection, now: u64) -> None:
    """RACK's reordering window has passed (RFC 8985 6.3)."""
    rack_detect(c, now)
    if c.lost != 0 and c.mode == Mode.OPEN:
        enter_recovery(c)
    if c.lost != 0 and c.mode == Mode.RECOVERY:
        c.credit = max(c.credit, c.mss)


@metal
def window_probe(c: Connection, now: u64) -> None:
    """The other side's window is closed, or too small for what waits (RFC 9293 3.8.6.1, RFC 6429)."""
    if c.first_loss == 0:
        c.first_loss = c.timer_base
    # Who answers may keep its window closed for as long as it likes to a program, but not for nobody.
    held = c.orphan and waiting_time(c) == MOST_RTO
    if held or patience_over(c, c.window_probes, now):
        give_up(c, now)
        return
    c.timer_base = now
    edge = plus(c.send_una, c.send_window)
    opened = before(c.send_next, edge)
    sent = send_new(c, now, True) if opened else send_probe(c, now)
    c.window_probes += u32(sent)
    if sent and not opened:
        c.backoff = min(c.backoff + 1, u32(16))


@metal
def handshake(c: Connection, now: u64) -> None:
    """Our SYN was not answered."""
    if c.first_loss == 0:
        c.first_loss = c.timer_base
    most: u32 = SYN_RETRIES if c.state == State.SYN_SENT else SYN_ACK_RETRIES
    late = c.user_timeout != 0 and now >= c.first_loss + c.user_timeout
    if c.backoff >= most or late:
        give_up(c, now)
        return
    c.backoff += 1
    c.timer_base = now
    send_synchronize(c, now)


@metal
def life(c: Connection, now: u64) -> None:
    """Keep-alive (RFC 9293 3.8.4), and the ends of TIME-WAIT and of FIN-WAIT-2 without a program."""
    c.life_deadline = NEVER
    if c.state == State.TIME_WAIT or (c.state == State.FIN_WAIT_2 and c.orphan):
        fail(c, 0)
        return
    if not c.keep_alive or c.state in (State.SYN_SENT, State.SYN_RECEIVED):
        return
    idle = c.last_heard + c.keep_idle
    if now < idle or not c.in_flight.empty() or c.write_end != c.send_next:
        c.life_deadline = max(idle, now + SECOND)
        c.keep_sent = 0
        return
    over = c.keep_sent >= c.keep_count
    if c.user_timeout != 0:
        over = c.keep_sent != 0 and now >= c.last_heard + c.user_timeout
    if over:
        send_reset(c, c.send_next, now)
        give_up(c, now)
        return
    c.life_deadline = now + c.keep_interval
    c.keep_sent += u32(send_probe(c, now))
