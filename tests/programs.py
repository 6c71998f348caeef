"""Small ELF programs made of bytes, for tests that start none; and Go programs, built once a test run."""

from __future__ import annotations

import struct
from pathlib import Path

FILE_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
BASE = 0x400000


def elf(
    *,
    machine: int = 62,
    kind: int = 2,
    system: int = 0,
    entry: int = BASE + 0x1000,
    extra: list[tuple[int, bytes]] | None = None,
    code: bytes = b"\xf4" * 64,
) -> bytes:
    """A program of one segment; `extra` are further program headers (kind, content), placed inside the segment."""
    extra = extra or []
    count = 1 + len(extra)
    body = bytearray(code)
    heads = []
    for each, content in extra:
        at = 0x1000 + len(body)
        body += content
        heads.append(PROGRAM_HEADER.pack(each, 4, at, BASE + at, BASE + at, len(content), len(content), 8))
    first = PROGRAM_HEADER.pack(1, 5, 0x1000, BASE + 0x1000, BASE + 0x1000, len(body), len(body), 4096)
    identity = b"\x7fELF\x02\x01\x01" + bytes([system]) + bytes(8)
    header = FILE_HEADER.pack(identity, kind, machine, 1, entry, 64, 0, 0, 64, 56, count, 0, 0, 0)
    return (header + first + b"".join(heads)).ljust(0x1000, b"\0") + bytes(body)


def dynamic_elf(names: list[str]) -> bytes:
    """A program that wants libraries."""
    code = b"\xf4" * 64
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    at = BASE + 0x1000 + len(code)
    entries = b""
    offset = 1
    for name in names:
        entries += struct.pack("<qQ", 1, offset)
        offset += len(name) + 1
    entries += struct.pack("<qQ", 5, at) + struct.pack("<qQ", 0, 0)
    return elf(code=code + strings, extra=[(2, entries), (3, b"/lib64/ld-linux-x86-64.so.2\0")])


def write(folder: Path, data: bytes, name: str = "program") -> Path:
    """A file of these bytes."""
    path = folder / name
    path.write_bytes(data)
    return path
