"""Putting a letter into another's queue, and telling who waits for it."""

from goanna.kernel.base.errno import ENOBUFS
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.control import identify
from goanna.kernel.net.socket.message import Message
from goanna.kernel.net.unix import letter as letters
from goanna.kernel.net.unix.collect import departed
from goanna.kernel.net.unix.endpoint import READABLE, Endpoint
from goanna.kernel.net.unix.letter import Letter
from goanna.metal import Ptr, i64, metal, u64


@metal
def compose(self: Endpoint, message: Message, count: u64) -> tuple[Ptr[Letter], i64]:
    """A letter with the next `count` bytes of a message, and with its descriptors; or None and an errno."""
    letter = letters.make()
    if letter is None:
        return None, -ENOBUFS
    error = letters.fill(letter, message.transfer, count)
    if error < 0:
        letters.end(letter)
        return None, error
    self.hold()
    letter.sender = self
    self.sent.add(letter.weight)
    letter.passed = message.passed
    message.passed = None
    return letter, 0


@metal
def sign(letter: Letter, message: Message, self: Endpoint, peer: Endpoint) -> None:
    """Say in a letter who sent it, if the program says so or either end asks for it."""
    if self.socket.has(so.SO_PASSCRED) or peer.socket.has(so.SO_PASSCRED):
        identify(message)
    if message.told_identity:
        letter.identified = True
        letter.process = message.process
        letter.user = message.user
        letter.group = message.group


@metal
def put(peer: Endpoint, letter: Letter) -> None:
    """Append a letter to a queue. With the queue's lock, and with passing_lock if it carries something."""
    peer.letters.append(letter)
    peer.queued += 1
    peer.bytes += letter.length()
    if letter.passed is not None:
        departed(letter.passed)
    peer.socket.readers.wake_all()


@metal
def tell_readers(peer: Endpoint) -> None:
    """There is something to read."""
    peer.socket.watchers.notify(READABLE)
