"""Block checksums: each page of the image is checked when it is first used, so the cost does not grow with the image.

The sums are XXH64 with seed 0 (xxHash specification 0.1.1), which finds accidents, not attackers.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.kernel.shared.boot import CHECKSUM_BLOCK
from goanna.metal import Fn, Ptr, Slice, fill, hook, metal, rotate_left, struct, u8, u32, u64, unsafe, wrapping

__all__ = ["ON_DRIVE", "Integrity", "on_damage", "xxh64"]

PRIME_1 = 0x9E3779B185EBCA87
PRIME_2 = 0xC2B2AE3D27D4EB4F
PRIME_3 = 0x165667B19E3779F9
PRIME_4 = 0x85EBCA77C2B2AE63
PRIME_5 = 0x27D4EB2F165667C5

# A block of the bundle, by number, is not what it was when the image was made; or of a drive, with this bit.
on_damage = hook(Fn[[u64], None])
ON_DRIVE = 1 << 63


@metal(inline=True)
def lane(accumulator: u64, word: u64) -> u64:
    """One round of one lane."""
    return wrapping(rotate_left(wrapping(accumulator + word * PRIME_2), 31) * PRIME_1)


@metal(inline=True)
def merge(accumulator: u64, value: u64) -> u64:
    """Fold a lane into the sum."""
    return wrapping((accumulator ^ lane(0, value)) * PRIME_1 + PRIME_4)


@metal(inline=False)
def stripes(start: u64, end: u64) -> tuple[u64, u64, u64, u64]:
    """The four lanes over whole stripes of 32 bytes, from address to address.

    A function of its own, because the optimiser would mix the first step of what follows into the loop.
    """
    a: u64 = (PRIME_1 + PRIME_2) & 0xFFFF_FFFF_FFFF_FFFF
    b: u64 = PRIME_2
    c: u64 = 0
    d: u64 = (1 << 64) - PRIME_1
    at = start
    while at != end:
        a = lane(a, unsafe.load(u64, at, unaligned=True))
        b = lane(b, unsafe.load(u64, wrapping(at + 8), unaligned=True))
        c = lane(c, unsafe.load(u64, wrapping(at + 16), unaligned=True))
        d = lane(d, unsafe.load(u64, wrapping(at + 24), unaligned=True))
        at = wrapping(at + 32)
    return a, b, c, d


@metal
def xxh64(data: Slice[u8]) -> u64:
    """The XXH64 sum, seed 0."""
    at = unsafe.address(data)
    left = u64(len(data))
    result: u64 = PRIME_5
    if left >= 32:
        end = wrapping(at + (left & ~31))
        a, b, c, d = stripes(at, end)
        at = end
        left = left & 31
        result = wrapping(rotate_left(a, 1) + rotate_left(b, 7) + rotate_left(c, 12) + rotate_left(d, 18))
        result = merge(merge(merge(merge(result, a), b), c), d)
    result = wrapping(result + len(data))
    while left >= 8:
        result = wrapping(rotate_left(result ^ lane(0, unsafe.load(u64, at, unaligned=True)), 27) * PRIME_1 + PRIME_4)
        at = wrapping(at + 8)
        left = wrapping(left - 8)
    if left >= 4:
        word = u64(unsafe.load(u32, at, unaligned=True))
        result = wrapping(rotate_left(result ^ wrapping(word * PRIME_1), 23) * PRIME_2 + PRIME_3)
        at = wrapping(at + 4)
        left = wrapping(left - 4)
    while left > 0:
        byte = u64(unsafe.load(u8, at))
        result = wrapping(rotate_left(result ^ wrapping(byte * PRIME_5), 11) * PRIME_1)
        at = wrapping(at + 1)
        left = wrapping(left - 1)
    result = wrapping((result ^ (result >> 33)) * PRIME_2)
    result = wrapping((result ^ (result >> 29)) * PRIME_3)
    return result ^ (result >> 32)


@struct
class Integrity:
    """Which blocks of a stretch of memory have been checked. Zeroed: nothing is checked, everything passes."""

    lock: SpinLock  # protects the bits
    base: u64  # address of block 0
    size: u64  # bytes
    sums: u64  # address of the u64 sums; 0: there are none
    bits: u64  # address of a bit a block: it has been checked and is sound
    guard: Ptr["Integrity"]  # checks the sums themselves; None: they were checked at once

    def start(self, base: u64, size: u64, sums: u64, count: u64) -> bool:
        """Begin to check the `size` bytes at `base`. False: too few sums (`count`), or no memory for the bits."""
        blocks = (size + (CHECKSUM_BLOCK - 1)) // CHECKSUM_BLOCK
        if count < blocks:
            return False
        order: u32 = 0
        while (u64(PAGE_SIZE) << order) * 8 < blocks:
            order += 1
            if order > pages.MAXIMUM_ORDER:
                return False
        memory = pages.allocate_order(order)
        if memory == 0:
            return False
        fill(unsafe.slice(u64, virtual(memory), (u64(PAGE_SIZE) << order) // 8), 0)
        self.bits = virtual(memory)
        self.base = base
        self.size = size
        self.sums = sums
        return True

    def word_of(self, block: u64) -> u64:
        """Where the bit of a block lies."""
        return self.bits + block // 64 * 8

    def known(self, offset: u64, length: u64) -> bool:
        """Whether these bytes have been found sound already. They lie inside, and there is at least one."""
        if self.sums == 0:
            return True
        for block in range(offset // CHECKSUM_BLOCK, (offset + length - 1) // CHECKSUM_BLOCK + 1):
            if unsafe.load(u64, self.word_of(block)) >> (block % 64) & 1 == 0:
                return False
        return True

    def check(self, offset: u64, length: u64) -> bool:
        """Whether these bytes are sound. They lie inside, and there is at least one."""
        if self.known(offset, length):
            return True
        for block in range(offset // CHECKSUM_BLOCK, (offset + length - 1) // CHECKSUM_BLOCK + 1):
            if self.guard is not None and not self.guard.check(block * 8, 8):
                return False
            start = block * CHECKSUM_BLOCK
            count = min(self.size - start, u64(CHECKSUM_BLOCK))
            if xxh64(unsafe.slice(u8, self.base + start, count)) != unsafe.load(u64, self.sums + block * 8):
                on_damage(block)
                return False
            with self.lock:
                word = unsafe.load(u64, self.word_of(block))
                unsafe.store(u64, self.word_of(block), word | (u64(1) << (block % 64)))
        return True
