"""Python values as LLVM constants: what a static holds when the kernel starts."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from .function import Hook, MetalFunction, Static
from .structure import StructType
from .types import (
    ArrayType,
    BoolType,
    CellType,
    EnumMember,
    EnumType,
    FnType,
    IntType,
    LayoutError,
    PtrType,
    SliceType,
    Type,
    same,
    u8,
)

if TYPE_CHECKING:
    from .unit import Unit


class Initializer:
    """Writes constants; functions and statics that they name are compiled into the unit."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit

    def render(self, type_: Type, value: Any) -> tuple[str, str]:
        """The LLVM type and constant for a value of `type_` in memory; None stands for zero.

        Raises LayoutError for a value that does not fit.
        """
        if isinstance(type_, CellType):
            if type_.kind == "Big" and value:
                value = int.from_bytes(int(value).to_bytes(type_.size, "little"), "big")
            return self.render(type_.inner, value)
        if type_.aggregate and value is None:
            return f"[{type_.size} x i8]", "zeroinitializer"
        if isinstance(value, (ctypes.Structure, ctypes.Union, ctypes.Array)):
            value = bytes(value)
        if type_.aggregate and isinstance(value, (bytes, bytearray)):
            return self.raw(type_, bytes(value))
        match type_:
            case BoolType():
                return "i8", "1" if value else "0"
            case IntType():
                if not isinstance(value, (int, EnumMember, type(None))):
                    raise LayoutError(f"expected {type_}, found {value!r}")
                if not type_.holds(int(value or 0)):
                    raise LayoutError(f"{value} does not fit in {type_} ({type_.minimum} to {type_.maximum})")
                return type_.llvm, str(int(value or 0))
            case EnumType():
                return type_.llvm, str(int(value or 0))
            case PtrType() | FnType():
                return "ptr", self.address(type_, value)
            case SliceType():
                return self.slice(type_, value)
            case ArrayType():
                return self.array(type_, list(value))
            case StructType():
                return self.structure(type_, dict(value))
        raise LayoutError(f"{type_} can't be a static")

    def raw(self, type_: Type, data: bytes) -> tuple[str, str]:
        """Bytes as they are, padded with zeros."""
        if len(data) > type_.size:
            raise LayoutError(f"{len(data)} bytes do not fit in {type_}")
        data = data.ljust(type_.size, b"\0")
        return f"[{len(data)} x i8]", 'c"' + "".join(f"\\{each:02X}" for each in data) + '"'

    def fits(self, type_: Type, function: MetalFunction) -> None:
        """A function has the type of the place that it is put into."""
        parameters, result = self.unit.signature(function)
        made = FnType([each for _, each in parameters], result, {})
        if isinstance(type_, FnType) and not same(made, type_):
            raise LayoutError(f"expected {type_}, found the function {function!r}: {made}")

    def address(self, type_: Type, value: Any) -> str:
        """A function or static by its symbol."""
        if isinstance(value, Hook):
            value = value.function
        if value is None:
            return "null"
        if isinstance(value, MetalFunction):
            self.fits(type_, value)
            return self.unit.reference(value, {})
        if isinstance(value, Static):
            return self.unit.static_symbol(value)
        if isinstance(value, int):
            return f"inttoptr (i64 {value} to ptr)"
        raise LayoutError(f"{value!r} has no address")

    def slice(self, type_: SliceType, value: Any) -> tuple[str, str]:
        """A slice of bytes or of a static array."""
        if value is None:
            return "{ptr, i64}", "zeroinitializer"
        if isinstance(value, Static) and isinstance(value.type, ArrayType):
            return "{ptr, i64}", f"{{ptr {self.unit.static_symbol(value)}, i64 {value.type.length}}}"
        if isinstance(value, bytes) and same(type_.element, u8):
            return "{ptr, i64}", f"{{ptr {self.unit.bytes_symbol(value)}, i64 {len(value)}}}"
        raise LayoutError(f"{value!r} can't be a {type_}", "bytes, or the name of a static array, can")

    def array(self, type_: ArrayType, values: list[Any]) -> tuple[str, str]:
        """Elements in order; missing ones are zero."""
        if len(values) > type_.length:
            raise LayoutError(f"{len(values)} elements do not fit in {type_}")
        parts = [self.render(type_.element, each) for each in values]
        left = (type_.length - len(values)) * type_.element.size
        if left:
            parts.append((f"[{left} x i8]", "zeroinitializer"))
        return self.packed(parts)

    def structure(self, type_: StructType, values: dict[str, Any]) -> tuple[str, str]:
        """Fields by name, padding between them."""
        if type_.is_union:
            raise LayoutError(f"{type_} is a union: give its bytes")
        parts: list[tuple[str, str]] = []
        end = 0
        for field in type_.fields.values():
            if field.offset > end:
                parts.append((f"[{field.offset - end} x i8]", "zeroinitializer"))
            parts.append(self.render(field.type, values.pop(field.name, field.default)))
            end = field.offset + field.type.size
        if values:
            raise LayoutError(f"{type_} has no field {next(iter(values))!r}")
        if type_.size > end:
            parts.append((f"[{type_.size - end} x i8]", "zeroinitializer"))
        return self.packed(parts)

    def packed(self, parts: list[tuple[str, str]]) -> tuple[str, str]:
        """Constants side by side without padding."""
        kinds = ", ".join(kind for kind, _ in parts)
        return f"<{{ {kinds} }}>", "<{ " + ", ".join(f"{kind} {text}" for kind, text in parts) + " }>"
