"""Reads and writes of a terminal, and its poll (Linux drivers/tty/n_tty.c: n_tty_read, n_tty_write, n_tty_poll).

A description remembers in `position` how often its terminal had hung up when it was opened: after one more, it is at
its end.
"""

from goanna.kernel.arch import interrupt_window, now
from goanna.kernel.base.errno import EAGAIN, EFAULT, EIO, ERESTARTSYS
from goanna.kernel.file.description import Description
from goanna.kernel.file.flags import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
from goanna.kernel.file.line_discipline import wanted_by_poll
from goanna.kernel.file.terminal import Terminal, typing_wanted
from goanna.kernel.file.terminal_output import WAKEUP, put_some, show
from goanna.kernel.file.terminal_session import check_job
from goanna.kernel.file.terminal_settings import DISABLED, ICANON, TOSTOP, VMIN, VTIME
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.watch import Watchers
from goanna.kernel.signal.numbers import SIGTTIN, SIGTTOU
from goanna.kernel.thread.wait import Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Ptr, Slice, i64, metal, struct, u8, u32, u64, unsafe

CHUNK = 256
DECISECOND = 100_000_000  # nanoseconds
READABLE, WRITABLE = POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM
HUNG_UP = READABLE | WRITABLE | POLLERR | POLLHUP


@metal
def terminal_of(description: Description) -> Terminal:
    """The terminal below a description."""
    return unsafe.at(Terminal, description.object)


@metal
def hung_up(description: Description) -> bool:
    """Whether the terminal has hung up since it was opened."""
    return terminal_of(description).hangups != description.position


@struct
class Reading:
    """One read under way."""

    limit: u64  # bytes asked for
    done: u64
    least: u64  # bytes after which it is over where there are no lines
    deadline: u64
    between: u64  # nanoseconds that may pass between two bytes; 0: any time

    def start(self, terminal: Terminal) -> None:
        """What VMIN and VTIME mean for it. Lock held."""
        self.least = 1
        self.deadline = NEVER
        if terminal.has(ICANON):
            return
        least = u64(terminal.settings.characters[VMIN])
        time = u64(terminal.settings.characters[VTIME]) * DECISECOND
        if least == 0:
            self.deadline = now() + time
        else:
            self.least = least
            self.between = time


@metal
def read_terminal(description: Description, transfer: Transfer) -> i64:
    """A line, or as many bytes as VMIN and VTIME say."""
    terminal = terminal_of(description)
    if hung_up(description):
        return 0
    error = check_job(terminal, SIGTTIN)
    if error < 0:
        return error
    if transfer.left == 0:
        return 0
    reading = Reading(limit=transfer.left)
    with terminal.lock:
        reading.start(terminal)
    chunk = unsafe.uninitialized(Array[u8, CHUNK])
    over = False
    while not over and transfer.left != 0:
        count: u64 = 0
        with terminal.lock:
            error = await_bytes(description, transfer, reading)
            if error == 0:
                count, over = take_bytes(terminal, chunk[0 : min(transfer.left, CHUNK)], reading)
        if error < 0:
            break
        copied = transfer.put(chunk[0:count])
        reading.done += copied
        if copied < count:
            error = -EFAULT
            break
        if reading.between != 0:
            reading.deadline = now() + reading.between
        interrupt_window()
    ask_for_more(terminal)
    if error < 0 and error != ENDED:
        return i64(reading.done) if reading.done != 0 else error
    return i64(reading.done)


ENDED = -100_000  # await_bytes: the read is over, with what there is


@metal
def await_bytes(description: Description, transfer: Transfer, reading: Reading) -> i64:
    """Sleep until there is something to read: 0, ENDED, or an errno if there was nothing. Lock held."""
    terminal = terminal_of(description)
    while not terminal.readable(1):
        if terminal.hangups != description.position:
            return ENDED
        if reading.deadline <= now():
            return ENDED
        if description.nonblocking() or transfer.nonblocking:
            return -EAGAIN
        if terminal.refused:
            # The device may hold what was typed, and nobody else would ask for it.
            return ENDED if reading.done != 0 else wait_after_asking(terminal)
        if terminal.readers.wait(terminal.lock, reading.deadline, True) == Wake.SIGNAL:
            return -ERESTARTSYS
    return 0


@metal
def wait_after_asking(terminal: Terminal) -> i64:
    """Ask the other end for what it holds, with the lock open. 0: look again."""
    terminal.lock.release()
    ask_for_more(terminal)
    terminal.lock.acquire()
    return 0


@metal
def take_bytes(terminal: Terminal, chunk: Slice[u8], reading: Reading) -> tuple[u64, bool]:
    """Move bytes out: how many, and whether the read is over. Lock held."""
    if terminal.has(ICANON):
        count, over = take_line(terminal, chunk)
        if not over and reading.done + count == reading.limit:
            skip_end(terminal)
        return count, over
    count: u64 = 0
    while count < len(chunk) and terminal.tail != terminal.head:
        chunk[count] = terminal.byte_at(terminal.tail)
        terminal.tail += 1
        count += 1
    terminal.canonical = max(terminal.canonical, terminal.tail)
    return count, terminal.tail == terminal.head and reading.done + count >= reading.least


@metal
def take_line(terminal: Terminal, chunk: Slice[u8]) -> tuple[u64, bool]:
    """Bytes of a line, and whether its end was among them. What ends a file is no byte. Lock held."""
    count: u64 = 0
    while count < len(chunk) and terminal.tail != terminal.canonical:
        byte = terminal.byte_at(terminal.tail)
        ends = terminal.marked(terminal.tail)
        terminal.tail += 1
        if ends and byte == DISABLED:
            return count, True
        chunk[count] = byte
        count += 1
        if ends:
            return count, True
    return count, False


@metal
def skip_end(terminal: Terminal) -> None:
    """A read that was just filled takes an end of file along that follows at once. Lock held."""
    at = terminal.tail
    if at != terminal.canonical and terminal.marked(at) and terminal.byte_at(at) == DISABLED:
        terminal.tail += 1


@metal
def ask_for_more(terminal: Terminal) -> None:
    """After a read: if the other end was refused, there is room for it now. No lock is held."""
    asks = False
    with terminal.lock:
        asks = terminal.refused and terminal.room() != 0
        if asks:
            terminal.refused = False
            terminal.typists.wake_all()
    if not asks:
        return
    if terminal.pseudo:
        terminal.master_watchers.notify(WRITABLE)
    else:
        typing_wanted()


@metal
def write_terminal(description: Description, transfer: Transfer) -> i64:
    """Write everything, as the settings have it shown, waiting for room."""
    terminal = terminal_of(description)
    if hung_up(description):
        return -EIO
    if terminal.has(TOSTOP):
        error = check_job(terminal, SIGTTOU)
        if error < 0:
            return error
    chunk = unsafe.uninitialized(Array[u8, CHUNK])
    written: u64 = 0
    while transfer.left != 0:
        wanted = min(transfer.left, CHUNK)
        count = transfer.take(chunk[0:wanted])
        done: u64 = 0
        while done < count:
            error: i64 = 0
            with terminal.lock:
                error = await_room(description, transfer)
                if error == 0:
                    done += put_some(terminal, chunk[done:count])
                    show(terminal)
            if error < 0:
                return i64(written + done) if written + done != 0 else error
        written += done
        if count < wanted:
            return i64(written) if written != 0 else -EFAULT
        interrupt_window()
    return i64(written)


@metal
def await_room(description: Description, transfer: Transfer) -> i64:
    """Sleep until something can be written: 0 or an errno. Lock held."""
    terminal = terminal_of(description)
    while True:
        if terminal.hangups != description.position:
            return -EIO
        if terminal.output_room() >= WAKEUP:
            return 0
        show(terminal)
        if terminal.output_room() >= WAKEUP:
            return 0
        if description.nonblocking() or transfer.nonblocking:
            return -EAGAIN
        if terminal.writers.wait(terminal.lock, NEVER, True) == Wake.SIGNAL:
            return -ERESTARTSYS


@metal
def poll_terminal(description: Description) -> u32:
    """Readable when a read would find a line, or as many bytes as it waits for; writable when little waits."""
    terminal = terminal_of(description)
    with terminal.lock:
        if terminal.hangups != description.position:
            return HUNG_UP
        events: u32 = 0
        if terminal.readable(wanted_by_poll(terminal)):
            events = READABLE
        show(terminal)
        if terminal.waiting_output() < WAKEUP and not terminal.stopped:
            events |= WRITABLE
        return events


@metal
def terminal_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for it."""
    return terminal_of(description).watchers
