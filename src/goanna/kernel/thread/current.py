"""Who runs on this processor."""

from goanna.kernel.thread.thread import Process, Thread
from goanna.metal import Ptr, metal, per_processor, unsafe

__all__ = ["current", "current_process", "current_thread"]

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
