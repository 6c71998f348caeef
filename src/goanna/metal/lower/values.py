"""What an expression can be while it is compiled: a value in a register, a place in memory, or known already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..function import MetalFunction
from ..types import Type


@dataclass(frozen=True)
class Value:
    """A value of `type`; `text` is the LLVM operand (for structures and arrays, their address)."""

    type: Type
    text: str


@dataclass(frozen=True)
class Place:
    """A place in memory that holds a `type`. `space` is the LLVM address space prefix, `align` in bytes."""

    type: Type
    address: str
    align: int
    readonly: bool = False
    space: str = "ptr"
    frame: bool = False  # lies in this function's own frame
    holds: bool = False  # a pointer or slice that refers to this function's own frame


@dataclass(frozen=True)
class Const:
    """Anything known at compile time: a number, bytes, a function, a type, a module."""

    value: Any


@dataclass(frozen=True)
class Bound:
    """A method and the object it was reached through, or the operation of a cell or slice."""

    receiver: Value | Place
    method: MetalFunction | str


Operand = Value | Place | Const | Bound


@dataclass
class Local:
    """A variable of the function: `slot` is its address; a structure's slot holds its reference."""

    name: str
    type: Type
    slot: str
    owned: bool = False  # refers to something in this frame


POISON = object()
