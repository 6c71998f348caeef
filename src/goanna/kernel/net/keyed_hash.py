"""SipHash-2-4 over a few words, with a key made at start: numbers that outsiders can't guess or make collide.

Source: Aumasson, Bernstein, "SipHash: a fast short-input PRF" (2012). Used for hash tables that strangers fill, initial
sequence numbers (RFC 6528), ports (RFC 6056), SYN cookies and IP identifications.
"""

from goanna.kernel.memory.placement import random_u64
from goanna.metal import Array, Slice, metal, multiply_high, rotate_left, static, struct, u64, wrapping

__all__ = ["SipHash", "hash_words", "new_keys", "quick_hash"]


@struct
class SipHash:
    """The state of one computation."""

    a: u64
    b: u64
    c: u64
    d: u64

    def start(self, first: u64, second: u64) -> None:
        """Begin with a key of two words."""
        self.a = first ^ 0x736F6D6570736575
        self.b = second ^ 0x646F72616E646F6D
        self.c = first ^ 0x6C7967656E657261
        self.d = second ^ 0x7465646279746573

    def round(self) -> None:
        """SipRound."""
        self.a = wrapping(self.a + self.b)
        self.b = rotate_left(self.b, 13) ^ self.a
        self.a = rotate_left(self.a, 32)
        self.c = wrapping(self.c + self.d)
        self.d = rotate_left(self.d, 16) ^ self.c
        self.a = wrapping(self.a + self.d)
        self.d = rotate_left(self.d, 21) ^ self.a
        self.c = wrapping(self.c + self.b)
        self.b = rotate_left(self.b, 17) ^ self.c
        self.c = rotate_left(self.c, 32)

    def add(self, word: u64) -> None:
        """Take in eight bytes, little-endian."""
        self.d ^= word
        self.round()
        self.round()
        self.a ^= word

    def end(self, last: u64) -> u64:
        """Take in the last block (bytes left over, and the length in the highest byte), and give the hash."""
        self.add(last)
        self.c ^= 0xFF
        for _ in range(4):
            self.round()
        return self.a ^ self.b ^ self.c ^ self.d


keys = static(Array[u64, 2])


@metal
def new_keys() -> None:
    """Draw the machine's key. Once, at start, when random numbers are there."""
    keys[0] = random_u64()
    keys[1] = random_u64()


@metal(inline=True)
def quick_hash(a: u64, b: u64) -> u64:
    """A hash of two words for tables that strangers fill: one wide multiplication (as in Wang Yi's wyhash), keyed."""
    x = a ^ keys[0]
    y = b ^ keys[1]
    return multiply_high(x, y) ^ wrapping(x * y)


@metal
def hash_words(purpose: u64, words: Slice[u64]) -> u64:
    """The keyed hash of some words. `purpose` keeps uses apart, so that one tells nothing of another."""
    state = SipHash()
    state.start(keys[0] ^ purpose, keys[1])
    for word in words:
        state.add(word)
    return state.end(wrapping(len(words) << 59))
