"""SipHash-2-4 against the vectors of its paper and a plain Python version."""

from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.net import keyed_hash
from goanna.kernel.net.keyed_hash import SipHash
from goanna.metal import jit
from tests.kernel.net.machine import hooks

with hooks():
    unit = jit(SipHash, keyed_hash.hash_words, keyed_hash.new_keys, keyed_hash.keys)
MASK = 2**64 - 1
words = st.integers(0, MASK)


def plain(first, second, blocks):
    def turn(x, n):
        return (x << n | x >> 64 - n) & MASK

    a, b = first ^ 0x736F6D6570736575, second ^ 0x646F72616E646F6D
    c, d = first ^ 0x6C7967656E657261, second ^ 0x7465646279746573

    def rounds(a, b, c, d, count):
        for _ in range(count):
            a = (a + b) & MASK
            b = turn(b, 13) ^ a
            a = turn(a, 32)
            c = (c + d) & MASK
            d = turn(d, 16) ^ c
            a = (a + d) & MASK
            d = turn(d, 21) ^ a
            c = (c + b) & MASK
            b = turn(b, 17) ^ c
            c = turn(c, 32)
        return a, b, c, d

    for block in [*blocks, len(blocks) * 8 % 256 << 56]:
        a, b, c, d = rounds(a, b, c, d ^ block, 2)
        a ^= block
    a, b, c, d = rounds(a, b, c ^ 0xFF, d, 4)
    return a ^ b ^ c ^ d


def test_the_vector_of_the_paper():
    state = unit.new(SipHash)
    key = [int.from_bytes(bytes(range(n, n + 8)), "little") for n in (0, 8)]
    unit.call(SipHash.start, state, *key)
    unit.call(SipHash.add, state, key[0])
    last = int.from_bytes(bytes(range(8, 15)) + b"\x0f", "little")
    assert unit.call(SipHash.end, state, last) == 0xA129CA6149BE45E5


@given(words, st.lists(words, max_size=6))
def test_words_with_the_machines_key(purpose, data):
    unit.call(keyed_hash.new_keys)
    first, second = unit.static(keyed_hash.keys)
    assert unit.call(keyed_hash.hash_words, purpose, data) == plain(first ^ purpose, second, data)
