"""The page that the vDSO reads: how to make a time of the processor's counter. The kernel writes it, programs map it.

A sequence number is odd while the page changes; a reader that saw it change reads again.
"""

from goanna.kernel.arch import counter_scale
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.time.wall import wall_offset
from goanna.metal import Atomic, Ptr, fence, metal, static, struct, u32, u64, unsafe

__all__ = ["VdsoData", "publish_clock", "show_clock_at"]


@struct
class VdsoData:
    """now() is the high half of ((counter - base) << shift) * multiplier; real time is `wall_offset` more."""

    sequence: Atomic[u32]
    shift: u32
    multiplier: u64  # 0: the counter can't be used, ask the kernel
    base: u64
    wall_offset: u64


_data = static(Ptr[VdsoData])
_lock = static(SpinLock)  # one writer at a time


@metal
def show_clock_at(address: u64) -> None:
    """Publish at an address from now on: the beginning of a page that programs map."""
    global _data
    _data = unsafe.pointer(VdsoData, address)
    publish_clock()


@metal
def publish_clock() -> None:
    """Write the page: at start, and when the wall clock was set."""
    if _data is None:
        return
    multiplier, shift, base = counter_scale()
    data: VdsoData = _data
    with _lock:
        data.sequence.add(1)
        fence()
        data.multiplier = multiplier
        data.shift = shift
        data.base = base
        data.wall_offset = wall_offset()
        fence()
        data.sequence.add(1)
