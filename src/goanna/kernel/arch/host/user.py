"""User memory on the host: accesses walk the running page table in software, fault as a processor would, and mark pages
as touched. The pages lie in the arena."""

from goanna.kernel.arch.host.arena import HUGE_SIZE, PAGE_SIZE, USER_TOP, virtual
from goanna.kernel.arch.host.frame import Frame
from goanna.kernel.arch.host.page_table import (
    ACCESSED,
    DIRTY,
    READ,
    WRITE,
    entry_huge,
    entry_physical,
    entry_place,
    kernel_table,
    running_table,
)
from goanna.kernel.arch.host.processors import preemption_point
from goanna.metal import Fn, copy, fill, hook, metal, u8, u32, u64, unsafe

__all__ = [
    "on_page_fault",
    "user_compare_exchange32",
    "user_copy_in",
    "user_copy_out",
    "user_load32",
    "user_store32",
    "user_zero",
]

on_page_fault = hook(Fn[[Frame, u64, u32], bool])


@metal
def reach(address: u64, access: u32) -> u64:
    """Where the byte at a user address lies, 0 after a fault that could not be mended."""
    if address >= USER_TOP or running_table is None or running_table is kernel_table:
        return 0
    for _ in range(4):
        place = entry_place(running_table, address)
        if place != 0:
            entry = unsafe.load(u64, place)
            if entry & u64(access) == u64(access):
                unsafe.store(u64, place, entry | ACCESSED | (DIRTY if access == WRITE else 0))
                size: u64 = HUGE_SIZE if entry_huge(entry) else PAGE_SIZE
                return virtual(entry_physical(entry)) + address % size
        frame = Frame(kernel=1)
        if not on_page_fault(frame, address, access):
            return 0
    return 0


@metal
def user_copy_in(destination: u64, source: u64, count: u64) -> u64:
    """Copy `count` bytes from the user address `source`; how many were not copied."""
    preemption_point()
    left = count
    while left > 0:
        place = reach(source, READ)
        if place == 0:
            return left
        step = min(left, PAGE_SIZE - source % PAGE_SIZE)
        copy(unsafe.slice(u8, destination, step), unsafe.slice(u8, place, step))
        source += step
        destination += step
        left -= step
    return 0


@metal
def user_copy_out(destination: u64, source: u64, count: u64) -> u64:
    """Copy `count` bytes to the user address `destination`; how many were not copied."""
    preemption_point()
    left = count
    while left > 0:
        place = reach(destination, WRITE)
        if place == 0:
            return left
        step = min(left, PAGE_SIZE - destination % PAGE_SIZE)
        copy(unsafe.slice(u8, place, step), unsafe.slice(u8, source, step))
        source += step
        destination += step
        left -= step
    return 0


@metal
def user_zero(address: u64, count: u64) -> u64:
    """Zero `count` bytes at a user address; how many were not."""
    preemption_point()
    left = count
    while left > 0:
        place = reach(address, WRITE)
        if place == 0:
            return left
        step = min(left, PAGE_SIZE - address % PAGE_SIZE)
        fill(unsafe.slice(u8, place, step), 0)
        address += step
        left -= step
    return 0


@metal
def user_load32(address: u64) -> tuple[bool, u32]:
    """Whether it faulted, and the word at a user address."""
    preemption_point()
    place = reach(address, READ)
    if place == 0:
        return True, u32(0)
    return False, unsafe.load(u32, place, unaligned=True)


@metal
def user_store32(address: u64, value: u32) -> bool:
    """Store a word at a user address; whether it faulted."""
    preemption_point()
    place = reach(address, WRITE)
    if place == 0:
        return True
    unsafe.store(u32, place, value, unaligned=True)
    return False


@metal
def user_compare_exchange32(address: u64, expected: u32, new: u32) -> tuple[bool, u32]:
    """Whether it faulted, and the word that was there: `new` is stored if it was `expected`."""
    preemption_point()
    place = reach(address, WRITE)
    if place == 0:
        return True, u32(0)
    old = unsafe.load(u32, place)
    if old == expected:
        unsafe.store(u32, place, new)
    return False, old
