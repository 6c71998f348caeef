"""What a debugger is told of the kernel's entries: a back trace goes on in whoever was interrupted, or ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from goanna.kernel.arch.x86_64.frame import FRAME_SIZE, Frame
from goanna.kernel.build import built_kernel

RIP, RSP, RBP = 16, 7, 6


@pytest.fixture(scope="module")
def kernel() -> Path:
    return built_kernel().elf


def rules(kernel: Path, name: str) -> list[dict[Any, Any]]:
    """The rows of the unwind table of one function of the kernel."""
    with kernel.open("rb") as stream:
        elf = ELFFile(stream)
        symbols = elf.get_section_by_name(".symtab").iter_symbols()
        start = next(each["st_value"] for each in symbols if each.name == f"kernel.arch.x86_64.{name}")
        for entry in elf.get_dwarf_info().CFI_entries():
            if "initial_location" in entry.header and entry["initial_location"] == start:
                return list(entry.get_decoded().table)
    raise AssertionError(f"{name} has no unwind table")


@pytest.mark.parametrize("name", ["call.call_entry", "trap.trap_common", "trap.trap_emergency"])
def test_callers_of_an_entry_are_found_in_the_frame(kernel: Path, name: str) -> None:
    rows = rules(kernel, name)
    assert rows[0][RIP].type == "UNDEFINED"
    inside = [row for row in rows if row[RIP].type == "OFFSET"]
    assert inside
    for row in inside:
        assert (row["cfa"].reg, row["cfa"].offset) == (RSP, FRAME_SIZE)
        for number, field in ((RIP, "rip"), (RSP, "rsp"), (RBP, "rbp"), (15, "r15"), (5, "rdi"), (0, "rax")):
            assert row[number].arg == Frame.fields[field].offset - FRAME_SIZE


@pytest.mark.parametrize("name", ["trap.trap_stubs", "trap.leave_kernel", "trap.enter_user", "context.context_start"])
def test_a_back_trace_ends_where_nobody_called(kernel: Path, name: str) -> None:
    assert any(RIP in row and row[RIP].type == "UNDEFINED" for row in rules(kernel, name))
