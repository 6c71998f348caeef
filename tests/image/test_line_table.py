"""The line table of code in metal, for each machine: the rows that pyelftools reads of it."""

from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from goanna.failure import Failure
from goanna.image.line_table import line_rows
from goanna.metal.compile import compile_object
from goanna.metal.link import kernel_script, link
from goanna.metal.runtime import runtime_object
from goanna.metal.target import ARCHITECTURES, kernel_target
from tests.kernel.shared import panicking


def rows_of_pyelftools(elf):
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        folders = [each.decode() for each in program["include_directory"]]
        files = [f"{folders[each.dir_index]}/{each.name.decode()}" for each in program["file_entry"]]
        for entry in program.get_entries():
            if (state := entry.state) is not None:
                yield state.address, files[state.file], 0 if state.end_sequence else state.line


@pytest.fixture(scope="module", params=ARCHITECTURES)
def linked(request, tmp_path_factory):
    folder: Path = tmp_path_factory.mktemp("lines")
    target = kernel_target(request.param)
    objects = [folder / "one.o", folder / "two.o", folder / "runtime.o"]
    runtime_object(target, objects[2])
    compile_object([panicking.start], target, objects[0])
    compile_object([panicking.find, panicking.file_of], target, objects[1], level=0)
    link(
        objects, kernel_script(target, 0xFFFFFFFF80200000, 0x200000), folder / "elf", entry="_start", gc_sections=False
    )
    return folder / "elf"


def test_rows_are_those_of_pyelftools(linked):
    with linked.open("rb") as stream:
        elf = ELFFile(stream)
        rows = list(line_rows(elf))
        assert rows == list(rows_of_pyelftools(elf))
        assert {row.file for row in rows} >= {panicking.__file__}
        assert len({row.line for row in rows}) > 20


def test_a_table_of_another_version_is_refused(linked):
    class Section:
        def data(self):
            return b"\x20\0\0\0\4\0\x08\0" + bytes(28)

    class Elf:
        def get_section_by_name(self, name):
            return Section() if name == ".debug_line" else None

    with pytest.raises(Failure, match="DWARF 4"):
        list(line_rows(Elf()))
