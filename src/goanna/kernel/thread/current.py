"""Who runs on this processor."""

from goanna.kernel.thread.thread import Process, Thread
from goanna.metal import Ptr, metal, per_processor

__all__ = ["current", "current_process", "current_thread"]

current_thread = per_processor(Ptr[Thread])  # changed by the scheduler alone


@metal(inline=True)
def current() -> Thread:
    """The running thread."""
    return current_thread


@metal(inline=True)
def current_process() -> Process:
    """The running thread's process. Panics in a thread of the kernel's own."""
    return current_thread.process
