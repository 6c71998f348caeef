"""Hash tables that grow, whose links lie inside the items.

`HashTable("goanna.kernel.file.tree.Entry", "link", "hash")` makes the type of a table of Entries joined by their field
`link: Link` and found by their field `hash: u32`. It grows by one bucket with each item beyond the buckets there are
(Litwin, "Linear hashing", 1980), so that no insertion moves more than the items of one bucket, and however many there
are, few share one. Room for more buckets is handed in; without it the table works on, more slowly. It never shrinks.
"""

from functools import cache

from goanna.kernel.base.list import List
from goanna.kernel.base.word import load_half, load_word
from goanna.metal import Array, Ptr, Slice, metal, offsetof, sizeof, struct, u8, u32, u64, unsafe, wrapping
from goanna.metal.types import Type, resolve

__all__ = ["SEGMENT_SIZE", "HashTable", "hash_bytes"]

FIRST = 256  # buckets that are there from the start
SEGMENT_SIZE = 4096  # bytes of further buckets that are handed in at once
SEGMENTS = 4096
LINK_PAIR = 16  # bytes of a bucket: sizeof(List)
SEGMENT = SEGMENT_SIZE // LINK_PAIR


@metal(inline=True)
def mix(value: u64) -> u64:
    """Let what differs in any bit make the low ones differ."""
    spread = wrapping(value * 0x9E3779B97F4A7C15)
    return spread ^ (spread >> 32)


@metal
def hash_bytes(seed: u64, data: Slice[u8]) -> u32:
    """A hash of bytes and a number, for tables that no stranger fills: it does not withstand chosen collisions."""
    value = seed
    at = unsafe.address(data)
    left = len(data)
    while left > 8:
        value = mix(value ^ load_word(at))
        at += 8
        left -= 8
    return u32.wrap(mix(mix(wrapping(value + len(data)) ^ last_word(at, left))))


@metal(inline=True)
def last_word(at: u64, count: u64) -> u64:
    """The 0 to 8 bytes at an address, zeros above them."""
    if count == 8:
        return load_word(at)
    if count >= 4:
        return u64(load_half(at)) | u64(load_half(at + count - 4)) << (8 * (count - 4))
    value: u64 = 0
    for index in range(count):
        value |= u64(unsafe.load(u8, at + index)) << (8 * index)
    return value


@cache
def HashTable(owner: Type | str, link: str, hash: str):
    """The type of a table of `owner`, joined by its Link `link`, found by its u32 `hash`. No method locks.

    The hash of an item must not change while it is in the table.
    """
    Bucket = List(owner, link)

    def hash_offset() -> int:
        return offsetof(resolve(owner, {}), hash)

    @struct
    class HashTable:
        """Buckets 0 to `mask` serve the hashes of those low bits; the first `divided` of them only half of their
        hashes, by one bit more, and buckets beyond `mask` the other half. Zeroed memory is an empty table."""

        grown: u64  # `mask` without the bits of FIRST - 1
        divided: u64
        count: u64  # items
        segments: Array[u64, SEGMENTS]  # addresses of the buckets after the first
        first: Array[Bucket, FIRST]

        @staticmethod
        def hash_of(item: owner) -> u64:
            return u64(unsafe.load(u32, unsafe.address(item) + hash_offset()))

        def mask(self) -> u64:
            """All bits of a hash that choose an undivided bucket."""
            return self.grown | (FIRST - 1)

        def buckets(self) -> u64:
            """How many there are."""
            return self.mask() + 1 + self.divided

        def bucket_at(self, index: u64) -> Bucket:
            """A bucket by its number, below buckets()."""
            if index < FIRST:
                return unsafe.index(self.first, index)
            beyond = index - FIRST
            segment = unsafe.index(self.segments, beyond // SEGMENT)
            return unsafe.at(Bucket, segment + beyond % SEGMENT * sizeof(Bucket))

        def bucket_of(self, value: u64) -> Bucket:
            """The bucket of a hash."""
            index = value & self.mask()
            if index < self.divided:
                index = value & (self.mask() * 2 + 1)
            return self.bucket_at(index)

        def head(self, value: u32) -> Ptr[owner]:
            """The first item that shares a bucket with a hash, or None."""
            return self.bucket_of(u64(value)).head()

        def after(self, item: owner) -> Ptr[owner]:
            """The next item of the same bucket, or None."""
            return self.first[0].after(item)

        def insert(self, item: owner) -> None:
            """Add an item, which is in no table."""
            self.bucket_of(HashTable.hash_of(item)).append(item)
            self.count += 1
            if self.count > self.buckets() and self.has_room():
                self.divide()

        def remove(self, item: owner) -> None:
            """Take out an item, which is in this table."""
            self.bucket_of(HashTable.hash_of(item)).remove(item)
            self.count -= 1

        def next_segment(self) -> u64:
            """Where the next bucket will lie."""
            return (self.buckets() - FIRST) // SEGMENT

        def has_room(self) -> bool:
            """Whether there is room for one bucket more."""
            segment = self.next_segment()
            return segment < SEGMENTS and self.segments[segment] != 0

        def wants_room(self) -> bool:
            """Whether the table would be faster if `extend` were called."""
            return self.count > self.buckets() and self.next_segment() < SEGMENTS and not self.has_room()

        def extend(self, address: u64) -> None:
            """Use SEGMENT_SIZE bytes of zeros for more buckets. Only if it `wants_room`."""
            assert self.wants_room(), "room was given to a hash table that has enough"
            self.segments[self.next_segment()] = address

        def divide(self) -> None:
            """Make one bucket more, of half the items of another. There is room for it."""
            made = self.buckets()
            bit = self.mask() + 1
            source = self.bucket_at(self.divided)
            target = self.bucket_at(made)
            item = source.head()
            while item is not None:
                following = source.after(item)
                if HashTable.hash_of(item) & bit != 0:
                    source.remove(item)
                    target.append(item)
                item = following
            self.divided += 1
            if self.divided == bit:
                self.grown = self.mask() * 2 + 1
                self.divided = 0

    return HashTable
