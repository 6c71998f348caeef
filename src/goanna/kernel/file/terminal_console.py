"""The runner's terminal as a terminal of the machine, /dev/hvc0; the console, which is that terminal if there is one,
and else the program's own streams; and /dev/tty, the controlling terminal of whoever opens it.
"""

from goanna.kernel.base.errno import ENODEV, ENOMEM, ENXIO
from goanna.kernel.file.console import OUTPUT_STREAM, read_console, write_stream
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.flags import O_NOCTTY
from goanna.kernel.file.line_discipline import typed
from goanna.kernel.file.pseudo_terminal import SLAVE, close_slave, join_pair, leave_pair, pairs_lock
from goanna.kernel.file.terminal import Terminal
from goanna.kernel.file.terminal_calls import check_exclusive, control_terminal, resize
from goanna.kernel.file.terminal_file import poll_terminal, read_terminal, terminal_watchers, write_terminal
from goanna.kernel.file.terminal_output import show
from goanna.kernel.file.terminal_session import hang_up, send_keys, take_if_free
from goanna.kernel.file.terminal_settings import HUPCL, IUTF8, WindowSize
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import attributes_by_entry
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, Slice, constant, i64, metal, static, u8, u16, u32, u64, unsafe

runner_terminal = static(Terminal)
there = static(bool)  # constant once the first process runs


@metal
def start_runner_terminal(plain: bool) -> bool:
    """The runner has a terminal. At boot. False: memory is out."""
    global there
    there = runner_terminal.setup()
    runner_terminal.plain = plain
    runner_terminal.settings.input |= IUTF8
    runner_terminal.settings.control |= HUPCL
    return there


@metal
def lead_runner_terminal(process: Process) -> None:
    """Make it the controlling terminal of the first process, which doesn't run yet. Tree lock held."""
    if there:
        process.terminal = runner_terminal
        runner_terminal.session = process.session
        runner_terminal.group = process.group


@metal
def type_at_runner(data: Slice[u8]) -> u64:
    """Bytes were typed: how many of the first there was room for. In the device's interrupt, or after typing_wanted."""
    done: u64 = 0
    with runner_terminal.lock:
        done = typed(runner_terminal, data)
    send_keys(runner_terminal)
    return done


@metal
def runner_can_show() -> None:
    """The runner's terminal takes bytes again. In the device's interrupt."""
    with runner_terminal.lock:
        show(runner_terminal)


@metal
def finish_runner() -> None:
    """Sleep until the runner's terminal has been given everything. On a thread, at the machine's end."""
    with runner_terminal.lock:
        runner_terminal.stopped = False
        show(runner_terminal)
        while runner_terminal.waiting_output() != 0:
            runner_terminal.writers.wait(runner_terminal.lock, NEVER, False)
            show(runner_terminal)


@metal
def resize_runner(rows: u16, columns: u16, width: u16, height: u16) -> None:
    """The runner's window has this size now."""
    if there:
        resize(runner_terminal, WindowSize(rows=rows, columns=columns, width=width, height=height))


@metal
def hang_up_runner() -> None:
    """The runner's terminal is gone. In the device's interrupt."""
    hang_up(runner_terminal)


@metal
def open_runner_terminal(flags: u32) -> tuple[Ptr[Description], i64]:
    """Open /dev/hvc0."""
    if not there:
        return None, -ENODEV
    error = check_exclusive(runner_terminal)
    if error < 0:
        return None, error
    made = create(RUNNER, flags & ~u32(O_NOCTTY), unsafe.address(runner_terminal))
    if made is None:
        return None, -ENOMEM
    made.position = runner_terminal.hangups
    if flags & O_NOCTTY == 0 and made.readable():
        take_if_free(runner_terminal)
    return made, 0


@metal
def open_console(flags: u32) -> tuple[Ptr[Description], i64]:
    """Open /dev/console, which never becomes a controlling terminal."""
    if there:
        return open_runner_terminal(flags | O_NOCTTY)
    made = create(CONSOLE, flags, 0)
    return made, 0 if made is not None else -ENOMEM


@metal
def open_controlling(flags: u32) -> tuple[Ptr[Description], i64]:
    """Open /dev/tty: -ENXIO for a process without a controlling terminal."""
    terminal: Ptr[Terminal] = None
    with tree_lock:
        terminal = current_process().terminal
        if terminal is None:
            return None, -ENXIO
        if terminal.pseudo:
            with pairs_lock:
                join_pair(terminal)
    found: Terminal = terminal
    operations: Ptr[Operations] = RUNNER
    if found.pseudo:
        operations = SLAVE
    made = create(operations, flags & ~u32(O_NOCTTY), unsafe.address(found))
    if made is None:
        if found.pseudo:
            close_slave(found)
            leave_pair(found)
        return None, -ENOMEM
    made.position = found.hangups
    return made, 0


@metal
def write_console(description: Description, transfer: Transfer) -> i64:
    """The console without a terminal: standard output."""
    return write_stream(description, transfer, OUTPUT_STREAM)


RUNNER = constant(
    Operations,
    {
        "read": read_terminal,
        "write": write_terminal,
        "poll": poll_terminal,
        "watchers": terminal_watchers,
        "attributes": attributes_by_entry,
        "control": control_terminal,
        "open": open_runner_terminal,
    },
)
CONSOLE = constant(
    Operations,
    {
        "read": read_console,
        "write": write_console,
        "attributes": attributes_by_entry,
        "open": open_console,
    },
)
CONTROLLING = constant(Operations, {"open": open_controlling})
