"""rt_sigaction and sigaltstack: what a process does on a signal, and on which stack."""

from goanna.kernel.arch import MINIMUM_SIGNAL_STACK, Frame
from goanna.kernel.arch.signal_setup import StackRecord
from goanna.kernel.base.errno import EFAULT, EINVAL, ENOMEM, EPERM
from goanna.kernel.memory import user
from goanna.kernel.signal.numbers import (
    SA_EXPOSE_TAGBITS,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESETHAND,
    SA_RESTART,
    SA_RESTORER,
    SA_SIGINFO,
    SIG_DFL,
    SIG_IGN,
    SIGNALS,
    SIGSET_SIZE,
    SS_AUTODISARM,
    SS_DISABLE,
    SS_ONSTACK,
    UNBLOCKABLE,
)
from goanna.kernel.signal.send import default_ignores, forget
from goanna.kernel.signal.state import Action, AlternateStack, ProcessSignals, mask_of
from goanna.kernel.thread.current import current
from goanna.metal import copy, i32, i64, metal, u32, u64

__all__ = ["change_stack", "reset_actions", "sys_rt_sigaction", "sys_sigaltstack"]

KNOWN_FLAGS = (
    SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_EXPOSE_TAGBITS | SA_RESTORER | SA_ONSTACK | SA_RESTART | SA_NODEFER
    | SA_RESETHAND
)  # fmt: skip


@metal
def sys_rt_sigaction(number: i32, new: u64, old: u64, size: u64) -> i64:
    """rt_sigaction. Flags that are not known read back as zero, so that programs can ask."""
    if size != SIGSET_SIZE:
        return -EINVAL
    action = Action()
    before = Action()
    if new != 0 and user.get_struct(action, new) != 0:
        return -EFAULT
    if number < 1 or number > SIGNALS:
        return -EINVAL
    mask = mask_of(u32(number))
    if new != 0 and (mask & UNBLOCKABLE) != 0:
        return -EINVAL
    shared = current().process.signals
    with shared.lock:
        place = shared.action(u32(number))
        copy(before, place)
        if new != 0:
            place.handler = action.handler
            place.flags = action.flags & KNOWN_FLAGS
            place.restorer = action.restorer
            place.mask = action.mask & ~u64(UNBLOCKABLE)
            if action.handler == SIG_IGN or default_ignores(action.handler, mask):
                forget(shared, mask)
    if old != 0:
        return user.put_struct(old, before)
    return 0


@metal
def reset_actions(shared: ProcessSignals) -> None:
    """Give signals with a handler their default action back, as execve does; ignored ones stay so. Lock held."""
    for action in shared.actions:
        if action.handler != SIG_IGN:
            action.handler = SIG_DFL
        action.flags = 0
        action.restorer = 0
        action.mask = 0


@metal
def sys_sigaltstack(frame: Frame, new: u64, old: u64) -> i64:
    """sigaltstack."""
    mine = current().signals
    wanted = StackRecord()
    if new != 0 and user.get_struct(wanted, new) != 0:
        return -EFAULT
    before = StackRecord(address=mine.stack.address, size=mine.stack.size)
    before.flags = on_stack_flag(mine.stack, frame.stack_pointer()) | (mine.stack.flags & SS_AUTODISARM)
    if new != 0:
        error = change_stack(mine.stack, wanted, frame.stack_pointer())
        if error != 0:
            return error
    if old != 0:
        return user.put_struct(old, before)
    return 0


@metal
def on_stack_flag(stack: AlternateStack, pointer: u64) -> u32:
    """SS_DISABLE, SS_ONSTACK, or 0 if there is an alternate stack that isn't in use (Linux sas_ss_flags)."""
    if stack.size == 0:
        return SS_DISABLE
    return SS_ONSTACK if in_use(stack, pointer) else 0


@metal
def in_use(stack: AlternateStack, pointer: u64) -> bool:
    """Whether a stack pointer lies in the alternate stack, which doesn't disarm itself (Linux on_sig_stack)."""
    if (stack.flags & SS_AUTODISARM) != 0:
        return False
    return pointer > stack.address and pointer - stack.address <= stack.size


@metal
def change_stack(stack: AlternateStack, wanted: StackRecord, pointer: u64) -> i64:
    """Set the alternate stack of the running thread. 0, -EPERM (it is in use), -EINVAL or -ENOMEM (too small)."""
    if in_use(stack, pointer):
        return -EPERM
    mode = wanted.flags & ~u32(SS_AUTODISARM)
    if mode not in (0, SS_DISABLE, SS_ONSTACK):
        return -EINVAL
    if wanted.address == stack.address and wanted.size == stack.size and wanted.flags == stack.flags:
        return 0
    if mode == SS_DISABLE:
        stack.address = 0
        stack.size = 0
    elif wanted.size < MINIMUM_SIGNAL_STACK:
        return -ENOMEM
    else:
        stack.address = wanted.address
        stack.size = wanted.size
    stack.flags = wanted.flags
    return 0
