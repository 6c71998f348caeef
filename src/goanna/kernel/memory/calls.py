"""The system calls of memory: arguments as Linux takes them, bodies in the files beside this one."""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.errno import EFAULT, EINVAL, ENOMEM
from goanna.kernel.memory import advise, mapping, protect, remap, user
from goanna.kernel.memory.mapping import MAP_ANONYMOUS, MAP_LOCKED, PROTECTION, Request, map_request
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Array, Fn, hook, i32, i64, metal, u8, u32, u64

__all__ = [
    "current_space",
    "may_lock_freely",
    "open_mapping",
    "sys_brk",
    "sys_madvise",
    "sys_mincore",
    "sys_mlock",
    "sys_mlock2",
    "sys_mlockall",
    "sys_mmap",
    "sys_mprotect",
    "sys_mremap",
    "sys_msync",
    "sys_munlock",
    "sys_munlockall",
    "sys_munmap",
]

MLOCK_ONFAULT = 1
UNKNOWN_PROTECTION = 0x80  # a bit that no machine's mprotect knows
ANSWER = 256  # pages that mincore answers at once

current_space = hook(Fn[[], AddressSpace])  # of the running process
may_lock_freely = hook(Fn[[], bool])  # whether that process may lock more than RLIMIT_MEMLOCK: CAP_IPC_LOCK

# Fill in `source`, with a reference that the caller gives back, and `maximum`, from a descriptor and the request's
# protection and flags. 0, -EBADF, -EACCES (not open for reading), -ENODEV (no file that can be mapped), -EPERM.
open_mapping = hook(Fn[[i32, Request], i64])


@metal
def locking(space: AddressSpace) -> AddressSpace:
    """The running process's memory, told before a call that locks some of it whether its limit counts."""
    space.locks_freely = may_lock_freely()
    return space


@metal
def sys_mmap(address: u64, length: u64, protection: u64, flags: u64, descriptor: i32, offset: u64) -> i64:
    """mmap(2)."""
    if offset % PAGE_SIZE != 0:
        return -EINVAL
    request = Request(address=address, length=length, offset=offset, maximum=PROTECTION)
    request.protection = u32.wrap(protection)
    request.flags = u32.wrap(flags)
    if flags & MAP_ANONYMOUS == 0:
        result = open_mapping(descriptor, request)
        if result != 0:
            return result
    source = request.source
    space = locking(current_space()) if request.flags & MAP_LOCKED != 0 else current_space()
    result = map_request(space, request)
    if source is not None:
        source.release()
    return result


@metal
def sys_munmap(address: u64, length: u64) -> i64:
    """munmap(2)."""
    return mapping.unmap(current_space(), address, length)


@metal
def sys_mprotect(address: u64, length: u64, protection: u64) -> i64:
    """mprotect(2)."""
    unknown: u32 = UNKNOWN_PROTECTION if protection > 0xFFFF_FFFF else 0
    return protect.protect(current_space(), address, length, u32.wrap(protection) | unknown)


@metal
def sys_mremap(address: u64, old_length: u64, new_length: u64, flags: u64, target: u64) -> i64:
    """mremap(2)."""
    return remap.remap(locking(current_space()), address, old_length, new_length, flags, target)


@metal
def sys_brk(address: u64) -> i64:
    """brk(2): the end of the heap, moved if it could be."""
    return i64(mapping.move_break(current_space(), address))


@metal
def sys_madvise(address: u64, length: u64, advice: u32) -> i64:
    """madvise(2)."""
    return advise.advise(current_space(), address, length, advice)


@metal
def sys_mincore(address: u64, length: u64, answer: u64) -> i64:
    """mincore(2)."""
    if address % PAGE_SIZE != 0:
        return -EINVAL
    if not user.accessible(address, length):
        return -ENOMEM
    count = (length + (PAGE_SIZE - 1)) // PAGE_SIZE
    if not user.accessible(answer, count):
        return -EFAULT
    part = Array[u8, ANSWER]()
    done: u64 = 0
    while done < count:
        size = min(count - done, u64(ANSWER))
        result = advise.resident(current_space(), address + done * PAGE_SIZE, part[0:size])
        if result == 0:
            result = user.copy_out(answer + done, part[0:size])
        if result != 0:
            return result
        done += size
    return 0


@metal
def sys_msync(address: u64, length: u64, flags: u32) -> i64:
    """msync(2)."""
    return advise.synchronise(current_space(), address, length, flags)


@metal
def sys_mlock(address: u64, length: u64) -> i64:
    """mlock(2)."""
    return protect.lock(locking(current_space()), address, length, False)


@metal
def sys_mlock2(address: u64, length: u64, flags: u32) -> i64:
    """mlock2(2)."""
    if flags & ~MLOCK_ONFAULT != 0:
        return -EINVAL
    return protect.lock(locking(current_space()), address, length, flags & MLOCK_ONFAULT != 0)


@metal
def sys_munlock(address: u64, length: u64) -> i64:
    """munlock(2)."""
    return protect.unlock(current_space(), address, length)


@metal
def sys_mlockall(flags: u32) -> i64:
    """mlockall(2)."""
    return protect.lock_all(locking(current_space()), flags)


@metal
def sys_munlockall() -> i64:
    """munlockall(2)."""
    return protect.unlock_all(current_space())
