"""Being alone: how execve ends all other threads of its process, and makes the one that is left the first.

Source: Linux fs/exec.c, de_thread.
"""

from goanna.kernel.base.errno import EAGAIN
from goanna.kernel.thread.fork import killable_wait
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.scheduler import interrupt, notify
from goanna.kernel.thread.thread import (
    WORK_EXIT,
    Thread,
    find_in_table,
    release_thread,
    renumber_thread,
    withdraw_thread,
)
from goanna.metal import i64, metal

__all__ = ["end_other_threads"]


@metal
def end_other_threads(me: Thread) -> i64:
    """End all threads of the running one's process but it, which then has the process's number. No lock is held.

    0; -EAGAIN: the process is ending, or another of its threads was quicker to do the same.
    """
    process: Process = me.process
    with tree_lock:
        if process.exiting.load() or process.executing is not None:
            return -EAGAIN
        if process.thread_count != 1:
            process.executing = me
            end_all_but(process, me)
            alone = wait_alone(process, me)
            process.executing = None
            if not alone:
                return -EAGAIN
        if me.id != process.id:
            take_lead(process, me)
    interrupt(me)
    return 0


@metal
def end_all_but(process: Process, me: Thread) -> None:
    """Have the other threads end when they are next on their way to user mode. Process tree lock held."""
    thread = process.threads.head()
    while thread is not None:
        if thread is not me:
            thread.work.or_(WORK_EXIT)
            notify(thread)
        thread = process.threads.after(thread)


@metal
def wait_alone(process: Process, me: Thread) -> bool:
    """Wait for the last of the others. False: the process is being ended. Process tree lock held, open meanwhile."""
    while process.thread_count != 1:
        if not killable_wait(me):
            return False
    return True


@metal
def take_lead(process: Process, me: Thread) -> None:
    """Take the place of the first thread, which has ended. Process tree lock held."""
    leader = find_in_table(process.id)
    withdraw_thread(leader)
    release_thread(leader)
    child = process.children.head()
    while child is not None:
        if child.maker == me.id:
            child.maker = process.id
        child = process.children.after(child)
    renumber_thread(me, process.id)
