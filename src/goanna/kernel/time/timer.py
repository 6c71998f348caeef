"""Timers: a callback at a time, on the processor that armed it.

Each processor has two heaps of timers: one by monotonic time, one by real time, so that setting the clock moves the
timers that were set by it. The hardware timer is programmed lazily: only when a nearer deadline appears; an interrupt
that comes too early finds nothing to do and programs the next.
"""

from goanna.kernel.arch import (
    MAXIMUM_PROCESSORS,
    now,
    on_timer,
    pause,
    processor_count,
    processor_index,
    send_reschedule,
    set_timer,
)
from goanna.kernel.base.heap import Heap, HeapNode
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.time.wall import wall_offset
from goanna.metal import Array, Atomic, Fn, Ptr, metal, per_processor, static, struct, u32, u64

__all__ = [
    "MONOTONIC",
    "NEVER",
    "REAL",
    "Timer",
    "run_timers",
    "start_timers",
    "timer_cancel",
    "timer_pending",
    "timer_start",
    "timer_start_on",
    "timers_wall_clock_changed",
]

NEVER = 2**64 - 1

MONOTONIC = 0  # the deadline is on the clock of now()
REAL = 1  # the deadline is nanoseconds since 1970; moves when the clock is set


@struct
class Timer:
    """One deadline. Zeroed memory plus a callback is a timer that is not armed."""

    node: HeapNode  # the owning queue's lock
    deadline: u64  # nanoseconds on the clock that `clock` names; the owning queue's lock while armed
    callback: Fn[[Ptr["Timer"]], None]  # runs with interrupts off and no lock held; may arm the timer again
    queue: Atomic[u32]  # 0 if not armed, else 1 + the index of the processor in whose queue it is
    clock: u32  # MONOTONIC or REAL


TimerHeap = Heap(Timer, "node", "deadline")


@struct(align=64)
class TimerQueue:
    """The timers of one processor."""

    lock: SpinLock  # protects all fields below
    monotonic: TimerHeap
    real: TimerHeap
    running: Atomic[Ptr[Timer]]  # whose callback runs just now
    programmed: u64  # when the hardware will interrupt; NEVER if it won't. Zero before start_timers: program nothing.
    late: Atomic[bool]  # another processor armed or moved a timer here: look again

    def next(self) -> u64:
        """The earliest deadline in monotonic time, NEVER if there is none."""
        deadline: u64 = NEVER
        first = self.monotonic.first()
        if first is not None:
            deadline = first.deadline
        first = self.real.first()
        if first is not None:
            offset = wall_offset()
            real: u64 = first.deadline - offset if first.deadline > offset else 0
            deadline = min(deadline, real)
        return deadline

    def program(self) -> None:
        """Tell the hardware of a deadline nearer than the one it has. On the queue's own processor."""
        deadline = self.next()
        if deadline < self.programmed:
            self.programmed = deadline
            set_timer(deadline)

    def due(self, time: u64) -> Ptr[Timer]:
        """Take out a timer whose deadline is at or before `time`, the earliest of its clock."""
        first = self.monotonic.first()
        if first is not None and first.deadline <= time:
            return self.monotonic.pop()
        first = self.real.first()
        if first is not None and first.deadline <= time + wall_offset():
            return self.real.pop()
        return None

    def insert(self, timer: Timer) -> None:
        if timer.clock == REAL:
            self.real.insert(timer)
        else:
            self.monotonic.insert(timer)

    def remove(self, timer: Timer) -> None:
        if timer.clock == REAL:
            self.real.remove(timer)
        else:
            self.monotonic.remove(timer)


queues = static(Array[TimerQueue, MAXIMUM_PROCESSORS])
_ticking = per_processor(bool)  # whether run_timers is already running here: a callback may let time pass


@metal
def start_timers() -> None:
    """Make this processor's queue ready. Once on each processor, before its first timer."""
    queue = queues[u64(processor_index())]
    with queue.lock:
        queue.programmed = NEVER
        queue.program()


@metal
def timer_start(timer: Timer, deadline: u64) -> None:
    """Arm a timer on this processor for `deadline` on its clock, moving it if it is armed. NEVER only disarms it.

    Two processors must not start one timer at the same time: its owner's lock sees to that.
    """
    timer_start_on(timer, deadline, processor_index())


@metal
def timer_start_on(timer: Timer, deadline: u64, processor: u32) -> None:
    """Arm a timer so that its callback runs on `processor`; else as timer_start."""
    if timer.queue.load() != 0:
        _take_out(timer)
    if deadline == NEVER:
        return
    queue = queues[u64(processor)]
    with queue.lock:
        timer.deadline = deadline
        queue.insert(timer)
        timer.queue.store(processor + 1)
        if processor == processor_index():
            queue.program()
            return
        if queue.next() >= queue.programmed:
            return
        queue.late.store(True)
    send_reschedule(processor)


@metal
def _take_out(timer: Timer) -> bool:
    while True:
        home = timer.queue.load()
        if home == 0:
            return False
        queue = queues[u64(home - 1)]
        with queue.lock:
            if timer.queue.load() == home:
                queue.remove(timer)
                timer.queue.store(0)
                return True


@metal
def timer_pending(timer: Timer) -> bool:
    """Whether the timer is armed: its callback has not begun."""
    return timer.queue.load() != 0


@metal
def timer_cancel(timer: Timer) -> bool:
    """Disarm a timer; whether it was armed. When this returns, the callback isn't running on another processor.

    The caller holds no lock that the callback takes, and has seen to it that the callback won't arm the timer again.
    Called by the callback itself, it doesn't wait.
    """
    taken = _take_out(timer)
    me = processor_index()
    for i in range(processor_count()):
        if i != me:
            while queues[u64(i)].running.load() is timer:
                pause()
    if timer.queue.load() != 0:
        taken = _take_out(timer) or taken
    return taken


@on_timer.set
@metal
def run_timers() -> None:
    """Run the callbacks that are due on this processor and program the hardware for the next. Interrupts off."""
    global _ticking
    queue = queues[u64(processor_index())]
    if _ticking:
        return
    _ticking = True
    queue.lock.acquire()
    queue.programmed = NEVER
    while True:
        timer = queue.due(now())
        if timer is None:
            break
        queue.running.store(timer)
        timer.queue.store(0)
        queue.lock.release()
        timer.callback(timer)
        queue.lock.acquire()
        queue.running.store(None)
    queue.program()
    queue.lock.release()
    _ticking = False


@metal
def timers_rescheduled() -> None:
    """What a reschedule interrupt means to timers: look at the queue if another processor changed it."""
    queue = queues[u64(processor_index())]
    if queue.late.load():
        queue.late.store(False)
        run_timers()


@metal
def timers_wall_clock_changed() -> None:
    """The wall clock was set: have every processor look again at its timers of real time."""
    me = processor_index()
    for i in range(processor_count()):
        if i != me:
            queues[u64(i)].late.store(True)
            send_reschedule(i)
    run_timers()
