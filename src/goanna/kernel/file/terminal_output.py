"""What happens to bytes on their way to a terminal's screen: OPOST's changes, the column, and the way out.

Linux drivers/tty/n_tty.c: do_output_char, process_echoes. All with the terminal's lock held.
"""

from goanna.kernel.file.flags import POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM
from goanna.kernel.file.terminal import OUTPUT_SIZE, Terminal, show_bytes
from goanna.kernel.file.terminal_settings import (
    IUTF8,
    OCRNL,
    OLCUC,
    ONLCR,
    ONLRET,
    ONOCR,
    OPOST,
    SPACES_FOR_TABS,
    TABS,
)
from goanna.metal import Slice, metal, u8, u32, u64, unsafe, wrapping

NEWLINE, RETURN, TAB, BACKSPACE, SPACE = 0x0A, 0x0D, 0x09, 0x08, 0x20
WAKEUP = 256  # bytes still to be shown below which a terminal counts as writable


@metal
def is_control(byte: u8) -> bool:
    """iscntrl."""
    return byte < 0x20 or byte == 0x7F


@metal
def is_upper(byte: u8) -> bool:
    """isupper, of Latin-1 as in Linux's own table."""
    return ord("A") <= byte <= ord("Z") or (0xC0 <= byte <= 0xDE and byte != 0xD7)


@metal
def is_lower(byte: u8) -> bool:
    """islower, of Latin-1."""
    return ord("a") <= byte <= ord("z") or (byte >= 0xDF and byte != 0xF7)


@metal
def continues(terminal: Terminal, byte: u8) -> bool:
    """Whether a byte is a further one of a character of UTF-8."""
    return terminal.settings.input & IUTF8 != 0 and byte & 0xC0 == 0x80


@metal
def move(terminal: Terminal, columns: u32) -> None:
    """What was shown has so many columns. A line may have any number of them."""
    terminal.column = wrapping(terminal.column + columns)


@metal
def put_raw(terminal: Terminal, byte: u8) -> None:
    """A byte to the screen as it is; gone if there is no room."""
    if terminal.output_room() != 0:
        unsafe.store(u8, terminal.output + terminal.written % OUTPUT_SIZE, byte)
        terminal.written += 1


@metal
def put_character(terminal: Terminal, byte: u8) -> bool:
    """A byte as the settings have it shown. False: there is no room, nothing was done."""
    if terminal.output_room() < 8:
        return False
    mode = terminal.settings.output
    if mode & OPOST == 0 or terminal.plain:
        put_raw(terminal, byte)
        return True
    shown = byte
    if byte == NEWLINE:
        if mode & ONLRET != 0 or mode & ONLCR != 0:
            terminal.column = 0
        if mode & ONLCR != 0:
            put_raw(terminal, RETURN)
        terminal.line_column = terminal.column
    elif byte == RETURN:
        if mode & ONOCR != 0 and terminal.column == 0:
            return True
        if mode & OCRNL != 0:
            shown = NEWLINE
        if mode & OCRNL == 0 or mode & ONLRET != 0:
            terminal.column = 0
        terminal.line_column = terminal.column
    elif byte == TAB:
        count = 8 - terminal.column % 8
        move(terminal, count)
        if mode & TABS == SPACES_FOR_TABS:
            for _ in range(count):
                put_raw(terminal, SPACE)
            return True
    elif byte == BACKSPACE:
        if terminal.column != 0:
            terminal.column -= 1
    elif not is_control(byte):
        if mode & OLCUC != 0 and is_lower(byte):
            shown = byte - 32
        if not continues(terminal, byte):
            move(terminal, 1)
    put_raw(terminal, shown)
    return True


@metal
def put_some(terminal: Terminal, data: Slice[u8]) -> u64:
    """As many of the first bytes as there is room for."""
    done: u64 = 0
    while done < len(data) and put_character(terminal, data[done]):
        done += 1
    return done


@metal
def show(terminal: Terminal) -> None:
    """Send out what was written, as far as the other end takes it."""
    if terminal.stopped:
        return
    if terminal.pseudo:
        if terminal.waiting_output() != 0:
            terminal.viewers.wake_all()
            terminal.master_watchers.notify(POLLIN | POLLRDNORM)
        return
    while terminal.waiting_output() != 0:
        start = terminal.shown % OUTPUT_SIZE
        count = min(terminal.waiting_output(), OUTPUT_SIZE - start)
        taken = show_bytes(unsafe.slice(u8, terminal.output + start, count))
        if taken == 0:
            return
        note_shown(terminal, taken)


@metal
def note_shown(terminal: Terminal, count: u64) -> None:
    """The other end took the next bytes."""
    terminal.shown += count
    terminal.writers.wake_all()
    if terminal.waiting_output() < WAKEUP:
        terminal.watchers.notify(POLLOUT | POLLWRNORM)


@metal
def stop_output(terminal: Terminal, for_good: bool) -> None:
    """Show nothing from now on."""
    if not terminal.stopped:
        terminal.stopped = True
        terminal.tell_master(4)
    terminal.stopped_for_good = terminal.stopped_for_good or for_good


@metal
def start_output(terminal: Terminal, for_good: bool) -> None:
    """Go on showing, unless TCXONC stopped it and this isn't TCXONC."""
    if for_good:
        terminal.stopped_for_good = False
    if terminal.stopped and not terminal.stopped_for_good:
        terminal.stopped = False
        terminal.tell_master(8)
        show(terminal)
