"""Joins the machine's serial ports to the console and the control channel: output by polling, input by interrupt."""

from goanna.kernel.arch import CONSOLE_LINE, CONTROL_LINE, console_port, control_port, route_interrupt
from goanna.kernel.device.control import (
    console_port_write,
    control_port_write,
    control_receive,
    error_output,
    on_input_end,
    open_channel,
    output,
)
from goanna.kernel.file.console import (
    console_error,
    console_input_end,
    console_input_wanted,
    console_output,
    console_receive,
)
from goanna.metal import Array, Slice, metal, static, struct, u8, u64

__all__ = ["drain_ports", "open_ports"]

BURST = 64  # bytes taken from a port at once


@struct
class Held:
    """Bytes that arrived and that the console had no room for yet. The first processor's interrupts alone."""

    bytes: Array[u8, BURST]
    next: u64
    count: u64


_held = static(Held)


@console_port_write.set
@metal
def write_console_port(data: Slice[u8]) -> None:
    """Bytes to the console's port."""
    console_port().write_all(data)


@control_port_write.set
@metal
def write_control_port(data: Slice[u8]) -> None:
    """Bytes to the control channel's port."""
    control_port().write_all(data)


console_output.set(output)
console_error.set(error_output)
on_input_end.set(console_input_end)


@metal
def pass_on() -> bool:
    """Give the console what is held for it; whether all found room."""
    while _held.next < _held.count:
        if not console_receive(_held.bytes[_held.next]):
            return False
        _held.next += 1
    return True


@metal
def console_arrived(argument: u64) -> None:
    """The console's port has input. While the console is full the port's own buffer keeps it."""
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
    """The program has read: let the port interrupt again, which it does at once for what it holds."""
    console_arrived(0)
    console_port().interrupt_on_receive(True)


@metal
def control_arrived(argument: u64) -> None:
    """The control channel's port has input."""
    chunk = Array[u8, BURST]()
    while True:
        count = control_port().receive(chunk)
        for byte in chunk[0:count]:
            control_receive(byte)
        if count == 0:
            return


@metal
def open_ports(control: bool) -> None:
    """Take input from now on. `control`: there is a control channel. At boot, once the first process is there."""
    console_port().interrupt_on_receive(True)
    route_interrupt(CONSOLE_LINE, False, False, console_arrived, 0)
    if control:
        control_port().interrupt_on_receive(True)
        route_interrupt(CONTROL_LINE, False, False, control_arrived, 0)
        open_channel()


@metal
def drain_ports(control: bool) -> None:
    """Wait until all that was written has left the machine, which is about to stop."""
    console_port().drain()
    if control:
        control_port().drain()
