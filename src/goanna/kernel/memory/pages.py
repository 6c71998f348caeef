"""Physical pages: a buddy allocator over the machine's RAM, with a count of references for each page.

Memory is named by physical address and reached through the direct map. What no range covers (the image, with the files
that are mapped straight from it) is not managed: references to it are not counted, and releasing it does nothing. The
metadata of a range, 16 bytes a page, lies at its own start, so an 8 MiB machine pays 32 KiB. Only that of a page that
has begun a block means anything, and only such a one is ever looked at: so it is not cleared. Memory is put on the free
lists a piece of 4 MiB at a time, when those before are used up: a large machine starts as fast as a small one.
"""

from goanna.kernel.arch import PAGE_SHIFT, PAGE_SIZE, table_page_allocate, table_page_free, use_grew, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.metal import (
    Array,
    Atomic,
    Fn,
    Ptr,
    count_trailing_zeros,
    fill,
    likely,
    metal,
    per_processor,
    sizeof,
    static,
    struct,
    u8,
    u16,
    u32,
    u64,
    unlikely,
    unsafe,
    wrapping,
)

__all__ = [
    "HUGE_ORDER",
    "MAXIMUM_ORDER",
    "add_range",
    "allocate",
    "allocate_for_program",
    "allocate_huge_for_program",
    "allocate_order",
    "allocate_zeroed",
    "clear",
    "exclusive",
    "free_blocks",
    "free_order",
    "free_pages",
    "initialize",
    "managed",
    "plentiful",
    "reference",
    "references",
    "release",
    "reserved_pages",
    "split",
    "total_pages",
    "zero_page",
]

MAXIMUM_ORDER = 10  # blocks of 4 MiB
HUGE_ORDER = 9  # blocks of 2 MiB
MAXIMUM_REGIONS = 16
LEAST_RESERVE = 16  # pages
LEAST_NOTICED = 512  # pages
PLENTY = 4096  # pages: below 16 MiB free, no 2 MiB page is given out

TAIL = 0  # inside a block whose first page says what it is
FREE = 1  # first page of a free block, on the list of its order
USED = 2  # first page of a block given out
PINNED = 3  # never freed, references not counted


@struct
class Page:
    """What is known of one page."""

    next: u32  # frame number on the free list, 0: none; under `pages_lock`
    previous: u32
    references: Atomic[u32]  # of a USED block
    order: u8
    state: u8
    unused: u16


@struct
class Region:
    """A range of RAM. Frames are physical addresses without the low 12 bits."""

    first: u64  # frame
    end: u64  # frame after the last
    unlisted: u64  # first frame that was not on a free list yet, nor was any after it; under `pages_lock`
    metadata: u64  # address of the first frame's Page


regions = static(Array[Region, MAXIMUM_REGIONS])  # filled at boot, constant afterwards but for `unlisted`
region_count = static(u64)
pages_lock = static(SpinLock)  # protects the free lists, the counts and each page's links, order and state
free_lists = static(Array[u32, MAXIMUM_ORDER + 1])  # first frame of each order, 0: none
free_count = static(u64)  # pages
total_count = static(u64)  # pages
noticed = per_processor(u64)  # pages in use at which the processor is told that there are many more than before
reserve = static(u64)  # pages that programs can't have
zero_page_address = static(u64)
# Gives back pages that can be had again; whether there were any. Called with any lock but those below the owner's of
# such pages. None: there are none.
reclaim = static(Fn[[], bool])


@metal
def add_range(start: u64, end: u64) -> None:
    """Manage the RAM in [start, end), physical, all of it free and in the direct map. At boot, one processor only.

    Ranges too small to be of use, and those beyond MAXIMUM_REGIONS, are left alone. Frame 0 is never given out.
    """
    global region_count, total_count, free_count, reserve
    first = max((start + (PAGE_SIZE - 1)) >> PAGE_SHIFT, u64(1))
    last = end >> PAGE_SHIFT
    if last <= first + 1 or region_count == MAXIMUM_REGIONS:
        return
    metadata_size = (last - first) * sizeof(Page)
    metadata_pages = (metadata_size + (PAGE_SIZE - 1)) >> PAGE_SHIFT
    region = regions[region_count]
    region.metadata = virtual(first << PAGE_SHIFT)
    region.first = first + metadata_pages
    region.end = last
    region.unlisted = region.first
    region_count += 1
    with pages_lock:
        free_count += last - region.first
        total_count += last - region.first
        reserve = max(total_count // 64, u64(LEAST_RESERVE))


@metal
def list_more() -> bool:
    """Put the next 4 MiB on the free lists, those of the first range that has more. False: there are none. The lock is
    held."""
    global free_count
    for index in range(region_count):
        region = regions[index]
        frame = region.unlisted
        if frame < region.end:
            stop = min((frame | ((1 << MAXIMUM_ORDER) - 1)) + 1, region.end)
            region.unlisted = stop
            free_count -= stop - frame
            while frame < stop:
                order = min(u64(count_trailing_zeros(frame)), MAXIMUM_ORDER)
                while frame + (u64(1) << order) > stop:
                    order -= 1
                put(region, frame, u32(order))
                frame += u64(1) << order
            return True
    return False


@metal
def initialize() -> None:
    """What is done once after the ranges are known: the page of zeros that reads of untouched memory share."""
    global zero_page_address
    page = allocate_zeroed()
    assert page != 0, "there is no memory"
    page_of(page).state = PINNED
    zero_page_address = page


@metal(inline=False)
def region_of(frame: u64) -> Ptr[Region]:
    """The region that holds a frame, or None."""
    for index in range(region_count):
        region = regions[index]
        if region.first <= frame < region.end:
            return region
    return None


@metal(inline=True)
def page_in(region: Region, frame: u64) -> Page:
    """What is known of a frame of this region."""
    return unsafe.at(Page, wrapping(region.metadata + (frame - region.first) * sizeof(Page)))


@metal(inline=False)
def page_of(physical: u64) -> Ptr[Page]:
    """What is known of the page at a physical address; None if it is not managed."""
    frame = physical >> PAGE_SHIFT
    region = region_of(frame)
    if region is None:
        return None
    return page_in(region, frame)


@metal
def put(region: Region, frame: u64, order: u32) -> None:
    """Put a block on its free list. The lock is held."""
    global free_count
    page = page_in(region, frame)
    page.state = FREE
    page.order = u8(order)
    page.previous = 0
    page.next = free_lists[order]
    if page.next != 0:
        page_of(u64(page.next) << PAGE_SHIFT).previous = u32(frame)
    free_lists[order] = u32(frame)
    free_count += u64(1) << order


@metal
def take(page: Page) -> None:
    """Take a free block off its list. The lock is held."""
    global free_count
    if page.previous == 0:
        free_lists[page.order] = page.next
    else:
        page_of(u64(page.previous) << PAGE_SHIFT).next = page.next
    if page.next != 0:
        page_of(u64(page.next) << PAGE_SHIFT).previous = page.previous
    page.next = 0
    page.previous = 0
    free_count -= u64(1) << page.order


@metal
def allocate_within(order: u32, keep: u64) -> u64:
    """A block of 2**order pages, or 0 if fewer than `keep` pages would stay free or no block is large enough."""
    with pages_lock:
        if unlikely(free_count < keep + (u64(1) << order)):
            return 0
        found = order
        while free_lists[found] == 0:
            found += 1
            if found > MAXIMUM_ORDER:
                if not list_more():
                    return 0
                found = order
        frame = u64(free_lists[found])
        region: Region = region_of(frame)
        page = page_in(region, frame)
        take(page)
        while found > order:
            found -= 1
            put(region, frame + (u64(1) << found), found)
        page.order = u8(order)
        page.state = USED
        page.references.store(1)
        used = total_count - free_count
    if unlikely(used >= noticed):
        notice(used)
    return frame << PAGE_SHIFT


@metal(cold=True)
def notice(used: u64) -> None:
    """Tell the architecture that this many pages are in use, and when it is a quarter more, again."""
    global noticed
    noticed = max(used + used // 4, u64(LEAST_NOTICED))
    use_grew()


@metal
def allocate_order(order: u32) -> u64:
    """2**order pages side by side, aligned to their size, one reference; physical address, or 0. For the kernel."""
    assert order <= MAXIMUM_ORDER, "a block of pages larger than there can be"
    return allocate_within(order, 0)


@metal
def allocate() -> u64:
    """One page, not zeroed: physical address, or 0 if there is none. For the kernel: the reserve serves it too."""
    return allocate_within(0, 0)


@metal
def allocate_zeroed() -> u64:
    """One page of zeros, or 0. For the kernel."""
    page = allocate_within(0, 0)
    if likely(page != 0):
        clear(page)
    return page


@metal
def allocate_for_program() -> u64:
    """One page, not zeroed, for a program: physical address, or 0 when only the kernel's reserve is left."""
    page = allocate_within(0, reserve)
    while unlikely(page == 0) and reclaim is not None and reclaim():
        page = allocate_within(0, reserve)
    return page


@metal
def allocate_huge_for_program() -> u64:
    """2 MiB, not zeroed, for a program: physical address, or 0 when memory is not plentiful."""
    if not plentiful():
        return 0
    return allocate_within(HUGE_ORDER, max(reserve, u64(PLENTY)))


@metal
def allocate_table() -> u64:
    """A page of zeros for a page table, or 0. What a program touches can't empty the reserve by way of tables."""
    page = allocate_within(0, reserve // 2)
    if likely(page != 0):
        clear(page)
    return page


@metal
def clear(physical: u64) -> None:
    """Fill a page with zeros."""
    fill(unsafe.slice(u64, virtual(physical), PAGE_SIZE // 8), 0)


@metal
def free_order(physical: u64, order: u32) -> None:
    """Give a block back, whatever its references."""
    frame = physical >> PAGE_SHIFT
    region = region_of(frame)
    assert region is not None, "memory was freed that is not managed"
    with pages_lock:
        page = page_in(region, frame)
        assert page.state == USED and u32(page.order) == order, "pages were freed that are not a block in use"
        while order < MAXIMUM_ORDER:
            buddy_frame = frame ^ (u64(1) << order)
            if buddy_frame < region.first or buddy_frame + (u64(1) << order) > region.end:
                break
            buddy = page_in(region, buddy_frame)
            if buddy.state != FREE or u32(buddy.order) != order:
                break
            take(buddy)
            buddy.state = TAIL
            page_in(region, frame).state = TAIL
            frame &= ~(u64(1) << order)
            order += 1
        put(region, frame, order)


@metal
def managed(physical: u64) -> bool:
    """Whether a page belongs to this allocator, and its references are counted."""
    return region_of(physical >> PAGE_SHIFT) is not None


@metal
def reference(physical: u64) -> None:
    """Count one reference more to a block in use, named by its first page."""
    page = page_of(physical)
    if page is not None and page.state != PINNED:
        old = page.references.add(1)
        assert page.state == USED and old != 0, "a reference to a page that is not in use"


@metal
def release(physical: u64) -> None:
    """Count one reference less; the last one frees the block."""
    page = page_of(physical)
    if page is None or page.state == PINNED:
        return
    old = page.references.sub(1)
    assert page.state == USED and old != 0, "a page was released too often"
    if old == 1:
        free_order(physical, u32(page.order))


@metal
def references(physical: u64) -> u32:
    """How many references a page has; 0 if they are not counted."""
    page = page_of(physical)
    if page is None or page.state == PINNED:
        return 0
    return page.references.load()


@metal
def exclusive(physical: u64) -> bool:
    """Whether the caller holds the only reference, so that it may write to the page in place."""
    return references(physical) == 1


@metal
def split(physical: u64) -> None:
    """Make a block in use, with one reference, into single pages with one reference each."""
    frame = physical >> PAGE_SHIFT
    region: Region = region_of(frame)
    with pages_lock:
        page = page_in(region, frame)
        assert page.state == USED and page.references.load() == 1, "a block was split that is shared or free"
        count = u64(1) << page.order
        for each in range(frame, frame + count):
            single = page_in(region, each)
            single.state = USED
            single.order = 0
            single.references.store(1)


@metal
def plentiful() -> bool:
    """Whether there is so much memory that 2 MiB pages may be given to programs."""
    return free_count >= PLENTY and free_count >= total_count // 4


@metal
def free_pages() -> u64:
    """How many pages are free."""
    return free_count


@metal
def total_pages() -> u64:
    """How many pages there are, free and used."""
    return total_count


@metal
def reserved_pages() -> u64:
    """How many pages programs can't have."""
    return reserve


@metal
def free_blocks(counts: Array[u64, MAXIMUM_ORDER + 1]) -> None:
    """How many blocks of each order are free."""
    for order in range(u64(0), u64(MAXIMUM_ORDER + 1)):
        with pages_lock:
            frame = free_lists[order]
            while frame != 0:
                counts[order] += 1
                frame = page_of(u64(frame) << PAGE_SHIFT).next


@metal
def zero_page() -> u64:
    """The page of zeros that is mapped, read-only, where memory was read and never written."""
    return zero_page_address


table_page_allocate.set(allocate_table)
table_page_free.set(release)
