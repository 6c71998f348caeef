"""Connections between Unix sockets: listening, connecting, accepting, closing one direction, ending."""

from goanna.kernel.base.errno import (
    ECONNREFUSED,
    ECONNRESET,
    EINVAL,
    EISCONN,
    ENOMEM,
    ENOTCONN,
    EOPNOTSUPP,
)
from goanna.kernel.file.flags import POLLERR, POLLHUP, POLLRDHUP
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.socket import SHUT_BOTH, SHUT_READ, SHUT_WRITE, Socket, prepare
from goanna.kernel.net.unix.collect import collect, take_letters
from goanna.kernel.net.unix.datagram import set_peer, tell_room
from goanna.kernel.net.unix.endpoint import (
    DATAGRAMS,
    READABLE,
    WRITABLE,
    Endpoint,
    State,
    endpoints,
    of,
)
from goanna.kernel.net.unix.letter import Letters, end_all
from goanna.kernel.net.unix.names import enter, find_partner, leave_name, put_name
from goanna.metal import Ptr, Slice, copy, i64, metal, u8, u32, u64

CHANGED = READABLE | WRITABLE | POLLHUP | POLLRDHUP | POLLERR


@metal
def listen(socket: Socket, backlog: u32) -> i64:
    """Let others connect. 0 or an errno."""
    self = of(socket)
    if not self.connects():
        return -EOPNOTSUPP
    with socket.lock:
        if self.name_size == 0 or self.state not in (State.OPEN, State.LISTENING):
            return -EINVAL
        if backlog > self.backlog:
            self.senders.wake_all()
        self.backlog = backlog
        self.state = State.LISTENING
        self.me.fill()
        return 0


@metal
def connect(socket: Socket, address: Slice[u8], nonblocking: bool) -> i64:
    """Connect to one that listens. 0 or an errno."""
    self = of(socket)
    target, error = find_partner(self, address)
    if target is None:
        return error
    until = socket.send_deadline(nonblocking)
    with target.socket.lock:
        error = wait_to_join(target, until)
    if error == 0:
        error = begin(self)
    if error == 0:
        error = join(self, target, until)
        with socket.lock:
            self.state = State.CONNECTED if error == 0 else State.OPEN
    target.drop()
    if error == 0:
        socket.watchers.notify(CHANGED)
    return error


@metal
def wait_to_join(target: Endpoint, until: u64) -> i64:
    """Wait until one that listens has room for a connection. With its lock. 0 or an errno."""
    while True:
        if target.state != State.LISTENING or (target.socket.shut & SHUT_READ) != 0:
            return -ECONNREFUSED
        if not target.full():
            return 0
        error = target.socket.sleep(target.senders, until)
        if error < 0:
            return error


@metal
def begin(self: Endpoint) -> i64:
    """Say that a connection is being made, so that nobody else makes one. 0, -EISCONN or -EINVAL."""
    with self.socket.lock:
        if self.state == State.CONNECTED:
            return -EISCONN
        if self.state != State.OPEN:
            return -EINVAL
        self.state = State.CONNECTING
        self.me.fill()
        return 0


@metal
def join(self: Endpoint, target: Endpoint, until: u64) -> i64:
    """Make the other end of a connection and put it where it waits to be accepted. 0 or an errno."""
    other = new_endpoint(target.socket)
    if other is None:
        return -ENOMEM
    other.state = State.CONNECTED
    copy(other.partner, self.me)
    other.has_partner = True
    self.hold()
    other.peer = self
    error: i64 = 0
    with target.socket.lock:
        error = wait_to_join(target, until)
        if error == 0:
            copy(self.partner, target.me)
            other.name_size = target.name_size
            copy(other.name, target.name)
            self.has_partner = True
            other.hold()
            self.peer = other
            target.pending.append(other)
            enter(other)
            target.waiting += 1
            target.socket.readers.wake_all()
    if error < 0:
        self.drop()
        endpoints.free(other)
        return error
    target.socket.watchers.notify(READABLE)
    return 0


@metal
def new_endpoint(like: Socket) -> Ptr[Endpoint]:
    """An endpoint of the same kind as a socket, with one reference, or None: memory is out."""
    made = endpoints.allocate()
    if made is not None:
        made.references.store(1)
        made.backlog = DATAGRAMS
        prepare(made.socket, like.protocol, like.family, like.kind, like.number)
        made.socket.options = like.options & (1 << so.SO_PASSCRED)
    return made


@metal
def accept(socket: Socket, nonblocking: bool) -> tuple[Ptr[Socket], i64]:
    """Wait for a connection, and take it; or None and an errno."""
    self = of(socket)
    if not self.connects():
        return None, -EOPNOTSUPP
    until = socket.receive_deadline(nonblocking)
    with socket.lock:
        while True:
            if self.state != State.LISTENING:
                return None, -EINVAL
            found = self.pending.pop()
            if found is not None:
                self.waiting -= 1
                self.senders.wake_one()
                return found.socket, 0
            if (socket.shut & SHUT_READ) != 0:
                return None, -EINVAL
            error = socket.sleep(socket.readers, until)
            if error < 0:
                return None, error


@metal
def pair(one: Socket, other: Socket) -> None:
    """Connect two new sockets with each other."""
    first = of(one)
    second = of(other)
    first.me.fill()
    second.me.fill()
    meet(first, second)
    meet(second, first)


@metal
def meet(self: Endpoint, other: Endpoint) -> None:
    """Let one end of a pair send to the other."""
    other.hold()
    self.peer = other
    self.state = State.CONNECTED
    copy(self.partner, other.me)
    self.has_partner = True


@metal
def name(socket: Socket, target: Slice[u8], peer: bool) -> i64:
    """getsockname and getpeername: the address's length, or -ENOTCONN."""
    self = of(socket)
    if not peer:
        return i64(put_name(self, target))
    other: Ptr[Endpoint] = None
    with socket.lock:
        if self.peer is None or self.state == State.CONNECTING:
            return -ENOTCONN
        other = self.peer
        other.hold()
    size = put_name(other, target)
    other.drop()
    return i64(size)


@metal
def shutdown(socket: Socket, directions: u32) -> i64:
    """Close one direction, or both. The other end of a connection closes the opposite one. Always 0."""
    self = of(socket)
    peer: Ptr[Endpoint] = None
    with socket.lock:
        socket.shut |= directions
        if self.connects() and self.state == State.CONNECTED and self.peer is not None:
            peer = self.peer
            peer.hold()
    wake(self)
    if peer is not None:
        opposite: u32 = 0
        if (directions & SHUT_READ) != 0:
            opposite |= SHUT_WRITE
        if (directions & SHUT_WRITE) != 0:
            opposite |= SHUT_READ
        with peer.socket.lock:
            peer.socket.shut |= opposite
        wake(peer)
        peer.drop()
    return 0


@metal
def wake(self: Endpoint) -> None:
    """Something about an endpoint has changed that all who wait for it want to know."""
    with self.socket.lock:
        self.socket.readers.wake_all()
        self.socket.writers.wake_all()
        self.senders.wake_all()
    self.socket.watchers.notify(CHANGED)


@metal
def release(socket: Socket) -> None:
    """The descriptor is gone."""
    end(of(socket), False)
    collect()


@metal
def end(self: Endpoint, unaccepted: bool) -> None:
    """An endpoint that no descriptor leads to any more is dead."""
    leave_name(self)
    peer: Ptr[Endpoint] = None
    unread = unaccepted
    with self.socket.lock:
        unread = unread or not self.letters.empty()
        self.state = State.DEAD
        self.socket.shut = SHUT_BOTH
        self.socket.readers.wake_all()
        self.socket.writers.wake_all()
        if self.connects():
            peer = self.peer
            self.peer = None
    if peer is not None:
        with peer.socket.lock:
            peer.socket.shut = SHUT_BOTH
            if unread:
                peer.socket.error = ECONNRESET
        wake(peer)
        peer.drop()
    if not self.connects():
        with self.busy:
            if self.friend_link.linked():
                set_peer(self, None)
            elif self.peer is not None:
                peer = self.peer
                self.peer = None
                peer.drop()
            self.state = State.DEAD
    end_pending(self)
    tell_room(self)
    found = Letters()
    take_letters(self, found)
    end_all(found)
    self.drop()


@metal
def end_pending(self: Endpoint) -> None:
    """Refuse the connections that nobody accepted."""
    while True:
        other: Ptr[Endpoint] = None
        with self.socket.lock:
            other = self.pending.pop()
        if other is None:
            return
        end(other, True)
