"""Resource limits and what has been used: getrlimit, setrlimit, prlimit64, getrusage, times.

A limit is enforced where the resource is given out; this file only keeps the numbers and who may change them.
"""

from goanna.kernel.arch import PAGE_SIZE, now
from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM, ESRCH
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS
from goanna.kernel.identity.credentials import CAP_IPC_LOCK, CAP_SYS_RESOURCE, capable
from goanna.kernel.memory import user
from goanna.kernel.memory.calls import may_lock_freely
from goanna.kernel.memory.space import AddressSpace, acquire, release
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import LIMITS, Credentials, Limit, Process, Usage, tree_lock
from goanna.kernel.thread.thread import Thread, find_thread, release_thread
from goanna.kernel.thread.usage import put_usage, usage_of, usage_of_thread
from goanna.metal import Array, Ptr, copy, i32, i64, metal, u32, u64

RLIMIT_DATA = 2
RLIMIT_STACK = 3
RLIMIT_CORE = 4
RLIMIT_NPROC = 6
RLIMIT_NOFILE = 7
RLIMIT_MEMLOCK = 8
RLIMIT_AS = 9
RLIMIT_SIGPENDING = 11
RLIMIT_MSGQUEUE = 12
RLIMIT_NICE = 13
RLIMIT_RTPRIO = 14
INFINITY = 0xFFFFFFFFFFFFFFFF


RUSAGE_SELF = 0
RUSAGE_CHILDREN = -1
RUSAGE_THREAD = 1


@metal
def default_limits(process: Process, pages: u64) -> None:
    """What Linux gives its first process (INIT_RLIMITS), on a machine of so many pages."""
    for index in range(u64(0), u64(LIMITS)):
        process.limits[index].current = INFINITY
        process.limits[index].maximum = INFINITY
    set_limit(process.limits[RLIMIT_STACK], 8 << 20, INFINITY)
    set_limit(process.limits[RLIMIT_CORE], 0, INFINITY)
    threads = max(pages * PAGE_SIZE // (8 * KERNEL_STACK), 20) // 2
    set_limit(process.limits[RLIMIT_NPROC], threads, threads)
    set_limit(process.limits[RLIMIT_NOFILE], 1024, 4096)
    set_limit(process.limits[RLIMIT_MEMLOCK], 8 << 20, 8 << 20)
    set_limit(process.limits[RLIMIT_SIGPENDING], threads, threads)
    set_limit(process.limits[RLIMIT_MSGQUEUE], 819200, 819200)
    set_limit(process.limits[RLIMIT_NICE], 0, 0)
    set_limit(process.limits[RLIMIT_RTPRIO], 0, 0)


KERNEL_STACK = 16384


@metal
def set_limit(limit: Limit, current: u64, maximum: u64) -> None:
    """Write one limit."""
    limit.current = current
    limit.maximum = maximum


@metal
def change_limit(process: Process, resource: u32, wanted: Limit) -> i64:
    """Set a limit of a process after the checks of do_prlimit."""
    if wanted.current > wanted.maximum:
        return -EINVAL
    if resource == RLIMIT_NOFILE and wanted.maximum > MAXIMUM_DESCRIPTORS:
        return -EPERM
    limit = process.limits[u64(resource)]
    if wanted.maximum > limit.maximum and not capable(CAP_SYS_RESOURCE):
        return -EPERM
    limit.maximum = wanted.maximum
    limit.current = wanted.current
    space: Ptr[AddressSpace] = None
    with tree_lock:
        space = process.space
        if space is not None:
            acquire(space)
    if space is not None:
        limit_space(space, resource, wanted.current)
        release(space)
    return 0


@may_lock_freely.set
@metal
def has_lock_capability() -> bool:
    """Whether RLIMIT_MEMLOCK doesn't bind the running process."""
    return capable(CAP_IPC_LOCK)


@metal
def limit_new_space(process: Process, space: AddressSpace) -> None:
    """Tell a new address space of all limits of the process that it is for."""
    limit_space(space, RLIMIT_STACK, process.limits[RLIMIT_STACK].current)
    limit_space(space, RLIMIT_AS, process.limits[RLIMIT_AS].current)
    limit_space(space, RLIMIT_DATA, process.limits[RLIMIT_DATA].current)
    limit_space(space, RLIMIT_MEMLOCK, process.limits[RLIMIT_MEMLOCK].current)


@metal
def limit_space(space: AddressSpace, resource: u32, value: u64) -> None:
    """Tell the address space of the limits that it keeps to."""
    with space.lock:
        if resource == RLIMIT_STACK:
            space.stack_limit = value
        elif resource == RLIMIT_AS:
            space.size_limit = value
        elif resource == RLIMIT_DATA:
            space.data_limit = value
        elif resource == RLIMIT_MEMLOCK:
            space.lock_limit = value


@metal
def sys_getrlimit(resource: u32, address: u64) -> i64:
    """getrlimit(2)."""
    if resource >= LIMITS:
        return -EINVAL
    return user.put_struct(address, current_process().limits[u64(resource)])


@metal
def sys_setrlimit(resource: u32, address: u64) -> i64:
    """setrlimit(2)."""
    wanted = Limit()
    if user.get_struct(wanted, address) < 0:
        return -EFAULT
    if resource >= LIMITS:
        return -EINVAL
    return change_limit(current_process(), resource, wanted)


@metal
def may_limit(target: Credentials) -> bool:
    """Whether the running process may see and set the limits of one with such credentials
    (check_prlimit_permission)."""
    me = current_process().credentials
    users = me.user == target.user and me.user == target.effective_user and me.user == target.saved_user
    groups = me.group == target.group and me.group == target.effective_group and me.group == target.saved_group
    return (users and groups) or capable(CAP_SYS_RESOURCE)


@metal
def sys_prlimit64(id: i32, resource: u32, new: u64, old: u64) -> i64:
    """prlimit(2)."""
    if resource >= LIMITS:
        return -EINVAL
    wanted = Limit()
    if new != 0 and user.get_struct(wanted, new) < 0:
        return -EFAULT
    thread: Ptr[Thread] = None
    process = current_process()
    if id != 0:
        thread = find_thread(u32.wrap(id))
        if thread is None:
            return -ESRCH
        if thread.process is None or not may_limit(thread.process.credentials):
            release_thread(thread)
            return -EPERM
        process = thread.process
    before = Limit(current=process.limits[u64(resource)].current, maximum=process.limits[u64(resource)].maximum)
    result: i64 = 0
    if new != 0:
        result = change_limit(process, resource, wanted)
    if thread is not None:
        release_thread(thread)
    if result == 0 and old != 0:
        result = user.put_struct(old, before)
    return result


@metal
def sys_getrusage(who: i32, address: u64) -> i64:
    """getrusage(2)."""
    usage = Usage()
    if who == RUSAGE_SELF:
        with tree_lock:
            usage_of(current_process(), usage)
    elif who == RUSAGE_THREAD:
        with tree_lock:
            usage_of_thread(current(), usage)
    elif who == RUSAGE_CHILDREN:
        with tree_lock:
            copy(usage, current_process().reaped)
    else:
        return -EINVAL
    return put_usage(address, usage)


TICK = 10_000_000  # nanoseconds: USER_HZ is 100


@metal
def sys_times(address: u64) -> i64:
    """times(2): clock ticks since boot."""
    if address != 0:
        usage = Usage()
        values = Array[i64, 4]()
        with tree_lock:
            usage_of(current_process(), usage)
            reaped = current_process().reaped
            values[2] = i64((reaped.time - reaped.system) // TICK)
            values[3] = i64(reaped.system // TICK)
        values[0] = i64((usage.time - usage.system) // TICK)
        values[1] = i64(usage.system // TICK)
        if user.put_struct(address, values) < 0:
            return -EFAULT
    return i64(now() // TICK)
