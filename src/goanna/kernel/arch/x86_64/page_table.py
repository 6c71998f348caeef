"""Page tables: four levels, 4 KiB and 2 MiB pages, one table for each address space.

The lower half belongs to the program; the upper half's entries are the kernel's and the same in every table. Changes
here don't flush translations: `tlb_flush` does, where a mapping was taken away or narrowed. The caller holds the
lock of the address space. Intel SDM volume 3, 5.5.
"""

from goanna.metal import Atomic, Fn, hook, metal, static, struct, u32, u64, unsafe, wrapping

from .layout import HUGE_SIZE, PAGE_SIZE, USER_TOP, virtual
from .trap import EXECUTE, READ, WRITE

__all__ = [
    "PageTable", "early_table_page", "entry_accessed", "entry_dirty", "entry_huge", "entry_physical", "entry_writable",
    "kernel_table", "make_entry", "slot_of", "table_create", "table_destroy", "table_lookup", "table_map",
    "table_map_huge", "table_next", "table_page_allocate", "table_page_free", "table_protect", "table_split_huge",
    "table_unmap",
]  # fmt: skip

PRESENT = 1 << 0
WRITABLE = 1 << 1
USER = 1 << 2
NO_CACHE = 1 << 4 | 1 << 3  # PCD and PWT: strong uncacheable in the PAT as it is after reset
ACCESSED = 1 << 5
DIRTY = 1 << 6
HUGE = 1 << 7  # in a directory's entry: a page of 2 MiB
GLOBAL = 1 << 8
RESERVED = 1 << 9  # ours: in an entry that isn't present, the page is kept behind protection 0
NO_EXECUTE = 1 << 63
ADDRESS = 0x000F_FFFF_FFFF_F000
INNER = PRESENT | WRITABLE | USER | ACCESSED

ENTRIES = 512
KERNEL_HALF = 256  # first entry of the top table that is the kernel's

# A zeroed page for a table, its physical address, 0 if there is none; and its return. May be called with the lock of an
# address space held.
table_page_allocate = hook(Fn[[], u64])
table_page_free = hook(Fn[[u64], None])
forget_table = hook(Fn[["PageTable", u64], None])  # set by tlb.py: a table that served an address is taken out
early_table_page = hook(Fn[[], u64])  # set by memory_map.py: pages before the memory room runs; 0 once it does


@struct
class PageTable:
    """An address space as the processor sees it."""

    root: u64  # physical address of the top table
    active: Atomic[u64]  # the processors that run on it, a bit each
    resting: Atomic[u64]  # those of them that idle: they forget what changed before they run a program again
    changes: Atomic[u64]  # flushes that concerned more than one processor
    tables: u64  # pages of tables below the top one, so that its end need not look for them


kernel_table = static(PageTable)  # the kernel half alone; what every table copies its upper half from


@metal(inline=True)
def index_at(address: u64, level: u64) -> u64:
    """Which entry of a table of `level` (0: of pages, 3: the top) serves an address."""
    return (address >> wrapping(12 + 9 * level)) & 511


@metal(inline=True)
def slot(table: u64, address: u64, level: u64) -> u64:
    """Where in memory the entry for `address` of the table at physical `table` lies."""
    return wrapping(virtual(table) + index_at(address, level) * 8)


@metal(inline=True)
def entry_at(table: u64, address: u64, shift: u64) -> u64:
    """The entry for `address` of the table at physical `table` whose entries serve 2**shift bytes each."""
    return unsafe.load(u64, wrapping(virtual(table) + ((address >> shift) & 511) * 8))


@metal(inline=True)
def directory(root: u64, address: u64) -> u64:
    """The physical address of the table of 2 MiB entries that serves `address`; 0 if there is none."""
    top = entry_at(root, address, 39)
    if top & PRESENT == 0:
        return 0
    third = entry_at(top & ADDRESS, address, 30)
    return third & ADDRESS if third & PRESENT != 0 else 0


@metal(inline=True)
def entry_physical(entry: u64) -> u64:
    """The page an entry names."""
    return entry & ADDRESS


@metal(inline=True)
def entry_writable(entry: u64) -> bool:
    """Whether it may be written."""
    return entry & WRITABLE != 0


@metal(inline=True)
def entry_dirty(entry: u64) -> bool:
    """Whether it was written."""
    return entry & DIRTY != 0


@metal(inline=True)
def entry_accessed(entry: u64) -> bool:
    """Whether it was used."""
    return entry & ACCESSED != 0


@metal(inline=True)
def entry_huge(entry: u64) -> bool:
    """Whether it is a page of 2 MiB."""
    return entry & HUGE != 0


@metal
def make_entry(page: u64, protection: u32) -> u64:
    """The entry of a user page. Protection 0 keeps the page where no access finds it; the processor always allows
    reading.
    """
    if protection & (READ | WRITE | EXECUTE) == 0:
        return page | RESERVED | NO_EXECUTE
    entry = page | PRESENT | USER | ACCESSED
    if protection & WRITE != 0:
        entry |= WRITABLE
    if protection & EXECUTE == 0:
        entry |= NO_EXECUTE
    return entry


@metal
def new_table() -> u64:
    """A zeroed page for a table, or 0."""
    early = early_table_page()
    return early if early != 0 else table_page_allocate()


@metal
def slot_of(root: u64, address: u64, level: u64, create: bool, inner: u64) -> u64:
    """Where the entry for `address` in the table of `level` lies; 0 if there is no such table.

    With `create` tables that are missing are made, with entries of rights `inner`; 0 then means that no page was
    left. A larger page on the way is an error of the caller's if `create` is set, otherwise it gives 0.
    """
    table = root
    at: u64 = 3
    while at > level:
        where = slot(table, address, at)
        entry = unsafe.load(u64, where)
        if entry & PRESENT == 0:
            if not create:
                return 0
            made = new_table()
            if made == 0:
                return 0
            entry = made | inner
            unsafe.store(u64, where, entry)
        elif entry & HUGE != 0:
            assert not create, "a large page is in the way of a page table"
            return 0
        table = entry & ADDRESS
        at -= 1
    return slot(table, address, level)


@metal
def make_slot(table: PageTable, address: u64, level: u64) -> u64:
    """Where the entry for a user address in the table of `level` lies, in tables that are made where they are missing.

    0: no page was left. A larger page on the way is an error of the caller's.
    """
    page = table.root
    at: u64 = 3
    while at > level:
        where = slot(page, address, at)
        entry = unsafe.load(u64, where)
        if entry & PRESENT == 0:
            made = new_table()
            if made == 0:
                return 0
            table.tables += 1
            entry = made | INNER
            unsafe.store(u64, where, entry)
        assert entry & HUGE == 0, "a large page is in the way of a page table"
        page = entry & ADDRESS
        at -= 1
    return slot(page, address, level)


@metal
def table_create(table: PageTable) -> bool:
    """Make an empty address space. False: no page was left."""
    root = new_table()
    if root == 0:
        return False
    own = unsafe.slice(u64, virtual(root), ENTRIES)
    kernel = unsafe.slice(u64, virtual(kernel_table.root), ENTRIES)
    own[KERNEL_HALF:ENTRIES] = kernel[KERNEL_HALF:ENTRIES]
    table.root = root
    table.active.store(0)
    table.resting.store(0)
    table.changes.store(0)
    table.tables = 0
    return True


@metal
def table_destroy(table: PageTable) -> None:
    """Give back the tables of an address space that no processor runs on. The pages in it are the caller's to
    release.
    """
    assert table.active.load() == 0, "a page table that is in use can't be destroyed"
    if table.tables != 0:
        for index in range(u64(0), u64(KERNEL_HALF)):
            free_below(unsafe.load(u64, virtual(table.root) + index * 8), 2)
    table_page_free(table.root)
    table.root = 0


@metal
def free_below(entry: u64, level: u64) -> None:
    """Free the table of `level` that an entry names, and those below it."""
    if entry & PRESENT == 0 or entry & HUGE != 0:
        return
    table = entry & ADDRESS
    if level != 0:
        for index in range(u64(0), u64(ENTRIES)):
            free_below(unsafe.load(u64, virtual(table) + index * 8), level - 1)
    table_page_free(table)


@metal
def table_map(table: PageTable, address: u64, page: u64, protection: u32) -> bool:
    """Map a page of 4 KiB, in place of what was there. False: no page was left for a table."""
    assert address < USER_TOP, "not a user address"
    where = small_slot(table.root, address)
    if where == 0:
        where = make_slot(table, address, 0)
        if where == 0:
            return False
    unsafe.store(u64, where, make_entry(page, protection))
    return True


@metal
def table_map_huge(table: PageTable, address: u64, page: u64, protection: u32) -> bool:
    """Map a page of 2 MiB (both addresses aligned to it) where nothing is mapped. False: no page was left for a table.

    An empty table of small pages that is in the way is freed, after all processors that may remember it were told.
    """
    assert address < USER_TOP and (address | page) & (HUGE_SIZE - 1) == 0, "not an address for a large page"
    where = make_slot(table, address, 1)
    if where == 0:
        return False
    old = unsafe.load(u64, where)
    assert old & HUGE == 0, "a large page is mapped there already"
    unsafe.store(u64, where, make_entry(page, protection) | HUGE)
    if old & PRESENT != 0:
        forget_table(table, address)
        table_page_free(old & ADDRESS)
        table.tables -= 1
    return True


@metal(inline=True)
def small_slot(root: u64, address: u64) -> u64:
    """Where the entry of a small page at `address` lies, if its tables are there, else 0."""
    second = directory(root, address)
    if second == 0:
        return 0
    entry = entry_at(second, address, 21)
    if entry & (PRESENT | HUGE) != PRESENT:
        return 0
    return wrapping(virtual(entry & ADDRESS) + ((address >> 12) & 511) * 8)


@metal
def leaf_slot(root: u64, address: u64) -> u64:
    """Where the entry of the page (of either size) at `address` lies; 0 if there is none."""
    second = directory(root, address)
    if second == 0:
        return 0
    entry = entry_at(second, address, 21)
    if entry & HUGE != 0:
        return slot(second, address, 1)
    return slot(entry & ADDRESS, address, 0) if entry & PRESENT != 0 else 0


@metal
def table_lookup(table: PageTable, address: u64) -> u64:
    """The entry of the page at `address`, 0 if there is none. For a large page: the large page's entry."""
    where = leaf_slot(table.root, address)
    return unsafe.load(u64, where) if where != 0 else 0


@metal
def table_unmap(table: PageTable, address: u64) -> u64:
    """Take the page (of either size) at `address` away. Gives the old entry, 0 if there was none. No flush."""
    where = leaf_slot(table.root, address)
    return unsafe.at(Atomic[u64], where).exchange(0) if where != 0 else 0


@metal
def table_protect(table: PageTable, address: u64, protection: u32) -> None:
    """Change the rights of the page (of either size) at `address`, if there is one; DIRTY is kept. No flush."""
    where = leaf_slot(table.root, address)
    if where == 0:
        return
    old = unsafe.load(u64, where)
    while old != 0:
        new = make_entry(old & ADDRESS, protection) | (old & (HUGE | DIRTY))
        seen, done = unsafe.at(Atomic[u64], where).compare_exchange(old, new)
        if done:
            return
        old = seen


@metal
def table_split_huge(table: PageTable, address: u64) -> bool:
    """Turn the large page at `address`, if there is one, into 512 small ones of the same rights. No flush is needed.

    False: no page was left for the table.
    """
    where = slot_of(table.root, address, 1, False, 0)
    if where == 0:
        return True
    entry = unsafe.load(u64, where)
    if entry & HUGE == 0:
        return True
    made = new_table()
    if made == 0:
        return False
    small = unsafe.slice(u64, virtual(made), ENTRIES)
    first = entry & ~u64(HUGE)
    for index in range(u64(0), u64(ENTRIES)):
        small[index] = first + index * PAGE_SIZE
    unsafe.store(u64, where, made | INNER)
    table.tables += 1
    return True


@metal
def table_next(table: PageTable, start: u64, end: u64) -> u64:
    """The first address in [start, end) that an entry is for (a large page: `start` itself, if inside), or `end`.

    Whole tables that are not there are skipped at once.
    """
    address = start
    while address < end and address < USER_TOP:
        page = table.root
        level: u64 = 3
        while True:
            entry = unsafe.load(u64, slot(page, address, level))
            if entry == 0:
                size = u64(1) << (12 + 9 * level)
                address = (address | (size - 1)) + 1
                break
            if level == 0 or entry & HUGE != 0:
                return address
            page = entry & ADDRESS
            level -= 1
    return end
