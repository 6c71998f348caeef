"""Writes an EROFS file system: the read-only tree in an image. Uncompressed, blocks of 4 KiB, the same bytes each time.

The data of a program or a large file is FLAT_PLAIN and begins on a block, so that the kernel maps it straight from the
image. The last part of a folder or a small file, and a link's target, stand behind their inode where that saves a block
(FLAT_INLINE). Every inode is of the extended form, which has 64 bits of size and a time of its own. Extended attributes
are between the two; those that several files have are in an area of their own (attributes.py). Format: Linux
Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from goanna.image.attributes import SharedAttributes, attributes_count
from goanna.image.crc32c import crc32c

BLOCK = 4096
MAGIC = 0xE0F5E1E2
SUPER_OFFSET = 1024
SUPER = struct.Struct("<IIIBBHQQIIII16s16sI2xHHBBIQ24x")
INODE = struct.Struct("<HHHHQIIIIQII16x")
DIRENT = struct.Struct("<QHBx")
SLOT = 32  # an inode's number is its offset in slots

FLAT_PLAIN, FLAT_INLINE = 0, 2
_EXTENDED = 1
_FEATURE_CHECKSUM, _FEATURE_MTIME = 1, 2
LONGEST_NAME = 255
_COPY = 1 << 20
_ALL = (1 << 64) - 1  # seconds before 1970 are negative ones, as Linux reads them
# Files under this size have a short last part behind their inode: larger ones don't save much, and may be mapped.
_SMALL = 1 << 16
_SHORT = BLOCK // 2

# The kind of a directory entry (EROFS_FT_*, which are the DT_* of getdents in another order).
_ENTRY_KINDS = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5, stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7, }  # fmt: skip


class FileChanged(Exception):
    """A file has another size than when the tree was laid out."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} changed while it was read")
        self.path = path


@dataclass(kw_only=True, eq=False)
class Node:
    """What every file has. `mode` are the permission bits; `time` in nanoseconds since 1970; `attributes` the extended
    ones, of user, trusted and security.
    """

    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    time: int = 0
    attributes: dict[bytes, bytes] = field(default_factory=dict)
    type = stat.S_IFREG

    @property
    def size(self) -> int:
        """Bytes of content."""
        return 0


@dataclass(kw_only=True, eq=False)
class File(Node):
    """A file whose content is bytes, or is read from a path when the tree is written. One File at two names: a hard
    link. `length` is the size of a file at a path, where it is known already.
    """

    data: bytes | Path = b""
    length: int | None = None

    @cached_property
    def size(self) -> int:
        if isinstance(self.data, bytes):
            return len(self.data)
        return self.data.stat().st_size if self.length is None else self.length


@dataclass(kw_only=True, eq=False)
class Link(Node):
    """A symbolic link."""

    target: bytes
    mode: int = 0o777
    type = stat.S_IFLNK

    @property
    def size(self) -> int:
        return len(self.target)


@dataclass(kw_only=True, eq=False)
class Device(Node):
    """A character or block device, a FIFO or a socket, by `type` (stat.S_IFCHR and so on)."""

    type: int = stat.S_IFCHR
    major: int = 0
    minor: int = 0

    @property
    def number(self) -> int:
        """As Linux encodes it on disk (new_encode_dev)."""
        return (self.minor & 0xFF) | self.major << 8 | (self.minor & ~0xFF) << 12


@dataclass(kw_only=True, eq=False)
class Folder(Node):
    """A folder: its entries by name."""

    entries: dict[bytes, Node] = field(default_factory=dict)
    mode: int = 0o755
    type = stat.S_IFDIR

    def add(self, path: str, node: Node) -> None:
        """Put a node at a path below this folder; folders on the way are made.

        Raises ValueError if a file is in the way.
        """
        *parents, name = [part.encode(errors="surrogateescape") for part in path.strip("/").split("/")]
        here = self
        for part in parents:
            step = here.entries.setdefault(part, Folder(time=self.time))
            if not isinstance(step, Folder):
                raise ValueError(f"{path}: {part.decode()} is a file, not a folder")
            here = step
        here.entries[name] = node


@dataclass(eq=False)
class _Inode:
    """A node with its place: offsets in bytes from the start of the file system."""

    node: Node
    number: int
    parent: _Inode | None
    links: int = 1
    offset: int = 0
    blocks_at: int = 0
    attributes: bytes = b""
    names: list[tuple[bytes, _Inode]] = field(default_factory=list)

    @property
    def nid(self) -> int:
        return self.offset // SLOT

    @cached_property
    def folder_blocks(self) -> list[list[tuple[bytes, _Inode]]]:
        """The entries, sorted as EROFS searches them, cut into blocks."""
        blocks: list[list[tuple[bytes, _Inode]]] = [[]]
        used = 0
        for name, child in sorted(self.names, key=lambda entry: entry[0]):
            if used + DIRENT.size + len(name) > BLOCK:
                blocks.append([])
                used = 0
            blocks[-1].append((name, child))
            used += DIRENT.size + len(name)
        return blocks

    @cached_property
    def size(self) -> int:
        if not isinstance(self.node, Folder):
            return self.node.size
        last = sum(DIRENT.size + len(name) for name, _ in self.folder_blocks[-1])
        return (len(self.folder_blocks) - 1) * BLOCK + last

    @cached_property
    def tail(self) -> int:
        """Bytes of the content that stand behind the inode; 0 if it is all in blocks."""
        tail = self.size % BLOCK
        room = BLOCK - self.head
        if isinstance(self.node, File):
            return tail if self.size < _SMALL and tail <= min(_SHORT, room) else 0
        return tail if tail <= room else 0

    @property
    def head(self) -> int:
        """Bytes of the inode and its extended attributes."""
        return INODE.size + len(self.attributes)

    @property
    def block_bytes(self) -> int:
        return self.size - self.tail

    def folder_content(self) -> bytes:
        content = bytearray()
        for block in self.folder_blocks:
            content += bytes(-len(content) % BLOCK)
            name_at = DIRENT.size * len(block)
            for name, child in block:
                content += DIRENT.pack(child.nid, name_at, _ENTRY_KINDS[child.node.type])
                name_at += len(name)
            content += b"".join(name for name, _ in block)
        return bytes(content)

    def content(self) -> bytes:
        """The content of a folder, a link or a small file."""
        node = self.node
        if isinstance(node, Folder):
            return self.folder_content()
        if isinstance(node, File):
            return node.data if isinstance(node.data, bytes) else b"".join(_file_pieces(node.data, self.size))
        return node.target if isinstance(node, Link) else b""

    def pieces(self) -> Iterator[bytes]:
        """What stands in blocks."""
        data = self.node.data if isinstance(self.node, File) else None
        if isinstance(data, Path) and not self.tail:
            yield from _file_pieces(data, self.size)
        else:
            yield self.content()[: self.block_bytes]

    def packed(self) -> bytes:
        node = self.node
        place = node.number if isinstance(node, Device) else self.blocks_at // BLOCK
        layout = FLAT_INLINE if self.tail else FLAT_PLAIN
        seconds, nanoseconds = divmod(node.time, 1_000_000_000)
        return INODE.pack(
            _EXTENDED | layout << 1, attributes_count(self.attributes), node.type | node.mode, 0, self.size, place,
            self.number, node.uid, node.gid, seconds & _ALL, nanoseconds, self.links,
        )  # fmt: skip


class FileSystem:
    """A tree laid out and ready to be written. Raises ValueError for a name that can't be one, and for extended
    attributes that can't be.
    """

    def __init__(self, root: Folder) -> None:
        self._inodes: list[_Inode] = []
        self._by_node: dict[int, _Inode] = {}
        self._collect(root)
        self._shared = SharedAttributes(each.node.attributes for each in self._inodes)
        end = SUPER_OFFSET + SUPER.size
        for inode in self._inodes:
            inode.attributes = self._shared.behind(inode.node.attributes)
            end = -(-end // SLOT) * SLOT
            # An inode and what stands behind it share a block, unless its extended attributes alone are larger.
            if end % BLOCK + inode.head + inode.tail > BLOCK:
                end = -(-end // BLOCK) * BLOCK
            inode.offset = end
            end += inode.head + inode.tail
        self._shared_at = -(-end // BLOCK) * BLOCK
        self._metadata_size = end = self._shared_at + -(-len(self._shared.content) // BLOCK) * BLOCK
        for inode in self._inodes:
            if inode.block_bytes:
                inode.blocks_at = end
                end += -(-inode.block_bytes // BLOCK) * BLOCK
        self.size = end

    def _collect(self, root: Folder) -> None:
        # Breadth first, names in order: the same tree gives the same numbers.
        self._new_inode(root, None)
        for inode in self._inodes:
            if not isinstance(inode.node, Folder):
                continue
            inode.names += [(b".", inode), (b"..", inode.parent or inode)]
            for name, node in sorted(inode.node.entries.items()):
                if not name or len(name) > LONGEST_NAME or b"/" in name or b"\0" in name or name in (b".", b".."):
                    raise ValueError(f"{name!r} can't be the name of a file")
                known = self._by_node.get(id(node))
                if known is not None:
                    known.links += 1
                child = known or self._new_inode(node, inode)
                inode.names.append((name, child))
                inode.links += isinstance(node, Folder)

    def _new_inode(self, node: Node, parent: _Inode | None) -> _Inode:
        made = _Inode(node, len(self._inodes) + 1, parent, links=2 if isinstance(node, Folder) else 1)
        self._by_node[id(node)] = made
        self._inodes.append(made)
        return made

    def place_of(self, node: Node) -> int:
        """Where a file's content begins, in bytes from the start of the file system."""
        return self._by_node[id(node)].blocks_at

    def _super(self) -> bytes:
        shared = self._shared_at // BLOCK if self._shared.content else 0

        def packed(checksum: int) -> bytes:
            return SUPER.pack(
                MAGIC, checksum, _FEATURE_CHECKSUM | _FEATURE_MTIME, BLOCK.bit_length() - 1, 0, self._inodes[0].nid,
                len(self._inodes), 0, 0, self.size // BLOCK, 0, shared, bytes(16), bytes(16), 0, 0, 0, 0, 0, 0, 0,
            )  # fmt: skip

        # The checksum covers the first block from the superblock on, so it is made when that is known.
        first = bytes(self._metadata)[SUPER_OFFSET + SUPER.size : BLOCK]
        return packed(crc32c(packed(0) + first))

    @cached_property
    def _metadata(self) -> bytearray:
        made = bytearray(self._metadata_size)
        for inode in self._inodes:
            tail = inode.content()[inode.block_bytes :] if inode.tail else b""
            whole = inode.packed() + inode.attributes + tail
            made[inode.offset : inode.offset + len(whole)] = whole
        made[self._shared_at : self._shared_at + len(self._shared.content)] = self._shared.content
        return made

    def write(self, stream: BinaryIO) -> None:
        """Write it all, `size` bytes. Raises OSError, and FileChanged."""
        for piece in self.pieces():
            stream.write(piece)

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order, in pieces."""
        metadata = self._metadata
        metadata[SUPER_OFFSET : SUPER_OFFSET + SUPER.size] = self._super()
        yield bytes(metadata)
        for inode in self._inodes:
            if not inode.block_bytes:
                continue
            yield from inode.pieces()
            yield bytes(-inode.block_bytes % BLOCK)


def _file_pieces(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as stream:
        while piece := stream.read(min(left, _COPY)):
            left -= len(piece)
            yield piece
        if left or stream.read(1):
            raise FileChanged(path)
