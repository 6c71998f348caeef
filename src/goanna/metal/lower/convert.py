"""From what an expression is to what is wanted: literals take a type, references become pointers, arrays slices."""

from __future__ import annotations

import ast
from typing import NoReturn

from ..function import Constant, Hook, MetalFunction, Static
from ..types import (
    ArrayType,
    BoolType,
    CellType,
    EnumMember,
    EnumType,
    FnType,
    IntType,
    NeverType,
    PtrType,
    SliceType,
    TupleType,
    Type,
    bool_type,
    never,
    same,
    slice_of,
    u8,
    u64,
)
from . import advice
from .emit import Emitter, describe
from .values import POISON, Bound, Const, Operand, Place, Value


class Converter(Emitter):
    """Loads, materialises and converts operands."""

    def rvalue(self, operand: Operand, node: ast.AST) -> Value:
        if isinstance(operand, Value):
            if isinstance(operand.type, NeverType):
                self.poisoned()
            return operand
        if isinstance(operand, Place):
            return self.mark_frame(self.read(operand), self.in_frame(operand))
        if isinstance(operand, Bound):
            self.error(node, "a method is not a value", "call it, or name it through its structure: Type.method")
        known = self.natural_type(operand.value)
        if known is None:
            if isinstance(operand.value, int):
                self.error(node, f"the type of {operand.value} is not known here", f"write u64({operand.value}), say")
            self.not_a_value(operand.value, node)
        return self.coerce(operand, known, node)

    def in_frame(self, operand: Operand) -> bool:
        """Whether an operand refers to this function's own frame."""
        if isinstance(operand, Place):
            return operand.holds or (operand.frame and operand.type.aggregate)
        return isinstance(operand, Value) and operand.text in self.frame_values

    def mark_frame(self, value: Value, in_frame: bool) -> Value:
        """Remember of a value that it refers to the frame, if its type can refer to anything."""
        if in_frame and (value.type.aggregate or isinstance(value.type, (PtrType, SliceType, TupleType))):
            self.frame_values.add(value.text)
        return value

    def settled(self, operand: Operand, node: ast.AST) -> Operand:
        """An operand that what is evaluated after it can't change: a place is read now, as Python does."""
        return self.rvalue(operand, node) if isinstance(operand, Place) else operand

    def not_a_value(self, value: object, node: ast.AST) -> NoReturn:
        """Report an object of Python's that stands where a value is needed."""
        if isinstance(value, Type):
            made = f"{value}()" if value.aggregate else f"{value}(...)"
            self.error(node, f"{value} is a type, not a value", f"`{made}` makes one")
        hint = ""
        if isinstance(value, str):
            hint = 'texts are bytes, b"...", in a Slice[u8]'
        elif isinstance(value, (list, tuple, dict, bytearray)):
            text = advice.source(node)
            hint = f"a table for run time is made at the top level: constant(Array[u8, {len(value)}], {text})"
        elif callable(value):
            hint = "mark it @metal"
        self.error(node, f"{value!r} is not a value that exists at run time", hint)

    def natural_type(self, value: object) -> Type | None:
        """The type a compile-time object has by itself, if it has one."""
        if isinstance(value, bool):
            return bool_type
        if isinstance(value, EnumMember):
            return value.type
        if isinstance(value, bytes):
            return slice_of(u8)
        if isinstance(value, Static):
            return value.type
        if isinstance(value, Hook):
            return value.type  # type: ignore[no-any-return]
        if isinstance(value, MetalFunction):
            parameters, result = self.unit.signature(value)
            made = FnType([each for _, each in parameters], result, {})
            return made
        return None

    def read(self, place: Place) -> Value:
        """What a place holds; for structures and arrays their reference."""
        type_ = place.type
        if isinstance(type_, NeverType):
            self.poisoned()
        if type_.aggregate:
            return Value(type_, place.address)
        if isinstance(type_, CellType):  # Big
            raw = self.load(type_.inner, place.address, 1)
            return Value(type_.inner, self.swap(type_.inner, raw))
        return Value(type_, self.load(type_, place.address, place.align, place.space))

    def write(self, place: Place, value: Value, node: ast.AST) -> None:
        """Put a value of the place's type there; structures and arrays are copied."""
        type_ = place.type
        if place.readonly:
            self.error(node, "this is read-only", "a static() can be written, a constant() can't")
        if isinstance(type_, CellType) and type_.kind == "Big":
            self.store(type_.inner, self.swap(type_.inner, value.text), place.address, 1)
        elif isinstance(type_, CellType):
            self.error(
                node,
                f"{type_} is written by a method",
                "`.store(value)`" if type_.kind == "Atomic" else "`.write(value)`",
            )
        elif type_.aggregate:
            self.copy_bytes(place.address, value.text, type_.size, place.align)
        else:
            self.store(type_, value.text, place.address, place.align, place.space)

    def wanted_in(self, type_: Type) -> Type:
        """The type of the values that a place of `type_` takes."""
        return type_.inner if isinstance(type_, CellType) and type_.kind == "Big" else type_

    def swap(self, type_: Type, text: str) -> str:
        """Exchange the bytes of a value."""
        return self.op(f"call {type_.llvm} @llvm.bswap.{type_.llvm}({type_.llvm} {text})")

    def coerce(self, operand: Operand, want: Type, node: ast.AST) -> Value:
        if isinstance(operand, Const):
            if operand.value is POISON:
                self.poisoned()
            made = self.constant(operand.value, want, node)
            if made is not None:
                return made
            if self.natural_type(operand.value) is None:
                self.mismatch(want, operand, node)
        value = self.rvalue(operand, node)
        have = value.type
        if same(have, want):
            return Value(want, value.text)
        if isinstance(want, NeverType) or isinstance(have, NeverType):
            self.poisoned()
        if isinstance(want, PtrType) and have.aggregate and same(want.target, have):
            return Value(want, value.text)
        if isinstance(have, PtrType) and want.aggregate and same(have.target, want):
            return self.not_null(value, node)
        if isinstance(have, ArrayType) and isinstance(want, SliceType) and same(have.element, want.element):
            return self.mark_frame(self.array_slice(value), self.in_frame(value))
        if isinstance(have, TupleType) and isinstance(want, TupleType) and len(have.elements) == len(want.elements):
            parts = [
                self.coerce(Value(each, self.op(f"extractvalue {have.llvm} {value.text}, {i}")), target, node)
                for i, (each, target) in enumerate(zip(have.elements, want.elements, strict=True))
            ]
            return self.pack(want, [each.text for each in parts])
        self.mismatch(want, operand, node)

    def constant(self, value: object, want: Type, node: ast.AST) -> Value | None:
        """A compile-time object as a `want`, or None if it must find its own way."""
        match want:
            case IntType() if isinstance(value, int) and not isinstance(value, bool):
                if not want.holds(value):
                    self.too_large(value, want, node)
                return Value(want, str(int(value)))
            case BoolType() if isinstance(value, bool):
                return Value(want, "true" if value else "false")
            case EnumType() if isinstance(value, EnumMember) and value.type is want:
                return Value(want, str(value.value))
            case PtrType() | FnType() if value is None:
                return Value(want, "null")
            case SliceType() if isinstance(value, bytes) and same(want.element, u8):
                symbol = self.unit.bytes_symbol(value)
                return self.make_slice(want, symbol, str(len(value)))
            case FnType() if isinstance(value, (MetalFunction, Hook)):
                target = value if isinstance(value, MetalFunction) else value.function
                if target is None:
                    self.error(node, "this hook has not been filled in", "hook.set(function) in the room above")
                made = self.natural_type(target)
                if made is not None and same(made, want):
                    return Value(want, self.unit.reference(target, {}))
                self.error(node, f"expected {want}, found the function {target!r}: {made}")
        if isinstance(value, Static) and not value.type.aggregate:
            return None
        if isinstance(value, Static):
            place = self.static_place(value)
            return self.coerce(Value(place.type, place.address), want, node)
        return None

    def static_place(self, static: Static) -> Place:
        """Where a static lies, on this processor if each has one."""
        symbol = self.unit.static_symbol(static)
        align = max(static.align, static.type.alignment)
        if not static.per_processor:
            return Place(static.type, symbol, align, readonly=isinstance(static, Constant))
        space = self.unit.processor_space
        if static.type.aggregate or space is None:
            base = self.op(self.unit.processor_base())
            offset = self.unit.processor_pointer(symbol)
            return Place(static.type, self.op(f"inttoptr i64 {self.op(f'add i64 {base}, {offset}')} to ptr"), align)
        return Place(static.type, symbol, align, space=space)

    def make_slice(self, type_: Type, address: str, length: str) -> Value:
        """A slice from its two halves."""
        return self.pack_pair(type_, f"ptr {address}", f"i64 {length}")

    def pack_pair(self, type_: Type, first: str, second: str) -> Value:
        half = self.op(f"insertvalue {type_.llvm} undef, {first}, 0")
        return Value(type_, self.op(f"insertvalue {type_.llvm} {half}, {second}, 1"))

    def pack(self, type_: TupleType, parts: list[str]) -> Value:
        """A tuple from its parts."""
        text = "undef"
        for i, (each, part) in enumerate(zip(type_.elements, parts, strict=True)):
            text = self.op(f"insertvalue {type_.llvm} {text}, {each.llvm} {part}, {i}")
        return Value(type_, text)

    def array_slice(self, array: Value) -> Value:
        """The whole of an array as a slice."""
        assert isinstance(array.type, ArrayType)
        return self.make_slice(slice_of(array.type.element), array.text, str(array.type.length))

    def slice_parts(self, value: Value) -> tuple[str, str]:
        """Address and length of a slice or array."""
        if isinstance(value.type, ArrayType):
            return value.text, str(value.type.length)
        kind = value.type.llvm
        return self.op(f"extractvalue {kind} {value.text}, 0"), self.op(f"extractvalue {kind} {value.text}, 1")

    def not_null(self, pointer: Value, node: ast.AST) -> Value:
        """What a pointer points to, as a reference; traps if that is nothing."""
        assert isinstance(pointer.type, PtrType)
        self.check(self.op(f"icmp ne ptr {pointer.text}, null"), f"None where a {pointer.type.target} is needed", node)
        return Value(pointer.type.target, pointer.text)

    def condition(self, node: ast.expr) -> str:
        """An i1 for a condition; only bool will do."""
        operand = self.expression(node, bool_type)
        if isinstance(operand, Const) and isinstance(operand.value, bool):
            return "true" if operand.value else "false"
        value = self.rvalue(operand, node)
        if not isinstance(value.type, BoolType):
            self.error(node, f"a condition is a bool, this is {value.type}", advice.condition(value.type, node))
        return value.text

    def integer(self, operand: Operand, node: ast.AST, want: Type = u64) -> Value:
        """An operand that must be an integer of type `want`."""
        return self.coerce(operand, want, node)

    def too_large(self, value: int, want: IntType, node: ast.AST) -> NoReturn:
        """Report a number that a type does not hold."""
        hint = f"i{want.bits} holds negative numbers; {want}.wrap({value}) takes the low bits" if value < 0 else ""
        self.error(node, f"{value} does not fit in {want} ({want.minimum} to {want.maximum})", hint)

    def mismatch(self, want: Type, operand: Operand, node: ast.AST) -> NoReturn:
        """Report a conversion that metal does not make by itself."""
        if isinstance(operand, Const):
            hint = advice.refused_constant(want, operand.value)
        else:
            hint = advice.refused(want, operand.type, node) if isinstance(operand, (Value, Place)) else ""
        self.error(node, f"expected {want}, found {describe(operand)}", hint)


__all__ = ["Converter", "never"]
