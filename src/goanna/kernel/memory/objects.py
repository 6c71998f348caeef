"""Kernel objects of one type each: slabs of pages cut into equal pieces, with a bitmap that says which are in use.

`threads = Cache(Thread)` at the top level makes a cache; `threads.allocate()` gives a zeroed object or None,
`threads.free(thread)` takes it back. A slab lies at a multiple of its size, so that an object leads to its slab. A slab
without objects goes back to the pages, but for one that each cache keeps.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.list import Link, List, type_of
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.metal import (
    Array,
    Atomic,
    Ptr,
    alignof,
    count_trailing_zeros,
    fill,
    metal,
    sizeof,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
    wrapping,
)
from goanna.metal.types import Type

__all__ = ["Cache", "CacheState", "slab_pages"]

MAXIMUM_OBJECTS = 256  # a slab
MAXIMUM_SLAB_ORDER = 3
WASTE = 8  # a slab is made larger until at most 1/8 of it is lost


@struct
class Slab:
    """The head of a slab; the objects follow. Protected by its cache's lock."""

    link: Link
    cache: Ptr["CacheState"]
    used: u32  # objects
    unused: u32
    taken: Array[u64, MAXIMUM_OBJECTS // 64]  # bit n: object n is in use


Slabs = List(Slab, "link")
_all_pages = static(Atomic[u64])  # of all caches


@metal
def slab_pages() -> u64:
    """How many pages hold kernel objects."""
    return _all_pages.load()


@struct
class CacheState:
    """The part of a cache that is there at run time."""

    lock: SpinLock  # protects all fields below, and the heads of the slabs
    partial: Slabs  # slabs with room
    full: Slabs
    spare: Ptr[Slab]  # an empty slab kept for the next allocation; on no list
    objects: u64  # in use
    slab_pages: u64

    def allocate(self, size: u64, first: u64, capacity: u64, order: u32) -> u64:
        """The address of a zeroed object, or 0. The numbers are the cache's constants."""
        with self.lock:
            slab = self.partial.head()
            if slab is None:
                slab = self.fresh(capacity, order)
                if slab is None:
                    return 0
                self.partial.append(slab)
            word: u64 = 0
            while slab.taken[word] == 0xFFFF_FFFF_FFFF_FFFF:
                word += 1
            bit = count_trailing_zeros(~slab.taken[word])
            slab.taken[word] |= u64(1) << bit
            slab.used += 1
            self.objects += 1
            if u64(slab.used) == capacity:
                self.partial.remove(slab)
                self.full.append(slab)
            address = unsafe.address(slab) + first + (word * 64 + bit) * size
        fill(unsafe.slice(u8, address, size), 0)
        return address

    def fresh(self, capacity: u64, order: u32) -> Ptr[Slab]:
        """An empty slab: the spare one or a new one. Objects that don't exist are marked as taken."""
        if self.spare is not None:
            slab = self.spare
            self.spare = None
            return slab
        block = pages.allocate_order(order)
        if block == 0:
            return None
        slab = unsafe.pointer(Slab, virtual(block))
        fill(unsafe.slice(u8, virtual(block), sizeof(Slab)), 0)
        slab.cache = self
        for word in range(u64(MAXIMUM_OBJECTS // 64)):
            there = min(max(capacity, word * 64) - word * 64, u64(64))
            slab.taken[word] = wrapping(~u64(0) << there) if there < 64 else u64(0)
        self.slab_pages += u64(1) << order
        _all_pages.add(u64(1) << order)
        return slab

    def free(self, address: u64, size: u64, first: u64, capacity: u64, order: u32) -> None:
        """Take an object back."""
        block = physical(address) & ~((u64(PAGE_SIZE) << order) - 1)
        base = virtual(block)
        slab = unsafe.at(Slab, base)
        assert slab.cache is self, "an object was freed to a cache that it is not from"
        with self.lock:
            index = (address - base - first) // size
            assert base + first + index * size == address, "the address freed is not that of an object"
            bit = u64(1) << (index % 64)
            assert slab.taken[index // 64] & bit != 0, "an object was freed twice"
            slab.taken[index // 64] &= ~bit
            if u64(slab.used) == capacity:
                self.full.remove(slab)
                self.partial.append(slab)
            slab.used -= 1
            self.objects -= 1
            if slab.used == 0:
                self.partial.remove(slab)
                if self.spare is None:
                    self.spare = slab
                else:
                    self.slab_pages -= u64(1) << order
                    _all_pages.sub(u64(1) << order)
                    slab.cache = None
                    pages.free_order(block, order)


class Shape:
    """How objects of a type lie in a slab; computed once, when the first use is compiled."""

    def __init__(self, kind: Type) -> None:
        align = max(8, alignof(kind))
        self.size = -(-max(sizeof(kind), 8) // align) * align
        self.first = -(-sizeof(Slab) // align) * align
        for self.order in range(MAXIMUM_SLAB_ORDER + 1):
            room = (PAGE_SIZE << self.order) - self.first
            self.capacity = min(room // self.size, MAXIMUM_OBJECTS)
            if room - self.capacity * self.size <= (PAGE_SIZE << self.order) // WASTE and self.capacity >= 4:
                break
        if self.capacity == 0:
            raise TypeError(f"{kind} ({self.size} bytes) is too large for a cache: take pages")


class Cache:
    """A cache of objects of one type, which may be a quoted dotted path. Made once, at the top level."""

    def __init__(self, kind: Type | str) -> None:
        state = static(CacheState)
        shape: list[Shape] = []

        def of() -> Shape:
            if not shape:
                shape.append(Shape(type_of(kind)))
            return shape[0]

        def size() -> int:
            return of().size

        def first() -> int:
            return of().first

        def capacity() -> int:
            return of().capacity

        def order() -> int:
            return of().order

        def target() -> Type:
            return type_of(kind)

        @metal
        def allocate() -> Ptr[kind]:
            """A zeroed object, or None if there is no memory."""
            address = state.allocate(size(), first(), capacity(), order())
            if address == 0:
                return None
            return unsafe.pointer(target(), address)

        @metal
        def free(item: kind) -> None:
            """Take an object back."""
            state.free(unsafe.address(item), size(), first(), capacity(), order())

        @metal
        def in_use() -> u64:
            """How many objects are in use."""
            return state.objects

        self.kind, self.state = kind, state
        self.allocate, self.free, self.in_use = allocate, free, in_use
