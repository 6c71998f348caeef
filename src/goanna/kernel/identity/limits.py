"""Resource limits and what has been used: getrlimit, setrlimit, prlimit64, getrusage, times.

A limit is enforced where the resource is given out; this file only keeps the numbers and who may change them.
"""

from goanna.kernel.arch import PAGE_SIZE, now
from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM, ESRCH
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS
from goanna.kernel.identity.credentials import capable
from goanna.kernel.memory import user
from goanna.kernel.memory.space import AddressSpace
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import LIMITS, Limit, Process, tree_lock
from goanna.kernel.thread.scheduler import running_time
from goanna.kernel.thread.thread import Thread, find_thread, release_thread
from goanna.metal import Array, Ptr, i32, i64, metal, struct, u32, u64

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
CAP_SYS_RESOURCE = 24

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
    if process.space is not None:
        limit_space(process.space, resource, wanted.current)
    return 0


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
        if thread.process is None:
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


@struct
class Usage:
    """struct rusage."""

    user_seconds: i64
    user_microseconds: i64
    system_seconds: i64
    system_microseconds: i64
    maximum_resident: i64  # KiB
    unused: Array[i64, 3]
    minor_faults: i64
    major_faults: i64
    more: Array[i64, 6]
    voluntary_switches: i64
    involuntary_switches: i64


NANOSECONDS = 1_000_000_000


@metal
def process_time(process: Process) -> u64:
    """Nanoseconds all threads of the running process have run, ended ones too."""
    time = process.cpu_time.load()
    with tree_lock:
        thread = process.threads.head()
        while thread is not None:
            time += running_time(thread)
            thread = process.threads.after(thread)
    return time


@metal
def count_switches(process: Process, usage: Usage) -> None:
    """How often its threads gave up the processor, or had to."""
    with tree_lock:
        thread = process.threads.head()
        while thread is not None:
            usage.voluntary_switches += i64(thread.switches.load())
            usage.involuntary_switches += i64(thread.preemptions.load())
            thread = process.threads.after(thread)


@metal
def sys_getrusage(who: i32, address: u64) -> i64:
    """getrusage(2). All processor time counts as user time: the kernel does not tell the two apart."""
    if who not in (RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD):
        return -EINVAL
    usage = Usage()
    process = current_process()
    time: u64 = 0
    if who == RUSAGE_SELF:
        time = process_time(process)
        count_switches(process, usage)
    elif who == RUSAGE_THREAD:
        time = running_time(current())
        usage.voluntary_switches = i64(current().switches.load())
        usage.involuntary_switches = i64(current().preemptions.load())
    else:
        time = process.children_cpu_time.load()
    usage.user_seconds = i64(time // NANOSECONDS)
    usage.user_microseconds = i64(time % NANOSECONDS // 1000)
    if who != RUSAGE_CHILDREN:
        usage.maximum_resident = i64(process.space.peak * (PAGE_SIZE // 1024))
        usage.minor_faults = i64(process.faults.load())
        usage.major_faults = i64(process.major_faults.load())
    return user.put_struct(address, usage)


TICKS = 100  # per second: USER_HZ


@metal
def sys_times(address: u64) -> i64:
    """times(2): clock ticks since boot."""
    if address != 0:
        values = Array[i64, 4]()
        values[0] = i64(process_time(current_process()) // (NANOSECONDS // TICKS))
        values[2] = i64(current_process().children_cpu_time.load() // (NANOSECONDS // TICKS))
        if user.put_struct(address, values) < 0:
            return -EFAULT
    return i64(now() // (NANOSECONDS // TICKS))
