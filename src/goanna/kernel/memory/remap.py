"""mremap: mappings that grow, shrink and move with their pages (Linux mm/mremap.c)."""

from goanna.kernel.arch import (
    HUGE_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
    USER_TOP,
    entry_huge,
    entry_physical,
    entry_writable,
    interrupt_window,
    table_lookup,
    table_map,
    table_map_huge,
    table_next,
    table_unmap,
    tlb_flush,
)
from goanna.kernel.base.errno import EAGAIN, EFAULT, EINVAL, ENOMEM
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.fault import populate
from goanna.kernel.memory.mapping import LOCKED_OUT, over, over_lock_limit, round_up
from goanna.kernel.memory.placement import MAP_FIXED, choose
from goanna.kernel.memory.space import AddressSpace, Doomed
from goanna.metal import i64, metal, struct, u32, u64, wrapping

__all__ = ["remap"]

MREMAP_MAYMOVE = 1
MREMAP_FIXED = 2
MREMAP_DONTUNMAP = 4


@struct
class Move:
    """An mremap on its way. Lengths are whole pages."""

    address: u64
    old: u64  # length
    new: u64  # length
    flags: u32  # MREMAP_*
    unused: u32
    target: u64  # with MREMAP_FIXED; a hint with MREMAP_DONTUNMAP alone


@metal
def remap(space: AddressSpace, address: u64, old_length: u64, new_length: u64, flags: u64, target: u64) -> i64:
    """mremap: the new address, or -EINVAL, -EFAULT (not one mapping), -ENOMEM, -EAGAIN (RLIMIT_MEMLOCK)."""
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0:
        return -EINVAL
    if flags & MREMAP_FIXED != 0 and flags & MREMAP_MAYMOVE == 0:
        return -EINVAL
    if flags & MREMAP_DONTUNMAP != 0 and (flags & MREMAP_MAYMOVE == 0 or old_length != new_length):
        return -EINVAL
    if address % PAGE_SIZE != 0:
        return -EINVAL
    move = Move(address=address, old=round_up(old_length), new=round_up(new_length), flags=u32(flags), target=target)
    if move.new == 0 or move.new > USER_TOP:
        return -EINVAL
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0:
        if target % PAGE_SIZE != 0 or target > USER_TOP - move.new:
            return -EINVAL
        if move.old > USER_TOP or address > USER_TOP - move.old:
            return -EINVAL
        if address + move.old > target and target + move.new > address:
            return -EINVAL
    if flags & MREMAP_FIXED != 0 and move.old == move.new:
        return move_all(space, move)
    return one(space, move)


@metal
def move_all(space: AddressSpace, move: Move) -> i64:
    """A move without a change of size: all mappings of the range, with the gaps between them (since Linux 6.17)."""
    start = move.address
    end = move.address + move.old
    target = move.target
    result: i64 = -EFAULT
    at = start
    while at < end:
        with space.lock:
            area = tree.find_from(space.areas, at)
            if area is None or area.start >= end:
                break
            if at == start and area.start > start:
                return -EFAULT
            move.address = max(area.start, start)
            move.old = min(area.end, end) - move.address
        move.new = move.old
        move.target = target + (move.address - start)
        at = move.address + move.old
        moved = one(space, move)
        if moved < 0:
            return moved
        result = i64(target)
    return result


@metal
def one(space: AddressSpace, move: Move) -> i64:
    """Resize or move one mapping."""
    old = move.old
    while True:
        doomed = Doomed()
        with space.lock:
            result = step(space, move, doomed)
        spaces.bury(doomed)
        if result != -EAGAIN:
            break
        interrupt_window()
    if result == LOCKED_OUT:
        return -EAGAIN
    if result > 0 and move.new > old:
        populate_locked(space, u64(result) + old, u64(result) + move.new)
    return result


@metal
def populate_locked(space: AddressSpace, start: u64, end: u64) -> None:
    """Bring in the pages that a locked mapping has grown by."""
    with space.lock:
        area = tree.find(space.areas, start)
        wanted = area is not None and area.flags & (tree.AREA_LOCKED | tree.AREA_LOCK_ON_FAULT) == tree.AREA_LOCKED
    if wanted:
        populate(space, start, end)


@metal
def step(space: AddressSpace, move: Move, doomed: Doomed) -> i64:
    """The work under the lock; -EAGAIN: give it up and call again."""
    area = tree.find(space.areas, move.address)
    if area is None:
        return -EFAULT
    fixed = move.flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0
    if fixed or move.new > move.old:
        result = check(space, area, move)
        if result != 0:
            return result
    if move.flags & MREMAP_FIXED != 0:
        result = spaces.clear_step(space, move.target, move.target + move.new, doomed)
        if result != 0:
            return result
    if move.old > move.new:
        end = wrapping(move.address + move.old)
        if end < move.address or end > USER_TOP:
            return -EINVAL
        result = spaces.clear_step(space, move.address + move.new, end, doomed)
        if result != 0:
            return result
        move.old = move.new
    if move.old == move.new and not fixed:
        return i64(move.address)
    area = tree.find(space.areas, move.address)
    if not fixed and area.end == move.address + move.old and expand(space, area, move, doomed):
        return i64(move.address)
    if move.flags & MREMAP_MAYMOVE == 0:
        return -ENOMEM
    target = choose_target(space, move)
    return target if target < 0 else carry(space, area, move, u64(target), doomed)


@metal
def check(space: AddressSpace, area: Area, move: Move) -> i64:
    """Whether a mapping may be resized or moved like this."""
    if move.old == 0 and not area.shared():
        return -EINVAL
    if min(move.old, move.new) > area.end - move.address:
        return -EFAULT
    if area.source is not None and area.offset + (move.address - area.start) > spaces.UNLIMITED - move.new:
        return -EINVAL
    more = move.new - min(move.new, move.old)
    if move.flags & MREMAP_DONTUNMAP != 0:
        more = move.new
    if area.flags & tree.AREA_LOCKED != 0 and over_lock_limit(space, space.locked, more):
        return LOCKED_OUT
    if over(space.mapped, more, space.size_limit):
        return -ENOMEM
    if spaces.is_data(area) and over(space.data, more, space.data_limit):
        return -ENOMEM
    return 0


@metal
def expand(space: AddressSpace, area: Area, move: Move, doomed: Doomed) -> bool:
    """Let a mapping grow where it is, if there is room."""
    end = move.address + move.new
    if end < area.end or end > USER_TOP or tree.overlapping(space.areas, area.end, end):
        return False
    spaces.account(space, area, False)
    area.end = end
    tree.resized(space.areas, area)
    spaces.account(space, area, True)
    space.generation += 1
    spaces.join(space, area.start, end, doomed)
    return True


@metal
def choose_target(space: AddressSpace, move: Move) -> i64:
    """Where a mapping goes that moves."""
    if move.flags & MREMAP_FIXED != 0:
        return choose(space, move.target, move.new, MAP_FIXED, PAGE_SIZE)
    hint = move.target if move.flags & MREMAP_DONTUNMAP != 0 else u64(0)
    return choose(space, hint, move.new, 0, PAGE_SIZE)


@metal
def carry(space: AddressSpace, area: Area, move: Move, target: u64, doomed: Doomed) -> i64:
    """Make the new mapping, move the pages, take the old one away."""
    end = move.address + move.old
    if space.count + 3 > spaces.most_areas.value:
        return -ENOMEM
    if spaces.cut(space, move.address) != 0 or spaces.cut(space, end) != 0:
        return -ENOMEM
    area = tree.find(space.areas, move.address)
    source = area.source
    if source is not None:
        source.acquire()
    fresh = tree.areas.allocate()
    if fresh is None or not move_pages(space, area, move.address, end, target):
        if fresh is not None:
            tree.areas.free(fresh)
        if source is not None:
            source.release()
        spaces.join(space, move.address, end, doomed)
        return -ENOMEM
    fresh.start = target
    fresh.end = target + move.new
    fresh.protection = area.protection
    fresh.maximum = area.maximum
    fresh.flags = area.flags
    fresh.source = source
    fresh.offset = area.offset if source is None else area.offset + (move.address - area.start)
    if move.old != 0 and move.flags & MREMAP_DONTUNMAP == 0:
        spaces.account(space, area, False)
        spaces.take_out(space, area, doomed)
    elif move.old != 0 and area.flags & tree.AREA_LOCKED != 0:
        spaces.account(space, area, False)
        area.flags &= ~(tree.AREA_LOCKED | tree.AREA_LOCK_ON_FAULT)
        spaces.account(space, area, True)
    tree.insert(space.areas, fresh)
    space.count += 1
    space.generation += 1
    spaces.account(space, fresh, True)
    spaces.join(space, target, target + move.new, doomed)
    spaces.join(space, move.address, end, doomed)
    return i64(target)


@metal
def move_pages(space: AddressSpace, area: Area, start: u64, end: u64, target: u64) -> bool:
    """Move the pages in [start, end) to `target`. False: no memory for the page table, and all is as it was."""
    moved = shift_pages(space, area, start, end, target)
    if moved < end:
        shift_pages(space, area, target, target + (moved - start), start)
    tlb_flush(space.table, start, (end - start) >> PAGE_SHIFT)
    if moved < end:
        tlb_flush(space.table, target, (moved - start) >> PAGE_SHIFT)
    return moved >= end


@metal
def shift_pages(space: AddressSpace, area: Area, start: u64, end: u64, target: u64) -> u64:
    """Move entries one by one; `end`, or the address of the first that could not be moved."""
    together = start % HUGE_SIZE == target % HUGE_SIZE
    address = table_next(space.table, start, end)
    while address < end:
        entry = table_lookup(space.table, address)
        to = target + (address - start)
        if entry_huge(entry) and not together:
            if spaces.split_entry(space, address, entry) != 0:
                return address
            entry = table_lookup(space.table, address)
        protection = area.protection if entry_writable(entry) else area.unwritable()
        table_unmap(space.table, address)
        if entry_huge(entry):
            if not table_map_huge(space.table, to, entry_physical(entry), protection):
                table_map_huge(space.table, address, entry_physical(entry), protection)
                return address
            address += HUGE_SIZE
        else:
            if not table_map(space.table, to, entry_physical(entry), protection):
                table_map(space.table, address, entry_physical(entry), protection)
                return address
            address += PAGE_SIZE
        address = table_next(space.table, address, end)
    return end
