"""Every program of the corpus, and generated ones, on the host and on bare machines of the three architectures."""

import ast
import importlib
import importlib.util
import pkgutil
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from goanna.metal import jit
from goanna.metal import types as metal_types
from goanna.metal.target import ARCHITECTURES
from tests.metal import miscompiles
from tests.metal.machines import results
from tests.metal.test_generated import TYPES, Evaluator, Failed, expressions

CORPUS = [
    importlib.import_module(f"{miscompiles.__name__}.{each.name}")
    for each in pkgutil.iter_modules(miscompiles.__path__)
]
# Expressions that are put together for each run of the bare machines; always the same ones.
GENERATED = 150


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("module", CORPUS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_program_on_the_host(module: ModuleType, level: int) -> None:
    assert jit(module.program, optimize=level).call(module.program) == module.EXPECTED


def values_of(name: str) -> st.SearchStrategy[int]:
    """Values for a variable named after its type."""
    type_ = getattr(metal_types, name[2:])
    return st.integers(-3, 9).filter(type_.holds) | st.integers(type_.minimum, type_.maximum)


NAMES = sorted(f"{side}_{each}" for each in TYPES for side in "ab")
VALUES = st.fixed_dictionaries({name: values_of(name) for name in NAMES})
TEXTS = st.sampled_from(TYPES).flatmap(lambda name: expressions(name, 4))


def drawn() -> list[tuple[str, dict[str, int]]]:
    """Expressions with values for their variables, the same ones each time."""
    found: list[tuple[str, dict[str, int]]] = []

    @settings(max_examples=GENERATED * 4, derandomize=True, database=None, phases=[Phase.generate], deadline=None)
    @given(TEXTS, VALUES)
    def collect(text: str, values: dict[str, int]) -> None:
        found.append((text, values))

    collect()
    return found


def generate(folder: Path) -> tuple[list[Any], list[int]]:
    """Programs that evaluate one expression each over variables the optimiser knows nothing of, and their results."""
    sources = ["from goanna.metal import *\n"]
    expected: list[int] = []
    for text, values in drawn():
        variables = {name: (getattr(metal_types, name[2:]), value) for name, value in values.items()}
        try:
            _, result = Evaluator(variables).run(ast.parse(text, mode="eval").body)
        except Failed:
            continue
        number = len(expected)
        words = [value & 2**64 - 1 for value in values.values()]
        sources.append(f"values{number} = static(Array[u64, {len(words)}], {words})\n")
        sources.append(f"@metal\ndef program{number}() -> u64:\n")
        for index, name in enumerate(values):
            place = f"unsafe.address(values{number}) + {8 * index}"
            sources.append(f"    {name} = unsafe.load({name[2:]}, {place}, volatile=True)\n")
        sources.append(f"    return u64.wrap({text})\n")
        expected.append(result & 2**64 - 1)
        if len(expected) == GENERATED:
            break
    path = folder / "generated.py"
    path.write_text("".join(sources))
    spec = importlib.util.spec_from_file_location("generated", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [getattr(module, f"program{number}") for number in range(len(expected))], expected


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[int]]:
    """Programs and their results."""
    return generate(tmp_path_factory.mktemp("generated"))


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_programs_on_a_bare_machine(
    architecture: str, level: int, generated: tuple[list[Any], list[int]], tmp_path: Path
) -> None:
    if not shutil.which(f"qemu-system-{architecture}"):
        pytest.skip(f"qemu-system-{architecture} is not here")
    programs, expected = generated
    found = results(architecture, level, [*(each.program for each in CORPUS), *programs], tmp_path)
    names = [each.__name__.rpartition(".")[2] for each in CORPUS] + [each.name for each in programs]
    wanted = dict(zip(names, [each.EXPECTED for each in CORPUS] + expected, strict=True))
    assert dict(zip(names, found, strict=False)) == wanted
    assert len(programs) == GENERATED
