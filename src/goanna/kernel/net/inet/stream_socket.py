"""The TCP socket's own state, what a connection tells it, and what poll and epoll see (Linux tcp_sock, tcp_poll).

Every stream socket has one connection for life; a listener's is what new ones take their options from. The lock of the
connection protects the phase, and who sleeps on `readers` and `writers` does so under it; who waits for connections
does so under the table's lock.
"""

from goanna.kernel.arch import now
from goanna.kernel.file.flags import (
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRNORM,
)
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.inet.ip_options import Wishes
from goanna.kernel.net.socket.socket import SHUT_BOTH, SHUT_READ, SHUT_WRITE, Socket
from goanna.kernel.net.tcp.arrive import connection_timer, finish, free_connection, on_deadline, on_forget, retire
from goanna.kernel.net.tcp.connection import (
    CLOSED_EVENT,
    CONNECTED,
    ERROR_EVENT,
    READABLE,
    WRITABLE,
    Connection,
    State,
)
from goanna.kernel.net.tcp.listener import Listener
from goanna.kernel.net.tcp.table import table_lock
from goanna.kernel.net.turn import end_turn
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.time.timer import NEVER, Timer, timer_cancel, timer_start
from goanna.metal import Ptr, enumeration, i32, metal, struct, u8, u32, u64, unsafe

__all__ = ["Phase", "StreamSocket", "conclude", "has_room", "hear", "hear_listener", "of", "poll", "shut_of", "sockets"]

INPUT = POLLIN | POLLRDNORM
OUTPUT = POLLOUT | POLLWRNORM


@enumeration(u8)
class Phase:
    """What has become of a socket (Linux socket_state)."""

    OPEN = 0
    CONNECTING = 1
    CONNECTED = 2
    LISTENING = 3


@struct
class StreamSocket:
    """One TCP socket."""

    socket: Socket
    listener: Listener  # its binding is the socket's, whether it listens or not
    connection: Ptr[Connection]  # never None
    phase: Phase
    used: bool  # the connection was opened once
    no_space: bool  # somebody wants to hear when there is room to send
    wishes: Wishes
    scope: u32  # index of the interface of a link-local address
    reading: Mutex  # held while what was received is looked at, never while waiting for more
    changing: Mutex  # held while the phase is changed by a call


sockets = Cache(StreamSocket)


@metal
def of(socket: Socket) -> StreamSocket:
    """The stream socket that begins with a socket."""
    return unsafe.at(StreamSocket, unsafe.address(socket))


@metal
def shut_of(self: StreamSocket) -> u32:
    """Which directions are closed, by either side. With the connection's lock."""
    c: Connection = self.connection
    shut = self.socket.shut
    if c.fin_received:
        shut |= SHUT_READ
    if self.used and c.state == State.CLOSED and self.phase in (Phase.CONNECTING, Phase.CONNECTED):
        shut = SHUT_BOTH
    return shut


@metal
def has_room(c: Connection) -> bool:
    """Whether poll calls it writable: a third of the send buffer is free (sk_stream_is_writeable)."""
    return c.sent_memory < c.send_limit and c.send_limit - c.sent_memory >= c.sent_memory // 2


@metal
def conclude(c: Connection, time: u64) -> None:
    """End what was done with a connection: what it has to send goes out, its lock is opened, and the turn is over."""
    over = finish(c, time)
    c.lock.release()
    if over:
        retire(c, time)
    end_turn()


@metal
def poll(socket: Socket) -> u32:
    """The events that hold."""
    self = of(socket)
    if self.phase == Phase.LISTENING:
        with table_lock:
            return u32(0 if self.listener.accepted.empty() else INPUT)
    c: Connection = self.connection
    events: u32 = 0
    with c.lock:
        shut = shut_of(self)
        if shut == SHUT_BOTH or c.state == State.CLOSED:
            events |= POLLHUP
        if shut & SHUT_READ != 0:
            events |= INPUT | POLLRDHUP
        if c.state not in (State.SYN_SENT, State.SYN_RECEIVED):
            if c.received_bytes != 0 and (c.received_bytes >= socket.low_water):
                events |= INPUT
            if shut & SHUT_WRITE != 0 or has_room(c):
                events |= OUTPUT
            else:
                self.no_space = True
        if socket.error != 0:
            events |= POLLERR
    return events


@metal
def hear(c: Connection) -> None:
    """Connection.notify: something happened that who waits should know. With the connection's lock."""
    happened = c.events
    c.events = 0
    if c.owner == 0:
        return
    self = unsafe.at(StreamSocket, c.owner)
    socket = self.socket
    events: u32 = 0
    if happened & ERROR_EVENT != 0:
        with socket.lock:
            socket.error = i32(c.error)
        c.error = 0
        events |= POLLERR
    if happened & READABLE != 0 and (c.received_bytes >= socket.low_water or c.fin_received):
        events |= INPUT
    if c.fin_received:
        events |= POLLRDHUP
    if happened & CONNECTED != 0 or (happened & WRITABLE != 0 and self.no_space and has_room(c)):
        self.no_space = False
        events |= OUTPUT
    if happened & CLOSED_EVENT != 0:
        events |= INPUT | OUTPUT | POLLHUP | POLLRDHUP
    if events & (INPUT | POLLRDHUP) != 0:
        socket.readers.wake_all()
    if events & OUTPUT != 0:
        socket.writers.wake_all()
    if events != 0:
        socket.watchers.notify(events)


@metal
def hear_listener(listener: Listener) -> None:
    """Listener.notify: there is a connection to accept. With the table's lock."""
    self = unsafe.at(StreamSocket, listener.owner)
    self.socket.readers.wake_one()
    self.socket.watchers.notify(INPUT)


@on_deadline.set
@metal
def set_timer(c: Connection) -> None:
    """A connection's deadline is nearer than its timer's. With its lock."""
    c.armed = c.deadline
    c.timer.callback = timer_fired
    timer_start(c.timer, c.deadline)


@metal
def timer_fired(timer: Ptr[Timer]) -> None:
    """The timer of a connection."""
    c = unsafe.container(Connection, "timer", timer)
    with c.lock:
        c.armed = NEVER
    connection_timer(c, now())
    end_turn()


@on_forget.set
@metal
def forget(c: Connection) -> None:
    """Nobody has a connection any more."""
    timer_cancel(c.timer)
    free_connection(c)
