"""What signals hang on a thread and on a process: masks, pending signals, actions, the alternate stack.

One spin lock, ProcessSignals.lock, protects all of it, that of the process's threads too (Linux: siglock). A thread's
WORK_SIGNAL bit is a hint that deliver() will find something; it may be set in vain, never missing.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.objects import Cache
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import SIGNALS, SS_DISABLE
from goanna.kernel.thread.scheduler import interrupt
from goanna.kernel.thread.thread import WORK_SIGNAL, Process, Thread
from goanna.kernel.thread.wait import WaitQueue
from goanna.kernel.time.timer import Timer
from goanna.metal import Array, Atomic, Fn, Ptr, copy, hook, i32, metal, static, struct, u32, u64

__all__ = [
    "Action",
    "AlternateStack",
    "IntervalTimer",
    "Pending",
    "ProcessSignals",
    "Queued",
    "ThreadSignals",
    "deliverable",
    "mask_of",
    "process_signals",
    "queued_count",
    "queued_signals",
    "recompute",
    "thread_signals",
    "timer_taken",
]


@struct
class Action:
    """What a process does on one signal: struct sigaction as rt_sigaction passes it."""

    handler: u64  # SIG_DFL, SIG_IGN or a user address
    flags: u64  # SA_
    restorer: u64
    mask: u64  # blocked besides while the handler runs


@struct
class Queued:
    """A pending signal that carries something. Those from queued_signals count against RLIMIT_SIGPENDING."""

    link: Link
    information: Information
    timer: Ptr["goanna.kernel.signal.posix_timer.PosixTimer"]  # it lies in this timer; None: it is from the cache
    pending: Ptr["Pending"]  # where it is queued


QueuedList = List(Queued, "link")
queued_signals = Cache(Queued)
queued_count = static(Atomic[u32])  # how many are in use, machine-wide: Linux counts by user

# A timer's signal was taken from the queue with the lock held: fill in its overruns and see to its next expiry.
timer_taken = hook(Fn[[Queued, Information], None])


@struct
class Pending:
    """Signals that were sent and not yet delivered. A number may be in `set` with nothing on the queue."""

    set: u64
    queue: QueuedList

    def remove(self, mask: u64) -> None:
        """Forget all pending signals in `mask`. Lock held."""
        if (self.set & mask) == 0:
            return
        self.set &= ~mask
        queued = self.queue.head()
        while queued is not None:
            following = self.queue.after(queued)
            if (mask_of(u32(queued.information.number)) & mask) != 0:
                self.queue.remove(queued)
                free_queued(queued)
            queued = following

    def append(self, queued: Queued) -> None:
        """Queue an entry. Lock held."""
        queued.pending = self
        self.queue.append(queued)

    def drop(self, queued: Queued) -> None:
        """Take a queued entry off without delivering it. Lock held."""
        number = u32(queued.information.number)
        self.queue.remove(queued)
        if self.first(number) is None:
            self.set &= ~mask_of(number)

    def first(self, number: u32) -> Ptr[Queued]:
        """The longest-waiting entry of a signal, or None."""
        queued = self.queue.head()
        while queued is not None:
            if u32(queued.information.number) == number:
                return queued
            queued = self.queue.after(queued)
        return None

    def take(self, number: u32, information: Information) -> None:
        """Take one instance of a pending signal. Lock held."""
        queued = self.first(number)
        if queued is None:
            self.set &= ~mask_of(number)
            information.clear()
            information.number = i32(number)
            return
        self.drop(queued)
        copy(information, queued.information)
        if queued.timer is not None:
            timer_taken(queued, information)
        free_queued(queued)


@metal
def free_queued(queued: Queued) -> None:
    """Give back an entry that is on no queue; a timer's own entry stays with the timer."""
    if queued.timer is None:
        queued_count.sub(1)
        queued_signals.free(queued)


@struct
class AlternateStack:
    """sigaltstack of a thread."""

    address: u64
    size: u64  # 0: none
    flags: u32  # SS_DISABLE or SS_AUTODISARM

    def disable(self) -> None:
        """Have none."""
        self.address = 0
        self.size = 0
        self.flags = SS_DISABLE


@struct
class ThreadSignals:
    """Signals of one thread. Zeroed memory is a thread with nothing blocked and nothing pending."""

    link: Link
    thread: Ptr[Thread]
    blocked: u64  # written by the thread alone, with the lock held
    saved: u64  # what `blocked` was before sigsuspend, ppoll and their kin
    restore: bool  # `saved` comes back when the call is over
    real_blocked: u64  # `blocked` as it was before rt_sigtimedwait opened it for what it waits for; else 0
    pending: Pending  # sent to this thread
    stop_taken: bool  # has taken a stop signal that SIGCONT has not yet overtaken
    stop_wanted: bool  # is to stop with its process
    stopped: bool  # has stopped
    stack: AlternateStack
    # What the last fault was, for sigcontext (Linux thread.trap_nr, error_code, cr2). The thread's own.
    fault_number: u64
    fault_error: u64
    fault_address: u64


@struct
class IntervalTimer:
    """One of setitimer's three."""

    timer: Timer
    shared: Ptr["ProcessSignals"]
    kind: u32  # ITIMER_
    deadline: u64  # nanoseconds on its clock; 0: not armed
    last: u64  # the deadline that was reached last
    interval: u64  # nanoseconds; 0: once


ThreadSignalsList = List(ThreadSignals, "link")
thread_signals = Cache(ThreadSignals)


@struct
class ProcessSignals:
    """Signals of one process."""

    lock: SpinLock  # protects all below and the ThreadSignals of the process's threads
    process: Ptr[Process]
    threads: ThreadSignalsList
    thread_count: u32
    next_thread: Ptr[ThreadSignals]  # who is asked first to take the next signal for the process
    pending: Pending  # sent to the process
    actions: Array[Action, SIGNALS]
    stopping: u32  # threads that have yet to stop
    stopped: bool  # all threads have
    stop_signal: u32  # which one stopped them; 0 if they run
    report: u32  # CLD_STOPPED or CLD_CONTINUED, which the parent is to be told after SIGCONT; 0 if none
    stopped_threads: WaitQueue
    death: u32  # the signal that ends the process; 0 while none does
    # What wait4 has not yet reported: the signal that stopped it (WUNTRACED), that it goes on (WCONTINUED).
    waitable_stop: u32
    waitable_continue: bool
    interval_timers: Array[IntervalTimer, 3]  # ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF
    timers: List("goanna.kernel.signal.posix_timer.PosixTimer", "link")  # timer_create
    next_timer: u32  # the number that the next one gets if it is free

    def action(self, number: u32) -> Action:
        """What is done on a signal, 1 to SIGNALS. Lock held."""
        return self.actions[u64(number - 1)]


process_signals = Cache(ProcessSignals)


@metal(inline=True)
def mask_of(number: u32) -> u64:
    """The mask with one signal, 1 to SIGNALS, in it."""
    return u64(1) << (number - 1)


@metal
def deliverable(mine: ThreadSignals, shared: ProcessSignals) -> bool:
    """Whether the thread has something to do for signals. Lock held."""
    return ((mine.pending.set | shared.pending.set) & ~mine.blocked) != 0 or mine.stop_wanted or shared.report != 0


@metal
def recompute(thread: Thread) -> None:
    """Set or clear WORK_SIGNAL of the running thread. Lock held."""
    if deliverable(thread.signals, thread.process.signals):
        interrupt(thread)
    else:
        thread.work.and_(~u32(WORK_SIGNAL))
