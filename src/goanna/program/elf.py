"""Reads a program's ELF file as far as booting it needs, and says in a sentence why one can't be booted.

The file may be anything: every number is checked before it is used. Sections are not looked at, since nothing loads
them. Layout: System V ABI (gabi), "Object Files" and "Program Loading"; the x86-64 psABI for the machine number.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from goanna.failure import CannotRun, NotFound
from goanna.program.buildinfo import BuildInformation, find_build_information

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
EXECUTE, WRITE, READ = 1, 2, 4

_READ_KINDS = (PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE)

_FILE_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
_DYNAMIC_ENTRY = struct.Struct("<qQ")
_ET_REL, _ET_EXEC, _ET_DYN, _ET_CORE = 1, 2, 3, 4
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_PN_XNUM = 0xFFFF

# One past the last user address on x86-64 with four-level page tables, less the guard page that Linux keeps there.
_USER_END = 0x7FFF_FFFF_F000

# e_machine to the name that Go gives the architecture, or the field's own where Go has none.
_MACHINES = {
    2: "sparc", 3: "386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 43: "sparc64", 62: "amd64",
    183: "arm64", 243: "riscv64", 258: "loong64",
}  # fmt: skip
# EI_OSABI of systems whose programs look like Linux's and are not. 0 and 3 are Linux.
_SYSTEMS = {
    1: "HP-UX",
    2: "NetBSD",
    6: "Solaris",
    7: "AIX",
    8: "IRIX",
    9: "FreeBSD",
    12: "OpenBSD",
    255: "a bare machine",
}


@dataclass(frozen=True)
class Segment:
    """A program header; `flags` are EXECUTE, WRITE, READ; sizes and addresses in bytes."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    alignment: int

    @property
    def access(self) -> str:
        """The flags as three letters, as in `r-x`."""
        return "".join(
            letter if self.flags & bit else "-" for bit, letter in ((READ, "r"), (WRITE, "w"), (EXECUTE, "x"))
        )


@dataclass(frozen=True)
class Program:
    """A program that can be booted: a linux ELF file for one of our architectures that needs no dynamic linker."""

    path: Path
    architecture: str
    position_independent: bool
    entry: int
    segments: tuple[Segment, ...]
    interpreter: str
    size: int

    @property
    def loads(self) -> list[Segment]:
        """The segments that are mapped."""
        return [each for each in self.segments if each.kind == PT_LOAD]

    @property
    def mapped(self) -> int:
        """Bytes of address space that the program's segments take."""
        return sum(each.memory_size for each in self.loads)

    @property
    def written(self) -> int:
        """Bytes of its writable segments: what of the image may have to be copied."""
        return sum(each.memory_size for each in self.loads if each.flags & WRITE)

    @cached_property
    def go(self) -> BuildInformation | None:
        """What the Go linker noted: version, module, settings. None for a program of another language."""
        return find_build_information(self.path.read_bytes())


def is_elf(path: Path) -> bool:
    """Whether the file begins as an ELF file does. Raises NotFound, or CannotRun where it can't be read."""
    with telling(path), path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def read_program(path: Path, architecture: str = "amd64") -> Program:
    """Read and check a program. Raises NotFound, or CannotRun with the reason."""
    return _Reader(path, read_whole(path)).program(architecture)


def read_whole(path: Path) -> bytes:
    """The file's bytes. Raises NotFound, or CannotRun where it can't be read."""
    with telling(path):
        return path.read_bytes()


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """What the system says of a path that can't be read, as NotFound or CannotRun."""
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no such file") from None
    except OSError as error:
        raise CannotRun(f"{path}: can't be read: {error.strerror}") from None


def parse_segments(path: Path, data: bytes | mmap.mmap) -> tuple[Segment, ...]:
    """The program headers of a 64-bit little-endian ELF file, each within the file. Raises CannotRun."""
    return _Reader(path, data).segments()


class _Reader:
    def __init__(self, path: Path, data: bytes | mmap.mmap) -> None:
        self.path, self.data = path, data

    def refuse(self, reason: str, advice: str = "") -> CannotRun:
        return CannotRun(f"{self.path}: {reason}", advice)

    def cut_short(self, what: str, end: int) -> CannotRun:
        reason = f"is cut short: {what} to byte {end:,} and the file has {len(self.data):,}"
        return self.refuse(reason, "Build or copy it again.")

    def program(self, architecture: str) -> Program:
        identity, kind, machine, _, entry, *_ = self.header()
        self.check_machine(machine, architecture)
        self.check_system(identity[7])
        self.check_kind(kind, entry)
        segments = self.segments()
        self.check_loads([each for each in segments if each.kind == PT_LOAD], entry)
        self.check_libraries(segments)
        return Program(
            path=self.path,
            architecture=architecture,
            position_independent=kind == _ET_DYN,
            entry=entry,
            segments=segments,
            interpreter=self.interpreter(segments),
            size=len(self.data),
        )

    def header(self) -> tuple[bytes, int, int, int, int, int, int, int, int, int, int, int, int, int]:
        data = self.data
        if data[:4] != b"\x7fELF":
            what = "is empty" if not data else "is not an ELF file"
            raise self.refuse(what, "PROGRAM is a Go package, .go files, or what `go build` makes for linux.")
        if len(data) < 6:
            raise self.cut_short("an ELF header goes", _FILE_HEADER.size)
        if data[4] == 1:
            raise self.refuse("is a 32-bit program, and Goanna boots 64-bit ones", "Build it with GOARCH=amd64.")
        if data[4] != 2 or data[5] not in (1, 2):
            raise self.refuse(f"is corrupt: it says class {data[4]}, byte order {data[5]}, and ELF has 1 and 2 of each")
        if data[5] == 2:
            raise self.refuse(
                "is a big-endian program, and Goanna boots little-endian ones", "Build it with GOARCH=amd64."
            )
        if len(data) < _FILE_HEADER.size:
            raise self.cut_short("an ELF header goes", _FILE_HEADER.size)
        return _FILE_HEADER.unpack_from(data)

    def check_machine(self, machine: int, architecture: str) -> None:
        name = _MACHINES.get(machine, f"machine number {machine}")
        if name != architecture:
            raise self.refuse(
                f"is a program for {name}, and this image is for {architecture}",
                f"Build it with GOARCH={architecture}.",
            )

    def check_system(self, system: int) -> None:
        if system not in (0, 3):
            name = _SYSTEMS.get(system, f"system number {system}")
            raise self.refuse(f"is a program for {name}, and Goanna boots linux ones", "Build it with GOOS=linux.")

    def check_kind(self, kind: int, entry: int) -> None:
        if kind == _ET_REL:
            raise self.refuse("is an object file that was never linked", "Name the program that it is linked into.")
        if kind == _ET_CORE:
            raise self.refuse("is a core dump", "Name the program that it came from.")
        if kind not in (_ET_EXEC, _ET_DYN):
            raise self.refuse(f"is corrupt: its ELF type is {kind}, and a program's is 2 or 3")
        if kind == _ET_DYN and entry == 0:
            raise self.refuse("is a shared library: it has no place to start at", "Name a program.")

    def segments(self) -> tuple[Segment, ...]:
        header = self.header()
        offset, size, count = header[5], header[9], header[10]
        if count == 0:
            raise self.refuse("is corrupt: it has no program headers, so there is nothing to load")
        if size != _PROGRAM_HEADER.size:
            raise self.refuse(f"is corrupt: program headers of {size} bytes, and ELF has {_PROGRAM_HEADER.size}")
        if count == _PN_XNUM:
            raise self.refuse(f"is corrupt: {count:,} program headers, and no program has so many")
        end = offset + size * count
        if end > len(self.data):
            raise self.cut_short("its program headers go", end)
        found = []
        for index in range(count):
            kind, flags, *numbers = _PROGRAM_HEADER.unpack_from(self.data, offset + index * size)
            segment = Segment(kind, flags, *numbers)
            end = segment.offset + segment.file_size
            if segment.kind in _READ_KINDS and segment.file_size and end > len(self.data):
                raise self.cut_short(f"segment {index} goes", end)
            found.append(segment)
        return tuple(found)

    def check_loads(self, loads: list[Segment], entry: int) -> None:
        if not loads:
            raise self.refuse("is corrupt: no segment of it is to be loaded")
        previous = 0
        for each in loads:
            where = f"the segment at 0x{each.address:x}"
            if each.file_size > each.memory_size:
                raise self.refuse(f"is corrupt: {where} is larger in the file than in memory")
            if each.address + each.memory_size > _USER_END:
                raise self.refuse(f"is corrupt: {where} reaches past the end of user memory, 0x{_USER_END:x}")
            if each.alignment & (each.alignment - 1):
                raise self.refuse(f"is corrupt: {where} has alignment {each.alignment}, which is no power of two")
            if each.file_size and (each.address - each.offset) % 4096:
                raise self.refuse(f"is corrupt: {where} lies at another place within its page than in the file")
            if each.address < previous:
                raise self.refuse(f"is corrupt: {where} overlaps the one before it, or stands out of order")
            previous = each.address + each.memory_size
        if not any(each.flags & EXECUTE and each.address <= entry < each.address + each.memory_size for each in loads):
            raise self.refuse(f"is corrupt: its first instruction, 0x{entry:x}, lies in no executable segment")

    def interpreter(self, segments: tuple[Segment, ...]) -> str:
        for each in segments:
            if each.kind == PT_INTERP:
                raw = self.data[each.offset : each.offset + min(each.file_size, 4096)]
                return raw.split(b"\0")[0].decode(errors="replace")
        return ""

    def check_libraries(self, segments: tuple[Segment, ...]) -> None:
        # PT_INTERP alone is not refused: `go build -buildmode=pie` writes it into programs that need no library.
        libraries = self.libraries(segments)
        if libraries:
            raise self.refuse(
                f"is dynamic: it wants {', '.join(libraries)} at run time, and Goanna boots static programs",
                "Build it with CGO_ENABLED=0 (C code in it: with -ldflags '-linkmode external -extldflags -static').",
            )

    def libraries(self, segments: tuple[Segment, ...]) -> list[str]:
        entries: list[tuple[int, int]] = []
        for each in segments:
            if each.kind == PT_DYNAMIC:
                raw = self.data[each.offset : each.offset + each.file_size]
                entries += _DYNAMIC_ENTRY.iter_unpack(raw[: len(raw) // 16 * 16])
        tags = [tag for tag, _ in entries]
        if _DT_NULL in tags:
            entries = entries[: tags.index(_DT_NULL)]
        strings = next((value for tag, value in entries if tag == _DT_STRTAB), None)
        names = []
        for tag, value in entries:
            if tag == _DT_NEEDED:
                name = self.text_at(strings + value, segments) if strings is not None else ""
                names.append(name or "a library whose name is lost")
        return list(dict.fromkeys(names))

    def text_at(self, address: int, segments: tuple[Segment, ...]) -> str:
        for each in segments:
            if each.kind == PT_LOAD and each.address <= address < each.address + each.file_size:
                start = each.offset + address - each.address
                raw = self.data[start : min(start + 256, each.offset + each.file_size)]
                return raw.split(b"\0")[0].decode(errors="replace")
        return ""
