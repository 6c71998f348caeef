"""Arithmetic, comparisons and bits, compiled by the JIT at O0 and O2 and called."""

import pytest

from goanna.metal import (
    add_overflows,
    byte_swap,
    count_leading_zeros,
    count_trailing_zeros,
    i8,
    i32,
    i64,
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
from tests.metal.failing import fails


@metal
def sum_of(a: u32, b: u32) -> u32:
    return a + b


def test_arithmetic_is_checked(run):
    assert run(sum_of, 2, 3) == 5
    failure = fails(run, "overflow: \\+ on u32", sum_of, 2**32 - 1, 1)
    assert failure.line == sum_of.code.co_firstlineno + 2


@metal
def floor(a: i32, b: i32) -> tuple[i32, i32]:
    return a // b, a % b


@pytest.mark.parametrize("a", [7, -7, 0, 2**31 - 1])
@pytest.mark.parametrize("b", [2, -2, 1, -1, 5])
def test_division_floors_as_python_does(run, a, b):
    assert run(floor, a, b) == (a // b, a % b)


def test_division_by_zero_and_its_overflow_are_checked(run):
    fails(run, "division by zero", floor, 1, 0)
    fails(run, "overflow: // on i32", floor, -(2**31), -1)


@metal
def shifted(a: u32, n: u32) -> u32:
    return a << n


def test_shift_checks_the_count_and_lost_bits(run):
    assert run(shifted, 3, 4) == 48
    fails(run, "loses bits", shifted, 3, 31)
    fails(run, "shift count", shifted, 1, 32)


@metal
def hashed(a: u64) -> u64:
    return wrapping((a * 0x9E3779B97F4A7C15 + 1) << 3)


def test_wrapping_arithmetic_is_spelled(run):
    assert run(hashed, 12345) == ((12345 * 0x9E3779B97F4A7C15 + 1) << 3) % 2**64


@metal
def conversions(a: i64) -> tuple[u8, u8, i8, u32]:
    return u8(a), u8.wrap(a + 256), i8.wrap(a), u32(a > 3)


def test_conversions(run):
    assert run(conversions, 200) == (200, 200, -56, 1)
    fails(run, "i64 value does not fit in u8", conversions, 256)
    fails(run, "i64 value does not fit in u8", conversions, -1)


@metal
def inverted(a: u16) -> u16:
    return ~a & 0xFFF


def test_complement_keeps_the_width(run):
    assert run(inverted, 0xF0) == 0xF0F


@metal
def between(a: u32, b: u32, c: u32) -> bool:
    return (a < b <= c and not a == 7) or c in (1, 2)  # noqa: SIM201


@pytest.mark.parametrize("values", [(1, 2, 3), (7, 8, 9), (3, 2, 1), (3, 2, 2), (1, 1, 5), (0, 0, 2)])
def test_chained_comparison_and_logic(run, values):
    a, b, c = values
    assert run(between, *values) == ((a < b <= c and a != 7) or c in (1, 2))


@metal
def bits(x: u32) -> tuple[u32, u32, u32, u32, u32]:
    return count_leading_zeros(x), count_trailing_zeros(x), population_count(x), byte_swap(x), rotate_left(x, 8)


def test_bit_operations(run):
    assert run(bits, 0x10) == (27, 4, 1, 0x10000000, 0x1000)
    assert run(bits, 0)[:2] == (32, 32)


@metal
def wide(a: u64, b: u64) -> tuple[u64, u64, bool]:
    total, over = add_overflows(a, b)
    return multiply_high(a, b), total, over


def test_wide_arithmetic(run):
    a, b = 2**63 + 5, 2**63 + 9
    assert run(wide, a, b) == (a * b >> 64, (a + b) % 2**64, True)
