"""Packs a panic table, whose layout is in kernel/shared/panic_table.py, from sites and functions that were found."""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from goanna.failure import Failure
from goanna.kernel.shared import panic_table as shared
from goanna.layouts import packed, size_of

# A pair that occurs less often isn't worth its two bytes. And about how many are chosen before all are counted again.
_RARE, _AT_ONCE = 4, 4
# The step to a site behind the last, which is beyond every address.
_BEYOND = 1 << shared.OFFSET_BITS


class Site(NamedTuple):
    """What lies at an address in the kernel's code: a check, or with no reason the return of a call."""

    file: str
    line: int
    reason: str


class _Number(NamedTuple):
    """A number in the stream of sites: its code, a bit that its symbol has besides, and its value."""

    code: int
    bit: int | None
    value: int

    @property
    def symbol(self) -> int:
        size = self.value.bit_length()
        return size if self.bit is None else size * 2 + self.bit


def pack(sites: Mapping[int, Site], functions: Mapping[int, str]) -> bytes:
    """The table for sites and functions by virtual address. Raises Failure if a number outgrows its field."""
    base = min(functions, default=0)
    # What is named often has the small numbers, which take few bits.
    files = _numbered(site.file for site in sites.values())
    reasons = _numbered((site.reason for site in sites.values()), first="")
    modules = _numbered((name.rpartition(".")[0] for name in functions.values()), first="")
    for numbered, bits, what in (
        (files, shared.FILE_BITS, "the number of files"),
        (reasons, shared.REASON_BITS, "the number of reasons"),
        (modules, shared.MODULE_BITS, "the number of modules"),
    ):
        _fitting(len(numbered), bits, what)
    texts, pairs = _paired([*modules, *files, *reasons, *(name.rpartition(".")[2] for name in functions.values())])
    site_blocks = list(_site_blocks(sites, base, files, reasons))
    codes = [
        _Code(number.symbol for _, numbers in site_blocks for number in numbers if number.code == code)
        for code in range(shared.CODES)
    ]
    streams = [(start, _bits(numbers, codes)) for start, numbers in site_blocks]
    function_blocks = list(_function_blocks(functions, base, modules, texts))
    named = [b"".join(texts[each] + b"\0" for each in numbered) for numbered in (modules, files, reasons)]

    starts = size_of(shared.PanicTable) + 8 * (len(streams) + len(function_blocks))
    before = pairs + b"".join(code.table for code in codes)
    places = [starts + len(before)]
    for text in named:
        places.append(places[-1] + len(text))
    at = places.pop()
    blocks = []
    for start, data in (*streams, *function_blocks):
        blocks.append(start << shared.BLOCK_SHIFT | at)
        at += len(data)
    head = packed(
        shared.PanicTable,
        size=_fitting(at, shared.MODULE_SHIFT, "the panic table"),
        base=base,
        site_blocks=len(streams),
        function_blocks=len(function_blocks),
        **dict(zip(("modules", "files", "reasons"), places, strict=True)),
    )
    stream = b"".join(data for _, data in (*streams, *function_blocks))
    return head + struct.pack(f"<{len(blocks)}Q", *blocks) + before + b"".join(named) + stream


def _site_blocks(
    sites: Mapping[int, Site], base: int, files: Mapping[str, int], reasons: Mapping[str, int]
) -> Iterator[tuple[int, list[_Number]]]:
    """The offset of each block's first site, and the block's numbers."""
    addresses = sorted(sites)
    for first in range(0, len(addresses), shared.SITES_PER_BLOCK):
        numbers = []
        start = offset = _offset(addresses[first], base)
        file = line = 0
        inside = addresses[first : first + shared.SITES_PER_BLOCK]
        for address in inside:
            site = sites[address]
            check = int(site.reason != "")
            another = int(files[site.file] != file)
            step = _fitting(site.line, shared.LINE_BITS, f"the number of lines of {site.file}") - line
            numbers.append(_Number(shared.REASON, None, reasons[site.reason]))
            numbers.append(_Number(shared.STEP + check, another, _offset(address, base) - offset))
            if another:
                numbers.append(_Number(shared.FILE, None, files[site.file]))
            numbers.append(_Number(shared.LINE + check, None, step * 2 if step >= 0 else -step * 2 - 1))
            offset, file, line = _offset(address, base), files[site.file], site.line
        if len(inside) < shared.SITES_PER_BLOCK:
            numbers += [_Number(shared.REASON, None, 0), _Number(shared.STEP, 0, _BEYOND)]
        yield start, numbers


def _function_blocks(
    functions: Mapping[int, str], base: int, modules: Mapping[str, int], texts: Mapping[str, bytes]
) -> Iterator[tuple[int, bytes]]:
    """The offset of each block's first function, and the block's bytes."""
    addresses = sorted(functions)
    for first in range(0, len(addresses), shared.FUNCTIONS_PER_BLOCK):
        data = bytearray()
        start = offset = _offset(addresses[first], base)
        module = 0
        for address in addresses[first : first + shared.FUNCTIONS_PER_BLOCK]:
            room, _, own = functions[address].rpartition(".")
            another = modules[room] != module
            data += _leb128((_offset(address, base) - offset) * 2 + another)
            if another:
                data += _leb128(modules[room])
            data += texts[own] + b"\0"
            offset, module = _offset(address, base), modules[room]
        yield start, bytes(data)


class _Code:
    """The canonical Huffman code of some symbols: `words` are each symbol's bits, `table` is what the kernel reads."""

    def __init__(self, symbols: Iterable[int]) -> None:
        lengths = _lengths(Counter(symbols))
        order = sorted(lengths, key=lambda symbol: (lengths[symbol], symbol))
        counts = [0] * (shared.LONGEST_CODE + 1)
        self.words: dict[int, str] = {}
        word = length = 0
        for symbol in order:
            word <<= lengths[symbol] - length
            length = lengths[symbol]
            self.words[symbol] = f"{word:0{length}b}"
            counts[length] += 1
            word += 1
        self.table = bytes([*counts[1:], *order])


def _lengths(counts: Mapping[int, int]) -> dict[int, int]:
    """How many bits each symbol's word has, at most LONGEST_CODE."""
    if len(counts) < 2:
        return dict.fromkeys(counts, 1)
    lengths = dict.fromkeys(counts, 0)
    heap = [(count, symbol, [symbol]) for symbol, count in sorted(counts.items())]
    heapq.heapify(heap)
    while len(heap) > 1:
        (one, first, inside), (other, _, more) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in (*inside, *more):
            lengths[symbol] += 1
        heapq.heappush(heap, (one + other, first, inside + more))
    if max(lengths.values()) > shared.LONGEST_CODE:
        return _lengths({symbol: (count + 1) // 2 for symbol, count in counts.items()})
    return lengths


def _bits(numbers: Iterable[_Number], codes: Sequence[_Code]) -> bytes:
    """Numbers in their codes, from a byte's first bit on."""
    words = []
    for number in numbers:
        words.append(codes[number.code].words[number.symbol])
        words.append(f"{number.value:b}"[1:])
    bits = "".join(words)
    size = -(-len(bits) // 8)
    return int(bits.ljust(size * 8, "0") or "0", 2).to_bytes(size, "big")


def _paired(texts: Iterable[str]) -> tuple[dict[str, bytes], bytes]:
    """Texts with their most frequent pairs of bytes replaced by one, again and again; and the pairs."""
    known = list(dict.fromkeys(texts))
    data = b"\0".join(each.encode("ascii", "replace").replace(b"\0", b"?") for each in known) + b"\0"
    pairs: list[tuple[int, int]] = []
    depths = [0] * 256
    while len(pairs) < shared.PAIRS:
        chosen: set[int] = set()
        for (first, second), count in Counter(pairwise(data)).most_common(_AT_ONCE * 8):
            depth = max(depths[first], depths[second]) + 1
            if count < _RARE or len(pairs) == shared.PAIRS or len(chosen) >= 2 * _AT_ONCE:
                break
            if 0 in (first, second) or depth > shared.DEEPEST_PAIR or chosen & {first, second}:
                continue
            byte = shared.FIRST_PAIR + len(pairs)
            data = data.replace(bytes([first, second]), bytes([byte]))
            pairs.append((first, second))
            depths[byte] = depth
            chosen |= {first, second}
        if not chosen:
            break
    table = b"".join(map(bytes, pairs)).ljust(shared.PAIRS * 2, b"\0")
    return dict(zip(known, data.split(b"\0")[:-1], strict=True)), table


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


def _offset(address: int, base: int) -> int:
    return _fitting(address - base, shared.OFFSET_BITS, "the kernel's code")


def _fitting(number: int, bits: int, what: str) -> int:
    if not 0 <= number < 1 << bits:
        raise Failure(f"the panic table can't hold the kernel: {what} is over {1 << bits:,}")
    return number
