"""Address spaces: what a process has mapped, and the page table that shows it to the processor.

This file holds the structure and the steps that all memory calls are made of: cutting and joining areas, dropping
pages, adding a mapping. The calls themselves are in mapping.py, protect.py, remap.py and advise.py, faults in fault.py.

The lock is held for one step at a time: pages are zeroed, copied and read from files outside it, and long work gives it
up between pieces. A processor that waits for it answers TLB flushes meanwhile (arch.pause), so one may flush under it.
"""

from goanna.kernel.arch import (
    HUGE_SIZE,
    PAGE_SHIFT,
    USER_TOP,
    WRITE,
    PageTable,
    entry_huge,
    entry_physical,
    interrupt_window,
    table_create,
    table_destroy,
    table_drop,
    table_lookup,
    table_split_huge,
    table_take,
    table_trim,
    tlb_flush,
    tlb_flush_tables,
    virtual,
)
from goanna.kernel.base.errno import EAGAIN, ENOMEM
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.setting import Setting
from goanna.kernel.memory import area as tree
from goanna.kernel.memory import pages
from goanna.kernel.memory.area import Area, Areas
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.source import PageSource
from goanna.metal import Array, Atomic, Ptr, i64, metal, static, struct, u32, u64, unsafe

__all__ = [
    "UNLIMITED",
    "AddressSpace",
    "Doomed",
    "add_area",
    "bury",
    "clear_step",
    "create",
    "cut",
    "destroy",
    "discard",
    "join",
    "release",
    "spaces",
]

most_areas = static(Setting, {"value": 65530, "least": 0, "most": 0x7FFF_FFFF})  # vm.max_map_count
UNLIMITED = 0xFFFF_FFFF_FFFF_FFFF
BATCH = 64  # pages whose TLB entries are flushed at once
HUGE_PAGES = HUGE_SIZE >> PAGE_SHIFT
DIRECTORY_SIZE = 1 << 30  # bytes that one page of 2 MiB entries serves
PIECE = 1024  # pages dropped before the lock is given up


@struct
class AddressSpace:
    """One process's memory. Made by `create`, counted, gone with the last `release`."""

    lock: SpinLock  # protects all fields below, the areas and the page table
    areas: Areas
    recent: Ptr[Area]  # where the last fault was
    generation: u64  # counts changes of areas: what was read under an older one must be read again
    changes: u64  # counts steps that made or took away entries of the page table, areas or not
    count: u64  # areas
    mapped: u64  # bytes of all areas: what is reserved
    data: u64  # bytes of private writable areas, for RLIMIT_DATA
    locked: u64  # bytes of areas that are locked
    committed: u64  # pages of RAM in use: what has been touched
    peak: u64  # the greatest `committed` so far
    lock_future: u32  # AREA_LOCKED, AREA_LOCK_ON_FAULT: flags for new areas, set by mlockall
    unused: u32
    map_base: u64  # new mappings lie below
    code_start: u64
    code_end: u64
    data_start: u64
    data_end: u64
    break_start: u64
    break_end: u64  # what brk moves
    stack_start: u64  # stack pointer at the program's start
    argument_start: u64
    argument_end: u64
    environment_start: u64
    environment_end: u64
    vdso: u64
    stack_limit: u64  # bytes, RLIMIT_STACK
    size_limit: u64  # bytes, RLIMIT_AS
    data_limit: u64  # bytes, RLIMIT_DATA
    lock_limit: u64  # bytes, RLIMIT_MEMLOCK
    locks_freely: bool  # whoever locked last may lock more than that
    table: PageTable
    references: Atomic[u32]

    def find(self, address: u64) -> Ptr[Area]:
        """The area that holds an address, or None."""
        recent = self.recent
        if recent is not None and recent.start <= address < recent.end:
            return recent
        found = tree.find(self.areas, address)
        self.recent = found
        return found

    def commit(self, count: u64) -> None:
        """Count pages that have come into use."""
        self.committed += count
        self.peak = max(self.peak, self.committed)


spaces = Cache(AddressSpace)


@struct
class Doomed:
    """Areas that are out of the tree and wait to be buried when no lock is held."""

    first: Ptr[Area]


@metal
def create() -> Ptr[AddressSpace]:
    """An address space with nothing in it and one reference, or None."""
    space = spaces.allocate()
    if space is None:
        return None
    if not table_create(space.table):
        spaces.free(space)
        return None
    space.references.store(1)
    space.stack_limit = 8 << 20
    space.size_limit = UNLIMITED
    space.data_limit = UNLIMITED
    space.lock_limit = UNLIMITED
    return space


@metal
def acquire(space: AddressSpace) -> None:
    """Count one reference more."""
    space.references.add(1)


@metal
def release(space: AddressSpace) -> None:
    """Count one reference less. The last one takes everything down: no processor may run on its table."""
    old = space.references.sub(1)
    assert old != 0, "an address space was released too often"
    if old == 1:
        destroy(space)


@metal
def destroy(space: AddressSpace) -> None:
    """Take an address space down. Nobody else has it, and no processor remembers its pages."""
    doomed = Doomed()
    area = space.areas.first()
    while area is not None:
        give_up_pages(space, area)
        area.next = doomed.first
        doomed.first = area
        area = space.areas.after(area)
    area = space.areas.first()
    while area is not None:
        above = space.areas.after(area)
        table_drop(space.table, area.start, area.end, u64(UNLIMITED) if above is None else above.start)
        area = above
    bury(doomed)
    table_destroy(space.table)
    spaces.free(space)


@metal
def give_up_pages(space: AddressSpace, area: Area) -> None:
    """Release the pages of an area whose address space has come to its end."""
    entries = unsafe.uninitialized(Array[u64, BATCH])
    address = area.start
    while address < area.end:
        count, _, address = table_take(space.table, address, area.end, entries)
        for index in range(count):
            pages.release(entry_physical(entries[index]))
        if count == BATCH:
            interrupt_window()


@metal
def bury(doomed: Doomed) -> None:
    """Free areas that were taken out. No lock is held: a source may have much to do when it goes."""
    area = doomed.first
    while area is not None:
        following = area.next
        if area.source is not None:
            area.source.release()
        tree.areas.free(area)
        area = following
    doomed.first = None


@metal
def cut(space: AddressSpace, address: u64) -> i64:
    """Make `address` a border between areas where it lies inside one. 0 or -ENOMEM. The lock is held.

    No 2 MiB page lies across a border afterwards: the areas on its sides come and go apart.
    """
    area = tree.find(space.areas, address)
    if area is None or area.start == address:
        return 0
    if space.count >= most_areas.value or split_huge(space, address) != 0:
        return -ENOMEM
    upper = tree.areas.allocate()
    if upper is None:
        return -ENOMEM
    upper.start = address
    upper.end = area.end
    upper.source = area.source
    upper.offset = area.offset if area.source is None else area.offset + (address - area.start)
    upper.protection = area.protection
    upper.maximum = area.maximum
    upper.flags = area.flags
    if upper.source is not None:
        upper.source.acquire()
    area.end = address
    tree.resized(space.areas, area)
    tree.insert(space.areas, upper)
    space.count += 1
    space.generation += 1
    return 0


@metal
def join(space: AddressSpace, start: u64, end: u64, doomed: Doomed) -> None:
    """Join what can be joined among the areas that touch [start, end]. The lock is held."""
    area = tree.find_from(space.areas, start - 1 if start != 0 else u64(0))
    while area is not None and area.start <= end:
        above = space.areas.after(area)
        if above is not None and above.start <= end and above.continues(area):
            end_above = above.end
            take_out(space, above, doomed)
            area.end = end_above
            tree.resized(space.areas, area)
        else:
            area = above


@metal
def take_out(space: AddressSpace, area: Area, doomed: Doomed) -> None:
    """Take an area out of the tree. The lock is held."""
    tree.remove(space.areas, area)
    area.next = doomed.first
    doomed.first = area
    space.recent = None
    space.count -= 1
    space.generation += 1


@metal
def account(space: AddressSpace, area: Area, added: bool) -> None:
    """Count an area in or out of the totals. The lock is held."""
    size = area.end - area.start
    data = size if is_data(area) else u64(0)
    locked = size if area.flags & tree.AREA_LOCKED != 0 else u64(0)
    if added:
        space.mapped += size
        space.data += data
        space.locked += locked
    else:
        space.mapped -= size
        space.data -= data
        space.locked -= locked


@metal
def is_data(area: Area) -> bool:
    """Whether an area counts for RLIMIT_DATA: private, writable, no stack."""
    return area.flags & (tree.AREA_SHARED | tree.AREA_GROWSDOWN) == 0 and area.protection & WRITE != 0


@metal
def add_area(
    space: AddressSpace, start: u64, end: u64, protection: u32, maximum: u32, flags: u32, source: Ptr[PageSource],
    offset: u64, doomed: Doomed,
) -> bool:  # fmt: skip
    """Add an area where nothing is, joined with its neighbours if it carries them on. The lock is held.

    The new area takes over the caller's reference to `source`, though it be joined with another. False: no memory.
    """
    area = tree.areas.allocate()
    if area is None:
        return False
    area.start = start
    area.end = end
    area.protection = protection
    area.maximum = maximum
    area.flags = flags
    area.source = source
    area.offset = offset
    tree.insert(space.areas, area)
    space.count += 1
    space.generation += 1
    account(space, area, True)
    join(space, start, end, doomed)
    return True


@metal
def split_huge(space: AddressSpace, address: u64) -> i64:
    """Split the 2 MiB page that has `address` strictly inside it, if there is one. 0 or -ENOMEM. The lock is held."""
    if address % HUGE_SIZE == 0:
        return 0
    entry = table_lookup(space.table, address)
    if entry == 0 or not entry_huge(entry):
        return 0
    return split_entry(space, address, entry)


@metal
def split_entry(space: AddressSpace, address: u64, entry: u64) -> i64:
    """Split the 2 MiB page that holds `address` and has this entry. 0 or -ENOMEM. The lock is held."""
    physical = entry_physical(entry)
    if not table_split_huge(space.table, address & ~(HUGE_SIZE - 1)):
        return -ENOMEM
    pages.split(physical)
    space.generation += 1
    return 0


@struct
class Taken:
    """Pages whose entries are gone, until no processor can still reach them."""

    count: u64
    low: u64  # range of addresses to flush
    high: u64
    entries: Array[u64, BATCH]

    def begin(self) -> None:
        """Nothing is taken."""
        self.count = 0
        self.low = UNLIMITED
        self.high = 0

    def take(self, space: AddressSpace, start: u64, end: u64, most: u64) -> u64:
        """Take the pages in [start, end), above those taken before, at most about `most` of them; the address reached.
        The lock is held."""
        dropped: u64 = 0
        address = start
        while dropped < most and address < end:
            if self.count == BATCH:
                self.release(space, 0)
            count, low, address = table_take(space.table, address, end, self.entries[self.count : BATCH])
            if count != 0:
                self.low = min(self.low, low)
                self.high = address
                self.count += count
                dropped += count
        return address

    def release(self, space: AddressSpace, tables: u64) -> None:
        """Flush, then release the pages; and a chain of tables that served addresses between `low` and `high`."""
        if self.count == 0 and tables == 0:
            return
        if tables != 0:
            tlb_flush_tables(space.table, self.low, (self.high - self.low) >> PAGE_SHIFT)
        else:
            tlb_flush(space.table, self.low, (self.high - self.low) >> PAGE_SHIFT)
        for index in range(self.count):
            physical = entry_physical(self.entries[index])
            if counted(physical):
                space.committed -= HUGE_PAGES if entry_huge(self.entries[index]) else u64(1)
            pages.release(physical)
        self.begin()
        table = tables
        while table != 0:
            following = unsafe.load(u64, virtual(table))
            pages.release(table)
            table = following

    def widen(self, low: u64, high: u64) -> None:
        """Flush these addresses as well."""
        self.low = min(self.low, low)
        self.high = max(self.high, high)


@metal
def discard(space: AddressSpace, start: u64, end: u64, most: u64) -> u64:
    """Drop the pages in [start, end), at most about `most` of them; the address reached. The lock is held.

    A 2 MiB page that is only partly inside must have been split before.
    """
    space.changes += 1
    taken = unsafe.uninitialized(Taken)
    taken.begin()
    address = taken.take(space, start, end, most)
    taken.release(space, 0)
    return address


@metal
def counted(physical: u64) -> bool:
    """Whether a mapped page counts as committed: RAM that is not the image's and not the page of zeros."""
    return physical != pages.zero_page() and pages.managed(physical)


@metal
def clear_step(space: AddressSpace, start: u64, end: u64, doomed: Doomed) -> i64:
    """Work towards nothing being mapped in [start, end). The lock is held.

    0: done. -EAGAIN: give up the lock, bury, open an interrupt window, call again. -ENOMEM: nothing was changed.
    """
    area = tree.find_from(space.areas, start)
    if area is None or area.start >= end:
        return 0
    if area.start < start and area.end > end and space.count + 1 >= most_areas.value:
        return -ENOMEM
    if cut(space, start) != 0 or cut(space, end) != 0:
        return -ENOMEM
    space.changes += 1
    taken = unsafe.uninitialized(Taken)
    taken.begin()
    area = tree.find_from(space.areas, start)
    while area is not None and area.start < end:
        if taken.take(space, area.start, area.end, PIECE) < area.end:
            taken.release(space, 0)
            return -EAGAIN
        above = space.areas.after(area)
        account(space, area, False)
        take_out(space, area, doomed)
        area = above
    taken.release(space, trim(space, start, end, taken))
    return 0


@metal
def trim(space: AddressSpace, start: u64, end: u64, taken: Taken) -> u64:
    """Take out the page table's pages that served [start, end), if nothing is mapped around it: a chain of them, which
    `taken` flushes and frees. The lock is held."""
    above = tree.find_from(space.areas, start)
    below = space.areas.last() if above is None else space.areas.before(above)
    floor = u64(0) if below is None else below.end
    ceiling = u64(USER_TOP) if above is None else above.start
    tables = trim_around(space, start, end, floor, ceiling, HUGE_SIZE, taken)
    if tables == 0:
        return 0
    larger = trim_around(space, start, end, floor, ceiling, DIRECTORY_SIZE, taken)
    if larger == 0:
        return tables
    last = larger
    while unsafe.load(u64, virtual(last)) != 0:
        last = unsafe.load(u64, virtual(last))
    unsafe.store(u64, virtual(last), tables)
    return larger


@metal
def trim_around(
    space: AddressSpace, start: u64, end: u64, floor: u64, ceiling: u64, size: u64, taken: Taken
) -> u64:
    """The chain of those among tables of `size` bytes each, within the free room [floor, ceiling)."""
    low = max(floor, start & ~(size - 1))
    high = min(ceiling, (end + (size - 1)) & ~(size - 1))
    if high < low or high - low < size:
        return 0
    tables = table_trim(space.table, low, high)
    if tables != 0:
        taken.widen(low, high)
    return tables
