"""The types of metal: what each one is called, how large it is, how LLVM and ctypes see it.

A type is an object, made when a module is imported, and used in annotations. Structures resolve their fields lazily, on
the first question about their layout, so that types may name each other in any order. Nothing here knows of
compilation.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import typing
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn, TypeVar

from .spelling import instead_of

__all__ = [
    "Array", "Atomic", "Big", "Fn", "Ptr", "Slice", "Type", "Volatile", "alignof", "bool_type", "i8", "i16", "i32",
    "i64", "offsetof", "resolve", "sizeof", "u8", "u16", "u32", "u64", "usize", "void",
]  # fmt: skip


class LayoutError(TypeError):
    """A type that cannot be laid out: an annotation that is no type, a field of no size. `hint` is what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Type:
    """A type of metal. `llvm` is its form in a register, `size` and `alignment` are in bytes."""

    name: str
    llvm: str
    size: int
    alignment: int
    aggregate = False  # structures, unions and arrays: handled by reference, embedded as fields

    def __repr__(self) -> str:
        return self.name

    def __or__(self, other: Any) -> NoReturn:
        raise LayoutError(f"{self} | {other!r} is no type of metal: what may be None is a Ptr[...]")

    __ror__ = __or__

    def __mro_entries__(self, bases: Any) -> NoReturn:
        raise LayoutError(f"a structure has no base class: embed {self} as a field")

    @property
    def ctype(self) -> Any:
        """The ctypes type with the same layout."""
        raise LayoutError(f"{self.name} has no form on the host")


class IntType(Type):
    """An integer of `bits` bits. Called at the macro level it checks the range and gives the number back."""

    def __init__(self, bits: int, signed: bool) -> None:
        self.bits, self.signed = bits, signed
        self.name = f"{'i' if signed else 'u'}{bits}"
        self.llvm = f"i{bits}"
        self.size = self.alignment = bits // 8

    @property
    def minimum(self) -> int:
        """The least value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The greatest value."""
        return (1 << (self.bits - (1 if self.signed else 0))) - 1

    def holds(self, value: int) -> bool:
        """Whether `value` is in range."""
        return self.minimum <= value <= self.maximum

    def wrap(self, value: int) -> int:
        """The value whose low bits are those of `value`."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if value > self.maximum else value

    def __call__(self, value: int = 0) -> int:
        if not self.holds(int(value)):
            raise OverflowError(f"{value} does not fit in {self.name} ({self.minimum} to {self.maximum})")
        return int(value)

    @property
    def ctype(self) -> Any:
        return getattr(ctypes, f"c_{'' if self.signed else 'u'}int{self.bits}")


class BoolType(Type):
    """bool: one bit in a register, one byte in memory."""

    name, llvm, size, alignment = "bool", "i1", 1, 1

    @property
    def ctype(self) -> Any:
        return ctypes.c_bool


class VoidType(Type):
    """The result of a function that gives none."""

    name, llvm, size, alignment = "None", "void", 0, 1


class NeverType(Type):
    """The type that a failed expression leaves behind, so that one mistake is reported once."""

    name, llvm, size, alignment = "<error>", "i8", 1, 1


u8, u16, u32, u64 = (IntType(bits, False) for bits in (8, 16, 32, 64))
i8, i16, i32, i64 = (IntType(bits, True) for bits in (8, 16, 32, 64))
usize = u64
bool_type = BoolType()
void = VoidType()
never = NeverType()


class PtrType(Type):
    """A pointer to one T, or None. The target is resolved when first looked into."""

    llvm, size, alignment = "ptr", 8, 8

    def __init__(self, target: Any, environment: dict[str, Any]) -> None:
        self._target, self._environment = target, environment

    @property
    def target(self) -> Type:
        """What it points to."""
        if not isinstance(self._target, Type):
            self._target = resolve(self._target, self._environment)
        return typing.cast(Type, self._target)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"Ptr[{self._target if isinstance(self._target, str) else self.target}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PtrType) and (self is other or same(self.target, other.target))

    def __hash__(self) -> int:
        return 7

    @property
    def ctype(self) -> Any:
        return ctypes.c_uint64


class ArrayType(Type):
    """`length` elements side by side."""

    aggregate, llvm = True, "ptr"

    def __init__(self, element: Any, length: int, environment: dict[str, Any]) -> None:
        if not isinstance(length, int) or length < 0:
            raise LayoutError(f"an array's length is a number from 0 on, not {length!r}")
        self._element, self.length, self._environment = element, length, environment

    @property
    def element(self) -> Type:
        """The type of each element."""
        if not isinstance(self._element, Type):
            self._element = resolve(self._element, self._environment)
        return typing.cast(Type, self._element)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"Array[{self.element}, {self.length}]"

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.element.size * self.length

    @property
    def alignment(self) -> int:  # type: ignore[override]
        return self.element.alignment

    def __call__(self) -> Any:
        return self.ctype()

    @property
    def ctype(self) -> Any:
        return self.element.ctype * self.length


class SliceType(Type):
    """A pointer and a length, a value of its own."""

    llvm, size, alignment = "{ptr, i64}", 16, 8

    def __init__(self, element: Any, environment: dict[str, Any]) -> None:
        self._element, self._environment = element, environment

    @property
    def element(self) -> Type:
        """The type of each element."""
        if not isinstance(self._element, Type):
            self._element = resolve(self._element, self._environment)
        return typing.cast(Type, self._element)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"Slice[{self.element}]"

    @property
    def ctype(self) -> Any:
        return ctypes.c_uint64 * 2


class FnType(Type):
    """A function value: parameters and a result. None where there is no function."""

    llvm, size, alignment = "ptr", 8, 8

    def __init__(self, parameters: list[Any], result: Any, environment: dict[str, Any]) -> None:
        self._parameters, self._result, self._environment = parameters, result, environment
        self._resolved: tuple[list[Type], Type] | None = None

    @property
    def signature(self) -> tuple[list[Type], Type]:
        """The parameters' types and the result's."""
        if self._resolved is None:
            parameters = [resolve(each, self._environment) for each in self._parameters]
            self._resolved = parameters, resolve(self._result, self._environment)
        return self._resolved

    @property
    def name(self) -> str:  # type: ignore[override]
        parameters, result = self.signature
        return f"Fn[[{', '.join(map(repr, parameters))}], {result}]"

    @property
    def ctype(self) -> Any:
        return ctypes.c_uint64


class CellType(Type):
    """Atomic[T], Volatile[T], Big[T]: a scalar in memory that is read and written in a way of its own."""

    def __init__(self, kind: str, inner: Any, environment: dict[str, Any]) -> None:
        self.kind, self._inner, self._environment = kind, inner, environment

    @property
    def inner(self) -> Type:
        """The scalar."""
        if not isinstance(self._inner, Type):
            self._inner = resolve(self._inner, self._environment)
        return typing.cast(Type, self._inner)

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.kind}[{self.inner}]"

    @property
    def aggregate(self) -> bool:  # type: ignore[override]
        return self.kind != "Big"  # atomics and volatiles are handled in place

    @property
    def llvm(self) -> str:  # type: ignore[override]
        return "ptr" if self.aggregate else self.inner.llvm

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.inner.size

    @property
    def alignment(self) -> int:  # type: ignore[override]
        return 1 if self.kind == "Big" else self.inner.alignment

    @property
    def ctype(self) -> Any:
        return self.inner.ctype.__ctype_be__ if self.kind == "Big" else self.inner.ctype


class TupleType(Type):
    """Several results of one function. It lives in registers only."""

    size, alignment = 0, 1

    def __init__(self, elements: list[Type]) -> None:
        self.elements = elements
        self.name = f"tuple[{', '.join(map(repr, elements))}]"

    @property
    def llvm(self) -> str:  # type: ignore[override]
        return "{" + ", ".join(each.llvm for each in self.elements) + "}"


class EnumType(Type):
    """A named set of numbers with a type of its own. Members are reached as attributes."""

    def __init__(self, cls: type, base: IntType) -> None:
        self.name, self.base = cls.__name__, base
        self.llvm, self.size, self.alignment = base.llvm, base.size, base.alignment
        names = [key for key, value in vars(cls).items() if not key.startswith("_") and isinstance(value, int)]
        for each in names:
            if not base.holds(vars(cls)[each]):
                raise LayoutError(f"{self.name}.{each}: {vars(cls)[each]} does not fit in {base}")
        self.members = {key: EnumMember(self, key, vars(cls)[key]) for key in names}
        self.__doc__ = cls.__doc__

    def __getattr__(self, name: str) -> EnumMember:
        if name.startswith("_") or name not in self.__dict__.get("members", {}):
            raise AttributeError(f"{self.__dict__.get('name')} has no member {name!r}")
        return self.members[name]

    @property
    def ctype(self) -> Any:
        return self.base.ctype


class EnumMember:
    """One member: equal to itself and, on the host, to its number."""

    def __init__(self, type_: EnumType, name: str, value: int) -> None:
        self.type, self.name, self.value = type_, name, value

    def __repr__(self) -> str:
        return f"{self.type.name}.{self.name}"

    def __int__(self) -> int:
        return self.value

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        return self.value == int(other) if isinstance(other, (EnumMember, int)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.value)


def same(a: Type, b: Type) -> bool:
    """Whether two types are one: by structure for the composed ones, by identity for the named ones."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    match a, b:
        case PtrType(), PtrType():
            return same(a.target, b.target)
        case ArrayType(), ArrayType():
            return a.length == b.length and same(a.element, b.element)
        case SliceType(), SliceType():
            return same(a.element, b.element)
        case CellType(), CellType():
            return a.kind == b.kind and same(a.inner, b.inner)
        case TupleType(), TupleType():
            return len(a.elements) == len(b.elements) and all(map(same, a.elements, b.elements))
        case FnType(), FnType():
            (p, r), (q, s) = a.signature, b.signature
            return len(p) == len(q) and all(map(same, p, q)) and same(r, s)
    return False


def caller_environment(depth: int = 2) -> dict[str, Any]:
    """The names that a quoted annotation may use: the caller's globals, and its locals inside a macro function."""
    frame = sys._getframe(depth)
    return LazyEnvironment(frame.f_globals, {} if frame.f_locals is frame.f_globals else dict(frame.f_locals))


class LazyEnvironment(dict[str, Any]):
    """Locals copied over live globals: a name defined later in the module is found when it is asked for."""

    def __init__(self, live: dict[str, Any], extra: dict[str, Any]) -> None:
        super().__init__(extra)
        self.live = live

    def __missing__(self, key: str) -> Any:
        return self.live[key]


def resolve(annotation: Any, environment: dict[str, Any]) -> Any:
    """The type that an annotation means. `environment` serves the quoted ones. Raises LayoutError if it is none."""
    if isinstance(annotation, str):
        annotation = _evaluate(annotation, environment)
    if isinstance(annotation, (Type, TypeVar)):
        return annotation
    if annotation is None or annotation is type(None):
        return void
    if annotation is bool:
        return bool_type
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return TupleType([resolve(each, environment) for each in arguments])
    if origin is type:
        return TypeParameter(arguments[0])
    if annotation is int:
        raise LayoutError("int has no size in metal", "write u32, i64 or another of the sized integers")
    name = annotation.__name__ if isinstance(annotation, type) else repr(annotation)
    raise LayoutError(f"{name} is not a type of metal", instead_of(annotation))


def _evaluate(text: str, environment: dict[str, Any]) -> Any:
    try:
        return eval(text, {"__builtins__": __builtins__}, environment)
    except TypeError as error:
        raise LayoutError(f"the annotation {text!r}: {error}") from None
    except (NameError, KeyError, AttributeError):
        module, _, name = text.rpartition(".")
        if module and all(part.isidentifier() for part in text.split(".")):
            return _imported(module, name)
        hint = "a quoted name is looked up in the module when the function is compiled: define or import it there"
        raise LayoutError(f"the annotation {text!r} names nothing that is known here", hint) from None


def _imported(module: str, name: str) -> Any:
    """What a quoted dotted path names."""
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise LayoutError(f"{module}.{name} can't be imported: {type(error).__name__}: {error}") from error


class TypeParameter(Type):
    """`type[T]` as a parameter's annotation: the argument is a type, known when the call is compiled."""

    llvm, size, alignment = "void", 0, 1

    def __init__(self, variable: Any) -> None:
        self.variable = variable
        self.name = f"type[{variable}]"


class _Maker:
    """What makes a composed type by subscription: Array[u8, 4]. Equal ones are the same object."""

    def __init__(self, name: str, make: Callable[..., Type], example: str, count: int = 1) -> None:
        self._name, self._make, self.example, self._count = name, make, example, count
        self._made: dict[Any, Type] = {}

    def __repr__(self) -> str:
        return self._name

    def __getitem__(self, arguments: Any) -> Any:
        arguments = arguments if isinstance(arguments, tuple) else (arguments,)
        listed = [isinstance(each, list) for each in arguments]
        if len(arguments) != self._count or listed[0] != (self._name == "Fn"):
            raise LayoutError(f"{self._name} is written {self.example}")
        environment = caller_environment()
        key = _key(arguments)
        if key is None:
            return self._make(*arguments, environment)
        if key not in self._made:
            self._made[key] = self._make(*arguments, environment)
        return self._made[key]


def _key(arguments: Any) -> Any:
    """A hashable key for arguments without quoted names, or None."""
    if isinstance(arguments, (tuple, list)):
        keys = tuple(_key(each) for each in arguments)
        return None if None in keys else keys
    if isinstance(arguments, (str, TypeVar)):
        return None
    return ("none",) if arguments is None else ("int", arguments) if isinstance(arguments, int) else id(arguments)


Array = _Maker("Array", ArrayType, "Array[u8, 16]", 2)
Slice = _Maker("Slice", SliceType, "Slice[u8]")
Ptr = _Maker("Ptr", PtrType, "Ptr[Node]")
Fn = _Maker("Fn", FnType, "Fn[[u32, u64], bool]", 2)
Atomic = _Maker("Atomic", lambda inner, environment: CellType("Atomic", inner, environment), "Atomic[u32]")
Volatile = _Maker("Volatile", lambda inner, environment: CellType("Volatile", inner, environment), "Volatile[u32]")
Big = _Maker("Big", lambda inner, environment: CellType("Big", inner, environment), "Big[u32]")


@cache
def pointer_to(target: Type) -> PtrType:
    """Ptr[target], for a type already at hand."""
    return PtrType(target, {})


def slice_of(element: Type) -> SliceType:
    """Slice[element], for a type already at hand."""
    return typing.cast(SliceType, Slice[element])


def sizeof(type_: Any) -> int:
    """The size of a type in bytes."""
    return typing.cast(Type, resolve(type_, caller_environment())).size


def alignof(type_: Any) -> int:
    """The alignment of a type in bytes."""
    return typing.cast(Type, resolve(type_, caller_environment())).alignment


def offsetof(type_: Any, field: str) -> int:
    """The offset of a field in a structure, in bytes."""
    return int(type_.field(field).offset)
