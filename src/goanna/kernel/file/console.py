"""Standard input, output and error of the first process, on the machine's console.

To the program each is a pipe's end, as under a shell with redirected streams: no position, no terminal. The bytes go
to device/, which fills in the hooks below, and come from it.
"""

from goanna.kernel.arch import PAGE_SIZE, interrupt_window, virtual
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
from goanna.kernel.memory import pages
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Fn, Ptr, Slice, constant, hook, i64, metal, static, struct, u8, u32, u64, unsafe

OUTPUT_STREAM, ERROR_STREAM = 0, 1
STREAMS = 2

INPUT_CHUNK = 1024  # bytes copied to the program at once
INPUT_ROOM = 4096  # bytes that wait for the program to read them, until more than a little comes
LARGE_ORDER = 4  # of the memory for them afterwards
UNKNOWN = 0xFFFFFFFFFFFFFFFF
READABLE = POLLIN | POLLRDNORM
WRITABLE = POLLOUT | POLLWRNORM

# The streams' ways out, by number. A stream's lock is held around the first two, in which nobody sleeps: room for the
# next bytes, for `wanted` of them if it can have so much, empty if there is none now; and the sending of the first so
# many bytes of it. The others: whether there is room (if not, stream_has_room will be called); and the wait for it,
# which a signal ends (False).
stream_reserve = hook(Fn[[u64, u64], Slice[u8]])
stream_send = hook(Fn[[u64, u64], None])
stream_ready = hook(Fn[[u64], bool])
stream_wait = hook(Fn[[u64], bool])
# Tell the device that there is room for input again, after console_receive did not take everything.
console_input_wanted = hook(Fn[[], None])


@struct
class ConsoleInput:
    """What was typed and not yet read."""

    lock: SpinLock  # protects all below
    large: u64  # kernel address of a larger ring than the first; 0: none yet
    room: u64  # bytes of the ring
    start: u64  # position at which the ring in use began
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

    def ring(self) -> Slice[u8]:
        """The memory in use."""
        return first_ring[:] if self.large == 0 else unsafe.slice(u8, self.large, self.room)

    def grow(self) -> None:
        """Take a larger ring, while the one in use is empty."""
        memory = pages.allocate_order(LARGE_ORDER)
        if memory != 0:
            self.large = virtual(memory)
            self.room = u64(PAGE_SIZE) << LARGE_ORDER
            self.start = self.received

    def stretch(self, position: u64) -> Slice[u8]:
        """The ring from the place of a byte's position on to its end."""
        return self.ring()[(position - self.start) % self.room :]


@struct
class Stream:
    """A stream of output."""

    busy: Mutex  # held while bytes are put into the stream's room: they stay together
    watchers: Watchers


# Apart from what is not zero at the start, or the image would carry it.
first_ring = static(Array[u8, INPUT_ROOM])
console_input = static(ConsoleInput, {"end": UNKNOWN, "room": INPUT_ROOM})
streams = static(Array[Stream, STREAMS])


@metal
def console_receive(data: Slice[u8]) -> u64:
    """Bytes came in, called by the device's interrupt and in console_input_wanted. How many of the first there was room
    for: the rest is to be kept until console_input_wanted."""
    done: u64 = 0
    with console_input.lock:
        if console_input.large == 0 and console_input.waiting() == 0 and len(data) > INPUT_ROOM // 2:
            console_input.grow()
        while done < len(data):
            free = console_input.room - console_input.waiting()
            if free == 0:
                console_input.refused = True
                break
            target = console_input.stretch(console_input.received)
            count = min(len(target), free, len(data) - done)
            target[0:count] = data[done : done + count]
            console_input.received += count
            done += count
        console_input.readers.wake_all()
    console_input.watchers.notify(READABLE)
    return done


@metal
def console_input_end(count: u64) -> None:
    """The input is over after `count` bytes in all. Called by the control channel's interrupt."""
    with console_input.lock:
        console_input.end = count
        console_input.readers.wake_all()
    console_input.watchers.notify(READABLE | POLLHUP)


@metal
def read_console(description: Description, transfer: Transfer) -> i64:
    """Wait for at least one byte, give what is there."""
    chunk = unsafe.uninitialized(Array[u8, INPUT_CHUNK])
    done: u64 = 0
    while transfer.left != 0:
        count: u64 = 0
        wanted = min(transfer.left, INPUT_CHUNK)
        with console_input.lock:
            while console_input.waiting() == 0:
                if done != 0 or console_input.ended():
                    break
                if description.nonblocking() or transfer.nonblocking:
                    return -EAGAIN
                if console_input.readers.wait(console_input.lock, NEVER, True) == Wake.SIGNAL:
                    return -ERESTARTSYS
            count = take_input(chunk[0:wanted])
        if count == 0:
            break
        copied = transfer.put(chunk[0:count])
        done += copied
        if copied < count:
            return i64(done) if done != 0 else -EFAULT
        interrupt_window()
    with console_input.lock:
        refused = console_input.refused and console_input.waiting() <= console_input.room // 2
        if refused:
            console_input.refused = False
    if refused:
        console_input_wanted()
    return i64(done)


@metal
def take_input(chunk: Slice[u8]) -> u64:
    """Take what waits, up to the length of `chunk`; how many bytes. Lock held."""
    wanted = min(len(chunk), console_input.waiting())
    done: u64 = 0
    while done < wanted:
        source = console_input.stretch(console_input.taken)
        count = min(len(source), wanted - done)
        chunk[done : done + count] = source[0:count]
        console_input.taken += count
        done += count
    return done


@metal
def poll_input(description: Description) -> u32:
    """Readable when there is something, hung up at the end."""
    with console_input.lock:
        events: u32 = 0
        if console_input.waiting() != 0:
            events = READABLE
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
    return write_stream(description, transfer, OUTPUT_STREAM)


@metal
def write_error(description: Description, transfer: Transfer) -> i64:
    """Standard error."""
    return write_stream(description, transfer, ERROR_STREAM)


@metal
def write_stream(description: Description, transfer: Transfer, number: u64) -> i64:
    """Write everything, waiting for room as often as needed; what fitted if that may not be. A page is never torn."""
    stream = streams[number]
    written: u64 = 0
    while transfer.left != 0:
        good = True
        with stream.busy:
            moved, good = fill_room(transfer, number)
            written += moved
        if not good:
            return i64(written) if written != 0 else -EFAULT
        if transfer.left != 0:
            if description.nonblocking() or transfer.nonblocking:
                return i64(written) if written != 0 else -EAGAIN
            if not stream_wait(number):
                return i64(written) if written != 0 else -ERESTARTSYS
    return i64(written)


@metal
def fill_room(transfer: Transfer, number: u64) -> tuple[u64, bool]:
    """Send as much as there is room for, interrupts served meanwhile: how many bytes, and False if memory faulted."""
    done: u64 = 0
    while transfer.left != 0:
        room = stream_reserve(number, transfer.left)
        if len(room) == 0:
            break
        wanted = min(transfer.left, len(room))
        count = transfer.take(room[0:wanted])
        stream_send(number, count)
        done += count
        if count < wanted:
            return done, False
        interrupt_window()
    return done, True


@metal
def stream_has_room(number: u64) -> None:
    """The device can take bytes of a stream again. Called by its interrupt."""
    streams[number].watchers.notify(WRITABLE)


@metal
def poll_output(description: Description) -> u32:
    """Standard output is writable while there is room."""
    return WRITABLE if stream_ready(OUTPUT_STREAM) else u32(0)


@metal
def poll_error(description: Description) -> u32:
    """The same of standard error."""
    return WRITABLE if stream_ready(ERROR_STREAM) else u32(0)


@metal
def output_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for room in standard output."""
    return streams[OUTPUT_STREAM].watchers


@metal
def error_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for room in standard error."""
    return streams[ERROR_STREAM].watchers


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
        "watchers": output_watchers,
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
        "poll": poll_error,
        "watchers": error_watchers,
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
