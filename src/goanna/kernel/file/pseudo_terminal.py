"""Pseudo-terminals: /dev/ptmx makes a pair, /dev/pts/N is its terminal, the master's reads are what it shows and the
master's writes what is typed (pty(7), pts(4); Linux drivers/tty/pty.c).
"""

from goanna.kernel.arch import interrupt_window
from goanna.kernel.base.errno import EAGAIN, EFAULT, EIO, ENOMEM, ENOSPC, ERESTARTSYS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file import terminal_settings as numbers
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.flags import (
    FIONREAD,
    O_NOCTTY,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLPRI,
    POLLRDNORM,
    POLLWRNORM,
)
from goanna.kernel.file.line_discipline import typed
from goanna.kernel.file.terminal import OUTPUT_SIZE, Terminal, release_memory, terminals
from goanna.kernel.file.terminal_calls import check_exclusive, control_both, control_terminal
from goanna.kernel.file.terminal_file import (
    CHUNK,
    poll_terminal,
    read_terminal,
    terminal_of,
    terminal_watchers,
    write_terminal,
)
from goanna.kernel.file.terminal_output import note_shown
from goanna.kernel.file.terminal_session import clear_session, get_group, get_session, hang_up, send_keys, take_if_free
from goanna.kernel.file.terminal_settings import PACKET_DATA
from goanna.kernel.file.transfer import Transfer, put_count
from goanna.kernel.file.tree import attributes_by_entry
from goanna.kernel.file.watch import Watchers
from goanna.kernel.identity.credentials import mine
from goanna.kernel.memory import user
from goanna.kernel.thread.process import tree_lock
from goanna.kernel.thread.wait import Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Fn, Ptr, Slice, constant, hook, i64, metal, static, u8, u32, u64, unsafe

MAXIMUM_PAIRS = 256
READABLE, WRITABLE = POLLIN | POLLRDNORM, POLLOUT | POLLWRNORM
FILE_MODE = 0o620

pairs_lock = static(SpinLock)  # protects the table, and which ends of a pair are open
pairs = static(Array[Ptr[Terminal], MAXIMUM_PAIRS])

# A new descriptor of a pair's terminal, by its path: TIOCGPTPEER with open's flags. Set by pts_tree.py.
open_peer = hook(Fn[[u32, u32], i64])
# The name of a pair's terminal goes. Set by pts_tree.py.
forget_name = hook(Fn[[u32], None])


@metal
def open_master(flags: u32) -> tuple[Ptr[Description], i64]:
    """Open /dev/ptmx: a new pair, whose terminal is locked."""
    made = terminals.allocate()
    if made is None:
        return None, -ENOMEM
    if not made.setup():
        terminals.free(made)
        return None, -ENOMEM
    made.pseudo = True
    made.locked = True
    made.master_open = True
    made.references = 1
    made.user = mine().file_user
    made.owner_group = mine().file_group
    made.mode = FILE_MODE
    number: u64 = MAXIMUM_PAIRS
    with pairs_lock:
        for index in range(u64(MAXIMUM_PAIRS)):
            if pairs[index] is None:
                pairs[index] = made
                made.number = u32(index)
                number = index
                break
    description: Ptr[Description] = None
    if number != MAXIMUM_PAIRS:
        description = create(MASTER, flags, unsafe.address(made))
    if description is None:
        withdraw(made)
        leave_pair(made)
        return None, -ENOSPC if number == MAXIMUM_PAIRS else -ENOMEM
    return description, 0


@metal
def withdraw(terminal: Terminal) -> None:
    """The master is closed: nobody finds the pair any more."""
    with pairs_lock:
        terminal.master_open = False
        if pairs[u64(terminal.number)] is terminal:
            pairs[u64(terminal.number)] = None


@metal
def leave_pair(terminal: Terminal) -> None:
    """Give a reference back: the last one frees the pair."""
    free = False
    with pairs_lock:
        terminal.references -= 1
        free = terminal.references == 0
    if free:
        release_memory(terminal)


@metal
def join_pair(terminal: Terminal) -> None:
    """One description more of the terminal. pairs_lock held."""
    terminal.slaves += 1
    terminal.references += 1


@metal
def close_slave(terminal: Terminal) -> bool:
    """One description less, whose reference stays; whether it was the last."""
    with pairs_lock:
        terminal.slaves -= 1
        return terminal.slaves == 0


@metal
def find_pair(number: u32) -> bool:
    """Whether there is such a terminal."""
    with pairs_lock:
        return number < MAXIMUM_PAIRS and pairs[number] is not None


@metal
def open_slave(number: u32, flags: u32) -> tuple[Ptr[Description], i64]:
    """Open /dev/pts/N. -EIO: it is locked, or gone."""
    terminal: Ptr[Terminal] = None
    with pairs_lock:
        if number < MAXIMUM_PAIRS:
            terminal = pairs[number]
        if terminal is None or terminal.locked or not terminal.master_open:
            return None, -EIO
        join_pair(terminal)
    found: Terminal = terminal
    error = check_exclusive(found)
    description: Ptr[Description] = None
    if error == 0:
        description = create(SLAVE, flags & ~u32(O_NOCTTY), unsafe.address(found))
        error = -ENOMEM
    if description is None:
        close_slave(found)
        leave_pair(found)
        return None, error
    description.position = found.hangups
    found.slave_opened = True
    if flags & O_NOCTTY == 0 and description.readable():
        take_if_free(found)
    return description, 0


@metal
def release_slave(description: Description) -> None:
    """A description of the terminal is gone. After the last one the master is at its end, until it is opened again."""
    terminal = terminal_of(description)
    if close_slave(terminal):
        with tree_lock:
            clear_session(terminal)
        with terminal.lock:
            terminal.viewers.wake_all()
        terminal.master_watchers.notify(READABLE | POLLHUP)
    leave_pair(terminal)


@metal
def release_master(description: Description) -> None:
    """The master is gone: the terminal hangs up."""
    terminal = terminal_of(description)
    forget_name(terminal.number)
    withdraw(terminal)
    hang_up(terminal)
    leave_pair(terminal)


@metal
def other_closed(terminal: Terminal) -> bool:
    """Whether the terminal was opened and nobody has it open now."""
    return terminal.slave_opened and terminal.slaves == 0


@metal
def read_master(description: Description, transfer: Transfer) -> i64:
    """What the terminal shows; with packets, after a byte that says what it is. -EIO: nobody has the terminal open."""
    if transfer.left == 0:
        return 0
    terminal = terminal_of(description)
    chunk = unsafe.uninitialized(Array[u8, CHUNK])
    done: u64 = 0
    while transfer.left != 0:
        count: u64 = 0
        error: i64 = 0
        status: u8 = PACKET_DATA
        packets = False
        with terminal.lock:
            if done == 0:
                error = await_output(description, transfer)
            if error < 0:
                return error
            packets = terminal.packets
            if done == 0 and packets:
                status = terminal.packet_status
                terminal.packet_status = PACKET_DATA
            if status == PACKET_DATA:
                limit = transfer.left - 1 if packets and done == 0 else transfer.left
                count = take_output(terminal, chunk[0 : min(limit, CHUNK)])
        if done == 0 and packets:
            head = Array[u8, 1]()
            head[0] = status
            if transfer.put(head) == 0:
                return -EFAULT
            done = 1
            if status != PACKET_DATA:
                return 1
        if count == 0:
            break
        copied = transfer.put(chunk[0:count])
        done += copied
        if copied < count:
            return i64(done) if done != 0 else -EFAULT
        interrupt_window()
    return i64(done)


@metal
def await_output(description: Description, transfer: Transfer) -> i64:
    """Sleep until there is something to read: 0 or an errno. Lock held."""
    terminal = terminal_of(description)
    while True:
        if terminal.packets and terminal.packet_status != PACKET_DATA:
            return 0
        if terminal.waiting_output() != 0 and not terminal.stopped:
            return 0
        if other_closed(terminal):
            return -EIO
        if description.nonblocking() or transfer.nonblocking:
            return -EAGAIN
        if terminal.viewers.wait(terminal.lock, NEVER, True) == Wake.SIGNAL:
            return -ERESTARTSYS


@metal
def take_output(terminal: Terminal, chunk: Slice[u8]) -> u64:
    """Move out what is shown: how many bytes. Lock held."""
    count = min(len(chunk), terminal.waiting_output())
    for index in range(count):
        chunk[index] = unsafe.load(u8, terminal.output + (terminal.shown + index) % OUTPUT_SIZE)
    if count != 0:
        note_shown(terminal, count)
    return count


@metal
def write_master(description: Description, transfer: Transfer) -> i64:
    """Type. -EIO: nobody has the terminal open any more."""
    terminal = terminal_of(description)
    chunk = unsafe.uninitialized(Array[u8, CHUNK])
    written: u64 = 0
    while transfer.left != 0:
        wanted = min(transfer.left, CHUNK)
        count = transfer.take(chunk[0:wanted])
        done: u64 = 0
        while done < count:
            error: i64 = 0
            with terminal.lock:
                if other_closed(terminal):
                    error = -EIO
                else:
                    done += typed(terminal, chunk[done:count])
                if error == 0 and done < count:
                    error = await_reader(description, transfer)
            send_keys(terminal)
            if error < 0:
                return i64(written + done) if written + done != 0 else error
        written += done
        if count < wanted:
            return i64(written) if written != 0 else -EFAULT
        interrupt_window()
    return i64(written)


@metal
def await_reader(description: Description, transfer: Transfer) -> i64:
    """Sleep until somebody has read what was typed: 0 or an errno. Lock held; signals of keys are sent first."""
    terminal = terminal_of(description)
    if terminal.signals != 0:
        return 0
    if description.nonblocking() or transfer.nonblocking:
        return -EAGAIN
    terminal.refused = True
    return -ERESTARTSYS if terminal.typists.wait(terminal.lock, NEVER, True) == Wake.SIGNAL else i64(0)


@metal
def poll_master(description: Description) -> u32:
    """Readable when something is shown, hung up when nobody has the terminal open."""
    terminal = terminal_of(description)
    with terminal.lock:
        events: u32 = 0
        if terminal.waiting_output() != 0 and not terminal.stopped:
            events = READABLE
        if terminal.packets and terminal.packet_status != PACKET_DATA:
            events |= READABLE | POLLPRI
        if other_closed(terminal):
            events |= POLLHUP
        if terminal.room() != 0:
            events |= WRITABLE
        return events


@metal
def master_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for the master."""
    return terminal_of(description).master_watchers


@metal
def control_master(description: Description, command: u32, argument: u64) -> i64:
    """ioctl of the master: of the pair, or of the terminal."""
    terminal = terminal_of(description)
    match command:
        case numbers.TIOCGPTN:
            return user.put(argument, terminal.number)
        case numbers.TIOCSPTLCK:
            wanted, error = user.get(u32, argument)
            if error == 0:
                terminal.locked = wanted != 0
            return error
        case numbers.TIOCGPTLCK:
            return user.put(argument, u32(terminal.locked))
        case numbers.TIOCPKT:
            wanted, error = user.get(u32, argument)
            if error == 0:
                with terminal.lock:
                    terminal.packets = wanted != 0
                    terminal.packet_status = PACKET_DATA
            return error
        case numbers.TIOCGPKT:
            return user.put(argument, u32(terminal.packets))
        case numbers.TIOCGPTPEER:
            return open_peer(terminal.number, u32.wrap(argument))
        case numbers.TIOCGPGRP:
            return get_group(terminal, True, argument)
        case numbers.TIOCGSID:
            return get_session(terminal, True, argument)
    if command == FIONREAD:
        return put_count(argument, terminal.waiting_output())
    return control_both(description, terminal, command, argument)


SLAVE = constant(
    Operations,
    {
        "read": read_terminal,
        "write": write_terminal,
        "poll": poll_terminal,
        "watchers": terminal_watchers,
        "attributes": attributes_by_entry,
        "control": control_terminal,
        "release": release_slave,
    },
)
MASTER = constant(
    Operations,
    {
        "read": read_master,
        "write": write_master,
        "poll": poll_master,
        "watchers": master_watchers,
        "attributes": attributes_by_entry,
        "control": control_master,
        "release": release_master,
        "open": open_master,
    },
)

__all__ = [
    "MASTER",
    "MAXIMUM_PAIRS",
    "close_slave",
    "find_pair",
    "forget_name",
    "join_pair",
    "leave_pair",
    "open_peer",
    "open_slave",
    "pairs",
    "pairs_lock",
]
