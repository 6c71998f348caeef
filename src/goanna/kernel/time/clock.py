"""The clocks that programs read and set: clock_gettime and its older relatives (clock_getres(2)).

Clocks of processor time are named by negative numbers that hold a process or thread (Linux
include/linux/posix-timers.h).
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM
from goanna.kernel.memory.user import get_struct, put
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.scheduler import running_time
from goanna.kernel.thread.thread import find_in_table
from goanna.kernel.time.timer import timers_wall_clock_changed
from goanna.kernel.time.timespec import FOREVER, Timespec, Timeval, put_timespec, put_timeval
from goanna.kernel.time.vdso_data import publish_clock
from goanna.kernel.time.wall import NANOSECONDS, real_time, set_wall_offset
from goanna.metal import i32, i64, metal, u32, u64

__all__ = [
    "CLOCK_BOOTTIME",
    "CLOCK_MONOTONIC",
    "CLOCK_REALTIME",
    "CLOCK_TAI",
    "TICK",
    "process_time",
    "read_clock",
    "sys_clock_getres",
    "sys_clock_gettime",
    "sys_clock_settime",
    "sys_gettimeofday",
    "sys_settimeofday",
    "sys_time",
]

CLOCK_REALTIME = 0
CLOCK_MONOTONIC = 1
CLOCK_PROCESS_CPUTIME_ID = 2
CLOCK_THREAD_CPUTIME_ID = 3
CLOCK_MONOTONIC_RAW = 4
CLOCK_REALTIME_COARSE = 5
CLOCK_MONOTONIC_COARSE = 6
CLOCK_BOOTTIME = 7
CLOCK_REALTIME_ALARM = 8  # clocks that wake a sleeping machine: there is nothing that could
CLOCK_BOOTTIME_ALARM = 9
CLOCK_TAI = 11

PER_THREAD = 4  # bit of a negative clock
KIND = 3  # bits of a negative clock: PROF, VIRT, SCHED
SCHED = 2

TICK = 4_000_000  # nanoseconds between what coarse clocks show: HZ of 250, as distributions build Linux

CAP_SYS_TIME = 1 << 25
LAST_SETTABLE = FOREVER - 30 * 365 * 24 * 3600 * NANOSECONDS  # TIME_SETTOD_SEC_MAX


@metal
def process_time(process: Process) -> u64:
    """Nanoseconds that all threads of a process have run. Process tree lock held."""
    total = process.cpu_time.load()
    thread = process.threads.head()
    while thread is not None:
        total += running_time(thread)
        thread = process.threads.after(thread)
    return total


@metal
def own_process_time() -> u64:
    """The same of the running process."""
    with tree_lock:
        return process_time(current_process())


@metal
def read_cpu_clock(clock: i32) -> tuple[u64, i64]:
    """A clock of processor time, by its negative number: nanoseconds, and 0 or -EINVAL."""
    number = u32.wrap(clock)
    if number & KIND > SCHED:
        return u64(0), i64(-EINVAL)
    id = ~u32.wrap(clock >> 3)
    if number & PER_THREAD != 0:
        if id == 0:
            return running_time(current()), i64(0)
        with tree_lock:
            thread = find_in_table(id)
            if thread is None or thread.process is not current().process:
                return u64(0), i64(-EINVAL)
            return running_time(thread), i64(0)
    if id == 0 or id == current().id:
        return own_process_time(), i64(0)
    with tree_lock:
        thread = find_in_table(id)
        if thread is None or thread.process is None:
            return u64(0), i64(-EINVAL)
        if thread.process.id != id:
            return u64(0), i64(-EINVAL)
        return process_time(thread.process), i64(0)


@metal
def read_clock(clock: i32) -> tuple[u64, i64]:
    """A clock by its number: nanoseconds, and 0 or -EINVAL."""
    match clock:
        case 1 | 4 | 7:
            return now(), i64(0)
        case 0 | 11:
            return real_time(), i64(0)
        case 2:
            return own_process_time(), i64(0)
        case 3:
            return running_time(current()), i64(0)
        case 5:
            time = real_time()
            return time - time % TICK, i64(0)
        case 6:
            time = now()
            return time - time % TICK, i64(0)
    if clock < 0:
        return read_cpu_clock(clock)
    return u64(0), i64(-EINVAL)


@metal
def sys_clock_gettime(clock: i32, address: u64) -> i64:
    """clock_gettime."""
    time, result = read_clock(clock)
    if result != 0:
        return result
    return put_timespec(address, time)


@metal
def sys_clock_getres(clock: i32, address: u64) -> i64:
    """clock_getres."""
    _, result = read_clock(clock)
    if result != 0:
        return result
    if address == 0:
        return 0
    coarse = clock in (CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE)
    if clock < 0 and u32.wrap(clock) & KIND != SCHED:
        coarse = True
    return put_timespec(address, TICK if coarse else 1)


@metal
def sys_clock_settime(clock: i32, address: u64) -> i64:
    """clock_settime."""
    if clock > CLOCK_REALTIME:
        return -EINVAL
    time = Timespec()
    if get_struct(time, address) != 0:
        return -EFAULT
    if clock < 0:
        _, result = read_cpu_clock(clock)
        return -EPERM if result == 0 else result
    return set_real_time(time.seconds, time.nanoseconds)


@metal
def set_real_time(seconds: i64, nanoseconds: i64) -> i64:
    """Set the wall clock. 0, -EINVAL or -EPERM."""
    if seconds < 0 or seconds >= LAST_SETTABLE // NANOSECONDS:
        return -EINVAL
    if nanoseconds < 0 or nanoseconds >= NANOSECONDS:
        return -EINVAL
    if current_process().credentials.effective & CAP_SYS_TIME == 0:
        return -EPERM
    time = u64(seconds) * NANOSECONDS + u64(nanoseconds)
    since_boot = now()
    if time < since_boot:
        return -EINVAL
    set_wall_offset(time - since_boot)
    publish_clock()
    timers_wall_clock_changed()
    return 0


@metal
def sys_gettimeofday(address: u64, zone: u64) -> i64:
    """gettimeofday. The time zone is UTC."""
    if address != 0 and put_timeval(address, real_time()) != 0:
        return -EFAULT
    if zone != 0:
        return put(zone, u64(0))
    return 0


@metal
def sys_settimeofday(address: u64, zone: u64) -> i64:
    """settimeofday. A time zone is checked and forgotten: nothing in the kernel shows local time."""
    time = Timeval()
    if address != 0:
        if get_struct(time, address) != 0:
            return -EFAULT
        if time.microseconds < 0 or time.microseconds >= 1_000_000:
            return -EINVAL
    minutes = Timeval()
    if zone != 0:
        if get_struct(minutes, zone) != 0:
            return -EFAULT
        if current_process().credentials.effective & CAP_SYS_TIME == 0:
            return -EPERM
    if address == 0:
        return 0
    return set_real_time(time.seconds, time.microseconds * 1000)


@metal
def sys_time(address: u64) -> i64:
    """time."""
    seconds = i64(real_time() // NANOSECONDS)
    if address != 0 and put(address, seconds) != 0:
        return -EFAULT
    return seconds
