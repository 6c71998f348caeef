"""Processor time of threads and processes as a clock for timers.

There is no periodic tick, so such a timer looks at the clock when it could have expired at the earliest: when all
threads that run now had gone on running. While nothing runs it looks again after the time that is left, IDLE_LOOK at
least. Processor time is not split into the program's and the kernel's: the virtual clocks count both.
"""

from goanna.kernel.arch import now
from goanna.kernel.signal.state import ProcessSignals, ThreadSignals
from goanna.kernel.thread.scheduler import running_time
from goanna.metal import metal, u64

__all__ = ["next_look", "process_time", "thread_time"]

SHORTEST_LOOK = 100_000  # nanoseconds
IDLE_LOOK = 1_000_000


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
def running_threads(shared: ProcessSignals) -> u64:
    """How many threads of a process have a processor. Lock held."""
    count: u64 = 0
    mine = shared.threads.head()
    while mine is not None:
        if mine.thread.on_processor.load():
            count += 1
        mine = shared.threads.after(mine)
    return count


@metal
def next_look(left: u64, runners: u64) -> u64:
    """When to look at a clock again that has `left` nanoseconds to go and `runners` threads that move it."""
    if runners == 0:
        return now() + max(left, IDLE_LOOK)
    return now() + max(left // runners, SHORTEST_LOOK)
