"""What happens to bytes that are typed at a terminal: lines are edited and shown, keys become signals, or all of it is
the program's (Linux drivers/tty/n_tty.c; termios(3)).
"""

from goanna.kernel.file.flags import POLLIN, POLLRDNORM
from goanna.kernel.file.terminal import Terminal
from goanna.kernel.file.terminal_output import (
    BACKSPACE,
    NEWLINE,
    RETURN,
    SPACE,
    TAB,
    continues,
    is_control,
    is_lower,
    is_upper,
    move,
    put_character,
    put_raw,
    show,
    start_output,
    stop_output,
)
from goanna.kernel.file.terminal_settings import (
    DISABLED,
    ECHO,
    ECHOCTL,
    ECHOE,
    ECHOK,
    ECHOKE,
    ECHONL,
    EXTPROC,
    ICANON,
    ICRNL,
    IEXTEN,
    IGNCR,
    IMAXBEL,
    INLCR,
    ISIG,
    ISTRIP,
    IUCLC,
    IXANY,
    IXON,
    NOFLSH,
    VEOF,
    VEOL,
    VEOL2,
    VERASE,
    VINTR,
    VKILL,
    VLNEXT,
    VMIN,
    VQUIT,
    VREPRINT,
    VSTART,
    VSTOP,
    VSUSP,
    VTIME,
    VWERASE,
)
from goanna.kernel.signal.numbers import SIGINT, SIGQUIT, SIGTSTP
from goanna.metal import Slice, metal, u8, u32, u64, wrapping

BELL = 0x07


@metal
def typed(terminal: Terminal, data: Slice[u8]) -> u64:
    """Bytes were typed: how many of the first there was room for. With the terminal's lock held, in any context;
    `terminal.signals` are to be sent afterwards."""
    done: u64 = 0
    while done < len(data):
        if terminal.room() == 0 and not (terminal.has(ICANON) and terminal.canonical == terminal.tail):
            terminal.refused = True
            break
        take_byte(terminal, data[done])
        done += 1
    show(terminal)
    if terminal.readable(wanted_by_poll(terminal)):
        terminal.readers.wake_all()
        terminal.watchers.notify(POLLIN | POLLRDNORM)
    elif not terminal.has(ICANON) and terminal.head != terminal.tail:
        terminal.readers.wake_all()
    return done


@metal
def wanted_by_poll(terminal: Terminal) -> u64:
    """How many bytes make a terminal without lines readable."""
    if terminal.settings.characters[VTIME] == 0 and terminal.settings.characters[VMIN] != 0:
        return u64(terminal.settings.characters[VMIN])
    return 1


@metal
def take_byte(terminal: Terminal, raw: u8) -> None:
    """One byte."""
    mode = terminal.settings.input
    byte = raw & 0x7F if mode & ISTRIP != 0 else raw
    if mode & IUCLC != 0 and terminal.has(IEXTEN) and is_upper(byte):
        byte += 32
    if terminal.literal:
        terminal.literal = False
        keep_shown(terminal, byte, False)
        return
    if terminal.has(EXTPROC):
        terminal.keep(byte, False)
        return
    if flow_control(terminal, byte, mode):
        return
    if terminal.has(ISIG) and signal_key(terminal, byte):
        return
    if terminal.stopped and mode & (IXON | IXANY) == IXON | IXANY:
        start_output(terminal, False)
    made_newline = False
    if byte == RETURN:
        if mode & IGNCR != 0:
            return
        if mode & ICRNL != 0:
            byte = NEWLINE
            made_newline = True
    elif byte == NEWLINE and mode & INLCR != 0:
        byte = RETURN
    if terminal.has(ICANON) and edit(terminal, byte):
        return
    keep_shown(terminal, byte, made_newline)


@metal
def flow_control(terminal: Terminal, byte: u8, mode: u32) -> bool:
    """Ctrl-S and Ctrl-Q; whether it was one of them."""
    if mode & IXON == 0:
        return False
    if terminal.special(VSTART, byte):
        start_output(terminal, False)
        return True
    if terminal.special(VSTOP, byte):
        stop_output(terminal, False)
        return True
    return False


@metal
def signal_key(terminal: Terminal, byte: u8) -> bool:
    """Ctrl-C, Ctrl-\\ and Ctrl-Z; whether it was one of them."""
    number: u32 = 0
    if terminal.special(VINTR, byte):
        number = SIGINT
    elif terminal.special(VQUIT, byte):
        number = SIGQUIT
    elif terminal.special(VSUSP, byte):
        number = SIGTSTP
    if number == 0:
        return False
    if not terminal.has(NOFLSH):
        terminal.flush_input()
        terminal.flush_output()
    terminal.signals |= u64(1) << (number - 1)
    if terminal.settings.input & IXON != 0:
        start_output(terminal, False)
    if terminal.has(ECHO):
        echo(terminal, byte)
    return True


@metal
def edit(terminal: Terminal, byte: u8) -> bool:
    """What edits a line or ends it; False: it is a part of the line."""
    extended = terminal.has(IEXTEN)
    if terminal.special(VERASE, byte):
        erase_characters(terminal, VERASE)
    elif terminal.special(VKILL, byte):
        kill_line(terminal)
    elif extended and terminal.special(VWERASE, byte):
        erase_characters(terminal, VWERASE)
    elif extended and terminal.special(VLNEXT, byte):
        terminal.literal = True
        if terminal.has(ECHO) and terminal.has(ECHOCTL):
            put_raw(terminal, ord("^"))
            put_raw(terminal, BACKSPACE)
    elif extended and terminal.special(VREPRINT, byte) and terminal.has(ECHO):
        echo(terminal, byte)
        put_character(terminal, NEWLINE)
        for position in range(terminal.canonical, terminal.head):
            echo(terminal, terminal.byte_at(position))
    elif byte == NEWLINE:
        if terminal.has(ECHO) or terminal.has(ECHONL):
            put_character(terminal, NEWLINE)
        terminal.keep(byte, True)
    elif terminal.special(VEOF, byte):
        terminal.keep(DISABLED, True)
    elif terminal.special(VEOL, byte) or (extended and terminal.special(VEOL2, byte)):
        if terminal.has(ECHO):
            echo_in_line(terminal, byte)
        terminal.keep(byte, True)
    else:
        return False
    return True


@metal
def keep_shown(terminal: Terminal, byte: u8, made_newline: bool) -> None:
    """A byte that is nothing special: show it, and keep it. `made_newline`: it is a newline that was a return."""
    if terminal.room() == 0 and terminal.settings.input & IMAXBEL != 0:
        put_raw(terminal, BELL)
    elif terminal.has(ECHO):
        if made_newline:
            put_character(terminal, NEWLINE)
        else:
            echo_in_line(terminal, byte)
    terminal.keep(byte, False)


@metal
def echo_in_line(terminal: Terminal, byte: u8) -> None:
    """Show a byte of a line, whose beginning's column is remembered."""
    if terminal.canonical == terminal.head:
        terminal.line_column = terminal.column
    echo(terminal, byte)


@metal
def echo(terminal: Terminal, byte: u8) -> None:
    """Show a byte that was typed; a control character as ^X."""
    if terminal.has(ECHOCTL) and is_control(byte) and byte != TAB:
        put_raw(terminal, ord("^"))
        put_raw(terminal, byte ^ 0x40)
        move(terminal, 2)
    elif byte == 0xFF:  # which Linux's queue of echoes has another meaning for: never changed
        put_raw(terminal, byte)
        move(terminal, 1)
    else:
        put_character(terminal, byte)


@metal
def kill_line(terminal: Terminal) -> None:
    """Ctrl-U."""
    if terminal.head == terminal.canonical:
        return
    if terminal.has(ECHO) and terminal.has(ECHOK) and terminal.has(ECHOKE) and terminal.has(ECHOE):
        erase_characters(terminal, VKILL)
        return
    terminal.head = terminal.canonical
    if terminal.has(ECHO):
        echo(terminal, terminal.settings.characters[VKILL])
        if terminal.has(ECHOK):
            put_character(terminal, NEWLINE)


@metal
def erase_characters(terminal: Terminal, kind: u64) -> None:
    """Take back a character (VERASE), a word (VWERASE) or the line (VKILL)."""
    seen_word = False
    while terminal.head != terminal.canonical:
        at = terminal.head - 1
        while continues(terminal, terminal.byte_at(at)) and at != terminal.canonical:
            at -= 1
        byte = terminal.byte_at(at)
        if continues(terminal, byte):
            return
        if kind == VWERASE:
            if is_word(byte):
                seen_word = True
            elif seen_word:
                return
        terminal.head = at
        if terminal.has(ECHO):
            if kind == VERASE and not terminal.has(ECHOE):
                echo(terminal, terminal.settings.characters[VERASE])
            elif byte == TAB:
                erase_tab(terminal)
            else:
                erase_shown(terminal, byte)
        if kind == VERASE:
            return


@metal
def is_word(byte: u8) -> bool:
    """Whether a byte belongs to a word: a letter, a digit or an underscore."""
    return is_upper(byte) or is_lower(byte) or ord("0") <= byte <= ord("9") or byte == ord("_")


@metal
def erase_shown(terminal: Terminal, byte: u8) -> None:
    """Take what was shown of a byte off the screen."""
    count: u32 = 1
    if is_control(byte):
        count = 2 if terminal.has(ECHOCTL) else 0
    for _ in range(count):
        put_raw(terminal, BACKSPACE)
        put_raw(terminal, SPACE)
        put_raw(terminal, BACKSPACE)
        if terminal.column != 0:
            terminal.column -= 1


@metal
def erase_tab(terminal: Terminal) -> None:
    """Go back to where a tab began: to see that, the line is counted up to it."""
    width: u32 = 0
    at = terminal.head
    after_tab = False
    while at != terminal.canonical and not after_tab:
        at -= 1
        byte = terminal.byte_at(at)
        if byte == TAB:
            after_tab = True
        elif is_control(byte):
            width += 2 if terminal.has(ECHOCTL) else 0
        elif not continues(terminal, byte):
            width += 1
    if not after_tab:
        width = wrapping(width + terminal.line_column)
    for _ in range(8 - width % 8):
        put_raw(terminal, BACKSPACE)
        if terminal.column != 0:
            terminal.column -= 1
