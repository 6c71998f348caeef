"""A loop that looks for a zero byte becomes a call of the C library's strlen, which no kernel has."""

from goanna.metal import Array, constant, metal, u8, u16, u64, unsafe

EXPECTED = 0x0B_06

words = constant(Array[u8, 12], b"hello world")
wide = constant(Array[u16, 7], [1, 2, 3, 4, 5, 6, 0])


@metal(inline=False)
def length(address: u64) -> u64:
    n: u64 = 0
    while unsafe.load(u8, address + n) != 0:
        n += 1
    return n


@metal(inline=False)
def wide_length(address: u64) -> u64:
    n: u64 = 0
    while unsafe.load(u16, unsafe.address(unsafe.pointer(u16, address)) + 2 * n) != 0:
        n += 1
    return n


@metal(inline=False)
def plain_length(address: u64) -> u64:
    at = address
    while unsafe.load(u8, at) != 0:
        at += 1
    return at - address


@metal
def program() -> u64:
    if plain_length(unsafe.address(words)) != length(unsafe.address(words)):
        return 0
    return length(unsafe.address(words)) << 8 | wide_length(unsafe.address(wide))
