"""Reading and writing: every call that moves bytes between a descriptor and memory, and lseek.

Checks come in Linux's order: the descriptor (EBADF), what it can do (EINVAL, ESPIPE), the memory (EFAULT).
"""

from goanna.kernel.base.errno import EBADF, EINVAL, EOPNOTSUPP, ESPIPE
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_open_file
from goanna.kernel.file.flags import SEEK_HOLE
from goanna.kernel.file.transfer import Transfer, Vector
from goanna.kernel.thread.current import count, current
from goanna.kernel.thread.process import READ_BYTES, READ_CALLS, WRITE_CALLS, WRITTEN_BYTES
from goanna.metal import i32, i64, metal, u32, u64

LARGEST = 0x7FFFFFFFFFFFFFFF  # the last position
CURRENT = -1  # preadv2's position that means the file's own

RWF_HIPRI = 0x1
RWF_DSYNC = 0x2
RWF_SYNC = 0x4
RWF_NOWAIT = 0x8
RWF_APPEND = 0x10
RWF_KNOWN = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND


@metal
def move(description: Description, transfer: Transfer, writing: bool) -> i64:
    """Read or write at transfer.position."""
    if writing:
        return description.operations.write(description, transfer)
    return description.operations.read(description, transfer)


@metal(inline=True)
def too_far(transfer: Transfer) -> bool:
    """Whether it would end where no position leads (rw_verify_area)."""
    return transfer.position > LARGEST - transfer.left


@metal
def move_on(description: Description, transfer: Transfer, writing: bool) -> i64:
    """Read or write where the description stands, and move it on."""
    if not description.seekable():
        return move(description, transfer, writing)
    with description.position_lock:
        transfer.position = description.position
        if too_far(transfer):
            return -EINVAL
        result = move(description, transfer, writing)
        description.position = transfer.position
        return result


@metal
def check_access(description: Description, writing: bool) -> i64:
    """-EBADF if it was not opened for that, -EINVAL if such a file can't do it."""
    if writing:
        if not description.writable():
            return -EBADF
        return -EINVAL if description.operations.write is None else 0
    if not description.readable():
        return -EBADF
    return -EINVAL if description.operations.read is None else 0


@metal
def simple(descriptor: i32, address: u64, count: u64, writing: bool) -> i64:
    """read and write."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    transfer = Transfer()
    result = check_access(description, writing)
    if result == 0:
        result = transfer.start(address, count)
    if result == 0:
        result = counted(move_on(description, transfer, writing), writing)
    description.drop()
    return result


@metal(inline=True)
def counted(result: i64, writing: bool) -> i64:
    """Count a read or write for the thread: its result."""
    me = current()
    count(me, WRITE_CALLS if writing else READ_CALLS, 1)
    if result > 0:
        count(me, WRITTEN_BYTES if writing else READ_BYTES, u64(result))
    return result


@metal
def positioned(descriptor: i32, address: u64, count: u64, position: i64, writing: bool) -> i64:
    """pread64 and pwrite64."""
    if position < 0:
        return -EINVAL
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    transfer = Transfer(position=u64(position))
    result: i64 = 0 if description.seekable() else -ESPIPE
    if result == 0:
        result = check_access(description, writing)
    if result == 0:
        result = transfer.start(address, count)
    if result == 0 and too_far(transfer):
        result = -EINVAL
    if result == 0:
        result = counted(move(description, transfer, writing), writing)
    description.drop()
    return result


@metal
def vector(descriptor: i32, address: u64, count: u64, position: i64, options: u32, writing: bool) -> i64:
    """The vector forms; `position` is CURRENT for those that move the description on."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    transfer = Transfer()
    segments = Vector()
    result: i64 = 0 if position == CURRENT or description.seekable() else -ESPIPE
    if result == 0:
        result = check_access(description, writing)
    if result == 0:
        result = segments.load(transfer, address, count)
    if result == 0 and transfer.left != 0:
        result = counted(move_segments(description, transfer, position, options, writing), writing)
    segments.release()
    description.drop()
    return result


@metal
def move_segments(description: Description, transfer: Transfer, position: i64, options: u32, writing: bool) -> i64:
    """The move itself, where there is something to move."""
    error = set_options(transfer, options)
    if error < 0:
        return error
    if position == CURRENT:
        return move_on(description, transfer, writing)
    transfer.position = u64(position)
    return -EINVAL if too_far(transfer) else move(description, transfer, writing)


@metal
def set_options(transfer: Transfer, options: u32) -> i64:
    """The RWF_ flags of preadv2 and pwritev2. Nothing is cached that could be written later, and no file grows."""
    if (options & ~RWF_KNOWN) != 0:
        return -EOPNOTSUPP
    if (options & RWF_NOWAIT) != 0:
        transfer.nonblocking = True
    return 0


@metal
def sys_read(descriptor: i32, address: u64, count: u64) -> i64:
    """read(2)."""
    return simple(descriptor, address, count, False)


@metal
def sys_write(descriptor: i32, address: u64, count: u64) -> i64:
    """write(2)."""
    return simple(descriptor, address, count, True)


@metal
def sys_pread64(descriptor: i32, address: u64, count: u64, position: i64) -> i64:
    """pread(2)."""
    return positioned(descriptor, address, count, position, False)


@metal
def sys_pwrite64(descriptor: i32, address: u64, count: u64, position: i64) -> i64:
    """pwrite(2)."""
    return positioned(descriptor, address, count, position, True)


@metal
def sys_readv(descriptor: i32, address: u64, count: u64) -> i64:
    """readv(2)."""
    return vector(descriptor, address, count, CURRENT, 0, False)


@metal
def sys_writev(descriptor: i32, address: u64, count: u64) -> i64:
    """writev(2)."""
    return vector(descriptor, address, count, CURRENT, 0, True)


@metal
def sys_preadv(descriptor: i32, address: u64, count: u64, position: i64) -> i64:
    """preadv(2). The fifth register, the position's high half on 32-bit machines, is not looked at."""
    if position < 0:
        return -EINVAL
    return vector(descriptor, address, count, position, 0, False)


@metal
def sys_pwritev(descriptor: i32, address: u64, count: u64, position: i64) -> i64:
    """pwritev(2)."""
    if position < 0:
        return -EINVAL
    return vector(descriptor, address, count, position, 0, True)


@metal
def sys_preadv2(descriptor: i32, address: u64, count: u64, position: i64, high: u64, options: u32) -> i64:
    """preadv2(2)."""
    if position < CURRENT:
        return -EINVAL
    return vector(descriptor, address, count, position, options, False)


@metal
def sys_pwritev2(descriptor: i32, address: u64, count: u64, position: i64, high: u64, options: u32) -> i64:
    """pwritev2(2)."""
    if position < CURRENT:
        return -EINVAL
    return vector(descriptor, address, count, position, options, True)


@metal
def sys_lseek(descriptor: i32, offset: i64, whence: u32) -> i64:
    """lseek(2)."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    result: i64 = -EINVAL
    if whence <= SEEK_HOLE:
        result = -ESPIPE
        if description.operations.seek is not None:
            with description.position_lock:
                result = description.operations.seek(description, offset, whence)
                if result >= 0:
                    description.position = u64(result)
    description.drop()
    return result
