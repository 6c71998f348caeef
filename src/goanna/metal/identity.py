"""Which types are one and the same: a hashable key for each. It does not go by names: structures of one name exist
in several modules, and in several forms of one generic structure.
"""

from __future__ import annotations

import sys

from .types import ArrayType, CellType, FnType, PtrType, SliceType, TupleType, Type

__all__ = ["identity", "reachable_target"]


def reachable_target(pointer: PtrType) -> Type | None:
    """What a pointer points to, or None if that is in a module that nothing has imported: then no code looks into it,
    and to describe it is no reason to import it."""
    path = pointer._target
    if isinstance(path, str) and "." in path and path.rpartition(".")[0] not in sys.modules:
        return None
    return pointer.target


def identity(type_: Type) -> object:
    """Equal for equal types: the object for those with a name of their own, the structure of the others."""
    match type_:
        case PtrType():
            target = reachable_target(type_)
            return ("ptr", type_._target if target is None else identity(target))
        case ArrayType():
            return ("array", type_.length, identity(type_.element))
        case SliceType():
            return ("slice", identity(type_.element))
        case CellType():
            return (type_.kind, identity(type_.inner))
        case TupleType():
            return tuple(map(identity, type_.elements))
        case FnType():
            parameters, result = type_.signature
            return (tuple(map(identity, parameters)), identity(result))
    return id(type_)
