"""The priority of a thread's input and output: ioprio_set(2), ioprio_get(2).

It is kept, inherited and told, and no device looks at it: requests are served in their order, as Linux serves them
where a disk has no I/O scheduler.
"""

from goanna.kernel.base.errno import EINVAL, EPERM, ESRCH
from goanna.kernel.thread.affinity_calls import SCHED_IDLE
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.priority_calls import CAP_SYS_NICE, meant
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import Thread, next_in_table
from goanna.metal import i32, i64, metal, u16, u32

__all__ = ["sys_ioprio_get", "sys_ioprio_set"]

# Whom a call means; one more than getpriority has for the same.
WHO_PROCESS, WHO_GROUP, WHO_USER = 1, 2, 3

# A priority is its class, from bit 13 on, and below it a level from 0, the highest, to 7 and a hint for the device.
CLASS_SHIFT = 13
LEVELS = 8
CLASS_NONE, CLASS_REAL_TIME, CLASS_BEST_EFFORT, CLASS_IDLE = range(4)
CAP_SYS_ADMIN = 1 << 21


@metal
def sys_ioprio_set(which: i32, who: i32, priority: i32) -> i64:
    """ioprio_set: for the running thread (who is 0) or another one, or all of a process group or user."""
    wanted = u16.wrap(priority)
    result = check(wanted)
    if result != 0:
        return result
    if which < WHO_PROCESS or which > WHO_USER:
        return -EINVAL
    result = -ESRCH
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            if meant(thread, which - 1, who):
                if not may_change(thread):
                    return -EPERM
                thread.io_priority = wanted
                result = 0
            thread = next_in_table(thread)
    return result


@metal
def check(priority: u16) -> i64:
    """0, -EINVAL (no such priority) or -EPERM (the running thread may not give it)."""
    match u32(priority >> CLASS_SHIFT):
        case 0:
            return 0 if priority % LEVELS == 0 else -EINVAL
        case 1:
            rights = current_process().credentials.effective
            return 0 if rights & (CAP_SYS_ADMIN | CAP_SYS_NICE) != 0 else -EPERM
        case 2 | 3:
            return 0
        case _:
            return -EINVAL


@metal
def may_change(thread: Thread) -> bool:
    """Whether the running thread has the right to another one's priority."""
    mine = current_process().credentials
    process: Process = thread.process
    user = process.credentials.user
    return user in (mine.effective_user, mine.user) or mine.effective & CAP_SYS_NICE != 0


@metal
def sys_ioprio_get(which: i32, who: i32) -> i64:
    """ioprio_get: of one thread what was set, of several the best that is in force."""
    if which < WHO_PROCESS or which > WHO_USER:
        return -EINVAL
    best: i64 = -ESRCH
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            if meant(thread, which - 1, who):
                if which == WHO_PROCESS:
                    return i64(thread.io_priority)
                best = i64(in_force(thread)) if best < 0 else min(best, i64(in_force(thread)))
            thread = next_in_table(thread)
    return best


@metal
def in_force(thread: Thread) -> u32:
    """A thread's priority; where none was set, the one that follows from its nice value and policy."""
    if thread.io_priority >> CLASS_SHIFT != CLASS_NONE:
        return u32(thread.io_priority)
    level = u32(thread.nice + 20) // 5
    kind: u32 = CLASS_IDLE if thread.policy == SCHED_IDLE else CLASS_BEST_EFFORT
    return kind << CLASS_SHIFT | level
