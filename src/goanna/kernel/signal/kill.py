"""Signals that processes send each other: kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, and who may."""

from goanna.kernel.base.errno import EINVAL, EPERM, ESRCH
from goanna.kernel.signal.info import Information, get_information, sent_by
from goanna.kernel.signal.numbers import SI_TKILL, SI_USER, SIGCONT, SIGNALS
from goanna.kernel.signal.send import send_to_process, send_to_thread
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import Process, tree_lock
from goanna.kernel.thread.thread import Thread, find_in_table, next_in_table
from goanna.metal import i32, i64, metal, u32, u64

__all__ = [
    "sys_kill",
    "sys_rt_sigqueueinfo",
    "sys_rt_tgsigqueueinfo",
    "sys_tgkill",
    "sys_tkill",
]

CAP_KILL = 1 << 5
LEAST = -(2**31)


@metal
def permitted(target: Process, number: i32, information: Information) -> i64:
    """Whether the running thread may send this. 0, -EINVAL (no such signal) or -EPERM. Tree lock held."""
    if number < 0 or number > SIGNALS:
        return -EINVAL
    sender = current_process()
    if information.from_kernel() or sender is target:
        return 0
    mine = sender.credentials
    other = target.credentials
    if mine.effective_user == other.saved_user or mine.effective_user == other.user:
        return 0
    if mine.user == other.saved_user or mine.user == other.user or (mine.effective & CAP_KILL) != 0:
        return 0
    if number == SIGCONT and sender.session == target.session:
        return 0
    return -EPERM


@metal
def describe(information: Information, number: i32, code: i32) -> None:
    """The siginfo of a signal from the running process."""
    sender = current_process()
    sent_by(information, u32.wrap(number), code, sender.id, sender.credentials.user)


@metal
def kill_one(target: Process, number: i32, information: Information) -> i64:
    """Send to a process if that is permitted; signal 0 only asks. Tree lock held."""
    error = permitted(target, number, information)
    if error != 0 or number == 0:
        return error
    return send_to_process(target, information)


@metal
def sys_kill(id: i32, number: i32) -> i64:
    """kill."""
    information = Information()
    describe(information, number, SI_USER)
    with tree_lock:
        if id > 0:
            return kill_process(u32(id), number, information)
        if id == LEAST:
            return -ESRCH
        if id == -1:
            return kill_all(number, information)
        return kill_group(current_process().group if id == 0 else u32(-id), number, information)


@metal
def kill_process(id: u32, number: i32, information: Information) -> i64:
    """Send to the process of a thread: Linux takes the number of any of its threads. Tree lock held."""
    thread = find_in_table(id)
    if thread is None or thread.process is None:
        return -ESRCH
    return kill_one(thread.process, number, information)


@metal
def kill_group(group: u32, number: i32, information: Information) -> i64:
    """Send to all processes of a group: 0 if one could be reached. Tree lock held."""
    result: i64 = -ESRCH
    thread = next_in_table(None)
    while thread is not None:
        if leads(thread) and thread.process.group == group:
            error = kill_one(thread.process, number, information)
            if result != 0:
                result = error
        thread = next_in_table(thread)
    return result


@metal
def kill_all(number: i32, information: Information) -> i64:
    """Send to all processes but the first and the sender. Tree lock held."""
    result: i64 = 0
    count: u64 = 0
    me = current_process()
    thread = next_in_table(None)
    while thread is not None:
        if leads(thread) and thread.process.id != 1 and thread.process is not me:
            count += 1
            error = kill_one(thread.process, number, information)
            if error != -EPERM:
                result = error
        thread = next_in_table(thread)
    return result if count != 0 else -ESRCH


@metal
def leads(thread: Thread) -> bool:
    """Whether this is the thread by which its process is met in the table."""
    return thread.process is not None and thread.process.id == thread.id


@metal
def sys_tkill(id: i32, number: i32) -> i64:
    """tkill."""
    if id <= 0:
        return -EINVAL
    information = Information()
    describe(information, number, SI_TKILL)
    return kill_thread(0, u32(id), number, information)


@metal
def sys_tgkill(process: i32, id: i32, number: i32) -> i64:
    """tgkill."""
    if id <= 0 or process <= 0:
        return -EINVAL
    information = Information()
    describe(information, number, SI_TKILL)
    return kill_thread(u32(process), u32(id), number, information)


@metal
def kill_thread(process: u32, id: u32, number: i32, information: Information) -> i64:
    """Send to a thread, of the given process if that isn't 0."""
    with tree_lock:
        thread = find_in_table(id)
        if thread is None or thread.process is None:
            return -ESRCH
        if process != 0 and thread.process.id != process:
            return -ESRCH
        error = permitted(thread.process, number, information)
        if error != 0 or number == 0:
            return error
        return send_to_thread(thread, information)


@metal
def forged(information: Information, target: i32) -> bool:
    """Whether a sender claims to be the kernel or kill, which it may be to itself alone."""
    return (information.code >= 0 or information.code == SI_TKILL) and i64(target) != i64(current().id)


@metal
def sys_rt_sigqueueinfo(id: i32, number: i32, address: u64) -> i64:
    """rt_sigqueueinfo."""
    information = Information()
    error = get_information(information, number, address)
    if error != 0:
        return error
    if forged(information, id):
        return -EPERM
    if id <= 0:
        return -ESRCH
    with tree_lock:
        return kill_process(u32(id), number, information)


@metal
def sys_rt_tgsigqueueinfo(process: i32, id: i32, number: i32, address: u64) -> i64:
    """rt_tgsigqueueinfo."""
    information = Information()
    error = get_information(information, number, address)
    if error != 0:
        return error
    if id <= 0 or process <= 0:
        return -EINVAL
    if forged(information, id):
        return -EPERM
    return kill_thread(u32(process), u32(id), number, information)
