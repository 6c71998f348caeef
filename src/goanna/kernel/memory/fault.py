"""Page faults: what a touched page becomes.

A fault is answered in three steps: under the lock of the address space, what is needed is found out; without it, a page
is made ready (zeroed, copied, read from a file); under it again, the page is mapped if nothing has changed meanwhile.
"""

from goanna.kernel.arch import (
    EXECUTE,
    HUGE_SIZE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    USER_TOP,
    WRITE,
    entry_huge,
    entry_physical,
    entry_writable,
    interrupt_window,
    table_lookup,
    table_map,
    table_map_huge,
    table_next,
    table_protect,
    table_unmap,
    tlb_flush,
    virtual,
)
from goanna.kernel.base.errno import EACCES, EFAULT, EIO, ENOMEM
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import pages
from goanna.kernel.memory import space as spaces
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.source import NO_MEMORY, NO_PAGE, PageSource
from goanna.kernel.memory.space import AddressSpace, split_entry
from goanna.metal import Ptr, copy, enumeration, fill, i64, likely, metal, struct, u8, u32, u64, unsafe

__all__ = ["handle_fault", "populate"]

LEAST_ADDRESS = 65536  # Linux vm.mmap_min_addr

HUGE_AFTER = 2048  # pages in use before a program gets 2 MiB pages without asking: clearing one costs as much as 512


@enumeration(u8)
class Step:
    """What a fault needs before its page can be mapped."""

    NOTHING = 0
    ZEROS = 1  # a page of zeros
    HUGE = 2  # 2 MiB of zeros, or else a page
    COPY = 3  # a copy of the page mapped now
    SOURCE = 4  # the source's page
    SOURCE_COPY = 5  # a copy of the source's page


@struct
class Plan:
    """What was found out about a fault."""

    address: u64  # of the page
    generation: u64  # of the space
    changes: u64  # of the space
    entry: u64  # in the page table
    physical: u64  # of the page that will be mapped
    old: u64  # page to copy, with a reference
    index: u64  # in the source
    source: Ptr[PageSource]  # with a reference
    protection: u32
    step: Step
    shared: bool


@metal
def handle_fault(space: AddressSpace, address: u64, access: u32) -> i64:
    """Make `address` accessible for `access` (arch.READ, WRITE or EXECUTE). No lock is held; may take time.

    0: try again. -EFAULT: nothing is mapped there (SEGV_MAPERR). -EACCES: not in this way (SEGV_ACCERR). -EIO: the file
    has no such page (SIGBUS). -ENOMEM: memory has run out.
    """
    if address >= USER_TOP:
        return -EFAULT
    plan = Plan()
    plan.address = address & ~(PAGE_SIZE - 1)
    while True:
        with space.lock:
            result = prepare(space, access, plan)
        if plan.step == Step.NOTHING:
            return result
        result = supply(plan)
        done = False
        if likely(result == 0):
            with space.lock:
                done = finish(space, plan)
        if plan.source is not None:
            plan.source.release()
            plan.source = None
        if likely(done):
            return 0
        if result != 0 or plan.physical == 0:
            return result if result != 0 else -ENOMEM
        pages.release(plan.physical)


@metal
def prepare(space: AddressSpace, access: u32, plan: Plan) -> i64:
    """Find out what the fault needs; the result counts where that is NOTHING. The lock is held."""
    address = plan.address
    plan.step = Step.NOTHING
    area = space.find(address)
    if area is None:
        area = grow(space, address)
        if area is None:
            return -EFAULT
    if access & ~area.protection & (WRITE | EXECUTE) != 0 or area.protection == 0:
        return -EACCES
    entry = table_lookup(space.table, address)
    if entry != 0 and (access & WRITE == 0 or entry_writable(entry)):
        return 0
    if entry != 0 and entry_huge(entry):
        result = split_entry(space, address, entry)
        if result != 0:
            return result
        entry = table_lookup(space.table, address)
    plan.generation = space.generation
    plan.changes = space.changes
    plan.entry = entry
    plan.protection = area.protection
    plan.shared = area.shared()
    if entry != 0:
        return prepare_copy(space, area, plan)
    if area.source is not None:
        plan.source = area.source
        plan.source.acquire()
        plan.index = area.index(address)
        plan.step = Step.SOURCE
        if not plan.shared:
            plan.protection = area.unwritable()
            if access & WRITE != 0:
                plan.protection = area.protection
                plan.step = Step.SOURCE_COPY
    elif access & WRITE == 0:
        space.changes += 1
        if not table_map(space.table, address, pages.zero_page(), area.unwritable()):
            return -ENOMEM
    elif wants_huge(space, area, address):
        plan.step = Step.HUGE
    else:
        plan.step = Step.ZEROS
    return 0


@metal
def prepare_copy(space: AddressSpace, area: Area, plan: Plan) -> i64:
    """A write to a page that is mapped read-only. The lock is held."""
    physical = entry_physical(plan.entry)
    if area.shared() or pages.exclusive(physical):
        space.changes += 1
        table_protect(space.table, plan.address, area.protection)
    elif physical == pages.zero_page():
        plan.step = Step.ZEROS
    else:
        pages.reference(physical)
        plan.old = physical
        plan.step = Step.COPY
    return 0


@metal
def grow(space: AddressSpace, address: u64) -> Ptr[Area]:
    """Let the stack above grow down to `address`; None if there is none or it may not. The lock is held."""
    area = tree.find_from(space.areas, address)
    if area is None or area.flags & tree.AREA_GROWSDOWN == 0:
        return None
    extra = area.start - address
    if area.end - address > space.stack_limit or space.mapped + extra > space.size_limit or address < LEAST_ADDRESS:
        return None
    below = space.areas.before(area)
    if below is not None and below.protection != 0:
        apart = address - below.end
        if below.flags & tree.AREA_GROWSDOWN == 0 and apart < tree.STACK_GUARD:
            return None
    area.start = address
    tree.resized(space.areas, area)
    space.mapped += extra
    space.generation += 1
    if area.flags & tree.AREA_LOCKED != 0:
        space.locked += extra
    return area


@metal
def wants_huge(space: AddressSpace, area: Area, address: u64) -> bool:
    """Whether a fault in untouched anonymous memory should get a 2 MiB page. The lock is held."""
    if area.flags & (tree.ADVICE_SMALL | tree.AREA_GROWSDOWN) != 0:
        return False
    if area.flags & tree.ADVICE_HUGE == 0 and space.committed < HUGE_AFTER:
        return False
    base = address & ~(HUGE_SIZE - 1)
    if base < area.start or area.end - base < HUGE_SIZE or not pages.plentiful():
        return False
    return table_next(space.table, base, base + HUGE_SIZE) >= base + HUGE_SIZE


@metal
def supply(plan: Plan) -> i64:
    """Make the page ready that the plan asks for. No lock is held. 0, -EIO or -ENOMEM."""
    if plan.step == Step.SOURCE:
        return from_source(plan)
    if plan.step == Step.SOURCE_COPY:
        result = from_source(plan)
        if result != 0:
            return result
        plan.old = plan.physical
    if plan.step == Step.HUGE:
        plan.physical = pages.allocate_huge_for_program()
        if plan.physical != 0:
            fill(unsafe.slice(u64, virtual(plan.physical), HUGE_SIZE // 8), 0)
            return 0
        plan.step = Step.ZEROS
    plan.physical = pages.allocate_for_program()
    if plan.step == Step.ZEROS:
        if plan.physical != 0:
            pages.clear(plan.physical)
    else:
        if plan.physical != 0:
            copy_page(plan.physical, plan.old)
        pages.release(plan.old)
    return 0 if plan.physical != 0 else -ENOMEM


@metal
def from_source(plan: Plan) -> i64:
    """Get the page from the source. 0, -EIO or -ENOMEM."""
    writing = plan.shared and plan.protection & WRITE != 0
    page = plan.source.get_page(plan.source, plan.index, writing)
    if page == NO_PAGE:
        return -EIO
    if page == NO_MEMORY:
        return -ENOMEM
    plan.physical = page
    return 0


@metal
def copy_page(to: u64, source: u64) -> None:
    """Copy one page, both by physical address."""
    copy(unsafe.slice(u8, virtual(to), PAGE_SIZE), unsafe.slice(u8, virtual(source), PAGE_SIZE))


@metal
def finish(space: AddressSpace, plan: Plan) -> bool:
    """Map the page. The lock is held.

    False: not done, and `physical` is the page to give back, or 0 if memory ran out.
    """
    address = plan.address
    if space.generation != plan.generation:
        return False
    if space.changes != plan.changes and table_lookup(space.table, address) != plan.entry:
        return False
    space.changes += 1
    if plan.step == Step.HUGE:
        base = address & ~(HUGE_SIZE - 1)
        if table_next(space.table, base, base + HUGE_SIZE) < base + HUGE_SIZE:
            return False
        if not table_map_huge(space.table, base, plan.physical, plan.protection):
            return fail(plan)
        space.commit(HUGE_SIZE >> PAGE_SHIFT)
        return True
    if plan.entry != 0:
        replaced = entry_physical(plan.entry)
        table_unmap(space.table, address)
        tlb_flush(space.table, address, 1)
        if spaces.counted(replaced):
            space.committed -= 1
        pages.release(replaced)
    if not table_map(space.table, address, plan.physical, plan.protection):
        return fail(plan)
    if plan.step != Step.SOURCE or spaces.counted(plan.physical):
        space.commit(1)
    return True


@metal
def fail(plan: Plan) -> bool:
    """There was no memory for the page table: give the page back."""
    pages.release(plan.physical)
    plan.physical = 0
    return False


@metal
def populate(space: AddressSpace, start: u64, end: u64) -> i64:
    """Touch each page of [start, end) as its area allows, writing where that is allowed. The first error, or 0."""
    address = start
    while address < end:
        with space.lock:
            area = space.find(address)
            access: u32 = 0
            if area is not None:
                access = READ | (area.protection & WRITE if not area.shared() else u32(0))
        result = handle_fault(space, address, access)
        if result != 0:
            return result
        with space.lock:
            entry = table_lookup(space.table, address)
        if entry != 0 and entry_huge(entry):
            address = (address & ~(HUGE_SIZE - 1)) + HUGE_SIZE
        else:
            address += PAGE_SIZE
        if address % HUGE_SIZE == 0:
            interrupt_window()
    return 0
