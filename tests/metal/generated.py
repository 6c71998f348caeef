"""What the tests with generated programs share: how many are drawn, how one is compiled, run and compared.

GOANNA_METAL_EXAMPLES is the number of programs that each of these tests draws; without it there are a few, as unit
tests can afford (`make fuzz-metal` draws thousands).
"""

import importlib.util
import os
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, settings

from goanna.metal import CheckFailed, jit

TYPES = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64"]
_NUMBERS = count()
_FOLDER = tempfile.TemporaryDirectory(prefix="goanna-generated-")


def count_of(few: int) -> int:
    """How many programs a test draws: `few`, or as many as the surroundings say."""
    return int(os.environ.get("GOANNA_METAL_EXAMPLES", "0")) or few


def generated(few: int) -> Callable[[Any], Any]:
    """The settings of a test that draws programs: `few` of them, or as many as the surroundings say."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=count_of(few), deadline=None, suppress_health_check=slow)


def load(source: str) -> ModuleType:
    """The text as a module. It stays in a file, from which the compiler reads it."""
    path = Path(_FOLDER.name) / f"program{next(_NUMBERS)}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def agrees(source: str, values: tuple[int, ...], expected: int | None) -> None:
    """Check that f of the program gives `expected` (None: a check stops it) at both levels of optimisation."""
    function = load(source).f
    for level in (0, 2):
        try:
            result = jit(function, optimize=level).call(function, *values)
        except CheckFailed:
            result = None
        assert result == expected, f"O{level} gives {result}, Python {expected}, of {values}:\n{source}"
