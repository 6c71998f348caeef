"""Sequence numbers: arithmetic modulo 2**32 (RFC 9293 3.4). Also right for timestamps (RFC 7323 5.2)."""

from goanna.metal import metal, u32, wrapping

__all__ = ["at_most", "before", "less", "plus"]


@metal(inline=True)
def plus(number: u32, count: u32) -> u32:
    """The number `count` further."""
    return wrapping(number + count)


@metal(inline=True)
def less(number: u32, other: u32) -> u32:
    """How far `number` is behind `other`: number - other. Less than 2**31 if it is."""
    return wrapping(number - other)


@metal(inline=True)
def before(a: u32, b: u32) -> bool:
    """Whether a < b."""
    return wrapping(a - b) >= 0x8000_0000


@metal(inline=True)
def at_most(a: u32, b: u32) -> bool:
    """Whether a <= b."""
    return wrapping(b - a) < 0x8000_0000
