"""Joins the program's streams and the control channel to the machine's ports: those of a virtio console where the
runner gave one or the command line asks for it, else the serial ports, output by polling and input by interrupt.

Which it is, is decided before the program's first byte and does not change, so that no stream is ever on two ways.
"""

from goanna.kernel.arch import CONSOLE_LINE, CONTROL_LINE, console_port, control_port, ending, route_interrupt
from goanna.kernel.boot.settings import settings
from goanna.kernel.device.control import (
    ERROR_HEAD,
    LONGEST_ERROR,
    console_port_write,
    control_port_write,
    control_receive,
    count_output,
    error_output,
    head_of_errors,
    on_input_end,
    on_window,
    open_channel,
    output,
    terminal_output,
)
from goanna.kernel.device.virtio.console import Console
from goanna.kernel.device.virtio.port import Port, nobody_receives
from goanna.kernel.file.console import (
    ERROR_STREAM,
    OUTPUT_STREAM,
    STREAMS,
    console_input_end,
    console_input_wanted,
    console_receive,
    stream_has_room,
    stream_ready,
    stream_reserve,
    stream_send,
    stream_wait,
)
from goanna.kernel.file.terminal import show_bytes, typing_wanted
from goanna.kernel.file.terminal_console import (
    finish_runner,
    hang_up_runner,
    resize_runner,
    runner_can_show,
    start_runner_terminal,
    type_at_runner,
)
from goanna.kernel.shared.boot import (
    FLAG_TERMINAL_ERROR,
    FLAG_TERMINAL_INPUT,
    FLAG_TERMINAL_OUTPUT,
    FLAG_TERMINAL_PLAIN,
    FLAG_TOGETHER,
)
from goanna.kernel.shared.control import Window
from goanna.metal import Array, Ptr, Slice, metal, static, struct, u8, u32, u64, unsafe

__all__ = ["console_device", "drain_ports", "finish_streams", "open_ports", "start_terminal", "terminal_is"]

BURST = 64  # bytes taken from a port at once
CHUNK = 256  # bytes sent to a serial port at once


@struct
class Held:
    """Bytes that arrived and that the console had no room for yet. The first processor's interrupts alone."""

    bytes: Array[u8, BURST]
    next: u64
    count: u64


@struct
class Chunk:
    """Bytes on their way to a serial port. A lock of the stream's protects them."""

    bytes: Array[u8, CHUNK]


_held = static(Held)
_chunks = static(Array[Chunk, STREAMS])
console_device = static(Console)  # started at boot, if it is there


@metal
def port_of(stream: u64) -> Ptr[Port]:
    """The port of a virtio console that carries a stream of output; None: there is none."""
    return console_device.errors if stream == ERROR_STREAM else console_device.console


@console_port_write.set
@metal
def write_console_port(data: Slice[u8]) -> None:
    """The kernel's bytes, or the program's where they have no port: to the console."""
    port = console_device.console
    if port is not None:
        write_line(port, data)
    else:
        console_port().write_all(data)


@metal
def write_line(port: Port, data: Slice[u8]) -> None:
    """Put the kernel's bytes among the program's. Once the machine ends, locks may be held by who was stopped."""
    none = data[0:0]
    if ending():
        port.write_unlocked(data, none, none)
        return
    with port.output_lock:
        port.write_unlocked(data, none, none)


@control_port_write.set
@metal
def write_control_port(first: Slice[u8], second: Slice[u8], third: Slice[u8]) -> None:
    """A record, to the control channel's port."""
    port = console_device.control
    if port is not None:
        port.write_unlocked(first, second, third)
        return
    control_port().write_all(first)
    control_port().write_all(second)
    control_port().write_all(third)


@on_input_end.set
@metal
def input_ended(count: u64) -> None:
    """Standard input is over. If it was a terminal, that has gone."""
    if terminal_is(FLAG_TERMINAL_INPUT):
        hang_up_runner()
    else:
        console_input_end(count)


@on_window.set
@metal
def window_changed(window: Window) -> None:
    """The terminal's window has another size."""
    resize_runner(window.rows, window.columns, window.width, window.height)


@metal
def terminal_is(flag: u32) -> bool:
    """Whether a stream is the runner's terminal. That takes a virtio console."""
    return console_device.console is not None and settings.flags & flag != 0


@metal
def start_terminal() -> bool:
    """Make the runner's terminal one of this machine's, if there is one. At boot. False: memory is out."""
    if not terminal_is(FLAG_TERMINAL_INPUT | FLAG_TERMINAL_OUTPUT | FLAG_TERMINAL_ERROR):
        return True
    window = settings.window[:]
    made = start_runner_terminal(settings.flags & FLAG_TERMINAL_PLAIN != 0)
    resize_runner(window[0], window[1], window[2], window[3])
    return made


@show_bytes.set
@metal
def show_at_runner(data: Slice[u8]) -> u64:
    """Bytes for the runner's terminal: the console's, if standard output is it, else records."""
    port = console_device.console
    if not terminal_is(FLAG_TERMINAL_OUTPUT) or port is None:
        terminal_output(data)
        return len(data)
    count = port.push(data)
    count_output(count)
    return count


@typing_wanted.set
@metal
def typing_has_room() -> None:
    """The program has read what was typed."""
    port = console_device.console
    if port is not None and terminal_is(FLAG_TERMINAL_INPUT):
        port.resume()


@metal
def ahead_of(stream: u64) -> Ptr[Port]:
    """The port from which the host must have taken everything before more goes to a stream. Standard error says how
    much output stands before it; the other way round, output has to wait."""
    if stream == ERROR_STREAM or settings.flags & FLAG_TOGETHER == 0:
        return None
    return console_device.errors


@stream_reserve.set
@metal
def reserve(stream: u64, wanted: u64) -> Slice[u8]:
    """Room for the next bytes of a stream."""
    port = port_of(stream)
    if port is None:
        return _chunks[stream].bytes[:]
    ahead = ahead_of(stream)
    if ahead is not None and not ahead.idle():
        return unsafe.slice(u8, 0, 0)
    if stream != ERROR_STREAM:
        return port.reserve(wanted)
    room = port.reserve(wanted + ERROR_HEAD)
    return room[ERROR_HEAD : min(len(room), ERROR_HEAD + LONGEST_ERROR)] if len(room) != 0 else room


@stream_send.set
@metal
def send(stream: u64, count: u64) -> None:
    """Send what was put into the room."""
    port = port_of(stream)
    if port is not None:
        if stream != ERROR_STREAM:
            count_output(count)
            port.send(count)
        elif count != 0:
            head_of_errors(count, port.reserved_room()[0:ERROR_HEAD])
            port.send(count + ERROR_HEAD)
    elif stream == ERROR_STREAM:
        error_output(_chunks[stream].bytes[0:count])
    else:
        output(_chunks[stream].bytes[0:count])


@stream_ready.set
@metal
def ready(stream: u64) -> bool:
    """Whether there is room now."""
    port = port_of(stream)
    ahead = ahead_of(stream)
    return (port is None or port.has_room()) and (ahead is None or ahead.idle())


@stream_wait.set
@metal
def wait(stream: u64) -> bool:
    """Sleep until there may be room."""
    port = port_of(stream)
    ahead = ahead_of(stream)
    return (ahead is None or ahead.finish(True)) and (port is None or port.wait_for_room())


@metal
def console_room() -> None:
    """The console's port has room again."""
    if terminal_is(FLAG_TERMINAL_OUTPUT):
        runner_can_show()
    else:
        stream_has_room(OUTPUT_STREAM)


@metal
def error_room() -> None:
    """The port of errors has room again, and output that waited for it perhaps, too."""
    stream_has_room(ERROR_STREAM)
    stream_has_room(OUTPUT_STREAM)


@metal
def pass_on() -> bool:
    """Give the console what is held for it; whether all found room."""
    _held.next += console_receive(_held.bytes[_held.next : _held.count])
    return _held.next == _held.count


@metal
def console_arrived(argument: u64) -> None:
    """The console's serial port has input. While the console is full the port's own buffer keeps it."""
    port = console_port()
    while pass_on():
        _held.next = 0
        _held.count = port.receive(_held.bytes)
        if _held.count == 0:
            return
    port.interrupt_on_receive(False)


@console_input_wanted.set
@metal
def console_has_room() -> None:
    """The program has read: go on with what arrived. A serial port interrupts at once for what it holds."""
    port = console_device.console
    if port is not None:
        port.resume()
        return
    console_arrived(0)
    console_port().interrupt_on_receive(True)


@metal
def control_arrived(argument: u64) -> None:
    """The control channel's serial port has input."""
    chunk = Array[u8, BURST]()
    while True:
        count = control_port().receive(chunk)
        control_receive(chunk[0:count])
        if count == 0:
            return


@metal
def open_ports(control: bool) -> None:
    """Take input from now on. `control`: there is a control channel. At boot, once the first process is there."""
    console = console_device.console
    if console is not None:
        console.receive = type_at_runner if terminal_is(FLAG_TERMINAL_INPUT) else console_receive
        console.on_room = console_room
        console.offer_input(1)
    else:
        console_port().interrupt_on_receive(True)
        route_interrupt(CONSOLE_LINE, False, False, console_arrived, 0)
    errors = console_device.errors
    if errors is not None:
        errors.receive = nobody_receives
        errors.on_room = error_room
    if control:
        open_control()


@metal
def open_control() -> None:
    """Take records from the runner, and say so."""
    port = console_device.control
    if port is not None:
        port.receive = control_receive
        port.offer_input(1)
    else:
        control_port().interrupt_on_receive(True)
        route_interrupt(CONTROL_LINE, False, False, control_arrived, 0)
    open_channel()


@metal
def finish_streams() -> None:
    """Sleep until the runner has taken all that the program wrote. On a thread, before its end is told."""
    if terminal_is(FLAG_TERMINAL_OUTPUT):
        finish_runner()
    console = console_device.console
    if console is not None:
        console.finish(False)
    errors = console_device.errors
    if errors is not None:
        errors.finish(False)


@metal
def drain_ports(control: bool) -> None:
    """Wait on the spot until all that was written has left the machine, which is about to stop."""
    if console_device.console is not None:
        console_device.console.drain()
    else:
        console_port().drain()
    if console_device.control is not None:
        console_device.control.drain()
    elif control:
        control_port().drain()
