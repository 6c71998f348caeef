"""Taking in text: what is in order goes to the socket, what isn't waits in runs (RFC 9293 3.10.7.4, RFC 5681 4.2)."""

from goanna.kernel.net.network import MILLISECOND
from goanna.kernel.net.packet import KEPT_FOR_LATER, TAKEN_FIRST, TAKEN_IN, Packet, beyond, drop, limit, scarce
from goanna.kernel.net.tcp.connection import READABLE, Connection, Run, State, drop_runs, runs, runs_memory
from goanna.kernel.net.tcp.output import own_mss, receive_window, send_acknowledgment
from goanna.kernel.net.tcp.sequence import at_most, before, less, plus
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, likely, metal, u32, u64, unlikely

__all__ = ["after_reading", "put_back", "take_received", "take_text"]

DELAY = 40 * MILLISECOND  # of an acknowledgment (RFC 9293 3.8.6.3 allows 500)
MOST_RUNS = 128  # of text out of order; more holes than that are filled by retransmission
SMALL = 512  # bytes of text that are rather copied than keep a buffer to themselves


@metal
def take_text(c: Connection, packet: Packet, sequence: u32, fin: bool, now: u64) -> bool:
    """Take a segment's text, which begins at `sequence`. It is gone afterwards. Whether a FIN behind it is next."""
    end = plus(sequence, packet.total)
    if before(sequence, c.receive_next):
        old = less(c.receive_next, sequence)
        if old >= packet.total:
            if packet.total != 0:
                report_duplicate(c, sequence, end)
                c.ack_now = True
            drop(packet)
            return fin and end == c.receive_next
        report_duplicate(c, sequence, c.receive_next)
        packet = packet.skip(old)
        sequence = c.receive_next
    if before(c.receive_edge, end):  # beyond the window: that part never came
        c.ack_now = True
        fin = False
        if at_most(c.receive_edge, sequence):
            drop(packet)
            return False
        packet.trim(less(c.receive_edge, sequence))
        end = c.receive_edge
    if packet.total == 0:
        drop(packet)
        if sequence != c.receive_next:
            c.ack_now = True
            c.early_fin = c.early_fin or fin
            c.early_fin_sequence = sequence if fin else c.early_fin_sequence
        return fin and sequence == c.receive_next
    packet.sequence = sequence
    if likely(sequence == c.receive_next):
        return take_next(c, packet, end, fin, now)
    c.ack_now = True
    if fin:
        c.early_fin = True
        c.early_fin_sequence = end
    take_later(c, packet, sequence, end)
    return False


@metal
def report_duplicate(c: Connection, left: u32, right: u32) -> None:
    """The next acknowledgment tells that this came twice (RFC 2883)."""
    c.duplicate.left = left
    c.duplicate.right = right


@metal
def take_next(c: Connection, packet: Packet, end: u32, fin: bool, now: u64) -> bool:
    """Text that comes in order. Whether a FIN behind it is next."""
    size = packet.total
    full = c.received_memory + packet.footprint() > 2 * c.receive_limit
    if unlikely(full or beyond(TAKEN_IN)) and not make_room(c, packet):
        drop(packet)
        return False
    c.receive_mss = max(c.receive_mss, min(size, own_mss(c)))
    accept(c, packet)
    c.receive_next = end
    if unlikely(not c.runs.empty()):
        c.ack_now = True  # a hole is filled, or not yet (RFC 5681 4.2)
        join_runs(c)
        fin = fin and c.receive_next == end
    if unlikely(c.early_fin and c.receive_next == c.early_fin_sequence):
        fin = True
    c.unacknowledged += size
    c.events |= READABLE
    if c.quick != 0:
        c.quick -= 1
        c.ack_now = True
    elif c.unacknowledged >= 2 * c.receive_mss:
        c.ack_now = True
    elif c.ack_deadline == NEVER:
        c.ack_deadline = now + DELAY
    return fin


@metal
def make_room(c: Connection, packet: Packet) -> bool:
    """Give up what came out of order for text that is next. Whether there is room for that now: where memory is short,
    a connection may have one buffer nearly always, so that none stands still."""
    drop_runs(c)
    if c.received_memory + packet.footprint() > 2 * c.receive_limit:
        return False
    return not beyond(TAKEN_FIRST if c.received_memory == 0 else TAKEN_IN)


@metal
def accept(c: Connection, packet: Packet) -> None:
    """Put text on the socket's queue, small pieces into the room behind the last one."""
    c.received_bytes += packet.total
    last = c.received.tail()
    if packet.total <= SMALL and last is not None:
        end: Packet = last
        while end.more is not None:
            end = end.more
        own = end.owner is None and end.references.load() == 1
        if own and end.room() >= packet.total:
            size = packet.total
            place = end.extend(size)
            packet.copy_out(0, place)
            if end is not last:
                end.total -= size
                last.total += size
            drop(packet)
            return
    packet.base = packet.footprint()
    c.received_memory += packet.base
    c.received.append(packet)


@metal
def join_runs(c: Connection) -> None:
    """Text out of order that has become next."""
    while True:
        run = c.runs.head()
        if run is None or before(c.receive_next, run.sequence):
            return
        c.runs.remove(run)
        c.run_count -= 1
        while not run.packets.empty():
            packet: Packet = run.packets.pop()
            c.received_memory -= packet.base
            runs_memory.sub(u64(packet.base))
            end = plus(packet.sequence, packet.total)
            if at_most(end, c.receive_next):
                drop(packet)
                continue
            if before(packet.sequence, c.receive_next):
                packet = packet.skip(less(c.receive_next, packet.sequence))
            c.receive_next = end
            accept(c, packet)
        runs.free(run)


@metal
def take_later(c: Connection, packet: Packet, sequence: u32, end: u32) -> None:
    """Text that comes out of order: into the run that it continues, or one of its own. It may be dropped for lack of
    room: it will come again."""
    packet.base = packet.footprint()
    if c.received_memory + packet.base > c.receive_limit or runs_memory.load() > limit // 4 or beyond(KEPT_FOR_LATER):
        if beyond(TAKEN_IN):
            drop_runs(c)
        drop(packet)
        return
    # The last run that begins at or before it, looked for from the end, where it mostly is.
    run = c.runs.tail()
    while run is not None and before(sequence, run.sequence):
        run = c.runs.before(run)
    if run is not None and at_most(end, run.end):
        report_duplicate(c, sequence, end)
        touch(c, run)
        drop(packet)
        return
    if run is not None and at_most(sequence, run.end):
        if before(sequence, run.end):
            report_duplicate(c, sequence, run.end)
            packet = packet.skip(less(run.end, sequence))
            packet.sequence = run.end
            packet.base = packet.footprint()
        run.end = end
        keep(c, run, packet)
    else:
        run = open_run(c, run, packet, sequence, end)
        if run is None:
            drop(packet)
            return
    touch(c, run)
    merge(c, run)


@metal
def touch(c: Connection, run: Run) -> None:
    """This run is to be reported first."""
    c.run_clock += 1
    run.touched = c.run_clock


@metal
def keep(c: Connection, run: Run, packet: Packet) -> None:
    """Put text at the end of a run."""
    c.received_memory += packet.base
    runs_memory.add(u64(packet.base))
    run.packets.append(packet)


@metal
def open_run(c: Connection, behind: Ptr[Run], packet: Packet, sequence: u32, end: u32) -> Ptr[Run]:
    """A new run, behind another one or in front of all. None: there are too many, or memory is out."""
    if c.run_count >= MOST_RUNS:
        return None
    made = runs.allocate()
    if made is None:
        return None
    made.sequence = sequence
    made.end = end
    following: Ptr[Run] = c.runs.head() if behind is None else c.runs.after(behind)
    if behind is None:
        c.runs.prepend(made)
    elif following is None:
        c.runs.append(made)
    else:
        made.link.previous = behind.link
        made.link.next = following.link
        behind.link.next = made.link
        following.link.previous = made.link
    c.run_count += 1
    keep(c, made, packet)
    return made


@metal
def merge(c: Connection, run: Run) -> None:
    """Join the runs that a grown one has reached. What they have in common is reported as a duplicate."""
    while True:
        following = c.runs.after(run)
        if following is None or before(run.end, following.sequence):
            return
        if before(following.sequence, run.end):
            report_duplicate(c, following.sequence, following.end if before(following.end, run.end) else run.end)
        c.runs.remove(following)
        c.run_count -= 1
        while not following.packets.empty():
            packet: Packet = following.packets.pop()
            end = plus(packet.sequence, packet.total)
            c.received_memory -= packet.base
            runs_memory.sub(u64(packet.base))
            if at_most(end, run.end):
                drop(packet)
                continue
            if before(packet.sequence, run.end):
                packet = packet.skip(less(run.end, packet.sequence))
                packet.sequence = run.end
            packet.base = packet.footprint()
            run.end = end
            keep(c, run, packet)
        runs.free(following)


@metal
def take_received(c: Connection) -> Ptr[Packet]:
    """Take the next buffer off the socket's queue, or None. What is not read of it goes back by put_back, and when
    reading is over, after_reading tells the other side of the room."""
    packet = c.received.pop()
    if packet is not None:
        c.received_memory -= packet.base
        c.received_bytes -= packet.total
        c.read_bytes = min(c.read_bytes, u32(1 << 30)) + packet.total
    return packet


@metal
def put_back(c: Connection, packet: Packet) -> None:
    """Put what was not read in front of the socket's queue again."""
    packet.base = packet.footprint()
    c.received_memory += packet.base
    c.received_bytes += packet.total
    c.read_bytes -= min(packet.total, c.read_bytes)  # another reader may have begun a new measurement
    c.received.prepend(packet)


@metal
def after_reading(c: Connection, now: u64) -> None:
    """The program has read: offer the room at once if it is worth a segment (RFC 9293 3.8.6.2.2), and more room if it
    reads as fast as the window allows."""
    tune(c, now)
    if not c.receiving() or c.state == State.CLOSED:
        return
    offered: u32 = 0
    if before(c.receive_next, c.receive_edge):
        offered = less(c.receive_edge, c.receive_next)
    window = receive_window(c)
    step = min(2 * c.receive_mss if c.receive_mss != 0 else c.mss, c.receive_limit // 4)
    if window >= offered + max(step, u32(1)) and (offered < c.receive_limit // 4 or offered < 2 * step):
        send_acknowledgment(c, now)


@metal
def tune(c: Connection, now: u64) -> None:
    """Grow the receive buffer when the program read in a round trip more than half of what it offers."""
    round: u64 = c.srtt if c.srtt != 0 else u64(100 * MILLISECOND)
    if now < c.probe_time + round:
        return
    if c.read_bytes > c.receive_limit // 4 and c.receive_limit < c.receive_most and not scarce():
        c.receive_limit = min(c.receive_limit * 2, c.receive_most)
    c.probe_time = now
    c.read_bytes = 0
