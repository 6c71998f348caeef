"""Copies from one descriptor to another inside the kernel: sendfile, copy_file_range."""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EBADF, EFAULT, EFBIG, EINVAL, EISDIR, ENOMEM, EOVERFLOW, ESPIPE, EXDEV
from goanna.kernel.file.description import Description, Operations
from goanna.kernel.file.descriptors import get_open_file
from goanna.kernel.file.flags import O_APPEND, S_IFDIR, S_IFMT, S_IFREG
from goanna.kernel.file.memory_file import FILE, RLIMIT_FSIZE, node_of, on_size_limit
from goanna.kernel.file.node_pages import content
from goanna.kernel.file.pipe_calls import is_pipe
from goanna.kernel.file.transfer import MAXIMUM_BYTES, Transfer
from goanna.kernel.memory import pages, user
from goanna.kernel.thread.current import current_process
from goanna.metal import Ptr, Slice, i32, i64, metal, u8, u32, u64, unsafe

LARGEST = (1 << 63) - 1
EVERY = (1 << 64) - 1


@metal
def is_stored(description: Description) -> bool:
    """Whether it is a regular file whose content is a node's."""
    operations: Ptr[Operations] = FILE
    return description.operations is operations


@metal
def write_bytes(to: Description, data: Slice[u8], position: u64) -> tuple[u64, i64]:
    """Write kernel bytes: how many went, and the errno if none did."""
    transfer = Transfer(position=position)
    transfer.start_kernel(data)
    result = to.operations.write(to, transfer)
    return (u64(result), 0) if result >= 0 else (u64(0), result)


@metal
def copy_bytes(source: Description, start: u64, to: Description, position: u64, count: u64) -> i64:
    """Copy up to `count` bytes from a position to another one, each left alone where there is none: how many, or why
    there were none. No position moves."""
    if is_stored(source):
        return copy_stored(source, start, to, position, count)
    page = pages.allocate()
    if page == 0:
        return -ENOMEM
    buffer = unsafe.slice(u8, virtual(page), PAGE_SIZE)
    done: u64 = 0
    error: i64 = 0
    while done < count and error == 0:
        transfer = Transfer(position=start + done)
        transfer.start_kernel(buffer[0 : min(count - done, PAGE_SIZE)])
        got = source.operations.read(source, transfer)
        if got <= 0:
            error = got
            break
        written, error = write_bytes(to, buffer[0 : u64(got)], position + done)
        done += written
        if written < u64(got):
            break
    pages.release(page)
    return i64(done) if done != 0 else error


@metal
def copy_stored(source: Description, start: u64, to: Description, position: u64, count: u64) -> i64:
    """The same from where the bytes lie."""
    node = node_of(source)
    done: u64 = 0
    while done < count and start + done < node.size:
        most = min(count - done, node.size - min(node.size, start + done))
        part, page, error = content(node, start + done, most)
        if error == 0 and len(part) == 0:
            part = unsafe.slice(u8, virtual(pages.zero_page()), min(most, PAGE_SIZE - (start + done) % PAGE_SIZE))
        written: u64 = 0
        if error == 0:
            written, error = write_bytes(to, part, position + done)
        if page != 0:
            pages.release(page)
        if error < 0:
            return i64(done) if done != 0 else error
        done += written
        if written < len(part):
            break
    return i64(done)


@metal
def begin(description: Description, offset: u64, by_offset: bool) -> tuple[u64, i64]:
    """Where a copy starts: at the description's position, or at a number in user memory. -ESPIPE, -EFAULT, -EINVAL."""
    if not by_offset:
        return description.position, 0
    if not description.seekable():
        return 0, -ESPIPE
    value, error = user.get(i64, offset)
    if error < 0:
        return 0, -EFAULT
    return (u64(value), 0) if value >= 0 else (u64(0), -EINVAL)


@metal
def finish(description: Description, offset: u64, by_offset: bool, position: u64) -> i64:
    """Say where a copy ended. 0 or -EFAULT."""
    if by_offset:
        return user.put(offset, position)
    if description.seekable():
        description.position = position
    return 0


@metal
def sys_sendfile(target: i32, origin: i32, offset: u64, count: u64) -> i64:
    """sendfile(2)."""
    source = get_open_file(origin)
    if source is None:
        return -EBADF
    start, result = begin(source, offset, offset != 0)
    if not source.readable():
        result = -EBADF
    if result == 0:
        result = -EBADF
        to = get_open_file(target)
        if to is not None:
            result = check_sendfile(source, to, count)
            if result == 0:
                result = 0 if count == 0 else send(source, start, to, offset, min(count, MAXIMUM_BYTES))
            to.drop()
    source.drop()
    return result


@metal
def check_sendfile(source: Description, to: Description, count: u64) -> i64:
    """0, or why it can't be. Nothing goes into a pipe from anything."""
    if not to.writable():
        return -EBADF
    if count == 0 and is_pipe(to):
        return 0
    if source.operations.read is None or to.operations.write is None or source.operations.seek is None:
        return -EINVAL
    if (source.mode() & S_IFMT) == S_IFDIR:
        return -EINVAL
    if (to.status.load() & O_APPEND) != 0:
        return -EINVAL
    return 0


@metal
def send(source: Description, start: u64, to: Description, offset: u64, count: u64) -> i64:
    """The copy; positions move."""
    result = copy_bytes(source, start, to, to.position, count)
    if result > 0:
        if to.seekable():
            to.position += u64(result)
        error = finish(source, offset, offset != 0, start + u64(result))
        if error < 0:
            return error
    return result


@metal
def sys_copy_file_range(origin: i32, offset: u64, target: i32, to_offset: u64, count: u64, flags: u32) -> i64:
    """copy_file_range(2)."""
    source = get_open_file(origin)
    if source is None:
        return -EBADF
    to = get_open_file(target)
    if to is None:
        source.drop()
        return -EBADF
    result = copy_range(source, offset, to, to_offset, count, flags)
    source.drop()
    to.drop()
    return result


@metal
def copy_range(source: Description, offset: u64, to: Description, to_offset: u64, count: u64, flags: u32) -> i64:
    """The same between descriptions (vfs_copy_file_range, generic_copy_file_checks)."""
    start = source.position
    position = to.position
    error: i64 = 0
    if offset != 0:
        start, error = user.get(u64, offset)
    if to_offset != 0 and error == 0:
        position, error = user.get(u64, to_offset)
    if error == 0 and flags != 0:
        error = -EINVAL
    if error == 0:
        error = check_range(source, start, to, position, count)
    if error < 0:
        return error
    most = min(count, MAXIMUM_BYTES)
    result = copy_bytes(source, start, to, position, most)
    if result > 0:
        moved = u64(result)
        if finish(source, offset, offset != 0, start + moved) < 0:
            return -EFAULT
        if finish(to, to_offset, to_offset != 0, position + moved) < 0:
            return -EFAULT
    return result


@metal
def check_range(source: Description, start: u64, to: Description, position: u64, count: u64) -> i64:
    """0, or why bytes can't be copied between these places."""
    kind = source.mode() & S_IFMT
    to_kind = to.mode() & S_IFMT
    if kind == S_IFDIR or to_kind == S_IFDIR:
        return -EISDIR
    if kind != S_IFREG or to_kind != S_IFREG:
        return -EINVAL
    if not source.readable() or not to.writable() or (to.status.load() & O_APPEND) != 0:
        return -EBADF
    if source.entry is None or to.entry is None or source.entry.real().tree is not to.entry.real().tree:
        return -EXDEV
    if start > EVERY - count or position > EVERY - count:
        return -EOVERFLOW
    if start > LARGEST or position > LARGEST:
        return -EINVAL
    if position >= current_process().limits[RLIMIT_FSIZE].current:
        on_size_limit()
        return -EFBIG
    if is_stored(source) and is_stored(to) and source.object == to.object:
        size = node_of(source).size
        length = min(count, size - min(size, start))
        if position < start + length and start < position + length:
            return -EINVAL
    return 0
