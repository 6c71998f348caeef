"""A unit divided into parts: it does what the whole does, and an edit changes the parts that it touches alone."""

import linecache
import shutil
import sys
from dataclasses import replace
from types import ModuleType

import pytest
from elftools.elf.elffile import ELFFile

from goanna.metal import jit, source
from goanna.metal.compile import compile_parts
from goanna.metal.errors import InternalError
from goanna.metal.parts import divide
from goanna.metal.target import ARCHITECTURES, kernel_target
from goanna.metal.unit import Unit
from tests.metal import machines

# Three modules that call each other, share variables, and look into each other's tables.
COUNTING = '''"""Small functions that others copy."""
from goanna.metal import *

total = static(u64, 5)
own = per_processor(u64)

@metal
def unused_by_others(x: u64) -> u64:
    return wrapping(x * 3)

@metal
def count(by: u64) -> u64:
    global total, own
    total += unused_by_others(by)
    own += 1
    return total + own

@metal(inline=False)
def fail(x: u64) -> u64:
    assert x < 100, "too large"
    return x + 7
'''
TABLES = '''"""Tables of functions, and functions with users in one part."""
from goanna.metal import *
from counting import count, fail

T = TypeVar("T")

@metal
def larger(a: T, b: T) -> T:
    return a if a > b else b

@metal
def double(x: u64) -> u64:
    return x * 2

@metal
def of_one_user(data: Slice[u8]) -> u64:
    found: u64 = 0
    for byte in data:
        found = wrapping(found * 31 + u64(byte))
    return found

FUNCTIONS = constant(Array[Fn[[u64], u64], 3], [double, count, fail])

@metal
def triple(x: u64) -> u64:
    return FUNCTIONS[0](x) + x

TRIPLE = constant(Array[Fn[[u64], u64], 1], [triple])
'''
PROGRAM = '''"""What uses both."""
from goanna.metal import *
from counting import count, fail
from tables import FUNCTIONS, TRIPLE, larger, of_one_user

@metal
def program() -> u64:
    result = count(2) + fail(1)
    for index in range(3):
        result += FUNCTIONS[index](larger(u64(index), 1))
    result += TRIPLE[0](20)
    return wrapping(result * 1000 + of_one_user(b"bytes of the program") % 1000)
'''
EXPECTED_HASH = 0
for _byte in b"bytes of the program":
    EXPECTED_HASH = (EXPECTED_HASH * 31 + _byte) % 2**64
EXPECTED = (12 + 8 + 2 + 16 + 9 + 60) * 1000 + EXPECTED_HASH % 1000
SOURCES = {"counting": COUNTING, "tables": TABLES, "program": PROGRAM}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write the modules, some of them changed, and import them anew: the one with the program."""

    def modules(**changed: str) -> ModuleType:
        source._functions.cache_clear()
        linecache.clearcache()
        for name, text in (SOURCES | changed).items():
            path = tmp_path / f"{name}.py"
            path.write_text(text)
            module = ModuleType(name)
            monkeypatch.setitem(sys.modules, name, module)
            exec(compile(text, str(path), "exec"), vars(module))
        return sys.modules["program"]

    return modules


def parts(module: ModuleType) -> dict[str, str]:
    unit = Unit(kernel_target("x86_64"), [module.program], debug=True)
    return {part.name: part.text for part in divide(unit, str)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_divided_program_does_what_the_whole_does(load, tmp_path, architecture):
    if not shutil.which(f"qemu-system-{architecture}"):
        pytest.skip(f"qemu-system-{architecture} is not here")
    module = load()
    assert jit(module.program).call(module.program) == EXPECTED
    assert machines.results(architecture, 2, [module.program], tmp_path, part_of=str) == [EXPECTED]


def test_each_part_has_its_own_and_copies_of_small_functions(load):
    texts = parts(load())
    assert set(texts) == {"counting", "tables", "program"}
    assert 'available_externally i64 @"counting.count"' in texts["program"]
    assert 'declare i64 @"counting.fail"' in texts["program"]
    assert 'define internal i64 @"tables.of_one_user"' in texts["program"]
    assert "of_one_user" not in texts["tables"]
    # Its copies tell the optimiser what is in a table, and what a function of another part needs is shown.
    assert '@"tables.FUNCTIONS" = available_externally constant' in texts["program"]
    assert '\n@"counting.total" = global' in texts["counting"]
    assert 'define internal i64 @"counting.unused_by_others"' not in texts["counting"]


def test_an_edit_changes_the_parts_that_it_touches(load):
    before = parts(load())
    lines = COUNTING.replace("def fail", "def added(x: u64) -> u64:\n    return x\n\n@metal(inline=False)\ndef fail")
    for change, touched in (
        ({"tables": TABLES + "\n# A comment.\n"}, set()),
        ({"tables": TABLES.replace("x * 2", "x + x + 5 - 5")}, {"tables"}),
        ({"counting": COUNTING.replace("x + 7", "x + 1 + 6")}, {"counting"}),
        ({"counting": lines}, {"counting"}),
        ({"counting": COUNTING.replace("total + own", "own + total")}, {"counting", "program"}),
        ({"tables": TABLES.replace("x * 2", "unsafe.load(u64, unsafe.address(b'12345678'))")}, {"tables"}),
    ):
        after = parts(load(**change))
        assert {name for name in before if before[name] != after[name]} == touched, change


def test_the_same_sources_give_the_same_objects_with_and_without_the_cache(load, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target = kernel_target("x86_64")
    roots = [load().program]

    def made() -> list[bytes]:
        paths, _ = compile_parts(roots, target, tmp_path, str)
        return [path.read_bytes() for path in paths]

    first = made()
    monkeypatch.setattr("goanna.metal.compile.emit_object", None)
    assert made() == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    assert made() == first


def test_modules_that_are_to_be_small_take_fewer_bytes(load, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    target = kernel_target("x86_64")
    roots = [load().program]

    def text(is_small) -> dict[str, int]:
        paths, _ = compile_parts(roots, target, tmp_path, str, is_small)
        found = {}
        for path in paths:
            with path.open("rb") as stream:
                sections = ELFFile(stream).iter_sections()
                found[path.stem] = sum(each["sh_size"] for each in sections if each.name.startswith(".text"))
        return found

    fast, small = text(lambda module: False), text(lambda module: module == "program")
    assert small["program"] < fast["program"]
    assert {name: size for name, size in small.items() if name != "program"} == {
        name: size for name, size in fast.items() if name != "program"
    }


def test_a_mistake_of_clang_in_one_part_is_an_error_of_all(load, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    odd = replace(kernel_target("x86_64"), features=("+warp-drive",))
    with pytest.raises(InternalError, match="warp-drive"):
        compile_parts([load().program], odd, tmp_path, str)


def test_checks_of_all_parts_are_told_apart(load):
    unit = Unit(kernel_target("x86_64"), [load().program])
    assert {trap.reason for trap in unit.traps.values()} >= {"too large", "overflow: + on u64"}
    assert len(set(unit.traps.values())) == len(unit.traps)
    other = Unit(kernel_target("x86_64"), [load(tables=TABLES.replace("x * 2", "x * 2 - 1")).program])
    assert set(unit.traps) < set(other.traps)
