"""The pages of a drive that holds a file tree: read when they are first used, a few neighbours at once, each checked.

They are kept while there is memory. A program that finds none takes back pages that nobody looks at (`reclaim`), from
one end of the drive to the other and over again; they are read again when they are wanted.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.integrity import ON_DRIVE, on_damage, xxh64
from goanna.kernel.memory import pages
from goanna.kernel.memory.page_map import MAXIMUM_INDEX, PageMap
from goanna.kernel.shared.tree_sums import SUMS_IN_BLOCK, TREE_SUMS_MAGIC, TreeSums
from goanna.kernel.thread.current import count_fetch
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import Array, Fn, Ptr, Slice, copy, fill, i64, metal, sizeof, static, struct, u8, u32, u64, unsafe

__all__ = ["CLUSTER", "Drive", "cached_pages", "use_drive"]

CLUSTER = 8  # pages read at once, from a multiple of it on
MAXIMUM_DRIVES = 16
AT_ONCE = 64  # pages taken back
MOST_ROOTS = 64  # pages, for a tree of 64 GiB


@struct
class Drive:
    """A disk by the page. `page` may sleep, but for boot, when nobody else runs."""

    # Fill pages of memory (physical addresses) from page `first` of the disk `object` on: 0 or a negative errno.
    read: Fn[[u64, u64, Slice[u64]], i64]
    object: u64
    size: u64  # bytes; what is beyond the last whole sector of the disk reads as zeros
    reading: Mutex  # held while pages are fetched, so that each is fetched once
    lock: SpinLock  # protects both below; a page of the map with one reference is looked at by nobody
    pages: PageMap
    hand: u64  # where to look for pages to be taken back
    checked: u64  # pages from the start on whose sums follow; 0: none are checked
    roots: u64  # address of the sums of the pages of sums

    def known(self, index: u64) -> u64:
        """The address of a page that is in memory, with a reference; 0 if it is not."""
        with self.lock:
            page = self.pages.get(index)
            if page != 0:
                pages.reference(page)
        return virtual(page) if page != 0 else u64(0)

    def page(self, index: u64) -> u64:
        """The address of a page, which stays until the caller releases it; 0 where it can't be read or memory is
        out."""
        found = self.known(index)
        if found != 0:
            return found
        with self.reading:
            found = self.known(index)
            if found != 0:
                return found
            found = self.fetch(index // CLUSTER * CLUSTER, CLUSTER, index)
            return found if found != 0 else self.fetch(index, 1, index)

    def fetch(self, first: u64, most: u64, wanted: u64) -> u64:
        """Read the pages from `first` on, at most so many, up to one that is there or the end. The address of the one
        that is wanted, with a reference; 0 if it is not among them."""
        fresh = Array[u64, CLUSTER]()
        count: u64 = 0
        while count < most and (first + count) * PAGE_SIZE < self.size and not self.has(first + count):
            fresh[count] = pages.allocate_for_program()
            if fresh[count] == 0:
                break
            count += 1
        if count == 0:
            return 0
        for index in range(count):
            fill(unsafe.slice(u8, virtual(fresh[index]), PAGE_SIZE), 0)
        good = self.read(self.object, first, fresh[0:count]) == 0
        count_fetch(count * PAGE_SIZE)
        found: u64 = 0
        for index in range(count):
            kept = False
            if good and self.sound(first + index, fresh[index]):
                with self.lock:
                    there = self.pages.get(first + index)  # a page of sums comes while one before it is checked
                    if there == 0 and self.pages.set(first + index, fresh[index]):
                        kept = True
                        there = fresh[index]
                    if there != 0 and first + index == wanted:
                        pages.reference(there)
                        found = virtual(there)
            if not kept:
                pages.release(fresh[index])
        return found

    def check(self) -> bool:
        """Begin to check what is read, if the disk has sums (shared/tree_sums.py). At boot. False: they are damaged, or
        memory is out."""
        last = self.size // PAGE_SIZE
        address: u64 = 0
        if last == 0 or self.size % PAGE_SIZE != 0:
            return True
        address = self.page(last - 1)
        if address == 0:
            return False
        sums = TreeSums()
        copy(sums, unsafe.at(TreeSums, address))
        pages.release(physical(address))
        if sums.magic != TREE_SUMS_MAGIC:
            return True
        told = xxh64(unsafe.slice(u8, unsafe.address(sums), sizeof(TreeSums) - 8))
        if told != sums.sum or sums.blocks == 0 or sums.blocks > last or sums.root_blocks > MOST_ROOTS:
            return False
        table = (sums.blocks + (SUMS_IN_BLOCK - 1)) // SUMS_IN_BLOCK
        if sums.blocks + table + sums.root_blocks + 1 != last or table > sums.root_blocks * SUMS_IN_BLOCK:
            return False
        order: u32 = 0
        while u64(1) << u64(order) < sums.root_blocks:
            order += 1
        memory = pages.allocate_order(order)
        if memory == 0:
            return False
        for index in range(sums.root_blocks):
            address = self.page(sums.blocks + table + index)
            if address == 0:
                return False
            place = unsafe.slice(u8, virtual(memory) + index * PAGE_SIZE, PAGE_SIZE)
            place[:] = unsafe.slice(u8, address, PAGE_SIZE)
            pages.release(physical(address))
        if xxh64(unsafe.slice(u8, virtual(memory), sums.root_blocks * PAGE_SIZE)) != sums.roots_sum:
            return False
        with self.lock:
            self.pages.clear_from(0)  # what was read unchecked
        self.roots = virtual(memory)
        self.checked = sums.blocks
        return True

    def sound(self, index: u64, page: u64) -> bool:
        """Whether a page that was read is what was written."""
        if self.checked == 0:
            return True
        sum = xxh64(unsafe.slice(u8, virtual(page), PAGE_SIZE))
        expected: u64 = sum
        if index < self.checked:
            place = self.checked + index // SUMS_IN_BLOCK
            address = self.known(place)
            if address == 0:
                address = self.fetch(place, 1, place)
            if address == 0:
                return False
            expected = unsafe.load(u64, address + index % SUMS_IN_BLOCK * 8)
            pages.release(physical(address))
        elif index < self.checked + (self.checked + (SUMS_IN_BLOCK - 1)) // SUMS_IN_BLOCK:
            expected = unsafe.load(u64, self.roots + (index - self.checked) * 8)
        if sum != expected:
            on_damage(index | ON_DRIVE)
            return False
        return True

    def has(self, index: u64) -> bool:
        """Whether a page is in memory."""
        with self.lock:
            return self.pages.get(index) != 0

    def give_back(self) -> u64:
        """Release pages that nobody looks at: how many."""
        count: u64 = 0
        turns: u64 = 0
        with self.lock:
            while count < AT_ONCE and turns < 2 and self.pages.count != 0:
                index = self.pages.next(self.hand)
                if index == MAXIMUM_INDEX:
                    self.hand = 0
                    turns += 1
                    continue
                self.hand = index + 1
                if pages.references(self.pages.get(index)) == 1:
                    pages.release(self.pages.take(index))
                    count += 1
        return count


drives = static(Array[Ptr[Drive], MAXIMUM_DRIVES])  # filled at boot, constant afterwards
drive_count = static(u64)


@metal
def give_back_any() -> bool:
    """pages.reclaim: take pages from the drives. Whether there were any."""
    for index in range(drive_count):
        drive: Drive = drives[index]
        if drive.give_back() != 0:
            return True
    return False


@metal
def cached_pages() -> u64:
    """How many pages of drives are in memory."""
    total: u64 = 0
    for index in range(drive_count):
        total += drives[index].pages.count
    return total


@metal
def use_drive(drive: Drive) -> None:
    """Let memory that runs out be taken from a drive's pages. At boot."""
    global drive_count
    if drive_count < MAXIMUM_DRIVES:
        drives[drive_count] = drive
        drive_count += 1
        pages.reclaim = give_back_any
