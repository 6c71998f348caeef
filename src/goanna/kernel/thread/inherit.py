"""What clone's new threads and processes have in common: its flags and arguments, registers, numbers."""

from goanna.kernel.arch import Frame, float_save, get_user_gs, prepare_context, thread_pointer
from goanna.kernel.base.errno import EAGAIN, EEXIST, EPERM
from goanna.kernel.thread.process import Process
from goanna.kernel.thread.scheduler import account
from goanna.kernel.thread.thread import Thread, allocate_id, find_in_table, frame_of, names_group
from goanna.kernel.thread.work import begin_program_thread
from goanna.metal import copy, i64, metal, struct, u32, u64

CSIGNAL = 0xFF
CLONE_NEWTIME = 0x80
CLONE_VM = 0x100
CLONE_FS = 0x200
CLONE_FILES = 0x400
CLONE_SIGHAND = 0x800
CLONE_PIDFD = 0x1000
CLONE_VFORK = 0x4000
CLONE_PARENT = 0x8000
CLONE_THREAD = 0x1_0000
CLONE_NEWNS = 0x2_0000
CLONE_SETTLS = 0x8_0000
CLONE_PARENT_SETTID = 0x10_0000
CLONE_CHILD_CLEARTID = 0x20_0000
CLONE_DETACHED = 0x40_0000
CLONE_CHILD_SETTID = 0x100_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_CLEAR_SIGHAND = 1 << 32
CLONE_INTO_CGROUP = 1 << 33
NAMESPACES = CLONE_NEWNS | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | CLONE_NEWUSER | CLONE_NEWPID | 0x4000_0000
KNOWN = 0xFFFF_FFFF | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP

CAP_SYS_ADMIN = 1 << 21
CAP_CHOOSE_ID = CAP_SYS_ADMIN | 1 << 40  # CAP_CHECKPOINT_RESTORE


@struct
class CloneArguments:
    """struct clone_args (clone3(2))."""

    flags: u64
    pidfd: u64
    child_tid: u64
    parent_tid: u64
    exit_signal: u64
    stack: u64
    stack_size: u64
    tls: u64
    set_tid: u64
    set_tid_size: u64
    cgroup: u64


@metal
def inherit(new: Thread, me: Thread, frame: Frame, arguments: CloneArguments) -> None:
    """Give a new thread the registers of its maker and what a thread inherits."""
    user = frame_of(new)
    copy(user, frame)
    user.set_result(0)
    if arguments.stack != 0:
        user.set_stack_pointer(arguments.stack)
    float_save(new.float_area)
    new.thread_pointer = arguments.tls if arguments.flags & CLONE_SETTLS != 0 else thread_pointer()
    new.user_gs = get_user_gs()
    if arguments.flags & CLONE_CHILD_CLEARTID != 0:
        new.clear_child_tid = arguments.child_tid
    new.affinity.store(me.affinity.load())
    new.policy = me.policy
    new.nice = me.nice
    new.io_priority = me.io_priority
    account(me)  # the new one starts level with its maker, not by what that one has run ahead of it
    new.virtual_runtime = me.virtual_runtime
    copy(new.name, me.name)
    prepare_context(new.context, new.stack_top, begin_program_thread, 0)


@metal
def number_thread(new: Thread, maker: Process, wanted: u32) -> i64:
    """Give a new thread a number, `wanted` if that isn't 0. Process tree lock held.

    The number; -EAGAIN: none is left, or the maker's process is at its end or in execve. -EEXIST, -EPERM: not this one.
    """
    if maker.exiting.load() or maker.executing is not None:
        return -EAGAIN
    new.id = wanted
    if wanted == 0:
        new.id = allocate_id()
        return i64(new.id) if new.id != 0 else -EAGAIN
    if maker.credentials.effective & CAP_CHOOSE_ID == 0:
        return -EPERM
    if find_in_table(wanted) is not None or names_group(wanted):
        return -EEXIST
    return i64(wanted)
