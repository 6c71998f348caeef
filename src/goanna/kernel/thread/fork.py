"""New processes: fork, vfork, and clone without CLONE_THREAD. What a child shares, what it copies, how its maker waits.

Source: Linux kernel/fork.c, copy_process and kernel_clone.
"""

from goanna.kernel.arch import Frame
from goanna.kernel.base.errno import EAGAIN, ENOMEM, ERESTARTNOINTR
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.fork import duplicate
from goanna.kernel.memory.user import put
from goanna.kernel.thread.create import make_process, make_thread
from goanna.kernel.thread.current import current
from goanna.kernel.thread.family import adopt
from goanna.kernel.thread.inherit import (
    CLONE_CHILD_SETTID,
    CLONE_PARENT,
    CLONE_PARENT_SETTID,
    CLONE_PIDFD,
    CLONE_VFORK,
    CLONE_VM,
    CloneArguments,
    inherit,
    number_thread,
)
from goanna.kernel.thread.process import Process, release_process, tree_lock
from goanna.kernel.thread.queue import make_ready
from goanna.kernel.thread.scheduler import interrupt, signal_waits
from goanna.kernel.thread.thread import (
    WORK_EXIT,
    WORK_SIGNAL,
    Thread,
    close_process_descriptor,
    dying,
    file_process_setup,
    file_process_teardown,
    free_thread,
    next_in_table,
    open_process_descriptor,
    publish_thread,
    signal_process_setup,
    signal_process_teardown,
    signal_thread_setup,
    signal_thread_teardown,
)
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, copy, i64, metal, u32, u64

__all__ = ["killable_wait", "start_process", "sys_fork", "sys_vfork"]

SIGCHLD = 17
RLIMIT_NPROC = 6
CAP_SYS_ADMIN = 1 << 21
CAP_SYS_RESOURCE = 1 << 24


@metal
def sys_fork(frame: Frame) -> i64:
    """fork."""
    arguments = CloneArguments(exit_signal=SIGCHLD)
    return start_process(frame, arguments, 0)


@metal
def sys_vfork(frame: Frame) -> i64:
    """vfork."""
    arguments = CloneArguments(flags=CLONE_VFORK | CLONE_VM, exit_signal=SIGCHLD)
    return start_process(frame, arguments, 0)


@metal
def start_process(frame: Frame, arguments: CloneArguments, wanted: u32) -> i64:
    """Make a process whose thread returns from the same call with 0. Its number, or a negative errno."""
    me = current()
    if signal_waits(me):
        return -ERESTARTNOINTR
    child: Ptr[Process] = make_process()
    if child is None:
        return -ENOMEM
    result = share(child, me, arguments.flags)
    if result < 0:
        release_process(child)
        return result
    result = start_first_thread(child, me, frame, arguments, wanted)
    if result < 0:
        end_unborn(child)
    elif arguments.flags & CLONE_VFORK != 0:
        wait_for_memory(me, child)
    release_process(child)
    return result


@metal
def share(child: Process, me: Thread, flags: u64) -> i64:
    """Give a new process its memory, files and signals, shared or copied. 0 or an errno, with nothing left behind."""
    parent: Process = me.process
    child.references.add(1)
    child.limits = parent.limits
    copy(child.credentials, parent.credentials)
    child.memory_adjustment = parent.memory_adjustment
    child.least_adjustment = parent.least_adjustment
    child.dumpable = parent.dumpable
    child.name = parent.name
    if flags & CLONE_VM != 0:
        spaces.acquire(parent.space)
        child.space = parent.space
    else:
        child.space = duplicate(parent.space)
        child.barriers.store(parent.barriers.load())
    if child.space is None:
        release_process(child)
        return -ENOMEM
    result = file_process_setup(child, parent, flags)
    if result == 0:
        result = signal_process_setup(child, parent, flags)
        if result < 0:
            file_process_teardown(child)
    if result < 0:
        spaces.release(child.space)
        child.space = None
        release_process(child)
    return result


@metal
def end_unborn(child: Process) -> None:
    """Undo `share` for a process that never had a thread."""
    signal_process_teardown(child)
    file_process_teardown(child)
    spaces.release(child.space)
    child.space = None
    release_process(child)


@metal
def start_first_thread(child: Process, me: Thread, frame: Frame, arguments: CloneArguments, wanted: u32) -> i64:
    """Make a new process's thread, place the process in the tree, and let it run. Its number or an errno."""
    flags = arguments.flags
    thread = make_thread(child)
    if thread is None:
        return -ENOMEM
    inherit(thread, me, frame, arguments)
    if flags & CLONE_CHILD_SETTID != 0:
        thread.set_child_tid = arguments.child_tid
    result = signal_thread_setup(thread, me, flags)
    if result < 0:
        free_thread(thread)
        return result
    descriptor: i64 = -1
    if flags & CLONE_PIDFD != 0:
        descriptor = offer_descriptor(child, arguments.pidfd)
        result = min(descriptor, i64(0))
    if result == 0:
        result = enter_tree(child, thread, me, arguments, wanted)
    if result < 0:
        if descriptor >= 0:
            close_process_descriptor(descriptor)
        signal_thread_teardown(thread)
        free_thread(thread)
        return result
    if flags & CLONE_PARENT_SETTID != 0:
        put(arguments.parent_tid, u32(result))
    make_ready(thread)
    return result


@metal
def offer_descriptor(child: Process, address: u64) -> i64:
    """Open a descriptor of a new process and tell the program its number. The number or an errno."""
    descriptor = open_process_descriptor(child, 0)
    if descriptor < 0:
        return descriptor
    result = put(address, u32(descriptor))
    if result < 0:
        close_process_descriptor(descriptor)
        return result
    return descriptor


@metal
def enter_tree(child: Process, thread: Thread, me: Thread, arguments: CloneArguments, wanted: u32) -> i64:
    """Number a process and its thread, and make both known. The number, or -EAGAIN, -EEXIST, -EPERM."""
    parent: Process = me.process
    flags = arguments.flags
    with tree_lock:
        if crowded(parent):
            return -EAGAIN
        result = number_thread(thread, parent, wanted)
        if result < 0:
            return result
        child.id = thread.id
        child.group = parent.group
        child.session = parent.session
        child.terminal = parent.terminal
        child.exit_signal = u32(arguments.exit_signal)
        if flags & CLONE_PARENT != 0 and parent.parent is not None:
            child.exit_signal = parent.exit_signal
            adopt(parent.parent, child, 0)
        else:
            adopt(parent, child, me.id)
        if flags & CLONE_VFORK != 0:
            child.borrowed_from = parent
        publish_thread(thread)
        return result


@metal
def crowded(parent: Process) -> bool:
    """Whether a user has as many threads as RLIMIT_NPROC allows. Process tree lock held."""
    me = parent.credentials
    if me.user == 0 or me.effective & (CAP_SYS_ADMIN | CAP_SYS_RESOURCE) != 0:
        return False
    count: u64 = 0
    thread = next_in_table(None)
    while thread is not None:
        if thread.process is not None and thread.process.credentials.user == me.user:
            count += 1
        thread = next_in_table(thread)
    return count >= parent.limits[RLIMIT_NPROC].current


@metal
def wait_for_memory(me: Thread, child: Process) -> None:
    """CLONE_VFORK: sleep until the child has another memory or has ended. Only an end of the caller ends it sooner."""
    with tree_lock:
        while child.borrowed_from is not None:
            if not killable_wait(me):
                child.borrowed_from = None
    interrupt(me)


@metal
def killable_wait(me: Thread) -> bool:
    """Sleep on the events of the running thread's process, through all signals but those that end it. False: one does.

    The process tree lock is held, and open meanwhile. Afterwards interrupt(me) has signals looked at that came.
    """
    me.work.and_(~u32(WORK_SIGNAL))
    if me.work.load() & WORK_EXIT != 0 or dying(me):
        return False
    me.process.events.wait(tree_lock, NEVER, True)
    return True
