"""A copy of an address space for a new process: both share every page until one of them writes to it."""

from goanna.kernel.arch import (
    PAGE_SHIFT,
    PAGE_SIZE,
    USER_TOP,
    entry_huge,
    entry_physical,
    entry_writable,
    table_lookup,
    table_map,
    table_next,
    table_protect,
    tlb_flush,
)
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import pages
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Ptr, metal

__all__ = ["duplicate"]


@metal
def duplicate(parent: AddressSpace) -> Ptr[AddressSpace]:
    """The child's space with one reference, or None if there is no memory. No lock is held."""
    child = spaces.create()
    if child is None:
        return None
    with parent.lock:
        done = copy_areas(parent, child)
        tlb_flush(parent.table, 0, USER_TOP >> PAGE_SHIFT)
    if not done:
        spaces.release(child)
        return None
    return child


@metal
def copy_areas(parent: AddressSpace, child: AddressSpace) -> bool:
    """Copy all areas and their pages. False: no memory. The parent's lock is held; nobody else has the child."""
    copy_numbers(parent, child)
    area = parent.areas.first()
    while area is not None:
        if area.flags & tree.AREA_DONTFORK == 0 and not copy_area(parent, child, area):
            return False
        area = parent.areas.after(area)
    return True


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


@metal
def copy_area(parent: AddressSpace, child: AddressSpace, area: Area) -> bool:
    """Copy one area. Pages of shared areas are left to faults: the source has them."""
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
    if area.shared() or area.flags & tree.AREA_WIPEONFORK != 0:
        return True
    return share_pages(parent, child, area)


@metal
def share_pages(parent: AddressSpace, child: AddressSpace, area: Area) -> bool:
    """Map a private area's pages in the child too, read-only in both."""
    readable = area.unwritable()
    address = table_next(parent.table, area.start, area.end)
    while address < area.end:
        entry = table_lookup(parent.table, address)
        if entry_huge(entry):
            if spaces.split_entry(parent, address, entry) != 0:
                return False
            entry = table_lookup(parent.table, address)
        if entry_writable(entry):
            table_protect(parent.table, address, readable)
        physical = entry_physical(entry)
        pages.reference(physical)
        if not table_map(child.table, address, physical, readable):
            pages.release(physical)
            return False
        if spaces.counted(physical):
            child.commit(1)
        address = table_next(parent.table, address + PAGE_SIZE, area.end)
    parent.generation += 1
    return True
