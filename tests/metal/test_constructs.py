"""Each construct of metal, compiled by the JIT at O0 and O2 and called."""

from functools import cache

import pytest

from goanna.metal import (
    RELAXED,
    Array,
    Atomic,
    Big,
    CheckFailed,
    Fn,
    Ptr,
    Slice,
    TypeVar,
    Volatile,
    add_overflows,
    byte_swap,
    constant,
    copy,
    count_leading_zeros,
    count_trailing_zeros,
    enumeration,
    fill,
    hook,
    i8,
    i32,
    i64,
    jit,
    likely,
    metal,
    multiply_high,
    offsetof,
    panic,
    per_processor,
    pointer,
    population_count,
    rotate_left,
    sizeof,
    static,
    struct,
    u8,
    u16,
    u32,
    u64,
    union,
    unlikely,
    unsafe,
    wrapping,
)

T = TypeVar("T")


@pytest.fixture(params=[0, 2], ids=["O0", "O2"])
def run(request):
    """Compile the function and call it."""
    return lambda function, *arguments: jit(function, optimize=request.param).call(function, *arguments)


def fails(run, reason, function, *arguments):
    with pytest.raises(CheckFailed, match=reason) as caught:
        run(function, *arguments)
    assert caught.value.file == __file__
    return caught.value


@metal
def sum_of(a: u32, b: u32) -> u32:
    return a + b


def test_arithmetic_is_checked(run):
    assert run(sum_of, 2, 3) == 5
    failure = fails(run, "overflow: \\+ on u32", sum_of, 2**32 - 1, 1)
    assert failure.line == sum_of.code.co_firstlineno + 2


@metal
def floor(a: i32, b: i32) -> tuple[i32, i32]:
    return a // b, a % b


@pytest.mark.parametrize("a", [7, -7, 0, 2**31 - 1])
@pytest.mark.parametrize("b", [2, -2, 1, -1, 5])
def test_division_floors_as_python_does(run, a, b):
    assert run(floor, a, b) == (a // b, a % b)


def test_division_by_zero_and_its_overflow_are_checked(run):
    fails(run, "division by zero", floor, 1, 0)
    fails(run, "overflow: // on i32", floor, -(2**31), -1)


@metal
def shifted(a: u32, n: u32) -> u32:
    return a << n


def test_shift_checks_the_count_and_lost_bits(run):
    assert run(shifted, 3, 4) == 48
    fails(run, "loses bits", shifted, 3, 31)
    fails(run, "shift count", shifted, 1, 32)


@metal
def hashed(a: u64) -> u64:
    return wrapping((a * 0x9E3779B97F4A7C15 + 1) << 3)


def test_wrapping_arithmetic_is_spelled(run):
    assert run(hashed, 12345) == ((12345 * 0x9E3779B97F4A7C15 + 1) << 3) % 2**64


@metal
def conversions(a: i64) -> tuple[u8, u8, i8, u32]:
    return u8(a), u8.wrap(a + 256), i8.wrap(a), u32(a > 3)


def test_conversions(run):
    assert run(conversions, 200) == (200, 200, -56, 1)
    fails(run, "i64 value does not fit in u8", conversions, 256)
    fails(run, "i64 value does not fit in u8", conversions, -1)


@metal
def inverted(a: u16) -> u16:
    return ~a & 0xFFF


def test_complement_keeps_the_width(run):
    assert run(inverted, 0xF0) == 0xF0F


@metal
def between(a: u32, b: u32, c: u32) -> bool:
    return (a < b <= c and not a == 7) or c in (1, 2)  # noqa: SIM201


@pytest.mark.parametrize("values", [(1, 2, 3), (7, 8, 9), (3, 2, 1), (3, 2, 2), (1, 1, 5), (0, 0, 2)])
def test_chained_comparison_and_logic(run, values):
    a, b, c = values
    assert run(between, *values) == ((a < b <= c and a != 7) or c in (1, 2))


@enumeration(u8)
class State:
    READY = 0
    RUNNING = 1
    DONE = 5


@metal
def described(number: u8) -> u32:
    state = State(number)
    match state:
        case State.READY:
            return 1
        case State.RUNNING | State.DONE:
            return 2


def test_enumerations_and_exhaustive_match(run):
    assert [run(described, each) for each in (0, 1, 5)] == [1, 2, 2]
    fails(run, "not a member of State", described, 2)


@metal
def guarded(x: i64) -> i64:
    match x:
        case 0 | 1:
            return 10
        case n if n < 0:
            return -n
        case _:
            return x * 2


def test_match_with_guard_and_capture(run):
    assert [run(guarded, each) for each in (0, 1, -5, 6)] == [10, 10, 5, 12]


@metal
def loops(n: u64) -> u64:
    total: u64 = 0
    for i in range(n):
        if i == 3:
            continue
        if i == 8:
            break
        total += i
    for i in range(10, 0, -3):
        total += i
    while total % 7 != 0:
        total += 1
    return total


def loops_in_python(n):
    total = sum(i for i in range(min(n, 8)) if i != 3) + sum(range(10, 0, -3))
    return total + -total % 7


def test_loops(run):
    for n in (0, 1, 5, 20):
        assert run(loops, n) == loops_in_python(n)


@metal
def full_range() -> u64:
    count: u64 = 0
    last: u8 = 255
    for i in range(u8(250), last, 4):
        count += u64(i)
    return count


def test_a_range_ends_at_the_end_of_its_type(run):
    assert run(full_range) == 250 + 254


@struct
class Lock:
    held: Atomic[bool]
    entered: u32

    def __enter__(self) -> None:
        _, taken = self.held.compare_exchange(False, True)
        assert taken, "taken twice"

    def __exit__(self) -> None:
        self.held.store(False)
        self.entered += 1


lock = static(Lock)
other = static(Lock)


@metal
def every_way_out(way: u32) -> u32:
    for _ in range(2):
        with lock, other:
            if way == 0:
                return 10
            if way == 1:
                break
            if way == 2:
                continue
        assert not lock.held.load(), "still held"
    assert not lock.held.load() and not other.held.load(), "still held at the end"
    return lock.entered


def test_with_runs_its_exit_on_every_way(run):
    assert [run(every_way_out, way) for way in range(4)] == [10, 1, 2, 2]


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
def larger(a: T, b: T) -> T:
    return a if a > b else b


@metal
def zero_of(kind: type[T]) -> T:
    return kind(0)


@metal
def generic_calls() -> tuple[u32, i64, u8]:
    a: u32 = 3
    return larger(a, 9), larger(i64(-4), -2), zero_of(u8)


def test_generic_functions(run):
    assert run(generic_calls) == (9, -2, 0)


@metal
def twice_with_sign(value: T) -> tuple[T, bool]:
    return value + value, value > 9


@metal
def generic_tuple() -> tuple[u64, bool, u8]:
    double, large = twice_with_sign(u64(20))
    small, _ = twice_with_sign(u8(3))
    return double, large, small


def test_a_generic_function_gives_tuples(run):
    assert run(generic_tuple) == (40, True, 6)


@cache
def stack_of(kind, depth):
    @struct
    class Stack:
        items: Array[kind, depth]
        top: u32

        def push(self, item: kind) -> None:
            self.items[self.top] = item
            self.top += 1

        def pop(self) -> kind:
            self.top -= 1
            return self.items[self.top]

    return Stack


Bytes = stack_of(u8, 2)
Words = stack_of(u64, 2)


@metal
def stacks(n: u64) -> u64:
    words = Words()
    small = Bytes()
    for i in range(n):
        words.push(i * 1000)
        small.push(u8(i))
    return words.pop() + u64(small.pop())


def test_generic_structures_by_closure(run):
    assert run(stacks, 2) == 1001
    fails(run, "index out of range", stacks, 3)


upcall = hook(Fn[[u32], u32])


@metal
def doubled(x: u32) -> u32:
    return x * 2


upcall.set(doubled)
HANDLERS = constant(Array[Fn[[u32], u32], 3], [doubled, None, upcall])


@metal
def indirect(x: u32, which: u64) -> u32:
    return upcall(x) + HANDLERS[which](x)


def test_hooks_and_function_values(run):
    assert run(indirect, 5, 0) == 20
    assert run(indirect, 5, 2) == 20
    fails(run, "call of a function that is None", indirect, 5, 1)


@metal(naked=True)
def naked_sum(a: u64, b: u64) -> u64:
    unsafe.asm("leaq (%rdi,%rsi), %rax\naddq ${bonus}, %rax\nret", bonus=len("four"))


@metal
def assembly(a: u64) -> tuple[u64, u64]:
    swapped = unsafe.asm("bswapq $0", "=r,0", a, result=u64)
    return naked_sum(a, 1), swapped


def test_assembly():
    import platform

    if platform.machine() != "x86_64":
        pytest.skip("the assembly of this test is for x86-64")
    assert jit(assembly).call(assembly, 10) == (15, 10 << 56)


@metal
def bits(x: u32) -> tuple[u32, u32, u32, u32, u32]:
    return count_leading_zeros(x), count_trailing_zeros(x), population_count(x), byte_swap(x), rotate_left(x, 8)


def test_bit_operations(run):
    assert run(bits, 0x10) == (27, 4, 1, 0x10000000, 0x1000)
    assert run(bits, 0)[:2] == (32, 32)


@metal
def wide(a: u64, b: u64) -> tuple[u64, u64, bool]:
    total, over = add_overflows(a, b)
    return multiply_high(a, b), total, over


def test_wide_arithmetic(run):
    a, b = 2**63 + 5, 2**63 + 9
    assert run(wide, a, b) == (a * b >> 64, (a + b) % 2**64, True)


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


def table_size(n):
    return n * 3


@metal
def folded() -> u32:
    limit: u32 = table_size(4) + 2**3
    if likely(limit == 20) and not unlikely(limit == 21):
        return limit
    return panic_now()


@metal
def panic_now() -> u32:
    panic("told to")


def test_python_runs_while_compiling_and_panic_names_its_line(run):
    assert run(folded) == 20
    assert fails(run, "told to", panic_now).function == "panic_now"


DEBUGGING = False


@metal
def chosen() -> u32:
    if DEBUGGING:
        return this_name_does_not_exist  # noqa: F821
    return 3


def test_a_known_condition_compiles_one_branch(run):
    assert run(chosen) == 3


@metal
def walrus(data: Slice[u8]) -> u64:
    total: u64 = 0
    index: u64 = 0
    while (byte := data[index]) != 0:
        total += u64(byte)
        index += 1
    return total


def test_walrus(run):
    assert run(walrus, b"\1\2\3\0") == 6
