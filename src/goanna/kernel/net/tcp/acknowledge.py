"""Taking in what an acknowledgment says: bytes by number, and stretches by SACK (RFC 9293 3.10.7.4, RFC 2018, 6675)."""

from goanna.kernel.net.packet import drop, scarce
from goanna.kernel.net.tcp.connection import (
    EVER_RETRANSMITTED,
    LOST,
    RETRANSMITTED,
    SACKED,
    WRITABLE,
    Connection,
    Flight,
    free_flight,
)
from goanna.kernel.net.tcp.output import split, stamp_now
from goanna.kernel.net.tcp.recovery import (
    after_acknowledgment,
    count_duplicate,
    measure,
    rack_delivered,
    rack_duplicate,
)
from goanna.kernel.net.tcp.sequence import at_most, before, less, plus
from goanna.kernel.net.wire import tcp
from goanna.metal import Ptr, likely, metal, u8, u32, u64, unlikely

__all__ = ["acknowledge"]


@metal
def acknowledge(c: Connection, segment: tcp.Segment, now: u64) -> None:
    """Take in an acknowledgment between send_una and send_next."""
    una = c.send_una
    before_this = c.delivered
    if unlikely(segment.block_count != 0 and c.sack):
        take_blocks(c, segment, now)
    advanced = less(segment.acknowledgment, una)
    if likely(advanced != 0):
        advance(c, segment, now)
        c.backoff = 0
        c.first_loss = 0
        c.window_probes = 0
        c.timer_base = now
        c.events |= WRITABLE
        if unlikely(c.limited and c.send_limit < c.send_most) and not scarce():
            # Two windows, at what the bytes cost in buffers: one in flight, one ready.
            c.send_limit = max(c.send_limit, min(3 * min(c.window, u32(1 << 28)), c.send_most))
    elif duplicate(c, segment):
        count_duplicate(c)
    after_acknowledgment(c, advanced, u32.wrap(c.delivered - before_this), now)


@metal
def duplicate(c: Connection, segment: tcp.Segment) -> bool:
    """Whether it is a duplicate acknowledgment, where there is no SACK to say it better (RFC 5681 2)."""
    same_window = c.scale_window(segment.window) == c.send_window
    return not c.sack and segment.length == 0 and same_window and not c.in_flight.empty()


@metal
def advance(c: Connection, segment: tcp.Segment, now: u64) -> None:
    """Everything before the acknowledgment number has arrived."""
    number = segment.acknowledgment
    first_sent: u64 = 0
    last_sent: u64 = 0
    repeated: u64 = 0  # when what was sent more than once, and is acknowledged now, was last sent
    echo = less(segment.echo, c.stamp_offset)
    while True:
        flight = c.in_flight.head()
        if flight is None or at_most(number, flight.sequence):
            break
        whole = at_most(flight.end, number)
        size = less(flight.end if whole else number, flight.sequence)
        if flight.flags & EVER_RETRANSMITTED != 0:
            repeated = max(repeated, flight.sent)
        if flight.flags & SACKED == 0:
            if first_sent == 0:
                first_sent = flight.sent
            last_sent = flight.sent
            c.delivered += u64(size)
            rack_delivered(c, flight, now, echo, segment.stamped)
        uncount(c, flight, size)
        if not whole:
            cut_front(c, flight, size)
            break
        c.in_flight.remove(flight)
        free_flight(c, flight)
    # Karn's rule, and more: behind what was sent again may lie what has waited there long (RFC 6298 3).
    if last_sent != 0 and repeated == 0:
        measure(c, now - first_sent, now)
        c.least_rtt = min(c.least_rtt, max(now - last_sent, u64(1)))
    elif c.stamps and segment.stamped and at_most(u32.wrap(repeated // 1_000_000), echo):
        # RFC 7323 4: also of what was sent more than once, if it is the last sending that is echoed. An older one came
        # when the first acknowledgment was lost, and says how long we waited, not how long the way is.
        elapsed = less(stamp_now(c, now), segment.echo)
        if elapsed < 0x7FFF_FFFF:
            measure(c, u64(elapsed) * 1_000_000, now)
    release_text(c, less(number, c.send_una))
    c.send_una = number


@metal
def uncount(c: Connection, flight: Flight, size: u32) -> None:
    """`size` bytes of a flight are not in flight any more."""
    if c.sack and flight.flags & SACKED != 0:
        c.sacked -= size
    if flight.flags & LOST != 0:
        c.lost -= size
    if flight.flags & RETRANSMITTED != 0:
        c.retransmitted -= size


@metal
def cut_front(c: Connection, flight: Flight, size: u32) -> None:
    """The first bytes of a flight have arrived."""
    flight.sequence = plus(flight.sequence, size)
    flight.offset += size
    while flight.chunk is not None and flight.offset >= flight.chunk.count:
        flight.offset -= flight.chunk.count
        flight.chunk = c.queue.after(flight.chunk)


@metal
def release_text(c: Connection, count: u32) -> None:
    """Free the buffers of the send queue whose bytes were acknowledged, `count` sequence numbers more."""
    c.acknowledged_in_head += count
    while True:
        head = c.queue.head()
        if head is None:
            c.acknowledged_in_head = 0  # a FIN has a number, but is no byte
            return
        if c.acknowledged_in_head < head.count:
            return
        c.acknowledged_in_head -= head.count
        if c.unsent is head:
            c.unsent = c.queue.after(head)
            c.unsent_offset = 0
        c.queue.remove(head)
        c.sent_memory -= head.weight()
        drop(head)


@metal
def take_blocks(c: Connection, segment: tcp.Segment, now: u64) -> None:
    """Mark what the SACK blocks say. Those that can't be true are passed over (RFC 2018 3, RFC 2883 4)."""
    echo = less(segment.echo, c.stamp_offset)
    for index in range(u64(segment.block_count)):
        block = segment.blocks[index]
        left, right = block.left, block.right
        if not before(left, right):
            continue
        if index == 0 and is_duplicate(segment):
            if at_most(right, c.send_next) and less(c.send_next, left) < 0x4000_0000:
                rack_duplicate(c)
                c.probe_again = False
            continue
        if before(segment.acknowledgment, left) and before(c.send_una, left) and at_most(right, c.send_next):
            mark_block(c, left, right, now, echo, segment.stamped)


@metal
def is_duplicate(segment: tcp.Segment) -> bool:
    """Whether the first block reports what came twice (RFC 2883 4.1)."""
    first = segment.blocks[0]
    if at_most(first.right, segment.acknowledgment):
        return True
    if segment.block_count < 2:
        return False
    second = segment.blocks[1]
    return at_most(second.left, first.left) and at_most(first.right, second.right)


@metal
def mark_block(c: Connection, left: u32, right: u32, now: u64, echo: u32, echoed: bool) -> None:
    """Mark the flights within a block. One that is partly in it is split, at a multiple of the MSS, so that strangers
    can't make any number of flights of one."""
    flight = c.in_flight.head()
    while flight is not None and before(flight.sequence, right):
        following: Ptr[Flight] = None
        if flight.flags & SACKED == 0 and before(left, flight.end):
            if before(flight.sequence, left):
                inside = (less(left, flight.sequence) + c.mss - 1) // c.mss * c.mss
                if inside < less(flight.end, flight.sequence):
                    split(c, flight, plus(flight.sequence, inside))
            else:
                if before(right, flight.end):
                    inside = less(right, flight.sequence) // c.mss * c.mss
                    if inside != 0:
                        split(c, flight, plus(flight.sequence, inside))
                if at_most(flight.end, right):
                    mark_sacked(c, flight, now, echo, echoed)
        following = c.in_flight.after(flight)
        flight = following


@metal
def mark_sacked(c: Connection, flight: Flight, now: u64, echo: u32, echoed: bool) -> None:
    """A flight has arrived out of order."""
    size = less(flight.end, flight.sequence)
    uncount(c, flight, size)
    flight.flags &= ~u8(LOST | RETRANSMITTED)
    rack_delivered(c, flight, now, echo, echoed)
    flight.flags |= SACKED
    c.sacked += size
    c.delivered += u64(size)
