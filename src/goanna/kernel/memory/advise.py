"""madvise, mincore and msync: what programs say and ask about memory that stays mapped.

Answers are Linux's (mm/madvise.c, mm/mincore.c, mm/msync.c).
"""

from goanna.kernel.arch import (
    HUGE_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    WRITE,
    entry_huge,
    entry_physical,
    interrupt_window,
    table_lookup,
    table_map_huge,
    table_next,
)
from goanna.kernel.base.errno import EACCES, EAGAIN, EBUSY, EFAULT, EINVAL, EIO, ENOMEM, EOPNOTSUPP
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import pages
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.fault import copy_page, handle_fault
from goanna.kernel.memory.mapping import round_up
from goanna.kernel.memory.source import PageSource
from goanna.kernel.memory.space import AddressSpace, Doomed
from goanna.metal import Ptr, Slice, i64, metal, u8, u32, u64, unreachable, wrapping

__all__ = ["advise", "resident", "synchronise"]

MADV_DONTNEED = 4
MADV_FREE = 8
MADV_REMOVE = 9
MADV_DONTFORK = 10
MADV_DOFORK = 11
MADV_HUGEPAGE = 14
MADV_NOHUGEPAGE = 15
MADV_DONTDUMP = 16
MADV_DODUMP = 17
MADV_WIPEONFORK = 18
MADV_KEEPONFORK = 19
MADV_COLD = 20
MADV_PAGEOUT = 21
MADV_POPULATE_READ = 22
MADV_POPULATE_WRITE = 23
MADV_DONTNEED_LOCKED = 24
MADV_COLLAPSE = 25

MS_ASYNC = 1
MS_INVALIDATE = 2
MS_SYNC = 4


@metal
def known(advice: u32) -> bool:
    """Whether this kernel takes the advice. Linux without KSM and memory failures takes the same."""
    return advice <= MADV_DONTNEED or (MADV_FREE <= advice <= MADV_COLLAPSE and advice not in (12, 13))


@metal
def advise(space: AddressSpace, address: u64, length: u64, advice: u32) -> i64:
    """madvise: 0, -EINVAL, -ENOMEM (a hole; the rest is done nevertheless), -EFAULT, -EOPNOTSUPP. No lock is held."""
    if not known(advice) or address % PAGE_SIZE != 0:
        return -EINVAL
    size = round_up(length)
    end = wrapping(address + size)
    if (length != 0 and size == 0) or end < address:
        return -EINVAL
    if end == address:
        return 0
    if advice in (MADV_POPULATE_READ, MADV_POPULATE_WRITE):
        return populate_all(space, address, end, READ if advice == MADV_POPULATE_READ else u32(WRITE))
    at = address
    holes = False
    while True:
        doomed = Doomed()
        with space.lock:
            area = tree.find_from(space.areas, at)
            if area is None or area.start >= end:
                return -ENOMEM
            if area.start > at:
                holes = True
            start = max(area.start, at)
            stop = min(area.end, end)
            if advice == MADV_COLLAPSE:
                stop = min(stop, (start & ~(HUGE_SIZE - 1)) + 2 * HUGE_SIZE)
            result = advise_area(space, area, start, stop, advice, doomed)
        spaces.bury(doomed)
        if result == -EAGAIN:
            interrupt_window()
            continue
        if result != 0:
            return result
        if stop >= end:
            return -ENOMEM if holes else i64(0)
        at = stop


@metal
def advise_area(space: AddressSpace, area: Area, start: u64, end: u64, advice: u32, doomed: Doomed) -> i64:
    """Take advice about a part of one area. -EAGAIN: give up the lock and call again. The lock is held."""
    locked = area.flags & tree.AREA_LOCKED != 0
    match advice:
        case 4 | 24:  # MADV_DONTNEED, MADV_DONTNEED_LOCKED
            return -EINVAL if locked and advice == MADV_DONTNEED else drop(space, start, end)
        case 8:  # MADV_FREE
            return -EINVAL if locked or area.source is not None else drop(space, start, end)
        case 9:  # MADV_REMOVE
            return -EINVAL if locked or not area.shared() else -EOPNOTSUPP
        case 10:  # MADV_DONTFORK
            return flag(space, area, start, end, tree.AREA_DONTFORK, 0, doomed)
        case 11:  # MADV_DOFORK
            return flag(space, area, start, end, 0, tree.AREA_DONTFORK, doomed)
        case 14:  # MADV_HUGEPAGE
            return flag(space, area, start, end, tree.ADVICE_HUGE, tree.ADVICE_SMALL, doomed)
        case 15:  # MADV_NOHUGEPAGE
            return flag(space, area, start, end, tree.ADVICE_SMALL, tree.ADVICE_HUGE, doomed)
        case 16:  # MADV_DONTDUMP
            return flag(space, area, start, end, tree.AREA_DONTDUMP, 0, doomed)
        case 17:  # MADV_DODUMP
            return flag(space, area, start, end, 0, tree.AREA_DONTDUMP, doomed)
        case 18:  # MADV_WIPEONFORK
            if area.source is not None or area.shared():
                return -EINVAL
            return flag(space, area, start, end, tree.AREA_WIPEONFORK, 0, doomed)
        case 19:  # MADV_KEEPONFORK
            return flag(space, area, start, end, 0, tree.AREA_WIPEONFORK, doomed)
        case 20 | 21:  # MADV_COLD, MADV_PAGEOUT: there is nowhere to page out to
            return -EINVAL if locked else i64(0)
        case 25:  # MADV_COLLAPSE
            return collapse(space, area, start, end)
        case _:
            return 0


@metal
def drop(space: AddressSpace, start: u64, end: u64) -> i64:
    """Drop the pages of a range: the next touch finds zeros, or the file. The lock is held."""
    if spaces.split_huge(space, start) != 0 or spaces.split_huge(space, end) != 0:
        return -ENOMEM
    return 0 if spaces.discard(space, start, end, spaces.PIECE) >= end else -EAGAIN


@metal
def flag(space: AddressSpace, area: Area, start: u64, end: u64, add: u32, take: u32, doomed: Doomed) -> i64:
    """Change the flags of a part of an area. The lock is held."""
    if (area.flags | add) & ~take == area.flags:
        return 0
    if spaces.cut(space, start) != 0 or spaces.cut(space, end) != 0:
        return -ENOMEM
    part: Area = tree.find(space.areas, start)
    part.flags = (part.flags | add) & ~take
    space.generation += 1
    spaces.join(space, start, end, doomed)
    return 0


@metal
def collapse(space: AddressSpace, area: Area, start: u64, end: u64) -> i64:
    """Put 2 MiB pages where small ones are. 0, -EINVAL (there are none), -ENOMEM. The lock is held."""
    if area.source is not None or area.flags & (tree.ADVICE_SMALL | tree.AREA_GROWSDOWN) != 0:
        return -EINVAL
    base = (start + (HUGE_SIZE - 1)) & ~(HUGE_SIZE - 1)
    while base < end and end - base >= HUGE_SIZE:
        entry = table_lookup(space.table, base)
        if entry == 0 or not entry_huge(entry):
            result = collapse_one(space, area, base)
            if result != 0:
                return result
        base += HUGE_SIZE
    return 0


@metal
def collapse_one(space: AddressSpace, area: Area, base: u64) -> i64:
    """Copy what is in 512 pages to one of 2 MiB. 0, -EINVAL (there is nothing yet), -ENOMEM. The lock is held."""
    if table_next(space.table, base, base + HUGE_SIZE) >= base + HUGE_SIZE:
        return -EINVAL
    block = pages.allocate_huge_for_program()
    if block == 0:
        return -ENOMEM
    for index in range(u64(HUGE_SIZE // PAGE_SIZE)):
        entry = table_lookup(space.table, base + index * PAGE_SIZE)
        if entry == 0:
            pages.clear(block + index * PAGE_SIZE)
        else:
            copy_page(block + index * PAGE_SIZE, entry_physical(entry))
    spaces.discard(space, base, base + HUGE_SIZE, HUGE_SIZE)
    if not table_map_huge(space.table, base, block, area.protection):
        unreachable("the table for these addresses was there a moment ago")
    space.commit(HUGE_SIZE >> PAGE_SHIFT)
    space.generation += 1
    return 0


@metal
def populate_all(space: AddressSpace, start: u64, end: u64, access: u32) -> i64:
    """MADV_POPULATE_*: 0, -ENOMEM (a hole, or no memory), -EINVAL (not allowed), -EFAULT (past the end of a file)."""
    address = start
    while address < end:
        with space.lock:
            area = tree.find(space.areas, address)
            if area is None:
                return -ENOMEM
        result = handle_fault(space, address, access)
        if result == -EACCES:
            return -EINVAL
        if result == -EIO:
            return -EFAULT
        if result == -EFAULT or result == -ENOMEM:
            return -ENOMEM
        with space.lock:
            entry = table_lookup(space.table, address)
        if entry != 0 and entry_huge(entry):
            address = (address & ~(HUGE_SIZE - 1)) + HUGE_SIZE
        else:
            address += PAGE_SIZE
        if address % HUGE_SIZE == 0:
            interrupt_window()
    return 0


@metal
def resident(space: AddressSpace, address: u64, answer: Slice[u8]) -> i64:
    """mincore for as many pages as `answer` has bytes: 1 for a page that is in memory. 0, or -ENOMEM for a hole."""
    with space.lock:
        for index in range(len(answer)):
            at = address + index * PAGE_SIZE
            area = space.find(at)
            if area is None:
                return -ENOMEM
            answer[index] = u8(table_lookup(space.table, at) != 0 or in_source(area, at))
    return 0


@metal
def in_source(area: Area, address: u64) -> bool:
    """Whether a page that is not mapped is in memory nevertheless, because its source has it."""
    source = area.source
    if source is None:
        return False
    return source.has_page is None or source.has_page(source, area.index(address))


@metal
def synchronise(space: AddressSpace, address: u64, length: u64, flags: u32) -> i64:
    """msync: 0, -EINVAL, -ENOMEM (a hole), -EBUSY (MS_INVALIDATE of locked memory), or what became of
    writing to where a file has another place."""
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0 or address % PAGE_SIZE != 0:
        return -EINVAL
    if flags & (MS_ASYNC | MS_SYNC) == MS_ASYNC | MS_SYNC:
        return -EINVAL
    end = wrapping(address + round_up(length))
    if end < address:
        return -ENOMEM
    holes = False
    elsewhere = False
    with space.lock:
        at = address
        while at < end:
            area = tree.find_from(space.areas, at)
            if area is None or area.start >= end:
                return -ENOMEM
            holes = holes or area.start > at
            elsewhere = elsewhere or (area.shared() and area.source is not None and area.source.synchronise is not None)
            if flags & MS_INVALIDATE != 0 and area.flags & tree.AREA_LOCKED != 0:
                return -EBUSY
            at = area.end
    if elsewhere and flags & MS_SYNC != 0:
        error = write_back(space, address, end)
        if error < 0:
            return error
    return -ENOMEM if holes else i64(0)


@metal
def write_back(space: AddressSpace, start: u64, end: u64) -> i64:
    """Have shared mappings in [start, end) whose files are kept elsewhere be written to there. 0 or an errno."""
    at = start
    while at < end:
        source: Ptr[PageSource] = None
        first: u64 = 0
        last: u64 = 0
        with space.lock:
            area = tree.find_from(space.areas, at)
            if area is None or area.start >= end:
                return 0
            at = max(at, area.start)
            stop = min(end, area.end)
            if area.shared() and area.source is not None and area.source.synchronise is not None:
                source = area.source
                source.acquire()
                first = area.index(at)
                last = first + (stop - at) // PAGE_SIZE
            at = stop
        if source is not None:
            error = source.synchronise(source, first, last)
            source.release()
            if error < 0:
                return error
    return 0
