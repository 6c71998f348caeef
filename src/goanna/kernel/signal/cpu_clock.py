"""Processor time of threads and processes as a clock for timers.

There is no periodic tick, so such a timer looks at the clock when it could have expired at the earliest: when all
threads that run now had gone on running, but not more often than Linux with its fastest tick. What of a process's time
was the program's own only the looks of tick.py tell, as on Linux.
"""

from goanna.kernel.arch import now
from goanna.kernel.signal.state import ProcessSignals, ThreadSignals
from goanna.kernel.thread.current import current
from goanna.kernel.thread.process import USER_TICKS
from goanna.kernel.thread.scheduler import running_time
from goanna.kernel.thread.thread import ThreadState
from goanna.kernel.thread.tick import TICK
from goanna.metal import Ptr, metal, u64

__all__ = ["consumer", "next_look", "process_time", "program_time", "running_threads", "runs", "thread_time"]

SHORTEST_LOOK = 1_000_000  # nanoseconds


@metal
def thread_time(mine: ThreadSignals) -> u64:
    """The nanoseconds that a thread has run."""
    return running_time(mine.thread)


@metal
def process_time(shared: ProcessSignals) -> u64:
    """The nanoseconds that the threads of a process have run, ended ones too. Lock held."""
    total = shared.process.cpu_time.load()
    mine = shared.threads.head()
    while mine is not None:
        total += running_time(mine.thread)
        mine = shared.threads.after(mine)
    return total


@metal
def program_time(shared: ProcessSignals) -> u64:
    """How much of it was the program's own, in whole ticks. Lock held."""
    ticks = shared.process.ended.counts[USER_TICKS]
    mine = shared.threads.head()
    while mine is not None:
        ticks += mine.thread.counts[USER_TICKS].load()
        mine = shared.threads.after(mine)
    return ticks * TICK


@metal
def runs(mine: ThreadSignals) -> bool:
    """Whether a thread has a processor now."""
    return mine.thread.state == ThreadState.RUNNING


@metal
def running_threads(shared: ProcessSignals) -> u64:
    """How many threads of a process have a processor. Lock held."""
    count: u64 = 0
    mine = shared.threads.head()
    while mine is not None:
        count += u64(runs(mine))
        mine = shared.threads.after(mine)
    return count


@metal
def consumer(shared: ProcessSignals) -> Ptr[ThreadSignals]:
    """A thread that is using up the process's time: the one here if it is, else one that runs, else any. Lock held."""
    me = current()
    if me.process is shared.process and me.signals is not None and me.state == ThreadState.RUNNING:
        return me.signals
    mine = shared.threads.head()
    while mine is not None and not runs(mine):
        mine = shared.threads.after(mine)
    return mine if mine is not None else shared.threads.head()


@metal
def next_look(left: u64, runners: u64) -> u64:
    """When to look at a clock again that has `left` nanoseconds to go and `runners` threads that move it."""
    return now() + max(left // max(runners, u64(1)), SHORTEST_LOOK)
