"""process_vm_readv and process_vm_writev: one process copies memory of another (process_vm_readv(2), Linux
mm/process_vm_access.c)."""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EFAULT, EINVAL, ENOMEM, EPERM, ESRCH
from goanna.kernel.file.pidfd import may_reach_into
from goanna.kernel.file.subject import hold_space
from goanna.kernel.file.transfer import Transfer, Vector
from goanna.kernel.memory import pages
from goanna.kernel.memory.remote import peek, poke
from goanna.kernel.memory.space import AddressSpace, release
from goanna.kernel.thread.process import Process, release_process, tree_lock
from goanna.kernel.thread.thread import find_in_table
from goanna.metal import Ptr, i32, i64, metal, u8, u32, u64, unsafe

__all__ = ["sys_process_vm_readv", "sys_process_vm_writev"]


@metal
def sys_process_vm_readv(id: i32, own: u64, own_count: u64, other: u64, other_count: u64, options: u64) -> i64:
    """process_vm_readv."""
    return move_memory(id, own, own_count, other, other_count, options, False)


@metal
def sys_process_vm_writev(id: i32, own: u64, own_count: u64, other: u64, other_count: u64, options: u64) -> i64:
    """process_vm_writev."""
    return move_memory(id, own, own_count, other, other_count, options, True)


@metal
def move_memory(id: i32, own: u64, own_count: u64, other: u64, other_count: u64, options: u64, writing: bool) -> i64:
    """Both calls: how many bytes were moved, or an errno if none could be."""
    if options != 0:
        return -EINVAL
    local = Vector()
    mine = Transfer()
    remote = Vector()
    theirs = Transfer()
    result = local.load(mine, own, own_count)
    if result == 0 and mine.left != 0:
        result = remote.load(theirs, other, other_count)
        if result == 0 and theirs.left != 0:
            result = with_space(id, mine, theirs, writing)
    remote.release()
    local.release()
    return result


@metal
def with_space(id: i32, mine: Transfer, theirs: Transfer, writing: bool) -> i64:
    """Find the process, and move."""
    process: Ptr[Process] = None
    with tree_lock:
        thread = find_in_table(u32.wrap(id))
        if thread is None or thread.process is None:
            return -ESRCH
        process = thread.process
        process.references.add(1)
    result: i64 = -EPERM
    if may_reach_into(process):
        space = hold_space(process)
        result = -ESRCH
        if space is not None:
            result = move(space, mine, theirs, writing)
            release(space)
    release_process(process)
    return result


@metal
def move(space: AddressSpace, mine: Transfer, theirs: Transfer, writing: bool) -> i64:
    """Move bytes by way of a page, until either side ends or can't be reached."""
    page = pages.allocate()
    if page == 0:
        return -ENOMEM
    done: u64 = 0
    while mine.left != 0 and theirs.left != 0:
        count = min(mine.left, theirs.contiguous(), u64(PAGE_SIZE))
        buffer = unsafe.slice(u8, virtual(page), count)
        moved: u64 = 0
        if writing:
            moved = mine.take(buffer)
            moved = poke(space, theirs.address, buffer[0:moved])
        else:
            moved = mine.put(buffer[0 : peek(space, buffer, theirs.address)])
        theirs.advance(moved)
        done += moved
        if moved != count:
            break
    pages.release(page)
    return i64(done) if done != 0 else -EFAULT
