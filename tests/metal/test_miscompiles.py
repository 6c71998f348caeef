"""Every program of the corpus, and generated ones, on the host and on bare machines of the three architectures."""

import ast
import importlib
import os
import pkgutil
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from goanna.metal import jit
from goanna.metal import types as metal_types
from goanna.metal.target import ARCHITECTURES
from tests.metal import miscompiles, plain, plain_memory, test_generated_memory, test_generated_statements
from tests.metal.generated import TYPES, load
from tests.metal.machines import results
from tests.metal.test_generated import Evaluator, Failed, expressions

CORPUS = [
    importlib.import_module(f"{miscompiles.__name__}.{each.name}")
    for each in pkgutil.iter_modules(miscompiles.__path__)
]
# How many generated programs run on each of the bare machines; always the same ones.
EXPRESSIONS = 150
TEXTS_OF_EACH_KIND = int(os.environ.get("GOANNA_METAL_EXAMPLES", "400")) // 20


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


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """What the strategy draws, the same each time."""
    found: list[Any] = []

    @settings(
        max_examples=count, derandomize=True, database=None, phases=[Phase.generate], deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(each: Any) -> None:
        found.append(each)

    collect()
    return found


def expressions_of(count: int) -> list[tuple[Any, int]]:
    """Programs that evaluate one expression each over variables the optimiser knows nothing of, and their results."""
    sources = ["from goanna.metal import *\n"]
    expected: list[int] = []
    for text, values in drawn(st.tuples(TEXTS, VALUES), count * 4):
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
        if len(expected) == count:
            break
    module = load("".join(sources))
    return [(getattr(module, f"program{number}"), result) for number, result in enumerate(expected)]


CALLER = """
values = static(Array[u64, 3], WORDS)

@metal
def program() -> u64:
    a = unsafe.load(u64, unsafe.address(values), volatile=True)
    b = unsafe.load(u64, unsafe.address(values) + 8, volatile=True)
    c = unsafe.load(u64, unsafe.address(values) + 16, volatile=True)
    return u64.wrap(f(KIND.wrap(a), KIND.wrap(b), u8.wrap(c)))
"""


def texts_of(strategy: Any, evaluate: Any, count: int) -> list[tuple[Any, int]]:
    """Whole programs, each a module of its own, and their results."""
    found: list[tuple[Any, int]] = []
    for source, kind, values in drawn(strategy, count * 4):
        result = evaluate(source, "f", zip((kind, kind, "u8"), values, strict=True))
        if result is None:
            continue
        words = str([value & 2**64 - 1 for value in values])
        module = load(source + CALLER.replace("WORDS", words).replace("KIND", kind))
        found.append((module.program, result & 2**64 - 1))
        if len(found) == count:
            break
    return found


@pytest.fixture(scope="module")
def generated() -> list[tuple[Any, int]]:
    """Programs and their results."""
    found = expressions_of(EXPRESSIONS)
    found += texts_of(test_generated_statements.programs(), plain.evaluate, TEXTS_OF_EACH_KIND)
    return found + texts_of(test_generated_memory.programs(), plain_memory.evaluate, TEXTS_OF_EACH_KIND)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_programs_on_a_bare_machine(
    architecture: str, level: int, generated: list[tuple[Any, int]], tmp_path: Path
) -> None:
    if not shutil.which(f"qemu-system-{architecture}"):
        pytest.skip(f"qemu-system-{architecture} is not here")
    wanted = [(each.program, each.EXPECTED) for each in CORPUS] + generated
    found = results(architecture, level, [program for program, _ in wanted], tmp_path)
    assert len(generated) == EXPRESSIONS + 2 * TEXTS_OF_EACH_KIND
    for (program, expected), result in zip(wanted, found, strict=False):
        assert result == expected, (
            f"{program!r}: {result}, not {expected}\n{Path(program.code.co_filename).read_text()}"
        )
    assert len(found) == len(wanted), f"{wanted[len(found)][0]!r} stops the machine"
