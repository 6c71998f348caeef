"""Who runs on this processor."""

from goanna.kernel.thread.process import FETCHED_BYTES, FETCHES
from goanna.kernel.thread.thread import Process, Thread
from goanna.metal import RELAXED, Ptr, metal, per_processor, u64, unsafe

__all__ = ["count", "count_fetch", "current", "current_process", "current_thread"]

current_thread = per_processor(Ptr[Thread])  # changed by the scheduler alone


@metal(inline=True)
def current() -> Thread:
    """The running thread. There is one wherever something is done for a program; it is asked for so often that this is
    not checked."""
    return unsafe.at(Thread, unsafe.address(current_thread))


@metal(inline=True)
def current_process() -> Process:
    """The running thread's process. Not in a thread of the kernel's own, which has none; this isn't checked either."""
    return unsafe.at(Process, unsafe.address(current().process))


@metal(inline=True)
def count(thread: Thread, which: u64, by: u64) -> None:
    """Add to one of the running thread's counts (process.py). Nobody else writes it, others may read."""
    thread.counts[which].store(thread.counts[which].load(order=RELAXED) + by, order=RELAXED)


@metal
def count_fetch(bytes: u64) -> None:
    """Note that so much was read from a device. Also before there are threads."""
    thread = current_thread
    if thread is not None:
        count(thread, FETCHES, 1)
        count(thread, FETCHED_BYTES, bytes)
