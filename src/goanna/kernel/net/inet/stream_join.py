"""TCP sockets come and go: binding, connecting, listening, accepting, closing one direction, ending (af_inet.c)."""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import (
    EADDRINUSE,
    EAFNOSUPPORT,
    EAGAIN,
    EALREADY,
    ECONNABORTED,
    ECONNRESET,
    EINPROGRESS,
    EINVAL,
    EISCONN,
    ENETUNREACH,
    ENOMEM,
    ENOTCONN,
)
from goanna.kernel.file.flags import POLLHUP
from goanna.kernel.net.inet.names import (
    AF_INET6,
    AF_UNSPEC,
    Name,
    any_address,
    family_of,
    may_bind,
    only_six,
    read_name,
    read_own,
    to_ourselves,
    write_name,
)
from goanna.kernel.net.inet.stream_options import inherit, take_options
from goanna.kernel.net.inet.stream_socket import Phase, StreamSocket, conclude, hear, hear_listener, of, sockets
from goanna.kernel.net.path import Discover
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.socket import SHUT_READ, SHUT_WRITE, Protocol, Socket, prepare, sleep_on
from goanna.kernel.net.tcp import calls, table
from goanna.kernel.net.tcp.arrive import close_connection, open_connection
from goanna.kernel.net.tcp.connection import Connection, State, connections, discard, start
from goanna.kernel.net.tcp.listener import Listener, close_listener
from goanna.kernel.net.tcp.table import leave, table_lock
from goanna.kernel.net.turn import end_turn
from goanna.metal import Ptr, Slice, copy, i32, i64, metal, u8, u32, u64, unsafe

SEND_BUFFER = 16384  # bytes: what Linux says of a new socket (net.ipv4.tcp_wmem, tcp_rmem)
RECEIVE_BUFFER = 131072


@metal
def make(protocol: Protocol, family: u32, number: i32) -> Ptr[StreamSocket]:
    """A socket without a connection, or None: memory is out."""
    made = sockets.allocate()
    if made is not None:
        prepare(made.socket, protocol, family, so.SOCK_STREAM, number)
        made.socket.send_limit = SEND_BUFFER
        made.socket.receive_limit = RECEIVE_BUFFER
        made.wishes.discover = Discover.WANT
        made.wishes.stream = True
        any_address(family, made.listener.binding.local)
    return made


@metal
def create(protocol: Protocol, family: u32, number: i32) -> Ptr[Socket]:
    """A new socket, or None: memory is out."""
    made = make(protocol, family, number)
    if made is None:
        return None
    c = connections.allocate()
    if c is None:
        sockets.free(made)
        return None
    start(c)
    take_over(made, c)
    return made.socket


@metal
def take_over(self: StreamSocket, c: Connection) -> None:
    """Make a connection the socket's own."""
    self.connection = c
    c.owner = unsafe.address(self)
    c.notify = hear


@metal
def bind(socket: Socket, data: Slice[u8]) -> i64:
    """Take an address and port. 0 or an errno."""
    self = of(socket)
    name = Name()
    error = read_own(socket.family, data, name)
    if error < 0:
        return error
    if not name.address.is4() and name.address.multicast():
        return -EINVAL
    if socket.family == AF_INET6 and self.listener.binding.port != 0:
        return -EINVAL
    error = may_bind(name, self.wishes.only6, self.wishes.bound, True)
    if error < 0:
        return error
    with self.changing:
        if self.phase != Phase.OPEN or self.listener.binding.port != 0:
            return -EINVAL
        self.scope = name.scope
        error = take_port(self, name)
        if error == 0 and only_six(name.address):
            self.wishes.only6 = True
        return error


@metal
def take_port(self: StreamSocket, name: Name) -> i64:
    """Bind the socket's binding. With `changing`. 0 or -EADDRINUSE."""
    binding = self.listener.binding
    binding.local = name.address
    binding.only6 = self.wishes.only6
    binding.bound = self.wishes.bound
    binding.reuse_address = self.socket.has(so.SO_REUSEADDR)
    binding.reuse_port = self.socket.has(so.SO_REUSEPORT)
    binding.owner = self.socket.user
    error = table.bind(binding, name.port)
    if error < 0:
        any_address(self.socket.family, binding.local)
    return error


@metal
def connect(socket: Socket, data: Slice[u8], nonblocking: bool) -> i64:
    """Connect, and wait until that is done if it may wait. 0 or an errno."""
    self = of(socket)
    if len(data) < 2:
        return -EINVAL
    if family_of(data) == AF_UNSPEC:
        with self.changing:
            disconnect(self)
        return 0
    until = socket.send_deadline(nonblocking)
    waiting: i64 = -EALREADY
    if self.phase != Phase.CONNECTING:
        with self.changing:
            error = begin_connect(self, data)
        end_turn()
        if error < 0:
            return error
        waiting = -EINPROGRESS
        if until == 0:
            return waiting
    return wait_connected(self, until, waiting)


@metal
def begin_connect(self: StreamSocket, data: Slice[u8]) -> i64:
    """Send a SYN. With `changing`. 0 or an errno."""
    if self.phase != Phase.OPEN:
        return -EISCONN
    name = Name()
    error = read_name(self.socket.family, data, name)
    if error < 0:
        return error
    to_ourselves(name)
    if name.address.multicast() or name.address.broadcast() or (name.address.is4() and self.wishes.only6):
        return -ENETUNREACH
    binding = self.listener.binding
    own = binding.local
    if not name.address.is4() and own.is4() and not own.unspecified():
        return -EAFNOSUPPORT
    if self.used and not renew(self):
        return -ENOMEM
    c: Connection = self.connection
    bound = self.wishes.bound
    if bound == 0 and name.address.link_local() and not name.address.is4():
        bound = name.scope if name.scope != 0 else self.scope
        if bound == 0:
            return -EINVAL
    c.local = own
    c.local_port = binding.port
    c.remote = name.address
    c.remote_port = name.port
    self.scope = bound
    mark_entry(self, c)
    self.used = True
    self.phase = Phase.CONNECTING
    error = open_connection(c, bound, now())
    if error < 0:
        self.phase = Phase.OPEN
    return error


@metal
def renew(self: StreamSocket) -> bool:
    """Make a connection that is over a fresh one with the same options. False: memory is out."""
    fresh = connections.allocate()
    if fresh is None:
        return False
    start(fresh)
    c: Connection = self.connection
    inherit(fresh, c)
    take_options(self, fresh)
    fresh.owner = c.owner
    fresh.notify = hear
    with table_lock:
        leave(c.entry)
        c.lock.acquire()
        discard(c)
        fresh.retiring = c.retiring
        fresh.lock.acquire()
        copy(c, fresh)
        c.lock.release()
    fresh.lock.release()
    connections.free(fresh)
    return True


@metal
def wait_connected(self: StreamSocket, until: u64, waiting: i64) -> i64:
    """Wait until the handshake is over. 0, what went wrong, or `waiting` if the time was."""
    c: Connection = self.connection
    socket = self.socket
    with c.lock:
        while c.state in (State.SYN_SENT, State.SYN_RECEIVED):
            error = sleep_on(socket.writers, c.lock, until)
            if error == -EAGAIN:
                return waiting
            if error < 0:
                return error
        if self.phase == Phase.CONNECTED:
            return -EISCONN
        if c.state == State.CLOSED:
            self.phase = Phase.OPEN
            error = socket.take_error()
            return error if error < 0 else i64(-ECONNABORTED)
        self.phase = Phase.CONNECTED
    return 0


@metal
def disconnect(self: StreamSocket) -> None:
    """connect to AF_UNSPEC: the socket is as new, but for its binding and options. With `changing`."""
    if self.phase == Phase.LISTENING:
        stop_listening(self)
        return
    c: Connection = self.connection
    c.lock.acquire()
    time = c.moment(now())
    if c.state not in (State.CLOSED, State.TIME_WAIT, State.CLOSING, State.LAST_ACK):
        self.socket.error = ECONNRESET
    calls.abort(c, time)
    self.phase = Phase.OPEN
    conclude(c, time)
    self.socket.shut = 0


@metal
def listen(socket: Socket, backlog: u32) -> i64:
    """Let others connect, or let more or fewer wait. 0, -EINVAL or -EADDRINUSE."""
    self = of(socket)
    listener = self.listener
    with self.changing:
        if self.phase == Phase.LISTENING:
            listener.backlog = backlog
            return 0
        if self.phase != Phase.OPEN:
            return -EINVAL
        if listener.binding.port == 0:
            name = Name()
            any_address(socket.family, name.address)
            if take_port(self, name) < 0:
                return -EADDRINUSE
        listener.backlog = backlog
        listener.receive_limit = receive_limit_of(socket)
        listener.prepare = prepare_new
        listener.notify = hear_listener
        listener.owner = unsafe.address(self)
        error = table.listen(listener.binding)
        if error == 0:
            self.phase = Phase.LISTENING
        return error


@metal
def receive_limit_of(socket: Socket) -> u32:
    """Listener.receive_limit: what SO_RCVBUF was set to, 0 if it was not."""
    return 0 if socket.receive_limit == RECEIVE_BUFFER else min(socket.receive_limit, u32(1 << 30))


@metal
def prepare_new(listener: Listener, c: Connection) -> None:
    """Listener.prepare: a new connection has the listener's options. With the table's lock."""
    self = unsafe.at(StreamSocket, listener.owner)
    inherit(c, self.connection)
    take_options(self, c)
    mark_entry(self, c)


@metal
def mark_entry(self: StreamSocket, c: Connection) -> None:
    """Say whether others may bind the connection's port while it lasts."""
    c.entry.reuse_address = self.socket.has(so.SO_REUSEADDR)
    c.entry.reuse_port = self.socket.has(so.SO_REUSEPORT)


@metal
def accept(socket: Socket, nonblocking: bool) -> tuple[Ptr[Socket], i64]:
    """Wait for a connection, and take it; or None and an errno."""
    self = of(socket)
    until = socket.receive_deadline(nonblocking)
    c: Ptr[Connection] = None
    with table_lock:
        while c is None:
            if self.phase != Phase.LISTENING:
                return None, -EINVAL
            c = self.listener.accepted.pop()
            if c is None:
                error = sleep_on(socket.readers, table_lock, until)
                if error < 0:
                    return None, error
        self.listener.accepted_count -= 1
    made = make(socket.protocol, socket.family, socket.number)
    if made is None:
        close_connection(c, True, now())
        end_turn()
        return None, -ENOMEM
    adopt(self, made, c)
    return made.socket, 0


@metal
def adopt(self: StreamSocket, made: StreamSocket, c: Connection) -> None:
    """A socket of a connection that was accepted, with the listener's options."""
    socket = made.socket
    socket.options = self.socket.options
    socket.linger = self.socket.linger
    socket.low_water = self.socket.low_water
    socket.priority = self.socket.priority
    socket.mark = self.socket.mark
    socket.receive_timeout = self.socket.receive_timeout
    socket.send_timeout = self.socket.send_timeout
    socket.send_limit = self.socket.send_limit
    socket.receive_limit = self.socket.receive_limit
    made.wishes = self.wishes
    made.used = True
    made.phase = Phase.CONNECTED
    made.scope = c.path.bound
    with c.lock:
        take_over(made, c)
        if c.error != 0:
            socket.error = i32(c.error)
            c.error = 0


@metal
def name(socket: Socket, target: Slice[u8], peer: bool) -> i64:
    """getsockname and getpeername: the address's length, or -ENOTCONN."""
    self = of(socket)
    c: Connection = self.connection
    with c.lock:
        joined = self.phase in (Phase.CONNECTING, Phase.CONNECTED)
        if peer:
            if not joined or c.state in (State.CLOSED, State.SYN_SENT):
                return -ENOTCONN
            return write_name(socket.family, c.remote, c.remote_port, self.scope, target)
        if joined:
            return write_name(socket.family, c.local, c.local_port, self.scope, target)
        binding = self.listener.binding
        port = binding.port if binding.port != 0 else c.local_port  # of a connection that was: as Linux says
        return write_name(socket.family, binding.local, port, self.scope, target)


@metal
def shutdown(socket: Socket, how: u32) -> i64:
    """Close one direction or both. 0 or -ENOTCONN."""
    self = of(socket)
    c: Connection = self.connection
    with self.changing:
        if self.phase == Phase.LISTENING:
            if how & SHUT_READ != 0:
                stop_listening(self)
            return 0
        if c.state == State.SYN_SENT:
            disconnect(self)
            return 0
        error: i64 = 0
        c.lock.acquire()
        time = c.moment(now())
        if c.state == State.CLOSED:
            error = -ENOTCONN
        elif self.phase == Phase.CONNECTING:
            self.phase = Phase.CONNECTED
        socket.shut |= how
        if how & SHUT_WRITE != 0:
            calls.shut_down(c, time)
        socket.readers.wake_all()
        socket.writers.wake_all()
        conclude(c, time)
    socket.watchers.notify(0xFFFF)
    return error


@metal
def stop_listening(self: StreamSocket) -> None:
    """Accept no more, and refuse who waits to be accepted. With `changing`."""
    with table_lock:
        self.phase = Phase.OPEN
        self.socket.readers.wake_all()
    while True:
        c = close_listener(self.listener)
        if c is None:
            break
        close_connection(c, True, now())
    end_turn()
    self.socket.watchers.notify(POLLHUP)


@metal
def linger(self: StreamSocket) -> None:
    """SO_LINGER: wait until what was sent has arrived, or the time is over."""
    c: Connection = self.connection
    socket = self.socket
    until = now() + u64(socket.linger) * 1_000_000_000
    c.lock.acquire()
    time = c.moment(now())
    if c.received.empty():
        calls.shut_down(c, time)
    conclude(c, time)
    with c.lock:
        while c.state in (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK):
            self.no_space = True
            if sleep_on(socket.writers, c.lock, until) < 0:
                return


@metal
def release(socket: Socket) -> None:
    """The last descriptor is gone."""
    self = of(socket)
    if self.phase == Phase.LISTENING:
        stop_listening(self)
    lingers = socket.has(so.SO_LINGER)
    if lingers and socket.linger != 0:
        linger(self)
    c: Connection = self.connection
    with c.lock:
        c.notify = None
        c.owner = 0
    close_connection(c, lingers and socket.linger == 0, now())
    end_turn()
    table.unbind(self.listener.binding)
    sockets.free(self)


__all__ = ["accept", "bind", "connect", "create", "listen", "name", "release", "shutdown"]
