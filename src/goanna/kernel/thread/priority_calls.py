"""Nice values, and scheduling attributes in one structure: getpriority, setpriority, sched_getattr, sched_setattr."""

from goanna.kernel.base.errno import E2BIG, EACCES, EFAULT, EINVAL, EOPNOTSUPP, EPERM, ESRCH
from goanna.kernel.memory.user import copy_in, copy_out, get, put
from goanna.kernel.thread.affinity_calls import check_policy, thread_of
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import Thread, next_in_table, release_thread
from goanna.metal import Array, i32, i64, metal, sizeof, struct, u8, u32, u64, unsafe

__all__ = ["SchedulingAttributes", "sys_getpriority", "sys_sched_getattr", "sys_sched_setattr", "sys_setpriority"]

PRIO_PROCESS = 0
PRIO_PGRP = 1
PRIO_USER = 2
LEAST_NICE = -20
MOST_NICE = 19
CAP_SYS_NICE = 1 << 23

KEEP_POLICY = 8
KEEP_PARAMETERS = 16
CLAMPS = 96  # utilisation clamps, which are not there
KNOWN_FLAGS = 127
FIRST_SIZE = 48
LARGEST_SIZE = 4096


@struct
class SchedulingAttributes:
    """struct sched_attr (sched_setattr(2))."""

    size: u32
    policy: u32
    flags: u64
    nice: i32
    priority: u32
    runtime: u64
    deadline: u64
    period: u64
    least_utilisation: u32
    most_utilisation: u32


@metal
def meant(thread: Thread, which: i32, who: i32) -> bool:
    """Whether getpriority or setpriority means a thread. Process tree lock held."""
    if thread.process is None:
        return False
    process: Process = thread.process
    mine = current_process()
    match which:
        case 0:
            return thread is current() if who == 0 else i64(thread.id) == i64(who)
        case 1:
            return process.group == (mine.group if who == 0 else u32.wrap(who))
        case _:
            return process.credentials.user == (mine.credentials.user if who == 0 else u32.wrap(who))


@metal
def sys_getpriority(which: i32, who: i32) -> i64:
    """getpriority: 20 less the least nice value."""
    if which < PRIO_PROCESS or which > PRIO_USER:
        return -EINVAL
    best: i64 = -ESRCH
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            if meant(thread, which, who):
                best = max(best, 20 - i64(thread.nice))
            thread = next_in_table(thread)
    return best


@metal
def sys_setpriority(which: i32, who: i32, nice: i32) -> i64:
    """setpriority."""
    if which < PRIO_PROCESS or which > PRIO_USER:
        return -EINVAL
    wanted = min(max(nice, i32(LEAST_NICE)), i32(MOST_NICE))
    result: i64 = -ESRCH
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            if meant(thread, which, who):
                done = set_nice(thread, wanted)
                if done != 0:
                    result = done
                elif result == -ESRCH:
                    result = 0
            thread = next_in_table(thread)
    return result


@metal
def set_nice(thread: Thread, nice: i32) -> i64:
    """Give a thread a nice value: 0, -EPERM (another user's) or -EACCES (a lower one, without the right to)."""
    mine = current_process().credentials
    may = mine.effective & CAP_SYS_NICE != 0
    process: Process = thread.process
    user = process.credentials.user
    if mine.effective_user != user and mine.effective_user != process.credentials.effective_user and not may:
        return -EPERM
    if nice < thread.nice and not may:
        return -EACCES
    thread.nice = nice
    return 0


@metal
def sys_sched_getattr(id: i32, address: u64, size: u32, flags: u32) -> i64:
    """sched_getattr: as much of the structure as the caller has room for."""
    if address == 0 or id < 0 or size > LARGEST_SIZE or size < FIRST_SIZE or flags != 0:
        return -EINVAL
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    known = min(size, u32(sizeof(SchedulingAttributes)))
    attributes = SchedulingAttributes(size=known, policy=thread.policy, nice=thread.nice)
    release_thread(thread)
    return copy_out(address, unsafe.slice(u8, unsafe.address(attributes), u64(known)))


@metal
def sys_sched_setattr(id: i32, address: u64, flags: u32) -> i64:
    """sched_setattr."""
    if address == 0 or id < 0 or flags != 0:
        return -EINVAL
    attributes = SchedulingAttributes()
    result = read_attributes(attributes, address)
    if result != 0:
        return result
    if attributes.policy > 0x7FFF_FFFF or attributes.flags & ~u64(KNOWN_FLAGS) != 0:
        return -EINVAL
    if attributes.flags & CLAMPS != 0:
        return -EOPNOTSUPP if attributes.size >= sizeof(SchedulingAttributes) else -EINVAL
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    if attributes.flags & KEEP_POLICY != 0:
        attributes.policy = thread.policy
    result = check_policy(attributes.policy, i32.wrap(attributes.priority))
    if result == 0 and attributes.flags & KEEP_PARAMETERS == 0:
        with tree_lock:
            result = set_nice(thread, min(max(attributes.nice, i32(LEAST_NICE)), i32(MOST_NICE)))
    if result == 0:
        thread.policy = attributes.policy
    release_thread(thread)
    return result


@metal
def read_attributes(attributes: SchedulingAttributes, address: u64) -> i64:
    """Read a struct sched_attr of some version. 0, -EFAULT, or -E2BIG, telling the caller the size that is known."""
    size, result = get(u32, address)
    if result != 0:
        return result
    if size == 0:
        size = FIRST_SIZE
    if size < FIRST_SIZE or size > LARGEST_SIZE:
        return too_big(address)
    known = min(size, u32(sizeof(SchedulingAttributes)))
    if copy_in(unsafe.slice(u8, unsafe.address(attributes), u64(known)), address) != 0:
        return -EFAULT
    rest = Array[u8, 64]()
    while known < size:
        count = min(size - known, u32(64))
        if copy_in(rest[: u64(count)], address + u64(known)) != 0:
            return -EFAULT
        for byte in rest[: u64(count)]:
            if byte != 0:
                return too_big(address)
        known += count
    return 0


@metal
def too_big(address: u64) -> i64:
    """A structure of an unknown version: say which is known."""
    put(address, u32(sizeof(SchedulingAttributes)))
    return -E2BIG
