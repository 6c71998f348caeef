"""The calls that make pipes, and the fcntl commands that size them."""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.errno import EBADF, EBUSY, EFAULT, EINVAL, ENFILE, ENOMEM, EPERM
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import descriptor_limit, files
from goanna.kernel.file.flags import O_CLOEXEC, O_DIRECT, O_NONBLOCK, O_RDONLY, O_WRONLY
from goanna.kernel.file.named_pipe import NAMED_PIPE
from goanna.kernel.file.pipe import PIPE, SLOT_SIZE, Pipe, Slot, create_pipe, destroy_pipe, pipe_of
from goanna.kernel.memory import pages, user
from goanna.metal import Array, Ptr, copy, i32, i64, metal, u8, u32, u64, unsafe

MAXIMUM_SLOTS = 256  # sysctl fs.pipe-max-size, 1 MiB


@metal
def sys_pipe(address: u64) -> i64:
    """pipe(2)."""
    return make_pipe(address, 0)


@metal
def sys_pipe2(address: u64, options: u32) -> i64:
    """pipe2(2)."""
    if (options & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT)) != 0:
        return -EINVAL
    return make_pipe(address, options)


@metal
def make_pipe(address: u64, options: u32) -> i64:
    """A pipe under two new descriptors, whose numbers go to user memory; nothing is left behind if that faults."""
    pipe = create_pipe()
    if pipe is None:
        return -ENFILE
    reader = create(PIPE, O_RDONLY | (options & O_NONBLOCK), unsafe.address(pipe))
    if reader is None:
        destroy_pipe(pipe)
        return -ENFILE
    writer = create(PIPE, O_WRONLY | (options & (O_NONBLOCK | O_DIRECT)), unsafe.address(pipe))
    if writer is None:
        pipe.writers = 0
        reader.drop()
        return -ENFILE
    result = install_pair(reader, writer, address, (options & O_CLOEXEC) != 0)
    if result < 0:
        reader.drop()
        writer.drop()
    return result


@metal
def install_pair(first: Description, second: Description, address: u64, close_on_exec: bool) -> i64:
    """Two new descriptors, told to user memory as two ints. On failure the references stay the caller's."""
    table = files()
    limit = descriptor_limit()
    low = table.reserve(0, limit)
    if low < 0:
        return i64(low)
    high = table.reserve(0, limit)
    if high < 0:
        table.cancel(low)
        return i64(high)
    both = Array[i32, 2]()
    both[0] = low
    both[1] = high
    if user.copy_out(address, unsafe.slice(u8, unsafe.address(both), 8)) < 0:
        table.cancel(low)
        table.cancel(high)
        return -EFAULT
    table.install(low, first, close_on_exec)
    table.install(high, second, close_on_exec)
    return 0


@metal
def is_pipe(description: Description) -> bool:
    """Whether it is an end of a pipe."""
    nameless: Ptr[Operations] = PIPE
    named: Ptr[Operations] = NAMED_PIPE
    return description.operations is nameless or description.operations is named


@metal
def pipe_capacity(description: Description) -> i64:
    """F_GETPIPE_SZ: bytes."""
    if not is_pipe(description):
        return -EBADF
    return i64(pipe_of(description).capacity) * PAGE_SIZE


@metal
def pipe_resize(description: Description, size: u32) -> i64:
    """F_SETPIPE_SZ: room for at least `size` bytes, a power of two of pages. -EBUSY if more is in it now."""
    if not is_pipe(description):
        return -EBADF
    if size > 0x80000000:
        return -EINVAL
    wanted: u32 = 1
    while u64(wanted) * PAGE_SIZE < u64(size):
        wanted *= 2
    if wanted > MAXIMUM_SLOTS:
        return -EPERM
    pipe = pipe_of(description)
    result: i64 = 0
    with pipe.busy:
        result = resize(pipe, wanted)
    if result > 0:
        pipe.tell_writers()
    return result


@metal
def resize(pipe: Pipe, wanted: u32) -> i64:
    """Move the slots in use to an array of `wanted`. With `busy` held."""
    used = pipe.head - pipe.tail
    if used > u64(wanted):
        return -EBUSY
    order: u32 = 0
    while (u64(PAGE_SIZE) << u64(order)) < u64(wanted) * SLOT_SIZE:
        order += 1
    memory = pages.allocate_order(order)
    if memory == 0:
        return -ENOMEM
    address = virtual(memory)
    for index in range(used):
        copy(unsafe.at(Slot, address + index * SLOT_SIZE), pipe.slot(pipe.tail + index))
    if pipe.slots != 0:
        pages.free_order(physical(pipe.slots), pipe.order)
    pipe.slots = address
    pipe.order = order
    pipe.capacity = wanted
    pipe.tail = 0
    pipe.head = used
    return i64(wanted) * PAGE_SIZE
