"""Areas: the ranges of an address space that are mapped in one way, in a tree by address that also finds gaps.

Every area knows the free room below it and the largest such room in its subtree, so a new mapping finds its place in
a few steps however many areas there are. All functions want the lock of the address space that owns the tree.
"""

from goanna.kernel.arch import PAGE_SIZE, READ, WRITE
from goanna.kernel.base.tree import Node, Tree
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.source import PageSource
from goanna.metal import Ptr, metal, struct, u32, u64

__all__ = [
    "ADVICE_HUGE",
    "ADVICE_SMALL",
    "AREA_BRK",
    "AREA_DONTDUMP",
    "AREA_DONTFORK",
    "AREA_GROWSDOWN",
    "AREA_LOCKED",
    "AREA_LOCK_ON_FAULT",
    "AREA_NORESERVE",
    "AREA_SHARED",
    "AREA_STACK",
    "AREA_VDSO",
    "AREA_WIPEONFORK",
    "STACK_GUARD",
    "Area",
    "Areas",
    "areas",
    "find_gap",
    "find_gap_up",
]

STACK_GUARD = 256 * PAGE_SIZE  # bytes kept free below an area that grows down (Linux stack_guard_gap)

AREA_SHARED = 1
AREA_GROWSDOWN = 2
AREA_STACK = 4  # the first stack
AREA_NORESERVE = 8
AREA_LOCKED = 16
AREA_LOCK_ON_FAULT = 32
ADVICE_HUGE = 64
ADVICE_SMALL = 128
AREA_WIPEONFORK = 256
AREA_DONTFORK = 512
AREA_DONTDUMP = 1024
AREA_BRK = 2048
AREA_VDSO = 4096


@struct
class Area:
    """A range of pages with one protection and one source. It belongs to one address space."""

    node: Node  # first, so that an item is where its node is
    start: u64  # first address
    end: u64  # address after the last
    gap: u64  # bytes free below, down to the next area or the least address
    largest_gap: u64  # in this subtree
    source: Ptr[PageSource]  # None: pages of zeros. An area holds a reference.
    offset: u64  # bytes into the source at `start`
    protection: u32  # arch.READ, WRITE, EXECUTE
    maximum: u32  # what mprotect may give
    flags: u32  # AREA_*, ADVICE_*
    unused: u32
    next: Ptr["Area"]  # of areas taken out of the tree, until they are freed

    def shared(self) -> bool:
        """Whether writes are seen by others that map the same source."""
        return self.flags & AREA_SHARED != 0

    def unwritable(self) -> u32:
        """The protection of a page that must not be written yet. What may be used at all can always be read."""
        return (self.protection & ~WRITE) | READ if self.protection != 0 else u32(0)

    def low(self) -> u64:
        """The first address that must stay free of other mappings: below a stack lies a guard."""
        if self.flags & AREA_GROWSDOWN == 0:
            return self.start
        return self.start - min(self.start, STACK_GUARD)

    def index(self, address: u64) -> u64:
        """The index in the source of the page at an address of this area."""
        return (self.offset + (address - self.start)) // PAGE_SIZE

    def continues(self, below: "Area") -> bool:
        """Whether this area carries on what the one below it is, so that the two can be one."""
        if below.end != self.start or below.protection != self.protection or below.flags != self.flags:
            return False
        if below.source is not self.source or below.maximum != self.maximum:
            return False
        return self.source is None or below.offset + (below.end - below.start) == self.offset


@metal
def summarise(area: Area) -> bool:
    """Recompute the largest gap of an area's subtree from its children's; whether it has changed."""
    largest = area.gap
    left = Areas.item_of(area.node.left)
    if left is not None:
        largest = max(largest, left.largest_gap)
    right = Areas.item_of(area.node.right)
    if right is not None:
        largest = max(largest, right.largest_gap)
    changed = largest != area.largest_gap
    area.largest_gap = largest
    return changed


Areas = Tree(Area, "node", "start", summarise)
areas = Cache(Area)


@metal
def gap_below(tree: Areas, area: Area) -> u64:
    """The room between an area and the one below it."""
    below = tree.before(area)
    floor = u64(0) if below is None else below.end
    low = area.low()
    return low - floor if low > floor else u64(0)


@metal
def refresh(tree: Areas, area: Ptr[Area]) -> None:
    """Bring an area's gap up to date after its neighbours or its bounds have changed."""
    if area is not None:
        area.gap = gap_below(tree, area)
        tree.changed(area)


@metal
def insert(tree: Areas, area: Area) -> None:
    """Add an area to the tree."""
    area.gap = 0
    tree.insert(area)
    refresh(tree, area)
    refresh(tree, tree.after(area))


@metal
def remove(tree: Areas, area: Area) -> None:
    """Take an area out of the tree."""
    above = tree.after(area)
    tree.remove(area)
    refresh(tree, above)


@metal
def resized(tree: Areas, area: Area) -> None:
    """To be called after an area's start or end has moved, its order unchanged."""
    refresh(tree, area)
    refresh(tree, tree.after(area))


@metal
def find(tree: Areas, address: u64) -> Ptr[Area]:
    """The area that holds an address, or None."""
    area = tree.at_most(address)
    if area is None or address >= area.end:
        return None
    return area


@metal
def find_from(tree: Areas, address: u64) -> Ptr[Area]:
    """The first area that ends above an address: the one that holds it, or the next; None if there is none."""
    area = tree.at_most(address)
    if area is None:
        return tree.first()
    if address < area.end:
        return area
    return tree.after(area)


@metal
def overlapping(tree: Areas, start: u64, end: u64) -> bool:
    """Whether any area has a page in [start, end)."""
    area = find_from(tree, start)
    return area is not None and area.start < end


@metal
def place_within(low: u64, high: u64, length: u64, align: u64) -> u64:
    """The highest aligned start of `length` bytes in [low, high), or 0."""
    if high < low or high - low < length:
        return 0
    start = (high - length) & ~(align - 1)
    return start if start >= low else u64(0)


@metal
def previous_with_gap(area: Area, length: u64) -> Ptr[Area]:
    """The nearest area below this one that has a gap of `length` bytes below itself, or None."""
    node: Ptr[Node] = area.node
    while True:
        left = Areas.item_of(node.left)
        if left is not None and left.largest_gap >= length:
            return last_with_gap(left, length)
        above = node.parent
        while above is not None and above.left is node:
            node = above
            above = node.parent
        if above is None:
            return None
        node = above
        candidate = Areas.item_of(node)
        if candidate.gap >= length:
            return candidate


@metal
def last_with_gap(top: Area, length: u64) -> Ptr[Area]:
    """The highest area of a subtree with a gap of `length` bytes, which it has."""
    area = top
    while True:
        right = Areas.item_of(area.node.right)
        if right is not None and right.largest_gap >= length:
            area = right
        elif area.gap >= length:
            return area
        else:
            area = Areas.item_of(area.node.left)


@metal
def find_gap(tree: Areas, length: u64, low: u64, high: u64, align: u64) -> u64:
    """The highest address in [low, high) with `length` bytes free, aligned to a power of 2; 0 if there is none."""
    above = find_from(tree, high)
    below = tree.last() if above is None else tree.before(above)
    ceiling = high if above is None else min(high, above.low())
    floor = low if below is None else max(low, below.end)
    found = place_within(floor, ceiling, length, align)
    area = below if above is None or above.start >= high else above
    if area is not None and found == 0 and area.end > low:
        if area is below:
            found = gap_place(tree, area, length, low, high, align)
        while found == 0 and area.start > low:
            area = previous_with_gap(area, length)
            if area is None:
                return 0
            found = gap_place(tree, area, length, low, high, align)
    return found


@metal
def gap_place(tree: Areas, area: Area, length: u64, low: u64, high: u64, align: u64) -> u64:
    """A place in the gap below an area, or 0."""
    below = tree.before(area)
    floor = low if below is None else max(low, below.end)
    return place_within(floor, min(high, area.low()), length, align)


@metal
def find_gap_up(tree: Areas, length: u64, low: u64, high: u64) -> u64:
    """The lowest address in [low, high) with `length` bytes free; 0 if there is none."""
    floor = low
    area = find_from(tree, low)
    while area is not None and area.start < high:
        ceiling = min(area.low(), high)
        if ceiling > floor and ceiling - floor >= length:
            return floor
        floor = max(floor, area.end)
        area = tree.after(area)
    return floor if floor < high and high - floor >= length else u64(0)
