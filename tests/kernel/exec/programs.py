"""ELF files for tests, written field by field."""

import struct
from dataclasses import dataclass, field

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO = 1, 2, 3, 0x6474E551, 0x6474E552
R, W, X = 4, 2, 1


@dataclass
class Segment:
    kind: int
    flags: int = R
    offset: int = 0
    address: int = 0
    file_size: int = 0
    memory_size: int = 0
    align: int = 4096

    def pack(self):
        return struct.pack(
            "<IIQQQQQQ", self.kind, self.flags, self.offset, self.address, self.address, self.file_size,
            self.memory_size, self.align,
        )  # fmt: skip


@dataclass
class Elf:
    kind: int = 2
    machine: int = 62
    entry: int = 0x400100
    segments: list = field(default_factory=list)
    contents: dict = field(default_factory=dict)  # offset: bytes

    def pack(self):
        identity = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        count = len(self.segments)
        numbers = (self.kind, self.machine, 1, self.entry, 64, 0, 0, 64, 56, count, 64, 0, 0)
        header = identity + struct.pack("<HHIQQQIHHHHHH", *numbers)
        head = header + b"".join(each.pack() for each in self.segments)
        size = max([len(head), *(at + len(each) for at, each in self.contents.items())])
        data = bytearray(size)
        data[: len(head)] = head
        for at, each in self.contents.items():
            data[at : at + len(each)] = each
        return bytes(data)


def fixed():
    """Text, read-only data, and data with a bss that ends in the middle of a page."""
    return Elf(
        segments=[
            Segment(PT_LOAD, R | X, 0, 0x400000, 0x1800, 0x1800),
            Segment(PT_LOAD, R | W, 0x2800, 0x403800, 0x500, 0x3000),
            Segment(PT_GNU_STACK, R | W),
        ],
        contents={0x1000: b"text" * 0x200, 0x2800: b"data" * 0x140, 0x2D00: b"after the data"},
    )


def movable(relocations=((0x3000, 0x1234), (0x3FF8, 0x20), (0x3FFC - 0x800, 0x30)), kind=8, needed=False):
    """What `go build -buildmode=pie` writes in small: an interpreter, no library, relative relocations, RELRO."""
    table = b"".join(struct.pack("<QQQ", offset, kind, addend) for offset, addend in relocations)
    dynamic = [(7, 0x1800), (8, len(table)), (9, 24), *([(1, 5)] if needed else []), (0, 0)]
    packed = b"".join(struct.pack("<QQ", *each) for each in dynamic)
    return Elf(
        kind=3,
        entry=0x1100,
        segments=[
            Segment(PT_INTERP, R, 0x400, 0x400, 0x1C, 0x1C, 1),
            Segment(PT_LOAD, R | X, 0, 0, 0x2000, 0x2000),
            Segment(PT_LOAD, R | W, 0x3000, 0x3000, 0x1000, 0x1000),
            Segment(PT_GNU_RELRO, R, 0x3000, 0x3000, 0x1000, 0x1000),
            Segment(PT_LOAD, R | W, 0x4000, 0x4000, 0x100, 0x5000),
            Segment(PT_DYNAMIC, R | W, 0x3800, 0x3800, len(packed), len(packed)),
        ],
        contents={
            0x400: b"/lib64/ld-linux-x86-64.so.2\0", 0x1800: table, 0x1000: b"\x90" * 0x100, 0x3800: packed,
            0x4000: b"d" * 0x100, 0x3FF0: bytes(16),
        },
    )  # fmt: skip
