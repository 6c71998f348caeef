"""CRC-32C (Castagnoli), as EROFS has it: no inversion at the end. For a few kilobytes; larger data wants a faster
one.
"""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0x82F63B78


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


def crc32c(data: bytes, start: int = 0xFFFFFFFF) -> int:
    """The checksum of `data`, going on from `start`."""
    table = _table()
    value = start
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value
