"""A machine's memory for tests: an arena, the allocator over it, and random numbers from a seed."""

import ctypes
import mmap

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host import arena as host_arena
from goanna.kernel.arch.host import processors, user
from goanna.kernel.memory import pages, placement
from goanna.kernel.memory.remote import Window
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Slice, i64, metal, static, u8, u32, u64, wrapping
from tests.kernel.hooks import filled

random_state = static(u64, 88172645463325252)


@metal
def random_u64() -> u64:
    """xorshift64* (Vigna 2016): the same numbers in each test."""
    global random_state
    x = random_state
    x ^= x >> 12
    x = wrapping(x ^ (x << 25))
    x ^= x >> 27
    random_state = x
    return wrapping(x * 0x2545F4914F6CDD1D)


@metal
def no_fault(frame: Frame, address: u64, access: u32) -> bool:
    return False


@metal
def nothing() -> None:
    pass


@metal
def nothing_before_user(frame: Frame) -> None:
    pass


@metal
def read(space: AddressSpace, destination: Slice[u8], address: u64) -> i64:
    """Read bytes of a space as its program would, faults and all. 0 or -EFAULT."""
    window = Window()
    window.start(space)
    return window.read(destination, address)


@metal
def write(space: AddressSpace, address: u64, data: Slice[u8]) -> i64:
    """Write bytes to a space as its program would. 0 or -EFAULT."""
    window = Window()
    window.start(space)
    return window.write(address, data)


def hooks(*more):
    """All hooks that memory's own rooms call, filled in for one compilation."""
    return filled(
        (placement.random_u64, random_u64),
        (user.on_page_fault, no_fault),
        (processors.on_timer, nothing),
        (processors.on_reschedule, nothing),
        (processors.before_user, nothing_before_user),
        *more,
    )


ROOTS = (
    pages.add_range, pages.initialize, pages.allocate, pages.allocate_zeroed, pages.allocate_order, pages.free_order,
    pages.allocate_for_program, pages.allocate_huge_for_program, pages.reference, pages.release, pages.references,
    pages.exclusive, pages.split, pages.free_pages, pages.total_pages, pages.zero_page, host_arena.arena,
)  # fmt: skip


class Memory:
    """An arena of `size` bytes behind a compiled unit, all of it free. The last one made lives until the next."""

    current = None

    def __init__(self, unit, size, ranges=None):
        Memory.current = self
        unit.reset()
        self.unit, self.size = unit, size
        self.map = mmap.mmap(-1, size)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        unit.set(host_arena.arena, self.base)
        for start, end in ranges or [(0, size)]:
            unit.call(pages.add_range, start, end)
        unit.call(pages.initialize)

    def bytes(self, physical, size):
        """A writable view of physical memory."""
        return (ctypes.c_uint8 * size).from_address(self.base + physical)

    @property
    def free(self):
        """Free pages."""
        return self.unit.call(pages.free_pages)
