"""The state of one TCP connection (RFC 9293 3.3.1), and what it is made of.

Nothing here locks: whoever calls the machine holds `lock`. Times are nanoseconds, sizes bytes, sequence numbers u32.
Segments to send are put into `outbox`, each from its TCP header on; the glue sends them along `path`. What the socket
should know is added to `events`.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.setting import Setting
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.address import Address
from goanna.kernel.net.network import MILLISECOND, SECOND
from goanna.kernel.net.packet import Packet, Packets, drop
from goanna.kernel.net.path import Path
from goanna.kernel.net.tcp.sequence import before, less
from goanna.kernel.net.wire.tcp import Block
from goanna.kernel.time.timer import NEVER, Timer
from goanna.metal import Atomic, Fn, Ptr, enumeration, metal, static, struct, u8, u16, u32, u64

__all__ = [
    "CLOSED_EVENT", "CONNECTED", "ERROR_EVENT", "EVER_RETRANSMITTED", "FIN_FLAG", "LOST", "READABLE", "RETRANSMITTED",
    "SACKED", "WRITABLE", "Connection", "Entry", "EntryKind", "Flight", "Flights", "Mode", "Run", "Runs", "State",
    "Waiting", "drop_runs", "fail", "flights", "free_flight", "new_flight", "orphans", "runs", "runs_memory",
    "start", "stop_timers",
]  # fmt: skip

INITIAL_RTO = SECOND  # RFC 6298 2.1
LEAST_RTO = 200 * MILLISECOND  # as Linux; RFC 6298 2.4 says a second, which no system waits any more
MOST_RTO = 120 * SECOND
DEFAULT_MSS4, DEFAULT_MSS6 = 536, 1220  # RFC 9293 3.7.1
INITIAL_WINDOW = 10  # segments (RFC 6928)
QUICK = 16  # segments that are acknowledged at once at the start of a stream
DEFAULT_RECEIVE_LIMIT = 131072  # bytes of memory, as Linux begins
MOST_RECEIVE_LIMIT = 6 << 20
DEFAULT_SEND_LIMIT = 87380
MOST_SEND_LIMIT = 4 << 20
SPARE_FLIGHTS = 8  # kept by a connection

# Flags of a flight
SACKED, LOST, RETRANSMITTED, EVER_RETRANSMITTED, FIN_FLAG = 1, 2, 4, 8, 16

# Events
READABLE, WRITABLE, CONNECTED, CLOSED_EVENT, ERROR_EVENT = 1, 2, 4, 8, 16


@enumeration(u8)
class State:
    """RFC 9293 3.3.2, with the numbers of Linux's tcp_info."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    FIN_WAIT_1 = 4
    FIN_WAIT_2 = 5
    TIME_WAIT = 6
    CLOSED = 7
    CLOSE_WAIT = 8
    LAST_ACK = 9
    LISTEN = 10
    CLOSING = 11


@enumeration(u8)
class Mode:
    """What congestion control is doing."""

    OPEN = 0
    RECOVERY = 1  # fast recovery, until recovery_point is acknowledged
    LOSS = 2  # after a retransmission timeout, until then


@enumeration(u8)
class Waiting:
    """What transmit_deadline is for."""

    NOTHING = 0
    RETRANSMISSION = 1  # RFC 6298
    PROBE = 2  # tail loss probe (RFC 8985 7)
    REORDERING = 3  # RACK's reordering window (RFC 8985 6.3)
    WINDOW = 4  # zero-window probe (RFC 9293 3.8.6.1)
    HANDSHAKE = 5  # a SYN or SYN-ACK


@struct
class Flight:
    """A stretch of sequence numbers that was sent as one segment, or as segments that the device cut."""

    link: Link
    sequence: u32
    end: u32  # not included; counts a FIN
    sent: u64  # ns of the last transmission
    chunk: Ptr[Packet]  # of the send queue, where its first byte is; None for a FIN alone
    offset: u32  # of that byte among the chunk's queued ones
    flags: u8
    transmissions: u8


Flights = List(Flight, "link")
flights = Cache(Flight)


@struct
class Run:
    """Bytes that came out of order and follow each other without a hole."""

    link: Link
    sequence: u32
    end: u32
    packets: Packets  # each with `sequence` set
    touched: u64  # a count: the run that grew last has the highest (RFC 2018 4)


Runs = List(Run, "link")
runs = Cache(Run)
runs_memory = static(Atomic[u64])  # bytes of text out of order, of all connections


@enumeration(u8)
class EntryKind:
    """What an entry of the table is a part of."""

    CONNECTION = 0
    HALF_OPEN = 1  # listener.py
    TIME_WAIT = 2  # time_wait.py


@struct
class Entry:
    """What the table finds by addresses and ports: the first field of what it is a part of. The table's lock."""

    link: Link  # of its bucket; in no bucket: it can't be found
    local: Address
    remote: Address
    local_port: u16
    remote_port: u16
    kind: EntryKind
    reuse_address: bool  # another may bind its port that has SO_REUSEADDR, or SO_REUSEPORT, too
    reuse_port: bool


@struct(align=64)
class Connection:
    """One connection. Zeroed memory and start() make one that is CLOSED."""

    entry: Entry  # table.py
    lock: SpinLock  # protects all below
    latest: u64  # the time of the last turn
    state: State
    mode: Mode
    waiting: Waiting
    six: bool
    local: Address
    remote: Address
    local_port: u16
    remote_port: u16
    pseudo: u64  # sum of the pseudo header, without the length
    outbox: Packets  # segments to send, in order
    events: u32  # since the socket last looked
    error: u32  # errno of why it ended or what ICMP said; 0: none
    soft_error: u32  # errno that is reported if it ends by a timeout (RFC 1122 4.2.3.9)

    # Sending (RFC 9293 3.3.1)
    initial_send: u32  # ISS
    send_una: u32
    send_next: u32
    send_window: u32  # scaled
    send_scale: u8
    receive_scale: u8
    window_sequence: u32  # SND.WL1
    window_ack: u32  # SND.WL2
    largest_window: u32  # that was ever offered
    write_end: u32  # after the last byte queued
    queue: Packets  # of bytes from send_una on, and of some that were acknowledged in the first one
    unsent: Ptr[Packet]  # where send_next is, None: all is sent
    unsent_offset: u32
    in_flight: Flights  # in order of sequence
    spare: Flights
    spare_count: u32
    sent_memory: u32  # bytes of memory of the queue
    send_limit: u32  # bytes of memory; grows with the congestion window up to send_most
    send_most: u32
    acknowledged_in_head: u32  # bytes of the queue's first buffer that were acknowledged
    small_end: u32  # end of the last segment sent that was smaller than the MSS (Minshall)
    mss: u32  # bytes of payload of a segment, its timestamps subtracted
    peer_mss: u32  # that the other side said
    segment_limit: u32  # bytes that may go out as one, to be cut up by the device; 0: one segment

    # Receiving
    initial_receive: u32  # IRS
    receive_next: u32
    receive_edge: u32  # right edge of the window that was offered
    received: Packets  # in order, for the socket
    received_bytes: u32
    received_memory: u32
    receive_limit: u32  # bytes of memory, up to 1 << 30; half of it is offered as window
    runs: Runs  # out of order, by sequence
    run_count: u32
    run_clock: u64
    early_fin: bool  # a FIN came out of order, and
    early_fin_sequence: u32  # stands there
    duplicate: Block  # to be reported by the next acknowledgment (RFC 2883); empty if left == right
    stamp_recent: u32  # RFC 7323 TS.Recent
    stamp_age: u64  # when that was set
    last_ack_sent: u32
    unacknowledged: u32  # bytes received since the last acknowledgment
    quick: u32  # segments still to be acknowledged at once
    receive_mss: u32  # the largest segment that came: what "full-sized" means for delayed acknowledgments
    probe_time: u64  # receive buffer sizing: when the current measurement began
    read_bytes: u32  # that the program has read since
    receive_most: u32  # how large receive_limit may grow by itself

    # Options
    scaling: bool  # wanted, then agreed, as the next two
    sack: bool
    stamps: bool
    no_delay: bool
    corked: bool
    keep_alive: bool
    fin_wanted: bool  # the program will send no more
    fin_received: bool
    read_shut: bool  # the program will read no more
    orphan: bool  # no program has it any more
    retired: bool  # it is out of the table for good
    retiring: u32  # how many are on their way from finish() to retire(): the last of them may free it
    ack_now: bool
    stamp_offset: u32  # added to the clock in timestamps (RFC 7323 7.1)

    # Round trips (RFC 6298)
    srtt: u64
    rttvar: u64
    rto: u64
    least_rtt: u64  # of about the last ten seconds
    least_rtt_time: u64
    timer_base: u64  # when the retransmission timer was last started anew
    backoff: u32  # timeouts in a row
    first_loss: u64  # when the first of them began to wait; for R2 and the user timeout

    # Congestion (RFC 5681, 6675, 6937, 9438)
    window: u32  # cwnd
    threshold: u32  # ssthresh
    sacked: u32  # bytes in flight that are SACKED
    lost: u32  # LOST and not RETRANSMITTED since
    retransmitted: u32  # RETRANSMITTED, and not lost again
    recovery_point: u32
    recovery_delivered: u32  # PRR
    recovery_sent: u32
    recovery_flight: u32
    credit: u32  # bytes that recovery lets go out now
    duplicates: u32  # duplicate acknowledgments, where there is no SACK
    limited: bool  # the window was what limited the last sending
    last_sent: u64
    cubic_most: u32  # W_max
    cubic_k: u64  # ms
    cubic_epoch: u64  # ns; 0: begins with the next acknowledgment
    cubic_start: u32  # cwnd at the epoch's start
    cubic_estimate: u64  # W_est, bytes
    delivered: u64  # bytes acknowledged or SACKED in all

    # RACK-TLP (RFC 8985)
    rack_sent: u64
    rack_end: u32
    rack_rtt: u64
    rack_forward: u32  # highest sequence that was acknowledged or SACKED
    rack_reordering: bool
    rack_steps: u32  # of the reordering window, in quarters of the least RTT
    rack_persist: u32  # recoveries until that is 1 again
    rack_round: u32  # end of the round in which a DSACK was counted
    rack_wait: u64  # ns until flights that RACK watches are lost; 0: none is watched
    probe_end: u32
    probing: bool  # a tail loss probe is out, until probe_end is acknowledged
    probe_again: bool  # it was a retransmission

    # Timers
    transmit_deadline: u64
    ack_deadline: u64
    life_deadline: u64  # keep-alive, or the end of FIN-WAIT-2 without a program
    deadline: u64  # the earliest of them
    keep_idle: u64
    keep_interval: u64
    keep_count: u32
    keep_sent: u32  # probes without answer
    last_heard: u64
    user_timeout: u64  # 0: the system's
    window_probes: u32
    challenge_time: u64  # when an acknowledgment of what we did not want was last sent (RFC 5961 7)
    fin_timeout: u64

    path: Path
    timer: Timer  # the glue's, for `deadline`
    armed: u64  # the time for which it is running; NEVER: it isn't. See arrive.on_deadline
    accept_link: Link  # of its listener's queue, until the program takes it
    notify: Fn[["Connection"], None]  # there are events, which it takes; with the lock: it wakes who waits, and no more
    owner: u64  # the socket; 0: none

    def moment(self, now: u64) -> u64:
        """The time for what is done next: never before what was done last. Processors take turns, and one may have
        looked at the clock before it got the lock."""
        self.latest = max(self.latest, now)
        return self.latest

    def pipe(self) -> u32:
        """Bytes that are thought to be in the network (RFC 6675 4)."""
        return self.send_next_distance() - self.sacked - self.lost + self.retransmitted

    def send_next_distance(self) -> u32:
        """SND.NXT - SND.UNA."""
        return less(self.send_next, self.send_una)

    def receiving(self) -> bool:
        """Whether text is still taken in (RFC 9293 3.10.7.4, seventh)."""
        return self.state in (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)

    def sending(self) -> bool:
        """Whether there may be something to send in this state."""
        return self.state in (
            State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK,
        )  # fmt: skip

    def fin_sent(self) -> bool:
        """Whether our FIN is in flight or acknowledged."""
        return self.fin_wanted and before(self.write_end, self.send_next)

    def scale_window(self, window: u32) -> u32:
        """A window as the other side sent it, in bytes."""
        return window << self.send_scale


connections = Cache(Connection)
# What a new connection has of keep-alive: net.ipv4.tcp_keepalive_time, _intvl (seconds) and _probes.
keep_idle = static(Setting, {"value": 7200, "least": 1, "most": 32767})
keep_interval = static(Setting, {"value": 75, "least": 1, "most": 32767})
keep_count = static(Setting, {"value": 9, "least": 1, "most": 127})
orphans = static(Atomic[u64])  # connections that are not over, and that no program has any more


@metal
def start(c: Connection) -> None:
    """Set what isn't zero in a new connection."""
    c.state = State.CLOSED
    c.rto = INITIAL_RTO
    c.send_limit = DEFAULT_SEND_LIMIT
    c.send_most = MOST_SEND_LIMIT
    c.receive_limit = DEFAULT_RECEIVE_LIMIT
    c.receive_most = MOST_RECEIVE_LIMIT
    c.quick = QUICK
    c.scaling = True
    c.sack = True
    c.stamps = True
    c.threshold = 0x7FFF_FFFF
    c.rack_steps = 1
    c.least_rtt = NEVER
    c.keep_idle = keep_idle.value * SECOND
    c.keep_interval = keep_interval.value * SECOND
    c.keep_count = u32(keep_count.value)
    c.fin_timeout = 60 * SECOND
    c.armed = NEVER
    stop_timers(c)


@metal
def stop_timers(c: Connection) -> None:
    """Nothing is due."""
    c.waiting = Waiting.NOTHING
    c.transmit_deadline = NEVER
    c.ack_deadline = NEVER
    c.life_deadline = NEVER
    c.deadline = NEVER


@metal
def new_flight(c: Connection) -> Ptr[Flight]:
    """A flight with nothing set, or None."""
    flight = c.spare.pop()
    if flight is not None:
        c.spare_count -= 1
        flight.flags = 0
        flight.transmissions = 0
        return flight
    return flights.allocate()


@metal
def free_flight(c: Connection, flight: Flight) -> None:
    """Take back a flight that is on no list."""
    if c.spare_count < SPARE_FLIGHTS:
        c.spare.append(flight)
        c.spare_count += 1
    else:
        flights.free(flight)


@metal
def release(c: Connection) -> None:
    """Free everything that the connection holds but what is in the outbox and what the socket may still read."""
    while not c.in_flight.empty():
        flights.free(c.in_flight.pop())
    while not c.spare.empty():
        flights.free(c.spare.pop())
    c.spare_count = 0
    while not c.queue.empty():
        drop(c.queue.pop())
    c.unsent = None
    c.unsent_offset = 0
    c.acknowledged_in_head = 0
    c.sent_memory = 0
    c.sacked = 0
    c.lost = 0
    c.retransmitted = 0
    c.send_una = c.write_end
    c.send_next = c.write_end
    drop_runs(c)


@metal
def drop_runs(c: Connection) -> None:
    """Free what came out of order: the other side has it until it is acknowledged, whatever SACK said (RFC 2018 8)."""
    while not c.runs.empty():
        run: Run = c.runs.pop()
        while not run.packets.empty():
            packet: Packet = run.packets.pop()
            c.received_memory -= packet.base
            runs_memory.sub(u64(packet.base))
            drop(packet)
        runs.free(run)
    c.run_count = 0


@metal
def discard(c: Connection) -> None:
    """Free what the socket has not read and what was to be sent: nobody will."""
    release(c)
    while not c.received.empty():
        drop(c.received.pop())
    c.received_bytes = 0
    c.received_memory = 0
    while not c.outbox.empty():
        drop(c.outbox.pop())


@metal
def fail(c: Connection, error: u32) -> None:
    """End the connection at once with an errno, or 0 if all was said and done. What was received can still be read."""
    c.state = State.CLOSED
    if error != 0:
        c.error = error
        c.events |= ERROR_EVENT
    c.events |= CLOSED_EVENT | READABLE | WRITABLE
    stop_timers(c)
    release(c)
