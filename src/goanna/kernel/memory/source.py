"""Where the pages of a mapping come from, if not from nowhere: a file of the image, a file in memory, shared memory.

A PageSource lies inside the object that has the pages. What maps it has a reference; the last release calls `destroy`.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EIO, ENOMEM
from goanna.kernel.memory import pages
from goanna.metal import Atomic, Fn, Ptr, Slice, i64, metal, struct, u8, u32, u64, unsafe

__all__ = ["NO_MEMORY", "NO_PAGE", "PageSource", "read_source"]

LAST_OFFSET = (1 << 63) - 1

NO_PAGE = 0  # what get_page gives past the end of the file, and where the data can't be read: SIGBUS
NO_MEMORY = 1  # what get_page gives where memory ran out


@struct
class PageSource:
    """A sequence of pages named by index. The functions are constant from the first mapping on."""

    # The page at an index: physical address with a reference for the caller, NO_PAGE or NO_MEMORY. The bool: for
    # writing through a shared mapping. May take time and locks; called without the address space's lock.
    get_page: Fn[[Ptr["PageSource"], u64, bool], u64]
    # Whether the page at an index is in memory, for mincore. None: always.
    has_page: Fn[[Ptr["PageSource"], u64], bool]
    # Have the pages from an index to below another be what the file is, for msync: 0 or an errno. May sleep. None: they
    # are the file.
    synchronise: Fn[[Ptr["PageSource"], u64, u64], i64]
    destroy: Fn[[Ptr["PageSource"]], None]  # called once, when the last reference goes; None: nothing to do
    # Drops what may be the last reference, under a lock of the source's own, where a source without references can be
    # mapped again. Then `destroy` is not called.
    leave: Fn[[Ptr["PageSource"]], None]
    references: Atomic[u32]
    number: u64  # inode number, for /proc/self/maps
    entry: Ptr["goanna.kernel.file.tree.Entry"]  # its name, with a reference that `destroy` gives back, or None

    def acquire(self) -> None:
        """Count one reference more."""
        self.references.add(1)

    def release(self) -> None:
        """Count one reference less; the last destroys the source."""
        if self.leave is not None:
            references = self.references.load()
            while references > 1:
                references, done = self.references.compare_exchange(references, references - 1)
                if done:
                    return
            self.leave(self)
            return
        old = self.references.sub(1)
        assert old != 0, "a page source was released too often"
        if old == 1 and self.destroy is not None:
            self.destroy(self)


@metal
def read_source(source: PageSource, offset: u64, destination: Slice[u8]) -> i64:
    """Read bytes of a source. 0, -EIO (past its end, or damaged) or -ENOMEM. May take time; no lock is held."""
    done: u64 = 0
    while done < len(destination):
        if offset > LAST_OFFSET - done:
            return -EIO
        here = offset + done
        count = min(len(destination) - done, PAGE_SIZE - here % PAGE_SIZE)
        page = source.get_page(source, here // PAGE_SIZE, False)
        if page == NO_PAGE:
            return -EIO
        if page == NO_MEMORY:
            return -ENOMEM
        destination[done : done + count] = unsafe.slice(u8, virtual(page) + here % PAGE_SIZE, count)
        pages.release(page)
        done += count
    return 0
