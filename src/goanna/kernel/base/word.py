"""Words at any address: loads that may cross the borders that a word's own address would keep to.

The machines that can do so do it in one instruction, the others byte by byte. Bytes are in little-endian order.
"""

from goanna.metal import metal, struct, u32, u64, unsafe

__all__ = ["load_half", "load_word"]


@struct(packed=True)
class Word:
    """Eight bytes."""

    value: u64


@struct(packed=True)
class Half:
    """Four bytes."""

    value: u32


@metal(inline=True)
def load_word(address: u64) -> u64:
    """The eight bytes at an address."""
    return unsafe.at(Word, address).value


@metal(inline=True)
def load_half(address: u64) -> u32:
    """The four bytes at an address."""
    return unsafe.at(Half, address).value
