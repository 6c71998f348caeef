"""What metal calls a type that a person wrote as Python does."""

from __future__ import annotations

import typing
from typing import Any

__all__ = ["instead_of"]

INSTEAD: dict[type, str] = {
    float: "metal has no floating point: count in smaller units",
    str: "texts are bytes: Slice[u8]",
    bytes: "Slice[u8] refers to bytes, Array[u8, 16] is memory for some",
    bytearray: "Slice[u8] refers to bytes, Array[u8, 16] is memory for some",
    list: "Slice[u32] refers to several of one type, Array[u32, 16] is memory for some",
    dict: "a @struct has named fields",
    tuple: "the types stand in brackets: tuple[u32, bool]",
    object: "a pointer to anything is a u64 address, or Ptr[...] of one type",
}


def instead_of(annotation: Any) -> str:
    """What to write instead of an annotation of Python's."""
    origin = typing.get_origin(annotation)
    if origin is typing.Union:
        return "what may be None is a Ptr[...]; of other choices there are none: write one type"
    if annotation is Any:
        return "every type is written out; a TypeVar stands for any"
    plain = annotation if origin is None else origin
    if hasattr(annotation, "example"):  # Slice without brackets
        return f"of what? {annotation.example}"
    if isinstance(plain, type):
        own = f"mark the class {plain.__name__} @struct" if plain.__module__ != "builtins" else ""
        return INSTEAD.get(plain, own)
    return ""
