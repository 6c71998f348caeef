"""A copy of an address space for a new process: both share every page until one of them writes to it.

The parent's lock is given up between pieces, so that its other threads and this processor's interrupts need not wait
for the whole. If another thread changes areas meanwhile, what was copied is thrown away and all is copied in one piece:
the child never sees some areas as they were before a change and others as they were after it.
"""

from goanna.kernel.arch import (
    PAGE_SHIFT,
    USER_TOP,
    entry_physical,
    interrupt_window,
    table_lookup,
    table_share,
    tlb_flush,
)
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import pages
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.space import UNLIMITED, AddressSpace
from goanna.metal import Array, Ptr, enumeration, metal, struct, u8, u64, unsafe

__all__ = ["duplicate"]

BATCH = 64  # pages whose references are counted together
PIECE = 16  # batches after which the lock is given up


@enumeration(u8)
class Outcome:
    """How far a piece of the copy has come."""

    MORE = 0
    DONE = 1
    NO_MEMORY = 2
    CHANGED = 3


@struct
class Progress:
    """What is copied next."""

    area: Ptr[Area]
    address: u64  # in it; 0: the child hasn't the area yet
    generation: u64  # of the parent, when it was found out


@metal
def duplicate(parent: AddressSpace) -> Ptr[AddressSpace]:
    """The child's space with one reference, or None if there is no memory. No lock is held."""
    child, outcome = copy_space(parent, PIECE)
    if outcome == Outcome.CHANGED:
        child, outcome = copy_space(parent, UNLIMITED)
    return child


@metal
def copy_space(parent: AddressSpace, most: u64) -> tuple[Ptr[AddressSpace], Outcome]:
    """The child's space, made in pieces of at most `most` batches. None: NO_MEMORY, or CHANGED by another thread."""
    child = spaces.create()
    if child is None:
        return None, Outcome.NO_MEMORY
    progress = Progress()
    with parent.lock:
        copy_numbers(parent, child)
        progress.area = parent.areas.first()
        progress.generation = parent.generation
        outcome = copy_piece(parent, child, progress, most)
    while outcome == Outcome.MORE:
        interrupt_window()
        with parent.lock:
            outcome = copy_piece(parent, child, progress, most)
    if outcome == Outcome.DONE:
        return child, outcome
    spaces.release(child)
    return None, outcome


@metal
def copy_piece(parent: AddressSpace, child: AddressSpace, progress: Progress, most: u64) -> Outcome:
    """Copy areas and their pages, and have all processors heed what is read-only now. The parent's lock is held; nobody
    else has the child."""
    if parent.generation != progress.generation:
        return Outcome.CHANGED
    parent.changes += 1
    outcome = copy_areas(parent, child, progress, most)
    progress.generation = parent.generation
    tlb_flush(parent.table, 0, USER_TOP >> PAGE_SHIFT)
    return outcome


@metal
def copy_areas(parent: AddressSpace, child: AddressSpace, progress: Progress, most: u64) -> Outcome:
    """The same without the flush."""
    left = most
    area = progress.area
    while area is not None:
        if area.flags & tree.AREA_DONTFORK == 0:
            if progress.address == 0 and not copy_area(child, area):
                return Outcome.NO_MEMORY
            # Pages of shared areas are left to faults: the source has them.
            if not area.shared() and area.flags & tree.AREA_WIPEONFORK == 0:
                left, outcome = share_pages(parent, child, area, progress, left)
                if outcome != Outcome.DONE:
                    progress.area = area
                    return outcome
        progress.address = 0
        area = parent.areas.after(area)
    return Outcome.DONE


@metal
def copy_numbers(parent: AddressSpace, child: AddressSpace) -> None:
    """Copy where things lie and what is allowed. Locks on memory are not inherited (mlock(2))."""
    child.map_base = parent.map_base
    child.code_start = parent.code_start
    child.code_end = parent.code_end
    child.data_start = parent.data_start
    child.data_end = parent.data_end
    child.break_start = parent.break_start
    child.break_end = parent.break_end
    child.stack_start = parent.stack_start
    child.argument_start = parent.argument_start
    child.argument_end = parent.argument_end
    child.environment_start = parent.environment_start
    child.environment_end = parent.environment_end
    child.vdso = parent.vdso
    child.stack_limit = parent.stack_limit
    child.size_limit = parent.size_limit
    child.data_limit = parent.data_limit
    child.lock_limit = parent.lock_limit
    child.locks_freely = parent.locks_freely


@metal
def copy_area(child: AddressSpace, area: Area) -> bool:
    """Give the child an area like one of the parent's, without its pages. False: no memory."""
    twin = tree.areas.allocate()
    if twin is None:
        return False
    twin.start = area.start
    twin.end = area.end
    twin.source = area.source
    twin.offset = area.offset
    twin.protection = area.protection
    twin.maximum = area.maximum
    twin.flags = area.flags & ~(tree.AREA_LOCKED | tree.AREA_LOCK_ON_FAULT)
    if twin.source is not None:
        twin.source.acquire()
    tree.insert(child.areas, twin)
    child.count += 1
    spaces.account(child, twin, True)
    return True


@metal
def share_pages(
    parent: AddressSpace, child: AddressSpace, area: Area, progress: Progress, most: u64
) -> tuple[u64, Outcome]:
    """Map a private area's pages in the child too, read-only in both. How many of `most` batches are left, and whether
    that was all of them."""
    entries = unsafe.uninitialized(Array[u64, BATCH])
    address = max(area.start, progress.address)
    left = most
    while address < area.end:
        if left == 0:
            progress.address = address
            return left, Outcome.MORE
        count, address, room = table_share(parent.table, child.table, address, area.end, entries)
        for index in range(count):
            physical = entry_physical(entries[index])
            pages.reference(physical)
            if spaces.counted(physical):
                child.commit(1)
        if not room:
            return left, Outcome.NO_MEMORY
        if count == BATCH:
            left -= 1
        elif address < area.end and spaces.split_entry(parent, address, table_lookup(parent.table, address)) != 0:
            return left, Outcome.NO_MEMORY
    return left, Outcome.DONE
