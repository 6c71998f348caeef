"""Finds the calls in machine code, so that the panic table knows a line for each address on a stack that is a return.

No symbols tell where calls are, so the code itself is read. On machines whose instructions vary in length a pattern may
match in the middle of an instruction: that costs a site which nobody asks for, and no call is missed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Container, Iterator

__all__ = ["RETURNS"]

Find = Callable[[bytes, int, Container[int]], Iterator[int]]

# x86-64: call to a relative address; call through a register or memory (opcode ff, modrm.reg 2). Where a scaled index
# has no base register (sib.base 5 under modrm.mod 0), four bytes of address follow.
_CALL_DIRECT = 0xE8
_NO_BASE = b"".join(re.escape(bytes([sib])) for sib in range(5, 256, 8))
_CALL_INDIRECT = re.compile(
    rb"\xff(?:[\xd0-\xd7]|[\x10-\x13\x16\x17]|\x14(?:[" + _NO_BASE + rb"].{4}|[^" + _NO_BASE + rb"])"
    rb"|[\x15\x90-\x93\x95-\x97].{4}|[\x50-\x53\x55-\x57].|\x54..|\x94.{5})",
    re.DOTALL,
)


def x86_64_returns(code: bytes, start: int, functions: Container[int]) -> Iterator[int]:
    """The addresses that calls in `code`, which lies at `start`, return to; direct calls reach one of `functions`."""
    at = code.find(_CALL_DIRECT)
    while 0 <= at <= len(code) - 5:
        after = start + at + 5
        if after + struct.unpack_from("<i", code, at + 1)[0] in functions:
            yield after
        at = code.find(_CALL_DIRECT, at + 1)
    for found in _CALL_INDIRECT.finditer(code):
        yield start + found.end()


def aarch64_returns(code: bytes, start: int, functions: Container[int]) -> Iterator[int]:
    """The same for arm64: `bl` has a word offset in its low 26 bits, `blr` a register (Arm ARM, C6.2)."""
    for index, (word,) in enumerate(struct.iter_unpack("<I", code[: len(code) & ~3])):
        at = start + 4 * index
        if word >> 26 == 0b100101:
            if at + 4 * _signed(word, 26) in functions:
                yield at + 4
        elif word & 0xFFFFFC1F == 0xD63F0000:
            yield at + 4


def riscv64_returns(code: bytes, start: int, functions: Container[int]) -> Iterator[int]:
    """The same for riscv64: `jal ra`, `jalr ra` and the compressed `c.jalr` (unprivileged ISA, 2.5 and the C chapter).

    Instructions begin on 2-byte borders. A far call is `auipc` and `jalr ra`, found by its second half.
    """
    for offset in range(0, len(code) - 1, 2):
        (half,) = struct.unpack_from("<H", code, offset)
        at = start + offset
        if half & 3 != 3:
            if half & 0xF07F == 0x9002 and half & 0x0F80:
                yield at + 2
        elif offset + 4 <= len(code):
            (word,) = struct.unpack_from("<I", code, offset)
            if word & 0xFFF == 0x0EF:
                if at + _jal_offset(word) in functions:
                    yield at + 4
            elif word & 0x7FFF == 0x00E7:
                yield at + 4


def _jal_offset(word: int) -> int:
    """The signed byte offset of a `jal`, whose bits stand in the order 20, 10 to 1, 11, 19 to 12."""
    bits = word >> 31 << 20 | (word >> 21 & 0x3FF) << 1 | (word >> 20 & 1) << 11 | (word >> 12 & 0xFF) << 12
    return _signed(bits, 21)


def _signed(number: int, bits: int) -> int:
    """The low `bits` of a number as two's complement."""
    number &= (1 << bits) - 1
    return number - (number >> bits - 1 << bits)


# By the name that pyelftools gives to e_machine.
RETURNS: dict[str, Find] = {
    "EM_X86_64": x86_64_returns,
    "EM_AARCH64": aarch64_returns,
    "EM_RISCV": riscv64_returns,
}
