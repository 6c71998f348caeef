"""The two ways out of the machine: the console, and beside it the control channel if the runner gave one.

Without a channel (a bare hypervisor, a real machine) everything goes to the console: errors where output goes, the
kernel's words as lines. The records are those of shared/control.py; the bytes move through `port_write` hooks, so that
this file knows no device. May be called with any lock held but its own, from interrupts too.

Where standard output and error have ports of their own (boot/ports.py), this file only counts what goes there.
"""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.shared.control import (
    DEATH,
    ERROR_OUTPUT,
    EXIT,
    HOST,
    INPUT_END,
    LISTENING,
    LOG,
    MAXIMUM_PAYLOAD,
    MEMORY_OUT,
    PANIC,
    RETURN_DATA,
    RETURN_FILE,
    SIGNAL,
    TERMINAL_OUTPUT,
    TRACE,
    WINDOW,
    Death,
    Exit,
    InputEnd,
    MemoryOut,
    Output,
    RecordHeader,
    ReturnFile,
    Signal,
    Window,
)
from goanna.kernel.variant import NETWORK
from goanna.metal import Array, Atomic, Fn, Slice, hook, metal, sizeof, static, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "ERROR_HEAD",
    "LONGEST_ERROR",
    "console_port_write",
    "console_position",
    "control_port_write",
    "control_receive",
    "count_output",
    "error_output",
    "head_of_errors",
    "log_line",
    "memory_out",
    "on_host",
    "on_input_end",
    "on_signal",
    "on_window",
    "open_channel",
    "output",
    "panic_text",
    "program_died",
    "program_exited",
    "return_data",
    "return_file",
    "terminal_output",
    "trace_record",
    "use_channel",
]

console_port_write = hook(Fn[[Slice[u8]], None])
control_port_write = hook(Fn[[Slice[u8], Slice[u8], Slice[u8]], None])  # three pieces of one record
on_signal = hook(Fn[[u32], None])  # the host wants the program to get this signal; in the port's interrupt
on_window = hook(Fn[[Window], None])  # the terminal's window has another size; in the port's interrupt
on_input_end = hook(Fn[[u64], None])  # how many bytes of input there are in all; in the port's interrupt
on_host = hook(Fn[[Slice[u8]], None])  # another machine by name; in the port's interrupt

LONGEST = 128  # bytes of a payload that the host may send
ERROR_HEAD = sizeof(RecordHeader) + sizeof(Output)
LONGEST_ERROR = MAXIMUM_PAYLOAD - sizeof(Output)  # bytes of standard error in one record


@struct
class Receiver:
    """A record on its way in."""

    bytes: Array[u8, sizeof(RecordHeader) + LONGEST]
    count: u64


_lock = static(SpinLock)  # protects both ports' output
_present = static(bool)
_position = static(Atomic[u64])  # bytes written to the console
_receiver = static(Receiver)  # the port's interrupt alone


@metal
def use_channel() -> None:
    """There is a control channel: what is said from now on goes there."""
    global _present
    _present = True


@metal
def open_channel() -> None:
    """Say that both ports listen."""
    use_channel()
    send(LISTENING, b"", b"")


@metal
def console_position() -> u64:
    """How many bytes were written to the console so far."""
    return _position.load()


@metal
def count_output(count: u64) -> None:
    """Bytes are about to be written to the console by another way."""
    _position.add(count)


@metal
def head_of_errors(count: u64, head: Slice[u8]) -> None:
    """What stands before `count` bytes of standard error on a way of their own: fills the first ERROR_HEAD bytes."""
    header = unsafe.at(RecordHeader, unsafe.address(head))
    header.kind = ERROR_OUTPUT
    header.reserved = 0
    header.length = u16(count + sizeof(Output))
    unsafe.store(u64, unsafe.address(head) + sizeof(RecordHeader), console_position(), unaligned=True)


@metal
def output(data: Slice[u8]) -> None:
    """Standard output of the program."""
    with _lock:
        count_output(len(data))
        console_port_write(data)


@metal
def error_output(data: Slice[u8]) -> None:
    """Standard error of the program."""
    if not _present:
        output(data)
        return
    with _lock:
        head = Output(position=console_position())
        send_locked(ERROR_OUTPUT, unsafe.slice(u8, unsafe.address(head), sizeof(Output)), data)


@metal
def terminal_output(data: Slice[u8]) -> None:
    """What the runner's terminal is to show, where standard output is another file."""
    head = Output(position=console_position())
    send(TERMINAL_OUTPUT, unsafe.slice(u8, unsafe.address(head), sizeof(Output)), data)


@metal
def send(kind: u8, head: Slice[u8], tail: Slice[u8]) -> None:
    """Send a record whose payload comes in two pieces; what is longer than a record is cut."""
    with _lock:
        send_locked(kind, head, tail)


@metal
def send_locked(kind: u8, head: Slice[u8], tail: Slice[u8]) -> None:
    """`send` with the lock held."""
    rest = min(len(tail), MAXIMUM_PAYLOAD - len(head))
    header = RecordHeader(kind=kind, length=u16(len(head) + rest))
    control_port_write(unsafe.slice(u8, unsafe.address(header), sizeof(RecordHeader)), head, tail[0:rest])


@metal
def say(kind: u8, text: Slice[u8]) -> None:
    """The kernel's own words: a record, or a line on the console."""
    if _present:
        send(kind, b"", text)
        return
    with _lock:
        console_port_write(text)
        console_port_write(b"\n")


@metal
def log_line(text: Slice[u8]) -> None:
    """A line of the kernel's, without its newline."""
    say(LOG, text)


@metal
def panic_text(text: Slice[u8]) -> None:
    """Why the kernel failed. Takes no lock: whoever holds it may be what failed."""
    if _present:
        send_locked(PANIC, b"", text)
    else:
        console_port_write(text)


@metal
def program_exited(status: u32) -> None:
    """The first process ended by itself."""
    if _present:
        record = Exit(status=status)
        send(EXIT, unsafe.slice(u8, unsafe.address(record), sizeof(Exit)), b"")


@metal
def program_died(number: u32) -> None:
    """A signal ended the first process."""
    if _present:
        record = Death(signal=number)
        send(DEATH, unsafe.slice(u8, unsafe.address(record), sizeof(Death)), b"")


@metal
def memory_out(available: u64, committed: u64) -> bool:
    """No page was left for the program. False: nobody listens, so the caller says it in words."""
    if _present:
        record = MemoryOut(available=available, committed=committed)
        send(MEMORY_OUT, unsafe.slice(u8, unsafe.address(record), sizeof(MemoryOut)), b"")
    return _present


@metal
def return_file(mode: u32, size: u64, path: Slice[u8]) -> None:
    """A file or folder goes back: `size` bytes of it follow by `return_data`."""
    if _present:
        head = ReturnFile(size=size, mode=mode)
        send(RETURN_FILE, unsafe.slice(u8, unsafe.address(head), sizeof(ReturnFile)), path)


@metal
def return_data(data: Slice[u8]) -> None:
    """The next bytes of the file that goes back, no more than a record holds."""
    if _present:
        send(RETURN_DATA, b"", data)


@metal
def trace_record(payload: Slice[u8]) -> None:
    """A Trace with its texts. Without a channel there is nobody to word it."""
    if _present:
        send(TRACE, payload, b"")


@metal
def control_receive(data: Slice[u8]) -> u64:
    """Bytes from the host, of which none is ever refused. Records that are unknown or too long are skipped."""
    for byte in data:
        control_byte(byte)
    return len(data)


@metal
def control_byte(byte: u8) -> None:
    """A byte from the host."""
    receiver = _receiver
    if receiver.count < len(receiver.bytes):
        receiver.bytes[receiver.count] = byte
    receiver.count += 1
    if receiver.count < sizeof(RecordHeader):
        return
    header = unsafe.at(RecordHeader, unsafe.address(receiver.bytes))
    if receiver.count < sizeof(RecordHeader) + u64(header.length):
        return
    receiver.count = 0
    payload = unsafe.address(receiver.bytes) + sizeof(RecordHeader)
    if header.kind == SIGNAL and u64(header.length) == sizeof(Signal):
        number = unsafe.load(u32, payload, unaligned=True)
        if 1 <= number <= 64:
            on_signal(number)
    elif header.kind == INPUT_END and u64(header.length) == sizeof(InputEnd):
        on_input_end(unsafe.load(u64, payload, unaligned=True))
    elif header.kind == WINDOW and u64(header.length) == sizeof(Window):
        on_window(unsafe.at(Window, payload))
    if NETWORK:  # noqa: SIM102  (alone, so that the other branch is not compiled)
        if header.kind == HOST and u64(header.length) <= LONGEST:
            on_host(unsafe.slice(u8, payload, u64(header.length)))
