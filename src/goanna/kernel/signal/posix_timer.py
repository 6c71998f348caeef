"""timer_create and its kin: timers on the real, monotonic and processor-time clocks that send a signal, or only run.

A timer has its own entry for the signal queue, so that an expiry never fails for want of memory, and is pending once at
most. A periodic one is set again when its signal is taken; the periods passed by then are its overrun. Linux
kernel/time/posix-timers.c.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EAGAIN, EFAULT, EINVAL, EOPNOTSUPP
from goanna.kernel.base.list import Link
from goanna.kernel.memory import user
from goanna.kernel.memory.objects import Cache
from goanna.kernel.signal.cpu_clock import consumer, next_look, process_time, running_threads, runs, thread_time
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import (
    RLIMIT_SIGPENDING,
    SI_TIMER,
    SIGALRM,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    SIGEV_THREAD_ID,
    SIGNALS,
)
from goanna.kernel.signal.send import DROPPED, send_asking
from goanna.kernel.signal.span import NANOSECOND, Setting, get_setting, put_setting
from goanna.kernel.signal.state import ProcessSignals, Queued, ThreadSignals, queued_count, timer_taken
from goanna.kernel.thread.current import current
from goanna.kernel.time.timer import MONOTONIC, NEVER, REAL, Timer, timer_cancel, timer_pending, timer_start
from goanna.kernel.time.timespec import FOREVER
from goanna.kernel.time.wall import real_time
from goanna.metal import Array, Ptr, i32, i64, metal, struct, u8, u32, u64, unsafe

__all__ = [
    "PosixTimer",
    "end_timers",
    "sys_timer_create",
    "sys_timer_delete",
    "sys_timer_getoverrun",
    "sys_timer_gettime",
    "sys_timer_settime",
]

CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID = 0, 1, 2, 3
CLOCK_BOOTTIME, CLOCK_TAI = 7, 11
LAST_CLOCK = 11
UNUSED_CLOCK = 10

TIMER_ABSTIME = 1
TICK = 4_000_000  # nanoseconds: an ignored periodic timer runs no faster than this
MAXIMUM_OVERRUN = 2**31 - 1
PROCESS, THREAD = 100, 101  # kinds of clocks besides MONOTONIC and REAL
NO_CLOCK = 102


@struct
class SignalEvent:
    """struct sigevent."""

    value: u64
    signal: i32
    notify: i32
    thread: i32
    padding: Array[u8, 44]


@struct
class PosixTimer:
    """One timer. The signal lock protects all fields."""

    link: Link
    timer: Timer
    shared: Ptr[ProcessSignals]
    queued: Queued  # its place in a queue of pending signals
    id: i32
    clock: u32  # MONOTONIC, REAL, PROCESS or THREAD
    measured: u32  # the thread whose time a THREAD clock shows
    notify: i32  # SIGEV_
    target: u32  # the thread that gets the signal; 0: the process
    signal: i32
    value: u64
    interval: u64  # nanoseconds; 0: once
    deadline: u64  # on its clock; 0: off
    waits_for_taking: bool  # has expired, and goes on when its signal is taken
    overrun: u64  # periods that have passed since its signal was queued
    last_overrun: u64  # those of the signal that was taken last


timers = Cache(PosixTimer)


@metal
def find_thread_of(shared: ProcessSignals, id: u32) -> Ptr[ThreadSignals]:
    """A thread of the process by its number, or None. Lock held."""
    mine = shared.threads.head()
    while mine is not None:
        if mine.thread.id == id:
            return mine
        mine = shared.threads.after(mine)
    return None


@metal
def find_timer(shared: ProcessSignals, id: i32) -> Ptr[PosixTimer]:
    """A timer of the process by its number, or None. Lock held."""
    own = shared.timers.head()
    while own is not None:
        if own.id == id:
            return own
        own = shared.timers.after(own)
    return None


# Time.
@metal
def time_of(own: PosixTimer) -> u64:
    """Now, on the timer's clock. Lock held."""
    if own.clock == MONOTONIC:
        return now()
    if own.clock == REAL:
        return real_time()
    if own.clock == PROCESS:
        return process_time(own.shared)
    mine = find_thread_of(own.shared, own.measured)
    return thread_time(mine) if mine is not None else 0


@metal
def arm(own: PosixTimer) -> None:
    """Have the callback run at the deadline, or when the processor time might be reached. Lock held."""
    if own.clock == MONOTONIC or own.clock == REAL:
        own.timer.clock = own.clock
        timer_start(own.timer, own.deadline)
        return
    runners: u64 = 0
    if own.clock == PROCESS:
        runners = running_threads(own.shared)
    else:
        mine = find_thread_of(own.shared, own.measured)
        if mine is None:
            return
        runners = u64(runs(mine))
    time = time_of(own)
    left: u64 = own.deadline - time if own.deadline > time else 0
    own.timer.clock = MONOTONIC
    timer_start(own.timer, next_look(left, runners))


@metal
def forward(own: PosixTimer, time: u64, interval: u64) -> u64:
    """Move the deadline past `time` by whole intervals; how many. Lock held."""
    if own.deadline > time:
        return 0
    periods = (time - own.deadline) // interval + 1
    own.deadline += periods * interval
    return periods


@metal
def expired(timer: Ptr[Timer]) -> None:
    """The callback: send the signal if the time has come, else look again later."""
    own = unsafe.container(PosixTimer, "timer", timer)
    with own.shared.lock:
        if own.deadline == 0 or timer_pending(timer):
            return
        time = time_of(own)
        if time < own.deadline:
            arm(own)
        elif not fire(own):
            if own.interval == 0:
                own.deadline = 0
            else:
                own.overrun += forward(own, time, max(own.interval, TICK))
                arm(own)
        elif own.interval == 0:
            own.deadline = 0
        else:
            own.waits_for_taking = True


@metal
def fire(own: PosixTimer) -> bool:
    """Send the signal of a timer; whether it is pending now. Lock held."""
    if own.queued.link.linked():
        own.overrun += 1
        return True
    target: Ptr[ThreadSignals] = None
    if own.target != 0:
        target = find_thread_of(own.shared, own.target)
        if target is None:
            return False
    information = Information(number=own.signal, code=SI_TIMER)
    information.details.expiry.timer = own.id
    information.details.expiry.value = own.value
    own.queued.timer = own
    first = target
    if first is None:
        first = consumer(own.shared) if own.clock == PROCESS else own.shared.threads.head()
    if first is None:
        return False
    return send_asking(own.shared, target, first, information, own.queued) != DROPPED


@timer_taken.set
@metal
def taken(queued: Queued, information: Information) -> None:
    """The signal of a timer was taken: say how many periods have passed besides, and go on. Lock held."""
    own = queued.timer
    if own.waits_for_taking:
        own.waits_for_taking = False
        own.overrun += forward(own, time_of(own), own.interval) - 1
        arm(own)
    own.last_overrun = min(own.overrun, MAXIMUM_OVERRUN)
    own.overrun = 0
    information.details.expiry.overrun = i32(own.last_overrun)


# Calls.
@metal
def clock_kind(clock: i32) -> tuple[u32, u32, i64]:
    """What a clock number means here: kind, the thread that a THREAD clock measures, and 0, -EINVAL or -EOPNOTSUPP.

    A processor's clock of what isn't there is NO_CLOCK without an error: Linux finds that out last.
    """
    me = current()
    if clock in (CLOCK_REALTIME, CLOCK_TAI):
        return REAL, u32(0), i64(0)
    if clock in (CLOCK_MONOTONIC, CLOCK_BOOTTIME):
        return MONOTONIC, u32(0), i64(0)
    if clock == CLOCK_PROCESS_CPUTIME_ID:
        return PROCESS, u32(0), i64(0)
    if clock == CLOCK_THREAD_CPUTIME_ID:
        return THREAD, me.id, i64(0)
    if clock >= 0:
        known = clock <= LAST_CLOCK and clock != UNUSED_CLOCK
        return NO_CLOCK, u32(0), i64(-EOPNOTSUPP if known else -EINVAL)
    return processor_clock(u32.wrap(clock))


@metal
def processor_clock(clock: u32) -> tuple[u32, u32, i64]:
    """The clocks that clock_getcpuclockid and pthread_getcpuclockid make: ~number << 3, bit 2 for a thread's."""
    id = ~u32.wrap(i32.wrap(clock) >> 3)
    me = current()
    if (clock & 3) == 3:  # the clock of a device's descriptor has no timers
        return NO_CLOCK, u32(0), i64(0 if (clock & 4) != 0 else -EOPNOTSUPP)
    if (clock & 4) == 0:
        return (PROCESS if id == 0 or id == me.process.id else NO_CLOCK), u32(0), i64(0)
    if id == 0:
        id = me.id
    with me.process.signals.lock:
        known = find_thread_of(me.process.signals, id) is not None
    return (THREAD if known else NO_CLOCK), id, i64(0)


@metal
def good_event(shared: ProcessSignals, event: SignalEvent) -> bool:
    """Whether a sigevent asks for something that there is. Lock held."""
    if event.notify == SIGEV_NONE:
        return True
    if event.signal <= 0 or event.signal > SIGNALS:
        return False
    if event.notify == SIGEV_SIGNAL or event.notify == SIGEV_THREAD:
        return True
    return event.notify == SIGEV_THREAD_ID and find_thread_of(shared, u32.wrap(event.thread)) is not None


@metal
def free_id(shared: ProcessSignals) -> i32:
    """A number that no timer of the process has. Lock held."""
    while True:
        id = i32(shared.next_timer)
        shared.next_timer = (shared.next_timer + 1) & 0x7FFFFFFF
        if find_timer(shared, id) is None:
            return id


@metal
def sys_timer_create(clock: i32, event_address: u64, id_address: u64) -> i64:
    """timer_create."""
    event = SignalEvent(signal=SIGALRM, notify=SIGEV_SIGNAL)
    if event_address != 0 and user.get_struct(event, event_address) != 0:
        return -EFAULT
    kind, measured, error = clock_kind(clock)
    if error != 0:
        return error
    process = current().process
    shared = process.signals
    count = queued_count.add(1) + 1
    own = timers.allocate()
    if own is None or u64(count) > process.limits[RLIMIT_SIGPENDING].current:
        discard(own)
        return -EAGAIN
    own.shared = shared
    own.timer.callback = expired
    own.clock = kind
    own.measured = measured
    own.notify = event.notify
    own.signal = event.signal
    own.target = u32.wrap(event.thread) if event.notify == SIGEV_THREAD_ID else 0
    with shared.lock:
        good = good_event(shared, event)
        own.id = free_id(shared) if good else 0
        own.value = event.value if event_address != 0 else u64(own.id)
        if good:
            shared.timers.append(own)
    if not good:
        discard(own)
        return -EINVAL
    id = own.id
    error = user.put(id_address, id)
    if error == 0 and kind == NO_CLOCK:
        error = -EINVAL
    if error != 0:
        sys_timer_delete(id)
    return error


@metal
def discard(own: Ptr[PosixTimer]) -> None:
    """Give a timer back that is on no list."""
    queued_count.sub(1)
    if own is not None:
        timers.free(own)


@metal
def get_timer(own: PosixTimer, setting: Setting) -> None:
    """What is left to the next expiry, and the interval. Lock held."""
    setting.interval = own.interval
    setting.value = 0
    if own.deadline == 0:
        return
    time = time_of(own)
    if own.interval != 0 and (own.waits_for_taking or own.notify == SIGEV_NONE):
        own.overrun += forward(own, time, own.interval)
    if own.deadline > time:
        setting.value = own.deadline - time
    elif own.notify != SIGEV_NONE:
        setting.value = 1


@metal
def sys_timer_gettime(id: i32, address: u64) -> i64:
    """timer_gettime."""
    setting = Setting()
    shared = current().process.signals
    with shared.lock:
        own = find_timer(shared, id)
        if own is None:
            return -EINVAL
        get_timer(own, setting)
    return put_setting(address, setting, NANOSECOND)


@metal
def sys_timer_settime(id: i32, flags: i32, new: u64, old: u64) -> i64:
    """timer_settime."""
    if new == 0:
        return -EINVAL
    setting = Setting()
    error = get_setting(setting, new, NANOSECOND)
    if error != 0:
        return error
    before = Setting()
    shared = current().process.signals
    with shared.lock:
        own = find_timer(shared, id)
        if own is None:
            return -EINVAL
        get_timer(own, before)
        set_timer(own, setting, (flags & TIMER_ABSTIME) != 0)
    if old != 0:
        return put_setting(old, before, NANOSECOND)
    return 0


@metal
def set_timer(own: PosixTimer, setting: Setting, absolute: bool) -> None:
    """Set a timer; one that is pending stays so, but no longer sets it again. Lock held."""
    timer_start(own.timer, NEVER)
    own.waits_for_taking = False
    own.overrun = 0
    own.last_overrun = 0
    own.deadline = 0
    own.interval = setting.interval if setting.value != 0 else 0
    if setting.value == 0:
        return
    time = time_of(own)
    deadline = setting.value
    if not absolute:
        deadline = time + min(setting.value, u64(FOREVER) - min(time, FOREVER))
    own.deadline = deadline
    if own.notify != SIGEV_NONE:
        arm(own)


@metal
def sys_timer_getoverrun(id: i32) -> i64:
    """timer_getoverrun."""
    shared = current().process.signals
    with shared.lock:
        own = find_timer(shared, id)
        if own is None:
            return -EINVAL
        return i64(own.last_overrun)


@metal
def sys_timer_delete(id: i32) -> i64:
    """timer_delete."""
    shared = current().process.signals
    with shared.lock:
        own = find_timer(shared, id)
        if own is None:
            return -EINVAL
        unhook(shared, own)
    timer_cancel(own.timer)
    discard(own)
    return 0


@metal
def unhook(shared: ProcessSignals, own: PosixTimer) -> None:
    """Take a timer out of its process, and its signal back. Lock held."""
    shared.timers.remove(own)
    own.deadline = 0
    if own.queued.link.linked():
        own.queued.pending.drop(own.queued)


@metal
def end_timers(shared: ProcessSignals) -> None:
    """Delete all timers of a process. No lock is held."""
    while True:
        with shared.lock:
            own = shared.timers.head()
            if own is not None:
                unhook(shared, own)
        if own is None:
            return
        timer_cancel(own.timer)
        discard(own)
