"""Page tables by the range, page by page: see x86_64/table_range.py."""

from goanna.kernel.arch.host.arena import HUGE_SIZE, PAGE_SIZE
from goanna.kernel.arch.host.page_table import (
    DIRTY,
    HUGE,
    READ,
    WRITE,
    PageTable,
    entry_huge,
    entry_place,
    table_lookup,
    table_next,
    table_unmap,
    walk,
)
from goanna.metal import Slice, metal, u64, unsafe

__all__ = ["table_drop", "table_share", "table_take"]


@metal
def table_take(table: PageTable, start: u64, end: u64, taken: Slice[u64]) -> tuple[u64, u64, u64]:
    """Take the pages (of either size) in [start, end) away, at most len(taken) of them: how many, the address of the
    first, and the address up to which nothing is mapped any more."""
    count: u64 = 0
    first = table_next(table, start, end)
    address = first
    while address < end and count < len(taken):
        entry = table_unmap(table, address)
        size: u64 = HUGE_SIZE if entry_huge(entry) else PAGE_SIZE
        assert address % size == 0 and end - address >= size, "a part of a 2 MiB page was taken away"
        taken[count] = entry
        count += 1
        address = table_next(table, address + size, end)
    return count, first, address


@metal
def table_share(table: PageTable, other: PageTable, start: u64, end: u64, shared: Slice[u64]) -> tuple[u64, u64, bool]:
    """Map the pages of 4 KiB in [start, end) in another table as well, read-only in both (what may be written may be
    read), at most len(shared) of them: how many, where it stopped, and False if there was no memory for a table."""
    count: u64 = 0
    address = table_next(table, start, end)
    while address < end and count < len(shared):
        entry = table_lookup(table, address)
        if entry & HUGE != 0:
            break
        place = walk(other, address, 0, True)
        if place == 0:
            return count, address, False
        if entry & WRITE != 0:
            entry = (entry & ~u64(WRITE)) | READ
            unsafe.store(u64, entry_place(table, address), entry)
        unsafe.store(u64, place, entry & ~u64(DIRTY))
        shared[count] = entry
        count += 1
        address = table_next(table, address + PAGE_SIZE, end)
    return count, address, True


@metal
def table_drop(table: PageTable, start: u64, end: u64, next: u64) -> None:
    """Nothing: table_destroy looks for all tables."""
