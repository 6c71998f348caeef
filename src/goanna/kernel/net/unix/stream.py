"""Streams of bytes between two Unix sockets."""

from goanna.kernel.base.errno import (
    EFAULT,
    EINVAL,
    EISCONN,
    ENOTCONN,
    EOPNOTSUPP,
    EPIPE,
)
from goanna.kernel.file.pipe import on_broken_pipe
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.control import NOBODY, put_identity, put_passed, read_control
from goanna.kernel.net.socket.message import (
    MSG_NOSIGNAL,
    MSG_OOB,
    MSG_PEEK,
    MSG_WAITALL,
    Message,
)
from goanna.kernel.net.socket.passed import Passed, discard
from goanna.kernel.net.socket.socket import SHUT_READ, SHUT_WRITE, Socket
from goanna.kernel.net.unix import letter as letters
from goanna.kernel.net.unix.collect import passing_lock, take_passed
from goanna.kernel.net.unix.deliver import compose, put, sign, tell_readers
from goanna.kernel.net.unix.endpoint import Endpoint, State, of
from goanna.kernel.net.unix.letter import LARGEST, Letter
from goanna.kernel.net.unix.names import put_name
from goanna.metal import Ptr, i64, metal, struct, u32, u64


@metal
def connected_peer(self: Endpoint) -> Ptr[Endpoint]:
    """The other end with a reference, or None."""
    with self.socket.lock:
        if self.state != State.CONNECTED or self.peer is None:
            return None
        self.peer.hold()
        return self.peer


@metal
def send(socket: Socket, message: Message) -> i64:
    """Send all, waiting for room as often as needed: the bytes sent, or an errno if there were none."""
    self = of(socket)
    error = read_control(message)
    if error < 0:
        return error
    if message.has(MSG_OOB):
        return -EOPNOTSUPP
    if message.address_length != 0:
        return -EISCONN if self.state == State.CONNECTED else -EOPNOTSUPP
    peer = connected_peer(self)
    if peer is None:
        return -ENOTCONN
    done: i64 = 0
    error = -EPIPE if (socket.shut & SHUT_WRITE) != 0 else i64(0)
    while error == 0 and message.transfer.left != 0:
        count = min(message.transfer.left, u64(LARGEST), max(u64(socket.send_limit) // 2, 64))
        error = send_part(self, peer, message, count)
        if error == 0:
            done += i64(count)
    peer.drop()
    if done != 0:
        return done
    if error == -EPIPE and not message.has(MSG_NOSIGNAL):
        on_broken_pipe()
    return error


@metal
def send_part(self: Endpoint, peer: Endpoint, message: Message, count: u64) -> i64:
    """Send one letter. 0 or an errno."""
    error = wait_for_room(self, message)
    if error < 0:
        return error
    letter, error = compose(self, message, count)
    if letter is None:
        return error
    sign(letter, message, self, peer)
    if letter.passed is not None:
        with passing_lock:
            error = post(self, peer, letter)
    else:
        error = post(self, peer, letter)
    if error < 0:
        letters.end(letter)
    else:
        tell_readers(peer)
    return error


@metal
def post(self: Endpoint, peer: Endpoint, letter: Letter) -> i64:
    """Put a letter into the other end's queue: 0, or -EPIPE if it reads no more."""
    with peer.socket.lock:
        if peer.state == State.DEAD or (peer.socket.shut & SHUT_READ) != 0:
            return -EPIPE
        put(peer, letter)
        return 0


@metal
def wait_for_room(self: Endpoint, message: Message) -> i64:
    """Wait until less than the send buffer is in use. 0, -EPIPE, -EAGAIN, -EINTR or -ERESTARTSYS."""
    socket = self.socket
    if self.sent.load() < u64(socket.send_limit) and (socket.shut & SHUT_WRITE) == 0 and socket.error == 0:
        return 0
    until = socket.send_deadline(message.nonblocking())
    with socket.lock:
        while True:
            if socket.error != 0:
                return socket.take_error_locked()
            if (socket.shut & SHUT_WRITE) != 0:
                return -EPIPE
            if self.sent.load() < u64(socket.send_limit):
                return 0
            error = socket.sleep(socket.writers, until)
            if error < 0:
                return error


@struct
class Reader:
    """How far one receive has come."""

    done: u64  # bytes
    error: i64
    begun: bool  # a letter was read
    identified: bool
    process: u32
    user: u32
    group: u32
    passed: Ptr[Passed]
    over: bool

    def accepts(self, letter: Letter, by_sender: bool) -> bool:
        """Whether a letter can be read together with those before."""
        if not self.begun or not by_sender:
            return True
        if self.identified != letter.identified:
            return False
        return self.process == letter.process and self.user == letter.user and self.group == letter.group

    def note(self, letter: Letter, message: Message) -> None:
        """The first letter says whom it is all from."""
        if self.begun:
            return
        self.begun = True
        self.identified = letter.identified
        self.process = letter.process
        self.user = letter.user
        self.group = letter.group
        if message.wants_address and letter.sender is not None and letter.sender.name_size != 0:
            message.address_length = u32(put_name(letter.sender, message.address[:]))


@metal
def receive(socket: Socket, message: Message) -> i64:
    """Wait for bytes, and give what is there: how many, 0 at the end, or an errno."""
    self = of(socket)
    if message.has(MSG_OOB) or self.state != State.CONNECTED:
        return -EINVAL
    until = socket.receive_deadline(message.nonblocking())
    wanted = max(message.transfer.left if message.has(MSG_WAITALL) else min(
        u64(socket.low_water), message.transfer.left
    ), 1)  # fmt: skip
    reader = Reader()
    while True:
        with self.busy:
            read_letters(self, message, reader)
        if reader.over or reader.error < 0 or reader.done >= wanted or (reader.begun and message.transfer.left == 0):
            break
        if message.has(MSG_PEEK) and reader.done != 0:
            break
        error = wait_for_letter(self, until)
        if error <= 0:
            reader.error = error
            break
    if reader.passed is not None or reader.done != 0 or message.control != 0:
        tell_control(self, message, reader)
    return i64(reader.done) if reader.done != 0 else reader.error


@metal
def wait_for_letter(self: Endpoint, until: u64) -> i64:
    """Wait until there is something to read: 1; 0 at the end; or an errno."""
    socket = self.socket
    with socket.lock:
        while self.letters.empty():
            if socket.error != 0:
                return socket.take_error_locked()
            # Who may not wait hears of the end of datagrams as if there were none yet, as on Linux.
            if (socket.shut & SHUT_READ) != 0 and (self.connects() or until != 0):
                return 0
            error = socket.sleep(socket.readers, until)
            if error < 0:
                return error
        return 1


@metal
def tell_control(self: Endpoint, message: Message, reader: Reader) -> None:
    """Give the receiver what goes beside the bytes."""
    if self.socket.has(so.SO_PASSCRED):
        if reader.identified:
            put_identity(message, reader.process, reader.user, reader.group)
        else:
            put_identity(message, 0, NOBODY, NOBODY)
    if reader.passed is not None:
        put_passed(message, reader.passed)
        discard(reader.passed)


@metal
def first_letter(self: Endpoint) -> Ptr[Letter]:
    """The first letter, which stays while `busy` is held."""
    with self.socket.lock:
        return self.letters.head()


@metal
def read_letters(self: Endpoint, message: Message, reader: Reader) -> None:
    """Read what is there, with `busy` held."""
    by_sender = self.socket.has(so.SO_PASSCRED)
    peeking = message.has(MSG_PEEK)
    letter = first_letter(self)
    while letter is not None:
        if not reader.accepts(letter, by_sender):
            reader.over = True
            return
        reader.note(letter, message)
        count = min(letter.length(), message.transfer.left)
        copied = letters.copy_out(letter, message.transfer, 0, count)
        reader.done += copied
        if copied < count:
            reader.over = True
            reader.error = -EFAULT
            if not peeking:
                consume(self, letter, copied)
            return
        if letter.passed is not None:
            reader.passed = letter.passed.copy() if peeking else take_passed(letter)
            reader.over = True
        following: Ptr[Letter] = None
        if peeking:
            with self.socket.lock:
                following = self.letters.after(letter)
        else:
            following = consume(self, letter, count)
        if reader.over or message.transfer.left == 0:
            return
        letter = following


@metal
def consume(self: Endpoint, letter: Letter, count: u64) -> Ptr[Letter]:
    """Take bytes off the first letter, and the letter off the queue if it has no more: the first one then."""
    letters.take_off(letter, count)
    over = letter.length() == 0
    following: Ptr[Letter] = letter
    with self.socket.lock:
        self.bytes -= count
        if over:
            self.letters.remove(letter)
            self.queued -= 1
            following = self.letters.head()
    if over:
        letters.end(letter)
    return following
