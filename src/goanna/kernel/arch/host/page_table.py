"""Page tables on the host: the four levels that x86-64 has, in the arena, with entries of our own.

Nothing reads them but these functions and the host's user copies, so a test sees what the processor would see: a page,
whether it may be read, written or executed. There is no TLB; flushes are counted.
"""

from goanna.kernel.arch.host.arena import HUGE_SIZE, PAGE_SHIFT, PAGE_SIZE, USER_TOP, virtual
from goanna.metal import Atomic, Fn, Ptr, hook, metal, per_processor, static, struct, u32, u64, unsafe

__all__ = [
    "EXECUTE",
    "READ",
    "WRITE",
    "PageTable",
    "entry_accessed",
    "entry_dirty",
    "entry_huge",
    "entry_physical",
    "entry_writable",
    "flushes",
    "kernel_table",
    "running_table",
    "table_create",
    "table_destroy",
    "table_lookup",
    "table_map",
    "table_map_huge",
    "table_next",
    "table_page_allocate",
    "table_page_free",
    "table_protect",
    "table_rest",
    "table_resume",
    "table_split_huge",
    "table_switch",
    "table_trim",
    "table_unmap",
    "tlb_flush",
    "tlb_flush_tables",
    "use_grew",
]

READ = 1
WRITE = 2
EXECUTE = 4

PROTECTION = 7  # low bits of an entry
HELD = 8  # the entry holds a page, even one that may not be touched at all
ACCESSED = 32
DIRTY = 64
HUGE = 128
ADDRESS = 0x000F_FFFF_FFFF_F000

ENTRIES = 512
TOP_LEVEL = 3  # level 0 holds pages, level 1 holds 2 MiB pages or tables

table_page_allocate = hook(Fn[[], u64])  # a page of zeros, physical, or 0
table_page_free = hook(Fn[[u64], None])
flushes = static(u64)


@struct
class PageTable:
    """One address space as the processor sees it."""

    root: u64  # physical
    active: Atomic[u64]  # bit n: processor n runs on it


running_table = per_processor(Ptr[PageTable])  # what user accesses go through
kernel_table = static(PageTable)  # the one without a program


@metal
def table_create(table: PageTable) -> bool:
    """Make an empty table. False: no memory."""
    table.root = table_page_allocate()
    return table.root != 0


@metal
def table_destroy(table: PageTable) -> None:
    """Give the table's own pages back."""
    if table.root != 0:
        free_level(table.root, TOP_LEVEL)
        table.root = 0


@metal
def free_level(page: u64, level: u32) -> None:
    """Give back a page of tables and all below it."""
    if level > 0:
        for index in range(u64(ENTRIES)):
            entry = unsafe.load(u64, virtual(page) + index * 8)
            if entry != 0 and entry & HUGE == 0:
                free_level(entry & ADDRESS, level - 1)
    table_page_free(page)


@metal
def table_switch(table: PageTable) -> None:
    """Run on this table."""
    global running_table
    running_table = table


@metal
def table_rest() -> None:
    """This processor is going to idle: nothing to do."""


@metal
def table_resume() -> None:
    """It goes on: nothing to do."""


@metal(inline=True)
def shift_of(level: u32) -> u64:
    """By how much an address is shifted to index a level."""
    return PAGE_SHIFT + u64(level) * 9


@metal(inline=True)
def place_of(page: u64, address: u64, level: u32) -> u64:
    """Where the entry for an address lies in a page of tables."""
    return virtual(page) + ((address >> shift_of(level)) & (ENTRIES - 1)) * 8


@metal
def walk(table: PageTable, address: u64, level: u32, make: bool) -> u64:
    """Where the entry for an address at a level lies; 0 if there are no tables (no memory for them) or a 2 MiB page."""
    page = table.root
    at: u32 = TOP_LEVEL
    while at > level:
        place = place_of(page, address, at)
        entry = unsafe.load(u64, place)
        if entry & HUGE != 0:
            return 0
        if entry == 0:
            if not make:
                return 0
            fresh = table_page_allocate()
            if fresh == 0:
                return 0
            entry = fresh | HELD
            unsafe.store(u64, place, entry)
        page = entry & ADDRESS
        at -= 1
    return place_of(page, address, level)


@metal
def table_map(table: PageTable, address: u64, physical: u64, protection: u32) -> bool:
    """Map a page where none is. False: no memory for tables. Protection 0 keeps the page, out of reach."""
    place = walk(table, address, 0, True)
    if place == 0:
        return False
    assert unsafe.load(u64, place) == 0, "a page was mapped over another"
    unsafe.store(u64, place, physical | HELD | u64(protection))
    return True


@metal
def table_map_huge(table: PageTable, address: u64, physical: u64, protection: u32) -> bool:
    """Map 2 MiB where no page is. False: no memory for tables."""
    assert address % HUGE_SIZE == 0 and physical % HUGE_SIZE == 0, "a 2 MiB page lies at a multiple of its size"
    place = walk(table, address, 1, True)
    if place == 0:
        return False
    entry = unsafe.load(u64, place)
    if entry != 0:
        assert entry & HUGE == 0 and empty(entry & ADDRESS), "2 MiB were mapped over other pages"
        table_page_free(entry & ADDRESS)
    unsafe.store(u64, place, physical | HELD | HUGE | u64(protection))
    return True


@metal
def empty(page: u64) -> bool:
    """Whether a page of tables holds nothing."""
    for entry in unsafe.slice(u64, virtual(page), ENTRIES):
        if entry != 0:
            return False
    return True


@metal
def entry_place(table: PageTable, address: u64) -> u64:
    """Where the entry lies that maps an address, by 4 KiB or 2 MiB; 0 if there is none."""
    place = walk(table, address, 1, False)
    if place == 0:
        return 0
    entry = unsafe.load(u64, place)
    if entry == 0:
        return 0
    if entry & HUGE != 0:
        return place
    place = place_of(entry & ADDRESS, address, 0)
    return place if unsafe.load(u64, place) != 0 else u64(0)


@metal
def table_lookup(table: PageTable, address: u64) -> u64:
    """The entry that maps an address, 0 if none does."""
    place = entry_place(table, address)
    return u64(0) if place == 0 else unsafe.load(u64, place)


@metal
def table_unmap(table: PageTable, address: u64) -> u64:
    """Take out the entry that maps an address, of 4 KiB or 2 MiB, and give it; 0 if there was none."""
    place = entry_place(table, address)
    if place == 0:
        return 0
    entry = unsafe.load(u64, place)
    unsafe.store(u64, place, 0)
    return entry


@metal
def table_protect(table: PageTable, address: u64, protection: u32) -> None:
    """Change what may be done with the page that maps an address, if one does."""
    place = entry_place(table, address)
    if place != 0:
        entry = unsafe.load(u64, place)
        unsafe.store(u64, place, (entry & ~PROTECTION) | u64(protection))


@metal
def table_split_huge(table: PageTable, address: u64) -> bool:
    """Turn the 2 MiB page at an address into 512 pages of the same memory. False: no memory for tables."""
    place = walk(table, address, 1, False)
    entry = unsafe.load(u64, place)
    assert entry & HUGE != 0, "there is no 2 MiB page to split"
    page = table_page_allocate()
    if page == 0:
        return False
    for index in range(u64(ENTRIES)):
        unsafe.store(u64, virtual(page) + index * 8, (entry & ~HUGE) + index * PAGE_SIZE)
    unsafe.store(u64, place, page | HELD)
    return True


@metal
def table_next(table: PageTable, start: u64, end: u64) -> u64:
    """The first address in [start, end) that a page maps, or `end`. Empty tables are skipped whole."""
    address = start
    while address < end and address < USER_TOP:
        level: u32 = TOP_LEVEL
        page = table.root
        while True:
            entry = unsafe.load(u64, place_of(page, address, level))
            if entry == 0:
                size = u64(1) << shift_of(level)
                address = (address & ~(size - 1)) + size
                break
            if level == 0 or entry & HUGE != 0:
                return address
            page = entry & ADDRESS
            level -= 1
    return end


@metal
def table_trim(table: PageTable, start: u64, end: u64) -> u64:
    """Take out the pages of tables that map nothing but addresses in [start, end), none of which is mapped.

    They come back as a chain: physical address of the first, in the first word of each that of the next, 0 at the end.
    """
    return trim_level(table.root, TOP_LEVEL, 0, start, end, 0)


@metal
def trim_level(page: u64, level: u32, base: u64, start: u64, end: u64, chain: u64) -> u64:
    """table_trim below one page of tables, which maps from `base` on."""
    size = u64(1) << shift_of(level)
    first = (max(start, base) - base) >> shift_of(level)
    for index in range(first, u64(ENTRIES)):
        low = base + index * size
        if low >= end:
            break
        place = virtual(page) + index * 8
        entry = unsafe.load(u64, place)
        if entry == 0 or entry & HUGE != 0:
            continue
        if level > 1:
            chain = trim_level(entry & ADDRESS, level - 1, low, start, end, chain)
        if low >= start and end - low >= size and empty(entry & ADDRESS):
            unsafe.store(u64, place, 0)
            unsafe.store(u64, virtual(entry & ADDRESS), chain)
            chain = entry & ADDRESS
    return chain


@metal
def entry_physical(entry: u64) -> u64:
    """The physical address of the page, of 4 KiB or 2 MiB, that an entry maps."""
    return entry & ADDRESS


@metal
def entry_writable(entry: u64) -> bool:
    """Whether a program may write to the page."""
    return entry & WRITE != 0


@metal
def entry_dirty(entry: u64) -> bool:
    """Whether the page was written to by way of this entry."""
    return entry & DIRTY != 0


@metal
def entry_accessed(entry: u64) -> bool:
    """Whether the page was touched by way of this entry."""
    return entry & ACCESSED != 0


@metal
def entry_huge(entry: u64) -> bool:
    """Whether the entry maps 2 MiB."""
    return entry & HUGE != 0


@metal
def tlb_flush(table: PageTable, start: u64, pages: u64) -> None:
    """No processor keeps entries here: counted only."""
    global flushes
    flushes += 1


@metal
def tlb_flush_tables(table: PageTable, start: u64, pages: u64) -> None:
    """The same where pages of tables are going to be freed."""
    tlb_flush(table, start, pages)


@metal
def use_grew() -> None:
    """There is now much more memory in use than there was: nothing to do."""
