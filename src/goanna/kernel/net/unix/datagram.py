"""Messages that keep their borders: SOCK_DGRAM, and SOCK_SEQPACKET, which has connections (Linux unix_dgram_*)."""

from goanna.kernel.base.errno import (
    EAGAIN,
    ECONNREFUSED,
    ECONNRESET,
    EFAULT,
    EMSGSIZE,
    ENOTCONN,
    EOPNOTSUPP,
    EPERM,
    EPIPE,
)
from goanna.kernel.file.flags import POLLERR
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.control import NOBODY, put_identity, put_passed, read_control
from goanna.kernel.net.socket.message import MSG_OOB, MSG_PEEK, Message
from goanna.kernel.net.socket.passed import Passed, discard
from goanna.kernel.net.socket.socket import SHUT_READ, Socket
from goanna.kernel.net.unix import letter as letters
from goanna.kernel.net.unix.collect import passing_lock, take_letters, take_passed
from goanna.kernel.net.unix.deliver import compose, put, sign, tell_readers
from goanna.kernel.net.unix.endpoint import WRITABLE, Endpoint, State, of
from goanna.kernel.net.unix.letter import Letter, Letters, end_all
from goanna.kernel.net.unix.names import bind_anywhere, family_of, find, find_partner, put_name
from goanna.kernel.net.unix.stream import first_letter, wait_for_letter, wait_for_room
from goanna.metal import Ptr, Slice, i64, metal, u8, u32, u64

OVERHEAD = 32  # a message is at most the send buffer less so many bytes
AF_UNSPEC = 0


@metal
def send(socket: Socket, message: Message) -> i64:
    """Send one message: its length, or an errno."""
    self = of(socket)
    if socket.kind == so.SOCK_SEQPACKET:
        error = socket.take_error()
        if error < 0:
            return error
        if self.state != State.CONNECTED:
            return -ENOTCONN
        message.address_length = 0
    error = read_control(message)
    if error < 0:
        return error
    if message.has(MSG_OOB):
        return -EOPNOTSUPP
    target, error = target_of(self, message)
    if target is None:
        return error
    if socket.has(so.SO_PASSCRED) and self.name_size == 0:
        error = bind_anywhere(self)
    count = message.transfer.left
    if error == 0 and count + OVERHEAD > u64(socket.send_limit):
        error = -EMSGSIZE
    if error == 0:
        error = wait_for_room(self, message)
    if error == 0:
        error = send_to(self, target, message, count)
    target.drop()
    return i64(count) if error == 0 else error


@metal
def target_of(self: Endpoint, message: Message) -> tuple[Ptr[Endpoint], i64]:
    """Whom a message is for, with a reference; or None and an errno."""
    if message.address_length != 0:
        return find(message.peer(), self.socket.kind)
    with self.socket.lock:
        if self.peer is None:
            return None, -ENOTCONN
        self.peer.hold()
        return self.peer, 0


@metal
def send_to(self: Endpoint, target: Endpoint, message: Message, count: u64) -> i64:
    """Deliver one message, waiting for room in the other's queue. 0 or an errno."""
    letter, error = compose(self, message, count)
    if letter is None:
        return error
    sign(letter, message, self, target)
    until = self.socket.send_deadline(message.nonblocking())
    error = -EAGAIN
    while True:
        if letter.passed is not None:
            with passing_lock:
                error = post(self, target, letter)
        else:
            error = post(self, target, letter)
        if error != -EAGAIN:
            break
        error = wait_for_queue(target, until)
        if error < 0:
            break
    if error == 0:
        tell_readers(target)
    else:
        letters.end(letter)
    if error == -ECONNREFUSED:
        forget(self, target)
    return error


@metal
def post(self: Endpoint, target: Endpoint, letter: Letter) -> i64:
    """Put a letter into a queue: 0, -EAGAIN if it is full, or another errno."""
    sequenced = self.socket.kind == so.SOCK_SEQPACKET
    with target.socket.lock:
        if target.state == State.DEAD:
            return -EPIPE if sequenced else -ECONNREFUSED
        if target.peer is not None and target.peer is not self:
            return -EPERM
        if (target.socket.shut & SHUT_READ) != 0:
            return -EPIPE
        if target is not self and target.full() and target.peer is not self:
            return -EAGAIN
        put(target, letter)
        return 0


@metal
def wait_for_queue(target: Endpoint, until: u64) -> i64:
    """Wait until another's queue has room, or it can't be sent to any more. 0 or an errno."""
    with target.socket.lock:
        while target.full() and target.state != State.DEAD and (target.socket.shut & SHUT_READ) == 0:
            error = target.socket.sleep(target.senders, until)
            if error < 0:
                return error
    return 0


@metal
def forget(self: Endpoint, target: Endpoint) -> None:
    """One that could not be reached any more is not this one's peer any more either."""
    with self.busy:
        if self.peer is target:
            set_peer(self, None)


@metal
def set_peer(self: Endpoint, new: Ptr[Endpoint]) -> None:
    """Send to another from now on, whose reference is used up, or to nobody. With `busy`."""
    old = self.peer
    if old is not None and self.friend_link.linked():
        with old.socket.lock:
            old.friends.remove(self)
    with self.socket.lock:
        self.peer = new
        self.state = State.OPEN if new is None else State.CONNECTED
    if new is not None:
        with new.socket.lock:
            new.friends.append(self)
    if old is not None:
        if old is not new:
            part(self, old)
        old.drop()


@metal
def part(self: Endpoint, old: Endpoint) -> None:
    """What came from the one that it was connected to is lost, and that one hears of it (unix_dgram_disconnected)."""
    found = Letters()
    take_letters(self, found)
    if found.empty():
        return
    end_all(found)
    tell_room(self)
    with old.socket.lock:
        if old.state != State.DEAD and old.peer is self:
            old.socket.error = ECONNRESET
            old.socket.readers.wake_all()
            old.socket.writers.wake_all()
    old.socket.watchers.notify(POLLERR)


@metal
def connect(socket: Socket, address: Slice[u8], nonblocking: bool) -> i64:
    """Say whom to send to, or with AF_UNSPEC that it is nobody. 0 or an errno."""
    self = of(socket)
    if len(address) >= 2 and family_of(address) == AF_UNSPEC:
        with self.busy:
            set_peer(self, None)
        return 0
    target, error = find_partner(self, address)
    if target is None:
        return error
    with target.socket.lock:
        if target.state == State.DEAD:
            error = -ECONNREFUSED
        elif target.peer is not None and target.peer is not self:
            error = -EPERM
    if error < 0:
        target.drop()
        return error
    with self.busy:
        set_peer(self, target)
    return 0


@metal
def tell_room(self: Endpoint) -> None:
    """There is room again in an endpoint's queue, or nobody will ever read it."""
    with self.socket.lock:
        self.senders.wake_all()
        friend = self.friends.head()
        while friend is not None:
            friend.socket.watchers.notify(WRITABLE)
            friend = self.friends.after(friend)


@metal
def receive(socket: Socket, message: Message) -> i64:
    """Wait for a message, and give it: its length, cut to the room that there is; 0 at the end; or an errno."""
    self = of(socket)
    if message.has(MSG_OOB):
        return -EOPNOTSUPP
    if socket.kind == so.SOCK_SEQPACKET and self.state != State.CONNECTED:
        return -ENOTCONN
    error = socket.take_error()
    if error < 0:
        return error
    until = socket.receive_deadline(message.nonblocking())
    while True:
        with self.busy:
            letter = first_letter(self)
            if letter is not None:
                return read_one(self, letter, message)
        error = wait_for_letter(self, until)
        if error <= 0:
            return error


@metal
def read_one(self: Endpoint, letter: Letter, message: Message) -> i64:
    """Read the first message, with `busy`."""
    peeking = message.has(MSG_PEEK)
    length = letter.length()
    if letter.sender is not None and message.wants_address and letter.sender.name_size != 0:
        message.address_length = u32(put_name(letter.sender, message.address[:]))
    passed: Ptr[Passed] = None
    if letter.passed is not None:
        passed = letter.passed.copy() if peeking else take_passed(letter)
    if not peeking:
        take_out(self, letter)
    count, result = message.fit(length)
    if letters.copy_out(letter, message.transfer, 0, count) < count:
        result = -EFAULT
    else:
        tell_control(self, message, letter, passed)
    if passed is not None:
        discard(passed)
    if not peeking:
        letters.end(letter)
    return result


@metal
def take_out(self: Endpoint, letter: Letter) -> None:
    """Take the first letter off the queue, and tell who waits for room."""
    was_full = False
    with self.socket.lock:
        was_full = self.full()
        self.letters.remove(letter)
        self.queued -= 1
        self.bytes -= letter.length()
    if was_full:
        tell_room(self)


@metal
def tell_control(self: Endpoint, message: Message, letter: Letter, passed: Ptr[Passed]) -> None:
    """Give the receiver what goes beside the bytes."""
    if self.socket.has(so.SO_PASSCRED):
        if letter.identified:
            put_identity(message, letter.process, letter.user, letter.group)
        else:
            put_identity(message, 0, NOBODY, NOBODY)
    if passed is not None:
        put_passed(message, passed)
