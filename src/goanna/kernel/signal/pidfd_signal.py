"""pidfd_send_signal: kill, by a descriptor that can't come to mean another process."""

from goanna.kernel.base.errno import EINVAL, EPERM, ESRCH
from goanna.kernel.memory import user
from goanna.kernel.signal.info import Information, get_information
from goanna.kernel.signal.kill import describe, forged, kill_group, kill_one
from goanna.kernel.signal.numbers import SI_USER
from goanna.kernel.thread.process import Process, release_process, tree_lock
from goanna.kernel.thread.thread import hold_described_process
from goanna.metal import i32, i64, metal, u32, u64

__all__ = ["sys_pidfd_send_signal"]

WHOLE_PROCESS = 2  # PIDFD_SIGNAL_THREAD_GROUP
WHOLE_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP


@metal
def sys_pidfd_send_signal(descriptor: i32, number: i32, address: u64, options: u32) -> i64:
    """pidfd_send_signal."""
    if options not in (0, WHOLE_PROCESS, WHOLE_GROUP):
        return -EINVAL
    process, _, error = hold_described_process(descriptor)
    if error < 0:
        return error
    result = send_described(process, number, address, options)
    release_process(process)
    return result


@metal
def send_described(process: Process, number: i32, address: u64, options: u32) -> i64:
    """The same once the process is known."""
    information = Information()
    if address == 0:
        describe(information, number, SI_USER)
    else:
        claimed, error = user.get(i32, address)
        if error == 0:
            error = get_information(information, number, address)
        if error != 0:
            return error
        if claimed != number:
            return -EINVAL
        if forged(information, i32.wrap(process.id)):
            return -EPERM
    with tree_lock:
        if process.zombie and process.parent is None:
            return -ESRCH
        if options == WHOLE_GROUP:
            return kill_group(process.group, number, information)
        return kill_one(process, number, information)
