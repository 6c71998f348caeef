"""The Internet checksum (RFC 1071), summed eight bytes a step.

A sum is kept in memory order: as if the data were 16-bit words of this (little-endian) machine. RFC 1071 section 2(B)
shows that the folded result, stored the way it was loaded, is the right one in network order.
"""

from goanna.metal import Slice, add_overflows, byte_swap, metal, u8, u16, u32, u64, unlikely, unsafe

__all__ = ["finish", "fold", "joined", "pseudo_header", "replaced", "summed"]


@metal(inline=True)
def fold(total: u64) -> u64:
    """The same ones' complement sum in 16 bits."""
    total = (total & 0xFFFF_FFFF) + (total >> 32)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@metal(inline=True)
def carried(total: u64, word: u64) -> u64:
    """Ones' complement addition of 64-bit words."""
    result, carry = add_overflows(total, word)
    return result + u64(carry)  # a sum that carried is at most 2**64 - 2


@metal
def summed(data: Slice[u8]) -> u64:
    """The sum of bytes, folded to 16 bits. An odd last byte counts as if a zero followed."""
    total: u64 = 0
    at = unsafe.address(data)
    left = len(data)
    while left >= 32:
        total = carried(total, unsafe.load(u64, at, unaligned=True))
        total = carried(total, unsafe.load(u64, at + 8, unaligned=True))
        total = carried(total, unsafe.load(u64, at + 16, unaligned=True))
        total = carried(total, unsafe.load(u64, at + 24, unaligned=True))
        at += 32
        left -= 32
    while left >= 8:
        total = carried(total, unsafe.load(u64, at, unaligned=True))
        at += 8
        left -= 8
    if left >= 4:
        total = carried(total, u64(unsafe.load(u32, at, unaligned=True)))
        at += 4
        left -= 4
    if left >= 2:
        total = carried(total, u64(unsafe.load(u16, at, unaligned=True)))
        at += 2
        left -= 2
    if left != 0:
        total = carried(total, u64(unsafe.load(u8, at)))
    return fold(total)


@metal(inline=True)
def joined(total: u64, part: u64, offset: u64) -> u64:
    """The sum of two stretches of data, each folded, where the second begins at `offset` bytes of the whole."""
    if unlikely(offset & 1 != 0):
        part = ((part & 0xFF) << 8) | (part >> 8)
    return fold(total + part)


@metal(inline=True)
def finish(total: u64) -> u16:
    """The checksum of a sum, to be stored in memory order."""
    return u16.wrap(~fold(total))


@metal(inline=True)
def pseudo_header(
    source_high: u64, source_low: u64, target_high: u64, target_low: u64, protocol: u8, length: u32
) -> u64:
    """The sum of a pseudo header (RFC 9293 3.1, RFC 8200 8.1), folded. Addresses as numbers; IPv4 below 2**32."""
    total = carried(carried(carried(source_high, source_low), target_high), target_low)
    number = fold(carried(total, u64(protocol) + u64(length)))
    return u64(byte_swap(u16(number)))


@metal(inline=True)
def replaced(checksum: u16, old: u16, new: u16) -> u16:
    """A checksum after a 16-bit word of the data has changed (RFC 1624, equation 3). All in memory order."""
    return u16.wrap(~fold(u64(~checksum) + u64(~old) + u64(new)))
