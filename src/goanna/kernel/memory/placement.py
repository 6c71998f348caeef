"""Where things lie in an address space: limits, random bases, and the choice of a place for a new mapping.

The layout is Linux's on x86-64, from the top: vDSO, stack, mappings growing down from a random base, and position-
independent programs from two thirds of the space up (Linux arch/x86/mm/mmap.c, fs/binfmt_elf.c).
"""

from goanna.kernel.arch import HUGE_SIZE, PAGE_SHIFT, PAGE_SIZE, USER_TOP
from goanna.kernel.base.errno import EEXIST, EINVAL, ENOMEM, EPERM
from goanna.kernel.memory import area as tree
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Fn, hook, i64, metal, static, u32, u64

__all__ = [
    "LEAST_ADDRESS",
    "MAP_32BIT",
    "MAP_FIXED",
    "MAP_FIXED_NOREPLACE",
    "PIE_BASE",
    "choose",
    "pie_base",
    "random_u64",
    "randomise",
    "settled",
    "stack_top",
]

LEAST_ADDRESS = 65536  # Linux vm.mmap_min_addr: the null page is never mapped
RANDOM_BITS = 28  # of a page number, for each base

MAP_FIXED = 0x10
MAP_32BIT = 0x40
MAP_FIXED_NOREPLACE = 0x100000
LOW_START = 0x4000_0000  # MAP_32BIT's range
LOW_END = 0x8000_0000

STACK_ROOM = 1 << (RANDOM_BITS + PAGE_SHIFT)  # bytes at the top in which the stack starts
STACK_GROWTH_LEAST = 128 << 20  # bytes kept for the stack below that, at least
STACK_GROWTH_MOST = USER_TOP // 6 * 5
PIE_BASE = (USER_TOP // 3 * 2) & ~(PAGE_SIZE - 1)

random_u64 = hook(Fn[[], u64])  # from the kernel's generator
settled = static(bool)  # nothing is placed at random: for a debugger


@metal
def random_pages() -> u64:
    """A random number of pages, in bytes; 0 if all is settled."""
    if settled:
        return 0
    return (random_u64() & ((1 << RANDOM_BITS) - 1)) << PAGE_SHIFT


@metal
def randomise(space: AddressSpace) -> None:
    """Choose where new mappings go. `stack_limit` must be set."""
    growth = min(max(space.stack_limit, u64(STACK_GROWTH_LEAST)), u64(STACK_GROWTH_MOST)) + tree.STACK_GUARD
    growth = (growth + (PAGE_SIZE - 1)) & ~(PAGE_SIZE - 1)
    space.map_base = max(USER_TOP - STACK_ROOM - min(growth, u64(USER_TOP // 2)) - random_pages(), u64(USER_TOP // 8))


@metal
def stack_top() -> u64:
    """A random address, on a page boundary, that a stack may end at."""
    return USER_TOP - random_pages()


@metal
def pie_base(align: u64) -> u64:
    """A random address for a position-independent program whose segments want `align`, a power of 2."""
    return (PIE_BASE + random_pages()) & ~(max(align, u64(PAGE_SIZE)) - 1)


@metal
def choose(space: AddressSpace, address: u64, length: u64, flags: u32, align: u64) -> i64:
    """Where to map `length` bytes (whole pages, not 0). The lock is held.

    The address, or -ENOMEM (no room, or past the end), -EINVAL (FIXED and not on a page), -EPERM (below LEAST_ADDRESS),
    -EEXIST (FIXED_NOREPLACE and something is there).
    """
    if length > USER_TOP:
        return -ENOMEM
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0:
        return fixed(space, address, length, flags)
    if address != 0:
        hint = max(address & ~(PAGE_SIZE - 1), u64(LEAST_ADDRESS))
        if hint <= USER_TOP - length and free_for(space, hint, length):
            return i64(hint)
    found: u64 = 0
    if flags & MAP_32BIT != 0:
        found = tree.find_gap_up(space.areas, length, LOW_START, LOW_END)
        return i64(found) if found != 0 else -ENOMEM
    if align > PAGE_SIZE:
        found = tree.find_gap(space.areas, length, LEAST_ADDRESS, space.map_base, align)
    if found == 0:
        found = tree.find_gap(space.areas, length, LEAST_ADDRESS, space.map_base, PAGE_SIZE)
    if found == 0:
        found = tree.find_gap_up(space.areas, length, max(space.map_base, u64(LEAST_ADDRESS)), USER_TOP)
    return i64(found) if found != 0 else -ENOMEM


@metal
def fixed(space: AddressSpace, address: u64, length: u64, flags: u32) -> i64:
    """Whether a mapping may lie exactly where it is asked for."""
    if address > USER_TOP - length:
        return -ENOMEM
    if address % PAGE_SIZE != 0:
        return -EINVAL
    if address < LEAST_ADDRESS:
        return -EPERM
    if flags & MAP_FIXED_NOREPLACE != 0 and tree.overlapping(space.areas, address, address + length):
        return -EEXIST
    return i64(address)


@metal
def free_for(space: AddressSpace, address: u64, length: u64) -> bool:
    """Whether nothing is mapped in a range, nor a stack just above it."""
    area = tree.find_from(space.areas, address)
    return area is None or address + length <= area.low()


@metal
def alignment_for(length: u64) -> u64:
    """How a mapping of anonymous memory should be aligned so that 2 MiB pages fit."""
    return u64(HUGE_SIZE) if length >= HUGE_SIZE and length % HUGE_SIZE == 0 else u64(PAGE_SIZE)
