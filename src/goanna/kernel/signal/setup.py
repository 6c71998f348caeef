"""Signals of new and ended threads and processes: what a child inherits, what execve resets, what an end gives back."""

from goanna.kernel.base.errno import EINVAL, ENOMEM
from goanna.kernel.signal.actions import reset_actions
from goanna.kernel.signal.itimer import end_interval_timers
from goanna.kernel.signal.jobs import leave_stop
from goanna.kernel.signal.posix_timer import end_timers
from goanna.kernel.signal.send import retarget
from goanna.kernel.signal.state import process_signals, thread_signals
from goanna.kernel.thread.current import current
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.scheduler import interrupt
from goanna.kernel.thread.thread import (
    Thread,
    signal_process_setup,
    signal_process_teardown,
    signal_thread_setup,
    signal_thread_teardown,
)
from goanna.metal import Ptr, i64, metal, u64

__all__ = ["execute_signals"]

CLONE_VM = 0x00000100
CLONE_SIGHAND = 0x00000800
CLONE_VFORK = 0x00004000
CLONE_CLEAR_SIGHAND = 0x100000000
ALL = 2**64 - 1


@signal_process_setup.set
@metal
def setup_process(process: Process, parent: Ptr[Process], flags: u64) -> i64:
    """Signals for a new process: its parent's actions, nothing pending, no timers. 0, -ENOMEM or -EINVAL.

    Handlers shared by two processes (CLONE_SIGHAND without CLONE_THREAD, of the time before there were threads) are
    refused.
    """
    if (flags & CLONE_SIGHAND) != 0:
        return -EINVAL
    shared = process_signals.allocate()
    if shared is None:
        return -ENOMEM
    shared.process = process
    if parent is not None:
        with parent.signals.lock:
            shared.actions = parent.signals.actions
        if (flags & CLONE_CLEAR_SIGHAND) != 0:
            reset_actions(shared)
    process.signals = shared
    return 0


@signal_thread_setup.set
@metal
def setup_thread(thread: Thread, maker: Ptr[Thread], flags: u64) -> i64:
    """Signals for a new thread: its maker's mask, nothing pending. 0 or -ENOMEM."""
    mine = thread_signals.allocate()
    if mine is None:
        return -ENOMEM
    shared = thread.process.signals
    mine.thread = thread
    if maker is not None:
        mine.blocked = maker.signals.blocked
        if (flags & CLONE_VM) == 0 or (flags & CLONE_VFORK) != 0:
            mine.stack = maker.signals.stack
        else:
            mine.stack.disable()
    thread.signals = mine
    with shared.lock:
        shared.threads.append(mine)
        if shared.stop_signal != 0 and shared.death == 0:
            mine.stop_wanted = True
            shared.stopping += 1
            interrupt(thread)
    return 0


@signal_thread_teardown.set
@metal
def teardown_thread(thread: Thread) -> None:
    """Take an ended thread out: what it might have taken goes to others."""
    mine = thread.signals
    shared = thread.process.signals
    with tree_lock, shared.lock:
        thread.signals = None
        retarget(shared, mine, ~mine.blocked)
        mine.pending.remove(ALL)
        if shared.next_thread is mine:
            shared.next_thread = None
        shared.threads.remove(mine)
    with shared.lock:
        if mine.stop_wanted:
            leave_stop(shared, mine)
    thread_signals.free(mine)


@signal_process_teardown.set
@metal
def teardown_process(process: Process) -> None:
    """Give back what signals keep with a process whose last thread has ended."""
    shared = process.signals
    end_timers(shared)
    end_interval_timers(shared)
    with tree_lock:
        process.signals = None
    shared.pending.remove(ALL)
    process_signals.free(shared)


@metal
def execute_signals() -> None:
    """What execve does to the running process's signals: handlers become default actions, the alternate stack and the
    POSIX timers vanish; masks, pending and ignored signals and interval timers stay.
    """
    thread = current()
    shared = thread.process.signals
    end_timers(shared)
    with shared.lock:
        reset_actions(shared)
    thread.signals.stack.disable()
