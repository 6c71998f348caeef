"""The tick: a look, 100 times a second, at what a processor that isn't idle is doing.

It tells the program's time from the kernel's, as Linux's default accounting does: how long a thread ran is known
exactly, the looks say in which shares. An idle processor has no tick. The load averages are counted along (Linux
kernel/sched/loadavg.c).
"""

from goanna.kernel.arch import now, processor_count
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.thread.process import SYSTEM_TICKS, USER_TICKS, Split
from goanna.kernel.thread.queue import RunQueue, queue_of
from goanna.kernel.thread.thread import frame_of
from goanna.kernel.time.timer import Timer, timer_pending, timer_start
from goanna.metal import RELAXED, Array, Atomic, Ptr, constant, metal, pointer, static, u32, u64, unsafe

__all__ = ["LOAD_ONE", "TICK", "load_averages", "processor_idle", "runnable", "split_time", "start_ticks"]

TICK = 10_000_000  # nanoseconds
PROGRAM, NICE, KERNEL = 0, 1, 2  # RunQueue.ticks

LOAD_STEP = 5_000_000_000  # nanoseconds between two counts of who wants to run
LOAD_ONE = 2048  # a load of 1
DECAYS = constant(Array[u64, 3], [1884, 2014, 2037])  # of LOAD_ONE, over 1, 5 and 15 minutes
LONGEST_IDLE = 1 << 16  # steps after which nothing is left of any average

_load_lock = static(SpinLock)  # protects the two below
_averages = static(Array[u64, 3])
_counted = static(u64)  # up to when, in steps since boot


@metal
def start_ticks(queue: RunQueue, time: u64) -> None:
    """A processor that was idle begins to run something: look at it from now on. On that processor."""
    if not timer_pending(pointer(queue.tick)):
        queue.tick.callback = tick
        timer_start(pointer(queue.tick), (time // TICK + 1) * TICK)


@metal
def tick(timer: Ptr[Timer]) -> None:
    """The look."""
    queue = unsafe.container(RunQueue, "tick", timer)
    running = queue.running
    if running is None:
        return
    time = now()
    count = 1 + (time - min(time, timer.deadline)) // TICK  # a host may have let the processor wait
    kind: u64 = KERNEL
    if running.process is not None:
        if frame_of(running).in_kernel():
            add(running.counts[SYSTEM_TICKS], count)
        else:
            add(running.counts[USER_TICKS], count)
            kind = NICE if running.nice > 0 else PROGRAM
    add(queue.ticks[kind], count)
    if time // LOAD_STEP != _counted:
        count_load(time)
    timer_start(timer, (time // TICK + 1) * TICK)


@metal
def add(counter: Atomic[u64], count: u64) -> None:
    """Count more; nobody else does."""
    counter.store(counter.load(order=RELAXED) + count, order=RELAXED)


@metal
def runnable() -> u64:
    """How many threads run or could."""
    total: u64 = 0
    for processor in range(processor_count()):
        queue = queue_of(processor)
        total += u64(queue.count.load()) + u64(queue.running is not None)
    return total


@metal
def count_load(time: u64) -> None:
    """Bring the load averages up to now. Where nobody counted, no processor had anything to run."""
    global _counted
    active = runnable() * LOAD_ONE
    with _load_lock:
        left = min(time // LOAD_STEP - _counted, u64(LONGEST_IDLE))
        while left != 0:
            left -= 1
            for index in range(u64(0), u64(3)):
                decay = DECAYS[index]
                load = _averages[index] * decay
                if left == 0:
                    load += active * (LOAD_ONE - decay)
                    if active >= _averages[index]:
                        load += LOAD_ONE - 1
                _averages[index] = load // LOAD_ONE
        _counted = time // LOAD_STEP


@metal
def load_averages(averages: Array[u64, 3]) -> None:
    """The load over 1, 5 and 15 minutes, as multiples of 1/LOAD_ONE."""
    count_load(now())
    with _load_lock:
        averages[:] = _averages[:]


@metal
def processor_idle(processor: u32) -> u64:
    """The nanoseconds since boot that a processor had nothing to run."""
    queue = queue_of(processor)
    idle = queue.idle.load()
    if queue.running is None:
        time = now()
        idle += time - min(queue.idle_since.load(), time)
    return idle


@metal
def split_time(shown: Split, time: u64, user_ticks: u64, system_ticks: u64) -> u64:
    """How many of `time` nanoseconds were the kernel's, by the ticks; `shown` keeps what was told, so that neither part
    shrinks (Linux kernel/sched/cputime.c, cputime_adjust). What protects `shown` is held."""
    system: u64 = 0
    if system_ticks != 0:
        total = user_ticks + system_ticks
        system = time // total * system_ticks + time % total * system_ticks // total
    system = max(system, shown.system)
    user = max(time - min(system, time), shown.user)
    system = time - min(user, time)
    shown.user = user
    shown.system = system
    return system
