"""A kernel's layout: page borders with symbols, load addresses, what is kept and what is dropped; and vDSOs."""

import struct
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from goanna.metal.backend import assemble, emit_object
from goanna.metal.errors import InternalError
from goanna.metal.link import kernel_script, link, link_vdso
from goanna.metal.target import ARCHITECTURES, kernel_target, vdso_target
from tests.metal.ir import BOOT, lookup

VIRTUAL = 0xFFFFFFFF80200000
PHYSICAL = {"x86_64": 0x200000, "aarch64": 0x40200000, "riscv64": 0x80200000}


def linked(name: str, folder: Path, boot: str = BOOT, **options: Any) -> Path:
    """The path of a small kernel."""
    target = kernel_target(name)
    emit_object(lookup(target), target, folder / "kernel.o")
    assemble(boot, target, folder / "boot.o")
    script = kernel_script(target, VIRTUAL, PHYSICAL[name])
    link([folder / "boot.o", folder / "kernel.o"], script, folder / "kernel.elf", **options)
    return folder / "kernel.elf"


def symbols(elf: ELFFile) -> dict[str, int]:
    """Names and values of the symbol table."""
    return {each.name: each["st_value"] for each in elf.get_section_by_name(".symtab").iter_symbols()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_kind_of_memory_begins_on_a_page_and_has_its_own_rights(name: str, tmp_path: Path) -> None:
    with linked(name, tmp_path).open("rb") as stream:
        elf = ELFFile(stream)
        found = symbols(elf)
        assert elf["e_entry"] == PHYSICAL[name] == found["_start"]
        for kind in ("text", "rodata", "data", "bss"):
            assert found[f"__{kind}_start"] % 4096 == found[f"__{kind}_end"] % 4096 == 0
        assert found["__text_start"] <= found["look"] < found["__text_end"] <= found["__rodata_start"]
        assert found["__rodata_start"] <= found["table"] < found["__rodata_end"] <= found["__data_start"]
        assert found["__data_start"] <= found["dirty"] < found["__data_end"] <= found["__bss_start"]
        assert found["__bss_start"] <= found["zero"] < found["__bss_end"] == found["__kernel_end"]
        loads = [each for each in elf.iter_segments("PT_LOAD")]
        assert [each["p_flags"] for each in loads] == [7, 5, 4, 6]
        for each in loads[1:]:
            assert each["p_vaddr"] - each["p_paddr"] == VIRTUAL - PHYSICAL[name] == found["__virtual_offset"] % 2**64
        assert found["__physical_end"] == loads[-1]["p_paddr"] + loads[-1]["p_memsz"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_note_has_a_segment_of_its_own(name: str, tmp_path: Path) -> None:
    with linked(name, tmp_path).open("rb") as stream:
        (note,) = ELFFile(stream).iter_segments("PT_NOTE")
        assert note.data() == struct.pack("<III4sQ", 4, 8, 18, b"Xen\0", PHYSICAL[name])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_processors_template_begins_with_its_base_word(name: str, tmp_path: Path) -> None:
    with linked(name, tmp_path).open("rb") as stream:
        found = symbols(ELFFile(stream))
    assert found["__percpu_start"] % 64 == found["__percpu_end"] % 64 == 0
    assert found["__percpu_start"] == found["__percpu_base"] == found["count"] - 8


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_trap_records_name_the_trapping_instruction_and_are_not_loaded(name: str, tmp_path: Path) -> None:
    instruction = {"x86_64": b"\x0f\x0b", "aarch64": b"\x20\x00\x20\xd4", "riscv64": b"\x73\x10\x00\xc0"}[name]
    with linked(name, tmp_path).open("rb") as stream:
        elf = ELFFile(stream)
        section = elf.get_section_by_name(".goanna.traps")
        assert section["sh_flags"] & 2 == 0
        records = list(struct.iter_unpack("<QI", section.data()))
        # `dead` is gone, its record left behind with address 0
        assert sorted(number for _, number in records) == [77, 78]
        assert "dead" not in symbols(elf)
        addresses = {number: address for address, number in records}
        assert addresses[78] == 0
        text = elf.get_section_by_name(".text")
        assert text.data()[addresses[77] - text["sh_addr"] :][: len(instruction)] == instruction


def test_what_nothing_reaches_stays_if_it_is_named(tmp_path: Path) -> None:
    with linked("x86_64", tmp_path, keep=["dead"]).open("rb") as stream:
        assert "dead" in symbols(ELFFile(stream))


def test_the_exception_table_is_kept_between_its_symbols(tmp_path: Path) -> None:
    with linked("x86_64", tmp_path).open("rb") as stream:
        elf = ELFFile(stream)
        found = symbols(elf)
        rodata = elf.get_section_by_name(".rodata")
        table = rodata.data()[found["__extable_start"] - rodata["sh_addr"] : found["__extable_end"] - rodata["sh_addr"]]
        assert struct.unpack("<2Q", table) == (found["look"], found["_start"])


def test_a_section_without_a_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="lost"):
        linked("x86_64", tmp_path, boot=BOOT + '.section .lost,"awR",%progbits\n.quad 1\n')


def test_an_undefined_symbol_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="nowhere"):
        linked("x86_64", tmp_path, boot=BOOT + ".section .boot\n.quad nowhere\n")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_vdso_is_one_segment_with_versioned_symbols(name: str, tmp_path: Path) -> None:
    target = vdso_target(name)
    text = f"""
@table = internal constant [4 x i64] [i64 1, i64 2, i64 3, i64 4]
define i64 @__vdso_pick(i64 %i) #0 {{
  %place = getelementptr [4 x i64], ptr @table, i64 0, i64 %i
  %value = load i64, ptr %place
  ret i64 %value
}}
attributes #0 = {{ {target.attributes} }}
"""
    emit_object(text, target, tmp_path / "vdso.o")
    link_vdso([tmp_path / "vdso.o"], tmp_path / "vdso.so", {"LINUX_2.6": ["__vdso_pick"]})
    with (tmp_path / "vdso.so").open("rb") as stream:
        elf = ELFFile(stream)
        (load,) = elf.iter_segments("PT_LOAD")
        assert (load["p_offset"], load["p_vaddr"], load["p_flags"]) == (0, 0, 5)
        assert not list(elf.iter_sections("SHT_RELA"))
        names = [each.name for each in elf.get_section_by_name(".dynsym").iter_symbols()]
        assert names == ["", "__vdso_pick"]
        versions = [aux.name for _, each in elf.get_section_by_name(".gnu.version_d").iter_versions() for aux in each]
        assert versions == ["linux-vdso.so.1", "LINUX_2.6"]


def test_a_vdso_with_a_variable_is_an_error(tmp_path: Path) -> None:
    target = vdso_target("x86_64")
    text = f"""
@count = internal global i64 5
define i64 @__vdso_count() #0 {{
  %old = atomicrmw add ptr @count, i64 1 seq_cst
  ret i64 %old
}}
attributes #0 = {{ {target.attributes} }}
"""
    emit_object(text, target, tmp_path / "vdso.o")
    with pytest.raises(InternalError, match="data"):
        link_vdso([tmp_path / "vdso.o"], tmp_path / "vdso.so", {"LINUX_2.6": ["__vdso_count"]})
