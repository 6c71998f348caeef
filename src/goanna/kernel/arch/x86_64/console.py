"""The two serial ports of the machine: COM1 carries the program's input and output, COM2 the control channel."""

from goanna.kernel.device.serial import Serial
from goanna.metal import metal, static, u8, u16, u64

from .port import in8, out8

__all__ = ["CONSOLE_LINE", "CONTROL_LINE", "console_port", "console_write", "control_port"]

COM1, COM2 = 0x3F8, 0x2F8
CONSOLE_LINE, CONTROL_LINE = 4, 3  # interrupt lines, for route_interrupt

console = static(Serial)
control = static(Serial)
console_ready = static(bool)
control_ready = static(bool)


@metal
def read_register(address: u64) -> u8:
    """A register in port space."""
    return in8(u16.wrap(address))


@metal
def write_register(address: u64, value: u8) -> None:
    """A register in port space."""
    out8(u16.wrap(address), value)


@metal
def connect(port: Serial, base: u64) -> bool:
    """Reach a port and set it up."""
    port.base = base
    port.read = read_register
    port.write = write_register
    return port.start()


@metal
def console_port() -> Serial:
    """COM1, set up at the first call. The caller has the lock under which it is used."""
    global console_ready
    if not console_ready:
        console_ready = True
        connect(console, COM1)
    return console


@metal
def control_port() -> Serial:
    """COM2, set up at the first call; to be used only if the runner says that it is there."""
    global control_ready
    if not control_ready:
        control_ready = True
        connect(control, COM2)
    return control


@metal
def console_write(byte: u8) -> None:
    """Send a byte to the console, from the first moment on; for the log and for panics."""
    console_port().put(byte)
