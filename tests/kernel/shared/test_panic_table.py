"""The panic table, made by the host from a linked kernel and read by the kernel's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from goanna.failure import Failure
from goanna.image.panic_table import panic_table
from goanna.kernel.shared.panic_table import NOT_FOUND, PanicTable
from goanna.metal import jit
from goanna.metal.compile import compile_object
from goanna.metal.link import kernel_script, link
from goanna.metal.target import kernel_target
from tests.kernel.shared import panicking

BASE = 0xFFFFFFFF80200000


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    folder = tmp_path_factory.mktemp("kernel")
    target = kernel_target("x86_64")
    traps = compile_object([panicking.start], target, folder / "kernel.o")
    link([folder / "kernel.o"], kernel_script(target, BASE, 0x200000), folder / "kernel.elf", entry="_start")
    return folder / "kernel.elf", traps


@pytest.fixture(scope="module")
def table(linked: tuple[Path, list[Any]]) -> bytes:
    return panic_table(*linked)


@pytest.fixture(scope="module")
def unit() -> Any:
    return jit(panicking.find, panicking.file_of, panicking.reason_of, panicking.function_at, panicking.valid)


def addresses(linked: tuple[Path, list[Any]]) -> list[tuple[int, Any]]:
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
        assert (site >> 26) & 0x3FFF == trap.line
        assert trap.file.endswith(bytes(unit.call(panicking.file_of, table, site)).decode())
        assert bytes(unit.call(panicking.reason_of, table, site)).decode() == trap.reason


def test_address_between_sites_is_no_site(linked: Any, table: bytes, unit: Any) -> None:
    address = addresses(linked)[0][0]
    assert unit.call(panicking.find, table, address + 1) == NOT_FOUND
    for outside in (0, 5, BASE - 1, BASE + (1 << 24), 2**64 - 1):
        assert unit.call(panicking.find, table, outside) == NOT_FOUND
        assert bytes(unit.call(panicking.function_at, table, outside)) == b""


def test_call_returns_to_a_line_in_the_caller(linked: Any, table: bytes, unit: Any) -> None:
    from elftools.elf.elffile import ELFFile

    with linked[0].open("rb") as stream:
        symbols = ELFFile(stream).get_section_by_name(".symtab")
        start = symbols.get_symbol_by_name("_start")[0]
    source = Path(panicking.__file__).read_text().splitlines()
    calls = {number for number, line in enumerate(source, start=1) if "element(" in line and "def " not in line}
    inside = range(start["st_value"], start["st_value"] + start["st_size"] + 1)
    sites = [unit.call(panicking.find, table, address) for address in inside]
    assert {(site >> 26) & 0x3FFF for site in sites if site != NOT_FOUND} == calls


def test_functions_are_named(linked: Any, table: bytes, unit: Any) -> None:
    trap_address = next(at for at, trap in addresses(linked) if trap.reason == "index out of range")
    assert bytes(unit.call(panicking.function_at, table, trap_address)).endswith(b"panicking.element")


def test_head_is_checked(table: bytes, unit: Any) -> None:
    assert unit.call(panicking.valid, table, len(table))
    assert not unit.call(panicking.valid, table, len(table) - 1)
    assert not unit.call(panicking.valid, b"\0" * 8 + table[8:], len(table))
    many = PanicTable.pack(size=len(table), sites=1 << 30)
    assert not unit.call(panicking.valid, many + table[len(many) :], len(table))


def test_line_beyond_the_field_is_an_error(linked: Any) -> None:
    class Far:
        reason, file, line = "why", "file.py", 1 << 14

    with pytest.raises(Failure, match=r"lines of file\.py"):
        panic_table(linked[0], [Far() for _ in linked[1]])
