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
    SI_KERNEL,
    SI_USER,
    SIG_IGN,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGNALS,
)
from goanna.kernel.signal.send import alert, send, send_to_process
from goanna.kernel.signal.state import ProcessSignals, ThreadSignals
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.family import wake_parent
from goanna.kernel.thread.process import Process, Usage, tree_lock
from goanna.kernel.thread.thread import (
    WORK_EXIT,
    WORK_SIGNAL,
    Thread,
    cut_tie,
    dying,
    next_in_table,
    send_death_signal,
    tell_of_death,
)
from goanna.kernel.thread.usage import usage_of
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, i32, i64, metal, u32

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
        wake_parent(process)
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
    """The siginfo of SIGCHLD. Tree lock held."""
    sent_by(information, SIGCHLD, code, process.id, process.credentials.user)
    information.details.child.status = status
    usage = Usage()
    usage_of(process, usage)
    information.details.child.user_time = i64((usage.time - usage.system) // TICK)
    information.details.child.system_time = i64(usage.system // TICK)


@tell_of_death.set
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

    The signal lock is held, and open meanwhile.
    """
    process.signals.lock.release()
    with tree_lock:
        result = orphaned_group(process.group, None)
    process.signals.lock.acquire()
    return result


@metal
def leads_in(thread: Thread, group: u32) -> bool:
    """Whether a thread is the first of a process in a group."""
    return thread.process is not None and thread.id == thread.process.id and thread.process.group == group


@metal
def orphaned_group(group: u32, without: Ptr[Process]) -> bool:
    """Whether no member of a group, but for `without`, has a parent in another group of its session (POSIX 3.254).
    Tree lock held. Linux will_become_orphaned_pgrp."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if leads_in(thread, group) and process is not without and not process.zombie:
            parent = process.parent
            if parent is not None and parent.group != group and parent.session == process.session:
                return False
        thread = next_in_table(thread)
    return True


@cut_tie.set
@metal
def hang_up_orphans(process: Process, parent: Process, ends: bool) -> None:
    """A process's parent is about to change, or the process to end: if its group is stopped and becomes orphaned by
    that, it gets SIGHUP and SIGCONT. Tree lock held. Linux kill_orphaned_pgrp.
    """
    if parent.group == process.group or parent.session != process.session:
        return
    without: Ptr[Process] = None
    if ends:
        without = process
    if not orphaned_group(process.group, without) or not has_stopped(process.group):
        return
    send_to_group(process.group, Information(number=SIGHUP, code=SI_KERNEL))
    send_to_group(process.group, Information(number=SIGCONT, code=SI_KERNEL))


@metal
def has_stopped(group: u32) -> bool:
    """Whether a process of a group is stopped. Tree lock held."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if leads_in(thread, group) and process.signals is not None and process.signals.stopped:
            return True
        thread = next_in_table(thread)
    return False


@metal
def send_to_group(group: u32, information: Information) -> None:
    """Send a signal to all processes of a group. Tree lock held."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if leads_in(thread, group):
            send_to_process(process, information)
        thread = next_in_table(thread)


@send_death_signal.set
@metal
def tell_of_maker(process: Process) -> None:
    """The thread that made a process has ended: what PR_SET_PDEATHSIG asked for. Tree lock held."""
    if process.death_signal == 0:
        return
    information = Information()
    maker = current_process()
    sent_by(information, process.death_signal, SI_USER, maker.id, maker.credentials.user)
    send_to_process(process, information)


@dying.set
@metal
def is_dying(thread: Thread) -> bool:
    """Whether a signal that can't be evaded is about to end the thread's process."""
    return thread.process.signals.death != 0


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
