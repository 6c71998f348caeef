"""Pipes: a ring of pages between those who write and those who read (pipe(7), Linux fs/pipe.c).

Room is counted in pages, as Linux counts it: a short write joins the last page if it fits, so that one byte can take
up a page. Writes of at most PIPE_BUF bytes are never torn; with O_DIRECT every write is a packet of its own.
"""

from goanna.kernel.arch import PAGE_SIZE, interrupt_window, physical, virtual
from goanna.kernel.base.errno import EAGAIN, EFAULT, ENOMEM, ENOTTY, EPIPE, ERESTARTSYS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.flags import (
    FIONREAD,
    O_DIRECT,
    POLLERR,
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
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.kernel.time.wall import real_time
from goanna.metal import (
    Array,
    Atomic,
    Fn,
    Ptr,
    constant,
    hook,
    i64,
    metal,
    sizeof,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
)

DEFAULT_SLOTS = 16  # 64 KiB
INLINE_SLOTS = DEFAULT_SLOTS
PIPE_BUF = 4096
PIPE_DEVICE = 14  # 0:14, the device number of pipefs
READABLE = POLLIN | POLLRDNORM
WRITABLE = POLLOUT | POLLWRNORM

# The writer of a pipe that nobody reads gets SIGPIPE (set by signal/).
on_broken_pipe = hook(Fn[[], None])


@struct
class Slot:
    """A page of the pipe, `count` bytes from `start` on."""

    page: u64  # physical address
    start: u32
    count: u32
    packet: bool  # one read takes it whole, and nothing is added to it


@struct
class Pipe:
    """Both ends share it; each open description of an end is counted."""

    busy: Mutex  # protects all below but what says otherwise; held while bytes are copied
    lock: SpinLock  # taken, inside busy, to wait and to wake
    slots: u64  # kernel address of an array of Slot; 0: `inline`
    order: u32  # size of that array: PAGE_SIZE << order bytes
    capacity: u32  # slots, a power of two
    head: u64  # how many slots were ever filled
    tail: u64  # how many of them were emptied
    spare: u64  # physical address of a page kept for the next write; 0: none
    readers: u32
    writers: u32
    number: u64  # inode number
    created: i64  # ns since 1970
    room: WaitQueue  # writers wait here
    bytes: WaitQueue  # readers wait here
    watchers: Watchers
    read_opens: u64  # of a named one: how often an end was ever opened, and who waits for the other one; `lock`
    write_opens: u64
    partners: WaitQueue
    inline: Array[Slot, INLINE_SLOTS]

    def slot(self, index: u64) -> Slot:
        """The slot of a running number."""
        place = index % u64(self.capacity)
        if self.slots == 0:
            return self.inline[place]
        return unsafe.at(Slot, self.slots + place * SLOT_SIZE)

    def empty(self) -> bool:
        """Whether there is nothing to read."""
        return self.head == self.tail

    def full(self) -> bool:
        """Whether every slot is in use."""
        return self.head - self.tail >= u64(self.capacity)

    def new_page(self) -> u64:
        """A page to write to: physical address, or 0."""
        page = self.spare
        if page == 0:
            return pages.allocate()
        self.spare = 0
        return page

    def old_page(self, page: u64) -> None:
        """Give back a page."""
        if self.spare == 0:
            self.spare = page
        else:
            pages.release(page)

    def push(self, page: u64, count: u64, packet: bool) -> None:
        """Fill the next slot. The pipe is not full."""
        slot = self.slot(self.head)
        slot.page = page
        slot.start = 0
        slot.count = u32(count)
        slot.packet = packet
        self.head += 1

    def wait_for_bytes(self) -> bool:
        """Give up `busy` until there may be bytes, or no writer. False: a signal came. Returns with `busy` taken."""
        self.lock.acquire()
        self.busy.release()
        woken = self.bytes.wait(self.lock, NEVER, True)
        self.lock.release()
        self.busy.acquire()
        return woken != Wake.SIGNAL

    def wait_for_room(self) -> bool:
        """The same until there may be room, or no reader."""
        self.lock.acquire()
        self.busy.release()
        woken = self.room.wait(self.lock, NEVER, True)
        self.lock.release()
        self.busy.acquire()
        return woken != Wake.SIGNAL

    def tell_readers(self, were_waiting: bool) -> None:
        """There is more to read, or a writer has gone. `were_waiting`: readers may be blocked."""
        if were_waiting:
            with self.lock:
                self.bytes.wake_all()
        self.watchers.notify(READABLE | POLLHUP)

    def tell_writers(self) -> None:
        """There is room again, or a reader has gone."""
        with self.lock:
            self.room.wake_all()
        self.watchers.notify(WRITABLE | POLLERR)

    def pending(self) -> u64:
        """How many bytes wait. With `busy` held."""
        total: u64 = 0
        for index in range(self.tail, self.head):
            total += u64(self.slot(index).count)
        return total


SLOT_SIZE = sizeof(Slot)
pipes = Cache(Pipe)
next_number = static(Atomic[u64], 4)  # inode numbers; 1 to 3 are the console's


@metal
def create_pipe() -> Ptr[Pipe]:
    """An empty pipe, both ends counted once. None if memory is out."""
    pipe = pipes.allocate()
    if pipe is not None:
        pipe.capacity = DEFAULT_SLOTS
        pipe.readers = 1
        pipe.writers = 1
        pipe.number = next_number.add(1)
        pipe.created = i64(real_time())
    return pipe


@metal
def empty_pipe(pipe: Pipe) -> None:
    """Give back all pages of a pipe that has no end left."""
    for index in range(pipe.tail, pipe.head):
        pages.release(pipe.slot(index).page)
    pipe.tail = pipe.head
    if pipe.spare != 0:
        pages.release(pipe.spare)
        pipe.spare = 0


@metal
def destroy_pipe(pipe: Pipe) -> None:
    """Free a pipe that has no end left."""
    empty_pipe(pipe)
    if pipe.slots != 0:
        pages.free_order(physical(pipe.slots), pipe.order)
    pipes.free(pipe)


@metal
def pipe_of(description: Description) -> Pipe:
    """The pipe that one end's description refers to."""
    return unsafe.at(Pipe, description.object)


@metal
def read_pipe(description: Description, transfer: Transfer) -> i64:
    """Wait for at least one byte, then give what is there, up to the end of a packet. 0: no writer is left."""
    if transfer.left == 0:
        return 0
    pipe = pipe_of(description)
    result: i64 = 0
    freed = False
    with pipe.busy:
        while pipe.empty():
            if pipe.writers == 0:
                return 0
            if description.nonblocking() or transfer.nonblocking:
                return -EAGAIN
            if not pipe.wait_for_bytes():
                return -ERESTARTSYS
        was_full = pipe.full()
        result = drain(pipe, transfer)
        freed = was_full and not pipe.full()
    if freed:
        pipe.tell_writers()
    return result


@metal
def drain(pipe: Pipe, transfer: Transfer) -> i64:
    """Move bytes out until the pipe or the transfer is exhausted: how many, or -EFAULT if the first faulted."""
    done: i64 = 0
    while transfer.left != 0 and not pipe.empty():
        slot = pipe.slot(pipe.tail)
        wanted = min(u64(slot.count), transfer.left)
        copied = transfer.put(unsafe.slice(u8, virtual(slot.page) + u64(slot.start), wanted))
        done += i64(copied)
        slot.start += u32(copied)
        slot.count -= u32(copied)
        if copied < wanted:
            return done if done != 0 else -EFAULT
        whole_packet = slot.packet
        if slot.count == 0 or whole_packet:
            pipe.old_page(slot.page)
            pipe.tail += 1
        if whole_packet:
            return done
        interrupt_window()
    return done


@metal
def write_pipe(description: Description, transfer: Transfer) -> i64:
    """Write everything, waiting for room as often as needed; what fitted if that may not be."""
    if transfer.left == 0:
        return 0
    pipe = pipe_of(description)
    result: i64 = 0
    was_empty = False
    with pipe.busy:
        was_empty = pipe.empty()
        result = append_to_last(pipe, description, transfer)
        while result >= 0 and transfer.left != 0:
            if pipe.readers == 0:
                result = result if result != 0 else -EPIPE
                break
            if not pipe.full():
                result = fill_page(pipe, description, transfer, result)
                continue
            if description.nonblocking() or transfer.nonblocking:
                result = result if result != 0 else -EAGAIN
                break
            pipe.tell_readers(was_empty)
            if not pipe.wait_for_room():
                result = result if result != 0 else -ERESTARTSYS
                break
            was_empty = pipe.empty()
    if result > 0:
        pipe.tell_readers(was_empty)
    if result == -EPIPE:
        on_broken_pipe()
    return result


@metal
def append_to_last(pipe: Pipe, description: Description, transfer: Transfer) -> i64:
    """Put what would begin a page behind the bytes of the last one, if it fits: how many bytes, or an errno."""
    if pipe.readers == 0:
        return -EPIPE
    count = transfer.left % PAGE_SIZE
    if pipe.empty() or count == 0 or (description.status.load() & O_DIRECT) != 0:
        return 0
    slot = pipe.slot(pipe.head - 1)
    end = u64(slot.start) + u64(slot.count)
    if slot.packet or end + count > PAGE_SIZE:
        return 0
    if transfer.take(unsafe.slice(u8, virtual(slot.page) + end, count)) != count:
        return -EFAULT
    slot.count += u32(count)
    return i64(count)


@metal
def fill_page(pipe: Pipe, description: Description, transfer: Transfer, before: i64) -> i64:
    """Put a page of bytes into the next slot: the bytes written in all, or an errno if there were none before."""
    page = pipe.new_page()
    if page == 0:
        return before if before != 0 else -ENOMEM
    count = min(transfer.left, PAGE_SIZE)
    if transfer.take(unsafe.slice(u8, virtual(page), count)) != count:
        pipe.old_page(page)
        transfer.left = 0
        return before if before != 0 else -EFAULT
    pipe.push(page, count, (description.status.load() & O_DIRECT) != 0)
    interrupt_window()
    return before + i64(count)


@metal
def poll_pipe(description: Description) -> u32:
    """Readable if there are bytes, writable if there is a free slot; POLLHUP and POLLERR if the other side is gone."""
    pipe = pipe_of(description)
    events: u32 = 0
    if description.readable():
        if not pipe.empty():
            events |= READABLE
        if pipe.writers == 0:
            events |= POLLHUP
    if description.writable():
        if not pipe.full():
            events |= WRITABLE
        if pipe.readers == 0:
            events |= POLLERR
    return events


@metal
def pipe_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for either end."""
    return pipe_of(description).watchers


@metal
def pipe_attributes(description: Description, attributes: Attributes) -> i64:
    """fstat."""
    pipe = pipe_of(description)
    attributes.device = PIPE_DEVICE
    attributes.inode = pipe.number
    attributes.mode = S_IFIFO | 0o600
    attributes.links = 1
    attributes.access_time = pipe.created
    attributes.modify_time = pipe.created
    attributes.change_time = pipe.created
    return 0


@metal
def control_pipe(description: Description, command: u32, argument: u64) -> i64:
    """FIONREAD."""
    if command != FIONREAD:
        return -ENOTTY
    pipe = pipe_of(description)
    waiting: u64 = 0
    with pipe.busy:
        waiting = pipe.pending()
    return put_count(argument, waiting)


@metal
def release_pipe(description: Description) -> None:
    """One description of an end is gone."""
    pipe = pipe_of(description)
    over = False
    with pipe.busy:
        if description.readable():
            pipe.readers -= 1
        if description.writable():
            pipe.writers -= 1
        over = pipe.readers == 0 and pipe.writers == 0
    if over:
        destroy_pipe(pipe)
    else:
        pipe.tell_readers(True)
        pipe.tell_writers()


@metal
def reopen_pipe(description: Description, flags: u32) -> tuple[Ptr[Description], i64]:
    """Open an end again by /proc/self/fd: either end, as with a named pipe that has readers and writers."""
    pipe = pipe_of(description)
    made = create(PIPE, flags, unsafe.address(pipe))
    if made is None:
        return None, -ENOMEM
    with pipe.busy:
        if made.readable():
            pipe.readers += 1
        if made.writable():
            pipe.writers += 1
    return made, 0


PIPE = constant(
    Operations,
    {
        "label": b"pipe:",
        "read": read_pipe,
        "write": write_pipe,
        "poll": poll_pipe,
        "watchers": pipe_watchers,
        "attributes": pipe_attributes,
        "control": control_pipe,
        "reopen": reopen_pipe,
        "release": release_pipe,
    },
)
