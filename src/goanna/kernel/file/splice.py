"""splice, tee, vmsplice: bytes into and out of pipes without a stop in the program's memory (splice(2))."""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EAGAIN, EBADF, EINVAL, ENOMEM, EPIPE, ERESTARTSYS, ESPIPE
from goanna.kernel.file.copy_calls import begin, finish
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_open_file
from goanna.kernel.file.flags import O_APPEND
from goanna.kernel.file.io_calls import CURRENT, vector
from goanna.kernel.file.pipe import Pipe, on_broken_pipe, pipe_of
from goanna.kernel.file.pipe_calls import is_pipe
from goanna.kernel.file.transfer import Transfer
from goanna.metal import i32, i64, metal, u8, u32, u64, unsafe

SPLICE_F_NONBLOCK = 2
KNOWN = 15


@metal
def sys_splice(origin: i32, offset: u64, target: i32, to_offset: u64, count: u64, flags: u32) -> i64:
    """splice(2)."""
    if count == 0:
        return 0
    if (flags & ~u32(KNOWN)) != 0:
        return -EINVAL
    source = get_open_file(origin)
    if source is None:
        return -EBADF
    to = get_open_file(target)
    if to is None:
        source.drop()
        return -EBADF
    result: i64 = -EBADF
    if (is_pipe(source) and offset != 0) or (is_pipe(to) and to_offset != 0):
        result = -ESPIPE
    elif source.readable() and to.writable():
        result = splice(source, offset, to, to_offset, count, flags)
    source.drop()
    to.drop()
    return result


@metal
def splice(source: Description, offset: u64, to: Description, to_offset: u64, count: u64, flags: u32) -> i64:
    """The same between descriptions (do_splice)."""
    from_pipe = is_pipe(source)
    to_pipe = is_pipe(to)
    if from_pipe and to_pipe:
        if source.object == to.object:
            return -EINVAL
        waits = (flags & SPLICE_F_NONBLOCK) == 0 and not source.nonblocking() and not to.nonblocking()
        return pass_on(pipe_of(source), pipe_of(to), count, waits, True)
    if from_pipe:
        return empty_into(source, to, to_offset, count, flags)
    if to_pipe:
        return fill_from(source, to, offset, count, flags)
    return -EINVAL


@metal
def empty_into(source: Description, to: Description, to_offset: u64, count: u64, flags: u32) -> i64:
    """From a pipe to something else."""
    if to_offset != 0 and not to.seekable():
        return -EINVAL
    if to.operations.write is None or (to.status.load() & O_APPEND) != 0:
        return -EINVAL
    position, error = begin(to, to_offset, to_offset != 0)
    if error < 0:
        return error
    pipe = pipe_of(source)
    done: i64 = 0
    with pipe.busy:
        done = wait_filled(pipe, (flags & SPLICE_F_NONBLOCK) == 0 and not source.nonblocking())
        if done > 0:
            done = drain_into(pipe, to, position, count)
    if done > 0:
        pipe.tell_writers()
        error = finish(to, to_offset, to_offset != 0, position + u64(done))
        if error < 0:
            return error
    return done


@metal
def wait_filled(pipe: Pipe, waits: bool) -> i64:
    """Wait for bytes. With `busy`. 1; 0: none will come; -EAGAIN, -ERESTARTSYS."""
    while pipe.empty():
        if pipe.writers == 0:
            return 0
        if not waits:
            return -EAGAIN
        if not pipe.wait_for_bytes():
            return -ERESTARTSYS
    return 1


@metal
def wait_free(pipe: Pipe, waits: bool) -> i64:
    """Wait for a free slot. With `busy`. 1, -EPIPE, -EAGAIN or -ERESTARTSYS."""
    while True:
        if pipe.readers == 0:
            return -EPIPE
        if not pipe.full():
            return 1
        if not waits:
            return -EAGAIN
        if not pipe.wait_for_room():
            return -ERESTARTSYS


@metal
def drain_into(pipe: Pipe, to: Description, position: u64, count: u64) -> i64:
    """Write what is in a pipe: bytes that are not taken stay. With `busy`."""
    done: u64 = 0
    while done < count and not pipe.empty():
        slot = pipe.slot(pipe.tail)
        wanted = min(u64(slot.count), count - done)
        transfer = Transfer(position=position + done)
        transfer.start_kernel(unsafe.slice(u8, virtual(slot.page) + u64(slot.start), wanted))
        result = to.operations.write(to, transfer)
        if result < 0:
            return i64(done) if done != 0 else result
        consume(pipe, u64(result))
        done += u64(result)
        if u64(result) < wanted:
            break
    return i64(done)


@metal
def consume(pipe: Pipe, count: u64) -> None:
    """Take bytes off the first slot. With `busy`."""
    slot = pipe.slot(pipe.tail)
    slot.start += u32(count)
    slot.count -= u32(count)
    if slot.count == 0:
        pipe.old_page(slot.page)
        pipe.tail += 1


@metal
def fill_from(source: Description, to: Description, offset: u64, count: u64, flags: u32) -> i64:
    """From something else into a pipe: as much as fits at once."""
    if offset != 0 and not source.seekable():
        return -EINVAL
    if source.operations.read is None or source.operations.list is not None:
        return -EINVAL
    start, error = begin(source, offset, offset != 0)
    if error < 0:
        return error
    pipe = pipe_of(to)
    done: i64 = 0
    with pipe.busy:
        done = wait_free(pipe, (flags & SPLICE_F_NONBLOCK) == 0 and not to.nonblocking())
        if done > 0:
            done = fill_slots(pipe, source, start, count)
    if done == -EPIPE:
        on_broken_pipe()
    if done > 0:
        pipe.tell_readers(True)
        error = finish(source, offset, offset != 0, start + u64(done))
        if error < 0:
            return error
    return done


@metal
def fill_slots(pipe: Pipe, source: Description, start: u64, count: u64) -> i64:
    """Read into the free slots of a pipe. With `busy`."""
    done: u64 = 0
    while done < count and not pipe.full():
        page = pipe.new_page()
        if page == 0:
            return i64(done) if done != 0 else -ENOMEM
        wanted = min(PAGE_SIZE - (start + done) % PAGE_SIZE, count - done)
        transfer = Transfer(position=start + done)
        transfer.start_kernel(unsafe.slice(u8, virtual(page), wanted))
        result = source.operations.read(source, transfer)
        if result <= 0:
            pipe.old_page(page)
            return i64(done) if done != 0 else result
        pipe.push(page, u64(result), False)
        done += u64(result)
        if u64(result) < wanted:
            break
    return i64(done)


@metal
def pass_on(source: Pipe, to: Pipe, count: u64, waits: bool, takes: bool) -> i64:
    """From pipe to pipe; without `takes` the bytes stay in the first one too (tee)."""
    while True:
        ready: i64 = 0
        with source.busy:
            ready = wait_filled(source, waits)
        if ready <= 0:
            return ready
        with to.busy:
            ready = wait_free(to, waits)
        if ready == -EPIPE:
            on_broken_pipe()
        if ready < 0:
            return ready
        done = pass_locked(source, to, count, takes)
        if done != 0:
            if done > 0:
                to.tell_readers(True)
                if takes:
                    source.tell_writers()
            return done


@metal
def pass_locked(source: Pipe, to: Pipe, count: u64, takes: bool) -> i64:
    """What can be moved now. 0: nothing, any more."""
    first = source if unsafe.address(source) < unsafe.address(to) else to
    second = to if unsafe.address(source) < unsafe.address(to) else source
    done: u64 = 0
    with first.busy, second.busy:
        index = source.tail
        while done < count and index < source.head and not to.full():
            slot = source.slot(index)
            part = min(u64(slot.count), count - done)
            page = to.new_page()
            if page == 0:
                return i64(done) if done != 0 else -ENOMEM
            data = unsafe.slice(u8, virtual(slot.page) + u64(slot.start), part)
            unsafe.slice(u8, virtual(page), PAGE_SIZE)[0:part] = data
            to.push(page, part, slot.packet)
            done += part
            index += 1
            if takes:
                consume(source, part)
    return i64(done)


@metal
def sys_tee(origin: i32, target: i32, count: u64, flags: u32) -> i64:
    """tee(2)."""
    if (flags & ~u32(KNOWN)) != 0:
        return -EINVAL
    if count == 0:
        return 0
    source = get_open_file(origin)
    if source is None:
        return -EBADF
    to = get_open_file(target)
    if to is None:
        source.drop()
        return -EBADF
    result: i64 = -EBADF
    if source.readable() and to.writable():
        result = -EINVAL
        if is_pipe(source) and is_pipe(to) and source.object != to.object:
            waits = (flags & SPLICE_F_NONBLOCK) == 0 and not source.nonblocking() and not to.nonblocking()
            result = pass_on(pipe_of(source), pipe_of(to), count, waits, False)
    source.drop()
    to.drop()
    return result


@metal
def sys_vmsplice(descriptor: i32, address: u64, count: u64, flags: u32) -> i64:
    """vmsplice(2): the bytes are copied, gift or not."""
    if (flags & ~u32(KNOWN)) != 0:
        return -EINVAL
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    pipe = is_pipe(description)
    writing = description.writable()
    description.drop()
    if not pipe:
        return -EBADF
    return vector(descriptor, address, count, CURRENT, 0, writing)
