"""What to write instead: hints for those who write metal as if it were all of Python, in tables and small functions.

The words of a mistake stand where it is found; what stands here is what several places say, and what is only told.
"""

from __future__ import annotations

import ast
import builtins
import difflib
from collections.abc import Iterable
from typing import Any

from ..structure import StructType
from ..types import (
    ArrayType,
    BoolType,
    CellType,
    EnumType,
    FnType,
    IntType,
    PtrType,
    SliceType,
    TupleType,
    Type,
    same,
    u8,
)

__all__ = [
    "FILLING",
    "PYTHON",
    "REASON",
    "SIGNATURES",
    "STATEMENTS",
    "VALUES",
    "arithmetic",
    "attribute",
    "condition",
    "converting",
    "counted",
    "from_the_end",
    "indexing",
    "is_none",
    "like",
    "python",
    "refused",
    "refused_constant",
    "source",
]

# Functions of Python that metal has not, and what does their work.
PYTHON = {
    "print": "a test looks at what a function gives; code that must speak calls the module's own output function",
    "input": "code on a machine has no terminal of its own",
    "open": "files are opened at the top level, where Python runs",
    "int": "u64(x), i32(x), ... convert and check; u8.wrap(x) takes the low bits",
    "float": "metal has no floating point: count in smaller units, milliseconds instead of seconds",
    "str": 'texts are bytes, b"...", in a Slice[u8]',
    "repr": 'texts are bytes, b"...", in a Slice[u8]',
    "format": 'texts are bytes, b"...", in a Slice[u8]',
    "chr": "a character is a u8: u8(x)",
    "bytes": "`Array[u8, 16]()` is memory for bytes; a Slice[u8] refers to some",
    "bytearray": "`Array[u8, 16]()` is memory for bytes; a Slice[u8] refers to some",
    "list": "`Array[u32, 16]()` is memory for several; a Slice[u32] refers to some",
    "dict": "a @struct has named fields; a constant() is a table",
    "set": "the bits of a number are a small set: bits |= 1 << n",
    "tuple": "write the values with commas",
    "sum": "add in a loop",
    "any": "a loop with `if` and `break` finds one",
    "all": "a loop with `if` and `break` finds one",
    "sorted": "sort in a loop over an array",
    "reversed": "count down: for i in range(len(x), 0, -1), and use x[i - 1]",
    "zip": "count: for i in range(len(x)), and use x[i] and y[i]",
    "map": "a loop does it",
    "filter": "a loop with `if` does it",
    "iter": "for goes through slices and arrays by itself",
    "next": "for goes through slices and arrays by itself",
    "isinstance": "every type is known when the function is compiled",
    "type": "every type is known when the function is compiled",
    "hasattr": "every type is known when the function is compiled",
    "id": "`a is b` compares identity; unsafe.address(x) is where x lies",
    "hash": "compute one: wrapping(h * 31 + x)",
    "divmod": "write x // y, x % y",
    "pow": "multiply; a power of two is 1 << n",
    "round": "integers need none: (x + n // 2) // n * n rounds to the nearest multiple of n",
    "hex": "write the digits in a loop: b\"0123456789abcdef\"[x >> 4 & 15]",
    "super": "structures have no base classes: embed the other one as a field",
}  # fmt: skip
_NEVER_RUN = {"print", "input", "open"}

# Statements that metal has not: their name and what to write.
STATEMENTS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Try: ("try", 'errors are values: return them, or panic("..."); `with` runs an exit on every way out'),
    ast.Raise: ("raise", 'errors are values: return them, or panic("...")'),
    ast.FunctionDef: ("nested functions", "write it at the top level, @metal, and hand over what it needs"),
    ast.ClassDef: ("classes inside of functions", "write a @struct at the top level"),
    ast.Delete: ("del", "a local ends with its function; nothing is freed by itself"),
    ast.Import: ("import inside of functions", "import at the top of the module"),
    ast.ImportFrom: ("import inside of functions", "import at the top of the module"),
    ast.Nonlocal: ("nonlocal", "a variable that several functions share is a static()"),
    ast.AsyncFor: ("async", "a function that waits calls what blocks"),
    ast.AsyncWith: ("async", "a function that waits calls what blocks"),
    ast.AsyncFunctionDef: ("async", "a function that waits calls what blocks"),
}
_LOOP = "fill an array in a loop"
_TABLE = "a table of constants is a constant() at the top level"

# Expressions that metal has not: their name and what to write.
VALUES: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lambda: ("lambdas", "write a @metal function at the top level and pass its name"),
    ast.ListComp: ("comprehensions", f"{_LOOP}; {_TABLE}"),
    ast.SetComp: ("comprehensions", f"{_LOOP}; {_TABLE}"),
    ast.DictComp: ("comprehensions", f"{_LOOP}; {_TABLE}"),
    ast.GeneratorExp: ("generators", "write the loop"),
    ast.Yield: ("generators", "fill in a slice of the caller's, or call a function for each"),
    ast.YieldFrom: ("generators", "fill in a slice of the caller's, or call a function for each"),
    ast.Await: ("await", "a function that waits calls what blocks"),
    ast.JoinedStr: ("f-strings", 'texts are bytes, b"...", and numbers are written into them by a loop over digits'),
    ast.List: ("lists", ""),
    ast.Dict: ("dicts", f"a @struct has named fields; {_TABLE}"),
    ast.Set: ("sets", "the bits of a number are a small set: bits |= 1 << n"),
    ast.Starred: ("*", "write the values one by one"),
}

# How the functions of metal are called.
SIGNATURES = {
    "unsafe.load": "unsafe.load(type, address)", "unsafe.store": "unsafe.store(type, address, value)",
    "unsafe.at": "unsafe.at(type, address)", "unsafe.pointer": "unsafe.pointer(type, address)",
    "unsafe.slice": "unsafe.slice(type, address, count)", "unsafe.address": "unsafe.address(thing)",
    "unsafe.cast": "unsafe.cast(type, reference)", "unsafe.index": "unsafe.index(sequence, index)",
    "unsafe.container": 'unsafe.container(type, "field", reference)',
    "unsafe.function": "unsafe.function(type, address)", "unsafe.uninitialized": "unsafe.uninitialized(type)",
    "rotate_left": "rotate_left(value, count)", "multiply_high": "multiply_high(a, b)",
    "fill": "fill(slice, value)", "copy": "copy(destination, source)", "pointer": "pointer(x.field)",
    "panic": 'panic("reason")', "unreachable": 'unreachable("reason")', "len": "len(sequence)", "abs": "abs(number)",
    "wrapping": "wrapping(a * 31 + b)", "likely": "likely(condition)", "unlikely": "unlikely(condition)",
}  # fmt: skip


# What is said of the text of a panic, and of what fills a slice.
REASON = "no values are put into it: a panic shows the registers and the lines of the callers"
FILLING = 'fill(part, 0) fills; bytes are b"..."; other numbers are set in a loop'


def counted(number: int, word: str) -> str:
    """`1 argument`, `2 arguments`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def source(node: ast.AST | None, otherwise: str = "...") -> str:
    """The text of an expression, if it is short enough to be repeated in a hint."""
    text = ast.unparse(node) if isinstance(node, ast.expr) else otherwise
    return text if len(text) <= 30 else otherwise


def like(name: str, names: Iterable[str]) -> str:
    """The hint that names what was meant, if there is something like it."""
    close = difflib.get_close_matches(name, list(names), 1)
    return f"did you mean {close[0]!r}?" if close else ""


def python(target: Any) -> tuple[str, str, bool] | None:
    """Of a function of Python's own: what is wrong with a call, what to write, and whether even constant arguments
    don't help. None for what is not Python's own."""
    name = getattr(target, "__name__", "")
    if getattr(builtins, name, None) is target and name in PYTHON:
        return f"metal has no {name}(...)", PYTHON[name], name in _NEVER_RUN
    return None


def arithmetic(sign: str, type_: Type, node: ast.AST) -> str:
    """What to write where an operator meets a type without arithmetic."""
    left = getattr(node, "left", getattr(node, "target", None))
    if isinstance(type_, CellType):
        if type_.kind == "Atomic" and isinstance(node, ast.AugAssign):
            name = {"+": "add", "-": "sub", "|": "or_", "&": "and_", "^": "xor"}.get(sign)
            return f"`{source(left)}.{name}(value)`" if name else "it has add, sub, and_, or_, xor, exchange"
        return "read it by `.load()`" if type_.kind == "Atomic" else "read it by `.read()`"
    if isinstance(type_, PtrType):
        return (
            "pointers have no arithmetic: a Slice refers to several and checks the index; "
            f"unsafe.pointer({type_.target}, unsafe.address({source(left, 'p')}) + n) is unchecked"
        )
    if isinstance(type_, EnumType):
        return f"{type_.base}(...) gives its number, {type_}(...) makes a member of one"
    if isinstance(type_, BoolType):
        return "u32(...) makes 0 or 1 of a bool; `and`, `or`, `not` combine them"
    if isinstance(type_, (SliceType, ArrayType)):
        return "elements are put together by copying: target[0:n] = x" if sign == "+" else "write the loop"
    if isinstance(type_, StructType):
        return "structures have no operators: call a method"
    return "take the tuple apart first: a, b = ..." if isinstance(type_, TupleType) else ""


def condition(type_: Type, node: ast.AST) -> str:
    """How a value becomes a condition."""
    text = source(node, "x")
    if isinstance(type_, (PtrType, FnType)):
        return f"write `{text} is not None`"
    if isinstance(type_, (SliceType, ArrayType)):
        return f"write `len({text}) != 0`"
    if isinstance(type_, EnumType):
        return f"compare it with a member: `{text} == {type_}.{next(iter(type_.members), '...')}`"
    if isinstance(type_, IntType):
        return f"write `{text} != 0`"
    if isinstance(type_, StructType):
        return "a reference is never None: compare a field"
    return "compare it with something"


def converting(a: Type, b: Type, left: ast.AST | None = None, right: ast.AST | None = None) -> str:
    """How two sides of different types come to have one."""
    if isinstance(a, IntType) and isinstance(b, IntType):
        return f"convert one: {b}({source(left)}) or {a}({source(right)})"
    for number, other, text in ((a, b, source(right)), (b, a, source(left))):
        if isinstance(number, IntType) and isinstance(other, BoolType):
            return f"{number}({text}) makes 0 or 1 of a bool"
        if isinstance(number, IntType) and isinstance(other, EnumType):
            return f"{number}({text}) gives the member's number"
        if isinstance(number, IntType) and isinstance(other, PtrType) and same(number, other.target):
            return f"`{text}.value` is what it points to"
    return ""


def refused_constant(want: Type, value: Any) -> str:
    """What to write where a constant stands and a `want` that it can't be is wanted."""
    if isinstance(value, str):
        if isinstance(want, SliceType) and same(want.element, u8):
            return f"bytes are written b{value!r}"
        if isinstance(want, IntType) and len(value) == 1:
            return f"a character's number is ord({value!r})"
        return 'texts are bytes, b"...", in a Slice[u8]'
    if value is None:
        return "only a Ptr[...] or a Fn[...] can be None"
    if isinstance(want, EnumType) and isinstance(value, int):
        names = [name for name, each in want.members.items() if each.value == value]
        return f"write {want}.{names[0]}" if names else f"it has {', '.join(want.members)}"
    if isinstance(want, (PtrType, FnType)) and isinstance(value, int):
        return "the pointer to nothing is None" if value == 0 else "unsafe.pointer(type, address) makes one"
    if isinstance(want, BoolType):
        return "True and False are the bools"
    if isinstance(want, TupleType):
        return "write the values with commas"
    return f"{want}({'True' if value else 'False'}) is {int(value)}" if isinstance(value, bool) else ""


def refused(want: Type, have: Type, node: ast.AST | None) -> str:
    """What to write where a value of one type stands and another is wanted."""
    text = source(node)
    if isinstance(have, CellType):
        if have.kind != "Big":
            return "read it by `.load()`" if have.kind == "Atomic" else "read it by `.read()`"
        have = have.inner
    if isinstance(want, BoolType):
        return condition(have, node or ast.Pass())
    if isinstance(have, PtrType) and same(have.target, want):
        return f"`{text}.value` is what it points to"
    if isinstance(want, IntType):
        if isinstance(have, IntType):
            return f"{want}({text}) converts and checks, {want}.wrap({text}) takes the low bits"
        if isinstance(have, EnumType):
            return f"{want}({text}) gives the member's number"
        if isinstance(have, BoolType):
            return f"{want}({text}) gives 0 or 1"
        if isinstance(have, (PtrType, SliceType)) or have.aggregate:
            return f"unsafe.address({text}) is its address, a u64"
    if isinstance(want, EnumType) and isinstance(have, IntType):
        return f"{want}({text}) makes a member of a number, and checks"
    if isinstance(want, PtrType) and isinstance(have, IntType):
        if same(want.target, have):
            return "pointer(x.field) points to a field, an element or a static"
        return "unsafe.pointer(type, address) makes a pointer of an address"
    if isinstance(want, ArrayType) and isinstance(have, SliceType) and same(want.element, have.element):
        return f"copy the elements: target[0:len({text})] = {text}"
    return ""


def is_none(type_: Type) -> tuple[str, str]:
    """What is wrong with `x is None` for a value, and what to do."""
    return f"{type_} is never None", "only Ptr[...] and Fn[...] can be None: keep a bool beside it, or give two results"


def from_the_end(value: int) -> str:
    """What to write for a place counted from the end."""
    return f"Python's {value} is written len(s) - {-value}"


def attribute(type_: Type, name: str, node: ast.AST) -> str:
    """What to write for an attribute that only structures have."""
    text = source(getattr(node, "value", None), "x")
    if isinstance(type_, (SliceType, ArrayType)):
        if name in ("len", "length", "size", "count", "__len__"):
            return f"`len({text})`"
        if name in ("append", "extend", "insert", "pop", "remove"):
            return "its length is fixed: keep a count beside an array, or a list of nodes"
        return f"len({text}), {text}[i], {text}[i:j] and == are what there is"
    if isinstance(type_, IntType):
        return "a number has no attributes; unsafe.at(Type, address) is what lies at an address"
    if isinstance(type_, CellType):
        return "it has load, store, exchange, ..." if type_.kind == "Atomic" else "it has read and write"
    return "a member has none: u32(...) gives its number" if isinstance(type_, EnumType) else ""


def indexing(type_: Type, node: ast.AST) -> str:
    """What to write where something without elements is indexed or gone through."""
    text = source(node, "x")
    if isinstance(type_, PtrType):
        return (
            f"`{text}.value` is what it points to"
            if not type_.target.aggregate
            else "it points to one: a Slice[...] has several"
        )
    if isinstance(type_, IntType):
        return f"`for i in range({text})` counts; {text} >> n & 1 is a bit of it"
    if isinstance(type_, TupleType):
        return f"take it apart: a, b = {text}"
    return "an Array or Slice has elements" if isinstance(type_, StructType) else ""
