"""Wait queues: where a thread sleeps until another wakes it, a time comes, or a signal does.

A queue belongs to whatever has the lock that the caller holds; that lock protects the queue too. No wake-up is lost: a
sleeper is on the queue before the lock is released, and exactly one of waker, timer and signal claims it
(scheduler.claim). A waker whose sleeper was claimed by another goes on to the next.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.thread.current import current
from goanna.kernel.thread.scheduler import (
    WOKEN,
    block,
    claim,
    prepare_wait,
    wait_expired,
)
from goanna.kernel.thread.scheduler import Wake as Wake
from goanna.kernel.thread.thread import Thread
from goanna.kernel.time.timer import MONOTONIC, NEVER, timer_cancel, timer_start
from goanna.metal import Ptr, metal, pointer, struct, u32, u64

__all__ = ["WaitQueue", "Waiter", "Wake", "sleep_until"]


@struct
class Waiter:
    """One sleeper on one queue. It lies on the sleeper's stack."""

    link: Link
    thread: Ptr[Thread]


WaiterList = List(Waiter, "link")


@struct
class WaitQueue:
    """Sleepers, the longest-waiting first. Zeroed memory is an empty queue; the caller's lock protects it."""

    sleepers: WaiterList

    def wait(self, lock: SpinLock, deadline: u64, interruptible: bool) -> Wake:
        """Sleep until woken, until `deadline` (monotonic nanoseconds, NEVER for none), or for a signal if
        `interruptible`.

        The caller holds `lock` and no other; it is open while the thread sleeps and held again at return. Kernel mode
        only, in a thread. The condition must be looked at again after Wake.WOKEN: another may have been quicker.
        """
        return self.wait_on_clock(lock, deadline, MONOTONIC, interruptible)

    def wait_on_clock(self, lock: SpinLock, deadline: u64, clock: u32, interruptible: bool) -> Wake:
        """wait() with a deadline on the clock MONOTONIC or REAL of time/timer.py."""
        me = current()
        waiter = Waiter(thread=me)
        self.sleepers.append(waiter)
        prepare_wait(me, interruptible)
        lock.release()
        wake = sleep_until(me, deadline, clock)
        lock.acquire()
        if waiter.link.linked():
            self.sleepers.remove(waiter)
        return wake

    def wake_one(self) -> bool:
        """Wake the sleeper that waited longest; whether there was one. The caller holds the queue's lock."""
        while True:
            waiter = self.sleepers.pop()
            if waiter is None:
                return False
            if claim(waiter.thread, WOKEN):
                return True

    def wake_all(self) -> u32:
        """Wake every sleeper; how many. The caller holds the queue's lock."""
        count: u32 = 0
        if self.sleepers.empty():
            return 0
        while self.wake_one():
            count += 1
        return count

    def empty(self) -> bool:
        """Whether nobody sleeps here. The caller holds the queue's lock."""
        return self.sleepers.empty()


@metal
def sleep_until(me: Thread, deadline: u64, clock: u32) -> Wake:
    """Sleep after prepare_wait: until claimed, or until the deadline. No lock is held."""
    if deadline == NEVER:
        return block(me)
    me.wait_timer.clock = clock
    me.wait_timer.callback = wait_expired
    timer_start(pointer(me.wait_timer), deadline)
    wake = block(me)
    if wake != Wake.TIMEOUT:
        timer_cancel(pointer(me.wait_timer))
    return wake
