"""Job control: stopping all threads of a process, continuing them, and what parents learn of their children.

Linux kernel/signal.c: do_signal_stop, do_notify_parent_cldstop, do_notify_parent.
"""

from goanna.kernel.signal.info import Information, sent_by
from goanna.kernel.signal.numbers import (
    CLD_DUMPED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    SA_NOCLDSTOP,
    SA_NOCLDWAIT,
    SIG_IGN,
    SIGCHLD,
    SIGCONT,
    SIGNALS,
)
from goanna.kernel.signal.send import alert, send
from goanna.kernel.signal.state import ProcessSignals, ThreadSignals
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import WORK_EXIT, WORK_SIGNAL, Thread
from goanna.kernel.time.timer import NEVER
from goanna.metal import i32, i64, metal, pointer, u32

__all__ = [
    "begin_stop",
    "leave_stop",
    "notify_death",
    "orphaned",
    "report_resumed",
    "stop_here",
    "take_continue_report",
    "take_stop_report",
]

TICK = 10_000_000  # nanoseconds of a clock tick, in which siginfo counts processor time


@metal
def begin_stop(thread: Thread, number: u32) -> None:
    """Have all threads of the running thread's process stop. Lock held."""
    shared = thread.process.signals
    if not thread.signals.stop_taken or shared.death != 0:
        return
    shared.stop_signal = number
    shared.stopped = False
    shared.stopping = 0
    mine = shared.threads.head()
    while mine is not None:
        if not mine.stopped:
            mine.stop_wanted = True
            shared.stopping += 1
            alert(mine)
        mine = shared.threads.after(mine)


@metal
def stop_here(thread: Thread) -> None:
    """Stop until the process is continued or ended. Lock held, and open while the thread sleeps."""
    shared = thread.process.signals
    mine = thread.signals
    mine.stopped = True
    leave_stop(shared, mine)
    while shared.stop_signal != 0 and shared.death == 0 and (thread.work.load() & WORK_EXIT) == 0:
        thread.work.and_(~u32(WORK_SIGNAL))
        shared.stopped_threads.wait(shared.lock, NEVER, True)
    mine.stopped = False


@metal
def leave_stop(shared: ProcessSignals, mine: ThreadSignals) -> None:
    """A thread that was to stop has, or has ended; the last one tells the parent. Lock held, and open meanwhile."""
    mine.stop_wanted = False
    if shared.stopping == 0:
        return
    shared.stopping -= 1
    if shared.stopping != 0:
        return
    shared.stopped = True
    shared.waitable_stop = shared.stop_signal
    shared.waitable_continue = False
    status = i32(shared.stop_signal)
    process = shared.process
    shared.lock.release()
    tell_parent(process, CLD_STOPPED, status)
    shared.lock.acquire()


@metal
def report_resumed(shared: ProcessSignals) -> None:
    """Tell the parent what SIGCONT has done. Lock held, and open meanwhile."""
    code = i32(shared.report)
    shared.report = 0
    process = shared.process
    shared.lock.release()
    tell_parent(process, code, i32(SIGCONT))
    shared.lock.acquire()


@metal
def tell_parent(process: Process, code: i32, status: i32) -> None:
    """SIGCHLD for a child that stopped or goes on, unless the parent wants none. No lock held."""
    with tree_lock:
        parent = process.parent
        if parent is None:
            return
        shared = parent.signals
        if shared is None:
            return
        with shared.lock:
            action = shared.action(SIGCHLD)
            if action.handler != SIG_IGN and (action.flags & SA_NOCLDSTOP) == 0:
                information = Information()
                describe_child(information, process, code, status)
                send(shared, None, information, None)


@metal
def describe_child(information: Information, process: Process, code: i32, status: i32) -> None:
    """The siginfo of SIGCHLD."""
    sent_by(information, SIGCHLD, code, process.id, process.credentials.user)
    information.details.child.status = status
    information.details.child.user_time = i64(process.cpu_time.load() // TICK)


@metal
def notify_death(process: Process, number: u32) -> bool:
    """Send signal `number` (0: none) to the parent of a process that has ended. Tree lock held.

    True: the parent does not want to wait for it, so the process is to vanish at once.
    """
    parent = process.parent
    if parent is None:
        return True
    shared = parent.signals
    if shared is None:
        return True
    status = process.exit_status
    information = Information()
    if (status & 0x7F) != 0:
        code: i32 = CLD_DUMPED if (status & 0x80) != 0 else CLD_KILLED
        describe_child(information, process, code, i32(status & 0x7F))
    else:
        describe_child(information, process, CLD_EXITED, i32((status >> 8) & 0xFF))
    with shared.lock:
        reaped = False
        action = shared.action(SIGCHLD)
        if number == SIGCHLD and (action.handler == SIG_IGN or (action.flags & SA_NOCLDWAIT) != 0):
            reaped = True
            if action.handler == SIG_IGN:
                return True
        if number != 0 and number <= SIGNALS:
            information.number = i32(number)
            send(shared, None, information, None)
        return reaped


@metal
def orphaned(process: Process) -> bool:
    """Whether nobody in its session could continue this process's group: then SIGTSTP and its kin do not stop it.

    The signal lock is held, and open meanwhile. Looks at the process and its ancestors of the same group, where a
    group's link to its session is (POSIX 3.254).
    """
    process.signals.lock.release()
    result = orphaned_group(process)
    process.signals.lock.acquire()
    return result


@metal
def orphaned_group(process: Process) -> bool:
    with tree_lock:
        member = pointer(process)
        while True:
            parent = member.parent
            if parent is None:
                return True
            if parent.group != process.group:
                return parent.session != process.session
            member = parent


@metal
def take_stop_report(process: Process, consume: bool) -> u32:
    """For wait4 with WUNTRACED: the signal that has stopped a child since it was last asked, or 0."""
    with process.signals.lock:
        number = process.signals.waitable_stop
        if consume:
            process.signals.waitable_stop = 0
        return number


@metal
def take_continue_report(process: Process, consume: bool) -> bool:
    """For wait4 with WCONTINUED: whether a child goes on since it was last asked."""
    with process.signals.lock:
        goes_on = process.signals.waitable_continue
        if consume:
            process.signals.waitable_continue = False
        return goes_on
