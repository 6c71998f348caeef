"""Packs and reads the structures that tools and kernel share, by the kernel's own declarations.

A metal structure is a class to type checkers and an object that knows its layout when it runs; this is the one place
where the tools cross from one view to the other.
"""

from __future__ import annotations

from typing import Any

from goanna.metal import sizeof


def packed(layout: Any, **values: object) -> bytes:
    """The bytes of a structure, as the kernel reads them; fields not given have their defaults."""
    return bytes(layout.pack(**values))


def unpacked(layout: Any, data: bytes) -> Any:
    """The structure that `data` begins with. Raises ValueError if there are too few bytes."""
    return layout.unpack(data)


def size_of(layout: Any) -> int:
    """A structure's size in bytes."""
    return int(sizeof(layout))
