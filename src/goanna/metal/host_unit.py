"""Metal under pytest: a unit compiled for this machine, called through ctypes.

Structures are ctypes objects, slices of bytes are bytes or bytearrays, a failed check is a Python exception. Each unit
has its own statics.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

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


class _Signature(NamedTuple):
    """How a root is called: made once, because generated tests call it a hundred thousand times.

    Each of `arguments` turns a value into 8-byte words, and puts what must live as long as the call into a list.
    `block` is the ctypes array that holds the arguments' words, and then the result's, which `result` turns into a
    value. `thunk` is the symbol of what takes such a block.
    """

    symbol: str
    thunk: str
    arguments: list[Callable[[Any, list[Any]], Sequence[int]]]
    result: Callable[[Sequence[int]], Any]
    block: Any


class Unit:
    """A compiled set of functions with their statics."""

    def __init__(self, roots: Iterable[Any], optimize: int = 1) -> None:
        self._compilation = Compilation(host_target(), roots)
        self._signatures: dict[MetalFunction, _Signature] = {}
        thunks = []
        for instance in list(self._compilation.instances.values()):
            function = instance.function
            if function in self._compilation.roots and function.external is None and not function.naked:
                parameters, result = self._compilation.signature(function)
                types = [each for _, each in parameters]
                thunks.append(thunk_ir(instance.symbol, [each.llvm for each in types], result.llvm))
                count = max(sum(slots(each.llvm) for each in types), slots(result.llvm), 1)
                arguments = [self._argument(each) for each in types]
                symbol, block = instance.symbol, ctypes.c_uint64 * count
                self._signatures[function] = _Signature(
                    symbol, f"{symbol}$thunk", arguments, self._result(result), block
                )
        self.ir = self._compilation.ir() + "\n".join(thunks)
        self._module = HostModule(self.ir, optimize)
        self._keep: list[Any] = []
        self._first = {static: self._bytes(static) for static in self._compilation.statics if self._resettable(static)}

    def call(self, function: MetalFunction, *arguments: Any) -> Any:
        """Call a root. Raises CheckFailed if a check fails, TypeError or OverflowError for arguments that don't fit."""
        signature = self._signatures.get(function)
        if signature is None:
            if function.naked:
                raise TypeError(f"{function!r} is naked: call it from a metal function")
            raise TypeError(f"{function!r} is not a root of this unit: name it in jit(...)")
        if len(arguments) != len(signature.arguments):
            raise TypeError(f"{function.name} takes {len(signature.arguments)} arguments, not {len(arguments)}")
        keep: list[Any] = []
        words: list[int] = []
        for convert, argument in zip(signature.arguments, arguments, strict=True):
            words += convert(argument, keep)
        block = signature.block(*words)
        failed = self._module.call(self._module.address(signature.thunk), ctypes.addressof(block))
        if failed is not None:
            trap = self._compilation.traps[failed]
            raise CheckFailed(trap.reason, trap.function, trap.file, trap.line)
        return signature.result(block)

    def _argument(self, type_: Type) -> Callable[[Any, list[Any]], Sequence[int]]:
        """What turns an argument of a type into words."""
        if isinstance(type_, SliceType):
            return lambda value, keep: self._slice(type_, value, keep)
        if not isinstance(type_, IntType):
            return lambda value, keep: self._words(type_, value, keep)
        least, greatest = type_.minimum, type_.maximum

        def integer(value: Any, _: list[Any]) -> Sequence[int]:
            number = int(value)
            return (number,) if least <= number <= greatest else (type_(number),)

        return integer

    def _words(self, type_: Type, value: Any, keep: list[Any]) -> list[int]:
        """An argument as 8-byte words."""
        if isinstance(value, ctypes.Structure):
            keep.append(value)
            return [ctypes.addressof(value)]
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
        if isinstance(value, (ctypes.Union, ctypes.Array, ctypes._SimpleCData)):
            keep.append(value)
            return [ctypes.addressof(value)]
        raise TypeError(f"{value!r} can't be passed as {type_}")

    def _slice(self, type_: SliceType, value: Any, keep: list[Any]) -> list[int]:
        array: Any
        if isinstance(value, bytes) and type_.element is u8:
            array = (ctypes.c_uint8 * len(value)).from_buffer_copy(value)
        elif isinstance(value, tuple):
            return list(value)
        elif isinstance(value, ctypes.Array):
            array = value
        elif isinstance(value, (bytes, list)):
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
            return self._module.address(self._signatures[value].symbol)
        return int(value)

    def _result(self, type_: Type) -> Callable[[Sequence[int]], Any]:
        """What turns a result's words into a value of a type."""
        match type_:
            case VoidType():
                return lambda words: None
            case IntType():
                return lambda words: type_.wrap(words[0])
            case BoolType():
                return lambda words: bool(words[0] & 1)
            case EnumType():
                return lambda words: type_.base.wrap(words[0])
            case SliceType():
                return lambda words: _view(type_, words[0], words[1])
            case TupleType():
                parts, position = [], 0
                for each in type_.elements:
                    count = slots(each.llvm)
                    parts.append((self._result(each), position, position + count))
                    position += count
                return lambda words: tuple([value(words[start:end]) for value, start, end in parts])
            case PtrType():
                return lambda words: _target(type_, words[0])
            case FnType():
                return lambda words: words[0]
        return lambda words: type_.ctype.from_address(words[0])

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
            return self._module.address(self._signatures[thing].symbol)
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


def _view(type_: SliceType, address: int, length: int) -> Any:
    """What a slice shows."""
    if length == 0:
        return memoryview(b"")
    array = (type_.element.ctype * length).from_address(address)
    return memoryview(array).cast("B") if type_.element is u8 else array


def _target(type_: PtrType, address: int) -> Any:
    """What a pointer points to: a view of a structure, the address of anything else, None."""
    if address == 0:
        return None
    return type_.target.ctype.from_address(address) if type_.target.aggregate else address
