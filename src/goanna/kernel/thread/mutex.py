"""The sleeping lock: held across page faults and waits, where a spin lock may not be."""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.thread.wait import WaitQueue
from goanna.kernel.time.timer import NEVER
from goanna.metal import struct

__all__ = ["Mutex"]


@struct
class Mutex:
    """A lock whose waiters sleep. Zeroed memory is an open one. `with mutex:` takes and releases it.

    In a thread, with no spin lock held; signals do not end the wait. Two are taken in an order that their users agree
    on: what holds another is taken first (an epoll, then one that it watches).
    """

    lock: SpinLock  # protects both below
    held: bool
    waiters: WaitQueue

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self) -> None:
        self.release()

    def acquire(self) -> None:
        """Take it, sleeping until it is free."""
        with self.lock:
            while self.held:
                self.waiters.wait(self.lock, NEVER, False)
            self.held = True

    def release(self) -> None:
        """Open it and wake whoever waited longest. A spin lock may be held that is taken before wait queues'."""
        with self.lock:
            assert self.held, "a mutex was released that nobody holds"
            self.held = False
            if not self.waiters.empty():
                self.waiters.wake_one()
