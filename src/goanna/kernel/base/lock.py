"""The spin lock, and the one list that says in which order locks are taken.

Kernel mode runs with interrupts disabled, so a lock is never taken again by an interrupt on the processor that holds
it. Nobody sleeps, touches user memory or waits for another processor's answer while holding one.

The order of locks
------------------
A lock may be taken while holding only locks that stand above it here:

1. process tree            thread/: parents, children, process table
2. signals of a process    signal/: actions, pending signals
3. descriptor table        file/: then those of the network, net/, in the order of docs/network.md, then the lock inside
                           one open file, pipe, terminal, eventfd or epoll
4. address space           memory/space.py
5. futex bucket            thread/futex.py
6. timers                  time/
7. run queue, wait queue   thread/: a wait queue's own lock is the caller's; the run queue comes after it
8. object cache            memory/objects.py
9. physical pages          memory/pages.py
10. log and console        base/log.py, device/

Two locks of one line are taken in the order of their addresses.
"""

from goanna.kernel.arch import PATIENCE, ending, kick, park, park_begin, park_end, pause, processor_index
from goanna.metal import ACQUIRE, RELAXED, Atomic, likely, metal, struct, u32, unlikely, wrapping

__all__ = ["SpinLock"]

WAITED_FOR = 1 << 31
EVERYBODY = 2**64 - 1  # of the processors, those that are parked


@struct
class SpinLock:
    """A lock held for a few hundred instructions. Zeroed memory is an open lock. `with lock:` takes and releases it."""

    # 0 if open, else 1 + the index of the processor that holds it, with WAITED_FOR if one may have parked for it.
    owner: Atomic[u32]

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, spinning until it is free. Panics if this processor holds it already."""
        me = wrapping(processor_index() + 1)
        _, taken = self.owner.compare_exchange(0, me, order=ACQUIRE)
        if likely(taken):
            return
        self.spin(me)

    @metal(inline=False)
    def spin(self, me: u32) -> None:
        """The slow half of acquire: read until the lock looks free, so that waiting costs the holder no cache line.

        At the machine's end whoever held it may have been stopped for good: then it counts as free.
        """
        spins: u32 = 0
        while True:
            holder = self.owner.load(order=RELAXED)
            assert holder & ~u32(WAITED_FOR) != me, "a spin lock was taken twice by one processor"
            if holder == 0:
                _, taken = self.owner.compare_exchange(0, me, order=ACQUIRE)
                if taken:
                    return
            pause()
            spins += 1
            if spins == PATIENCE:
                if ending():
                    return
                spins = 0
                self.sleep()

    def sleep(self) -> None:
        """Park until the lock is opened, or for a moment: so the holder gets to run where processors are few."""
        park_begin()
        holder = self.owner.load()
        if holder != 0:
            _, marked = self.owner.compare_exchange(holder, holder | WAITED_FOR)
            if marked:
                park()
        park_end()

    def release(self) -> None:
        """Open the lock. Only its holder may."""
        if unlikely(self.owner.exchange(0) & WAITED_FOR != 0):
            kick(EVERYBODY)
