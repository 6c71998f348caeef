"""metal's memory as plain Python: structures, unions, arrays and pointers are views of bytes, laid out as C does.

What `plain` evaluates lives in Python objects; here every field has its place in a bytearray, so that unions, packed
and big-endian fields, references into the middle of things and copies of them mean what they mean on a machine.
"""

import ast
import enum

from tests.metal.plain import NUMBERS, Failed, Number, Wrapping

POINTERS = [None]  # what lies in memory for a pointer is its index here


class Scalar:
    """A number, a bool or a member of an enumeration: how it is kept in memory."""

    def __init__(self, kind, size, order="little", signed=False):
        self.kind, self.size, self.order, self.signed = kind, size, order, signed
        self.alignment = size if order == "little" else 1

    def read(self, memory, offset):
        return self.kind(int.from_bytes(memory[offset : offset + self.size], self.order, signed=self.signed))

    def write(self, memory, offset, value):
        memory[offset : offset + self.size] = int(value).to_bytes(self.size, self.order, signed=self.signed)


class PointerKind:
    """Ptr[T]."""

    size = alignment = 8

    def read(self, memory, offset):
        return POINTERS[int.from_bytes(memory[offset : offset + 8], "little")]

    def write(self, memory, offset, value):
        POINTERS.append(value)
        memory[offset : offset + 8] = (len(POINTERS) - 1).to_bytes(8, "little")


class AtomicKind:
    """Atomic[T]: read, it is the cell, which has its methods."""

    def __init__(self, inner):
        self.inner, self.size, self.alignment = inner, inner.size, inner.alignment

    def read(self, memory, offset):
        return Cell(self.inner, memory, offset)


class Cell:
    """Where an atomic lies."""

    def __init__(self, kind, memory, offset):
        self.kind, self.memory, self.offset = kind, memory, offset

    def load(self):
        return self.kind.read(self.memory, self.offset)

    def store(self, value):
        self.kind.write(self.memory, self.offset, value)

    def exchange(self, value):
        old = self.load()
        self.store(value)
        return old

    def compare_exchange(self, expected, new):
        old = self.load()
        if old == expected:
            self.store(new)
        return old, old == expected

    def add(self, value):
        return self.exchange(self.load().combine("add", value, True))

    def sub(self, value):
        return self.exchange(self.load().combine("sub", value, True))

    def xor(self, value):
        return self.exchange(self.load() ^ value)


class ArrayKind:
    """Array[T, n]: called, it is a new one, zeroed."""

    def __init__(self, element, count):
        self.element, self.count = kind_of(element), count
        self.size, self.alignment = self.element.size * count, self.element.alignment

    def __call__(self):
        return Elements(self.element, bytearray(self.size), 0, self.count)

    def read(self, memory, offset):
        return Elements(self.element, memory, offset, self.count)

    def write(self, memory, offset, value):
        memory[offset : offset + self.size] = bytes(value.memory[value.offset : value.offset + self.size])


class Elements:
    """An array, or a slice of one."""

    def __init__(self, kind, memory, offset, count):
        self.kind, self.memory, self.offset, self.count = kind, memory, offset, count

    def place(self, index):
        if index >= self.count:
            raise Failed
        return self.offset + int(index) * self.kind.size

    def part(self, index):
        start, stop = int(index.start or 0), self.count if index.stop is None else int(index.stop)
        if not start <= stop <= self.count:
            raise Failed
        return Elements(self.kind, self.memory, self.offset + start * self.kind.size, stop - start)

    def __len__(self):
        return self.count

    def __iter__(self):
        return (self[place] for place in range(self.count))

    def __getitem__(self, index):
        return self.part(index) if isinstance(index, slice) else self.kind.read(self.memory, self.place(index))

    def bytes(self):
        return bytes(self.memory[self.offset : self.offset + self.count * self.kind.size])

    def __setitem__(self, index, value):
        if not isinstance(index, slice):
            self.kind.write(self.memory, self.place(index), value)
            return
        target = self.part(index)
        if len(target) != len(value):
            raise Failed
        data = value.bytes()
        target.memory[target.offset : target.offset + len(data)] = data

    def __eq__(self, other):
        return self.bytes() == other.bytes()


def kind_of(annotation):
    """How a field of that annotation is kept."""
    if isinstance(annotation, str):
        return PointerKind()
    if annotation is bool:
        return Scalar(bool, 1)
    if isinstance(annotation, type) and issubclass(annotation, Number):
        return Scalar(annotation, annotation.bounds.bits // 8, signed=annotation.bounds.signed)
    if isinstance(annotation, type) and issubclass(annotation, enum.IntEnum):
        return Scalar(annotation, 1)
    return annotation


class Aggregate(type):
    """The class of a structure or union, which says how its values lie in memory."""

    def read(cls, memory, offset):
        made = cls.__new__(cls)
        made.memory, made.offset = memory, offset
        return made

    def write(cls, memory, offset, value):
        memory[offset : offset + cls.size] = bytes(value.memory[value.offset : value.offset + cls.size])


def aggregate(cls, packed=False, together=False):
    """Lay the annotated fields out and make a property of each."""
    made = Aggregate(cls.__name__, (), {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__")})
    end, widest = 0, 1
    for name, annotation in cls.__annotations__.items():
        kind = kind_of(annotation)
        alignment = 1 if packed else kind.alignment
        offset = 0 if together else -(-end // alignment) * alignment
        end, widest = max(end, offset + kind.size), max(widest, alignment)
        setattr(made, name, field(kind, offset))
    made.alignment, made.size = widest, -(-end // widest) * widest

    def start(self, **values):
        self.memory, self.offset = bytearray(made.size), 0
        for name, value in values.items():
            setattr(self, name, value)

    made.__init__ = start
    if leave := getattr(cls, "__exit__", None):
        made.__exit__ = lambda self, *_: leave(self)
    return made


def field(kind, offset):
    def read(self):
        return kind.read(self.memory, self.offset + offset)

    def write(self, value):
        kind.write(self.memory, self.offset + offset, value)

    return property(read, write)


def same(a, b):
    """`a is b`: one place in memory."""
    if a is None or b is None:
        return a is b
    return a.memory is b.memory and a.offset == b.offset


class Generic:
    """What makes a type of another one by subscription."""

    def __init__(self, make):
        self.make = make

    def __getitem__(self, parameters):
        return self.make(parameters)


def fill(target, value):
    assert value == 0
    target.memory[target.offset : target.offset + len(target.bytes())] = bytes(len(target.bytes()))


def copy(target, source):
    type(target).write(target.memory, target.offset, source)


def overflows(name):
    def both(a, b):
        wrapped = a.combine(name, b, True)
        return wrapped, int(wrapped) != {"add": int(a) + int(b), "sub": int(a) - int(b), "mul": int(a) * int(b)}[name]

    return both


def rotate_left(value, count):
    bits = value.bounds.bits
    raw, count = int(value) & (1 << bits) - 1, int(count) % bits
    return value.wrap(raw << count | raw >> bits - count)


def of_bits(count):
    """A function over the bits of a number, as a text of zeros and ones."""
    return lambda value: type(value)(count(f"{int(value) & (1 << value.bounds.bits) - 1:0{value.bounds.bits}b}"))


def swapped(value):
    size = value.bounds.bits // 8
    return value.wrap(int.from_bytes((int(value) & (1 << value.bounds.bits) - 1).to_bytes(size, "little"), "big"))


def instance(kind):
    return kind()


NAMES = NUMBERS | {
    "metal": lambda function: function,
    "struct": lambda cls=None, packed=False: aggregate(cls) if cls else lambda cls: aggregate(cls, packed),
    "union": lambda cls: aggregate(cls, together=True),
    "enumeration": lambda base: lambda cls: enum.IntEnum(
        cls.__name__, {name: value for name, value in vars(cls).items() if not name.startswith("_")}
    ),
    "Array": Generic(lambda parameters: ArrayKind(*parameters)), "Ptr": Generic(lambda target: PointerKind()),
    "Big": Generic(lambda kind: Scalar(kind, kind.bounds.bits // 8, "big", kind.bounds.signed)),
    "Atomic": Generic(lambda kind: AtomicKind(kind_of(kind))), "Slice": Generic(lambda kind: None),
    "static": instance, "per_processor": instance, "same": same, "fill": fill, "copy": copy,
    "add_overflows": overflows("add"), "sub_overflows": overflows("sub"), "mul_overflows": overflows("mul"),
    "rotate_left": rotate_left, "byte_swap": swapped,
    "population_count": of_bits(lambda bits: bits.count("1")),
    "count_leading_zeros": of_bits(lambda bits: len(bits) - len(bits.lstrip("0"))),
    "count_trailing_zeros": of_bits(lambda bits: len(bits) - len(bits.rstrip("0"))),
    "abs": lambda value: type(value)(abs(int(value))),
    "len": lambda sequence: NUMBERS["u64"](len(sequence)),
    "range": lambda *ends: map(NUMBERS["u64"], range(*ends)),
    "enumerate": lambda sequence: ((NUMBERS["u64"](place), each) for place, each in enumerate(sequence)),
    "likely": lambda condition: condition, "unlikely": lambda condition: condition,
}  # fmt: skip


class _Identity(ast.NodeTransformer):
    """`a is b` and `a is not b` compare places, which Python's own operator can't be taught."""

    def visit_Compare(self, node):
        self.generic_visit(node)
        if not isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            return node
        call = ast.Call(ast.Name("same", ast.Load()), [node.left, node.comparators[0]], [])
        return call if isinstance(node.ops[0], ast.Is) else ast.UnaryOp(ast.Not(), call)


def evaluate(source, function, types_and_values):
    """What the function gives, as an int; None if a check of metal would stop it. `import` lines are left out."""
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom)]
    names = dict(NAMES)
    del POINTERS[1:]
    tree = ast.fix_missing_locations(_Identity().visit(Wrapping().visit(tree)))
    exec(compile(tree, "<plain>", "exec", dont_inherit=True), names)
    try:
        return int(names[function](*(NUMBERS[kind](value) for kind, value in types_and_values)))
    except Failed:
        return None
    except AttributeError as error:
        if "'NoneType'" in str(error):  # a look through a pointer that is None
            return None
        raise
    except AssertionError:
        return None
    except ValueError as error:
        if "is not a valid" in str(error):  # no member of an enumeration
            return None
        raise
