"""setitimer, getitimer and alarm: one interval timer for each of real, virtual and profiling time of a process.

After SIGALRM the real timer is set again when the signal is taken, as Linux does it: a program that doesn't take its
signals is not flooded. The other two run on, and look at processor time (cpu_clock.py).
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EFAULT, EINVAL
from goanna.kernel.signal.cpu_clock import consumer, next_look, process_time, program_time, running_threads
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import SI_KERNEL, SIGALRM, SIGPROF, SIGVTALRM
from goanna.kernel.signal.send import send_asking
from goanna.kernel.signal.span import MICROSECOND, Setting, get_setting, put_setting
from goanna.kernel.signal.state import IntervalTimer, ProcessSignals
from goanna.kernel.thread.current import current
from goanna.kernel.time.timer import NEVER, Timer, timer_cancel, timer_pending, timer_start
from goanna.kernel.time.timespec import FOREVER
from goanna.kernel.time.wall import NANOSECONDS
from goanna.metal import Array, Ptr, constant, i32, i64, metal, u32, u64, unsafe

__all__ = ["alarm_taken", "end_interval_timers", "sys_alarm", "sys_getitimer", "sys_setitimer"]

ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF = 0, 1, 2
KINDS = 3

_signals = constant(Array[u32, KINDS], [SIGALRM, SIGVTALRM, SIGPROF])


@metal
def clock_of(shared: ProcessSignals, kind: u32) -> u64:
    """Now, on the clock of a kind of timer. Lock held."""
    if kind == ITIMER_REAL:
        return now()
    return process_time(shared) if kind == ITIMER_PROF else program_time(shared)


@metal
def expired(timer: Ptr[Timer]) -> None:
    """The callback: send the signal if the time has come, else look again later."""
    own = unsafe.container(IntervalTimer, "timer", timer)
    shared = own.shared
    with shared.lock:
        if own.deadline == 0 or timer_pending(timer):
            return
        time = clock_of(shared, own.kind)
        if time >= own.deadline:
            information = Information(number=i32(_signals[u64(own.kind)]), code=SI_KERNEL)
            taker = shared.threads.head() if own.kind == ITIMER_REAL else consumer(shared)
            if taker is not None:
                send_asking(shared, None, taker, information, None)
            if own.interval == 0 or own.kind == ITIMER_REAL:
                own.deadline = 0
                return
            forward(own, time)
        arm(shared, own, time)


@metal
def forward(own: IntervalTimer, time: u64) -> None:
    """Move the deadline past `time` by whole intervals."""
    own.deadline += (time - own.deadline) // own.interval * own.interval + own.interval


@metal
def arm(shared: ProcessSignals, own: IntervalTimer, time: u64) -> None:
    """Have the callback run when the deadline is reached, or might be. Lock held."""
    if own.kind == ITIMER_REAL:
        timer_start(own.timer, own.deadline)
    else:
        left: u64 = own.deadline - time if own.deadline > time else 0
        timer_start(own.timer, next_look(left, running_threads(shared)))


@metal
def alarm_taken(shared: ProcessSignals) -> None:
    """SIGALRM was taken from the process's queue: the real timer goes on with its interval. Lock held."""
    own = shared.interval_timers[ITIMER_REAL]
    if own.interval == 0 or own.deadline != 0:
        return
    own.deadline = own.last
    time = now()
    forward(own, max(time, own.deadline))
    own.last = own.deadline
    arm(shared, own, time)


@metal
def get_timer(shared: ProcessSignals, kind: u32, setting: Setting) -> None:
    """How a timer is set: what is left to the next expiry, and the interval. Lock held."""
    own = shared.interval_timers[u64(kind)]
    setting.interval = own.interval
    setting.value = 0
    if own.deadline != 0:
        time = clock_of(shared, kind)
        setting.value = own.deadline - time if own.deadline > time else 1000


@metal
def set_timer(shared: ProcessSignals, kind: u32, setting: Setting, before: Setting) -> None:
    """Set a timer, and give how it was set. Lock held."""
    get_timer(shared, kind, before)
    own = shared.interval_timers[u64(kind)]
    own.shared = shared
    own.kind = kind
    own.timer.callback = expired
    own.deadline = 0
    own.interval = setting.interval if setting.value != 0 else 0
    if setting.value == 0:
        timer_start(own.timer, NEVER)
        return
    time = clock_of(shared, kind)
    own.deadline = time + min(setting.value, u64(FOREVER) - min(time, FOREVER))
    own.last = own.deadline
    arm(shared, own, time)


@metal
def sys_setitimer(kind: i32, new: u64, old: u64) -> i64:
    """setitimer. No new setting stops the timer, as Linux still allows."""
    setting = Setting()
    if new != 0:
        error = get_setting(setting, new, MICROSECOND)
        if error != 0:
            return error
    if kind < 0 or kind >= KINDS:
        return -EINVAL
    before = Setting()
    shared = current().process.signals
    with shared.lock:
        set_timer(shared, u32(kind), setting, before)
    if old != 0 and put_setting(old, before, MICROSECOND) != 0:
        return -EFAULT
    return 0


@metal
def sys_getitimer(kind: i32, address: u64) -> i64:
    """getitimer."""
    if kind < 0 or kind >= KINDS:
        return -EINVAL
    setting = Setting()
    shared = current().process.signals
    with shared.lock:
        get_timer(shared, u32(kind), setting)
    return put_setting(address, setting, MICROSECOND)


@metal
def sys_alarm(seconds: u32) -> i64:
    """alarm: seconds that were left, rounded, but never to 0 while any were."""
    setting = Setting(value=u64(seconds) * NANOSECONDS)
    before = Setting()
    shared = current().process.signals
    with shared.lock:
        set_timer(shared, ITIMER_REAL, setting, before)
    left = before.value // NANOSECONDS
    rest = before.value % NANOSECONDS
    if rest >= NANOSECONDS // 2 or (left == 0 and rest != 0):
        left += 1
    return i64(left)


@metal
def end_interval_timers(shared: ProcessSignals) -> None:
    """Stop all timers of a process that has ended. No lock is held."""
    with shared.lock:
        for own in shared.interval_timers:
            own.deadline = 0
            own.interval = 0
    for own in shared.interval_timers:
        timer_cancel(own.timer)
