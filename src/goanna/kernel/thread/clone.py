"""clone and clone3: what their arguments may be, and new threads of a process. New processes are made in fork.py.

Handlers that two processes share (CLONE_SIGHAND without CLONE_THREAD) are refused.

Source: Linux kernel/fork.c, copy_process and clone3_args_valid.
"""

from goanna.kernel.arch import USER_TOP, Frame
from goanna.kernel.base.errno import E2BIG, EBADF, EFAULT, EINVAL, ENOMEM, ENOSYS, EPERM
from goanna.kernel.memory.user import accessible, copy_in, get, put
from goanna.kernel.thread.create import make_thread
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.fork import start_process
from goanna.kernel.thread.inherit import (
    CAP_SYS_ADMIN,
    CLONE_CHILD_SETTID,
    CLONE_CLEAR_SIGHAND,
    CLONE_DETACHED,
    CLONE_FS,
    CLONE_INTO_CGROUP,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_PARENT,
    CLONE_PARENT_SETTID,
    CLONE_PIDFD,
    CLONE_SETTLS,
    CLONE_SIGHAND,
    CLONE_THREAD,
    CLONE_VFORK,
    CLONE_VM,
    CSIGNAL,
    KNOWN,
    NAMESPACES,
    CloneArguments,
    inherit,
    number_thread,
)
from goanna.kernel.thread.queue import make_ready
from goanna.kernel.thread.thread import (
    PID_MAXIMUM,
    Thread,
    file_thread_setup,
    file_thread_teardown,
    free_thread,
    publish_thread,
    signal_thread_setup,
    signal_thread_teardown,
    tree_lock,
)
from goanna.metal import Array, i64, metal, sizeof, u8, u32, u64, unsafe

__all__ = ["CloneArguments", "sys_clone", "sys_clone3", "sys_set_tid_address"]

SIGNALS = 64
FIRST_SIZE = 64  # struct clone_args, versions 0 and 2
LAST_SIZE = 88
LARGEST_SIZE = 4096
LEVELS = 32  # MAX_PID_NS_LEVEL
FIRST_PROCESS = 1


@metal
def sys_clone(frame: Frame, flags: u64, stack: u64, parent_tid: u64, child_tid: u64, tls: u64) -> i64:
    """clone, with x86-64's order of arguments. On other machines the last two are the other way round."""
    arguments = CloneArguments(
        flags=flags & 0xFFFF_FFFF & ~CSIGNAL,
        child_tid=child_tid,
        parent_tid=parent_tid,
        pidfd=parent_tid,
        exit_signal=flags & CSIGNAL,
        stack=stack,
        tls=tls,
    )
    if flags & CLONE_PIDFD != 0 and flags & (CLONE_PARENT_SETTID | CLONE_DETACHED) != 0:
        return -EINVAL
    return clone(frame, arguments, 0)


@metal
def sys_clone3(frame: Frame, address: u64, size: u64) -> i64:
    """clone3."""
    if size > LARGEST_SIZE:
        return -E2BIG
    if size < FIRST_SIZE:
        return -EINVAL
    arguments = CloneArguments()
    result = read_arguments(arguments, address, size)
    if result != 0:
        return result
    wanted: u32 = 0
    if arguments.set_tid_size > LEVELS:
        return -EINVAL
    if (arguments.set_tid == 0) != (arguments.set_tid_size == 0):
        return -EINVAL
    if arguments.exit_signal & ~CSIGNAL != 0 or arguments.exit_signal > SIGNALS:
        return -EINVAL
    if arguments.flags & CLONE_INTO_CGROUP != 0 and (arguments.cgroup > 0x7FFF_FFFF or size < LAST_SIZE):
        return -EINVAL
    if arguments.set_tid != 0:
        wanted, result = get(u32, arguments.set_tid)
        if result != 0:
            return result
        if arguments.set_tid_size != 1 or wanted < 1 or wanted >= PID_MAXIMUM:
            return -EINVAL
    if not valid(arguments):
        return -EINVAL
    arguments.stack += arguments.stack_size
    return clone(frame, arguments, wanted)


@metal
def read_arguments(arguments: CloneArguments, address: u64, size: u64) -> i64:
    """Read a struct clone_args of some version: what is missing is 0, what is more must be. 0, -EFAULT, -E2BIG."""
    if not accessible(address, size):
        return -EFAULT
    bytes = unsafe.slice(u8, unsafe.address(arguments), sizeof(CloneArguments))
    known = min(size, u64(sizeof(CloneArguments)))
    if copy_in(bytes[:known], address) != 0:
        return -EFAULT
    rest = Array[u8, 64]()
    while known < size:
        count = min(size - known, u64(len(rest)))
        if copy_in(rest[:count], address + known) != 0:
            return -EFAULT
        for byte in rest[:count]:
            if byte != 0:
                return -E2BIG
        known += count
    return 0


@metal
def valid(arguments: CloneArguments) -> bool:
    """What clone3 alone asks of its arguments."""
    flags = arguments.flags
    if flags & ~KNOWN != 0 or flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME)) != 0:
        return False
    if flags & (CLONE_SIGHAND | CLONE_CLEAR_SIGHAND) == CLONE_SIGHAND | CLONE_CLEAR_SIGHAND:
        return False
    if flags & (CLONE_THREAD | CLONE_PARENT) != 0 and arguments.exit_signal != 0:
        return False
    if arguments.stack == 0:
        return arguments.stack_size == 0
    return arguments.stack_size != 0 and accessible(arguments.stack, arguments.stack_size)


@metal
def clone(frame: Frame, arguments: CloneArguments, wanted: u32) -> i64:
    """Start what the arguments ask for; `stack` is where the new stack pointer starts, `wanted` a tid or 0 for any."""
    flags = arguments.flags
    if flags & CLONE_FS != 0 and flags & (CLONE_NEWNS | CLONE_NEWUSER) != 0:
        return -EINVAL
    if flags & CLONE_THREAD != 0 and flags & CLONE_SIGHAND == 0:
        return -EINVAL
    if flags & CLONE_SIGHAND != 0 and flags & CLONE_VM == 0:
        return -EINVAL
    if flags & CLONE_PARENT != 0 and current_process().id == FIRST_PROCESS:
        return -EINVAL
    if flags & CLONE_THREAD != 0 and flags & (CLONE_NEWUSER | CLONE_NEWPID) != 0:
        return -EINVAL
    if flags & CLONE_NEWNS != 0 and current_process().credentials.effective & CAP_SYS_ADMIN == 0:
        return -EPERM
    if flags & ((NAMESPACES & ~CLONE_NEWNS) | CLONE_NEWTIME) != 0:
        return -EINVAL
    if flags & CLONE_INTO_CGROUP != 0:
        return -EBADF
    if flags & CLONE_SETTLS != 0 and arguments.tls >= USER_TOP:
        return -EPERM
    if flags & CLONE_THREAD == 0:
        return -EINVAL if flags & CLONE_SIGHAND != 0 else start_process(frame, arguments, wanted)
    if flags & (CLONE_VFORK | CLONE_PIDFD) != 0:
        return -ENOSYS
    return start_thread(frame, arguments, wanted)


@metal
def start_thread(frame: Frame, arguments: CloneArguments, wanted: u32) -> i64:
    """Make a thread of the running process that returns from the same call with 0. Its tid, or a negative errno."""
    me = current()
    flags = arguments.flags
    new = make_thread(me.process)
    if new is None:
        return -ENOMEM
    inherit(new, me, frame, arguments)
    result = file_thread_setup(new, me, flags)
    if result == 0:
        result = signal_thread_setup(new, me, flags)
        if result != 0:
            file_thread_teardown(new)
    if result != 0:
        free_thread(new)
        return result
    result = enter_table(new, wanted)
    if result < 0:
        file_thread_teardown(new)
        signal_thread_teardown(new)
        free_thread(new)
        return result
    if flags & CLONE_PARENT_SETTID != 0:
        put(arguments.parent_tid, u32(result))
    if flags & CLONE_CHILD_SETTID != 0:
        put(arguments.child_tid, u32(result))
    make_ready(new)
    return result


@metal
def enter_table(new: Thread, wanted: u32) -> i64:
    """Number a thread and publish it: the tid, -EAGAIN (none left, or the process is ending), -EEXIST, -EPERM."""
    with tree_lock:
        result = number_thread(new, new.process, wanted)
        if result > 0:
            publish_thread(new)
        return result


@metal
def sys_set_tid_address(address: u64) -> i64:
    """set_tid_address."""
    me = current()
    me.clear_child_tid = address
    return i64(me.id)
