"""Ahead of time: from roots to an object file, with the table of what each failed check says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .backend import emit_object
from .target import Target
from .unit import Trap, Unit

__all__ = ["compile_object"]


def compile_object(
    roots: Iterable[Any], target: Target, path: Path, *, level: int = 2, debug: bool = True
) -> list[Trap]:
    """Compile everything the roots reach into one object file at `path`, optimised at `level` (0 to 2).

    Gives the traps, indexed by the number in each record of the section `.goanna.traps`. Raises CompileErrors with all
    mistakes of the modules.
    """
    unit = Unit(target, roots, debug=debug)
    emit_object(unit.ir(), target, path, level)
    return unit.traps
