"""How the kernel is divided for its compiler: every name in the lists is that of a module."""

from pathlib import Path

import pytest

import goanna.kernel
from goanna.kernel.parts import _FAST, _PARTS, is_small, part_of

KERNEL = Path(goanna.kernel.__file__).parent


def test_every_name_is_that_of_a_module():
    assert all((KERNEL / room).is_dir() for room in (*_FAST, *_PARTS))
    for room, names in _FAST.items():
        for name in names.split():
            place = name.replace(".", "/")
            pattern = f"*/{place}.py" if room == "arch" else f"{place}.py"
            assert list((KERNEL / room).glob(pattern)), f"{room}: {name}"


@pytest.mark.parametrize(
    ("module", "small"),
    [
        ("file.pipe", False), ("file.rename", True), ("arch.x86_64.trap", False), ("arch.x86_64.pvh", True),
        ("boot.start", True), ("net.tcp.input", False), ("time.clock", False), ("main", True),
    ],
)  # fmt: skip
def test_what_runs_once_is_small(module, small):
    assert is_small(f"goanna.kernel.{module}") is small


def test_rooms_are_parts():
    assert part_of("goanna.kernel.file.pipe") == "file"
    assert part_of("goanna.kernel.boot.start") == part_of("goanna.kernel.main") == "core"
