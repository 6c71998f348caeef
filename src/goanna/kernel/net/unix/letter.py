"""A letter: what one send puts into the queue of a Unix socket. A stream's letters are read as one row of bytes."""

from goanna.kernel.base.errno import EFAULT, ENOBUFS
from goanna.kernel.base.list import Link, List
from goanna.kernel.file.flags import POLLOUT, POLLWRBAND, POLLWRNORM
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net import packet as packets
from goanna.kernel.net.packet import BUFFER, BUFFER_ROOM, CHUNK, CHUNK_ROOM, SHORT, SHORT_ROOM, Packet
from goanna.kernel.net.socket.passed import Passed, discard
from goanna.metal import Ptr, i64, metal, sizeof, struct, u8, u32, u64

FEW = 3  # buffers, for what takes no more; else a chunk
LARGEST = CHUNK_ROOM  # bytes of a stream that one letter takes


@struct
class Letter:
    """What was sent at once. A queue's lock protects its place; its reader may change what is in the first one."""

    link: Link
    packet: Ptr[Packet]  # what was not read of it; None: nothing
    sender: Ptr["goanna.kernel.net.unix.endpoint.Endpoint"]  # referenced
    passed: Ptr[Passed]
    process: u32  # who sent it, if `identified`
    user: u32
    group: u32
    identified: bool
    weight: u64  # bytes of memory that count as the sender's

    def length(self) -> u64:
        """Bytes that were not read."""
        return 0 if self.packet is None else u64(self.packet.total)

    def same_sender(self, other: "Letter") -> bool:
        """Whether both say that they are from the same process, user and group."""
        if self.identified != other.identified:
            return False
        return self.process == other.process and self.user == other.user and self.group == other.group


Letters = List(Letter, "link")
letters = Cache(Letter)
LETTER_SIZE = sizeof(Letter)


@metal
def make() -> Ptr[Letter]:
    """An empty letter without a sender, or None: memory is out."""
    return letters.allocate()


@metal
def fill(letter: Letter, transfer: Transfer, count: u64) -> i64:
    """Copy bytes from a program into a letter. 0, -EFAULT or -ENOBUFS."""
    left = count
    while left != 0:
        size: u8 = CHUNK
        room: u64 = CHUNK_ROOM
        if left <= SHORT_ROOM:
            size = SHORT
            room = SHORT_ROOM
        elif left <= FEW * BUFFER_ROOM:
            size = BUFFER
            room = BUFFER_ROOM
        step = min(left, room)
        part = packets.allocate_for_program(size, 0)
        if part is None:
            return -ENOBUFS
        taken = transfer.take(part.extend(u32(step)))
        if letter.packet is None:
            letter.packet = part
        else:
            letter.packet.append(part)
        if taken != step:
            return -EFAULT
        left -= step
    letter.weight = LETTER_SIZE
    if letter.packet is not None:
        letter.weight += u64(letter.packet.footprint())
    return 0


@metal
def copy_out(letter: Letter, transfer: Transfer, skipped: u64, count: u64) -> u64:
    """Copy bytes to a program: how many. Fewer than `count` mean that its memory faulted."""
    done: u64 = 0
    part = letter.packet
    while done < count:
        here = u64(part.length)
        if skipped >= here:
            skipped -= here
        else:
            step = min(here - skipped, count - done)
            copied = transfer.put(part.bytes()[skipped : skipped + step])
            done += copied
            if copied < step:
                return done
            skipped = 0
        part = part.more
    return done


@metal
def take_off(letter: Letter, count: u64) -> None:
    """Drop the first bytes of a letter, which were read."""
    if count != 0:
        letter.packet = letter.packet.skip(u32(count))


@metal
def end(letter: Letter) -> None:
    """Free a letter that is on no queue, and let its sender go on. May sleep."""
    sender = letter.sender
    if sender is not None:
        sender.sent.sub(letter.weight)
        if sender.has_room():
            with sender.socket.lock:
                sender.socket.writers.wake_all()
            sender.socket.watchers.notify(POLLOUT | POLLWRNORM | POLLWRBAND)
        sender.drop()
    if letter.packet is not None:
        packets.drop(letter.packet)
    if letter.passed is not None:
        discard(letter.passed)
    letters.free(letter)


@metal
def end_all(letters: Letters) -> None:
    """Free the letters of a queue that nobody else sees."""
    while True:
        letter = letters.pop()
        if letter is None:
            return
        end(letter)
