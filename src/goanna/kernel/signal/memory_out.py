"""Memory has run out: which process is ended so that the others can go on (Linux mm/oom_kill.c).

It is the one that has most pages in use, or what its oom_score_adj makes of them. Who needs the page waits until the
other's are free.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.pages import total_pages
from goanna.kernel.signal.numbers import SIGKILL
from goanna.kernel.thread.exit import kill_process
from goanna.kernel.thread.process import Process, release_process, tree_lock
from goanna.kernel.thread.thread import WORK_EXIT, Thread, next_in_table
from goanna.kernel.thread.wait import WaitQueue
from goanna.metal import Fn, Ptr, hook, i64, metal, static

__all__ = ["ADJUSTMENTS", "badness", "make_room", "on_memory_out"]

LOOK = 2_000_000  # nanoseconds after which it is looked again whether a process has gone
PATIENCE = 500  # looks before another is ended too
ADJUSTMENTS = 1000  # oom_score_adj's unit is the 1000th of all memory; its least value means never

# No page was left for a program: tell it to whoever looks on. The process ends by SIGKILL after it.
on_memory_out = hook(Fn[[Process], None])

_lock = static(SpinLock)  # protects _sleepers
_sleepers = static(WaitQueue)  # nobody wakes them: they look at the time


@metal
def make_room(thread: Thread) -> bool:
    """End a process, for the running thread has found no page. Whether it may try again; else its own process ends. No
    lock is held; sleeps."""
    for _ in range(PATIENCE):
        if thread.work.load() & WORK_EXIT != 0:
            return False
        if not one_is_ending():
            break
        with _lock:
            _sleepers.wait(_lock, now() + LOOK, False)
        if not one_is_ending():
            return True
    victim = largest()
    if victim is None:
        victim = thread.process
        victim.references.add(1)
    on_memory_out(victim)
    kill_process(victim, SIGKILL)
    mine = victim is thread.process
    release_process(victim)
    return not mine


@metal
def one_is_ending() -> bool:
    """Whether a process that has memory yet is on its way out."""
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            process = thread.process
            if process is not None and process.space is not None and process.exiting.load():
                return True
            thread = next_in_table(thread)
    return False


@metal
def badness(process: Process) -> i64:
    """How many pages it would be good for to end a process (Linux oom_badness). Tree lock held."""
    space = process.space
    used: i64 = i64(space.committed) if space is not None else 0
    return used + i64(process.memory_adjustment) * i64(total_pages()) // ADJUSTMENTS


@metal
def largest() -> Ptr[Process]:
    """The process with most pages in use that isn't ending already, with a reference; None if all are, or never are
    to."""
    found: Ptr[Process] = None
    most: i64 = 0
    with tree_lock:
        thread = next_in_table(None)
        while thread is not None:
            process = thread.process
            if (
                process is not None
                and process.space is not None
                and not process.exiting.load()
                and process.memory_adjustment != -ADJUSTMENTS
            ):
                used = badness(process)
                if found is None or used > most:
                    most = used
                    found = process
            thread = next_in_table(thread)
        if found is not None:
            found.references.add(1)
    return found
