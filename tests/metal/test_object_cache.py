"""Compiled units are kept from one run to the next: by what they are made of, whole or not at all, not for ever."""

import ctypes
import os
from pathlib import Path

import pytest

from goanna.metal import object_cache
from goanna.metal.host_engine import HostModule
from goanna.metal.object_cache import CompiledModule

IR = """define void @"answer$thunk"(ptr %args) {{
  store i64 {}, ptr %args
  ret void
}}
"""


@pytest.fixture(autouse=True)
def units(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "goanna" / "units"


def answer(number: int, optimize: int = 1) -> int:
    module = HostModule(IR.format(number), optimize)
    block = ctypes.c_uint64(0)
    assert module.call(module.address("answer$thunk"), ctypes.addressof(block)) is None
    return block.value


def test_a_module_that_was_compiled_is_not_compiled_again(monkeypatch):
    assert answer(41) == 41
    monkeypatch.setattr("goanna.metal.host_engine._compile", None)
    assert answer(41) == 41


def test_another_text_and_another_level_are_other_modules(units):
    assert [answer(1), answer(2), answer(2, optimize=0)] == [1, 2, 2]
    assert len(list(units.iterdir())) == 3


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:50] + b"?" + data[51:]]
)
def test_a_damaged_file_is_compiled_again(units, damage):
    assert answer(7) == 7
    (path,) = units.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert answer(7) == 7
    assert path.read_bytes() == whole


def test_what_was_not_used_for_longest_goes_first(units, monkeypatch):
    monkeypatch.setattr(object_cache, "LIMIT", 3000)
    for index, name in enumerate(("old", "used", "young")):
        object_cache.keep(name, CompiledModule(bytes(900), []))
        os.utime(units / name, (index, index))
    assert object_cache.find("old") is not None
    object_cache.keep("new", CompiledModule(bytes(900), []))
    assert {each.name for each in units.iterdir()} == {"old", "young", "new"}


def test_a_full_or_forbidden_cache_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert answer(3) == 3


def test_of_two_processes_one_makes_a_module_and_the_other_finds_it():
    name, other = "ab" * 16, "cd" * 16
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with object_cache.alone(name):
            os.write(ready[1], b"r")
            os.read(go[0], 1)
            object_cache.keep(name, CompiledModule(b"made", []))
        os._exit(0)
    os.read(ready[0], 1)
    with object_cache.alone(other):  # nobody makes this one
        assert object_cache.find(name) is None
    os.write(go[1], b"g")
    with object_cache.alone(name):
        found = object_cache.find(name)
    assert found is not None and found.code == b"made"
    assert os.waitpid(child, 0)[1] == 0
