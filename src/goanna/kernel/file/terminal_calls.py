"""ioctl of terminals, from either end (ioctl_tty(2); Linux drivers/tty/tty_io.c and tty_ioctl.c)."""

from goanna.kernel.base.errno import EBUSY, EINVAL, EIO, ENOTTY, EPERM, ERESTARTSYS
from goanna.kernel.file import terminal_settings as numbers
from goanna.kernel.file.description import Description
from goanna.kernel.file.flags import FIONREAD
from goanna.kernel.file.line_discipline import typed
from goanna.kernel.file.terminal import Terminal
from goanna.kernel.file.terminal_file import ask_for_more, hung_up, terminal_of
from goanna.kernel.file.terminal_output import show, start_output, stop_output
from goanna.kernel.file.terminal_session import (
    check_job,
    get_group,
    get_session,
    give_up,
    hang_up,
    send_keys,
    set_group,
    take_by_call,
)
from goanna.kernel.file.terminal_settings import (
    EXTPROC,
    FLUSH_BOTH,
    FLUSH_INPUT,
    FLUSH_OUTPUT,
    ICANON,
    IXON,
    OLD_SIZE,
    SEND_STOP,
    TCFLSH,
    TCSBRK,
    TCSBRKP,
    TCSETS,
    TCSETS2,
    TCSETSF,
    TCSETSF2,
    TCSETSW,
    TCSETSW2,
    TCXONC,
    TIOCEXCL,
    TIOCOUTQ,
    TIOCSETD,
    TIOCSPGRP,
    VSTART,
    VSTOP,
    Settings,
    WindowSize,
)
from goanna.kernel.file.transfer import put_count
from goanna.kernel.identity.credentials import CAP_SYS_ADMIN, capable
from goanna.kernel.memory import user
from goanna.kernel.signal.numbers import SIGTTOU, SIGWINCH
from goanna.kernel.signal.state import mask_of
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.process import tree_lock
from goanna.kernel.thread.wait import Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Slice, copy, i64, metal, sizeof, u8, u32, u64, unsafe

MAJOR_CONSOLE, MAJOR_PSEUDO = 229, 136
# What a process in the background may not do.
CHANGES = (TCSETS, TCSETSW, TCSETSF, TCSETS2, TCSETSW2, TCSETSF2, TCSBRK, TCSBRKP, TCXONC, TCFLSH, TIOCSPGRP, TIOCSETD)


@metal
def control_terminal(description: Description, command: u32, argument: u64) -> i64:
    """ioctl of a terminal itself."""
    terminal = terminal_of(description)
    if hung_up(description):
        return -ENOTTY if command == TIOCSPGRP else -EIO
    if command in CHANGES:
        error = check_job(terminal, SIGTTOU)
        if error < 0:
            return error
    match command:
        case numbers.TIOCSCTTY:
            return take_by_call(terminal, argument)
        case numbers.TIOCNOTTY:
            return give_up(terminal)
        case numbers.TIOCGPGRP:
            return get_group(terminal, False, argument)
        case numbers.TIOCGSID:
            return get_session(terminal, False, argument)
        case numbers.TIOCSTI:
            return pretend_typing(terminal, argument)
        case numbers.TIOCVHANGUP:
            if not capable(CAP_SYS_ADMIN):
                return -EPERM
            hang_up(terminal)
            return 0
    if command == FIONREAD:
        with terminal.lock:
            count = terminal.canonical - terminal.tail if terminal.has(ICANON) else terminal.head - terminal.tail
        return put_count(argument, count)
    if command == TIOCOUTQ:
        return put_count(argument, 0 if terminal.pseudo else terminal.waiting_output())
    return control_both(description, terminal, command, argument)


@metal
def control_both(description: Description, terminal: Terminal, command: u32, argument: u64) -> i64:
    """What the terminal and its master answer alike."""
    match command:
        case numbers.TCGETS:
            return get_settings(terminal, argument, OLD_SIZE)
        case numbers.TCGETS2:
            return get_settings(terminal, argument, sizeof(Settings))
        case numbers.TCSETS | numbers.TCSETSW | numbers.TCSETSF:
            return set_settings(description, terminal, argument, OLD_SIZE, command != TCSETS, command == TCSETSF)
        case numbers.TCSETS2 | numbers.TCSETSW2 | numbers.TCSETSF2:
            size: u64 = sizeof(Settings)
            return set_settings(description, terminal, argument, size, command != TCSETS2, command == TCSETSF2)
        case numbers.TIOCGWINSZ:
            window = WindowSize()
            with terminal.lock:
                copy(window, terminal.window)
            return user.put_struct(argument, window)
        case numbers.TIOCSWINSZ:
            window = WindowSize()
            error = user.get_struct(window, argument)
            if error == 0:
                resize(terminal, window)
            return error
        case numbers.TIOCSPGRP:
            return set_group(terminal, argument)
        case numbers.TCSBRK | numbers.TCSBRKP:
            return drain(description, terminal) if argument != 0 or command == TCSBRKP else i64(0)
        case numbers.TCXONC:
            return flow(terminal, argument)
        case numbers.TCFLSH:
            return flush(terminal, argument)
        case _:
            return control_rest(terminal, command, argument)


@metal
def control_rest(terminal: Terminal, command: u32, argument: u64) -> i64:
    """The rarer ones."""
    match command:
        case numbers.TIOCGETD:
            return user.put(argument, u32(0))
        case numbers.TIOCSETD:
            wanted, error = user.get(u32, argument)
            return error if error < 0 or wanted == 0 else -EINVAL
        case numbers.TIOCEXCL | numbers.TIOCNXCL:
            terminal.exclusive = command == TIOCEXCL
            return 0
        case numbers.TIOCGEXCL:
            return user.put(argument, u32(terminal.exclusive))
        case numbers.TIOCGDEV:
            return user.put(argument, device_of(terminal))
        case _:
            return -ENOTTY


@metal
def device_of(terminal: Terminal) -> u32:
    """The device number."""
    if terminal.pseudo:
        return u32(MAJOR_PSEUDO) << 8 | (terminal.number & 0xFF) | (terminal.number & 0xFFF00) << 12
    return u32(MAJOR_CONSOLE) << 8


@metal
def get_settings(terminal: Terminal, address: u64, size: u64) -> i64:
    """TCGETS, of as many bytes."""
    settings = Settings()
    with terminal.lock:
        copy(settings, terminal.settings)
    return user.copy_out(address, unsafe.slice(u8, unsafe.address(settings), size))


@metal
def set_settings(
    description: Description, terminal: Terminal, address: u64, size: u64, drains: bool, flushes: bool
) -> i64:
    """TCSETS and its kin."""
    settings = Settings()
    with terminal.lock:
        copy(settings, terminal.settings)
    error = user.copy_in(unsafe.slice(u8, unsafe.address(settings), size), address)
    if error == 0 and drains:
        error = drain(description, terminal)
    if error < 0:
        return error
    with terminal.lock:
        if flushes:
            terminal.flush_input()
        change(terminal, settings)
    if flushes:
        ask_for_more(terminal)
    return 0


@metal
def change(terminal: Terminal, settings: Settings) -> None:
    """Take new settings over. Lock held. n_tty_set_termios."""
    old = terminal.settings.local
    copy(terminal.settings, settings)
    if (old ^ settings.local) & (ICANON | EXTPROC) != 0:
        for position in range(terminal.tail, terminal.head):
            terminal.mark(position, False)
        terminal.canonical = terminal.tail
        if terminal.has(ICANON) and terminal.head != terminal.tail:
            terminal.mark(terminal.head - 1, True)
            terminal.canonical = terminal.head
        terminal.literal = False
    if settings.input & IXON == 0 and terminal.stopped:
        start_output(terminal, False)
    terminal.readers.wake_all()


@metal
def drain(description: Description, terminal: Terminal) -> i64:
    """Sleep until all that was written is shown. What a pseudo-terminal shows is the master's affair."""
    if terminal.pseudo:
        return 0
    with terminal.lock:
        while True:
            show(terminal)
            if terminal.waiting_output() == 0 or terminal.hangups != description.position:
                return 0
            if terminal.writers.wait(terminal.lock, NEVER, True) == Wake.SIGNAL:
                return -ERESTARTSYS


@metal
def flow(terminal: Terminal, what: u64) -> i64:
    """TCXONC."""
    key = Array[u8, 1]()
    with terminal.lock:
        match what:
            case numbers.STOP_OUTPUT:
                stop_output(terminal, True)
            case numbers.START_OUTPUT:
                start_output(terminal, True)
            case numbers.SEND_STOP | numbers.SEND_START:
                key[0] = terminal.settings.characters[VSTOP if what == SEND_STOP else VSTART]
                if key[0] != 0:
                    show_key(terminal, key)
            case _:
                return -EINVAL
    return 0


@metal
def show_key(terminal: Terminal, key: Slice[u8]) -> None:
    """Send the other end a character of its flow control. Lock held."""
    if terminal.output_room() != 0:
        unsafe.store(u8, terminal.output + terminal.written % 4096, key[0])
        terminal.written += 1
        show(terminal)


@metal
def flush(terminal: Terminal, what: u64) -> i64:
    """TCFLSH."""
    if what > FLUSH_BOTH:
        return -EINVAL
    with terminal.lock:
        if what in (FLUSH_INPUT, FLUSH_BOTH):
            terminal.flush_input()
        if what in (FLUSH_OUTPUT, FLUSH_BOTH):
            terminal.flush_output()
    ask_for_more(terminal)
    return 0


@metal
def resize(terminal: Terminal, window: WindowSize) -> None:
    """The window has another size: the group in front hears of it."""
    with terminal.lock:
        old = terminal.window
        same = old.rows == window.rows and old.columns == window.columns
        if same and old.width == window.width and old.height == window.height:
            return
        copy(terminal.window, window)
        terminal.signals |= mask_of(SIGWINCH)
    send_keys(terminal)


@metal
def pretend_typing(terminal: Terminal, address: u64) -> i64:
    """TIOCSTI: for who has it as the controlling terminal, or may do everything."""
    allowed = capable(CAP_SYS_ADMIN)
    if not allowed:
        with tree_lock:
            if current_process().terminal is not terminal:
                return -EPERM
        return -EIO
    byte, error = user.get(u8, address)
    if error < 0:
        return error
    key = Array[u8, 1]()
    key[0] = byte
    with terminal.lock:
        typed(terminal, key)
    send_keys(terminal)
    return 0


@metal
def check_exclusive(terminal: Terminal) -> i64:
    """Whether it may be opened once more. 0 or -EBUSY."""
    return -EBUSY if terminal.exclusive and not capable(CAP_SYS_ADMIN) else i64(0)


__all__ = ["check_exclusive", "control_both", "control_terminal", "device_of", "resize"]
