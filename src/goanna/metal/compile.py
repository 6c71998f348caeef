"""Ahead of time: from roots to object files, with the table of what each failed check says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import object_cache
from .backend import emit_object, object_flags
from .parts import Part, divide
from .target import Target
from .unit import Trap, Unit

__all__ = ["compile_object", "compile_parts"]


def compile_object(
    roots: Iterable[Any], target: Target, path: Path, *, level: int = 2, debug: bool = True
) -> dict[int, Trap]:
    """Compile everything the roots reach into one object file at `path`, optimised at `level` (0 to 2).

    Gives the traps by the number in each record of the section `.goanna.traps`. Raises CompileErrors with all mistakes
    of the modules.
    """
    unit = Unit(target, roots, debug=debug)
    emit_object(unit.ir(), target, path, level)
    return unit.traps


def compile_parts(
    roots: Iterable[Any],
    target: Target,
    folder: Path,
    part_of: Callable[[str], str],
    is_small: Callable[[str], bool] = lambda module: False,
) -> tuple[list[Path], dict[int, Trap]]:
    """The same in several object files, to be linked together: a part for each name that `part_of` gives for the name
    of a Python module. They are compiled on all processors, and those that were compiled before come from the cache.
    Modules that `is_small` names are compiled to take few bytes rather than little time."""
    unit = Unit(target, roots, debug=True, is_small=is_small)
    parts = divide(unit, part_of)

    def make(part: Part) -> Path:
        path = folder / f"{part.name}.o"
        key = object_cache.key(part.text, (version("ziglang"), object_flags(target, 2)))
        made = object_cache.find(key)
        if made is None:
            emit_object(part.text, target, path)
            object_cache.keep(key, object_cache.CompiledModule(path.read_bytes(), []))
        else:
            path.write_bytes(made.code)
        return path

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # The longest first, so that no processor has one alone at the end.
        made = {part.name: pool.submit(make, part) for part in sorted(parts, key=lambda part: -len(part.text))}
        return [made[part.name].result() for part in parts], unit.traps
