"""What programs ask of the scheduler: sched_yield, affinity, policies, priorities (sched(7)).

All threads are of the normal policies: real-time and deadline scheduling would need guarantees that are not there, so
asking for it gives EPERM, as it does on Linux for who may not.
"""

from goanna.kernel.arch import MAXIMUM_PROCESSORS, processor_count, processor_index
from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM, ESRCH
from goanna.kernel.memory.user import copy_in, get, put
from goanna.kernel.thread.current import current
from goanna.kernel.thread.queue import SLICE, move_allowed, queue_here
from goanna.kernel.thread.scheduler import reschedule
from goanna.kernel.thread.thread import Thread, find_thread, release_thread
from goanna.kernel.time.timespec import put_timespec
from goanna.metal import Array, Ptr, i32, i64, metal, u8, u32, u64, unsafe

__all__ = [
    "sys_sched_get_priority_max",
    "sys_sched_get_priority_min",
    "sys_sched_getaffinity",
    "sys_sched_getparam",
    "sys_sched_getscheduler",
    "sys_sched_rr_get_interval",
    "sys_sched_setaffinity",
    "sys_sched_setparam",
    "sys_sched_setscheduler",
    "sys_sched_yield",
]

SCHED_NORMAL, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE = 0, 1, 2, 3, 5
RESET_ON_FORK = 0x4000_0000
REAL_TIME_PRIORITIES = 99

MASK_SIZE = 8  # bytes of an affinity mask: room for 64 processors, as Linux rounds it
assert MAXIMUM_PROCESSORS <= MASK_SIZE * 8


@metal
def sys_sched_yield() -> i64:
    """sched_yield."""
    if queue_here().count.load() != 0:
        reschedule(True)
    return 0


@metal
def thread_of(id: i32) -> Ptr[Thread]:
    """The thread of a program that a call means, 0 for the running one, with a reference; None if there is none."""
    if id == 0:
        me = current()
        me.references.add(1)
        return me
    if id < 0:
        return None
    thread = find_thread(u32(id))
    if thread is not None and thread.process is None:
        release_thread(thread)
        return None
    return thread


@metal
def sys_sched_getaffinity(id: i32, length: u32, address: u64) -> i64:
    """sched_getaffinity: gives the number of bytes written."""
    if length < MASK_SIZE or length % 8 != 0:
        return -EINVAL
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    online = (u64(1) << u64(processor_count())) - 1
    mask = thread.affinity.load() & online
    release_thread(thread)
    if put(address, mask) != 0:
        return -EFAULT
    return MASK_SIZE


@metal
def sys_sched_setaffinity(id: i32, length: u32, address: u64) -> i64:
    """sched_setaffinity: bits of processors that aren't there are dropped; EINVAL if none is left."""
    cell = Array[u64, 1]()
    mask = unsafe.slice(u8, unsafe.address(cell), MASK_SIZE)
    if copy_in(mask[: min(u64(length), u64(MASK_SIZE))], address) != 0:
        return -EFAULT
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    online = (u64(1) << u64(processor_count())) - 1
    if cell[0] & online == 0:
        release_thread(thread)
        return -EINVAL
    thread.affinity.store(cell[0] & online)
    if thread is current():
        if cell[0] >> u64(processor_index()) & 1 == 0:
            reschedule(False)
    else:
        move_allowed(thread)
    release_thread(thread)
    return 0


@metal
def sys_sched_getscheduler(id: i32) -> i64:
    """sched_getscheduler."""
    if id < 0:
        return -EINVAL
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    policy = thread.policy
    release_thread(thread)
    return i64(policy)


@metal
def sys_sched_getparam(id: i32, address: u64) -> i64:
    """sched_getparam: the real-time priority, which is 0."""
    if address == 0 or id < 0:
        return -EINVAL
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    release_thread(thread)
    return put(address, i32(0))


@metal
def sys_sched_setparam(id: i32, address: u64) -> i64:
    """sched_setparam."""
    if address == 0 or id < 0:
        return -EINVAL
    return set_policy(id, -1, address)


@metal
def sys_sched_setscheduler(id: i32, policy: i32, address: u64) -> i64:
    """sched_setscheduler."""
    if policy < 0 or address == 0 or id < 0:
        return -EINVAL
    return set_policy(id, policy, address)


@metal
def set_policy(id: i32, policy: i32, address: u64) -> i64:
    """Give a thread a policy, -1 for the one it has, and the priority at an address."""
    priority, result = get(i32, address)
    if result != 0:
        return result
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    wanted = thread.policy if policy < 0 else u32(policy) & ~RESET_ON_FORK
    result = check_policy(wanted, priority)
    if result == 0:
        thread.policy = wanted
    release_thread(thread)
    return result


@metal
def check_policy(policy: u32, priority: i32) -> i64:
    """Whether a thread can have a policy with a priority: 0, -EINVAL or -EPERM."""
    if policy in (SCHED_FIFO, SCHED_RR):
        return -EINVAL if priority < 1 or priority > REAL_TIME_PRIORITIES else -EPERM
    if policy not in (SCHED_NORMAL, SCHED_BATCH, SCHED_IDLE):
        return -EINVAL
    return 0 if priority == 0 else -EINVAL


@metal
def sys_sched_get_priority_max(policy: i32) -> i64:
    """sched_get_priority_max, of the policies that Linux has up to SCHED_EXT, 7."""
    match policy:
        case 1 | 2:
            return REAL_TIME_PRIORITIES
        case 0 | 3 | 5 | 6 | 7:
            return 0
    return -EINVAL


@metal
def sys_sched_get_priority_min(policy: i32) -> i64:
    """sched_get_priority_min."""
    match policy:
        case 1 | 2:
            return 1
        case 0 | 3 | 5 | 6 | 7:
            return 0
    return -EINVAL


@metal
def sys_sched_rr_get_interval(id: i32, address: u64) -> i64:
    """sched_rr_get_interval: the time slice."""
    if id < 0:
        return -EINVAL
    thread = thread_of(id)
    if thread is None:
        return -ESRCH
    release_thread(thread)
    return put_timespec(address, SLICE)
