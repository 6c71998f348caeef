"""eventfd: a counter under a descriptor, to wait for and to wake with (eventfd(2), Linux fs/eventfd.c)."""

from goanna.kernel.base.errno import EAGAIN, EFAULT, EINVAL, ENOMEM, ERESTARTSYS
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.anonymous import anonymous_attributes, seek_nowhere
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import add_descriptor
from goanna.kernel.file.flags import (
    O_CLOEXEC,
    O_NONBLOCK,
    O_RDWR,
    POLLERR,
    POLLIN,
    POLLOUT,
)
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.watch import Watchers
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Ptr, constant, i64, metal, struct, u8, u32, u64, unsafe

EFD_SEMAPHORE = 1
HIGHEST = 0xFFFFFFFFFFFFFFFF  # the count never gets there; only adding inside a kernel can


@struct
class EventCounter:
    """What lies below an eventfd."""

    lock: SpinLock  # protects the count, and the queues' waiting
    count: u64
    semaphore: bool  # a read takes 1, not all
    readers: WaitQueue
    writers: WaitQueue
    watchers: Watchers


counters = Cache(EventCounter)


@metal
def counter_of(description: Description) -> EventCounter:
    """The counter below a description."""
    return unsafe.at(EventCounter, description.object)


@metal
def read_counter(description: Description, transfer: Transfer) -> i64:
    """Wait until the count is not 0; give it and set it to 0, or give 1 and take 1."""
    if transfer.left < 8:
        return -EINVAL
    counter = counter_of(description)
    value: u64 = 1
    with counter.lock:
        while counter.count == 0:
            if description.nonblocking() or transfer.nonblocking:
                return -EAGAIN
            if counter.readers.wait(counter.lock, NEVER, True) == Wake.SIGNAL:
                return -ERESTARTSYS
        if not counter.semaphore:
            value = counter.count
        counter.count -= value
        counter.writers.wake_all()
    counter.watchers.notify(POLLOUT)
    return put_number(transfer, value)


@metal
def put_number(transfer: Transfer, value: u64) -> i64:
    """Give the program 8 bytes."""
    number = Array[u64, 1]()
    number[0] = value
    return 8 if transfer.put(unsafe.slice(u8, unsafe.address(number), 8)) == 8 else -EFAULT


@metal
def write_counter(description: Description, transfer: Transfer) -> i64:
    """Add a number; wait while the sum would be 2**64-1 or more."""
    if transfer.left < 8 or transfer.contiguous() < 8:
        return -EINVAL  # each range of a writev is a write of its own, and the first must hold a number
    number = Array[u64, 1]()
    if transfer.take(unsafe.slice(u8, unsafe.address(number), 8)) != 8:
        return -EFAULT
    value = number[0]
    if value == HIGHEST:
        return -EINVAL
    counter = counter_of(description)
    with counter.lock:
        while HIGHEST - counter.count <= value:
            if description.nonblocking() or transfer.nonblocking:
                return -EAGAIN
            if counter.writers.wait(counter.lock, NEVER, True) == Wake.SIGNAL:
                return -ERESTARTSYS
        counter.count += value
        counter.readers.wake_all()
    counter.watchers.notify(POLLIN)
    return 8


@metal
def poll_counter(description: Description) -> u32:
    """Readable above 0, writable while 1 can be added."""
    count = counter_of(description).count
    events: u32 = 0
    if count > 0:
        events |= POLLIN
    if count == HIGHEST:
        events |= POLLERR
    if count < HIGHEST - 1:
        events |= POLLOUT
    return events


@metal
def counter_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for it."""
    return counter_of(description).watchers


@metal
def release_counter(description: Description) -> None:
    """The last reference is gone."""
    counters.free(counter_of(description))


EVENT = constant(
    Operations,
    {
        "label": b"anon_inode:[eventfd]",
        "read": read_counter,
        "write": write_counter,
        "poll": poll_counter,
        "watchers": counter_watchers,
        "seek": seek_nowhere,
        "attributes": anonymous_attributes,
        "release": release_counter,
    },
)


@metal
def sys_eventfd(count: u32) -> i64:
    """eventfd(2), the old form without flags."""
    return sys_eventfd2(count, 0)


@metal
def sys_eventfd2(count: u32, options: u32) -> i64:
    """eventfd(2)."""
    if (options & ~(EFD_SEMAPHORE | O_CLOEXEC | O_NONBLOCK)) != 0:
        return -EINVAL
    counter = counters.allocate()
    if counter is None:
        return -ENOMEM
    counter.count = u64(count)
    counter.semaphore = (options & EFD_SEMAPHORE) != 0
    description = create(EVENT, O_RDWR | (options & O_NONBLOCK), unsafe.address(counter))
    if description is None:
        counters.free(counter)
        return -ENOMEM
    return add_descriptor(description, (options & O_CLOEXEC) != 0)
