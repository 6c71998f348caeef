"""Taking pending signals: which comes first. deliver.py, rt_sigtimedwait and signalfd all take by these."""

from goanna.kernel.signal.info import Information
from goanna.kernel.signal.itimer import alarm_taken
from goanna.kernel.signal.numbers import SI_USER, SIGALRM, SYNCHRONOUS
from goanna.kernel.signal.state import ProcessSignals, ThreadSignals, mask_of
from goanna.metal import count_trailing_zeros, metal, u32, u64

__all__ = ["take", "take_synchronous"]


@metal
def first_of(set: u64) -> u32:
    """The signal of a set that comes first: those of the running instruction, then by number. 0 if it is empty."""
    if set == 0:
        return 0
    urgent = set & SYNCHRONOUS
    if urgent != 0:
        set = urgent
    return u32(count_trailing_zeros(set)) + 1


@metal
def take(shared: ProcessSignals, mine: ThreadSignals, blocked: u64, information: Information) -> u32:
    """Take the first pending signal that is not in `blocked`, the thread's own before the process's. Lock held.

    Its number, or 0. The thread's WORK_SIGNAL bit is left alone.
    """
    number = first_of(mine.pending.set & ~blocked)
    if number != 0:
        mine.pending.take(number, information)
        return number
    number = first_of(shared.pending.set & ~blocked)
    if number != 0:
        shared.pending.take(number, information)
        if number == SIGALRM:
            alarm_taken(shared)
    return number


@metal
def take_synchronous(mine: ThreadSignals, information: Information) -> u32:
    """Take the fault that the thread's own instruction has raised, so that its handler sees the registers as they were
    then. Lock held. Its number, or 0. Linux dequeue_synchronous_signal.
    """
    if (mine.pending.set & ~mine.blocked & SYNCHRONOUS) == 0:
        return 0
    queued = mine.pending.queue.head()
    while queued is not None:
        number = u32(queued.information.number)
        if queued.information.code > SI_USER and (mask_of(number) & ~mine.blocked & SYNCHRONOUS) != 0:
            mine.pending.take(number, information)
            return number
        queued = mine.pending.queue.after(queued)
    return 0
