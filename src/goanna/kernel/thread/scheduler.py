"""The scheduler: blocking, waking, giving way, and what a processor does when nobody can run.

A blocked thread is claimed by exactly one of waker, timer and signal: `Thread.waiting` holds what it waits for and is
exchanged for what woke it. A processor with nothing to run halts on the stack of the thread that blocked last: if that
thread is woken next, nothing is switched at all. Nothing here needs a periodic tick: timers are one-shot, and the looks
of tick.py, at busy processors alone, only count.
"""

from goanna.kernel.arch import (
    MAXIMUM_PROCESSORS,
    halt_until_interrupt,
    now,
    on_reschedule,
    processor_count,
    processor_index,
    raise_work,
    send_reschedule,
    switch_context,
    table_rest,
    table_resume,
)
from goanna.kernel.thread.current import count, current, current_thread
from goanna.kernel.thread.process import PREEMPTIONS, SWITCHES
from goanna.kernel.thread.queue import (
    EXPIRED,
    LOOK,
    RunQueue,
    allowed,
    guard_slice,
    idle_processors,
    kick_idle,
    make_ready,
    queue_here,
    start_slices,
    steal,
    weighted,
)
from goanna.kernel.thread.switch import load_memory, load_thread, save_thread
from goanna.kernel.thread.thread import WORK_EXIT, WORK_SIGNAL, Thread, ThreadState, free_thread
from goanna.kernel.thread.tick import start_ticks
from goanna.kernel.time.timer import Timer, start_timers, timers_rescheduled
from goanna.metal import (
    RELAXED,
    Array,
    Ptr,
    enumeration,
    metal,
    per_processor,
    static,
    u32,
    u64,
    unlikely,
    unreachable,
    unsafe,
    wrapping,
)

__all__ = [
    "EXPIRED",
    "SIGNALLED",
    "WOKEN",
    "Wake",
    "account",
    "block",
    "claim",
    "finish_switch",
    "idle_loop",
    "interrupt",
    "leave_forever",
    "notify",
    "prepare_wait",
    "reschedule",
    "running_time",
    "signal_waits",
    "start_scheduler",
    "wait_expired",
]

# Thread.waiting: awake, or what a sleeper waits for, or what woke it.
AWAKE = 0
WAITING = 1  # not for signals
WAITING_INTERRUPTIBLE = 2
WOKEN = 3
SIGNALLED = 5


@enumeration(u32)
class Wake:
    """Why a wait ended."""

    WOKEN = WOKEN
    TIMEOUT = EXPIRED
    SIGNAL = SIGNALLED


LONGEST = 1 << 63  # nanoseconds: more is a negative number

_idle_threads = static(Array[Thread, MAXIMUM_PROCESSORS])
_previous = per_processor(Ptr[Thread])  # who ran before the thread that was just switched to


@metal
def signal_waits(thread: Thread) -> bool:
    """Whether a signal, or its end, keeps the running thread from sleeping interruptibly.

    Then it is looked at on the way to user mode, even if the interrupt that came with it from another processor is
    still on its way: a call that ends because of it must not be left without its restart.
    """
    if thread.work.load() & (WORK_SIGNAL | WORK_EXIT) == 0:
        return False
    raise_work(LOOK)
    return True


@metal
def prepare_wait(me: Thread, interruptible: bool) -> None:
    """Say that the running thread is about to sleep: from now on it can be claimed. block() must follow."""
    me.waiting.store(WAITING_INTERRUPTIBLE if interruptible else WAITING)


@metal
def claim(thread: Thread, reason: u32) -> bool:
    """End a thread's wait for a reason, WOKEN or EXPIRED. False: it is awake, or another reason was quicker."""
    seen = thread.waiting.load()
    while seen in (WAITING, WAITING_INTERRUPTIBLE):
        seen, done = thread.waiting.compare_exchange(seen, reason)
        if done:
            make_ready(thread)
            return True
    return False


@metal
def wait_expired(timer: Ptr[Timer]) -> None:
    """The callback of Thread.wait_timer."""
    claim(unsafe.container(Thread, "wait_timer", timer), EXPIRED)


@metal
def interrupt(thread: Thread) -> None:
    """A signal may be deliverable to a thread: wake it from an interruptible wait, or have it look on its way to user
    mode.

    The caller holds no run queue's lock. Any processor, interrupts off.
    """
    thread.work.or_(WORK_SIGNAL)
    notify(thread)


@metal
def notify(thread: Thread) -> None:
    """Have a thread whose `work` bits were just set see them: at once if it runs or sleeps interruptibly."""
    _, woken = thread.waiting.compare_exchange(WAITING_INTERRUPTIBLE, SIGNALLED)
    if woken:
        make_ready(thread)
    elif current_thread is thread:
        raise_work(LOOK)
    elif thread.on_processor.load() and thread.processor != processor_index():
        send_reschedule(thread.processor)


@metal
def block(me: Thread) -> Wake:
    """Sleep after prepare_wait until claimed; why. No lock is held."""
    if unlikely(signal_waits(me)):
        _, mine = me.waiting.compare_exchange(WAITING_INTERRUPTIBLE, SIGNALLED)
        if mine:
            me.waiting.store(AWAKE)
            return Wake.SIGNAL
    count(me, SWITCHES, 1)
    time = account(me)
    queue = queue_here()
    with queue.lock:
        if not me.run_node.linked():
            me.state = ThreadState.BLOCKED
        next = queue.choose()
        if next is not None:
            start_running(queue, next, time)
    if next is None:
        next = find_work(queue, time)
    if queue.count.load() != 0:
        guard_slice(queue)
    if next is me:
        load_memory(me)
        look_at_work(me)
    else:
        switch_to(me, next)
    reason = me.waiting.load()
    me.waiting.store(AWAKE)
    return Wake(reason)


@metal
def account(thread: Thread) -> u64:
    """Charge the running thread for its time since it was last charged. Gives the time. Its processor only."""
    time = now()
    thread.virtual_runtime += weighted(thread, time - min(thread.charged, time))
    thread.charged = time
    thread.cpu_time.store(wrapping(time - thread.run_base), order=RELAXED)
    return time


@metal
def running_time(thread: Thread) -> u64:
    """The nanoseconds that a thread has run, up to now if it is running.

    Processors' clocks may differ by some nanoseconds: what was counted already is the least.
    """
    counted = thread.cpu_time.load()
    if thread.state == ThreadState.RUNNING:
        ran = wrapping(now() - thread.run_base)
        if counted < ran < LONGEST:
            return ran
    return counted


@metal
def start_running(queue: RunQueue, thread: Thread, time: u64) -> None:
    """Note that a thread that was taken out of its queue runs on this processor. The processor's queue is locked."""
    queue.running = thread
    queue.wanted.store(False, order=RELAXED)
    queue.early.store(0, order=RELAXED)
    queue.switches.store(queue.switches.load(order=RELAXED) + 1, order=RELAXED)
    if processor_count() > 1 and not allowed(thread, processor_index()):
        queue.wanted.store(True)
        raise_work(LOOK)
    thread.started = time
    thread.charged = time
    thread.run_base = wrapping(time - thread.cpu_time.load(order=RELAXED))
    thread.on_processor.store(True)
    thread.state = ThreadState.RUNNING


@metal
def find_work(queue: RunQueue, since: u64) -> Thread:
    """Wait until a thread can run on this processor, whose queue was found empty at `since`, and choose it."""
    processor = processor_index()
    bit = u64(1) << u64(processor)
    several = processor_count() > 1
    queue.idle_since.store(since, order=RELAXED)
    while True:
        with queue.lock:
            queue.running = None
        stolen: Ptr[Thread] = None
        if several:
            idle_processors.or_(bit)
            stolen = steal(processor)
        if stolen is None and queue.count.load() == 0:
            table_rest()
            halt_until_interrupt()
            table_resume()
        if several:
            idle_processors.and_(~bit)
        time = now()
        with queue.lock:
            next = stolen
            if stolen is None:
                next = queue.choose()
            else:
                queue.settle(stolen)
            if next is not None:
                start_running(queue, next, time)
        if next is not None:
            queue.idle.store(queue.idle.load(order=RELAXED) + (time - min(since, time)), order=RELAXED)
            start_ticks(queue, time)
            return next


@metal
def switch_to(previous: Thread, next: Thread) -> None:
    """Run another thread. Returns when `previous` is chosen again, maybe on another processor."""
    global current_thread, _previous
    save_thread(previous)
    load_thread(next)
    _previous = previous
    current_thread = next
    switch_context(previous.context, next.context)
    finish_switch()


@metal
def finish_switch() -> None:
    """The first thing that a thread does when it runs again: let go of the one that ran before."""
    previous: Thread = _previous
    state = previous.state
    affinity = previous.affinity.load(order=RELAXED)
    previous.on_processor.store(False)
    if state == ThreadState.DEAD:
        free_thread(previous)
    elif state == ThreadState.MOVING:
        make_ready(previous)
    elif state == ThreadState.READY:
        kick_idle(affinity)
    look_at_work(current())


@metal
def look_at_work(me: Thread) -> None:
    """Have the way to user mode look if the thread that now runs has work there."""
    if me.work.load() != 0:
        raise_work(LOOK)


@metal
def reschedule(give_way: bool) -> None:
    """Let a thread that is further behind run; if `give_way`, whichever is first in the queue. A running thread calls
    it."""
    me = current()
    time = account(me)
    queue = queue_here()
    processor = processor_index()
    moving = not allowed(me, processor)
    with queue.lock:
        first = queue.ready.first()
        if not moving:
            if first is None:
                return
            if give_way:
                me.virtual_runtime = max(me.virtual_runtime, first.virtual_runtime + 1)
            if me.virtual_runtime <= first.virtual_runtime:
                return
            queue.insert(me)
        else:
            me.state = ThreadState.MOVING
        next = queue.choose()
        if next is None:
            queue.running = None
        else:
            start_running(queue, next, time)
    if next is None:
        next = _idle_threads[u64(processor)]
    count(me, PREEMPTIONS, 1)
    if queue.count.load() != 0:
        guard_slice(queue)
    switch_to(me, next)


@metal
def leave_forever() -> None:
    """End the running thread: it is in no table any more and nobody wakes it. Its stack is freed by who runs next."""
    me = current()
    time = account(me)
    queue = queue_here()
    with queue.lock:
        me.state = ThreadState.DEAD
        next = queue.choose()
        if next is None:
            queue.running = None
        else:
            start_running(queue, next, time)
    if next is None:
        next = _idle_threads[u64(processor_index())]
    elif queue.count.load() != 0:
        guard_slice(queue)
    switch_to(me, next)
    unreachable("a thread ran after its end")


@on_reschedule.set
@metal
def rescheduled() -> None:
    """Another processor wants this one to look: at its timers, its queue, or what its thread has to do."""
    timers_rescheduled()
    queue = queue_here()
    if queue.running is not None:
        raise_work(LOOK)
        if queue.count.load() != 0:
            guard_slice(queue)


@metal
def start_scheduler() -> None:
    """Make what this processor runs now its idle thread. Once on each, before it takes interrupts."""
    global current_thread
    start_timers()
    start_slices()
    processor = processor_index()
    idle = _idle_threads[u64(processor)]
    idle.processor = processor
    idle.on_processor.store(True)
    idle.state = ThreadState.BLOCKED
    current_thread = idle


@metal
def idle_loop() -> None:
    """What a processor's idle thread does: run whatever can. Never returns."""
    while True:
        queue = queue_here()
        next = find_work(queue, now())
        if queue.count.load() != 0:
            guard_slice(queue)
        switch_to(_idle_threads[u64(processor_index())], next)
