"""Generated programs over memory: structures inside of others, packed, big-endian, unions, pointers, atomics, statics.

CPython runs the same text over the views of bytes of plain_memory.py; the JIT's result at O0 and O2 must be equal,
failing checks included. Much of what is generated has effects (calls that write, walruses), so that the order in which
the parts of an expression are evaluated shows in the result.
"""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from goanna.metal import types as metal_types
from tests.metal.generated import TYPES, agrees, generated
from tests.metal.plain_memory import evaluate

NUMBERS = count()

FRAME = """from goanna.metal import *

@enumeration(u8)
class State:
    IDLE = 0
    BUSY = 3
    DONE = 200

@struct(packed=PACKED)
class Inner:
    small: u8
    wide: KIND
    wire: Big[u32]
    state: State

    def grow(self, by: KIND) -> KIND:
        self.wide = wrapping(self.wide + by)
        return self.wide

@union
class Word:
    whole: u64
    parts: Array[u16, 4]
    octets: Array[u8, 8]

@struct
class Node:
    inner: Inner
    word: Word
    flag: bool
    items: Array[KIND, 3]
    rows: Array[Inner, 2]
    next: "Ptr[Node]"
    count: Atomic[u32]

    def turn(self) -> bool:
        self.flag = not self.flag
        return self.flag

    def state_of(self, place: u8) -> State:
        return self.rows[place].state

@struct
class Guard:
    depth: u32

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self) -> None:
        self.depth = wrapping(self.depth * 3)

shared = static(Node)
total = static(u32)
guard = static(Guard)
own = per_processor(KIND)

@metal
def bump(by: u32) -> u32:
    global total
    total = wrapping(total + by)
    return total

@metal
def pick(first: Node, second: Node, which: bool) -> Node:
    return first if which else second

@metal
def digest_inner(inner: Inner) -> u64:
    text = wrapping(u64(inner.small) + u64.wrap(inner.wide) * 3 + u64(inner.wire) * 5 + u64(u8(inner.state)) * 7)
    return text

@metal
def digest(node: Node) -> u64:
    value = wrapping(digest_inner(node.inner) * 31 + node.word.whole)
    for row in node.rows:
        value = wrapping(value * 31 + digest_inner(row))
    for i, item in enumerate(node.items):
        value = wrapping(value * 31 + u64.wrap(item) + i)
    if node.next is not None:
        value = wrapping(value * 31 + u64(node.next is node) + u64(node.next is shared) * 2 + 1)
    return wrapping(value * 31 + u64(node.flag) + u64(node.count.load()) * 5)

@metal
def body(a: KIND, b: KIND, n: u8, node: Node, other: Node) -> KIND:
    global total, own
    inner = node.inner
    each: Ptr[Node] = other
BODY
    return wrapping(a + b * 3 + KIND.wrap(digest_inner(inner)) + own + KIND.wrap(n))

@metal
def f(a: KIND, b: KIND, n: u8) -> u64:
    node = Node(flag=n > 4)
    other = Node(inner=Inner(wide=b, small=n))
    node.next = other
    other.next = node
    shared.next = node
    result: KIND = body(a, b, n, node, other)
    value = wrapping(digest(node) * 31 + digest(other))
    return wrapping((value * 31 + digest(shared)) * 31 + u64(total) + u64(guard.depth) * 3 + u64.wrap(result) * 7)
"""
STATES = ["State.IDLE", "State.BUSY", "State.DONE"]
OF_ONE = ["population_count", "count_leading_zeros", "count_trailing_zeros", "byte_swap", "abs"]
SIGNS = ["<", "<=", "==", "!=", ">", ">="]


class Maker:
    """Draws the parts of a program whose numbers are mostly of one kind."""

    def __init__(self, draw, kind):
        self.draw, self.kind = draw, kind

    def one_of(self, *options):
        return self.draw(st.sampled_from(options))

    def chance(self, among):
        return self.draw(st.integers(1, among)) == 1

    def index(self, length):
        """An index of an array, mostly inside of it."""
        inside = ["0", str(length - 1), f"u64(n % {length})", f"node.inner.small % {length}"]
        return "u64(n)" if self.chance(30) else self.one_of(*inside)

    # Places of each type.
    def node(self):
        rare = ["other", "shared", "each", "pick(node, other, node.turn())", "node.next"]
        return self.one_of(*rare) if self.chance(3) else "node"

    def inner(self):
        form = self.draw(st.integers(0, 5))
        return "inner" if form < 3 else f"{self.node()}.inner" if form < 5 else f"{self.node()}.rows[{self.index(2)}]"

    def place(self, kind):
        """A place of that type, or of another one if it has none."""
        options = {
            "u8": [lambda: f"{self.inner()}.small", lambda: f"{self.node()}.word.octets[{self.index(8)}]", lambda: "n"],
            "u16": [lambda: f"{self.node()}.word.parts[{self.index(4)}]"],
            "u32": [lambda: f"{self.inner()}.wire", lambda: "total"],
            "u64": [lambda: f"{self.node()}.word.whole"],
            "bool": [lambda: f"{self.node()}.flag"],
            "State": [lambda: f"{self.inner()}.state"],
        }.get(kind, [])
        if kind == self.kind:
            wide = [lambda: f"{self.inner()}.wide", lambda: f"{self.node()}.items[{self.index(3)}]"]
            options = [*options, *wide, lambda: "a", lambda: "b", lambda: "own"]
        return self.draw(st.sampled_from(options))()

    def kinds(self):
        """The integer types that have places."""
        return self.one_of(self.kind, self.kind, "u8", "u16", "u32", "u64")

    # Expressions.
    def number(self, kind, depth=2):
        if depth == 0 or self.chance(4):
            return self.place(kind) if not self.chance(5) else self.literal(kind)
        inner = lambda: self.number(kind, depth - 1)  # noqa: E731
        match self.draw(st.integers(0, 15)):
            case 0:
                return f"({inner()} {self.one_of('+', '-', '*', '//', '%')} {inner()})"
            case 1:
                return f"({inner()} {self.one_of('&', '|', '^')} {inner()})"
            case 2 | 3 | 4:
                return f"wrapping({inner()} {self.one_of('+', '-', '*', '^')} {inner()})"
            case 5:
                return f"wrapping({inner()} << {self.number('u8', depth - 1)} % 8)"
            case 6:
                return f"({inner()} >> {self.number('u8', 0)} % 8)"
            case 7:
                other = self.kinds()
                return f"{kind}{'' if self.chance(6) else '.wrap'}({self.number(other, depth - 1)})"
            case 8:
                return f"({inner()} if {self.condition(depth - 1)} else {inner()})"
            case 9:
                return f"{self.one_of('min', 'max')}({inner()}, {inner()})"
            case 10:
                return f"{self.one_of(*OF_ONE)}({inner()})"
            case 11:
                return f"rotate_left({inner()}, {self.place(kind)})"
            case 12:
                return self.one_of(f"(~{inner()})", f"{kind}({self.condition(depth - 1)})")
            case 13 | 14 | 15:
                return self.effect(kind, depth)

    def effect(self, kind, depth):
        """An expression that writes something."""
        if kind == self.kind and self.chance(2):
            return f"{self.inner()}.grow({self.number(kind, depth - 1)})"
        if kind == self.kind:
            return f"({self.one_of('a', 'b')} := {self.number(kind, depth - 1)})"
        if kind == "u32":
            atomic = f"{self.node()}.count.{self.one_of('add', 'sub', 'xor', 'exchange')}"
            return f"{self.one_of('bump', atomic)}({self.number(kind, depth - 1)})"
        if kind == "u8":
            return self.one_of(f"u8({self.state(depth - 1)})", f"(n := {self.number(kind, depth - 1)})")
        return self.place(kind)

    def literal(self, kind):
        type_ = getattr(metal_types, kind)
        edges = [0, 1, 3, type_.minimum, type_.maximum]
        return f"{kind}({self.draw(st.sampled_from(edges) | st.integers(type_.minimum, type_.maximum))})"

    def state(self, depth):
        where = f"{self.node()}.state_of({self.number('u8', 0)} % 2)"
        made = f"State({self.place('u8')} & 3)" if depth > 0 and self.chance(3) else "State.BUSY"
        return self.one_of(*STATES, self.place("State"), where, made)

    def condition(self, depth=1):
        deeper = max(depth, 0)
        match self.draw(st.integers(0, 7 if depth > 0 else 4)):
            case 0 | 1:
                kind = self.kinds()
                return f"{self.number(kind, deeper)} {self.one_of(*SIGNS)} {self.number(kind, deeper)}"
            case 2:
                return self.one_of(self.place("bool"), f"{self.node()}.turn()", f"(not {self.place('bool')})")
            case 3:
                return f"{self.state(depth)} {self.one_of('==', '!=')} {self.state(depth)}"
            case 4:
                return self.one_of("each is None", "each is not None", "each is node", "node.next is each")
            case 5:
                kind = self.kinds()
                first, second, third = (self.number(kind, 1) for _ in range(3))
                return f"{first} {self.one_of(*SIGNS)} {second} {self.one_of(*SIGNS)} {third}"
            case 6:
                kind = self.kinds()
                options = ", ".join(self.number(kind, 1) for _ in range(2))
                return f"{self.number(kind, 1)} {self.one_of('in', 'not in')} ({options})"
            case 7:
                return f"({self.condition(depth - 1)} {self.one_of('and', 'or')} {self.condition(depth - 1)})"

    # Statements.
    def block(self, depth, loop=False):
        lines = []
        for _ in range(self.draw(st.integers(1, 3))):
            lines += self.statement(depth, loop)
        return lines

    def nested(self, depth, loop=False):
        return ["    " + line for line in self.block(depth - 1, loop)]

    def simple(self):
        """A statement of one or two lines."""
        kind = self.kinds()
        match self.draw(st.integers(0, 12)):
            case 0 | 1 | 2:
                return [f"{self.place(kind)} = {self.number(kind)}"]
            case 3:
                return [f"{self.place(kind)} {self.one_of('+', '-', '%', '^', '|')}= {self.number(kind)}"]
            case 4:
                return [f"{self.place('bool')} = {self.condition()}", f"{self.place('State')} = {self.state(1)}"]
            case 5:
                return [f"inner = {self.inner()}"]
            case 6:
                return [f"each = {self.one_of('node', 'other', 'shared', 'node.next')}"]
            case 7:
                target = "None" if self.chance(9) else self.one_of("node", "each")
                return [f"{self.one_of('node', 'other', 'shared')}.next = {target}"]
            case 8:
                where = self.one_of(f"{self.node()}.inner", f"{self.node()}.rows[{self.index(2)}]")
                return [self.one_of(f"{where} = {self.inner()}", f"copy({where}, {self.inner()})")]
            case 9:
                return [f"{self.node()}.word = {self.node()}.word", f"{self.node()}.items = {self.node()}.items"]
            case 10:
                start = self.draw(st.integers(0, 2))
                stop = 3 if self.chance(9) else self.draw(st.integers(start, 3))
                part = f"part{next(NUMBERS)}"
                changed = f"{part}[{self.index(max(stop - start, 1))}] = {self.number(self.kind)}"
                moved = f"{part}[0:{stop - start}] = {self.node()}.items[{self.one_of(0, start)}:{stop}]"
                return [
                    f"{part} = {self.node()}.items[{start}:{stop}]",
                    self.one_of(changed, moved, f"fill({part}, 0)"),
                ]
            case 11:
                kind, name = self.kinds(), f"over{next(NUMBERS)}"
                target = self.place(kind)
                both = f"{self.one_of('add', 'sub', 'mul')}_overflows({self.place(kind)}, {self.number(kind)})"
                return [f"{target}, {name} = {both}", f"node.flag = node.flag or {name}"]
            case 12:
                name = f"old{next(NUMBERS)}"
                call = f"{self.node()}.count.compare_exchange({self.number('u32', 1)}, {self.number('u32', 1)})"
                return [f"{name}, other.flag = {call}", f"total = {name}"]

    def statement(self, depth, loop):
        if depth == 0 or self.chance(2):
            return self.simple()
        number = next(NUMBERS)
        match self.draw(st.integers(0, 7)):
            case 0 | 1:
                leave = self.one_of("return a", "return own", *["break", "continue"] * (2 * loop))
                return [f"if {self.condition(2)}:", *self.nested(depth, loop), f"    {leave}"]
            case 2:
                head = f"if {self.condition(2)}:"
                return [head, *self.nested(depth, loop), "else:", *self.nested(depth, loop)]
            case 3:
                ends = self.one_of("3", "2, 5", "5, 0, -2", "u64(n % 4)", "0, 200, 90")
                lines = [f"    own = wrapping(own + {self.kind}.wrap(i{number}))", *self.nested(depth, True)]
                return [f"for i{number} in range({ends}):", *lines]
            case 4:
                lines = [f"    row{number}.small = u8.wrap(row{number}.wide)", *self.nested(depth, True)]
                return [f"for row{number} in {self.node()}.rows:", *lines]
            case 5:
                return ["with guard:", *self.nested(depth, loop)]
            case 6:
                lines = [f"match {self.state(1)}:"]
                for pattern in ("State.IDLE | State.BUSY", "State.DONE" if self.chance(2) else "_"):
                    lines += [f"    case {pattern}:", *("    " + line for line in self.nested(depth, loop))]
                return lines
            case 7:
                turns = f"turns{number}"
                lines = [f"    {turns} += 1", *self.nested(depth, True)]
                return [f"{turns}: u8 = 0", f"while {turns} < 3 and {self.condition(1)}:", *lines]


@st.composite
def programs(draw):
    """The program's text, its kind of number and the three arguments."""
    kind = draw(st.sampled_from(TYPES))
    type_ = getattr(metal_types, kind)
    lines = Maker(draw, kind).block(3)
    source = FRAME.replace("BODY", "\n".join("    " + line for line in lines)).replace("KIND", kind)
    source = source.replace("PACKED", str(draw(st.booleans())))
    value = st.one_of(st.integers(0, 9), st.integers(type_.minimum, type_.maximum))
    return source, kind, (draw(value), draw(value), draw(st.integers(0, 8)))


@generated(40)
@given(programs())
def test_generated_programs_leave_memory_as_python_does(program):
    source, kind, values = program
    agrees(source, values, evaluate(source, "f", zip((kind, kind, "u8"), values, strict=True)))
