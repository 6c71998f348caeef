"""metal's names as plain Python, so that CPython runs the very text that metal compiles: what they give must be equal.

Numbers know their type and stop at its bounds, sequences refuse what is outside of them, structures start at zero.
"""

import ast
import operator

from goanna.metal import types

MATH = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "floordiv": operator.floordiv, "mod": operator.mod,
    "lshift": operator.lshift, "rshift": operator.rshift, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
}  # fmt: skip
SIGNS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.LShift: "lshift",
    ast.RShift: "rshift", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
}  # fmt: skip


class Failed(Exception):
    """What a check of metal stops."""


class Number(int):
    """An integer of one type."""

    bounds = None

    def __new__(cls, value=0):
        if not cls.bounds.holds(int(value)):
            raise Failed
        return super().__new__(cls, value)

    @classmethod
    def wrap(cls, value):
        return cls(cls.bounds.wrap(int(value)))

    def combine(self, name, other, wraps=False):
        if name in ("lshift", "rshift") and int(other) >= self.bounds.bits:
            raise Failed
        if name in ("floordiv", "mod") and other == 0:
            raise Failed
        value = MATH[name](int(self), int(other))
        return self.wrap(value) if wraps and name != "floordiv" else type(self)(value)

    def __invert__(self):
        return self.wrap(~int(self))

    def __neg__(self):
        return type(self)(-int(self))

    def negated(self):
        return self.wrap(-int(self))


for each in MATH:
    setattr(Number, f"__{each}__", lambda self, other, each=each: self.combine(each, other))


class Sequence:
    """An array, or a slice of one: a view of a list."""

    def __init__(self, items, start=0, stop=None):
        self.items, self.start, self.stop = items, start, len(items) if stop is None else stop

    def __len__(self):
        return self.stop - self.start

    def __iter__(self):
        return (self.items[place] for place in range(self.start, self.stop))

    def place(self, index):
        if index >= len(self):
            raise Failed
        return self.start + index

    def __getitem__(self, index):
        if not isinstance(index, slice):
            return self.items[self.place(index)]
        if not index.start <= index.stop <= len(self):
            raise Failed
        return Sequence(self.items, self.start + index.start, self.start + index.stop)

    def __setitem__(self, index, value):
        if not isinstance(index, slice):
            self.items[self.place(index)] = value
            return
        target = self[index]
        if len(target) != len(value):
            raise Failed
        target.items[target.start : target.stop] = value.items[value.start : value.stop]


class Array:
    """Array[T, n]: called, it gives n zeros."""

    def __class_getitem__(cls, parameters):
        kind, count = parameters
        return lambda: Sequence([kind() for _ in range(count)])


class Annotation:
    def __class_getitem__(cls, parameters):
        return cls


def struct(cls):
    def start(self, **values):
        for name, kind in cls.__annotations__.items():
            setattr(self, name, values.get(name, kind()))

    cls.__init__ = start
    if leave := getattr(cls, "__exit__", None):
        cls.__exit__ = lambda self, *_: leave(self)
    return cls


def copy(target, source):
    for name in type(source).__annotations__:
        value = getattr(source, name)
        setattr(target, name, Sequence(list(value.items)) if isinstance(value, Sequence) else value)


NUMBERS = {
    name: type(name, (Number,), {"bounds": getattr(types, name)})
    for name in ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64")
}
NAMES = NUMBERS | {
    "metal": lambda function: function, "struct": struct, "copy": copy, "Array": Array,
    "Slice": Annotation, "Fn": Annotation, "TypeVar": lambda name: None,
    "len": lambda sequence: NUMBERS["u64"](len(sequence)),
    "range": lambda *ends: map(NUMBERS["u64"], range(*ends)),
}  # fmt: skip


class Wrapping(ast.NodeTransformer):
    """The operators written inside of wrapping(...), and they alone, become calls that wrap."""

    def __init__(self):
        self.depth = 0

    def visit_Call(self, node):
        inside = isinstance(node.func, ast.Name) and node.func.id == "wrapping"
        self.depth += inside
        self.generic_visit(node)
        self.depth -= inside
        return node.args[0] if inside else node

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if not self.depth:
            return node
        method = ast.Attribute(node.left, "combine", ast.Load())
        return ast.Call(method, [ast.Constant(SIGNS[type(node.op)]), node.right, ast.Constant(True)], [])

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        if not self.depth or not isinstance(node.op, ast.USub) or isinstance(node.operand, ast.Constant):
            return node
        return ast.Call(ast.Attribute(node.operand, "negated", ast.Load()), [], [])


def evaluate(source, function, types_and_values):
    """What the function gives, as an int; None if a check of metal would stop it. `import` lines are left out."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    names = dict(NAMES)
    exec(compile(ast.fix_missing_locations(Wrapping().visit(tree)), "<plain>", "exec"), names)
    try:
        return int(names[function](*(NUMBERS[kind](value) for kind, value in types_and_values)))
    except Failed:
        return None
