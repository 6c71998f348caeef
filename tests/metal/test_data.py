"""Structures, unions, slices, atomics, statics and addresses: compiled by the JIT and called."""

import pytest

from goanna.metal import (
    RELAXED,
    Array,
    Atomic,
    Big,
    CheckFailed,
    Ptr,
    Slice,
    Volatile,
    constant,
    copy,
    fill,
    i32,
    jit,
    metal,
    offsetof,
    per_processor,
    pointer,
    sizeof,
    static,
    struct,
    u8,
    u16,
    u32,
    u64,
    union,
    unsafe,
)
from tests.metal.failing import fails


@struct
class Point:
    x: i32
    y: i32 = 7


@struct
class Line:
    start: Point
    end: Point
    next: "Ptr[Line]"

    def length(self) -> i32:
        return abs(self.end.x - self.start.x) + abs(self.end.y - self.start.y)


@metal
def lines() -> tuple[i32, i32, u64, bool]:
    line = Line()
    point = Point(x=3)
    line.end = point
    point.x = 100
    second = Line(next=line)
    count: u64 = 0
    each: Ptr[Line] = second
    while each is not None:
        count += 1
        each = each.next
    return line.length(), line.end.y, count, second.next is line


def test_structures_embed_copy_and_refer(run):
    assert run(lines) == (10, 7, 2, True)


@metal
def through_none(line: Line) -> i32:
    return line.next.length()


def test_none_is_checked():
    unit = jit(through_none)
    with pytest.raises(CheckFailed, match="None where a Line is needed"):
        unit.call(through_none, unit.new(Line))


@metal
def slices(data: Slice[u8], low: u64, high: u64) -> u64:
    buffer = Array[u8, 8]()
    part = data[low:high]
    buffer[1 : 1 + len(part)] = part
    buffer[2:5] = buffer[1:4]
    total: u64 = 0
    for index, byte in enumerate(buffer):
        total += u64(byte) * (index + 1)
    if part == b"ab":
        total += 100_000
    fill(buffer[:], 1)
    return total + u64(buffer[7])


def slices_in_python(data, low, high):
    buffer = bytearray(8)
    part = data[low:high]
    buffer[1 : 1 + len(part)] = part
    buffer[2:5] = buffer[1:4]
    return sum(byte * (index + 1) for index, byte in enumerate(buffer)) + (100_000 if part == b"ab" else 0) + 1


def test_slices(run):
    for low, high in ((0, 2), (1, 4), (0, 0), (0, 6)):
        assert run(slices, b"abcdef", low, high) == slices_in_python(b"abcdef", low, high)
    fails(run, "slice end past the length", slices, b"abc", 0, 4)
    fails(run, "slice start past its end", slices, b"abc", 2, 1)
    fails(run, "slices of different lengths|slice end", slices, b"abcdefghij", 0, 9)


@metal
def at(data: Slice[u16], index: u64) -> u16:
    data[0] = 9
    return data[index]


def test_index_is_checked_and_writes_reach_the_caller(run):
    data = bytearray(b"\1\0\2\0")
    assert run(at, data, 1) == 2
    assert data[0] == 9
    fails(run, "index out of range", at, data, 2)


@struct
class Header:
    kind: u8
    length: Big[u16]
    address: Big[u32]


@metal
def parse(header: Header) -> u32:
    header.length += 1
    return u32(header.length) + header.address


def test_big_endian_fields():
    unit = jit(parse)
    header = unit.new(Header, length=0x1234, address=5)
    assert bytes(header) == b"\0\x12\x34\0\0\0\5"
    assert unit.call(parse, header) == 0x1235 + 5
    assert Header.unpack(b"\1\0\2\0\0\0\3").length == 2


@union
class Either:
    whole: u32
    parts: Array[u8, 4]


@metal
def low_byte(value: u32) -> u8:
    either = Either(whole=value)
    return either.parts[0]


def test_unions(run):
    assert run(low_byte, 0x12345678) == 0x78


@struct(packed=True)
class Packed:
    kind: u8
    value: u64


@struct(align=64)
class Aligned:
    value: u8


def test_layout_is_that_of_c():
    assert (sizeof(Packed), offsetof(Packed, "value")) == (9, 1)
    assert sizeof(Aligned) == 64
    assert (sizeof(Line), offsetof(Line, "next")) == (24, 16)


@metal
def atomics(cell: Atomic[u32]) -> tuple[u32, u32, bool, u32]:
    first = cell.add(5)
    cell.store(cell.load(order=RELAXED) | 16)
    old, swapped = cell.compare_exchange(22, 7)
    return first, old, swapped, cell.exchange(1)


def test_atomics():
    import ctypes

    unit = jit(atomics)
    cell = ctypes.c_uint32(1)
    assert unit.call(atomics, cell) == (1, 22, True, 7)
    assert cell.value == 1


@struct
class Device:
    status: Volatile[u32]


@metal
def poke(device: Device) -> u32:
    device.status.write(5)
    return device.status.read() + device.status.read()


def test_volatile_access_is_not_removed():
    unit = jit(poke, optimize=2)
    assert unit.call(poke, unit.new(Device)) == 10
    assert unit.ir.count("load volatile") == 2


ticks = static(u64, 5)
TABLE = constant(Array[u16, 4], [10, 20, 30, 40])
own = per_processor(u64)


@metal
def globals_(step: u64) -> u64:
    global ticks, own
    ticks += step
    own += 1
    return ticks + u64(TABLE[3]) + own


def test_statics_constants_and_per_processor_variables():
    unit = jit(globals_)
    assert unit.call(globals_, 1) == 6 + 40 + 1
    assert unit.call(globals_, 1) == 7 + 40 + 2
    assert unit.get(ticks) == 7
    unit.reset()
    assert unit.get(ticks) == 5
    unit.set(ticks, 100)
    assert unit.call(globals_, 0) == 100 + 40 + 1


@metal
def addressed(line: Line) -> tuple[bool, i32, bool]:
    x = pointer(line.end.x)
    x.value = 42
    base = unsafe.address(line)
    again = unsafe.at(Line, base)
    whole = unsafe.container(Line, "end", line.end)
    return unsafe.address(line.end) - base == offsetof(Line, "end"), again.end.x, whole is line


def test_addresses():
    unit = jit(addressed)
    assert unit.call(addressed, unit.new(Line)) == (True, 42, True)


@metal
def copied(a: Line, b: Line) -> None:
    copy(a, b)


def test_copy_of_a_whole_structure():
    unit = jit(copied)
    a, b = unit.new(Line), unit.new(Line)
    b.end.x = 6
    unit.call(copied, a, b)
    assert bytes(a) == bytes(b)
