"""Kernel stacks: in an area of addresses of their own, each below a page that is never mapped, so that a stack that
grows too far faults instead of writing into another.

A thread's vector registers are kept above its stack in the same pages. Some stacks that
are given back stay mapped for the next thread; of more, one page stays, to find them by.
"""

from goanna.kernel.arch import KERNEL_AREA, PAGE_SIZE, float_size, kernel_map, kernel_unmap
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.metal import metal, static, struct, u64, unsafe

__all__ = ["allocate_stack", "float_area_of", "free_stack", "stack_size", "stack_top_of"]

STACK_PAGES = 4
SLOT = 8 * PAGE_SIZE  # the guard page, the stack, vector registers
SLOTS = 1 << 20
SPARE = 16  # stacks kept whole
FLOAT_IN_STACK = 1024  # bytes of vector registers for which no further page is taken


@struct
class StackArea:
    """What of the area is in use."""

    lock: SpinLock  # protects all fields below
    free: u64  # the stack given back last; its first word leads to the next; 0 is the end
    free_count: u64
    bare: u64  # the same of stacks of which only the lowest page is mapped
    used: u64  # slots ever taken


_area = static(StackArea)


@metal
def stack_size() -> u64:
    """Bytes of a stack with the vector registers above it."""
    extra: u64 = 0
    if float_size() > FLOAT_IN_STACK:
        extra = (float_size() + PAGE_SIZE - 1) // PAGE_SIZE * PAGE_SIZE
    return STACK_PAGES * PAGE_SIZE + extra


@metal
def float_area_of(stack: u64) -> u64:
    """Where the vector registers are kept of the thread with this stack."""
    return (stack + stack_size() - float_size()) & ~u64(63)


@metal
def stack_top_of(stack: u64) -> u64:
    """Where a stack begins, growing down."""
    return float_area_of(stack)


@metal
def allocate_stack() -> u64:
    """The lowest address of a stack, or 0 if there is no memory."""
    with _area.lock:
        stack = _area.free
        if stack != 0:
            _area.free = unsafe.load(u64, stack)
            _area.free_count -= 1
            return stack
        stack = _area.bare
        mapped: u64 = PAGE_SIZE
        if stack != 0:
            _area.bare = unsafe.load(u64, stack)
        else:
            if _area.used == SLOTS:
                return 0
            stack = KERNEL_AREA + _area.used * SLOT + PAGE_SIZE
            mapped = 0
            _area.used += 1
    for offset in range(mapped, stack_size(), u64(PAGE_SIZE)):
        page = pages.allocate()
        if page == 0 or not kernel_map(stack + offset, page, True):
            if page != 0:
                pages.release(page)
            if offset != 0:
                strip(stack, offset)
            else:
                forget(stack)
            return 0
    return stack


@metal
def forget(stack: u64) -> None:
    """Give back the place of a stack without a page, if no later one was taken since."""
    with _area.lock:
        if stack == KERNEL_AREA + (_area.used - 1) * SLOT + PAGE_SIZE:
            _area.used -= 1


@metal
def strip(stack: u64, mapped: u64) -> None:
    """Give back all pages of a stack but the lowest, of which `mapped` bytes are there."""
    for offset in range(u64(PAGE_SIZE), mapped, u64(PAGE_SIZE)):
        pages.release(kernel_unmap(stack + offset))
    with _area.lock:
        unsafe.store(u64, stack, _area.bare)
        _area.bare = stack


@metal
def free_stack(stack: u64) -> None:
    """Take a stack back that nothing runs on. No lock is held: other processors may have to forget its pages."""
    with _area.lock:
        spare = _area.free_count < SPARE
        if spare:
            unsafe.store(u64, stack, _area.free)
            _area.free = stack
            _area.free_count += 1
    if not spare:
        strip(stack, stack_size())
