"""Reads an image back: is it one, is it whole, what is in it.

Says what is wrong before a machine starts for nothing.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xxhash

from goanna.failure import CannotRun
from goanna.image.elf import CHECKSUM, NOTE, NOTE_NAME, NOTE_TYPE, checksums, kernel_checksum
from goanna.kernel.shared.boot import WORKING_MEMORY, BootInformation, ImageHeader
from goanna.layouts import packed, size_of, unpacked
from goanna.program.elf import PT_LOAD, PT_NOTE, Segment, parse_segments, telling

# Whatever the length of its content is, which has changed with the versions.
_OWN_NOTE = re.compile(
    re.escape(struct.pack("<I", len(NOTE_NAME))) + b".{4}" + re.escape(struct.pack("<I", NOTE_TYPE) + NOTE_NAME),
    re.DOTALL,
)
_ADVICE = "Build it again, or copy it again from where it is whole."


@dataclass(frozen=True)
class Image:
    """An image that is whole. Sizes in bytes; `kernel_size` counts the panic table in. `flags` are FLAG_*."""

    path: Path
    size: int
    segments: tuple[Segment, ...]
    arguments: list[bytes]
    environment: dict[bytes, bytes]
    hostname: bytes
    program: bytes
    flags: int
    bundle_place: slice
    kernel_size: int
    end: int

    @cached_property
    def bundle(self) -> bytes:
        """The tree, read from the file when it is first asked for: to start an image, nobody looks into it."""
        with telling(self.path), self.path.open("rb") as stream:
            stream.seek(self.bundle_place.start)
            return stream.read(self.bundle_place.stop - self.bundle_place.start)

    @property
    def memory(self) -> int:
        """The least memory of a machine that can start it, in bytes."""
        return self.end + WORKING_MEMORY


def is_image(path: Path) -> bool:
    """Whether an ELF file is one of our images, be it whole or not. Raises OSError."""
    with path.open("rb") as stream:
        return _OWN_NOTE.search(stream.read(4096)) is not None


def read_image(path: Path) -> Image:
    """Read an image and check all of it. Raises CannotRun with what is wrong."""
    with _mapped(path) as data:
        return _Reader(path, data).image()


@contextmanager
def _mapped(path: Path) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes where the system has them: to copy them takes longer than to check them."""
    with telling(path), path.open("rb") as stream:
        if stream.seek(0, 2) == 0:
            yield b""
            return
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    with data:
        yield data


class _Reader:
    def __init__(self, path: Path, data: bytes | mmap.mmap) -> None:
        self.path, self.data = path, data
        self.segments = parse_segments(path, data)

    def altered(self, what: str) -> CannotRun:
        return CannotRun(f"{self.path}: was altered: {what}", _ADVICE)

    def image(self) -> Image:
        note = self.note()
        header = self.header(note)
        if len(self.data) > max(each.offset + each.file_size for each in self.segments):
            raise self.altered("there is more behind its end")
        self.check_kernel(note, header.panic_table.address)
        boot = self.part(header.boot, "boot information")
        table = self.part(header.checksums, "checksum table")
        roots = self.part(header.roots, "checksum table's own checksums")
        panic_table = self.part(header.panic_table, "panic table")
        bundle = self.place(header.bundle, "bundle")
        for data, expected, name in (
            (boot, header.boot_checksum, "boot information"),
            (roots, header.roots_checksum, "checksum table's own checksums"),
            (panic_table, header.panic_checksum, "panic table"),
        ):
            if xxhash.xxh64_intdigest(data) != expected:
                raise self.altered(f"its {name} isn't what was written")
        if checksums(table) != roots:
            raise self.altered("its checksum table isn't what was written")
        self.check_bundle(bundle, table)
        information = unpacked(BootInformation, boot)
        pairs = [each.partition(b"=") for each in _strings(boot, information.environment)]
        return Image(
            path=self.path,
            size=len(self.data),
            segments=self.segments,
            arguments=_strings(boot, information.arguments),
            environment={key: value for key, _, value in pairs},
            hostname=_text(boot, information.hostname),
            program=_text(boot, information.program),
            flags=information.flags,
            bundle_place=bundle,
            kernel_size=self.kernel_size(header.panic_table.address) + len(panic_table),
            end=header.image_end,
        )

    def header(self, note: Segment) -> Any:
        address, _ = self.note_numbers(note)
        data = self.at(address, size_of(ImageHeader))
        header = unpacked(ImageHeader, data) if data is not None else None
        blank = unpacked(ImageHeader, packed(ImageHeader))
        if header is None or (header.magic, header.size) != (blank.magic, blank.size):
            raise self.altered("its header is not there")
        if header.version != blank.version:
            raise CannotRun(
                f"{self.path}: is an image of version {header.version}, and this Goanna knows {blank.version}",
                "Build it again with this Goanna.",
            )
        return header

    def note(self) -> Segment:
        """Goanna's own note."""
        for each in self.segments:
            if each.kind == PT_NOTE and _OWN_NOTE.match(self.data, each.offset, each.offset + each.file_size):
                if each.file_size != NOTE.size:
                    raise CannotRun(
                        f"{self.path}: is an image of another version of Goanna", "Build it again with this Goanna."
                    )
                return each
        raise CannotRun(f"{self.path}: is no image of Goanna's", "Build one with: goanna build PROGRAM")

    def note_numbers(self, note: Segment) -> tuple[int, int]:
        """The image header's address, and the checksum of the file's headers and the kernel."""
        *_, address, checksum = NOTE.unpack_from(self.data, note.offset)
        return address, checksum

    def check_kernel(self, note: Segment, end: int) -> None:
        headers = self.data[: note.offset + note.file_size - CHECKSUM.size]
        parts = [self.data[each.offset : each.offset + each.file_size] for each in self.kernel_segments(end)]
        if kernel_checksum(headers, parts) != self.note_numbers(note)[1]:
            raise self.altered("its kernel isn't what was written")

    def at(self, address: int, size: int) -> bytes | None:
        """The bytes that are loaded at a physical address, if the image holds them all."""
        place = self.place_of(address, size)
        return self.data[place] if place is not None else None

    def place_of(self, address: int, size: int) -> slice | None:
        """Where they are in the file."""
        for each in self.segments:
            start = address - each.physical
            if each.kind == PT_LOAD and start >= 0 and start + size <= each.file_size:
                return slice(each.offset + start, each.offset + start + size)
        return None

    def place(self, region: Any, name: str) -> slice:
        place = self.place_of(region.address, region.size)
        if place is None:
            raise self.altered(f"its {name} is not where its header says")
        return place

    def part(self, region: Any, name: str) -> bytes:
        return self.data[self.place(region, name)]

    def check_bundle(self, bundle: slice, table: bytes) -> None:
        with memoryview(self.data) as whole, whole[bundle] as view:
            found = checksums(view)
        if len(table) != len(found):
            raise self.altered("its checksum table has another length than its bundle")
        if table != found:
            wrong = next(at for at in range(0, len(table), 8) if table[at : at + 8] != found[at : at + 8]) // 8
            raise self.altered(f"block {wrong + 1} of {len(table) // 8} of its bundle isn't what was written")

    def kernel_size(self, end: int) -> int:
        return sum(each.file_size for each in self.kernel_segments(end))

    def kernel_segments(self, end: int) -> list[Segment]:
        """What is loaded below an address: the kernel, where that is the next part's."""
        return [each for each in self.segments if each.kind == PT_LOAD and each.physical < end]


def _text(boot: bytes, text: Any) -> bytes:
    return boot[text.offset : text.offset + text.length]


def _strings(boot: bytes, text: Any) -> list[bytes]:
    return _text(boot, text).split(b"\0")[:-1]
