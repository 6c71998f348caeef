"""Numbers of threads and processes, and where they run: gettid, getpid, getppid, getcpu."""

from goanna.kernel.arch import processor_index
from goanna.kernel.base.errno import EFAULT
from goanna.kernel.memory.user import put
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.process import tree_lock
from goanna.metal import i64, metal, u32, u64

__all__ = ["sys_getcpu", "sys_getpid", "sys_getppid", "sys_gettid"]


@metal
def sys_gettid() -> i64:
    """gettid."""
    return i64(current().id)


@metal
def sys_getpid() -> i64:
    """getpid."""
    return i64(current_process().id)


@metal
def sys_getppid() -> i64:
    """getppid: 0 for the first process."""
    if current_process().parent is None:
        return 0
    with tree_lock:
        parent = current_process().parent
        return 0 if parent is None else i64(parent.id)


@metal
def sys_getcpu(processor: u64, node: u64, unused: u64) -> i64:
    """getcpu. All memory is one node."""
    if processor != 0 and put(processor, processor_index()) != 0:
        return -EFAULT
    if node != 0 and put(node, u32(0)) != 0:
        return -EFAULT
    return 0
