"""Controlling terminals: which session has one, which of its groups is in front, and what becomes of all when the
session's leader or the terminal goes (Linux drivers/tty/tty_jobctrl.c; credentials(7)).

The process tree's lock protects Process.terminal, and a terminal's session and group. A terminal that somebody has is
there: it is taken from all before it goes.
"""

from goanna.kernel.base.errno import EINVAL, EIO, ENOTTY, EPERM, ERESTARTSYS, ESRCH
from goanna.kernel.file.flags import POLLERR, POLLHUP, POLLIN, POLLOUT
from goanna.kernel.file.terminal import Terminal
from goanna.kernel.identity.credentials import CAP_SYS_ADMIN, capable
from goanna.kernel.memory import user
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.jobs import orphaned_group, send_to_group
from goanna.kernel.signal.numbers import SI_KERNEL, SIG_IGN, SIGCONT, SIGHUP, SIGTTIN
from goanna.kernel.signal.send import send_to_process
from goanna.kernel.signal.state import mask_of
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.scheduler import interrupt
from goanna.kernel.thread.thread import Thread, next_in_table
from goanna.metal import Ptr, i32, i64, metal, u32, u64


@metal
def kernel_signal(group: u32, number: u32) -> None:
    """A signal of the kernel's to all of a group. Tree lock held."""
    if group != 0:
        send_to_group(group, Information(number=i32(number), code=SI_KERNEL))


@metal
def send_keys(terminal: Terminal) -> None:
    """Send the group in front the signals that keys and changes of size have become. No lock is held."""
    wanted: u64 = 0
    with terminal.lock:
        wanted = terminal.signals
        terminal.signals = 0
    if wanted == 0:
        return
    with tree_lock:
        for number in range(u32(1), u32(65)):
            if wanted & mask_of(number) != 0:
                kernel_signal(terminal.group, number)


@metal
def in_background(terminal: Terminal) -> u32:
    """The running process's group, if the terminal is its controlling one and another group is in front; else 0."""
    me = current_process()
    with tree_lock:
        if me.terminal is not terminal or terminal.group == 0 or me.group == terminal.group:
            return 0
        return me.group


@metal
def ignores(number: u32) -> bool:
    """Whether the running thread blocks or its process ignores a signal."""
    shared = current_process().signals
    with shared.lock:
        blocked = current().signals.blocked & mask_of(number) != 0
        return blocked or shared.action(number).handler == SIG_IGN


@metal
def check_job(terminal: Terminal, number: u32) -> i64:
    """Whether the running process may do what only the group in front may: 0; -ERESTARTSYS, and its group gets SIGTTIN
    or SIGTTOU (`number`); or -EIO, where that would stop it for good. Linux __tty_check_change."""
    group = in_background(terminal)
    if group == 0:
        return 0
    if ignores(number):
        return -EIO if number == SIGTTIN else i64(0)
    with tree_lock:
        if orphaned_group(group, None):
            return -EIO
        kernel_signal(group, number)
    interrupt(current())
    return -ERESTARTSYS


@metal
def take_terminal(terminal: Terminal) -> None:
    """Make it the controlling terminal of the running process's session. Tree lock held."""
    me = current_process()
    terminal.session = me.session
    terminal.group = me.group
    me.terminal = terminal


@metal
def take_if_free(terminal: Terminal) -> None:
    """What open does for a session's leader that has no controlling terminal."""
    me = current_process()
    with tree_lock:
        if me.session == me.id and me.terminal is None and terminal.session == 0:
            take_terminal(terminal)


@metal
def take_by_call(terminal: Terminal, force: u64) -> i64:
    """TIOCSCTTY."""
    me = current_process()
    steals = force == 1 and capable(CAP_SYS_ADMIN)
    with tree_lock:
        leads = me.session == me.id
        if leads and terminal.session == me.session:
            return 0
        if not leads or me.terminal is not None:
            return -EPERM
        if terminal.session != 0:
            if not steals:
                return -EPERM
            clear_session(terminal)
        take_terminal(terminal)
    return 0


@metal
def clear_session(terminal: Terminal) -> None:
    """Take it from everybody who has it as the controlling one. Tree lock held."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if process is not None and process.terminal is terminal:
            process.terminal = None
        thread = next_in_table(thread)
    terminal.session = 0
    terminal.group = 0


@metal
def give_up(terminal: Terminal) -> i64:
    """TIOCNOTTY: of a leader, for the whole session, whose group in front hears of it."""
    me = current_process()
    with tree_lock:
        if me.terminal is not terminal:
            return -ENOTTY
        if me.session == me.id:
            kernel_signal(terminal.group, SIGHUP)
            kernel_signal(terminal.group, SIGCONT)
            clear_session(terminal)
        me.terminal = None
    return 0


@metal
def leader_ended(process: Process) -> None:
    """A process ends, its descriptors are closed. If it led a session, that loses its terminal. disassociate_ctty."""
    hangs_up = False
    terminal: Ptr[Terminal] = None
    with tree_lock:
        if process.session != process.id:
            return
        terminal = process.terminal
        if terminal is None:
            kernel_signal(process.lost_group, SIGHUP)
            kernel_signal(process.lost_group, SIGCONT)
            process.lost_group = 0
            return
        kernel_signal(terminal.group, SIGHUP)
        hangs_up = not terminal.pseudo
        clear_session(terminal)
    if hangs_up:
        hang_up(terminal)


@metal
def hang_up(terminal: Terminal) -> None:
    """The other end is gone, or TIOCVHANGUP: all open descriptors are at their end, the session's leader gets SIGHUP.
    The caller keeps the terminal alive. No lock is held. Linux __tty_hangup."""
    with terminal.lock:
        terminal.hangups += 1
        terminal.flush_input()
        if terminal.pseudo:  # what the runner's terminal is still to show was written before its session ended
            terminal.shown = terminal.written
        terminal.stopped = False
        terminal.readers.wake_all()
        terminal.writers.wake_all()
        terminal.viewers.wake_all()
        terminal.typists.wake_all()
    with tree_lock:
        tell_leader(terminal)
        clear_session(terminal)
    terminal.watchers.notify(POLLIN | POLLOUT | POLLERR | POLLHUP)


@metal
def tell_leader(terminal: Terminal) -> None:
    """SIGHUP and SIGCONT to the leader of the session whose terminal hangs up. Tree lock held."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if process is not None and leads_with(thread, process, terminal):
            process.lost_group = terminal.group
            send_to_process(process, Information(number=SIGHUP, code=SI_KERNEL))
            send_to_process(process, Information(number=SIGCONT, code=SI_KERNEL))
        thread = next_in_table(thread)


@metal
def leads_with(thread: Thread, process: Process, terminal: Terminal) -> bool:
    """Whether a thread is the first of a session's leader with that terminal. Tree lock held."""
    return thread.id == process.id and process.session == process.id and process.terminal is terminal


@metal
def get_group(terminal: Terminal, master: bool, address: u64) -> i64:
    """TIOCGPGRP. The master is told whose ever it is."""
    group: u32 = 0
    with tree_lock:
        if not master and current_process().terminal is not terminal:
            return -ENOTTY
        group = terminal.group
    return user.put(address, group)


@metal
def get_session(terminal: Terminal, master: bool, address: u64) -> i64:
    """TIOCGSID."""
    session: u32 = 0
    with tree_lock:
        if not master and current_process().terminal is not terminal:
            return -ENOTTY
        session = terminal.session
    return user.put(address, session) if session != 0 else -ENOTTY


@metal
def set_group(terminal: Terminal, address: u64) -> i64:
    """TIOCSPGRP, after check_job."""
    me = current_process()
    with tree_lock:
        if me.terminal is not terminal or terminal.session != me.session:
            return -ENOTTY
    wanted, error = user.get(i32, address)
    if error < 0:
        return error
    if wanted < 0:
        return -EINVAL
    with tree_lock:
        session = session_of_group(u32(wanted))
        if session == 0:
            return -ESRCH
        if session != me.session:
            return -EPERM
        terminal.group = u32(wanted)
    return 0


@metal
def session_of_group(group: u32) -> u32:
    """The session of a group's processes; 0 if there are none. Tree lock held."""
    thread = next_in_table(None)
    while thread is not None:
        process = thread.process
        if process is not None and process.group == group:
            return process.session
        thread = next_in_table(thread)
    return 0
