"""Generated programs of structures, slices, generics, match, with, tuples and function values: as in plain Python.

CPython runs the same text over the names of plain.py; the JIT's result at O0 and O2 must be equal, failing checks
included.
"""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from goanna.metal import types as metal_types
from tests.metal.generated import TYPES, agrees, generated
from tests.metal.plain import evaluate

NUMBERS = count()

FRAME = """from goanna.metal import *
T = TypeVar("T")

@struct
class Pair:
    left: KIND
    small: u8
    items: Array[KIND, 3]

    def add(self, by: KIND) -> KIND:
        self.left += by
        return self.left

@struct
class Guard:
    entered: u8
    left: u8

    def __enter__(self) -> None:
        self.entered = wrapping(self.entered + 1)

    def __exit__(self) -> None:
        self.left = wrapping(self.left * 2 + self.entered)

@metal
def larger(a: T, b: T) -> T:
    return a if a > b else b

@metal
def parts(a: KIND, b: KIND) -> tuple[KIND, KIND]:
    return b, wrapping(a + b)

@metal
def double(a: KIND) -> KIND:
    return a * 2

@metal
def flip(a: KIND) -> KIND:
    return ~a

@metal
def body(a: KIND, b: KIND, n: u8, guard: Guard, pair: Pair, items: Slice[KIND]) -> KIND:
    other = Pair(left=a, small=n)
    chosen: Fn[[KIND], KIND] = double
BODY
    return wrapping(a + b * 3 + other.left)

@metal
def f(a: KIND, b: KIND, n: u8) -> KIND:
    guard = Guard()
    pair = Pair(left=b)
    items = Array[KIND, 5]()
    total: KIND = body(a, b, n, guard, pair, items)
    for i in range(5):
        total = wrapping(total * 31 + items[i])
    for i in range(3):
        total = wrapping(total * 31 + pair.items[i])
    return wrapping(total * 31 + pair.left + KIND.wrap(guard.left) + KIND.wrap(pair.small))
"""


@st.composite
def numbers(draw, kind, depth=2):
    """An expression of the kind."""
    inner = lambda: draw(numbers(kind, depth - 1))  # noqa: E731
    form = draw(st.integers(0, 11 if depth else 4))
    match form:
        case 0 | 1:
            return draw(st.sampled_from(["a", "b", "pair.left", "other.left"]))
        case 2:
            type_ = getattr(metal_types, kind)
            return f"{kind}({draw(st.one_of(st.integers(0, 5), st.integers(type_.minimum, type_.maximum)))})"
        case 3:
            return f"items[{draw(st.sampled_from(['0', '1', '4', 'u64(n)', 'u64(n % 5)']))}]"
        case 4:
            place = draw(st.sampled_from(["0", "2", "u64(n % 3)"]))
            return f"{draw(st.sampled_from(['pair', 'other']))}.items[{place}]"
        case 5 | 6:
            return f"({inner()} {draw(st.sampled_from(['+', '-', '*', '//', '%', '&', '|', '^']))} {inner()})"
        case 7 | 8:
            return f"wrapping({inner()} {draw(st.sampled_from('+-*'))} {inner()})"
        case 9:
            return f"larger({inner()}, {inner()})"
        case 10:
            other = draw(st.sampled_from(["n", "pair.small", "len(items)"]))
            return f"{kind}{draw(st.sampled_from(['', '.wrap']))}({other})"
        case 11:
            return f"{draw(st.sampled_from(['chosen', 'pair.add', 'flip']))}({inner()})"


@st.composite
def conditions(draw, kind):
    sign = draw(st.sampled_from(["<", "<=", "==", "!=", ">", ">="]))
    return f"{draw(numbers(kind, 1))} {sign} {draw(numbers(kind, 1))}"


@st.composite
def blocks(draw, kind, depth, loop=False):
    """Lines of one block; `loop` allows break and continue."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        lines += draw(statements(kind, depth, loop))
    return lines


@st.composite
def statements(draw, kind, depth, loop):
    number = lambda: draw(numbers(kind))  # noqa: E731
    block = lambda loop=loop: ["    " + line for line in draw(blocks(kind, depth - 1, loop))]  # noqa: E731
    match draw(st.integers(0, 13 if depth else 7)):
        case 0 | 1:
            return [f"{draw(st.sampled_from(['a', 'b', 'pair.left', 'other.left']))} = {number()}"]
        case 2:
            return [f"items[{draw(st.sampled_from(['0', '3', 'u64(n)', 'u64(n) % 5']))}] = {number()}"]
        case 3:
            return [f"a, b = parts({number()}, {number()})"]
        case 4:
            start, length, place = (draw(st.integers(0, top)) for top in (3, 3, 3))
            part = f"part{next(NUMBERS)}"
            return [f"{part} = items[{start}:{start + length}]", f"{part}[{place}] = {number()}"]
        case 5:
            first, second = draw(st.integers(0, 3)), draw(st.integers(0, 3))
            return [f"items[{first}:{first + 2}] = items[{second}:{second + 2}]"]
        case 6:
            return draw(st.sampled_from([["copy(other, pair)"], ["copy(pair, other)"], ["n = wrapping(n * 5 + 1)"]]))
        case 7:
            return [f"chosen = flip if {draw(conditions(kind))} else double"]
        case 8 | 9:
            leave = draw(st.sampled_from(["return a", "return pair.add(b)"] + ["break", "continue"] * (2 * loop)))
            return [f"if {draw(conditions(kind))}:", *block(), f"    {leave}", "else:", *block()]
        case 10:
            return [f"for i{depth} in range({draw(st.integers(0, 4))}):", *block(True)]
        case 11:
            return ["with guard:", *block()]
        case 12:
            head = ["match n % 5:", "    case 0 | 3:"]
            first, second, third = (["    " + line for line in block()] for _ in range(3))
            return [*head, *first, "    case x if x > 2:", "        pair.small = x", *second, "    case _:", *third]
        case 13:
            return [f"for each{depth} in items:", f"    b = wrapping(b ^ each{depth})", *block(True)]


@st.composite
def programs(draw):
    """The program's text, its kind of number and the three arguments."""
    kind = draw(st.sampled_from(TYPES))
    type_ = getattr(metal_types, kind)
    lines = draw(blocks(kind, 3))
    source = FRAME.replace("BODY", "\n".join("    " + line for line in lines)).replace("KIND", kind)
    value = st.one_of(st.integers(0, 9), st.integers(type_.minimum, type_.maximum))
    return source, kind, (draw(value), draw(value), draw(st.integers(0, 8)))


@generated(25)
@given(programs())
def test_generated_statements_do_what_python_does(program):
    source, kind, values = program
    agrees(source, values, evaluate(source, "f", zip((kind, kind, "u8"), values, strict=True)))
