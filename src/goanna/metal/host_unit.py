"""Metal under pytest: a unit compiled for this machine, called through ctypes.

Structures are ctypes objects, slices of bytes are bytes or bytearrays, a failed check is a Python exception. Each unit
has its own statics.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Any

from .errors import CheckFailed
from .function import MetalFunction, Static
from .host_engine import HostModule, slots, thunk_ir
from .structure import StructType
from .target import host_target
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
)
from .unit import Unit as Compilation

__all__ = ["Unit"]


class Unit:
    """A compiled set of functions with their statics."""

    def __init__(self, roots: Iterable[Any], optimize: int = 1) -> None:
        self._compilation = Compilation(host_target(), roots)
        self._signatures: dict[MetalFunction, tuple[str, list[Type], Type]] = {}
        thunks = []
        for instance in list(self._compilation.instances.values()):
            function = instance.function
            if function in self._compilation.roots and function.external is None and not function.naked:
                parameters, result = self._compilation.signature(function)
                types = [each for _, each in parameters]
                thunks.append(thunk_ir(instance.symbol, [each.llvm for each in types], result.llvm))
                self._signatures[function] = (instance.symbol, types, result)
        self.ir = self._compilation.ir() + "\n".join(thunks)
        self._module = HostModule(self.ir, optimize)
        self._keep: list[Any] = []
        self._first = {static: self._bytes(static) for static in self._compilation.statics if self._resettable(static)}

    def call(self, function: MetalFunction, *arguments: Any) -> Any:
        """Call a root. Raises CheckFailed if a check fails, TypeError or OverflowError for arguments that don't fit."""
        if function not in self._signatures:
            raise TypeError(f"{function!r} is not a root of this unit: name it in jit(...)")
        symbol, types, result = self._signatures[function]
        if len(arguments) != len(types):
            raise TypeError(f"{function.name} takes {len(types)} arguments, not {len(arguments)}")
        keep: list[Any] = []
        words: list[int] = []
        for type_, argument in zip(types, arguments, strict=True):
            words += self._words(type_, argument, keep)
        block = (ctypes.c_uint64 * max(len(words), slots(result.llvm), 1))(*[word & (2**64 - 1) for word in words])
        failed = self._module.call(self._module.address(symbol + "$thunk"), ctypes.addressof(block))
        if failed is not None:
            trap = self._compilation.traps[failed]
            raise CheckFailed(trap.reason, trap.function, trap.file, trap.line)
        return self._result(result, list(block))

    def _words(self, type_: Type, value: Any, keep: list[Any]) -> list[int]:
        """An argument as 8-byte words."""
        match type_:
            case IntType():
                return [type_(int(value))]
            case BoolType():
                return [1 if value else 0]
            case EnumType():
                return [int(value)]
            case SliceType():
                return self._slice(type_, value, keep)
            case FnType():
                return [self._function(value)]
            case TupleType():
                return [
                    word
                    for each, part in zip(type_.elements, value, strict=True)
                    for word in self._words(each, part, keep)
                ]
        if value is None and isinstance(type_, PtrType):
            return [0]
        if isinstance(value, int):
            return [value]
        if isinstance(value, Static):
            return [self.address(value)]
        if isinstance(value, bytearray):
            buffer = (ctypes.c_uint8 * len(value)).from_buffer(value)
            keep.append(buffer)
            return [ctypes.addressof(buffer)]
        if isinstance(value, (ctypes.Structure, ctypes.Union, ctypes.Array, ctypes._SimpleCData)):
            keep.append(value)
            return [ctypes.addressof(value)]
        raise TypeError(f"{value!r} can't be passed as {type_}")

    def _slice(self, type_: SliceType, value: Any, keep: list[Any]) -> list[int]:
        if isinstance(value, tuple):
            return list(value)
        if isinstance(value, ctypes.Array):
            keep.append(value)
            return [ctypes.addressof(value), len(value)]
        if isinstance(value, (bytes, list)):
            array = (type_.element.ctype * len(value))(*value)
        else:
            view = memoryview(value)
            array = (type_.element.ctype * (view.nbytes // type_.element.size)).from_buffer(value)
        keep.append(array)
        return [ctypes.addressof(array), len(array)]

    def _function(self, value: Any) -> int:
        if value is None:
            return 0
        if isinstance(value, MetalFunction):
            return self._module.address(self._signatures[value][0])
        return int(value)

    def _result(self, type_: Type, words: list[int]) -> Any:
        match type_:
            case VoidType():
                return None
            case IntType():
                return type_.wrap(words[0])
            case BoolType():
                return bool(words[0] & 1)
            case EnumType():
                return type_.base.wrap(words[0])
            case SliceType():
                if words[1] == 0:
                    return memoryview(b"")
                array = (type_.element.ctype * words[1]).from_address(words[0])
                return memoryview(array).cast("B") if type_.element is u8 else array
            case TupleType():
                parts, position = [], 0
                for each in type_.elements:
                    count = slots(each.llvm)
                    parts.append(self._result(each, words[position : position + count]))
                    position += count
                return tuple(parts)
            case PtrType():
                if words[0] == 0:
                    return None
                return type_.target.ctype.from_address(words[0]) if type_.target.aggregate else words[0]
            case FnType():
                return words[0]
        return type_.ctype.from_address(words[0])

    # Memory.
    def new(self, type_: Any, **values: Any) -> Any:
        """A value of a structure or array, zeroed but for the fields given and the defaults, aligned as it wants."""
        size, alignment = type_.size, max(type_.alignment, 16)
        buffer = ctypes.create_string_buffer(size + alignment)
        address = ctypes.addressof(buffer)
        made = type_.ctype.from_buffer(buffer, -address % alignment)
        if isinstance(type_, StructType):
            ctypes.memmove(ctypes.addressof(made), bytes(type_(**values)), size)
        return made

    def at(self, type_: Any, address: int) -> Any:
        """A view of a structure at an address."""
        return type_.ctype.from_address(address)

    def address(self, thing: Any) -> int:
        """Where a static, a structure or a function of this unit lies."""
        if isinstance(thing, Static):
            return self._static_address(thing)
        if isinstance(thing, MetalFunction):
            return self._module.address(self._signatures[thing][0])
        return ctypes.addressof(thing)

    def _static_address(self, static: Static) -> int:
        if static not in self._compilation.statics:
            raise KeyError(f"nothing in this unit reaches {static.module}.{static.name}; name it in jit(...)")
        symbol = self._compilation.statics[static]
        if static.per_processor:
            base = self._module.address("metal_percpu")
            offset = ctypes.c_uint64.from_address(self._module.address("metal_percpu_offset")).value
            return base + offset + int(symbol.split()[2])
        return self._module.address(symbol.strip('@"'))

    def symbol(self, name: str) -> int:
        """The address of a symbol by name."""
        return self._module.address(name)

    def static(self, static: Static) -> Any:
        """A ctypes view of a static."""
        return static.type.ctype.from_address(self._static_address(static))

    def get(self, static: Static) -> Any:
        """The value of a scalar static; a view of any other."""
        view = self.static(static)
        inner = static.type.inner if isinstance(static.type, CellType) else static.type
        return view if inner.aggregate or isinstance(inner, (ArrayType, StructType)) else view.value

    def set(self, static: Static, value: Any) -> None:
        """Change a scalar static."""
        self.static(static).value = int(value)

    def _resettable(self, static: Static) -> bool:
        return not static.per_processor and static.external is None

    def _bytes(self, static: Static) -> bytes:
        return ctypes.string_at(self._static_address(static), static.type.size)

    def reset(self) -> None:
        """Put all statics back to their first values, the processors' own to zero."""
        for static, data in self._first.items():
            if type(static) is Static:
                ctypes.memmove(self._static_address(static), data, len(data))
        if any(static.per_processor for static in self._compilation.statics):
            from .unit import PROCESSOR_BLOCK, PROCESSORS

            ctypes.memset(self._module.address("metal_percpu"), 0, PROCESSOR_BLOCK * PROCESSORS)
            ctypes.memset(self._module.address("metal_percpu_offset"), 0, 8)
