"""The blocked mask of the running thread: changing it for good, or for the length of one call."""

from goanna.kernel.base.errno import EFAULT, EINVAL
from goanna.kernel.file.signal_mask import begin_temporary_mask, end_temporary_mask
from goanna.kernel.memory import user
from goanna.kernel.signal.numbers import SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGSET_SIZE, UNBLOCKABLE
from goanna.kernel.signal.send import retarget
from goanna.kernel.signal.state import recompute
from goanna.kernel.thread.current import current
from goanna.kernel.thread.thread import WORK_SIGNAL, Thread
from goanna.metal import i32, i64, metal, struct, u8, u64, unsafe

__all__ = [
    "block_for_call",
    "end_block_for_call",
    "replace_for_call",
    "set_blocked",
    "sys_rt_sigpending",
    "sys_rt_sigprocmask",
]


@struct
class Cell:
    """A mask where its bytes can be reached."""

    mask: u64


@metal
def set_blocked(thread: Thread, mask: u64) -> None:
    """Set the running thread's mask. What it newly blocks and is pending for the process goes to others. Lock held."""
    mine = thread.signals
    shared = thread.process.signals
    mask &= ~u64(UNBLOCKABLE)
    added = mask & ~mine.blocked
    mine.blocked = mask
    if (shared.pending.set & added) != 0:
        retarget(shared, mine, added)
    recompute(thread)


@metal
def sys_rt_sigprocmask(how: i32, set: u64, old: u64, size: u64) -> i64:
    """rt_sigprocmask."""
    if size != SIGSET_SIZE:
        return -EINVAL
    thread = current()
    before = thread.signals.blocked
    if set != 0:
        mask, error = user.get(u64, set)
        if error != 0:
            return -EFAULT
        if how == SIG_BLOCK:
            mask |= before
        elif how == SIG_UNBLOCK:
            mask = before & ~mask
        elif how != SIG_SETMASK:
            return -EINVAL
        with thread.process.signals.lock:
            set_blocked(thread, mask)
    if old != 0:
        return user.put(old, before)
    return 0


@metal
def sys_rt_sigpending(set: u64, size: u64) -> i64:
    """rt_sigpending. A size below that of the mask gives its first bytes."""
    if size > SIGSET_SIZE:
        return -EINVAL
    if size == 0:
        return 0
    thread = current()
    cell = Cell()
    with thread.process.signals.lock:
        cell.mask = (thread.signals.pending.set | thread.process.signals.pending.set) & thread.signals.blocked
    return user.copy_out(set, unsafe.slice(u8, unsafe.address(cell), size))


@begin_temporary_mask.set
@metal
def block_for_call(set: u64, size: u64) -> i64:
    """Block other signals until the call ends (ppoll, pselect6, epoll_pwait): address and size of a sigset.

    0, -EINVAL or -EFAULT. No address: nothing happens.
    """
    if set == 0:
        return 0
    if size != SIGSET_SIZE:
        return -EINVAL
    mask, error = user.get(u64, set)
    if error != 0:
        return -EFAULT
    replace_for_call(mask)
    return 0


@metal
def replace_for_call(mask: u64) -> None:
    """Block `mask` until a handler has been set up or the call is over; the mask before comes back then."""
    thread = current()
    with thread.process.signals.lock:
        thread.signals.saved = thread.signals.blocked
        thread.signals.restore = True
        set_blocked(thread, mask)


@end_temporary_mask.set
@metal
def end_block_for_call(interrupted: bool) -> None:
    """The call is over. If a signal ended it, deliver() brings the mask back, after the handler's frame was made."""
    thread = current()
    if not thread.signals.restore:
        return
    if interrupted and (thread.work.load() & WORK_SIGNAL) != 0:
        return
    with thread.process.signals.lock:
        thread.signals.restore = False
        set_blocked(thread, thread.signals.saved)
