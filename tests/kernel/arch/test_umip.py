"""Instructions that a processor with UMIP refuses, taken apart, against an encoder written the other way."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64 import umip
from goanna.kernel.arch.x86_64.frame import Frame
from goanna.metal import jit

unit = jit(umip.Store, umip.decode_store)

OPERATIONS = {"sldt": (0, 0), "str": (0, 1), "sgdt": (1, 0), "sidt": (1, 1), "smsw": (1, 4)}
RESULTS = {
    "sldt": (0).to_bytes(8, "little"),
    "str": (0x40).to_bytes(8, "little"),
    "smsw": (0x80050033).to_bytes(8, "little"),
    "sgdt": b"\0\0" + (0xFFFFFFFFFFFE0000).to_bytes(8, "little"),
    "sidt": b"\0\0" + (0xFFFFFFFFFFFF0000).to_bytes(8, "little"),
}
RIP = 0x401000
VALUES = [0x1111_0000_0000 * number + number for number in range(16)]


@pytest.fixture
def registers():
    return unit.new(Frame, rip=RIP, **dict(zip(umip.NAMES, VALUES, strict=True)))


def decoded(code: bytes, registers):
    store = unit.new(umip.Store)
    unit.call(umip.decode_store, code, registers, store)
    return store


@dataclass(frozen=True)
class Operand:
    """An address as a program writes it: registers by number, None for none; `base` may be "rip"."""

    base: int | str | None
    index: int | None
    scale: int
    displacement: int

    def value(self, after: int) -> int:
        base = after if self.base == "rip" else 0 if self.base is None else VALUES[self.base]
        index = 0 if self.index is None else VALUES[self.index] << self.scale
        return (base + index + self.displacement) % 2**64


def encoded(operation: str, operand: Operand, wide: bool, prefixes: bytes) -> bytes:
    """The bytes that an assembler makes of it, with a displacement as short as it can be."""
    opcode, number = OPERATIONS[operation]
    small = -128 <= operand.displacement < 128
    four = operand.displacement.to_bytes(4, "little", signed=True)
    one = operand.displacement.to_bytes(1, "little", signed=True) if small else b""
    index = 4 if operand.index is None else operand.index
    sib = b""
    if operand.base == "rip":
        mod, low, base, tail = 0, 5, 0, four
    elif operand.base is None:
        mod, low, base, tail = 0, 4, 5, four
    else:
        base = operand.base
        mod, tail = (0, b"") if operand.displacement == 0 and base & 7 != 5 else (1, one) if small else (2, four)
        low = 4 if operand.index is not None or base & 7 == 4 else base & 7
    if low == 4:
        sib = bytes([operand.scale << 6 | (index & 7) << 3 | base & 7])
    rex = 0x40 | wide << 3 | (index >> 3 & 1) << 1 | base >> 3 & 1
    instruction = bytes([0x0F, opcode, mod << 6 | number << 3 | low]) + sib + tail
    return prefixes + (bytes([rex]) if rex != 0x40 else b"") + instruction


REGISTER = st.integers(0, 15)
DISPLACEMENTS = st.one_of(st.sampled_from([0, 1, -1, 127, -128, 128]), st.integers(-(2**31), 2**31 - 1))
OPERANDS = st.builds(
    Operand, st.one_of(REGISTER, st.none()), st.one_of(REGISTER.filter(lambda n: n != 4), st.none()),
    st.integers(0, 3), DISPLACEMENTS,
) | st.builds(Operand, st.just("rip"), st.none(), st.just(0), DISPLACEMENTS)  # fmt: skip
SEGMENTS = [0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65]
PREFIXES = st.lists(st.sampled_from([0x66, 0x67, 0xF2, 0xF3, *SEGMENTS]), max_size=3).map(bytes)
TAIL = st.binary(max_size=4)


@given(st.sampled_from(list(OPERATIONS)), OPERANDS, st.booleans(), PREFIXES, TAIL)
def test_a_store_to_memory_has_the_address_that_was_encoded(operation, operand, wide, prefixes, tail):
    registers = unit.new(Frame, rip=RIP, **dict(zip(umip.NAMES, VALUES, strict=True)))
    code = encoded(operation, operand, wide, prefixes)
    store = decoded(code + tail, registers)
    assert store.length == len(code) and not store.in_register
    address = operand.value(RIP + len(code))
    assert store.place == (address % 2**32 if 0x67 in prefixes else address)
    assert store.size == (10 if operation in ("sgdt", "sidt") else 2)
    assert bytes(store.result)[: store.size] == RESULTS[operation][: store.size]
    segments = [each for each in prefixes if each in SEGMENTS]
    assert store.segment == (segments[-1] if segments else 0)
    for length in range(len(code)):  # cut short, it is none, and nothing behind the end is read
        assert decoded(code[:length], registers).length == 0


@pytest.mark.parametrize(("prefix", "size"), [(b"", 4), (b"\x66", 2), (b"\x48", 8), (b"\x66\x48", 8), (b"\x41", 4)])
@pytest.mark.parametrize("operation", ["sldt", "str", "smsw"])
def test_a_store_to_a_register_has_its_width(registers, operation: str, prefix: bytes, size: int) -> None:
    opcode, number = OPERATIONS[operation]
    code = prefix + bytes([0x0F, opcode, 0xC0 | number << 3 | 6])
    store = decoded(code, registers)
    assert (store.length, store.in_register, store.size) == (len(code), True, size)
    assert store.place == (14 if prefix == b"\x41" else 6)
    assert bytes(store.result)[:size] == RESULTS[operation][:size]


@pytest.mark.parametrize(
    "code",
    [
        b"\xf4",  # hlt
        b"\x0f\x01\x10",  # lgdt
        b"\x0f\x01\x30",  # lmsw
        b"\x0f\x00\x18",  # ltr
        b"\x0f\x20\xc0",  # mov from cr0
        b"\x0f\x01\xc1",  # vmcall: sgdt's number, and a register
        b"\x0f\x01\xc9",  # mwait
        b"\xf0\x0f\x01\x20",  # lock
        b"\x48\x66\x0f\x20\xc0",
        b"",
    ],
)
def test_others_are_none(registers, code: bytes) -> None:
    assert decoded(code, registers).length == 0


@given(st.binary(max_size=15))
def test_any_bytes_can_be_taken_apart(code):
    store = decoded(code, unit.new(Frame, rip=2**64 - 1, **dict.fromkeys(umip.NAMES, 2**64 - 1)))
    assert store.length <= len(code)
