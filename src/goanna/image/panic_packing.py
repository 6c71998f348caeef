"""Packs a panic table, whose layout is in kernel/shared/panic_table.py, from sites and functions that were found."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from goanna.failure import Failure
from goanna.kernel.shared import panic_table as shared
from goanna.layouts import packed, size_of


class Site(NamedTuple):
    """What lies at an address in the kernel's code: a check, or with no reason the return of a call."""

    file: str
    line: int
    reason: str


def pack(sites: Mapping[int, Site], functions: Mapping[int, str]) -> bytes:
    """The table for sites and functions by virtual address. Raises Failure if a number outgrows its field."""
    base = min(functions, default=0)
    # What is named often has the small numbers, which take one byte.
    files = _numbered(site.file for site in sites.values())
    reasons = _numbered((site.reason for site in sites.values()), first="")
    modules = _numbered((name.rpartition(".")[0] for name in functions.values()), first="")
    for numbered, bits, what in (
        (files, shared.FILE_BITS, "the number of files"),
        (reasons, shared.REASON_BITS, "the number of reasons"),
        (modules, shared.MODULE_BITS, "the number of modules"),
    ):
        _fitting(len(numbered), bits, what)
    blocks = list(_blocks(sites, base, files, reasons))
    sites_at = size_of(shared.PanicTable) + 8 * (len(blocks) + len(functions))
    sites_at += 4 * (len(modules) + len(files) + len(reasons))
    stream = b"".join(block for _, block in blocks)
    starts, at = [], sites_at
    for offset, block in blocks:
        starts.append(offset << shared.BLOCK_SHIFT | at)
        at += len(block)
    texts = _Texts(at)
    named = []
    for address, name in sorted(functions.items()):
        module, _, own = name.rpartition(".")
        place = _fitting(texts.place(own), shared.NAME_BITS, "the panic table")
        named.append(_offset(address, base) << shared.FUNCTION_SHIFT | modules[module] << shared.NAME_BITS | place)
    places = [texts.place(text) for text in (*modules, *files, *reasons)]
    head = packed(
        shared.PanicTable,
        size=at + len(texts.data),
        base=base,
        blocks=len(blocks),
        functions=len(named),
        modules=len(modules),
        files=len(files),
        reasons=len(reasons),
        sites=len(stream),
    )
    numbers = struct.pack(f"<{len(starts)}Q{len(named)}Q{len(places)}I", *starts, *named, *places)
    return head + numbers + stream + bytes(texts.data)


def _blocks(
    sites: Mapping[int, Site], base: int, files: Mapping[str, int], reasons: Mapping[str, int]
) -> Iterator[tuple[int, bytes]]:
    """The offset of each block's first site, and the block's bytes."""
    addresses = sorted(sites)
    for first in range(0, len(addresses), shared.SITES_PER_BLOCK):
        data = bytearray()
        start = offset = _offset(addresses[first], base)
        file, line = "", 0
        for address in addresses[first : first + shared.SITES_PER_BLOCK]:
            site = sites[address]
            another = site.file != file or not data
            data += _leb128((_offset(address, base) - offset) * 2 + another)
            if another:
                data += _leb128(files[site.file])
            step = _fitting(site.line, shared.LINE_BITS, f"the number of lines of {site.file}") - line
            data += _leb128(step * 2 if step >= 0 else -step * 2 - 1)
            data += _leb128(reasons[site.reason])
            offset, file, line = _offset(address, base), site.file, site.line
        yield start, bytes(data)


def _leb128(number: int) -> bytes:
    """An unsigned number, 7 bits a byte, the lowest first (DWARF 5, 7.6)."""
    data = bytearray()
    while number >= 0x80:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def _numbered(texts: Iterable[str], first: str | None = None) -> dict[str, int]:
    """Each text's number, the most frequent first, and `first` before all."""
    counts = Counter(texts)
    if first is not None:
        counts[first] = 1 << 62
    return {
        text: number for number, (text, _) in enumerate(sorted(counts.items(), key=lambda each: (-each[1], each[0])))
    }


class _Texts:
    """Texts, each once, and where they lie."""

    def __init__(self, start: int) -> None:
        self.start, self.data = start, bytearray()
        self.places: dict[str, int] = {}

    def place(self, text: str) -> int:
        if text not in self.places:
            self.places[text] = self.start + len(self.data)
            self.data += text.encode().replace(b"\0", b"?") + b"\0"
        return self.places[text]


def _offset(address: int, base: int) -> int:
    return _fitting(address - base, shared.OFFSET_BITS, "the kernel's code")


def _fitting(number: int, bits: int, what: str) -> int:
    if not 0 <= number < 1 << bits:
        raise Failure(f"the panic table can't hold the kernel: {what} is over {1 << bits:,}")
    return number
