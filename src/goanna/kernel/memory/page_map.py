"""Pages by index: a radix tree from a 52-bit page index to a physical page, for shared memory and files in memory.

A node is one page of 512 entries. The tree is as high as the greatest index needs: without a node for a page at index
0 alone, which is what most files are. The owner locks.
"""

from goanna.kernel.arch import virtual
from goanna.kernel.memory import pages
from goanna.metal import metal, struct, u32, u64, unsafe

__all__ = ["MAXIMUM_INDEX", "PageMap"]

BITS = 9
ENTRIES = 1 << BITS
MAXIMUM_INDEX = 1 << 52


@metal(inline=True)
def place(node: u64, index: u64, level: u32) -> u64:
    """Where the entry for an index lies in a node."""
    return virtual(node) + ((index >> (u64(level) * BITS)) & (ENTRIES - 1)) * 8


@struct
class PageMap:
    """A sparse array of pages. Zeroed memory is an empty one. It holds one reference to each page."""

    root: u64  # physical; height 0: the page at index 0, or 0
    height: u32  # levels
    unused: u32
    count: u64  # pages held

    def reaches(self, index: u64) -> bool:
        """Whether an index is within the height of the tree."""
        shift = u64(self.height) * BITS
        return shift >= 64 or index >> shift == 0

    def get(self, index: u64) -> u64:
        """The page at an index, or 0."""
        if not self.reaches(index):
            return 0
        node = self.root
        level = self.height
        while level > 0 and node != 0:
            level -= 1
            node = unsafe.load(u64, place(node, index, level))
        return node

    def set(self, index: u64, page: u64) -> bool:
        """Put a page where none is, taking over the caller's reference. False: no memory, or index out of range."""
        if index >= MAXIMUM_INDEX:
            return False
        while not self.reaches(index):
            node = pages.allocate_zeroed()
            if node == 0:
                return False
            unsafe.store(u64, virtual(node), self.root)
            self.root = node
            self.height += 1
        if self.height == 0:
            assert self.root == 0, "a page was put where one is"
            self.root = page
            self.count += 1
            return True
        node = self.root
        level = self.height - 1
        while level > 0:
            at = place(node, index, level)
            below = unsafe.load(u64, at)
            if below == 0:
                below = pages.allocate_zeroed()
                if below == 0:
                    return False
                unsafe.store(u64, at, below)
            node = below
            level -= 1
        at = place(node, index, 0)
        assert unsafe.load(u64, at) == 0, "a page was put where one is"
        unsafe.store(u64, at, page)
        self.count += 1
        return True

    def take(self, index: u64) -> u64:
        """Take the page at an index out, with the reference; 0 if there is none. Nodes stay."""
        if not self.reaches(index):
            return 0
        node = self.root
        level = self.height
        if level == 0:
            self.root = 0
            self.count = 0
            return node
        at: u64 = 0
        while level > 0:
            if node == 0:
                return 0
            level -= 1
            at = place(node, index, level)
            node = unsafe.load(u64, at)
        if node != 0:
            unsafe.store(u64, at, 0)
            self.count -= 1
        return node

    def next(self, first: u64) -> u64:
        """The least index from `first` on that has a page; MAXIMUM_INDEX if there is none."""
        if self.count == 0 or not self.reaches(first):
            return MAXIMUM_INDEX
        if self.height == 0:
            return 0
        return next_below(self.root, self.height - 1, 0, first)

    def last(self) -> u64:
        """The greatest index that has a page; MAXIMUM_INDEX if there is none."""
        if self.count == 0:
            return MAXIMUM_INDEX
        if self.height == 0:
            return 0
        return last_below(self.root, self.height - 1, 0)

    def clear_from(self, first: u64) -> None:
        """Release every page whose index is `first` or more, and the nodes that hold nothing else."""
        if self.height == 0:
            if first == 0 and self.root != 0:
                pages.release(self.root)
                self.root = 0
                self.count = 0
            return
        shift = u64(self.height) * BITS
        if shift < 64 and first >> shift != 0:
            return
        if self.trim(self.root, self.height - 1, 0, first):
            self.root = 0
            self.height = 0

    def trim(self, node: u64, level: u32, base: u64, first: u64) -> bool:
        """clear_from below one node, whose least index is `base`. Whether the node is gone."""
        size = u64(1) << (u64(level) * BITS)
        start = u64(0) if first <= base else (first - base) // size
        for slot in range(start, u64(ENTRIES)):
            at = virtual(node) + slot * 8
            below = unsafe.load(u64, at)
            if below == 0:
                continue
            if level == 0:
                pages.release(below)
                self.count -= 1
                unsafe.store(u64, at, 0)
            elif self.trim(below, level - 1, base + slot * size, first):
                unsafe.store(u64, at, 0)
        for slot in range(start):
            if unsafe.load(u64, virtual(node) + slot * 8) != 0:
                return False
        for slot in range(start, u64(ENTRIES)):
            if unsafe.load(u64, virtual(node) + slot * 8) != 0:
                return False
        pages.release(node)
        return True


@metal
def next_below(node: u64, level: u32, base: u64, first: u64) -> u64:
    """PageMap.next below one node, whose least index is `base`."""
    size = u64(1) << (u64(level) * BITS)
    start = u64(0) if first <= base else (first - base) // size
    for slot in range(start, u64(ENTRIES)):
        below = unsafe.load(u64, virtual(node) + slot * 8)
        if below != 0:
            if level == 0:
                return base + slot
            found = next_below(below, level - 1, base + slot * size, first)
            if found != MAXIMUM_INDEX:
                return found
    return MAXIMUM_INDEX


@metal
def last_below(node: u64, level: u32, base: u64) -> u64:
    """PageMap.last below one node."""
    slot: u64 = ENTRIES
    while slot > 0:
        slot -= 1
        below = unsafe.load(u64, virtual(node) + slot * 8)
        if below != 0:
            if level == 0:
                return base + slot
            found = last_below(below, level - 1, base + (slot << (u64(level) * BITS)))
            if found != MAXIMUM_INDEX:
                return found
    return MAXIMUM_INDEX
