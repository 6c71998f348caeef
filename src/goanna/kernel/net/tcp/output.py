"""Sending: which bytes go out now, in which segments, and how those are made (RFC 9293 3.8, RFC 5681, RFC 6675)."""

from goanna.kernel.net.network import MILLISECOND
from goanna.kernel.net.offload import want_checksum
from goanna.kernel.net.packet import HEADROOM, SHORT, Packet, allocate, drop, scarce, view
from goanna.kernel.net.tcp.congestion import after_idle
from goanna.kernel.net.tcp.connection import (
    EVER_RETRANSMITTED,
    FIN_FLAG,
    LOST,
    RETRANSMITTED,
    Connection,
    Flight,
    Mode,
    State,
    free_flight,
    new_flight,
)
from goanna.kernel.net.tcp.sequence import at_most, before, less, plus
from goanna.kernel.net.wire import tcp
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Ptr, likely, metal, panic, u8, u16, u32, u64, unlikely

__all__ = [
    "own_mss", "receive_window", "repeat_lost", "retransmit", "send_acknowledgment", "send_more", "send_new",
    "send_probe", "send_reset", "send_segment", "send_synchronize", "split", "stamp_now",
]  # fmt: skip

BLOCKS_SPACE = 4 + 8 * 4  # of the option that reports SACK blocks, at most
LARGEST_SEGMENT = 65535 - 120  # bytes of payload that one packet may carry before the device cuts it
SCARCE_SEGMENTS = 4  # of a window that is offered while memory is scarce


@metal(inline=True)
def stamp_now(c: Connection, now: u64) -> u32:
    """The value of our timestamps: milliseconds, from an offset of this connection's own (RFC 7323 7.1)."""
    return plus(u32.wrap(now // MILLISECOND), c.stamp_offset)


@metal
def receive_window(c: Connection) -> u32:
    """The window to offer: what is free. Its right edge never goes back, nor on in silly steps (RFC 9293 3.8.6)."""
    space = c.receive_limit // 2
    if c.received_memory >= c.receive_limit:
        space = 0
    elif space > c.received_bytes:
        space -= c.received_bytes
    else:
        space = 0
    if unlikely(scarce()):
        space = min(space, SCARCE_SEGMENTS * own_mss(c))
    offered = less(c.receive_edge, c.receive_next)
    if before(c.receive_edge, c.receive_next):
        offered = 0
    largest = u32(0xFFFF) << c.receive_scale
    space = min(space, largest)
    unit = u32(1) << c.receive_scale
    step = min(c.receive_limit // 4, c.receive_mss if c.receive_mss != 0 else c.mss)
    if space < offered + step:
        return min((offered + unit - 1) & ~(unit - 1), largest)
    return space & ~(unit - 1)


@metal
def send_segment(c: Connection, packet: Packet, sequence: u32, flags: u8, now: u64) -> None:
    """Put the header in front of a segment's text and the segment into the outbox. It carries all that an
    acknowledgment says, but for SACK blocks that a full segment has no room for: an acknowledgment that is due then
    still is."""
    size: u32 = tcp.HEADER
    if c.stamps:
        size += tcp.STAMP_SPACE
    blocks: u64 = 0
    edges = Array[tcp.Block, 4]()
    told = True
    if unlikely(c.sack and (not c.runs.empty() or c.duplicate.left != c.duplicate.right)):
        free = c.mss - min(packet.total, c.mss)
        told = packet.total == 0 or free >= BLOCKS_SPACE
        if told:
            blocks = gather_blocks(c, edges)
            size += u32(4 + 8 * blocks)
    place = packet.push(size)
    window = receive_window(c)
    c.receive_edge = plus(c.receive_next, window)
    tcp.write(place, c.local_port, c.remote_port, sequence, c.receive_next, size, flags, u16(window >> c.receive_scale))
    at: u64 = tcp.HEADER
    if likely(c.stamps):
        at = tcp.write_stamp(place, at, stamp_now(c, now), c.stamp_recent)
    if unlikely(blocks != 0):
        tcp.write_sack(place, at, edges[0:blocks])
    want_checksum(packet, 16, pseudo_sum(c, packet.total))
    c.last_ack_sent = c.receive_next
    if told:
        c.unacknowledged = 0
        c.ack_now = False
        c.ack_deadline = NEVER
    c.outbox.append(packet)


@metal(inline=True)
def pseudo_sum(c: Connection, length: u32) -> u64:
    """The folded sum of the pseudo header for a segment of a length, in memory order."""
    total = c.pseudo + ((u64(length) & 0xFF) << 8 | (u64(length) >> 8 & 0xFF)) + (u64(length) >> 16 << 8)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@metal
def gather_blocks(c: Connection, edges: Array[tcp.Block, 4]) -> u64:
    """The SACK blocks to report: a duplicate first (RFC 2883), then what came last (RFC 2018 4). At most 4, or 3 beside
    timestamps (RFC 2018 3)."""
    most: u64 = 3 if c.stamps else 4
    count: u64 = 0
    if c.duplicate.left != c.duplicate.right:
        edges[0].left = c.duplicate.left
        edges[0].right = c.duplicate.right
        c.duplicate.left = c.duplicate.right
        count = 1
    latest: u64 = NEVER
    while count < most:
        best: u64 = 0
        run = c.runs.head()
        while run is not None:
            if best < run.touched < latest:
                best = run.touched
                edges[count].left = run.sequence
                edges[count].right = run.end
            run = c.runs.after(run)
        if best == 0:
            break
        latest = best
        count += 1
    return count


@metal
def send_acknowledgment(c: Connection, now: u64) -> None:
    """Send a segment without text. If memory is out it is tried again by the delayed acknowledgment's timer."""
    packet = allocate(SHORT, HEADROOM)
    if packet is None:
        c.ack_deadline = now + 40 * MILLISECOND
        return
    send_segment(c, packet, c.send_next, tcp.ACK, now)


@metal
def send_probe(c: Connection, now: u64) -> bool:
    """Send an acknowledgment that the other side must answer, having an old sequence number (RFC 9293 3.8.4). False: no
    memory."""
    packet = allocate(SHORT, HEADROOM)
    if packet is None:
        return False
    send_segment(c, packet, less(c.send_una, 1), tcp.ACK, now)
    return True


@metal
def send_reset(c: Connection, sequence: u32, now: u64) -> None:
    """Send an RST for this connection. If memory is out, none."""
    packet = allocate(SHORT, HEADROOM)
    if packet is not None:
        send_segment(c, packet, sequence, tcp.RST | tcp.ACK, now)


@metal
def send_synchronize(c: Connection, now: u64) -> None:
    """Send our SYN, with an acknowledgment if theirs has come (RFC 9293 3.10.1, RFC 7323 2.2, 3.2)."""
    packet = allocate(SHORT, HEADROOM)
    if packet is None:
        return
    received = c.state == State.SYN_RECEIVED
    place = packet.push(tcp.HEADER + 24)
    scale: u8 = c.receive_scale if c.scaling else tcp.NO_SCALE
    end = tcp.write_syn_options(
        place, tcp.HEADER, u16(min(own_mss(c), u32(0xFFFF))), scale, c.sack, c.stamps, stamp_now(c, now), c.stamp_recent
    )
    packet.trim(u32(end))
    window = min(receive_window(c), u32(0xFFFF))
    c.receive_edge = plus(c.receive_next, window)
    flags: u8 = tcp.SYN | tcp.ACK if received else tcp.SYN
    acknowledgment: u32 = c.receive_next if received else 0
    tcp.write(packet.bytes(), c.local_port, c.remote_port, c.initial_send, acknowledgment, u32(end), flags, u16(window))
    want_checksum(packet, 16, pseudo_sum(c, packet.total))
    c.outbox.append(packet)


@metal
def own_mss(c: Connection) -> u32:
    """The largest segment that we take: what the path's MTU leaves (RFC 9293 3.7.1, RFC 6691: options not counted)."""
    mtu = c.path.mtu if c.path.mtu != 0 else u32(1500)
    return mtu - (60 if c.six else 40)


@metal
def send_more(c: Connection, now: u64) -> None:
    """Send whatever may be sent now: first what was lost, then new text and the FIN, then an acknowledgment if one is
    due and nothing has carried it."""
    if c.sending():
        if c.send_next == c.send_una:
            after_idle(c, now)
        c.limited = False
        while c.lost != 0 and repeat_lost(c, now):
            pass
        if c.lost == 0:
            while send_new(c, now, False):
                pass
    if c.ack_now:
        send_acknowledgment(c, now)


@metal
def allowance(c: Connection) -> u32:
    """How many bytes the congestion window still allows; in recovery what the last acknowledgment freed (RFC 6937)."""
    if c.mode == Mode.RECOVERY:
        return c.credit
    pipe = c.pipe()
    return c.window - pipe if c.window > pipe else u32(0)


@metal
def spend(c: Connection, size: u32) -> None:
    """So many bytes went out, which counts in recovery."""
    if c.mode == Mode.RECOVERY:
        c.recovery_sent += size
        c.credit -= min(size, c.credit)


@metal
def repeat_lost(c: Connection, now: u64) -> bool:
    """Retransmit the first flight that is lost. False: the window or memory does not allow it."""
    room = allowance(c)
    if room < c.mss and c.pipe() != 0:
        return False
    flight = c.in_flight.head()
    while flight is not None:
        if flight.flags & (LOST | RETRANSMITTED) == LOST:
            if before(plus(flight.sequence, max(room, c.mss)), flight.end):
                split(c, flight, plus(flight.sequence, max(room // c.mss, u32(1)) * c.mss))
            return retransmit(c, flight, now)
        flight = c.in_flight.after(flight)
    panic("TCP counts bytes as lost that no flight has")


@metal
def retransmit(c: Connection, flight: Flight, now: u64) -> bool:
    """Send a flight again, whole or its first part if it is larger than a segment may be now. False: no memory."""
    limit = max(c.segment_limit // c.mss, u32(1)) * c.mss
    if less(flight.end, flight.sequence) > limit + u32(flight.flags & FIN_FLAG != 0):
        split(c, flight, plus(flight.sequence, limit))
    if not transmit(c, flight, now):
        return False
    size = less(flight.end, flight.sequence)
    if flight.flags & LOST != 0 and flight.flags & RETRANSMITTED == 0:
        c.lost -= size
        c.retransmitted += size
        flight.flags &= ~u8(LOST)
        flight.flags |= RETRANSMITTED
    flight.flags |= EVER_RETRANSMITTED
    spend(c, size)
    return True


@metal
def split(c: Connection, flight: Flight, at: u32) -> bool:
    """Make two flights of one, the second from sequence number `at` on. False: no memory, it stays whole."""
    rest = new_flight(c)
    if rest is None:
        return False
    rest.sequence = at
    rest.end = flight.end
    rest.sent = flight.sent
    rest.flags = flight.flags
    rest.transmissions = flight.transmissions
    rest.chunk = flight.chunk
    rest.offset = flight.offset + less(at, flight.sequence)
    while rest.chunk is not None and rest.offset >= rest.chunk.count:
        rest.offset -= rest.chunk.count
        rest.chunk = c.queue.after(rest.chunk)
    flight.end = at
    flight.flags &= ~u8(FIN_FLAG)
    behind: Ptr[Flight] = c.in_flight.after(flight)
    if behind is None:
        c.in_flight.append(rest)
    else:
        rest.link.previous = flight.link
        rest.link.next = behind.link
        flight.link.next = rest.link
        behind.link.previous = rest.link
    return True


@metal
def transmit(c: Connection, flight: Flight, now: u64) -> bool:
    """Send the segment of a flight. False: no memory."""
    fin = flight.flags & FIN_FLAG != 0
    length = less(flight.end, flight.sequence) - u32(fin)
    packet = text(c, flight.chunk, flight.offset, length)
    if packet is None:
        return False
    flags: u8 = tcp.ACK
    if fin:
        flags |= tcp.FIN
    if plus(flight.sequence, length) == c.write_end and length != 0:
        flags |= tcp.PSH
    if length > c.mss:
        packet.segment_size = u16(c.mss)
    flight.sent = now
    flight.transmissions = min(flight.transmissions, u8(254)) + 1
    c.last_sent = now
    send_segment(c, packet, flight.sequence, flags, now)
    return True


@metal
def text(c: Connection, chunk: Ptr[Packet], offset: u32, length: u32) -> Ptr[Packet]:
    """A packet with `length` bytes of the send queue and room for headers in front. None: no memory.

    A piece that begins a buffer which nobody else holds has its headers in that buffer's own headroom.
    """
    if length == 0:
        return allocate(SHORT, HEADROOM)
    first: Packet = chunk
    if offset == 0 and length <= first.count and first.base >= HEADROOM and first.references.load() == 1:
        return view(first, first.base, length)
    head = allocate(SHORT, HEADROOM)
    if head is None:
        return None
    last = head
    while length != 0:
        count = min(length, first.count - offset)
        part = view(first, first.base + offset, count)
        if part is None:
            drop(head)
            return None
        last.more = part
        last = part
        head.total += count
        length -= count
        offset = 0
        if length != 0:
            first = c.queue.after(first)
    return head


@metal
def send_new(c: Connection, now: u64, forced: bool) -> bool:
    """Send the next piece of what was never sent. False: nothing may be sent. `forced`: a probe, whatever the
    congestion window, Nagle and silly windows say; the offered window counts all the same."""
    left = less(c.write_end, c.send_next)
    fin = c.fin_wanted and not c.fin_sent()
    if c.fin_sent() or (left == 0 and not fin):
        return False
    edge = plus(c.send_una, c.send_window)
    usable: u32 = less(edge, c.send_next) if before(c.send_next, edge) else 0
    room = c.mss if forced else allowance(c)
    length = min(left, usable)
    if length > room:
        c.limited = True
        length = room
    limit = max(c.segment_limit // c.mss, u32(1)) * c.mss
    if forced:
        limit = c.mss
    length = min(length, limit)
    if length > c.mss and length < left:
        length -= length % c.mss
    if not forced and length < c.mss and not may_be_small(c, length, left, fin):
        return False
    if left != 0 and length == 0:
        return False
    fin = fin and length == left and (length < usable or left == 0)
    flight = new_flight(c)
    if flight is None:
        return False
    flight.sequence = c.send_next
    flight.end = plus(c.send_next, length + u32(fin))
    flight.chunk = c.unsent
    flight.offset = c.unsent_offset
    if length == 0:
        flight.chunk = None
    if fin:
        flight.flags = FIN_FLAG
    if not transmit(c, flight, now):
        free_flight(c, flight)
        return False
    if c.in_flight.empty():
        c.timer_base = now
    c.in_flight.append(flight)
    if length < c.mss:
        c.small_end = flight.end
    c.send_next = flight.end
    spend(c, length)
    advance_unsent(c, length)
    if c.quick != 0 and length != 0:
        c.quick = 0  # a conversation: acknowledgments ride on what is sent
    return True


@metal
def may_be_small(c: Connection, length: u32, left: u32, fin: bool) -> bool:
    """Whether a segment smaller than the MSS may go out (RFC 9293 3.7.4 and 3.8.6.2.1, Nagle after Minshall)."""
    if length < left:  # the window ends it: not unless it is a good part of all that was ever offered
        return length != 0 and length >= c.largest_window // 2
    if fin or c.no_delay:
        return not c.corked or fin
    if c.corked:
        return False
    return at_most(c.small_end, c.send_una) or c.send_next == c.send_una


@metal
def advance_unsent(c: Connection, length: u32) -> None:
    """The first `length` bytes that were not sent have been."""
    c.unsent_offset += length
    while c.unsent is not None and c.unsent_offset >= c.unsent.count:
        following = c.queue.after(c.unsent)
        if following is None:
            return  # more may be written behind it: append_text sees to that
        c.unsent_offset -= c.unsent.count
        c.unsent = following
