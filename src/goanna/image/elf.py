"""Writes the image: one ELF file that QEMU starts directly, the kernel and everything it finds at its start.

The kernel's segments are taken over as linked, without symbols; the parts that layout.py places follow as segments of
their own, and the kernel's `image_header` is filled in. A note of Goanna's own says where that header is, so that the
tools recognise an image, and ends with a checksum of what no other one covers: the file's headers and the kernel.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import xxhash

from goanna.failure import Failure
from goanna.image.erofs import FileChanged, FileSystem, Folder
from goanna.image.layout import PAGE, Launch, Place, lay_out
from goanna.image.whole_file import written_whole
from goanna.kernel.build import BuiltKernel
from goanna.kernel.shared.boot import CHECKSUM_BLOCK, ImageHeader
from goanna.layouts import packed
from goanna.program.elf import PT_LOAD, PT_NOTE, READ, Segment, parse_segments

NOTE_NAME = b"Goanna\0\0"
NOTE_TYPE = 1
NOTE = struct.Struct("<III8sQQ")
_NOTE_CONTENT = 16
CHECKSUM = struct.Struct("<Q")
LARGEST_IMAGE = 1 << 31  # bytes: QEMU counts them in an int, and q35 may have so much memory below its devices
_FILE_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


def write_image(destination: Path, kernel: BuiltKernel, tree: Folder, launch: Launch) -> None:
    """Write an image with this tree as its root. `destination` appears whole or stays as it was. Raises Failure."""
    try:
        _write_whole(destination, _Image(kernel, tree, launch))
    except FileChanged as error:
        raise Failure(f"{error.path}: changed while it was read", "Do it again.") from None
    except ValueError as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(
            f"{destination}: the image can't be written: {error.strerror}", "Name another place with -o."
        ) from None


def _write_whole(named: Path, image: _Image) -> None:
    destination = Path(os.path.realpath(named))  # where a link points to; a link of a loop stays one
    kind = stat.S_IFMT(os.lstat(destination).st_mode) if os.path.lexists(destination) else stat.S_IFREG
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if kind == stat.S_IFLNK:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if kind != stat.S_IFREG:  # replaced by a file, /dev/null would be gone for everybody
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket")
    with written_whole(destination) as stream:
        image.write(stream)


class _Image:
    """The parts of one image, placed; the bundle is streamed, since a program may be large."""

    def __init__(self, kernel: BuiltKernel, tree: Folder, launch: Launch) -> None:
        self.kernel = kernel
        self.kernel_bytes = kernel.elf.read_bytes()
        segments = parse_segments(kernel.elf, self.kernel_bytes)
        self.loads = [each for each in segments if each.kind == PT_LOAD and each.memory_size]
        self.notes = [each for each in segments if each.kind == PT_NOTE]
        self.panic_table = kernel.panic_table.read_bytes()
        self.boot = launch.wishes.packed(
            launch.flags, arguments=launch.arguments, environment=launch.environment, program=launch.path
        )
        self.tree = FileSystem(tree)
        self.blocks = -(-self.tree.size // CHECKSUM_BLOCK)
        kernel_end = max(each.physical + each.memory_size for each in self.loads)
        table = 8 * self.blocks
        roots = 8 * -(-table // CHECKSUM_BLOCK)
        self.layout = lay_out(kernel_end, len(self.panic_table), len(self.boot), table, roots, self.tree.size)
        if self.layout.end > LARGEST_IMAGE:
            raise Failure(
                f"the image would have {self.layout.end / (1 << 30):.1f} GiB, and QEMU starts what has at most "
                f"{LARGEST_IMAGE >> 30}",
                "Large folders need not be in it: --share HOST:GUEST",
            )

    def write(self, stream: BinaryIO) -> None:
        headers, offsets = self._placed()
        bundle_at = offsets[-1]
        stream.seek(bundle_at)
        table = _copy_with_checksums(self.tree.pieces(), stream)
        kernel_parts = [self.kernel_bytes[each.offset : each.offset + each.file_size] for each in self.loads]
        roots = checksums(table)
        self._fill_in(kernel_parts, roots)
        parts = [*kernel_parts, self.panic_table, self.boot, table, roots]
        for offset, data in zip(offsets, parts, strict=False):
            stream.seek(offset)
            stream.write(data)
        stream.seek(0)
        stream.write(headers + CHECKSUM.pack(kernel_checksum(headers, kernel_parts)))

    def _placed(self) -> tuple[bytes, list[int]]:
        """The ELF header with all that stands in the first page, less the checksum at its end; and the offset in the
        file of each loaded part.
        """
        layout = self.layout
        loads = list(self.loads)
        # The kernel's own mapping of its image reaches no further than the kernel; the parts are read through the
        # direct map, so their addresses are their physical ones.
        for place in (layout.panic_table, layout.boot, layout.checksums, layout.roots, layout.bundle):
            loads.append(Segment(PT_LOAD, READ, 0, place.address, place.address, place.size, place.size, PAGE))
        own_note = NOTE.pack(len(NOTE_NAME), _NOTE_CONTENT, NOTE_TYPE, NOTE_NAME, self.kernel.header_address, 0)
        count = len(loads) + len(self.notes) + 1
        note_at = _FILE_HEADER.size + count * _PROGRAM_HEADER.size
        offset, offsets, lines = PAGE, [], []
        for each in loads:
            # Where a segment begins within its page is the same in the file and in memory (gabi, "Program Loading").
            offset += each.physical % PAGE
            offsets.append(offset)
            lines.append(_program_header(each, offset))
            offset = -(-(offset + each.file_size) // PAGE) * PAGE
        for note in self.notes:
            lines.append(_program_header(note, self._moved(note, offsets)))
        lines.append(_PROGRAM_HEADER.pack(PT_NOTE, READ, note_at, 0, 0, len(own_note), len(own_note), 4))
        identity, kind, machine, version, entry, *_ = _FILE_HEADER.unpack_from(self.kernel_bytes)
        sizes = (_FILE_HEADER.size, _PROGRAM_HEADER.size, count, 0, 0, 0)
        header = _FILE_HEADER.pack(identity, kind, machine, version, entry, _FILE_HEADER.size, 0, 0, *sizes)
        headers = header + b"".join(lines) + own_note
        if len(headers) > PAGE:
            raise Failure(f"{self.kernel.elf}: the kernel has {len(self.loads)} segments, too many for an image")
        return headers[: -CHECKSUM.size], offsets

    def _moved(self, note: Segment, offsets: list[int]) -> int:
        """Where a kernel's note stands in the image: inside the loaded segment that holds it."""
        for load, offset in zip(self.loads, offsets, strict=False):
            if load.offset <= note.offset and note.offset + note.file_size <= load.offset + load.file_size:
                return offset + note.offset - load.offset
        raise Failure(f"{self.kernel.elf}: its PVH note is in no loaded segment")

    def _fill_in(self, parts: list[bytes], roots: bytes) -> None:
        layout, address = self.layout, self.kernel.header_address
        header = packed(
            ImageHeader,
            boot=_region(layout.boot),
            bundle=_region(layout.bundle),
            checksums=_region(layout.checksums),
            roots=_region(layout.roots),
            panic_table=_region(layout.panic_table),
            image_end=layout.end,
            boot_checksum=xxhash.xxh64_intdigest(self.boot),
            roots_checksum=xxhash.xxh64_intdigest(roots),
            panic_checksum=xxhash.xxh64_intdigest(self.panic_table),
            bundle_blocks=self.blocks,
        )
        for index, load in enumerate(self.loads):
            start = address - load.physical
            if start >= 0 and start + len(header) <= load.file_size:
                parts[index] = parts[index][:start] + header + parts[index][start + len(header) :]
                return
        raise Failure(f"{self.kernel.elf}: its image header, at 0x{address:x}, is in no loaded segment")


def _region(place: Place) -> dict[str, int]:
    return {"address": place.address, "size": place.size}


def _program_header(segment: Segment, offset: int) -> bytes:
    return _PROGRAM_HEADER.pack(
        segment.kind, segment.flags, offset, segment.address, segment.physical, segment.file_size, segment.memory_size,
        segment.alignment,
    )  # fmt: skip


def kernel_checksum(headers: bytes, parts: Iterable[bytes]) -> int:
    """The xxh64 of the file's headers, up to this very number, and of the kernel's parts."""
    whole = xxhash.xxh64(headers)
    for part in parts:
        whole.update(part)
    return whole.intdigest()


def checksums(data: bytes | memoryview) -> bytes:
    """The xxh64 of each block of some bytes, as the kernel reads them."""
    with memoryview(data) as view:
        sums = [xxhash.xxh64_intdigest(view[at : at + CHECKSUM_BLOCK]) for at in range(0, len(view), CHECKSUM_BLOCK)]
    return struct.pack(f"<{len(sums)}Q", *sums)


def _copy_with_checksums(pieces: Iterable[bytes], stream: BinaryIO) -> bytes:
    """Write the pieces; the xxh64 of each block of them, as the table the kernel reads."""
    sums = []
    block = xxhash.xxh64()
    room = CHECKSUM_BLOCK
    for piece in pieces:
        stream.write(piece)
        view = memoryview(piece)
        while view:
            block.update(view[:room])
            taken = min(room, len(view))
            view, room = view[taken:], room - taken
            if room == 0:
                sums.append(block.intdigest())
                block, room = xxhash.xxh64(), CHECKSUM_BLOCK
    if room < CHECKSUM_BLOCK:
        sums.append(block.intdigest())
    return struct.pack(f"<{len(sums)}Q", *sums)
