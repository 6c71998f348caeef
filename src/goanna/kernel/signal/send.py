"""Sending: whether a signal is ignored, where it waits, which thread is to take it, what it does to a stopped process.

Linux kernel/signal.c: prepare_signal, __send_signal_locked, complete_signal, force_sig_info_to_task.
"""

from goanna.kernel.base.errno import EAGAIN
from goanna.kernel.signal.arrivals import signal_arrived
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import (
    CLD_CONTINUED,
    CLD_STOPPED,
    DUMPING,
    IGNORED,
    RLIMIT_SIGPENDING,
    SI_USER,
    SIG_DFL,
    SIG_IGN,
    SIGCONT,
    SIGKILL,
    SIGRTMIN,
    STOPPING,
    bits,
)
from goanna.kernel.signal.state import (
    ProcessSignals,
    Queued,
    ThreadSignals,
    mask_of,
    queued_count,
    queued_signals,
)
from goanna.kernel.thread.current import current
from goanna.kernel.thread.scheduler import interrupt
from goanna.kernel.thread.thread import WORK_SIGNAL, Process, Thread, ThreadState
from goanna.metal import Ptr, copy, i64, metal, pointer, u32, u64

__all__ = [
    "DROPPED",
    "alert",
    "default_ignores",
    "force",
    "force_default",
    "forget",
    "is_ignored",
    "resume",
    "retarget",
    "send",
    "send_asking",
    "send_to_process",
    "send_to_thread",
]

DROPPED = 1  # result of send: the signal is ignored, or the process is ending; nothing was queued


@metal
def send_to_process(process: Process, information: Information) -> i64:
    """Send a signal to a process, to be taken by any of its threads. 0 or -EAGAIN (the queue is full).

    The caller keeps the process alive: by the tree lock, a reference, or being one of its threads.
    """
    shared = process.signals
    if shared is None:
        return 0
    with shared.lock:
        return min(send(shared, None, information, None), i64(0))


@metal
def send_to_thread(thread: Thread, information: Information) -> i64:
    """Send a signal to one thread, which the caller keeps alive. 0 or -EAGAIN (the queue is full)."""
    shared = thread.process.signals
    if shared is None:
        return 0
    with shared.lock:
        target = thread.signals
        if target is None:
            return 0
        return min(send(shared, target, information, None), i64(0))


@metal
def send(shared: ProcessSignals, target: Ptr[ThreadSignals], information: Information, own: Ptr[Queued]) -> i64:
    """Send to `target`, or to the process if that is None. Lock held. 0, DROPPED or -EAGAIN.

    `own` is the entry to queue, which is on no queue, of a timer; with None one is taken from the cache.
    """
    first = target if target is not None else shared.threads.head()
    if first is None:
        return DROPPED
    return send_asking(shared, target, first, information, own)


@metal
def send_asking(
    shared: ProcessSignals,
    target: Ptr[ThreadSignals],
    first: ThreadSignals,
    information: Information,
    own: Ptr[Queued],
) -> i64:
    """send, to a process whose thread `first` is to take the signal if it can."""
    number = u32(information.number)
    mask = mask_of(number)
    if not prepare(shared, first, number):
        return DROPPED
    pending = pointer(shared.pending)
    if target is not None:
        pending = pointer(target.pending)
    if own is None and number < SIGRTMIN and (pending.set & mask) != 0:
        return 0
    if own is not None:
        copy(own.information, information)
        pending.append(own)
    elif number != SIGKILL:
        queued = new_entry(shared.process, number < SIGRTMIN and information.code >= 0)
        if queued is not None:
            copy(queued.information, information)
            pending.append(queued)
        elif number >= SIGRTMIN and information.code != SI_USER:
            return -EAGAIN
    pending.set |= mask
    signal_arrived()
    complete(shared, target, first, number)
    return 0


@metal
def new_entry(process: Process, exempt: bool) -> Ptr[Queued]:
    """An entry for the queue; None if RLIMIT_SIGPENDING, from which some are exempt, or memory is at its end."""
    count = queued_count.add(1) + 1
    if exempt or u64(count) <= process.limits[RLIMIT_SIGPENDING].current:
        queued = queued_signals.allocate()
        if queued is not None:
            return queued
    queued_count.sub(1)
    return None


@metal
def is_ignored(shared: ProcessSignals, mine: ThreadSignals, number: u32) -> bool:
    """Whether a signal may be forgotten at once. Lock held."""
    mask = mask_of(number)
    if ((mine.blocked | mine.real_blocked) & mask) != 0:
        return False
    handler = shared.action(number).handler
    return handler == SIG_IGN or default_ignores(handler, mask)


@metal
def default_ignores(handler: u64, mask: u64) -> bool:
    """Whether the handler is the default one, and that does nothing."""
    return handler == SIG_DFL and (mask & IGNORED) != 0


@metal
def prepare(shared: ProcessSignals, first: ThreadSignals, number: u32) -> bool:
    """Do what a stop or continue signal does by being sent; whether it is to be queued."""
    if shared.death != 0 or shared.process.exiting.load():
        return False
    if (mask_of(number) & STOPPING) != 0:
        forget(shared, bits(SIGCONT))
    elif number == SIGCONT:
        forget(shared, STOPPING)
        resume(shared)
    return not is_ignored(shared, first, number)


@metal
def forget(shared: ProcessSignals, mask: u64) -> None:
    """Forget pending signals of the process and all its threads. Lock held."""
    shared.pending.remove(mask)
    mine = shared.threads.head()
    while mine is not None:
        mine.pending.remove(mask)
        mine = shared.threads.after(mine)


@metal
def resume(shared: ProcessSignals) -> None:
    """Continue a process that is stopped or about to be. Lock held."""
    if shared.stopped:
        shared.report = CLD_CONTINUED
    elif shared.stopping != 0:
        shared.report = CLD_STOPPED
    if shared.report != 0:
        shared.waitable_stop = 0
        shared.waitable_continue = True
    release_stopped(shared)


@metal
def release_stopped(shared: ProcessSignals) -> None:
    """End a stop, with or without SIGCONT. Lock held."""
    shared.stopped = False
    shared.stopping = 0
    shared.stop_signal = 0
    mine = shared.threads.head()
    while mine is not None:
        mine.stop_wanted = False
        mine.stop_taken = False
        mine = shared.threads.after(mine)
    shared.stopped_threads.wake_all()


@metal
def alert(mine: ThreadSignals) -> None:
    """Have a thread look at its signals now: wake it if it sleeps, interrupt its processor if it runs. Lock held."""
    interrupt(mine.thread)


@metal
def wants(mine: ThreadSignals, number: u32) -> bool:
    """Whether a thread would take a signal for the process. Lock held."""
    if (mine.blocked & mask_of(number)) != 0:
        return False
    if number == SIGKILL:
        return True
    if mine.stopped:
        return False
    return mine.thread.state == ThreadState.RUNNING or (mine.thread.work.load() & WORK_SIGNAL) == 0


@metal
def choose(
    shared: ProcessSignals, target: Ptr[ThreadSignals], first: ThreadSignals, number: u32
) -> Ptr[ThreadSignals]:
    """Who is to take a signal: `first` if it can; if there is no target, the next in turn that can; or None."""
    if wants(first, number):
        return first
    if target is not None:
        return None
    begin = shared.next_thread
    if begin is None:
        begin = shared.threads.head()
    mine = begin
    while True:
        if wants(mine, number):
            shared.next_thread = mine
            return mine
        mine = shared.threads.after(mine)
        if mine is None:
            mine = shared.threads.head()
        if mine is begin:
            return None


@metal
def complete(shared: ProcessSignals, target: Ptr[ThreadSignals], first: ThreadSignals, number: u32) -> None:
    """Wake who takes the signal just queued; one that ends the process without more ado ends all threads at once."""
    mine = choose(shared, target, first, number)
    if mine is None:
        return
    mask = mask_of(number)
    fatal = shared.action(number).handler == SIG_DFL and (mask & (IGNORED | STOPPING | DUMPING)) == 0
    if fatal and (mine.real_blocked & mask) == 0:
        shared.death = number
        release_stopped(shared)
        each = shared.threads.head()
        while each is not None:
            each.pending.set |= bits(SIGKILL)
            alert(each)
            each = shared.threads.after(each)
        return
    alert(mine)


@metal
def retarget(shared: ProcessSignals, leaving: ThreadSignals, mask: u64) -> None:
    """`leaving` will not take the signals in `mask` any more: alert others that can take those pending. Lock held."""
    rest = shared.pending.set & mask
    mine = shared.threads.head()
    while mine is not None and rest != 0:
        if mine is not leaving and (rest & ~mine.blocked) != 0:
            rest &= mine.blocked
            alert(mine)
        mine = shared.threads.after(mine)


@metal
def force(information: Information) -> None:
    """Send a signal to the running thread that it can't evade: blocked or ignored, it gets its default action."""
    shared = current().process.signals
    with shared.lock:
        force_locked(shared, current().signals, information, False)


@metal
def force_default(information: Information) -> None:
    """Send a signal to the running thread whose handler is not to run: it couldn't."""
    shared = current().process.signals
    with shared.lock:
        force_locked(shared, current().signals, information, True)


@metal
def force_locked(shared: ProcessSignals, mine: ThreadSignals, information: Information, default: bool) -> None:
    """force and force_default, lock held."""
    number = u32(information.number)
    mask = mask_of(number)
    action = shared.action(number)
    if default or (mine.blocked & mask) != 0 or action.handler == SIG_IGN:
        action.handler = SIG_DFL
        mine.blocked &= ~mask
    send(shared, mine, information, None)
    alert(mine)
