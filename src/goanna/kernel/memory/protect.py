"""mprotect and the mlock family: what changes areas that stay where they are (Linux mm/mprotect.c, mm/mlock.c)."""

from goanna.kernel.arch import (
    HUGE_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
    USER_TOP,
    WRITE,
    entry_huge,
    entry_physical,
    interrupt_window,
    table_lookup,
    table_next,
    table_protect,
    tlb_flush,
)
from goanna.kernel.base.errno import EACCES, EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import pages
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.fault import populate
from goanna.kernel.memory.mapping import PROTECTION, over, over_lock_limit, round_up
from goanna.kernel.memory.space import AddressSpace, Doomed
from goanna.metal import i64, metal, u32, u64, wrapping

__all__ = ["lock", "lock_all", "protect", "unlock", "unlock_all"]

PROT_SEM = 8
PROT_GROWSDOWN = 0x01000000
PROT_GROWSUP = 0x02000000

MCL_CURRENT = 1
MCL_FUTURE = 2
MCL_ONFAULT = 4
LOCK_FLAGS = tree.AREA_LOCKED | tree.AREA_LOCK_ON_FAULT


@metal
def protect(space: AddressSpace, address: u64, length: u64, protection: u32) -> i64:
    """mprotect: 0, -EINVAL, -ENOMEM (a hole, or no memory) or -EACCES (a file open for reading only). No lock is held.

    What lies before a hole, or before an area that refuses, is changed nevertheless, as on Linux.
    """
    grows = protection & (PROT_GROWSDOWN | PROT_GROWSUP)
    wanted = protection & ~(PROT_GROWSDOWN | PROT_GROWSUP)
    if grows == PROT_GROWSDOWN | PROT_GROWSUP or address % PAGE_SIZE != 0:
        return -EINVAL
    if length == 0:
        return 0
    size = round_up(length)
    end = wrapping(address + size)
    if end <= address:
        return -ENOMEM
    if wanted & ~(PROTECTION | PROT_SEM) != 0:
        return -EINVAL
    with space.lock:
        result = first_area(space, address, end, grows)
    if result < 0:
        return result
    at = u64(result)
    while True:
        doomed = Doomed()
        with space.lock:
            reached, result = each_area(space, at, end, wanted & PROTECTION)
            spaces.join(space, at, min(reached, u64(USER_TOP)), doomed)
        spaces.bury(doomed)
        if result != -EAGAIN:
            return result
        at = reached
        interrupt_window()


@metal
def first_area(space: AddressSpace, address: u64, end: u64, grows: u32) -> i64:
    """Where mprotect starts: the address, or the start of a stack's area with PROT_GROWSDOWN. -ENOMEM, -EINVAL."""
    area = tree.find_from(space.areas, address)
    if area is None:
        return -ENOMEM
    if grows & PROT_GROWSDOWN != 0:
        if area.start >= end:
            return -ENOMEM
        return i64(area.start) if area.flags & tree.AREA_GROWSDOWN != 0 else -EINVAL
    if area.start > address:
        return -ENOMEM
    return i64(address) if grows & PROT_GROWSUP == 0 else -EINVAL


@metal
def each_area(space: AddressSpace, start: u64, end: u64, protection: u32) -> tuple[u64, i64]:
    """Give the areas of [start, end) a protection, until so many pages have changed that others must have their turn.

    The address reached, and 0, -EAGAIN (there is more to do), -ENOMEM or -EACCES. The lock is held.
    """
    at = start
    left: u64 = spaces.PIECE
    while at < end:
        if left == 0:
            return at, -EAGAIN
        area = tree.find(space.areas, at)
        if area is None:
            return at, -ENOMEM
        if protection & ~area.maximum != 0:
            return at, -EACCES
        stop = min(area.end, end)
        if area.protection != protection:
            if not may_become(space, area, stop - at, protection):
                return at, -ENOMEM
            stop, left = after_pages(space, at, stop, left)
            if spaces.cut(space, at) != 0 or spaces.cut(space, stop) != 0:
                return at, -ENOMEM
            area = tree.find(space.areas, at)
            narrowed = area.protection & ~protection != 0
            spaces.account(space, area, False)
            area.protection = protection
            spaces.account(space, area, True)
            space.generation += 1
            change_pages(space, area, narrowed)
        at = stop
    return end, 0


@metal
def after_pages(space: AddressSpace, start: u64, end: u64, most: u64) -> tuple[u64, u64]:
    """The end of the first `most` pages mapped in [start, end), or `end` if there are fewer; how many are left then."""
    left = most
    at = start
    while left != 0:
        at = table_next(space.table, at, end)
        if at >= end:
            return end, left
        at = (at & ~(HUGE_SIZE - 1)) + HUGE_SIZE if entry_huge(table_lookup(space.table, at)) else at + PAGE_SIZE
        left -= 1
    return min(at, end), 0


@metal
def may_become(space: AddressSpace, area: Area, size: u64, protection: u32) -> bool:
    """Whether memory that becomes writable stays within RLIMIT_DATA."""
    if spaces.is_data(area) or protection & WRITE == 0 or area.flags & (tree.AREA_SHARED | tree.AREA_GROWSDOWN) != 0:
        return True
    return not over(space.data, size, space.data_limit)


@metal
def change_pages(space: AddressSpace, area: Area, narrowed: bool) -> None:
    """Bring the page table up to an area's new protection. A page that others have too stays read-only.

    Processors need only forget what may be done no longer; what they lack ends in a fault that finds it there.
    """
    first: u64 = 0
    last: u64 = 0
    address = table_next(space.table, area.start, area.end)
    while address < area.end:
        entry = table_lookup(space.table, address)
        mine = area.shared() or pages.exclusive(entry_physical(entry))
        table_protect(space.table, address, area.protection if mine else area.unwritable())
        if last == 0:
            first = address
        last = address + (HUGE_SIZE if entry_huge(entry) else PAGE_SIZE)
        address = table_next(space.table, last, area.end)
    if last != 0 and narrowed:
        tlb_flush(space.table, first, (last - first) >> PAGE_SHIFT)


@metal
def flag_areas(space: AddressSpace, start: u64, end: u64, flags: u32) -> i64:
    """Give every area of [start, end) these LOCK_FLAGS in place of its own. 0 or -ENOMEM. The lock is held."""
    at = start
    while at < end:
        area = tree.find(space.areas, at)
        if area is None:
            return -ENOMEM
        stop = min(area.end, end)
        if area.flags & LOCK_FLAGS != flags:
            if spaces.cut(space, at) != 0 or spaces.cut(space, stop) != 0:
                return -ENOMEM
            area = tree.find(space.areas, at)
            spaces.account(space, area, False)
            area.flags = (area.flags & ~LOCK_FLAGS) | flags
            spaces.account(space, area, True)
            space.generation += 1
        at = stop
    return 0


@metal
def lock(space: AddressSpace, address: u64, length: u64, on_fault: bool) -> i64:
    """mlock, and mlock2 with `on_fault`: 0, -ENOMEM (a hole, over RLIMIT_MEMLOCK), -EPERM (limit 0), -EINVAL."""
    start = address & ~(PAGE_SIZE - 1)
    size = round_up(wrapping(length + address % PAGE_SIZE))
    end = wrapping(start + size)
    if space.lock_limit == 0 and not space.locks_freely:
        return -EPERM
    doomed = Doomed()
    with space.lock:
        result: i64 = 0
        already: u64 = locked_in(space, start, end) if end > start else 0
        unlimited = space.lock_limit == spaces.UNLIMITED
        if not unlimited and over_lock_limit(space, space.locked - already, size):
            result = -ENOMEM
        elif end < start:
            result = -EINVAL
        elif end > start:
            flags: u32 = LOCK_FLAGS if on_fault else tree.AREA_LOCKED
            result = flag_areas(space, start, end, flags)
            spaces.join(space, start, min(end, u64(USER_TOP)), doomed)
    spaces.bury(doomed)
    if result == 0 and not on_fault and end > start:
        result = populate(space, start, end)
        return result if result != -EFAULT and result != -EACCES else -ENOMEM
    return result


@metal
def locked_in(space: AddressSpace, start: u64, end: u64) -> u64:
    """How many bytes of a range are locked already. The lock is held."""
    total: u64 = 0
    area = tree.find_from(space.areas, start)
    while area is not None and area.start < end:
        if area.flags & tree.AREA_LOCKED != 0:
            total += min(area.end, end) - max(area.start, start)
        area = space.areas.after(area)
    return total


@metal
def unlock(space: AddressSpace, address: u64, length: u64) -> i64:
    """munlock: 0, -ENOMEM or -EINVAL."""
    start = address & ~(PAGE_SIZE - 1)
    end = wrapping(start + round_up(wrapping(length + address % PAGE_SIZE)))
    if end < start:
        return -EINVAL
    doomed = Doomed()
    with space.lock:
        result = flag_areas(space, start, end, 0)
        spaces.join(space, start, min(end, u64(USER_TOP)), doomed)
    spaces.bury(doomed)
    return result


@metal
def lock_all(space: AddressSpace, flags: u32) -> i64:
    """mlockall: 0, -EINVAL, -EPERM or -ENOMEM."""
    if flags == 0 or flags == MCL_ONFAULT or flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0:
        return -EINVAL
    if space.lock_limit == 0 and not space.locks_freely:
        return -EPERM
    lock_flags: u32 = LOCK_FLAGS if flags & MCL_ONFAULT != 0 else tree.AREA_LOCKED
    with space.lock:
        if flags & MCL_CURRENT != 0 and over_lock_limit(space, 0, space.mapped):
            return -ENOMEM
        space.lock_future = lock_flags if flags & MCL_FUTURE != 0 else u32(0)
        if flags & MCL_CURRENT != 0:
            set_all(space, lock_flags)
    if flags & MCL_CURRENT != 0 and flags & MCL_ONFAULT == 0:
        populate_all(space)
    return 0


@metal
def unlock_all(space: AddressSpace) -> i64:
    """munlockall: 0."""
    with space.lock:
        space.lock_future = 0
        set_all(space, 0)
    return 0


@metal
def set_all(space: AddressSpace, flags: u32) -> None:
    """Give every area these LOCK_FLAGS. The lock is held."""
    area = space.areas.first()
    while area is not None:
        spaces.account(space, area, False)
        area.flags = (area.flags & ~LOCK_FLAGS) | flags
        spaces.account(space, area, True)
        area = space.areas.after(area)
    space.generation += 1


@metal
def populate_all(space: AddressSpace) -> None:
    """Bring every page in that can be."""
    at: u64 = 0
    while True:
        with space.lock:
            area = tree.find_from(space.areas, at)
            if area is None:
                return
            start = area.start
            end = area.end
        populate(space, max(start, at), end)
        at = end
