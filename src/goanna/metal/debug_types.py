"""What a metal type looks like to a debugger: a slice is a pointer and a length, a reference is a pointer."""

from __future__ import annotations

from functools import singledispatchmethod
from typing import Protocol

from .identity import identity, reachable_target
from .structure import StructType
from .types import (
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
    VoidType,
    u8,
    u64,
)

__all__ = ["Nodes", "TypeNodes"]


class Nodes(Protocol):
    """Where nodes are written."""

    def reserve(self, key: str) -> int: ...
    def write(self, number: int, text: str) -> int: ...
    def node(self, text: str) -> int: ...


class TypeNodes:
    """Types as nodes, each written once."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._written: dict[tuple[str, object], int] = {}

    def value(self, type_: Type) -> int:
        """The node of a type as a local or parameter has it: structures and arrays are pointers."""
        return self._pointer(type_) if type_.aggregate else self.memory(type_)

    def memory(self, type_: Type) -> int:
        """The node of a type as it lies in memory."""
        # Composed types are made anew by each subscription with a quoted name, so their names identify them, with the
        # address of the structure inside, for structures of one name exist in several modules.
        key = (type(type_).__name__, identity(type_))
        if key not in self._written:
            self._written[key] = self._nodes.reserve(f"{_module(type_)} {type_.name}")
            self._write(type_, self._written[key])
        return self._written[key]

    def _pointer(self, target: Type | None) -> int:
        key = ("pointer", None if target is None else (type(target).__name__, identity(target)))
        if key not in self._written:
            number = self._written[key] = self._nodes.reserve(f"pointer {_module(target)} {target}")
            base = "null" if target is None else f"!{self.memory(target)}"
            self._nodes.write(number, f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: {base}, size: 64)")
        return self._written[key]

    def _member(self, name: str, type_node: int, size: int, offset: int) -> int:
        return self._nodes.node(
            f'!DIDerivedType(tag: DW_TAG_member, name: "{name}", baseType: !{type_node}, size: {size * 8}, '
            f"offset: {offset * 8})"
        )

    def _composite(self, number: int, tag: str, name: str, size: int, members: list[int], rest: str = "") -> None:
        elements = ", ".join(f"!{each}" for each in members)
        self._nodes.write(
            number,
            f'!DICompositeType(tag: DW_TAG_{tag}, name: "{name}", size: {size * 8}, elements: !{{{elements}}}{rest})',
        )

    @singledispatchmethod
    def _write(self, type_: Type, number: int) -> None:
        self._nodes.write(number, f'!DIBasicType(tag: DW_TAG_unspecified_type, name: "{type_.name}")')

    @_write.register
    def _(self, type_: IntType, number: int) -> None:
        encoding = "DW_ATE_signed" if type_.signed else "DW_ATE_unsigned"
        self._nodes.write(number, f'!DIBasicType(name: "{type_.name}", size: {type_.bits}, encoding: {encoding})')

    @_write.register
    def _(self, type_: BoolType, number: int) -> None:
        self._nodes.write(number, '!DIBasicType(name: "bool", size: 8, encoding: DW_ATE_boolean)')

    @_write.register
    def _(self, type_: EnumType, number: int) -> None:
        members = [
            self._nodes.node(f'!DIEnumerator(name: "{key}", value: {each.value}, isUnsigned: {_flag(each.value >= 0)})')
            for key, each in type_.members.items()
        ]
        base = f", baseType: !{self.memory(type_.base)}"
        self._composite(number, "enumeration_type", type_.name, type_.size, members, base)

    @_write.register
    def _(self, type_: StructType, number: int) -> None:
        tag = "union_type" if type_.is_union else "structure_type"
        members = [
            self._member(each.name, self.memory(each.type), each.type.size, each.offset)
            for each in type_.fields.values()
        ]
        self._composite(number, tag, type_.name, type_.size, members)

    @_write.register
    def _(self, type_: ArrayType, number: int) -> None:
        bounds = self._nodes.node(f"!DISubrange(count: {type_.length})")
        element = self.memory(type_.element)
        self._nodes.write(
            number,
            f"!DICompositeType(tag: DW_TAG_array_type, baseType: !{element}, size: {type_.size * 8}, "
            f"elements: !{{!{bounds}}})",
        )

    @_write.register
    def _(self, type_: SliceType, number: int) -> None:
        data = self._member("data", self._pointer(type_.element), 8, 0)
        length = self._member("length", self.memory(u64), 8, 8)
        self._composite(number, "structure_type", type_.name, 16, [data, length])

    @_write.register
    def _(self, type_: TupleType, number: int) -> None:
        # Results of functions only, so no debugger reads one from memory.
        self._composite(number, "structure_type", type_.name, 0, [])

    @_write.register
    def _(self, type_: PtrType, number: int) -> None:
        target = reachable_target(type_)
        base = "null" if target is None else f"!{self.memory(target)}"
        self._nodes.write(number, f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: {base}, size: 64)")

    @_write.register
    def _(self, type_: FnType, number: int) -> None:
        parameters, result = type_.signature
        parts = ["null" if isinstance(each, VoidType) else f"!{self.value(each)}" for each in (result, *parameters)]
        signature = self._nodes.node(f"!DISubroutineType(types: !{{{', '.join(parts)}}})")
        self._nodes.write(number, f"!DIDerivedType(tag: DW_TAG_pointer_type, baseType: !{signature}, size: 64)")

    @_write.register
    def _(self, type_: CellType, number: int) -> None:
        if type_.kind == "Big":  # no debugger swaps bytes by itself: shown as the bytes they are
            self._write(ArrayType(u8, type_.size, {}), number)
            return
        self._nodes.write(
            number,
            f'!DIDerivedType(tag: DW_TAG_typedef, name: "{type_.name}", baseType: !{self.memory(type_.inner)})',
        )


def _module(type_: Type | None) -> str:
    """Where a type is declared, if it has a name of its own."""
    return str(getattr(type_, "module", ""))


def _flag(value: bool) -> str:
    return "true" if value else "false"
