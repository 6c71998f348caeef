"""Lists an EROFS tree as erofs.py writes it: what a person asks of an image.

The bundle's checksums were checked before.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass

from goanna.image.attributes import attributes_size
from goanna.image.erofs import BLOCK, DIRENT, FLAT_INLINE, INODE, SLOT, SUPER, SUPER_OFFSET


@dataclass(frozen=True)
class Entry:
    """A file of the tree, with its inode's number; `target` is where a symbolic link leads."""

    path: str
    mode: int
    size: int
    number: int
    target: str = ""


def entries(bundle: bytes) -> Iterator[Entry]:
    """Every file below the root, folders before what is in them, names in order."""
    root = SUPER.unpack_from(bundle, SUPER_OFFSET)[5]
    yield from _below(bundle, root, "")


def content(bundle: bytes, entry: Entry) -> bytes:
    """What is in a file of the tree."""
    return _content(bundle, entry.number)


def _below(bundle: bytes, folder: int, path: str) -> Iterator[Entry]:
    for name, nid in _names(_content(bundle, folder)):
        if name in (b".", b".."):
            continue
        here = f"{path}/{name.decode(errors='replace')}"
        _, _, mode, _, size, *_ = INODE.unpack_from(bundle, nid * SLOT)
        target = _content(bundle, nid).decode(errors="replace") if stat.S_ISLNK(mode) else ""
        yield Entry(here, mode, size, nid, target)
        if stat.S_ISDIR(mode):
            yield from _below(bundle, nid, here)


def _content(bundle: bytes, nid: int) -> bytes:
    start = nid * SLOT
    layout, attributes, _, _, size, block, *_ = INODE.unpack_from(bundle, start)
    tail = size % BLOCK if layout >> 1 == FLAT_INLINE else 0
    behind = start + INODE.size + attributes_size(attributes)
    return bundle[block * BLOCK : block * BLOCK + size - tail] + bundle[behind : behind + tail]


def _names(content: bytes) -> Iterator[tuple[bytes, int]]:
    for start in range(0, len(content), BLOCK):
        block = content[start : start + BLOCK]
        count = DIRENT.unpack_from(block)[1] // DIRENT.size
        heads = [DIRENT.unpack_from(block, index * DIRENT.size) for index in range(count)]
        ends = [head[1] for head in heads[1:]] + [len(block)]
        for (nid, name_at, _), end in zip(heads, ends, strict=True):
            yield block[name_at:end].rstrip(b"\0"), nid
