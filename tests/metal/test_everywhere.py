"""All constructs of the tests beside this one compile and link for the three architectures, at O0 and O2."""

from pathlib import Path

import pytest

from goanna.metal.compile import compile_object
from goanna.metal.function import MetalFunction, Static
from goanna.metal.link import kernel_script, link
from goanna.metal.runtime import runtime_object
from goanna.metal.structure import StructType
from goanna.metal.target import ARCHITECTURES, kernel_target
from tests.metal import test_arithmetic, test_data, test_functions, test_statements

CONSTRUCTS = (test_arithmetic, test_data, test_functions, test_statements)
# Assembly of one architecture, and what reaches it.
OF_ONE_MACHINE = {"naked_sum", "assembly"}


def roots():
    """What the tests of single constructs compile."""
    kinds = (MetalFunction, StructType, Static)
    values = [each for module in CONSTRUCTS for each in vars(module).values() if isinstance(each, kinds)]
    return [each for each in values if getattr(each, "name", "") not in OF_ONE_MACHINE]


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_constructs_compile_and_link(tmp_path: Path, architecture, level):
    target = kernel_target(architecture)
    compiled = tmp_path / "constructs.o"
    traps = compile_object(roots(), target, compiled, level=level, debug=False)
    assert len(traps) > 50
    script = kernel_script(target, 0xFFFFFFFF80200000, 0x200000, entry="0")
    linked = tmp_path / "constructs.elf"
    runtime_object(target, tmp_path / "runtime.o")
    link([compiled, tmp_path / "runtime.o"], script, linked, gc_sections=False)
    assert linked.stat().st_size > 10_000
