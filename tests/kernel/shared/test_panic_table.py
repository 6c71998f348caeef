"""The panic table, made by the host from a linked kernel and read by the kernel's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.failure import Failure
from goanna.image.panic_packing import Site, pack
from goanna.image.panic_table import _site, panic_table
from goanna.kernel.shared.panic_table import LINE_SHIFT, NOT_FOUND, PanicTable
from goanna.metal import jit
from goanna.metal.compile import compile_object
from goanna.metal.link import kernel_script, link
from goanna.metal.target import kernel_target
from tests.kernel.shared import panicking

BASE = 0xFFFFFFFF80200000


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Any]]:
    folder = tmp_path_factory.mktemp("kernel")
    target = kernel_target("x86_64")
    traps = compile_object([panicking.start], target, folder / "kernel.o")
    link([folder / "kernel.o"], kernel_script(target, BASE, 0x200000), folder / "kernel.elf", entry="_start")
    return folder / "kernel.elf", traps


@pytest.fixture(scope="module")
def table(linked: tuple[Path, dict[int, Any]]) -> bytes:
    return panic_table(*linked)


@pytest.mark.parametrize("home", ["/home/ann/goanna/src", "/usr/lib/python3.12/site-packages", "/src/goanna/goanna"])
def test_files_are_named_from_the_package_on(home: str) -> None:
    assert _site(f"{home}/goanna/kernel/boot/start.py", 7, "") == Site("kernel/boot/start.py", 7, "")
    assert _site("goanna/kernel/boot/start.py", 7, "") == Site("kernel/boot/start.py", 7, "")


@pytest.fixture(scope="module")
def unit() -> Any:
    return jit(
        panicking.find,
        panicking.file_of,
        panicking.reason_of,
        panicking.function_at,
        panicking.module_of,
        panicking.name_of,
        panicking.valid,
    )


def addresses(linked: tuple[Path, dict[int, Any]]) -> list[tuple[int, Any]]:
    from elftools.elf.elffile import ELFFile

    from goanna.image.panic_table import _TRAP

    elf, traps = linked
    with elf.open("rb") as stream:
        data = ELFFile(stream).get_section_by_name(".goanna.traps").data()
    return [(address, traps[number]) for address, number in _TRAP.iter_unpack(data) if address]


def test_every_check_is_found_with_its_file_line_and_reason(linked: Any, table: bytes, unit: Any) -> None:
    found = addresses(linked)
    assert {trap.reason for _, trap in found} >= {"index out of range"}
    for address, trap in found:
        site = unit.call(panicking.find, table, address)
        assert site != NOT_FOUND
        assert site >> LINE_SHIFT == trap.line
        assert trap.file.endswith(bytes(unit.call(panicking.file_of, table, site)).decode())
        assert bytes(unit.call(panicking.reason_of, table, site)).decode() == trap.reason


def test_address_between_sites_is_no_site(linked: Any, table: bytes, unit: Any) -> None:
    address = addresses(linked)[0][0]
    assert unit.call(panicking.find, table, address + 1) == NOT_FOUND
    for outside in (0, 5, BASE - 1, BASE + (1 << 24), 2**64 - 1):
        assert unit.call(panicking.find, table, outside) == NOT_FOUND
        assert unit.call(panicking.function_at, table, outside) == NOT_FOUND


def test_call_returns_to_a_line_in_the_caller(linked: Any, table: bytes, unit: Any) -> None:
    from elftools.elf.elffile import ELFFile

    with linked[0].open("rb") as stream:
        symbols = ELFFile(stream).get_section_by_name(".symtab")
        start = symbols.get_symbol_by_name("_start")[0]
    source = Path(panicking.__file__).read_text().splitlines()
    calls = {number for number, line in enumerate(source, start=1) if "element(" in line and "def " not in line}
    inside = range(start["st_value"], start["st_value"] + start["st_size"] + 1)
    sites = [unit.call(panicking.find, table, address) for address in inside]
    assert {site >> LINE_SHIFT for site in sites if site != NOT_FOUND} == calls


def test_functions_are_named(linked: Any, table: bytes, unit: Any) -> None:
    trap_address = next(at for at, trap in addresses(linked) if trap.reason == "index out of range")
    assert full_name(unit, table, trap_address).endswith("panicking.element")


def test_head_is_checked(table: bytes, unit: Any) -> None:
    assert unit.call(panicking.valid, table, len(table))
    assert not unit.call(panicking.valid, table, len(table) - 1)
    assert not unit.call(panicking.valid, b"\0" * 8 + table[8:], len(table))
    many = PanicTable.pack(size=len(table), site_blocks=1 << 29)
    assert not unit.call(panicking.valid, many + table[len(many) :], len(table))
    many = PanicTable.pack(size=len(table), function_blocks=1 << 30)
    assert not unit.call(panicking.valid, many + table[len(many) :], len(table))


def test_line_beyond_the_field_is_an_error(linked: Any) -> None:
    class Far:
        reason, file, line = "why", "file.py", 1 << 24

    with pytest.raises(Failure, match=r"lines of file\.py"):
        panic_table(linked[0], dict.fromkeys(linked[1], Far()))


OFFSETS = st.integers(0, 0xFFFFFF)
FILES = st.sampled_from([f"kernel/file{number}.py" for number in range(300)])
SITES = st.builds(Site, FILES, st.integers(1, (1 << 24) - 1), st.sampled_from([*[""] * 300, *map(str, range(300))]))
NAMES = st.sampled_from(["start", "file.pipe.Pipe.write", "file.pipe.Pipe.read", "memory.pages.take"])


@given(st.dictionaries(OFFSETS, SITES, max_size=200), st.dictionaries(OFFSETS, NAMES, min_size=1, max_size=9))
def test_what_is_packed_is_found_again(unit: Any, sites: dict[int, Site], names: dict[int, str]) -> None:
    sites = {BASE + at: site for at, site in sites.items()}
    names = {BASE: "first", **{BASE + at: name for at, name in names.items()}}
    table = pack(sites, names)
    assert unit.call(panicking.valid, table, len(table))
    for address, wanted in sites.items():
        found = unit.call(panicking.find, table, address)
        file, reason = (
            bytes(unit.call(what, table, found)).decode() for what in (panicking.file_of, panicking.reason_of)
        )
        assert Site(file, found >> LINE_SHIFT, reason) == wanted
        if address + 1 not in sites:
            assert unit.call(panicking.find, table, address + 1) == NOT_FOUND
        assert full_name(unit, table, address) == names[max(start for start in names if start <= address)]


@given(st.data())
def test_a_damaged_table_gives_some_answer(unit: Any, table: bytes, linked: Any, data: st.DataObject) -> None:
    places = [at for at, _ in addresses(linked)]
    head = len(PanicTable.pack())
    damaged = bytearray(table)
    for at in data.draw(st.lists(st.integers(head, len(table) - 1), min_size=1, max_size=20)):
        damaged[at] = data.draw(st.integers(0, 255))
    for address in places:
        site = unit.call(panicking.find, bytes(damaged), address)
        function = unit.call(panicking.function_at, bytes(damaged), address)
        texts(unit, bytes(damaged), site, panicking.file_of, panicking.reason_of)
        texts(unit, bytes(damaged), function, panicking.module_of, panicking.name_of)


def full_name(unit: Any, table: bytes, address: int) -> str:
    function = unit.call(panicking.function_at, table, address)
    module, name = (
        bytes(unit.call(what, table, function)).decode() for what in (panicking.module_of, panicking.name_of)
    )
    return f"{module}.{name}" if module else name


def texts(unit: Any, table: bytes, number: int, *functions: Any) -> list[str]:
    return [bytes(unit.call(function, table, number)).decode("latin-1") for function in functions]
