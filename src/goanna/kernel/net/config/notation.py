"""Addresses as people write them: IPv4 and IPv6 (RFC 4291 2.2, RFC 5952), prefixes, link addresses."""

from goanna.kernel.base.text import Text
from goanna.kernel.net.address import Address
from goanna.metal import Array, Slice, metal, u8, u16, u32, u64

__all__ = ["parse_address", "parse_mac", "parse_number", "parse_prefix", "put_address"]

COLON, DOT, SLASH = 0x3A, 0x2E, 0x2F


@metal
def find(text: Slice[u8], byte: u8) -> u64:
    """Where a byte first stands; the length if nowhere."""
    at: u64 = 0
    while at < len(text) and text[at] != byte:
        at += 1
    return at


@metal
def parse_number(text: Slice[u8], most: u64) -> tuple[u64, bool]:
    """A decimal number up to `most`; whether it is one."""
    value: u64 = 0
    if len(text) == 0 or len(text) > 10:
        return 0, False
    for byte in text:
        if byte < 0x30 or byte > 0x39:
            return 0, False
        value = value * 10 + u64(byte - 0x30)
    return value, value <= most


@metal
def hexadecimal(text: Slice[u8], most: u64) -> tuple[u64, bool]:
    """A hexadecimal number of 1 to `most` digits; whether it is one."""
    value: u64 = 0
    if len(text) == 0 or len(text) > most:
        return 0, False
    for byte in text:
        digit = u64(byte | 0x20)
        if 0x30 <= byte <= 0x39:
            digit = u64(byte - 0x30)
        elif 0x61 <= digit <= 0x66:
            digit -= 0x57
        else:
            return 0, False
        value = value << 4 | digit
    return value, True


@metal
def parse4(text: Slice[u8]) -> tuple[u32, bool]:
    """An IPv4 address of four numbers."""
    value: u32 = 0
    for position in range(4):
        end = find(text, DOT)
        number, good = parse_number(text[0:end], 255)
        if not good or (end == len(text)) != (position == 3):
            return 0, False
        value = value << 8 | u32(number)
        text = text[min(end + 1, len(text)) :]
    return value, True


@metal
def parse6(text: Slice[u8], address: Address) -> bool:
    """An IPv6 address, with at most one `::`. IPv4 in its last 32 bits is not taken."""
    words = Array[u16, 8]()
    count: u64 = 0
    gap: u64 = 8  # the word in front of which `::` stands; 8: there is none yet
    if len(text) >= 2 and text[0] == COLON and text[1] == COLON:
        gap = 0
        text = text[2:]
    while len(text) != 0:
        end = find(text, COLON)
        word, good = hexadecimal(text[0:end], 4)
        if not good or count == 8:
            return False
        words[count] = u16(word)
        count += 1
        if end == len(text):
            break
        text = text[end + 1 :]
        if len(text) == 0:
            return False
        if text[0] == COLON:
            if gap != 8:
                return False
            gap = count
            text = text[1:]
    if (gap == 8) != (count == 8):
        return False
    high: u64 = 0
    low: u64 = 0
    for place in range(u64(8)):
        value: u64 = 0
        if place < gap:
            value = u64(words[place])
        elif place >= 8 - (count - gap):
            value = u64(words[place + count - 8])
        if place < 4:
            high = high << 16 | value
        else:
            low = low << 16 | value
    address.set(high, low)
    return True


@metal
def parse_address(text: Slice[u8], address: Address) -> bool:
    """An address of either family."""
    if find(text, COLON) != len(text):
        return parse6(text, address)
    number, good = parse4(text)
    address.set4(number)
    return good


@metal
def parse_prefix(text: Slice[u8], address: Address) -> tuple[u32, bool]:
    """ADDRESS/LENGTH, or an address alone: the length of 128 bits; whether it is one."""
    slash = find(text, SLASH)
    if not parse_address(text[0:slash], address):
        return 0, False
    most: u64 = 32 if address.is4() else 128
    length = most
    good = True
    if slash != len(text):
        length, good = parse_number(text[slash + 1 :], most)
    return u32(length + 128 - most), good


@metal
def parse_mac(text: Slice[u8]) -> tuple[u64, bool]:
    """A link address of six pairs of digits, joined by colons."""
    value: u64 = 0
    if len(text) != 17:
        return 0, False
    for position in range(u64(6)):
        byte, good = hexadecimal(text[position * 3 : position * 3 + 2], 2)
        if not good or (position != 5 and text[position * 3 + 2] != COLON):
            return 0, False
        value = value << 8 | byte
    return value, True


@metal
def put_address(text: Text, address: Address) -> None:
    """Write an address as RFC 5952 has it."""
    if address.is4():
        for position in range(4):
            if position != 0:
                text.byte(DOT)
            text.number(u64(address.four() >> u32(24 - position * 8) & 0xFF))
        return
    start, length = longest_gap(address)
    place: u64 = 0
    while place < 8:
        if place == start and length > 1:
            text.put(b"::")
            place += length
            continue
        if place != 0 and not (length > 1 and place == start + length):
            text.byte(COLON)
        text.hexadecimal(word_of(address, place), 1)
        place += 1


@metal
def word_of(address: Address, place: u64) -> u64:
    """One of the eight 16-bit words."""
    half = address.high if place < 4 else address.low
    return half >> (48 - (place & 3) * 16) & 0xFFFF


@metal
def longest_gap(address: Address) -> tuple[u64, u64]:
    """The first of the longest runs of zero words: where it begins, and its length."""
    best: u64 = 0
    longest: u64 = 0
    run: u64 = 0
    for place in range(u64(8)):
        run = run + 1 if word_of(address, place) == 0 else u64(0)
        if run > longest:
            longest = run
            best = place + 1 - run
    return best, longest
