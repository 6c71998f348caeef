"""The tree of processes: who hears of a process's end, who gets its children, and when the last of it goes.

A process that has ended stays as a zombie, with its first thread in the table of threads, until its parent has heard of
it; then `bury` takes it out. Linux kernel/exit.c: forget_original_parent, reparent_leader, release_task.
"""

from goanna.kernel.thread.process import Process, release_process, tree_lock
from goanna.kernel.thread.scheduler import WOKEN, claim
from goanna.kernel.thread.thread import (
    Thread,
    cut_tie,
    find_in_table,
    release_thread,
    send_death_signal,
    tell_of_death,
    withdraw_thread,
)
from goanna.metal import Ptr, metal, u32

__all__ = [
    "adopt",
    "bury",
    "end_borrowing",
    "enter_afterlife",
    "find_process",
    "leave_children",
    "leave_children_of_thread",
    "wake_parent",
]

FIRST_PROCESS = 1
SIGCHLD = 17
POLL_ENDED = 0x41  # POLLIN | POLLRDNORM


@metal
def find_process(id: u32) -> Ptr[Process]:
    """The process of that number, living or zombie, or None. Process tree lock held."""
    thread = find_in_table(id)
    if thread is None or thread.process is None or thread.process.id != id:
        return None
    return thread.process


@metal
def adopt(parent: Process, child: Process, maker: u32) -> None:
    """Make a process the child of another, made by the thread of that number (0: none of its). Process tree lock
    held."""
    child.parent = parent
    child.maker = maker
    parent.children.append(child)


@metal
def heir_of(process: Process) -> Ptr[Process]:
    """Who gets the children of a process that ends: the nearest ancestor that asked for orphans, or the first process.
    Process tree lock held."""
    at = process.parent
    while at is not None:
        if at.subreaper and not at.zombie and at.thread_count != 0:
            return at
        at = at.parent
    return find_process(FIRST_PROCESS)


@metal
def leave_children(process: Process) -> None:
    """Give the children of a process that ends to its heir. Process tree lock held."""
    heir = heir_of(process)
    child = process.children.pop()
    while child is not None:
        child.parent = None
        if heir is not None and heir is not process:
            adopt(heir, child, 0)
            pass_on(process, heir, child)
        child = process.children.pop()


@metal
def pass_on(former: Process, heir: Process, child: Process) -> None:
    """What a new parent means for a child. Process tree lock held."""
    if child.zombie:
        child.exit_signal = SIGCHLD
        cut_tie(child, former, False)
        announce(child)
        return
    send_death_signal(child)
    child.exit_signal = SIGCHLD
    cut_tie(child, former, False)


@metal
def leave_children_of_thread(process: Process, maker: u32) -> None:
    """A thread that isn't its process's last ends: the children that it made get their death signals. Process tree lock
    held."""
    child = process.children.head()
    while child is not None:
        if child.maker == maker:
            child.maker = 0
            if not child.zombie:
                send_death_signal(child)
        child = process.children.after(child)


@metal
def enter_afterlife(process: Process) -> None:
    """A process has ended, its memory and files are gone, its children passed on: tell whoever waits. Process tree lock
    held."""
    parent = process.parent
    if parent is not None:
        cut_tie(process, parent, True)
    process.zombie = True
    process.watchers.notify(POLL_ENDED)
    announce(process)


@metal
def announce(process: Process) -> None:
    """Tell the parent of a zombie, which vanishes if the parent doesn't want to wait. Process tree lock held."""
    unwanted = tell_of_death(process, process.exit_signal)
    wake_parent(process)
    if unwanted:
        bury(process)


@metal
def wake_parent(child: Process) -> None:
    """Wake those threads of a process's parent that wait for it or for any child. Process tree lock held."""
    parent = child.parent
    if parent is not None:
        wake_watching(parent, child)


@metal
def wake_watching(parent: Process, child: Process) -> None:
    """The same of any process."""
    waiter = parent.events.sleepers.head()
    while waiter is not None:
        following = parent.events.sleepers.after(waiter)
        thread: Thread = waiter.thread
        if thread.awaited in (0, child.id):
            parent.events.sleepers.remove(waiter)
            claim(thread, WOKEN)
        waiter = following


@metal
def bury(process: Process) -> None:
    """Take a zombie out of the tree and the table, and give its life's reference back. Process tree lock held."""
    parent = process.parent
    if parent is not None:
        parent.children.remove(process)
        process.parent = None
    leader = find_in_table(process.id)
    withdraw_thread(leader)
    release_thread(leader)
    release_process(process)


@metal
def end_borrowing(process: Process) -> None:
    """A process made by vfork has memory of its own now, or none: its maker goes on. No lock is held."""
    if process.borrowed_from is None:
        return
    with tree_lock:
        lender = process.borrowed_from
        if lender is not None:
            process.borrowed_from = None
            wake_watching(lender, process)
