"""wait4 and waitid: a parent hears that its children ended, stopped or go on (Linux kernel/exit.c)."""

from goanna.kernel.base.errno import EAGAIN, ECHILD, EFAULT, EINVAL, ERESTARTSYS, ESRCH
from goanna.kernel.memory import user
from goanna.kernel.signal.jobs import take_continue_report, take_stop_report
from goanna.kernel.signal.numbers import (
    CLD_CONTINUED,
    CLD_DUMPED,
    CLD_EXITED,
    CLD_KILLED,
    CLD_STOPPED,
    SIGCHLD,
    SIGCONT,
)
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.family import bury
from goanna.kernel.thread.process import Process, Usage, release_process, tree_lock
from goanna.kernel.thread.thread import hold_described_process
from goanna.kernel.thread.usage import put_usage, usage_of
from goanna.kernel.thread.wait import Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, Ptr, i32, i64, metal, struct, u32, u64

__all__ = ["sys_wait4", "sys_waitid"]

WNOHANG = 1
WSTOPPED = 2  # WUNTRACED
WEXITED = 4
WCONTINUED = 8
WNOWAIT = 0x0100_0000
WNOTHREAD = 0x2000_0000
WALL = 0x4000_0000
WCLONE = 0x8000_0000
WAIT4_OPTIONS = WNOHANG | WSTOPPED | WCONTINUED | WNOTHREAD | WALL | WCLONE
WAITID_OPTIONS = WAIT4_OPTIONS | WEXITED | WNOWAIT

P_ALL, P_PID, P_PGID, P_PIDFD = 0, 1, 2, 3
LEAST = -(2**31)


@struct
class Wish:
    """Which children, and what of them."""

    kind: u32  # P_
    id: u32
    options: u32
    process: Ptr[Process]  # of P_PIDFD, with a reference


@struct
class Report:
    """What became of a child."""

    id: u32
    user: u32
    status: u32  # as wait4 encodes it
    code: i32  # CLD_
    detail: i32  # exit status or signal
    usage: Usage


@metal
def wished(wish: Wish, child: Process) -> bool:
    """Whether a wish is for a child. Tree lock held."""
    match wish.kind:
        case 1:
            if child.id != wish.id:
                return False
        case 2:
            if child.group != wish.id:
                return False
        case 3:
            if wish.process is not child:
                return False
        case _:
            pass
    if wish.options & WNOTHREAD != 0 and child.maker != current().id:
        return False
    return wish.options & WALL != 0 or (child.exit_signal != SIGCHLD) == (wish.options & WCLONE != 0)


@metal
def wait_for_child(wish: Wish, report: Report) -> i64:
    """Wait for news of a child. Its number; 0: there are none yet and WNOHANG is set; -ECHILD, -ERESTARTSYS."""
    me = current()
    family: Process = me.process
    interrupted = False
    with tree_lock:
        while True:
            result = look(wish, report, family)
            if result != 0 or wish.options & WNOHANG != 0:
                return result
            if interrupted:
                return -ERESTARTSYS
            me.awaited = 0
            if wish.kind == P_PID:
                me.awaited = wish.id
            elif wish.kind == P_PIDFD:
                me.awaited = wish.process.id
            interrupted = family.events.wait(tree_lock, NEVER, True) == Wake.SIGNAL
            me.awaited = 0


@metal
def look(wish: Wish, report: Report, family: Process) -> i64:
    """Look at all children once. A number, 0: nothing new, -ECHILD. Tree lock held."""
    result: i64 = -ECHILD
    child = family.children.head()
    while child is not None:
        if wished(wish, child):
            if child.zombie:
                if wish.options & WEXITED != 0:
                    return report_end(wish, report, family, child)
            else:
                result = 0
            if not child.zombie and report_job(wish, report, child):
                return i64(report.id)
        child = family.children.after(child)
    return result


@metal
def report_end(wish: Wish, report: Report, family: Process, child: Process) -> i64:
    """A child has ended: say how, and bury it unless it is only looked at. Its number. Tree lock held."""
    report.id = child.id
    report.user = child.credentials.user
    report.status = child.exit_status
    signal = child.exit_status & 0x7F
    if signal != 0:
        report.code = CLD_DUMPED if child.exit_status & 0x80 != 0 else CLD_KILLED
        report.detail = i32(signal)
    else:
        report.code = CLD_EXITED
        report.detail = i32(child.exit_status >> 8 & 0xFF)
    usage_of(child, report.usage)
    report.usage.add(child.reaped)
    if wish.options & WNOWAIT == 0:
        family.reaped.add(report.usage)
        bury(child)
    return i64(report.id)


@metal
def report_job(wish: Wish, report: Report, child: Process) -> bool:
    """Whether a living child has stopped or goes on, and it is wished to hear of that. Tree lock held."""
    if child.signals is None:
        return False
    consume = wish.options & WNOWAIT == 0
    if wish.options & WSTOPPED != 0:
        number = take_stop_report(child, consume)
        if number != 0:
            report.status = number << 8 | 0x7F
            report.code = CLD_STOPPED
            report.detail = i32(number)
    if report.code == 0 and wish.options & WCONTINUED != 0 and take_continue_report(child, consume):
        report.status = 0xFFFF
        report.code = CLD_CONTINUED
        report.detail = SIGCONT
    if report.code == 0:
        return False
    report.id = child.id
    report.user = child.credentials.user
    usage_of(child, report.usage)
    report.usage.add(child.reaped)
    return True


@metal
def sys_wait4(id: i32, status: u64, options: u32, usage: u64) -> i64:
    """wait4."""
    if options & ~u32(WAIT4_OPTIONS) != 0:
        return -EINVAL
    if id == LEAST:
        return -ESRCH
    wish = Wish(kind=P_ALL, options=options | WEXITED)
    if id > 0:
        wish.kind = P_PID
        wish.id = u32(id)
    elif id != -1:
        wish.kind = P_PGID
        wish.id = u32(-id) if id < 0 else current_process().group
    report = Report()
    result = wait_for_child(wish, report)
    if result > 0:
        if status != 0 and user.put(status, report.status) != 0:
            return -EFAULT
        if usage != 0 and put_usage(usage, report.usage) != 0:
            return -EFAULT
    return result


@metal
def sys_waitid(kind: i32, id: i32, information: u64, options: u32, usage: u64) -> i64:
    """waitid. Like Linux, it fills the siginfo with zeros where there is nothing to tell, errors too."""
    wish = Wish(options=options)
    nonblocking, result = fill_wish(wish, kind, id)
    report = Report()
    if result == 0:
        if nonblocking:
            wish.options |= WNOHANG
        result = wait_for_child(wish, report)
        if wish.process is not None:
            release_process(wish.process)
        if result == 0 and nonblocking and options & WNOHANG == 0:
            result = -EAGAIN
    number: i32 = 0
    if result > 0:
        result = 0
        number = SIGCHLD
        if usage != 0 and put_usage(usage, report.usage) != 0:
            return -EFAULT
    if information != 0 and put_report(information, number, report) != 0:
        return -EFAULT
    return result


@metal
def fill_wish(wish: Wish, kind: i32, id: i32) -> tuple[bool, i64]:
    """Read waitid's arguments. Whether a descriptor doesn't want to block, and 0, -EINVAL or -EBADF."""
    options = wish.options
    if options & ~u32(WAITID_OPTIONS) != 0 or options & (WEXITED | WSTOPPED | WCONTINUED) == 0:
        return False, -EINVAL
    wish.id = u32.wrap(id)
    if kind == P_ALL:
        wish.kind = P_ALL
    elif kind == P_PID:
        if id <= 0:
            return False, -EINVAL
        wish.kind = P_PID
    elif kind == P_PGID:
        if id < 0:
            return False, -EINVAL
        if id == 0:
            wish.id = current_process().group
        wish.kind = P_PGID
    elif kind == P_PIDFD:
        if id < 0:
            return False, -EINVAL
        process, nonblocking, error = hold_described_process(id)
        wish.process = process
        wish.kind = P_PIDFD
        return nonblocking, error
    else:
        return False, -EINVAL
    return False, 0


@metal
def put_report(address: u64, number: i32, report: Report) -> i64:
    """Write what waitid tells of a siginfo_t: signal, errno, code; process, user, status. 0 or -EFAULT."""
    head = Array[i32, 3]()
    head[0] = number
    head[2] = report.code
    tail = Array[i32, 3]()
    tail[0] = i32.wrap(report.id)
    tail[1] = i32.wrap(report.user)
    tail[2] = report.detail
    if user.put_struct(address, head) != 0:
        return -EFAULT
    return user.put_struct(address + 16, tail)
