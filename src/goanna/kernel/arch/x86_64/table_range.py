"""Page tables by the range: what munmap, fork and the end of a process do to many entries at once.

Each looks for a table once, and then goes through the entries in it. The caller holds the lock of the address space, or
is the only one that has it.
"""

from goanna.metal import Array, Atomic, Slice, metal, u64, unsafe, wrapping

from .layout import HUGE_SIZE, PAGE_SIZE, USER_TOP, virtual
from .page_table import (
    ADDRESS,
    DIRTY,
    ENTRIES,
    HUGE,
    PRESENT,
    WRITABLE,
    PageTable,
    make_slot,
    slot,
    table_page_free,
)

__all__ = ["table_drop", "table_share", "table_take", "table_trim"]


@metal(inline=True)
def span_end(address: u64, level: u64) -> u64:
    """The address after those that share an entry of a table of `level` (0: of pages, 3: the top) with `address`."""
    return wrapping((address | ((u64(1) << (12 + 9 * level)) - 1)) + 1)


@metal
def descend(table: PageTable, address: u64) -> tuple[u64, u64]:
    """Where the entry for `address` lies that leads to no other table, and the level of the table it is in."""
    page = table.root
    level: u64 = 3
    while True:
        where = slot(page, address, level)
        if level == 0:
            return where, level
        entry = unsafe.load(u64, where)
        if entry == 0 or entry & HUGE != 0:
            return where, level
        page = entry & ADDRESS
        level -= 1


@metal
def table_take(table: PageTable, start: u64, end: u64, taken: Slice[u64]) -> tuple[u64, u64, u64]:
    """Take the pages (of either size) in [start, end) away, at most len(taken) of them. No flush.

    How many, whose old entries are then in `taken`; the address of the first; and the address up to which nothing is
    mapped any more. A large page that is only partly inside is an error of the caller's.
    """
    count: u64 = 0
    first = end
    address = start
    while address < end and count < len(taken):
        where, level = descend(table, address)
        if level == 0:
            limit = min(end, span_end(address, 1))
            while address < limit and count < len(taken):
                entry = unsafe.load(u64, where)
                if entry != 0:
                    first = min(first, address)
                    unsafe.store(u64, where, 0)
                    taken[count] = entry
                    count += 1
                where += 8
                address += PAGE_SIZE
            continue
        above = span_end(address, level)
        entry = unsafe.load(u64, where)
        if entry != 0:
            assert span_end(address, 1) - address == HUGE_SIZE and above <= end, "a part of a large page was taken away"
            first = min(first, address)
            unsafe.store(u64, where, 0)
            taken[count] = entry
            count += 1
        address = above
    return count, first, min(address, end)


@metal
def table_share(table: PageTable, other: PageTable, start: u64, end: u64, shared: Slice[u64]) -> tuple[u64, u64, bool]:
    """Map the pages of 4 KiB in [start, end) in another table as well, at the same addresses and read-only in both, at
    most len(shared) of them. No flush; nothing is mapped there in the other table.

    How many, whose entries are then in `shared`; the address where it stopped: `end`, or because `shared` is full or a
    large page lies there; and False if it stopped because no page was left for a table.
    """
    count: u64 = 0
    address = start
    while address < end and count < len(shared):
        where, level = descend(table, address)
        if level != 0:
            if unsafe.load(u64, where) != 0:
                return count, address, True
            address = min(end, span_end(address, level))
            continue
        target: u64 = 0
        limit = min(end, span_end(address, 1))
        while address < limit and count < len(shared):
            entry = unsafe.load(u64, where)
            if entry != 0:
                if target == 0:
                    target = make_slot(other, address, 0)
                    if target == 0:
                        return count, address, False
                if entry & WRITABLE != 0:
                    unsafe.at(Atomic[u64], where).and_(~u64(WRITABLE))
                entry &= ~u64(WRITABLE | DIRTY)
                unsafe.store(u64, target, entry)
                shared[count] = entry
                count += 1
            where += 8
            address += PAGE_SIZE
            if target != 0:
                target += 8
    return count, address, True


@metal
def table_drop(table: PageTable, start: u64, end: u64, next: u64) -> None:
    """Free the tables that served [start, end), where nothing is mapped any more, but for those that serve addresses
    from `next` on as well.

    For the end of an address space that no processor runs on: once for each range that was in use, the lowest first.
    """
    drop(table, table.root, 3, start, end, next)


@metal
def drop(table: PageTable, page: u64, level: u64, start: u64, end: u64, next: u64) -> None:
    """The same below one table."""
    address = start
    while address < end:
        above = span_end(address, level)
        where = slot(page, address, level)
        entry = unsafe.load(u64, where)
        if entry != 0:
            if level > 1:
                drop(table, entry & ADDRESS, level - 1, address, min(end, above), next)
            if next >= above:
                unsafe.store(u64, where, 0)
                table_page_free(entry & ADDRESS)
                table.tables -= 1
        address = above


@metal
def table_trim(table: PageTable, start: u64, end: u64) -> u64:
    """Take out the tables that serve nothing but addresses in [start, end), in which nothing is mapped any more.

    They come back as a chain: physical address of the first, in the first word of each that of the next, 0 at the end.
    Processors may still remember where they were: they are to be freed after a flush.
    """
    return trim(table, table.root, 3, 0, start, min(end, u64(USER_TOP) + PAGE_SIZE), 0)


@metal
def trim(table: PageTable, page: u64, level: u64, base: u64, start: u64, end: u64, chain: u64) -> u64:
    """The same below one table, whose first entry is for `base`; put before `chain`."""
    size = u64(1) << (12 + 9 * level)
    index = (max(start, base) - base) // size
    while index < ENTRIES and base + index * size < end:
        low = base + index * size
        where = virtual(page) + index * 8
        entry = unsafe.load(u64, where)
        index += 1
        if entry & PRESENT != 0 and entry & HUGE == 0:
            if level > 1:
                chain = trim(table, entry & ADDRESS, level - 1, low, start, end, chain)
            if low >= start and low + size <= end and empty(entry & ADDRESS):
                unsafe.store(u64, where, 0)
                unsafe.store(u64, virtual(entry & ADDRESS), chain)
                table.tables -= 1
                chain = entry & ADDRESS
    return chain


@metal
def empty(page: u64) -> bool:
    """Whether a table has no entry."""
    start = virtual(page)
    for index in range(u64(0), u64(ENTRIES // 4)):
        four = unsafe.at(Array[u64, 4], wrapping(start + index * 32))
        if four[0] | four[1] | four[2] | four[3] != 0:
            return False
    return True
