"""The page that the vDSO reads: how to make a time of the processor's counter. The kernel writes it, programs map it.

A sequence number is odd while the page changes; a reader that saw it change reads again.
"""

from goanna.kernel.arch import counter_scale
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.time.wall import wall_offset
from goanna.metal import Array, Atomic, metal, static, struct, u8, u32, u64

__all__ = ["PAGE", "VdsoData", "publish_clock", "vdso_page"]

PAGE = 4096


@struct
class VdsoData:
    """now() is the high half of ((counter - base) << shift) * multiplier; real time is `wall_offset` more."""

    sequence: Atomic[u32]
    shift: u32
    multiplier: u64  # 0: the counter can't be used, ask the kernel
    base: u64
    wall_offset: u64


@struct
class VdsoPage:
    """The data alone on a page, as programs see all of it."""

    data: VdsoData
    rest: Array[u8, 4096 - 40]


vdso_page = static(VdsoPage, align=PAGE)
_lock = static(SpinLock)  # one writer at a time


@metal
def publish_clock() -> None:
    """Write the page: at start, once the counter is measured, and when the wall clock was set."""
    multiplier, shift, base = counter_scale()
    data = vdso_page.data
    with _lock:
        data.sequence.add(1)
        data.multiplier = multiplier
        data.shift = shift
        data.base = base
        data.wall_offset = wall_offset()
        data.sequence.add(1)
