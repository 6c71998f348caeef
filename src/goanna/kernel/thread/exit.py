"""Ends: of a thread, of a process, of the machine when its first process has ended.

Wait statuses are encoded as wait4 reports them: the exit status times 256, or the number of the signal that killed,
plus 128 if it would have dumped core.
"""

from goanna.kernel.arch import kernel_table, table_switch
from goanna.kernel.memory import space
from goanna.kernel.memory.space import AddressSpace
from goanna.kernel.memory.user import put
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.family import end_borrowing, enter_afterlife, leave_children, leave_children_of_thread
from goanna.kernel.thread.futex import wake_at
from goanna.kernel.thread.futex_pi import abandon_pi_locks
from goanna.kernel.thread.robust import release_robust_list
from goanna.kernel.thread.scheduler import leave_forever, notify, running_time
from goanna.kernel.thread.thread import (
    WORK_EXIT,
    Process,
    Thread,
    file_process_teardown,
    file_thread_teardown,
    machine_end,
    release_thread,
    signal_process_teardown,
    signal_thread_teardown,
    tree_lock,
    withdraw_thread,
)
from goanna.kernel.thread.usage import add_counts
from goanna.metal import Ptr, i32, i64, metal, u32

__all__ = ["end_process", "end_thread", "forget_user_memory", "kill_process", "sys_exit", "sys_exit_group"]

FIRST_PROCESS = 1


@metal
def sys_exit(status: i32) -> i64:
    """exit: ends the calling thread."""
    end_thread((u32.wrap(status) & 0xFF) << 8)
    return 0


@metal
def sys_exit_group(status: i32) -> i64:
    """exit_group: ends all threads of the process."""
    end_process((u32.wrap(status) & 0xFF) << 8)
    return 0


@metal
def end_process(status: u32) -> None:
    """End the running thread's process with a wait status. Never returns. No lock is held."""
    process = current_process()
    kill_process(process, status)
    end_thread(process.exit_status)


@metal
def kill_process(process: Process, status: u32) -> None:
    """Have all threads of a process end, with this wait status unless it is ending already.

    They do so when they are next on their way to user mode, which running and interruptibly sleeping ones are at once.
    """
    with tree_lock:
        if process.exiting.load():
            return
        process.exit_status = status
        process.exiting.store(True)
        thread = process.threads.head()
        while thread is not None:
            thread.work.or_(WORK_EXIT)
            notify(thread)
            thread = process.threads.after(thread)


@metal
def end_thread(status: u32) -> None:
    """End the running thread; `status` becomes its process's if it is the main thread. Never returns. No lock is
    held."""
    me = current()
    process = current_process()
    leader = me.id == process.id
    forget_user_memory(me)
    file_thread_teardown(me)
    signal_thread_teardown(me)
    # Once the thread is off the list, another may be the last and take the memory down.
    table_switch(kernel_table)
    with tree_lock:
        last = leave_process(me, process, status)
    if last:
        finish_process(process)
    if not leader:
        release_thread(me)
    leave_forever()


@metal
def forget_user_memory(me: Thread) -> None:
    """Do what a thread has promised others before it leaves its memory: by its end, or for another program's."""
    process: Process = me.process
    release_robust_list(me)
    abandon_pi_locks(me)
    if me.clear_child_tid != 0 and (process.thread_count > 1 or process.space.references.load() > 1):
        put(me.clear_child_tid, u32(0))
        wake_at(me.clear_child_tid)
    me.clear_child_tid = 0


@metal
def leave_process(me: Thread, process: Process, status: u32) -> bool:
    """Take the running thread off its process's list; whether it was the last. Process tree lock held."""
    process.cpu_time.add(running_time(me))
    add_counts(process.ended, me)
    process.threads.remove(me)
    process.thread_count -= 1
    last = process.thread_count == 0
    if not last:
        leave_children_of_thread(process, me.id)
    if me.id == process.id:
        if not process.exiting.load():
            process.exit_status = status
    else:
        withdraw_thread(me)
    if process.executing is not None:
        process.events.wake_all()
    return last


@metal
def finish_process(process: Process) -> None:
    """What is done once a process's last thread has ended, on that thread. Afterwards the process may be gone."""
    drop_memory(process)
    file_process_teardown(process)
    if process.id == FIRST_PROCESS:
        machine_end(process.exit_status)
    with tree_lock:
        leave_children(process)
    signal_process_teardown(process)
    with tree_lock:
        enter_afterlife(process)


@metal
def drop_memory(process: Process) -> None:
    """Give up the memory of a process that has ended. No processor runs on it for this process any more."""
    memory: Ptr[AddressSpace] = None
    with tree_lock:
        memory = process.space
        process.space = None
        process.ended.peak = max(process.ended.peak, memory.peak)
    space.release(memory)
    end_borrowing(process)
