"""Calls found in machine code: by hand-assembled words, and in compiled metal on each machine."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from goanna.image.call_sites import aarch64_returns, riscv64_returns, x86_64_returns
from goanna.image.panic_table import panic_table
from goanna.kernel.shared.panic_table import NOT_FOUND
from goanna.metal import jit
from goanna.metal.compile import compile_object
from goanna.metal.link import kernel_script, link
from goanna.metal.target import ARCHITECTURES, kernel_target
from tests.kernel.shared import panicking

START = 0xFFFFFFFF80200000


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def test_x86_64_calls() -> None:
    code = b"\x90\xe8\x0a\x00\x00\x00\xff\xd0\xff\x15\x00\x00\x00\x00\xc3"
    assert set(x86_64_returns(code, START, {START + 16})) == {START + 6, START + 8, START + 14}
    assert set(x86_64_returns(code, START, {START})) == {START + 8, START + 14}


@pytest.mark.parametrize("call", [
    "ff d3", "41 ff d4", "ff 10", "ff 50 08", "ff 90 08 01 00 00", "ff 15 00 01 00 00", "ff 14 24", "41 ff 14 24",
    "ff 54 24 08", "ff 94 24 08 01 00 00", "ff 14 c8", "ff 14 f5 30 2c 15 80", "ff 14 25 00 10 00 00", "ff 54 c5 08",
])  # fmt: skip
def test_x86_64_calls_through_registers_and_memory(call: str) -> None:
    code = bytes.fromhex(call)
    assert START + len(code) in set(x86_64_returns(code + b"\xc3" * 8, START, set()))


def test_arm64_calls() -> None:
    # bl .+16; blr x3; br x3; ret; bl .-16; b .+4
    code = words(0x94000004, 0xD63F0060, 0xD61F0060, 0xD65F03C0, 0x97FFFFFC, 0x14000001)
    assert list(aarch64_returns(code, START, {START, START + 16})) == [START + 4, START + 8, START + 20]
    assert list(aarch64_returns(code, START, set())) == [START + 8]
    assert list(aarch64_returns(code + b"\x00\x94", START, set())) == [START + 8], "a torn last word"


def test_riscv64_calls() -> None:
    # jal ra, .+16; auipc ra, 0; jalr ra, 8(ra); jalr a0; jal zero, .+8; jal ra, .-20
    code = words(0x010000EF, 0x00000097, 0x008080E7, 0x000500E7, 0x0080006F, 0xFEDFF0EF)
    found = list(riscv64_returns(code, START, {START, START + 16}))
    assert found == [START + 4, START + 12, START + 16, START + 24]
    # c.jalr a0; c.jr a0; c.ebreak; c.nop
    compressed = struct.pack("<4H", 0x9502, 0x8502, 0x9002, 0x0001)
    assert list(riscv64_returns(compressed, START, set())) == [START + 2]


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_compiled_calls_are_in_the_panic_table(machine: str, tmp_path: Path) -> None:
    target = kernel_target(machine)
    traps = compile_object([panicking.start], target, tmp_path / "kernel.o")
    link([tmp_path / "kernel.o"], kernel_script(target, START, 0x80200000), tmp_path / "kernel.elf", entry="_start")
    with (tmp_path / "kernel.elf").open("rb") as stream:
        section = ELFFile(stream).get_section_by_name(".goanna.traps")
        checks = {address for address, _ in struct.iter_unpack("<QI", section.data()) if address}
        text = ELFFile(stream).get_section_by_name(".text")
        code = range(text["sh_addr"], text["sh_addr"] + text["sh_size"])
    table = panic_table(tmp_path / "kernel.elf", traps)
    unit = jit(panicking.find, panicking.file_of)
    sites = {address: site for address in code if (site := unit.call(panicking.find, table, address)) != NOT_FOUND}
    assert set(sites) > checks > set()
    files = {bytes(unit.call(panicking.file_of, table, site)).decode() for site in sites.values()}
    assert all(file.endswith("kernel/shared/panicking.py") for file in files), files
