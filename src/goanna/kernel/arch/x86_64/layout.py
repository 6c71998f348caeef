"""Where things lie in the x86-64 address space, and how the pages of the machine are reached.

The upper half belongs to the kernel and is the same in every address space. Under pytest (GOANNA_ARCH is not
x86_64) the same modules run on the host: `virtual` then adds a base that the test points at a buffer, and
privileged instructions are left out.
"""

import os

from goanna.metal import metal, static, u64, wrapping

__all__ = [
    "DEVICE_AREA", "DEVICE_AREA_END", "DIRECT_MAP", "HUGE_SIZE", "KERNEL_AREA", "KERNEL_OFFSET", "KERNEL_PHYSICAL",
    "KERNEL_VIRTUAL", "LOWEST_KERNEL_ADDRESS", "PAGE_SHIFT", "PAGE_SIZE", "PROCESSOR_AREA", "SIMULATED",
    "TRAMPOLINE", "USER_TOP", "direct_map_base", "physical", "virtual",
]  # fmt: skip

SIMULATED = os.environ.get("GOANNA_ARCH") != "x86_64"

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
HUGE_SIZE = 2 << 20
USER_TOP = 0x7FFF_FFFF_F000  # first address past user space: the last page below the hole stays unmapped, as in Linux
DIRECT_MAP = 0xFFFF_8000_0000_0000
LOWEST_KERNEL_ADDRESS = DIRECT_MAP
KERNEL_VIRTUAL = 0xFFFF_FFFF_8010_0000  # linked here ...
KERNEL_PHYSICAL = 0x10_0000  # ... and loaded here, where RAM goes on: so it can say that a machine is too small for it
KERNEL_OFFSET = KERNEL_VIRTUAL - KERNEL_PHYSICAL  # a border of 2 MiB
# One entry of the top table (512 GiB) serves everything that is mapped later, so that it is there in every address
# space.
KERNEL_AREA = 0xFFFF_C900_0000_0000  # kernel stacks; the memory room hands out addresses in it
DEVICE_AREA = 0xFFFF_C940_0000_0000  # device registers and firmware tables
DEVICE_AREA_END = 0xFFFF_C960_0000_0000
PROCESSOR_AREA = 0xFFFF_C960_0000_0000  # variables and stacks of the processors after the first
TRAMPOLINE = 0x1000  # physical page where further processors start; frame 0 stays unused

direct_map_base = static(u64)  # under pytest only


@metal(inline=True)
def virtual(address: u64) -> u64:
    """The address at which a physical address of RAM is seen by the kernel."""
    if SIMULATED:
        return wrapping(address + direct_map_base)
    return wrapping(address + DIRECT_MAP)


@metal(inline=True)
def physical(address: u64) -> u64:
    """The physical address behind an address in the direct map."""
    if SIMULATED:
        return wrapping(address - direct_map_base)
    return wrapping(address - DIRECT_MAP)
