"""Physical memory on the host: an arena that a test maps, whose first byte has the physical address 0.

A test sets `arena` to the address of a mapping of its own and tells memory/pages.py how large it is.
"""

from goanna.metal import metal, static, u64

__all__ = ["DIRECT_MAP", "HUGE_SIZE", "PAGE_SHIFT", "PAGE_SIZE", "USER_TOP", "arena", "physical", "virtual"]

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
HUGE_SIZE = 2 << 20
USER_TOP = 0x7FFF_FFFF_F000
DIRECT_MAP = 0xFFFF_8000_0000_0000

arena = static(u64)  # host address of physical address 0


@metal(inline=True)
def virtual(physical: u64) -> u64:
    """Where the kernel reaches a physical address."""
    return physical + arena


@metal(inline=True)
def physical(address: u64) -> u64:
    """The physical address of what lies in the arena."""
    return address - arena
