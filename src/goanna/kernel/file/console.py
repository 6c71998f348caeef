"""Standard input, output and error of the first process, on the machine's console.

To the program each is a pipe's end, as under a shell with redirected streams: no position, no terminal. The bytes go
to device/, which fills in the hooks below, and come from it.
"""

from goanna.kernel.arch import interrupt_window
from goanna.kernel.base.errno import EACCES, EAGAIN, EFAULT, ENOMEM, ENOTTY, ERESTARTSYS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.flags import (
    FIONREAD,
    O_ACCMODE,
    O_RDONLY,
    O_WRONLY,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLRDNORM,
    POLLWRNORM,
    S_IFIFO,
)
from goanna.kernel.file.transfer import Transfer, put_count
from goanna.kernel.file.watch import Watchers
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Fn, Ptr, Slice, constant, hook, i64, metal, static, struct, u8, u32, u64, unsafe

OUTPUT_CHUNK = 256  # bytes copied from the program at once
INPUT_ROOM = 4096  # bytes that wait for the program to read them
UNKNOWN = 0xFFFFFFFFFFFFFFFF

# Write bytes of standard output, or of standard error. The caller may not sleep in them.
console_output = hook(Fn[[Slice[u8]], None])
console_error = hook(Fn[[Slice[u8]], None])
# Tell the device that there is room for input again, after console_receive refused a byte.
console_input_wanted = hook(Fn[[], None])


@struct
class ConsoleInput:
    """What was typed and not yet read."""

    lock: SpinLock  # protects all below
    bytes: Array[u8, INPUT_ROOM]  # a ring
    received: u64  # how many bytes ever came in
    taken: u64  # how many of them were read
    end: u64  # how many bytes there will be in all; UNKNOWN until the other side says so
    refused: bool  # the device has bytes that found no room
    readers: WaitQueue
    watchers: Watchers

    def waiting(self) -> u64:
        """How many bytes can be read now."""
        return self.received - self.taken

    def ended(self) -> bool:
        """Whether everything was read and nothing will come."""
        return self.taken >= self.end


console_input = static(ConsoleInput, {"end": UNKNOWN})
output_lock = static(Mutex)  # keeps the bytes of one write together


@metal
def console_receive(byte: u8) -> bool:
    """A byte came in, called by the device's interrupt. False: no room, keep it until console_input_wanted."""
    with console_input.lock:
        if console_input.waiting() == INPUT_ROOM:
            console_input.refused = True
            return False
        console_input.bytes[console_input.received % INPUT_ROOM] = byte
        console_input.received += 1
        console_input.readers.wake_all()
    console_input.watchers.notify(POLLIN | POLLRDNORM)
    return True


@metal
def console_input_end(count: u64) -> None:
    """The input is over after `count` bytes in all. Called by the control channel's interrupt."""
    with console_input.lock:
        console_input.end = count
        console_input.readers.wake_all()
    console_input.watchers.notify(POLLIN | POLLRDNORM | POLLHUP)


@metal
def read_console(description: Description, transfer: Transfer) -> i64:
    """Wait for at least one byte, give what is there."""
    chunk = Array[u8, OUTPUT_CHUNK]()
    count: u64 = 0
    wanted = min(transfer.left, OUTPUT_CHUNK)
    refused = False
    with console_input.lock:
        while console_input.waiting() == 0:
            if console_input.ended() or wanted == 0:
                return 0
            if description.nonblocking() or transfer.nonblocking:
                return -EAGAIN
            if console_input.readers.wait(console_input.lock, NEVER, True) == Wake.SIGNAL:
                return -ERESTARTSYS
        count = min(wanted, console_input.waiting())
        for index in range(count):
            chunk[index] = console_input.bytes[(console_input.taken + index) % INPUT_ROOM]
        console_input.taken += count
        refused = console_input.refused
        console_input.refused = False
    if refused:
        console_input_wanted()
    done = transfer.put(chunk[0:count])
    return i64(done) if done != 0 or count == 0 else -EFAULT


@metal
def poll_input(description: Description) -> u32:
    """Readable when there is something, hung up at the end."""
    with console_input.lock:
        events: u32 = 0
        if console_input.waiting() != 0:
            events = POLLIN | POLLRDNORM
        if console_input.received >= console_input.end:
            events |= POLLHUP
        return events


@metal
def input_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for input."""
    return console_input.watchers


@metal
def write_output(description: Description, transfer: Transfer) -> i64:
    """Standard output."""
    return write_console(transfer, False)


@metal
def write_error(description: Description, transfer: Transfer) -> i64:
    """Standard error."""
    return write_console(transfer, True)


@metal
def write_console(transfer: Transfer, error: bool) -> i64:
    """Move everything to the device, a chunk at a time, interrupts served between them."""
    chunk = unsafe.uninitialized(Array[u8, OUTPUT_CHUNK])
    written: u64 = 0
    with output_lock:
        while transfer.left != 0:
            wanted = min(transfer.left, OUTPUT_CHUNK)
            count = transfer.take(chunk[0:wanted])
            if error:
                console_error(chunk[0:count])
            else:
                console_output(chunk[0:count])
            written += count
            if count < wanted:
                break
            interrupt_window()
    return i64(written) if written != 0 or transfer.left == 0 else -EFAULT


@metal
def poll_output(description: Description) -> u32:
    """Always writable."""
    return POLLOUT | POLLWRNORM


@metal
def console_attributes(description: Description, attributes: Attributes) -> i64:
    """A pipe's, with a number for each of the three."""
    attributes.device = PIPE_DEVICE
    attributes.inode = description.object
    attributes.mode = S_IFIFO | 0o600
    attributes.links = 1
    return 0


PIPE_DEVICE = 14  # 0:14, the device number of pipefs


@metal
def control_console(description: Description, command: u32, argument: u64) -> i64:
    """FIONREAD of the input; nothing of a terminal."""
    if command == FIONREAD and description.readable():
        with console_input.lock:
            waiting = console_input.waiting()
        return put_count(argument, waiting)
    return -ENOTTY


@metal
def reopen_console(description: Description, flags: u32) -> tuple[Ptr[Description], i64]:
    """Open a stream again by /proc/self/fd, in its own direction."""
    if (flags & O_ACCMODE) != (description.status.load() & O_ACCMODE):
        return None, -EACCES
    made = create(description.operations, flags, description.object)
    return made, 0 if made is not None else -ENOMEM


INPUT = constant(
    Operations,
    {
        "label": b"pipe:",
        "read": read_console,
        "poll": poll_input,
        "watchers": input_watchers,
        "attributes": console_attributes,
        "control": control_console,
        "reopen": reopen_console,
    },
)
OUTPUT = constant(
    Operations,
    {
        "label": b"pipe:",
        "write": write_output,
        "poll": poll_output,
        "watchers": input_watchers,
        "attributes": console_attributes,
        "control": control_console,
        "reopen": reopen_console,
    },
)
ERROR = constant(
    Operations,
    {
        "label": b"pipe:",
        "write": write_error,
        "poll": poll_output,
        "watchers": input_watchers,
        "attributes": console_attributes,
        "control": control_console,
        "reopen": reopen_console,
    },
)


@metal
def open_standard(number: u32) -> Ptr[Description]:
    """The description of descriptor 0, 1 or 2 at the start of the first process; None if memory is out."""
    match number:
        case 0:
            return create(INPUT, O_RDONLY, 1)
        case 1:
            return create(OUTPUT, O_WRONLY, 2)
        case _:
            return create(ERROR, O_WRONLY, 3)
