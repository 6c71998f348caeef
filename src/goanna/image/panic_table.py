"""Makes the panic table of a linked kernel: what the kernel needs to say, in Python files and lines, where it failed.

It takes the failed checks from the section `.goanna.traps`, which isn't loaded, the lines from DWARF, and where calls
return to from the code itself. Packing is panic_packing's part.
"""

from __future__ import annotations

import bisect
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from elftools.elf.elffile import ELFFile

from goanna.image.call_sites import RETURNS
from goanna.image.line_table import line_rows
from goanna.image.panic_packing import Site, pack

_TRAP = struct.Struct("<QI")
_PACKAGE = re.compile(r"^(.*/)?goanna/(?=[^/]+/)")


class Trap(Protocol):
    """What metal tells of a check, by the number in its trap record."""

    @property
    def reason(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...


def panic_table(elf: Path, traps: Mapping[int, Trap]) -> bytes:
    """The table for a kernel with symbols and DWARF. Raises Failure if a number in it outgrows its field."""
    with elf.open("rb") as stream:
        return _Table(ELFFile(stream), traps).packed()


class _Table:
    def __init__(self, elf: Any, traps: Mapping[int, Trap]) -> None:
        self.elf, self.traps = elf, traps
        self.functions = dict(sorted(_functions(elf)))

    def packed(self) -> bytes:
        return pack({**self.return_sites(), **self.trap_sites()}, self.functions)

    def trap_sites(self) -> dict[int, Site]:
        section = self.elf.get_section_by_name(".goanna.traps")
        if section is None:
            return {}
        found = {}
        for address, number in _TRAP.iter_unpack(section.data()):
            # A check in a function that the linker dropped is left behind with address 0.
            if address:
                trap = self.traps[number]
                found[address] = _site(trap.file, trap.line, trap.reason)
        return found

    def return_sites(self) -> dict[int, Site]:
        rows = sorted(line_rows(self.elf))
        starts = [row.address for row in rows]
        found = {}
        for address in sorted(self.returns()):
            # The call itself is before the address it returns to.
            index = bisect.bisect_left(starts, address) - 1
            if index >= 0 and rows[index].line > 0:
                found[address] = _site(rows[index].file, rows[index].line, "")
        return found

    def returns(self) -> Iterator[int]:
        """The addresses that calls return to."""
        find = RETURNS[self.elf["e_machine"]]
        for segment in self.elf.iter_segments("PT_LOAD"):
            if segment["p_flags"] & 1:
                yield from find(segment.data(), segment["p_vaddr"], self.functions)


def _site(file: str, line: int, reason: str) -> Site:
    return Site(_PACKAGE.sub("", file), line, reason)


def _functions(elf: Any) -> Iterator[tuple[int, str]]:
    """Start and name of each function in loaded code. Start code runs elsewhere than the rest, and is left out."""
    text = elf.get_section_by_name(".text")
    symbols = elf.get_section_by_name(".symtab")
    if text is None or symbols is None:
        return
    start, end = text["sh_addr"], text["sh_addr"] + text["sh_size"]
    for symbol in symbols.iter_symbols():
        if symbol["st_info"]["type"] == "STT_FUNC" and start <= symbol["st_value"] < end:
            yield symbol["st_value"], symbol.name
