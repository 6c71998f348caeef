"""Mappings of the kernel half that are made while it runs: kernel stacks, device registers, firmware tables.

All lie below one entry of the top table that exists from the start, so that every address space has them.
"""

from goanna.metal import ACQUIRE, RELEASE, Atomic, metal, static, u64, unsafe

from .layout import DEVICE_AREA, DEVICE_AREA_END, KERNEL_AREA, PAGE_SIZE
from .page_table import (
    ACCESSED,
    DIRTY,
    GLOBAL,
    NO_CACHE,
    NO_EXECUTE,
    PRESENT,
    WRITABLE,
    kernel_table,
    slot_of,
)
from .tlb import flush_kernel, pause
from .trap import ending

__all__ = ["kernel_map", "kernel_map_device", "kernel_map_firmware", "kernel_unmap"]

INNER = PRESENT | WRITABLE | ACCESSED
PAGE = PRESENT | ACCESSED | DIRTY | GLOBAL | NO_EXECUTE

next_device = static(u64, DEVICE_AREA)
gate = static(Atomic[u64])  # a spin lock around changes of the kernel half; base/lock.py stands above this room


@metal
def enter_gate() -> None:
    """Take the lock, from a processor that was stopped too: the way to switch the machine off leads through here."""
    while gate.exchange(1, order=ACQUIRE) != 0:
        if ending():
            return
        pause()


@metal
def leave_gate() -> None:
    """Release it."""
    gate.store(0, order=RELEASE)


@metal
def put(address: u64, entry: u64) -> bool:
    """Write one entry of the kernel half. False: no page was left for a table."""
    assert address >= KERNEL_AREA, "not an address of the kernel's area"
    enter_gate()
    where = slot_of(kernel_table.root, address, 0, True, INNER)
    if where != 0:
        unsafe.store(u64, where, entry)
    leave_gate()
    return where != 0


@metal
def kernel_map(address: u64, page: u64, writable: bool) -> bool:
    """Map a page of RAM at an address of the kernel's area (KERNEL_AREA to DEVICE_AREA) where nothing is mapped.

    False: no page was left for a table.
    """
    rights: u64 = WRITABLE if writable else 0
    return put(address, page | PAGE | rights)


@metal
def kernel_unmap(address: u64) -> u64:
    """Take a page of the kernel's area away, from all processors. Gives its physical address, 0 if none was there."""
    enter_gate()
    where = slot_of(kernel_table.root, address, 0, False, 0)
    old: u64 = 0
    if where != 0:
        old = unsafe.at(Atomic[u64], where).exchange(0)
    leave_gate()
    if old != 0:
        flush_kernel(address, 1)
    return old & 0x000F_FFFF_FFFF_F000


@metal
def map_range(start: u64, size: u64, rights: u64) -> u64:
    """Map physical [start, start + size) in the device area, for good."""
    global next_device
    offset = start & (PAGE_SIZE - 1)
    pages = (offset + size + (PAGE_SIZE - 1)) // PAGE_SIZE
    base = next_device
    next_device = base + pages * PAGE_SIZE
    assert next_device <= DEVICE_AREA_END, "the device area is full"
    for index in range(u64(0), pages):
        done = put(base + index * PAGE_SIZE, (start - offset + index * PAGE_SIZE) | PAGE | rights)
        assert done, "no page is left for a table of the device area"
    return base + offset


@metal
def kernel_map_device(start: u64, size: u64) -> u64:
    """Where the registers at physical `start` are seen, uncached, writable. Stays mapped; ask once for each device."""
    return map_range(start, size, WRITABLE | NO_CACHE)


@metal
def kernel_map_firmware(start: u64, size: u64) -> u64:
    """Where tables that firmware left at physical `start` are read, cached, read-only. Stays mapped."""
    return map_range(start, size, 0)
