"""Names, attributes, indexes and slices: where things are and what a name stands for."""

from __future__ import annotations

import ast
import types
from typing import Any, TypeVar

from ..function import Hook, MetalFunction, Static
from ..intrinsics import Intrinsic, unsafe
from ..structure import StructType
from ..types import Array, ArrayType, CellType, EnumType, IntType, PtrType, SliceType, Type, slice_of, u64
from . import advice
from .operators import Operators
from .values import POISON, Bound, Const, Operand, Place, Value

CELL_METHODS = {
    "Atomic": {"load", "store", "add", "sub", "and_", "or_", "xor", "exchange", "compare_exchange"},
    "Volatile": {"read", "write"},
}


class Places(Operators):
    """Everything that can stand left of an assignment, and the names."""

    def expression(self, node: ast.expr, want: Type | None = None) -> Operand:
        self.at(node)
        match node:
            case ast.Constant():
                if isinstance(node.value, (float, complex)):
                    words = f"metal has no floating point, so no {node.value!r}"
                    self.error(node, words, "count in smaller units: milliseconds instead of seconds")
                if node.value is ...:
                    self.error(node, "metal has no values like ...", "`pass` does nothing")
                return Const(node.value)
            case ast.Name():
                return self.name(node)
            case ast.Attribute():
                return self.attribute(self.expression(node.value), node.attr, node)
            case ast.Subscript():
                return self.subscript(node)
            case ast.Call():
                return self.call(self.expression(node.func), node)
            case ast.BinOp():
                left = self.settled(self.expression(node.left, want), node.left)
                shift = isinstance(node.op, (ast.LShift, ast.RShift))
                hint = None if shift else getattr(left, "type", None) or want
                right = self.expression(node.right, hint)
                self.at(node)
                return self.binary(node.op, left, right, node, want)
            case ast.UnaryOp():
                return self.unary(node.op, node, want)
            case ast.Compare():
                return self.compare(node)
            case ast.BoolOp():
                return self.boolean(node)
            case ast.IfExp():
                return self.select(node, want)
            case ast.Tuple():
                return self.tuple_of(node, want)
            case ast.NamedExpr():
                known = self.locals.get(node.target.id)
                type_ = known.type if known is not None else want
                operand = self.expression(node.value, type_)
                literal = isinstance(operand, Const) and type_ is not None
                value = self.coerce(operand, type_, node) if literal else self.rvalue(operand, node)  # type: ignore[arg-type]
                self.assign_name(node.target, value, node, self.in_frame(value))
                return value
        what, instead = advice.VALUES.get(type(node), (type(node).__name__, "compute it at the top level"))
        if isinstance(node, ast.List):
            count = len(node.elts) or 16
            instead = f"memory for some is Array[u64, {count}](), say; a table is a constant() at the top level"
        self.error(node, f"metal has no {what}", instead)

    def assign_name(self, target: ast.Name, value: Value, node: ast.AST, owned: bool = False) -> None:
        """Give a local its value; `owned` says that it refers to the frame."""
        raise NotImplementedError

    def value(self, node: ast.expr, want: Type) -> Value:
        result = self.coerce(self.expression(node, want), want, node)
        return result

    def tuple_of(self, node: ast.Tuple, want: Type | None) -> Operand:
        """Several values side by side."""
        from ..types import TupleType

        wanted: list[Type | None] = list(want.elements) if isinstance(want, TupleType) else [None] * len(node.elts)
        if len(wanted) != len(node.elts):
            self.error(node, f"expected {len(wanted)} values, found {len(node.elts)}")
        operands = [
            self.settled(self.expression(each, hint), each) for each, hint in zip(node.elts, wanted, strict=True)
        ]
        if want is None and all(isinstance(each, Const) for each in operands):
            return Const(tuple(each.value for each in operands if isinstance(each, Const)))
        values = [
            self.coerce(operand, hint, each) if hint is not None else self.rvalue(operand, each)
            for operand, hint, each in zip(operands, wanted, node.elts, strict=True)
        ]
        type_ = want if isinstance(want, TupleType) else TupleType([each.type for each in values])
        owned = any(map(self.in_frame, values))
        return self.mark_frame(self.pack(type_, [each.text for each in values]), owned)

    def name(self, node: ast.Name) -> Operand:
        """A local, or what the name stands for in the module."""
        if node.id in self.locals:
            local = self.locals[node.id]
            if node.id not in self.assigned:
                self.error(node, f"{node.id!r} may have no value here", "give it one on every way that leads here")
            if local.type.aggregate:
                return Place(
                    local.type, self.op(f"load ptr, ptr {local.slot}"), local.type.alignment, frame=local.owned
                )
            return Place(local.type, local.slot, max(local.type.alignment, 1), holds=local.owned)
        if node.id in self.function.code.co_varnames and node.id not in self.instance.bindings:
            if node.id in self.unit_poison():
                self.poisoned()
            self.no_static(node.id, node)
            self.error(node, f"{node.id!r} has no value here", "give it one above")
        if node.id in self.instance.bindings:
            return self.known(self.instance.bindings[node.id], node)
        try:
            return self.known(self.function.lookup(node.id), node, node.id)
        except KeyError:
            self.error(node, f"{node.id!r} is not known here", self.suggestion(node.id))

    def unit_poison(self) -> set[str]:
        """Locals whose only assignments failed."""
        return self.failed

    failed: set[str]

    def no_static(self, name: str, node: ast.AST) -> None:
        """A static is assigned to only after `global`."""
        raise NotImplementedError

    def suggestion(self, name: str) -> str:
        """The closest known name, as a hint; or where to import it from."""
        from ... import metal

        if name in metal.__all__:
            return f"from goanna.metal import {name}"
        names = [*self.locals, *self.function.variables, *self.function.python.__globals__, *advice.PYTHON]
        close = advice.like(name, names)
        if not close and (there := advice.like(name, metal.__all__)):
            return f"{there} It is imported from goanna.metal"
        return close or "names are the function's own, or those of the module's top level"

    def known(self, value: Any, node: ast.AST, name: str = "") -> Operand:
        """A compile-time object; statics become places."""
        if isinstance(value, TypeVar):
            value = self.instance.bindings.get(value.__name__, value)
        if isinstance(value, Static):
            value.name = value.name or name
            return self.static_place(value)
        if isinstance(value, Hook):
            value.name = value.name or name
        return Const(value)

    def attribute(self, base: Operand, name: str, node: ast.AST) -> Operand:
        """`base.name`."""
        if isinstance(base, Const):
            return self.known_attribute(base.value, name, node)
        if isinstance(base, Bound):
            self.error(node, "a method has no attributes")
        type_ = base.type
        if isinstance(type_, PtrType):
            if name == "value" and not type_.target.aggregate:
                target = self.not_null(self.rvalue(base, node), node)
                return Place(type_.target, target.text, type_.target.alignment)
            owned = self.in_frame(base)
            target = self.not_null(self.rvalue(base, node), node)
            base, type_ = Place(type_.target, target.text, type_.target.alignment, frame=owned), type_.target
        if isinstance(type_, CellType) and name in CELL_METHODS.get(type_.kind, ()):
            return Bound(base, name)
        if isinstance(type_, StructType):
            address = base.address if isinstance(base, Place) else base.text
            if name in type_.fields:
                field = type_.fields[name]
                align = base.align if isinstance(base, Place) else type_.alignment
                while field.offset % align:
                    align //= 2
                align = min(align, max(field.type.alignment, 1)) if align else 1
                readonly, frame = (base.readonly, base.frame) if isinstance(base, Place) else (False, False)
                return Place(field.type, self.offset(address, field.offset), align, readonly, frame=frame)
            found = type_.attributes.get(name)
            if isinstance(found, MetalFunction):
                return Bound(Value(type_, address), found) if found.owner is not None else Const(found)
            if name in type_.attributes:
                return self.known(found, node, name)
            there = f"it has {', '.join(type_.fields)}" if type_.fields else ""
            close = advice.like(name, [*type_.fields, *type_.attributes])
            self.error(node, f"{type_} has no {name!r}", close or there)
        self.error(node, f"{type_} has no attribute {name!r}", advice.attribute(type_, name, node))

    def known_attribute(self, value: Any, name: str, node: ast.AST) -> Operand:
        """An attribute of a module, a type, or any Python object at hand."""
        if value is POISON:
            self.poisoned()
        if isinstance(value, TypeVar) and value.__name__ in self.instance.bindings:
            value = self.instance.bindings[value.__name__]
        if isinstance(value, IntType) and name == "wrap":
            return Const(Intrinsic(f"wrap {value.name}"))
        try:
            return self.known(getattr(value, name), node, name)
        except AttributeError:
            what = f"module {value.__name__}" if isinstance(value, types.ModuleType) else repr(value)
            if isinstance(value, type):
                what = value.__name__
            names = list(value.members) if isinstance(value, EnumType) else dir(value)
            names += ["wrap"] if isinstance(value, IntType) else []
            there = f"it has {', '.join(names)}" if value is unsafe else ""
            self.error(node, f"{what} has no {name!r}", advice.like(name, names) or there)

    def subscript(self, node: ast.Subscript) -> Operand:
        """`base[index]` or `base[i:j]`."""
        base = self.expression(node.value)
        if isinstance(base, Const) and not isinstance(base.value, (Static, bytes)):
            return self.constant_subscript(base, node)
        if isinstance(base, Const) and isinstance(base.value, bytes) and not isinstance(node.slice, ast.Slice):
            index = self.expression(node.slice)
            if isinstance(index, Const):
                return self.constant_subscript(base, node)
        if isinstance(node.slice, ast.Slice):
            return self.slice_range(base, node.slice, node)
        return self.index(base, node)

    def constant_subscript(self, base: Const, node: ast.Subscript) -> Operand:
        """A subscript of something known: a constant table, or a composed type."""
        if base.value is POISON:
            self.poisoned()
        if isinstance(node.slice, ast.Tuple) and any(isinstance(each, ast.List) for each in node.slice.elts):
            self.error(node, "a Fn[...] is not written here", "name it at the top level: Handler = Fn[[u32], bool]")
        if isinstance(node.slice, ast.Tuple):
            operands = [self.expression(each) for each in node.slice.elts]
            if base.value is Array and len(operands) == 2 and not isinstance(operands[1], Const):
                hint = "a Slice[...] has a length that is known when it runs"
                self.error(node.slice.elts[1], "the length of an array is a constant", hint)
            if all(isinstance(each, Const) for each in operands):
                key: Any = tuple(each.value for each in operands if isinstance(each, Const))
                return self.element_of(base.value, key, node)
        if isinstance(node.slice, ast.List):
            self.error(node, "write this type at the top level and use its name here")
        operand = self.expression(node.slice)
        if not isinstance(operand, Const):
            self.error(
                node,
                "a Python object can't be indexed at run time",
                "make it a table: constant(Array[u8, 3], [1, 2, 3])",
            )
        key = operand.value
        if isinstance(key, TypeVar):
            key = self.instance.bindings.get(key.__name__, key)
        return self.element_of(base.value, key, node)

    def element_of(self, value: Any, key: Any, node: ast.AST) -> Operand:
        """A subscript that Python computes."""
        try:
            return self.known(value[key], node)
        except (TypeError, LookupError) as error:
            self.error(node, f"this constant can't be computed: {type(error).__name__}: {error}")

    def sequence(self, base: Operand, node: ast.AST) -> tuple[Value, Type, str, str, bool, int]:
        """An array or slice taken apart: value, element type, address, length, readonly, alignment."""
        readonly = isinstance(base, Place) and base.readonly
        if isinstance(base, Const) and isinstance(base.value, bytes):
            readonly = True
        value = self.rvalue(base, node)
        if isinstance(value.type, PtrType) and isinstance(value.type.target, ArrayType):
            value = self.not_null(value, node)
        if not isinstance(value.type, (ArrayType, SliceType)):
            self.error(node, f"{value.type} can't be indexed", advice.indexing(value.type, node))
        element = value.type.element
        address, length = self.slice_parts(value)
        align = element.alignment if not isinstance(base, Place) else min(base.align, element.alignment) or 1
        if isinstance(value.type, SliceType):
            align = element.alignment
        return value, element, address, length, readonly and isinstance(value.type, ArrayType), align

    def index(self, base: Operand, node: ast.Subscript) -> Place:
        """One element, its index checked."""
        value, element, address, length, readonly, align = self.sequence(base, node.value)
        operand = self.expression(node.slice, u64)
        if isinstance(operand, Const) and isinstance(operand.value, int):
            if operand.value < 0:
                self.error(node.slice, "indexes count from 0", advice.from_the_end(operand.value))
            if length.isdigit() and operand.value >= int(length):
                self.error(node.slice, f"index {operand.value} is past the end of {length} elements")
        index = self.index_value(operand, node.slice)
        if not (length.isdigit() and index.isdigit()):
            self.check(self.op(f"icmp ult i64 {index}, {length}"), "index out of range", node)
        return Place(element, self.element(address, element, index), align, readonly, frame=self.in_frame(value))

    def index_value(self, operand: Operand, node: ast.AST) -> str:
        """An index as i64: any unsigned integer serves."""
        if isinstance(operand, Const):
            if isinstance(operand.value, int) and operand.value < 0:
                self.error(node, "indexes count from 0", advice.from_the_end(operand.value))
            return self.coerce(operand, u64, node).text
        value = self.rvalue(operand, node)
        if isinstance(value.type, EnumType):
            value = Value(value.type.base, value.text)
        if not isinstance(value.type, IntType) or value.type.signed:
            self.error(node, f"an index is an unsigned integer, this is {value.type}", "convert it: u64(...)")
        if value.type.bits < 64:
            return self.op(f"zext {value.type.llvm} {value.text} to i64")
        return value.text

    def element(self, address: str, element: Type, index: str) -> str:
        """The address of an element."""
        if index == "0":
            return address
        size = element.size
        if index.isdigit():
            return self.offset(address, int(index) * size)
        return self.op(f"getelementptr inbounds [{size} x i8], ptr {address}, i64 {index}")

    def slice_range(self, base: Operand, range_: ast.Slice, node: ast.AST) -> Value:
        """A part of an array or slice: start <= end <= length, checked."""
        if range_.step is not None:
            self.error(node, "a slice has no step", "count in steps: for i in range(0, len(x), 2), and use x[i]")
        value, element, address, length, _, _ = self.sequence(base, node)
        low = self.index_value(self.expression(range_.lower, u64), range_.lower) if range_.lower else "0"
        high = self.index_value(self.expression(range_.upper, u64), range_.upper) if range_.upper else length
        if high != length and not (high.isdigit() and length.isdigit() and int(high) <= int(length)):
            self.check(self.op(f"icmp ule i64 {high}, {length}"), "slice end past the length", node)
        if low != "0" and not (low.isdigit() and high.isdigit() and int(low) <= int(high)):
            self.check(self.op(f"icmp ule i64 {low}, {high}"), "slice start past its end", node)
        start = self.element(address, element, low)
        count = high if low == "0" else self.op(f"sub i64 {high}, {low}")
        return self.mark_frame(self.make_slice(slice_of(element), start, count), self.in_frame(value))
