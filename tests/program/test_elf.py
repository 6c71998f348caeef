"""What is said of programs: those that can be booted, those that can't, and those that somebody damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from goanna.failure import CannotRun, NotFound
from goanna.program.elf import Program, read_program
from tests import programs

# A fixture's folder is written to anew by each example; a busy computer is no reason to fail.
NO_MATTER = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def reason(folder: Path, data: bytes) -> str:
    with pytest.raises(CannotRun) as caught:
        read_program(programs.write(folder, data))
    text = str(caught.value)
    assert text.startswith(f"{folder / 'program'}: ")
    return text.removeprefix(f"{folder / 'program'}: ")


def test_fixed_program(tmp_path: Path) -> None:
    program = read_program(programs.write(tmp_path, programs.elf()))
    assert not program.position_independent
    assert program.entry == programs.BASE + 0x1000
    assert [each.access for each in program.loads] == ["r-x"]
    assert (program.mapped, program.written) == (64, 0)


def test_position_independent_program(tmp_path: Path) -> None:
    assert read_program(programs.write(tmp_path, programs.elf(kind=3))).position_independent


def test_interpreter_without_libraries_is_taken(tmp_path: Path) -> None:
    dynamic = struct.pack("<qQ", 0, 0)
    data = programs.elf(kind=3, extra=[(3, b"/lib64/ld-linux-x86-64.so.2\0"), (2, dynamic)])
    assert read_program(programs.write(tmp_path, data)).interpreter == "/lib64/ld-linux-x86-64.so.2"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no such file"):
        read_program(tmp_path / "nothing")


def test_folder_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="can't be read"):
        read_program(tmp_path)


def test_text_is_not_elf(tmp_path: Path) -> None:
    assert reason(tmp_path, b"#!/bin/sh\n").startswith("is not an ELF file")
    assert reason(tmp_path, b"").startswith("is empty")


@pytest.mark.parametrize("length", [4, 5, 17, 63, 64, 100, 4096, 4100])
def test_truncated_program_is_cut_short(tmp_path: Path, length: int) -> None:
    text = reason(tmp_path, programs.elf()[:length])
    assert "cut short" in text and f"{length:,}" in text


def test_other_architecture_names_both(tmp_path: Path) -> None:
    text = reason(tmp_path, programs.elf(machine=183))
    assert "arm64" in text and "amd64" in text and "GOARCH=amd64" in text
    assert "machine number 9999" in reason(tmp_path, programs.elf(machine=9999))


def test_32_bit_and_big_endian(tmp_path: Path) -> None:
    data = bytearray(programs.elf())
    data[4] = 1
    assert "32-bit" in reason(tmp_path, bytes(data))
    data[4:6] = b"\2\2"
    assert "big-endian" in reason(tmp_path, bytes(data))


def test_other_system_is_named(tmp_path: Path) -> None:
    assert "FreeBSD" in reason(tmp_path, programs.elf(system=9))


def test_object_files_cores_and_libraries(tmp_path: Path) -> None:
    assert "object file" in reason(tmp_path, programs.elf(kind=1))
    assert "core dump" in reason(tmp_path, programs.elf(kind=4))
    assert "shared library" in reason(tmp_path, programs.elf(kind=3, entry=0))
    assert "ELF type is 77" in reason(tmp_path, programs.elf(kind=77))


def test_dynamic_program_names_its_libraries_and_the_way_out(tmp_path: Path) -> None:
    text = reason(tmp_path, programs.dynamic_elf(["libc.so.6", "libpthread.so.0"]))
    assert "libc.so.6, libpthread.so.0" in text and "CGO_ENABLED=0" in text


def test_dynamic_program_whose_strings_are_lost_is_refused_still(tmp_path: Path) -> None:
    entries = struct.pack("<qQqQqQ", 1, 5, 5, 0x10, 0, 0)
    assert "name is lost" in reason(tmp_path, programs.elf(extra=[(2, entries)]))


def test_first_instruction_outside_every_segment(tmp_path: Path) -> None:
    assert "no executable segment" in reason(tmp_path, programs.elf(entry=0x10))


def patched(at: int, value: int) -> bytes:
    """The sample program with 8 bytes of its first program header changed, `at` counted from the header's start."""
    data = bytearray(programs.elf())
    struct.pack_into("<Q", data, 64 + at, value)
    return bytes(data)


def test_corrupt_segments(tmp_path: Path) -> None:
    assert "larger in the file" in reason(tmp_path, patched(40, 1))
    assert "end of user memory" in reason(tmp_path, patched(40, 1 << 63))
    assert "power of two" in reason(tmp_path, patched(48, 3))
    assert "another place within its page" in reason(tmp_path, patched(16, programs.BASE + 0x1001))
    assert "cut short" in reason(tmp_path, patched(32, 1 << 40))


def check(path: Path) -> None:
    """A program, or a refusal that says something."""
    try:
        program = read_program(path)
    except CannotRun as refusal:
        assert len(refusal.message) > len(str(path)) + 10
    else:
        assert isinstance(program, Program) and program.loads
        assert program.go is None or program.go.version


@settings(max_examples=300, deadline=None, suppress_health_check=NO_MATTER)
@given(st.sampled_from(["fixed", "dynamic"]), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
@example("fixed", [(56, 255), (57, 255)])
def test_damaged_headers_give_a_program_or_a_sentence(tmp_path: Path, kind: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(programs.elf() if kind == "fixed" else programs.dynamic_elf(["libc.so.6"]))
    for at, value in damage:
        data[at] = value
    check(programs.write(tmp_path, bytes(data)))


@settings(max_examples=200, deadline=None, suppress_health_check=NO_MATTER)
@given(st.binary(max_size=300))
def test_any_bytes_behind_the_magic_give_a_sentence(tmp_path: Path, data: bytes) -> None:
    check(programs.write(tmp_path, b"\x7fELF" + data))


@settings(max_examples=200, deadline=None, suppress_health_check=NO_MATTER)
@given(st.binary(max_size=200), st.integers(0, 15))
def test_any_bytes_behind_the_build_information_mark(tmp_path: Path, data: bytes, shift: int) -> None:
    code = b"\xf4" * 16 + b"\0" * shift + b"\xff Go buildinf:\x08\x02" + data
    check(programs.write(tmp_path, programs.elf(code=code)))
