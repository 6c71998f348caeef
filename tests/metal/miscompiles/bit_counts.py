"""Counts of bits, high halves and rotations: riscv64 has no instruction for most, and zero is a case of its own."""

from goanna.metal import (
    Array,
    byte_swap,
    constant,
    count_leading_zeros,
    count_trailing_zeros,
    metal,
    multiply_high,
    population_count,
    rotate_left,
    u8,
    u16,
    u32,
    u64,
    wrapping,
)

VALUES = (0, 1, 0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, 0x0123_4567_89AB_CDEF, 0x0000_0001_0000_0000)
table = constant(Array[u64, len(VALUES)], VALUES)


def expected() -> int:
    """The same sum, by Python."""
    total = 0
    for n in VALUES:
        for bits in (8, 16, 32, 64):
            m = n & (1 << bits) - 1
            total = total * 31 + bits - m.bit_length()
            total = total * 31 + ((m & -m).bit_length() - 1 if m else bits)
            total = total * 31 + m.bit_count()
            total = total * 31 + ((m << 5 | m >> (bits - 5)) & (1 << bits) - 1)
        total = total * 31 + int.from_bytes(n.to_bytes(8, "little"), "big")
        total = (total * 31 + (n * 0xFEDC_BA98_7654_3210 >> 64)) & 2**64 - 1
    return total


EXPECTED = expected()


@metal(inline=False)
def bytes_of(total: u64, m: u8) -> u64:
    total = wrapping(total * 31 + u64(count_leading_zeros(m)))
    total = wrapping(total * 31 + u64(count_trailing_zeros(m)))
    total = wrapping(total * 31 + u64(population_count(m)))
    return wrapping(total * 31 + u64(rotate_left(m, 5)))


@metal(inline=False)
def halves(total: u64, m: u16) -> u64:
    total = wrapping(total * 31 + u64(count_leading_zeros(m)))
    total = wrapping(total * 31 + u64(count_trailing_zeros(m)))
    total = wrapping(total * 31 + u64(population_count(m)))
    return wrapping(total * 31 + u64(rotate_left(m, 5)))


@metal(inline=False)
def words(total: u64, m: u32) -> u64:
    total = wrapping(total * 31 + u64(count_leading_zeros(m)))
    total = wrapping(total * 31 + u64(count_trailing_zeros(m)))
    total = wrapping(total * 31 + u64(population_count(m)))
    return wrapping(total * 31 + u64(rotate_left(m, 5)))


@metal(inline=False)
def doubles(total: u64, m: u64) -> u64:
    total = wrapping(total * 31 + count_leading_zeros(m))
    total = wrapping(total * 31 + count_trailing_zeros(m))
    total = wrapping(total * 31 + population_count(m))
    return wrapping(total * 31 + rotate_left(m, 5))


@metal
def program() -> u64:
    total: u64 = 0
    for n in table:
        total = bytes_of(total, u8.wrap(n))
        total = halves(total, u16.wrap(n))
        total = words(total, u32.wrap(n))
        total = doubles(total, n)
        total = wrapping(total * 31 + byte_swap(n))
        total = wrapping(total * 31 + multiply_high(n, 0xFEDC_BA98_7654_3210))
    return total
