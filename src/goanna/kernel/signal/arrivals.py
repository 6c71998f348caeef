"""Who waits, by way of descriptors, for signals to be queued: signalfd's readers and pollers, of all processes.

One queue serves all, because a descriptor shows whoever reads it that process's signals. Nothing is done while there is
no such descriptor.
"""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.flags import POLLIN
from goanna.kernel.file.watch import Watchers
from goanna.kernel.thread.wait import WaitQueue
from goanna.metal import Atomic, metal, static, u32, u64

__all__ = ["arrival_count", "arrival_readers", "arrival_watchers", "arrivals_lock", "listeners", "signal_arrived"]

listeners = static(Atomic[u32])  # descriptors that there are
arrivals_lock = static(SpinLock)  # protects the two below; taken after a process's signal lock
arrival_count = static(u64)
arrival_readers = static(WaitQueue)
arrival_watchers = static(Watchers)


@metal
def signal_arrived() -> None:
    """A signal was queued somewhere. With the signal lock."""
    global arrival_count
    if listeners.load() == 0:
        return
    with arrivals_lock:
        arrival_count += 1
        arrival_readers.wake_all()
    arrival_watchers.notify(POLLIN)
