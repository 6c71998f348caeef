"""The pages of a drive that holds a file tree: read when they are first used, a few neighbours at once, each checked.

They are kept while there is memory. A program that finds none takes back pages that nobody looks at (`reclaim`), from
one end of the drive to the other and over again; they are read again when they are wanted.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.kernel.memory.page_map import MAXIMUM_INDEX, PageMap
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import Array, Fn, Ptr, Slice, fill, i64, metal, static, struct, u8, u64, unsafe

__all__ = ["CLUSTER", "Drive", "use_drive"]

CLUSTER = 8  # pages read at once, from a multiple of it on
MAXIMUM_DRIVES = 16
AT_ONCE = 64  # pages taken back


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
        found: u64 = 0
        for index in range(count):
            kept = False
            if good:
                with self.lock:
                    kept = self.pages.set(first + index, fresh[index])
                    if kept and first + index == wanted:
                        pages.reference(fresh[index])
                        found = virtual(fresh[index])
            if not kept:
                pages.release(fresh[index])
        return found

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
def use_drive(drive: Drive) -> None:
    """Let memory that runs out be taken from a drive's pages. At boot."""
    global drive_count
    if drive_count < MAXIMUM_DRIVES:
        drives[drive_count] = drive
        drive_count += 1
        pages.reclaim = give_back_any
