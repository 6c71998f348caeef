"""Where the pages of a mapping come from, if not from nowhere: a file of the image, a file in memory, shared memory.

A PageSource lies inside the object that has the pages. What maps it holds a reference; the last release calls `destroy`.
"""

from goanna.metal import Atomic, Fn, Ptr, struct, u32, u64

__all__ = ["NO_MEMORY", "NO_PAGE", "PageSource"]

NO_PAGE = 0  # what get_page gives past the end of the file, and where the data can't be read: SIGBUS
NO_MEMORY = 1  # what get_page gives where memory ran out


@struct
class PageSource:
    """A sequence of pages named by index. The functions are constant from the first mapping on."""

    # The page at an index: physical address with a reference for the caller, NO_PAGE or NO_MEMORY. The bool: for writing
    # through a shared mapping. May take time and locks; called without the address space's lock.
    get_page: Fn[[Ptr["PageSource"], u64, bool], u64]
    # The page at an index if it is at hand, with a reference, else NO_PAGE. Cheap. None: never at hand.
    peek_page: Fn[[Ptr["PageSource"], u64], u64]
    destroy: Fn[[Ptr["PageSource"]], None]  # called once, when the last reference goes; None: nothing to do
    references: Atomic[u32]
    number: u64  # inode number, for /proc/self/maps

    def acquire(self) -> None:
        """Count one reference more."""
        self.references.add(1)

    def release(self) -> None:
        """Count one reference less; the last destroys the source."""
        old = self.references.sub(1)
        assert old != 0, "a page source was released too often"
        if old == 1 and self.destroy is not None:
            self.destroy(self)
