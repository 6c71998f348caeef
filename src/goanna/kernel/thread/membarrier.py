"""membarrier: a memory barrier on all processors that run the calling program (membarrier(2)).

A processor that answers a request to forget translations has passed a full barrier, and is serialised by the return
from the interrupt; one that doesn't run the program passes both before it does. So that request is all there is to do.
"""

from goanna.kernel.arch import tlb_flush
from goanna.kernel.base.errno import EINVAL, EPERM
from goanna.kernel.thread.current import current_process
from goanna.metal import fence, i32, i64, metal, u32

__all__ = ["sys_membarrier"]

QUERY = 0
PRIVATE = 8  # each command's registration is the bit above it
REGISTER_PRIVATE = 16
PRIVATE_SYNC_CORE = 32
REGISTER_PRIVATE_SYNC_CORE = 64
OFFERED = PRIVATE | REGISTER_PRIVATE | PRIVATE_SYNC_CORE | REGISTER_PRIVATE_SYNC_CORE


@metal
def sys_membarrier(command: i32, flags: u32, processor: i32) -> i64:
    """membarrier: the private expedited commands."""
    if flags != 0:
        return -EINVAL
    if command == QUERY:
        return OFFERED
    process = current_process()
    if command in (REGISTER_PRIVATE, REGISTER_PRIVATE_SYNC_CORE):
        process.barriers.or_(u32(command))
        return 0
    if command not in (PRIVATE, PRIVATE_SYNC_CORE):
        return -EINVAL
    if process.barriers.load() & u32(command) << 1 == 0:
        return -EPERM
    fence()
    tlb_flush(process.space.table, 0, 1)
    return 0
