"""Numbers in network order, read and written at an offset of a slice, whose bounds are checked."""

from goanna.metal import Slice, byte_swap, metal, u8, u16, u32, u64, unsafe

__all__ = ["get16", "get32", "put16", "put32", "raw16"]


@metal(inline=True)
def get16(data: Slice[u8], offset: u64) -> u16:
    """Two bytes at an offset, as a number."""
    assert offset + 2 <= len(data), "a number beyond the end of a packet"
    return byte_swap(unsafe.load(u16, unsafe.address(data) + offset, unaligned=True))


@metal(inline=True)
def get32(data: Slice[u8], offset: u64) -> u32:
    """Four bytes at an offset, as a number."""
    assert offset + 4 <= len(data), "a number beyond the end of a packet"
    return byte_swap(unsafe.load(u32, unsafe.address(data) + offset, unaligned=True))


@metal(inline=True)
def put16(data: Slice[u8], offset: u64, value: u16) -> None:
    """Write a number as two bytes."""
    assert offset + 2 <= len(data), "a number beyond the end of a packet"
    unsafe.store(u16, unsafe.address(data) + offset, byte_swap(value), unaligned=True)


@metal(inline=True)
def put32(data: Slice[u8], offset: u64, value: u32) -> None:
    """Write a number as four bytes."""
    assert offset + 4 <= len(data), "a number beyond the end of a packet"
    unsafe.store(u32, unsafe.address(data) + offset, byte_swap(value), unaligned=True)


@metal(inline=True)
def raw16(data: Slice[u8], offset: u64, value: u16) -> None:
    """Write a checksum, which is in memory order already."""
    assert offset + 2 <= len(data), "a number beyond the end of a packet"
    unsafe.store(u16, unsafe.address(data) + offset, value, unaligned=True)
