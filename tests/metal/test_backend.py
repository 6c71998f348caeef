"""IR text becomes objects for three machines, and what LLVM would let pass with a warning is an error."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from goanna.metal.backend import assemble, emit_object
from goanna.metal.errors import InternalError
from goanna.metal.target import ARCHITECTURES, FRAME_LIMIT, kernel_target, vdso_target
from tests.metal.ir import lookup

MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64", "riscv64": "EM_RISCV"}
# No instruction of these reads a global offset table.
INDIRECT = re.compile("GOT")


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_function_and_variable_has_its_own_section(name: str, level: int, tmp_path: Path) -> None:
    target = kernel_target(name)
    emit_object(lookup(target), target, tmp_path / "a.o", level)
    with (tmp_path / "a.o").open("rb") as stream:
        elf = ELFFile(stream)
        assert elf["e_machine"] == MACHINES[name]
        sections = {each.name for each in elf.iter_sections()}
    assert {".text.look", ".text.dead", ".rodata.table", ".percpu", ".goanna.traps"} <= sections
    assert ".eh_frame" not in sections


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_kernel_code_reaches_its_variables_directly(name: str, tmp_path: Path) -> None:
    from elftools.elf.enums import ENUM_RELOC_TYPE_AARCH64, ENUM_RELOC_TYPE_x64

    names = {"x86_64": ENUM_RELOC_TYPE_x64, "aarch64": ENUM_RELOC_TYPE_AARCH64}.get(name, {"R_RISCV_GOT_HI20": 20})
    by_number = {number: text for text, number in names.items()}
    target = kernel_target(name)
    emit_object(lookup(target), target, tmp_path / "a.o")
    with (tmp_path / "a.o").open("rb") as stream:
        relocations = [
            by_number.get(each["r_info_type"], "")
            for section in ELFFile(stream).iter_sections("SHT_RELA")
            for each in section.iter_relocations()
        ]
    assert relocations
    assert not [each for each in relocations if INDIRECT.search(each)]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_unknown_feature_is_an_error(name: str, tmp_path: Path) -> None:
    target = kernel_target(name)
    odd = replace(target, features=(*target.features, "+warp-drive"))
    with pytest.raises(InternalError, match="warp-drive"):
        assemble("nop\n", odd, tmp_path / "a.o")
    with pytest.raises(InternalError, match="warp-drive"):
        emit_object("", odd, tmp_path / "a.o")


def test_a_module_that_llvm_refuses_is_kept_for_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InternalError, match=r"goanna-.*\.ll") as caught:
        emit_object("define i32 @f() {\n  ret i64 0\n}\n", kernel_target("x86_64"), tmp_path / "a.o")
    path = re.search(r"\((.*\.ll)\)", str(caught.value))
    assert path and "ret i64 0" in Path(path[1]).read_text()


def test_a_block_that_does_not_dominate_is_refused_by_the_verifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = "define i64 @f() {\n  %a = add i64 %b, 1\n  %b = add i64 1, 1\n  ret i64 %a\n}\n"
    with pytest.raises(InternalError, match="does not dominate"):
        emit_object(text, kernel_target("aarch64"), tmp_path / "a.o")


def test_assembly_with_a_mistake_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="frobnicate"):
        assemble("frobnicate %rax\n", kernel_target("x86_64"), tmp_path / "a.o")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_frame_that_takes_a_large_part_of_the_stack_is_an_error(name: str, tmp_path: Path) -> None:
    target = kernel_target(name)
    text = """
declare void @use(ptr)
define void @large() #0 {{
  %memory = alloca [{size} x i8]
  call void @use(ptr %memory)
  ret void
}}
attributes #0 = {{ {attributes} }}
"""
    small = text.format(size=FRAME_LIMIT - 512, attributes=target.attributes)
    emit_object(small, target, tmp_path / "a.o")
    large = text.format(size=FRAME_LIMIT + 512, attributes=target.attributes)
    with pytest.raises(InternalError, match=r"stack frame size .* 'large'"):
        emit_object(large, target, tmp_path / "a.o")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_vdso_is_position_independent(name: str) -> None:
    assert vdso_target(name).relocation == "pic"
    assert "tpidr-el1" not in vdso_target(name).attributes
