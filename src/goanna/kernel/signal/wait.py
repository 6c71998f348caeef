"""Calls that wait for a signal: rt_sigsuspend, pause, rt_sigtimedwait."""

from goanna.kernel.base.errno import EAGAIN, EFAULT, EINTR, EINVAL, ERESTARTNOHAND
from goanna.kernel.file.deadline import deadline_of_timespec
from goanna.kernel.memory import user
from goanna.kernel.signal.info import Information, put_information
from goanna.kernel.signal.mask import replace_for_call, set_blocked
from goanna.kernel.signal.numbers import SIGSET_SIZE, UNBLOCKABLE
from goanna.kernel.signal.take import take
from goanna.kernel.thread.current import current
from goanna.kernel.thread.thread import Thread
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import i64, metal, u32, u64

__all__ = ["sys_pause", "sys_rt_sigsuspend", "sys_rt_sigtimedwait"]


@metal
def sleep_for_signal(thread: Thread, deadline: u64) -> Wake:
    """Sleep until a signal comes that isn't blocked, or until the deadline. The signal lock is held, open meanwhile."""
    queue = WaitQueue()
    while True:
        wake = queue.wait(thread.process.signals.lock, deadline, True)
        if wake != Wake.WOKEN:
            return wake


@metal
def sys_pause() -> i64:
    """pause."""
    thread = current()
    with thread.process.signals.lock:
        sleep_for_signal(thread, NEVER)
    return -ERESTARTNOHAND


@metal
def sys_rt_sigsuspend(set: u64, size: u64) -> i64:
    """rt_sigsuspend."""
    if size != SIGSET_SIZE:
        return -EINVAL
    mask, error = user.get(u64, set)
    if error != 0:
        return -EFAULT
    replace_for_call(mask)
    return sys_pause()


@metal
def sys_rt_sigtimedwait(set: u64, information: u64, timeout: u64, size: u64) -> i64:
    """rt_sigtimedwait, and sigwaitinfo if there is no timeout."""
    if size != SIGSET_SIZE:
        return -EINVAL
    wanted, error = user.get(u64, set)
    if error != 0:
        return -EFAULT
    deadline, error = deadline_of_timespec(timeout)
    if error != 0:
        return error
    taken = Information()
    number, wake = wait_for(current(), wanted & ~u64(UNBLOCKABLE), deadline, taken)
    if number == 0:
        return -EINTR if wake == Wake.SIGNAL else -EAGAIN
    if information != 0 and put_information(information, taken) != 0:
        return -EFAULT
    return i64(number)


@metal
def wait_for(thread: Thread, wanted: u64, deadline: u64, taken: Information) -> tuple[u32, Wake]:
    """Take a wanted signal, waiting until `deadline` (0: not at all). Its number or 0, and why the wait ended."""
    shared = thread.process.signals
    mine = thread.signals
    with shared.lock:
        number = take(shared, mine, ~wanted, taken)
        if number != 0 or deadline == 0:
            return number, Wake.TIMEOUT
        mine.real_blocked = mine.blocked
        set_blocked(thread, mine.blocked & ~wanted)
        wake = sleep_for_signal(thread, deadline)
        set_blocked(thread, mine.real_blocked)
        mine.real_blocked = 0
        number = take(shared, mine, ~wanted, taken)
        return number, wake
