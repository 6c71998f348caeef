"""Packs the extended attributes of an EROFS tree: what stands behind an inode, and what several files have, once.

Format: Linux fs/erofs/erofs_fs.h (struct erofs_xattr_ibody_header, struct erofs_xattr_entry).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["LARGEST_VALUE", "MOST_BYTES", "SharedAttributes", "attributes_count", "attributes_size"]

LARGEST_VALUE = (1 << 16) - 1
_HEADER = struct.Struct("<IB7x")  # the filter of names, which no feature says is there; how many are shared
_ENTRY = struct.Struct("<BBH")
_UNIT = 4  # bytes: entries begin on it, and shared ones are numbered by it
MOST_BYTES = _HEADER.size + ((1 << 16) - 2) * _UNIT  # of what stands behind one inode
_MOST_SHARED = 255  # of one file
# How the beginnings of names are numbered (EROFS_XATTR_INDEX_*).
_NAMESPACES = ((b"user.", 1), (b"trusted.", 4), (b"security.", 6))

Attributes = Mapping[bytes, bytes]


class SharedAttributes:
    """The attributes that more than one file of a tree has, where writing them once is shorter."""

    def __init__(self, files: Iterable[Attributes]) -> None:
        counted = Counter(_entry(name, value) for each in files for name, value in each.items())
        self.content = b""
        self._numbers: dict[bytes, int] = {}
        for entry, count in sorted(counted.items()):
            if count * (len(entry) - _UNIT) > len(entry):
                self._numbers[entry] = len(self.content) // _UNIT
                self.content += entry

    def behind(self, attributes: Attributes) -> bytes:
        """What stands behind the inode of a file with these. Raises ValueError if they are too many or too large."""
        if not attributes:
            return b""
        entries = [_entry(name, value) for name, value in sorted(attributes.items())]
        shared = [each for each in entries if each in self._numbers][:_MOST_SHARED]
        numbers = b"".join(self._numbers[each].to_bytes(4, "little") for each in shared)
        own = b"".join(each for each in entries if each not in shared)
        made = _HEADER.pack(0, len(shared)) + numbers + own
        if len(made) > MOST_BYTES:
            raise ValueError(f"extended attributes of {len(made):,} bytes are too large for a file of a tree")
        return made


def attributes_size(count: int) -> int:
    """Bytes of what stands behind an inode that says `count` of it (i_xattr_icount)."""
    return _HEADER.size + (count - 1) * _UNIT if count else 0


def attributes_count(behind: bytes) -> int:
    """The same the other way round."""
    return (len(behind) - _HEADER.size) // _UNIT + 1 if behind else 0


def _entry(name: bytes, value: bytes) -> bytes:
    namespace = next((each for each in _NAMESPACES if name.startswith(each[0])), None)
    if namespace is None or not len(namespace[0]) < len(name) <= 255 or len(value) > LARGEST_VALUE:
        raise ValueError(f"{name!r}, of {len(value):,} bytes, can't be an extended attribute of a file of a tree")
    rest = name[len(namespace[0]) :]
    made = _ENTRY.pack(len(rest), namespace[1], len(value)) + rest + value
    return made + bytes(-len(made) % _UNIT)
