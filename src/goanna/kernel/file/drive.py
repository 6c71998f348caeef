"""The pages of a drive that holds a file tree: read when they are first used, a few neighbours at once, and kept.

Nothing is given back while the machine runs: what a program reads of a tree is what memory it takes.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.kernel.memory.page_map import PageMap
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import Array, Fn, Slice, fill, i64, struct, u8, u64, unsafe

__all__ = ["CLUSTER", "Drive"]

CLUSTER = 8  # pages read at once, from a multiple of it on


@struct
class Drive:
    """A disk by the page. `page` may sleep, but for boot, when nobody else runs."""

    # Fill pages of memory (physical addresses) from page `first` of the disk `object` on: 0 or a negative errno.
    read: Fn[[u64, u64, Slice[u64]], i64]
    object: u64
    size: u64  # bytes; what is beyond the last whole sector of the disk reads as zeros
    reading: Mutex  # held while pages are fetched, so that each is fetched once
    lock: SpinLock  # protects pages
    pages: PageMap

    def known(self, index: u64) -> u64:
        """The address of a page that is in memory; 0 if it is not."""
        with self.lock:
            page = self.pages.get(index)
        return virtual(page) if page != 0 else u64(0)

    def page(self, index: u64) -> u64:
        """The address of a page, which stays; 0 where it can't be read or memory is out."""
        found = self.known(index)
        if found != 0:
            return found
        with self.reading:
            found = self.known(index)
            if found != 0:
                return found
            if self.fetch(index // CLUSTER * CLUSTER, CLUSTER) or self.fetch(index, 1):
                return self.known(index)
        return 0

    def fetch(self, first: u64, most: u64) -> bool:
        """Read the pages from `first` on, at most so many, up to one that is there or the end. Whether it went well."""
        fresh = Array[u64, CLUSTER]()
        count: u64 = 0
        while count < most and (first + count) * PAGE_SIZE < self.size and self.known(first + count) == 0:
            fresh[count] = pages.allocate_for_program()
            if fresh[count] == 0:
                break
            count += 1
        if count == 0:
            return False
        for index in range(count):
            fill(unsafe.slice(u8, virtual(fresh[index]), PAGE_SIZE), 0)
        good = self.read(self.object, first, fresh[0:count]) == 0
        for index in range(count):
            if good:
                with self.lock:
                    good = self.pages.set(first + index, fresh[index])
            if not good:
                pages.release(fresh[index])
        return good
