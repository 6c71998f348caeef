"""Reads the line table that LLVM writes (DWARF 5, section 6.2): the file and line that each address of code comes from.

pyelftools reads it too, with an object for each of a hundred thousand steps: a third of a second in every build of the
kernel, of which the panic table wants three numbers a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from goanna.failure import Failure

__all__ = ["Row", "line_rows"]

VERSION = 5
# What an entry of the table of files tells (DWARF 5, 6.2.4.1), and how it is written (7.5.6).
_PATH, _FOLDER = 1, 2
_BLOCK, _STRING, _UDATA, _LINE_STRP = 0x09, 0x08, 0x0F, 0x1F
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}  # data1, data2, data4, data8, data16
# Operations (DWARF 5, 6.2.5.2 and 6.2.5.3).
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE = 1, 2, 3, 4
_CONST_ADD_PC, _FIXED_ADVANCE_PC = 8, 9
_END_SEQUENCE, _SET_ADDRESS = 1, 2


class Row(NamedTuple):
    """From `address` to the next row's, the code is of this line; line 0: of none, or the code ends there."""

    address: int
    file: str
    line: int


def line_rows(elf: Any) -> Iterator[Row]:
    """The rows of all units of an ELF file that pyelftools has opened. Raises Failure for a table that LLVM doesn't
    write: another version, or operations of several a word."""
    section = elf.get_section_by_name(".debug_line")
    if section is None:
        return
    strings = elf.get_section_by_name(".debug_line_str")
    data, texts = section.data(), strings.data() if strings is not None else b""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        yield from _Unit(data, at, end, texts).rows()
        at = end


class _Unit:
    """The header of one unit's table, and where its program lies."""

    def __init__(self, data: bytes, start: int, end: int, texts: bytes) -> None:
        self.data, self.end, self.texts = data, end, texts
        version, address_size = int.from_bytes(data[start + 4 : start + 6], "little"), data[start + 6]
        self.program = start + 12 + int.from_bytes(data[start + 8 : start + 12], "little")
        self.instruction, operations, _, base, self.range, self.opcodes = data[start + 12 : start + 18]
        if (version, address_size, operations) != (VERSION, 8, 1):
            raise Failure(f"the kernel's line table is none that can be read: DWARF {version}")
        self.base = base - (base >> 7 << 8)
        self.lengths = data[start + 18 : start + 17 + self.opcodes]
        self.at = start + 17 + self.opcodes
        folders = [path for path, _ in self._entries()]
        self.files = [
            path if path.startswith("/") or index >= len(folders) else f"{folders[index]}/{path}"
            for path, index in self._entries()
        ]

    def _leb128(self) -> int:
        number, self.at = _leb128(self.data, self.at)
        return number

    def _entries(self) -> list[tuple[str, int]]:
        """Path and number of the folder of each entry of a table of folders or files."""
        self.at += 1
        formats = [(self._leb128(), self._leb128()) for _ in range(self.data[self.at - 1])]
        return [self._entry(formats) for _ in range(self._leb128())]

    def _entry(self, formats: list[tuple[int, int]]) -> tuple[str, int]:
        values = {content: self._value(form) for content, form in formats}
        return str(values[_PATH]), int(values.get(_FOLDER, 0))

    def _value(self, form: int) -> str | int:
        data, at = self.data, self.at
        if form == _LINE_STRP:
            self.at += 4
            return _text(self.texts, int.from_bytes(data[at : at + 4], "little"))
        if form == _STRING:
            self.at = data.index(0, at) + 1
            return _text(data, at)
        if form == _UDATA:
            return self._leb128()
        if form == _BLOCK:
            self.at += self._leb128()
            return 0
        if form not in _FIXED:
            raise Failure(f"the kernel's line table has an entry of a form that can't be read: {form:#x}")
        self.at += _FIXED[form]
        return int.from_bytes(data[at : self.at], "little")

    def rows(self) -> Iterator[Row]:
        """Run the program."""
        data, at, end, opcodes = self.data, self.program, self.end, self.opcodes
        base, span, step = self.base, self.range, self.instruction
        constant = (255 - opcodes) // span * step
        files = self.files
        first = files[1] if len(files) > 1 else ""  # a program that means file 0 says so
        address, line, file = 0, 1, first
        while at < end:
            operation = data[at]
            at += 1
            if operation >= opcodes:
                operation -= opcodes
                address += operation // span * step
                line += base + operation % span
                yield Row(address, file, line)
            elif operation == _COPY:
                yield Row(address, file, line)
            elif operation == _ADVANCE_PC:
                number, at = _leb128(data, at)
                address += number * step
            elif operation == _ADVANCE_LINE:
                begin = at
                number, at = _leb128(data, at)
                line += number - ((data[at - 1] >> 6 & 1) << 7 * (at - begin))
            elif operation == _SET_FILE:
                number, at = _leb128(data, at)
                file = files[number]
            elif operation == _CONST_ADD_PC:
                address += constant
            elif operation == _FIXED_ADVANCE_PC:
                address += int.from_bytes(data[at : at + 2], "little")
                at += 2
            elif operation != 0:
                for _ in range(self.lengths[operation - 1]):
                    _, at = _leb128(data, at)
            else:
                size, at = _leb128(data, at)
                if data[at] == _SET_ADDRESS:
                    address = int.from_bytes(data[at + 1 : at + size], "little")
                elif data[at] == _END_SEQUENCE:
                    yield Row(address, file, 0)
                    address, line, file = 0, 1, first
                at += size


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number, 7 bits a byte, the lowest first (DWARF 5, 7.6), and where the next begins."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    number, shift = byte & 0x7F, 7
    while byte >= 0x80:
        at += 1
        byte = data[at]
        number |= (byte & 0x7F) << shift
        shift += 7
    return number, at + 1


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(0, at)].decode(errors="replace")
