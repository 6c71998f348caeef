"""Structures and unions: the decorators, their layout (C's), and their form on the host through ctypes.

A structure is declared once and used on both sides: the kernel compiles it, the host packs and reads it.
"""

from __future__ import annotations

import ctypes
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any

from .function import MetalFunction
from .types import ArrayType, EnumMember, EnumType, IntType, LayoutError, Type, caller_environment, resolve

__all__ = ["StructType", "enumeration", "struct", "union"]


@dataclass(frozen=True)
class Field:
    """A field: `offset` in bytes from the structure's start, `default` a constant or None."""

    name: str
    type: Type
    offset: int
    default: Any


class StructType(Type):
    """A structure or union. Methods and unannotated class attributes are reached as attributes of the type."""

    aggregate, llvm = True, "ptr"

    def __init__(self, cls: type, environment: Any, packed: bool, align: int, union: bool) -> None:
        self.name, self.module, self.qualname = cls.__name__, cls.__module__, cls.__qualname__
        self.packed, self.minimum_alignment, self.is_union = packed, align, union
        self.__doc__ = cls.__doc__
        self._annotations: dict[str, Any] = dict(vars(cls).get("__annotations__", {}))
        self._environment = environment
        environment[cls.__name__] = self
        self.attributes: dict[str, Any] = {}
        self.defaults: dict[str, Any] = {}
        self._laying_out = False
        for key, value in vars(cls).items():
            if key in self._annotations:
                self.defaults[key] = value
            elif isinstance(value, (property, classmethod)) or key in ("__init__", "__new__"):
                raise LayoutError(f"{self.name}.{key}: {_refused(value)}")
            elif isinstance(value, FunctionType):
                self.attributes[key] = MetalFunction(value, owner=self, environment=environment)
            elif isinstance(value, staticmethod):
                self.attributes[key] = MetalFunction(typing.cast(FunctionType, value.__func__), environment=environment)
            elif isinstance(value, MetalFunction):
                value.owner = self
                self.attributes[key] = value
            elif not key.startswith("__"):
                self.attributes[key] = value

    def __getattr__(self, name: str) -> Any:
        attributes = self.__dict__.get("attributes", {})
        if name in attributes:
            return attributes[name]
        raise AttributeError(f"{self.__dict__.get('name', 'structure')} has no attribute {name!r}")

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The fields in order, laid out as C lays them out."""
        if self._laying_out:
            hint = f'Ptr["{self.name}"] points to another one'
            raise LayoutError(f"{self.name} would contain itself", hint)
        self._laying_out = True
        try:
            return self._lay_out()
        finally:
            self._laying_out = False

    def _lay_out(self) -> dict[str, Field]:
        fields: dict[str, Field] = {}
        offset = 0
        for name, annotation in self._annotations.items():
            try:
                type_ = resolve(annotation, self._environment)
                size, alignment = type_.size, 1 if self.packed else type_.alignment
            except LayoutError as error:
                raise LayoutError(f"{self.name}.{name}: {error}", error.hint) from None
            if type_.aggregate and name in self.defaults and type_.size:
                raise LayoutError(f"{self.name}.{name}: only a number, a bool or a member has a default, not {type_}")
            offset = 0 if self.is_union else -(-offset // alignment) * alignment
            fields[name] = Field(name, type_, offset, self.defaults.get(name))
            offset += size
        return fields

    @cached_property
    def alignment(self) -> int:  # type: ignore[override]
        natural = [1 if self.packed else each.type.alignment for each in self.fields.values()]
        return max([1, self.minimum_alignment, *natural])

    @cached_property
    def size(self) -> int:  # type: ignore[override]
        end = max((each.offset + each.type.size for each in self.fields.values()), default=0)
        return -(-end // self.alignment) * self.alignment

    def field(self, name: str) -> Field:
        """The field of that name. Raises AttributeError."""
        if name not in self.fields:
            raise AttributeError(f"{self.name} has no field {name!r}")
        return self.fields[name]

    @cached_property
    def ctype(self) -> Any:
        members: list[tuple[str, Any]] = []
        if self.is_union:
            members = [(each.name, each.type.ctype) for each in self.fields.values()]
            members.append(("_size", ctypes.c_uint8 * self.size))
            base: Any = ctypes.Union
        else:
            base, end = ctypes.Structure, 0
            for each in self.fields.values():
                if each.offset > end:
                    members.append((f"_pad{end}", ctypes.c_uint8 * (each.offset - end)))
                members.append((each.name, each.type.ctype))
                end = each.offset + each.type.size
            if self.size > end:
                members.append((f"_pad{end}", ctypes.c_uint8 * (self.size - end)))
        made = type(self.name, (base,), {"_pack_": 1, "_layout_": "ms", "_fields_": members})
        assert ctypes.sizeof(made) == self.size, self.name
        return made

    def __call__(self, **values: Any) -> Any:
        """A value on the host, fields set by keyword, the rest to their defaults."""
        made = self.ctype()
        for each in self.fields.values():
            value = values.pop(each.name, each.default)
            if value is not None:
                host_assign(made, each, value)
        if values:
            raise TypeError(f"{self.name} has no field {next(iter(values))!r}")
        return made

    def pack(self, **values: Any) -> bytes:
        """The bytes of a value, as the kernel reads it."""
        return bytes(self(**values))

    def unpack(self, data: bytes) -> Any:
        """A value read from the first bytes of `data`. Raises ValueError if there are too few."""
        return self.ctype.from_buffer_copy(data)


def host_assign(made: Any, field: Field, value: Any) -> None:
    """Set one field of a host value; bytes and sequences fill arrays, mappings fill structures."""
    target = field.type
    if isinstance(target, ArrayType) and not isinstance(value, ctypes.Array):
        if len(value) > target.length:
            raise ValueError(f"{field.name} holds {target.length} elements, not {len(value)}")
        array = getattr(made, field.name)
        for index, each in enumerate(value):
            array[index] = int(each) if isinstance(each, EnumMember) else each
    elif isinstance(target, StructType) and isinstance(value, dict):
        setattr(made, field.name, target(**value))
    else:
        if isinstance(target, IntType) and isinstance(value, int):
            target(value)
        setattr(made, field.name, int(value) if isinstance(value, EnumMember) else value)


def _declare(cls: Any, packed: bool, align: int, union: bool) -> Any:
    def make(cls: type) -> StructType:
        return StructType(cls, caller_environment(2), packed, align, union)

    if cls is not None:
        return StructType(cls, caller_environment(3), packed, align, union)
    return make


def struct(cls: Any = None, *, packed: bool = False, align: int = 1) -> Any:
    """Declare a structure: fields by annotation, functions as methods. `align` is in bytes."""
    return _declare(cls, packed, align, False)


def union(cls: Any = None, *, align: int = 1) -> Any:
    """Declare a union: every field at offset 0."""
    return _declare(cls, False, align, True)


def _refused(value: Any) -> str:
    """What to write instead of a member that no structure has."""
    if isinstance(value, property):
        return "metal has no properties: write a method"
    if isinstance(value, classmethod):
        return "metal has no class methods: write a @staticmethod"
    return "a structure starts zeroed, its fields are given by name; what more it takes is a method, called afterwards"


def enumeration(base: IntType) -> Callable[[Any], Any]:
    """Declare a set of named numbers kept as `base`."""
    if not isinstance(base, IntType):
        raise LayoutError("the type of the numbers stands in parentheses: @enumeration(u8)")
    return lambda cls: typing.cast(Any, EnumType(cls, base))
