"""A kernel that finds itself wrong says why and where, in Python; where the program was; and ends the machine.

The kernel is made wrong on purpose: in a copy of it, the body of the system call `write` is somewhere else.
"""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from goanna.cli.guest import Guest
from goanna.image.elf import write_image
from goanna.image.layout import Launch
from goanna.kernel.arch.x86_64.numbers import SYSCALL_NUMBERS
from goanna.kernel.build import BuiltKernel, built_kernel
from tests.boot import toolchains
from tests.boot.catalogue import guests
from tests.boot.running import GOANNA
from tests.boot.test_bare import EXITS, run

PLACE = r"[\w.]+ \(kernel/[\w/]+\.py:\d+\)"
PANIC = re.compile(
    r"goanna: kernel panic: (?P<reason>.+)\n"
    r"  at (?P<place>.+)\n"
    r"(?P<callers>(  from .+\n)+)"
    r"(   .+\n)+"
    r"  program: thread \d+ at 0x(?P<counter>[0-9a-f]+), its last system call was write\n"
)


def with_other_write(kernel: BuiltKernel, address: int, folder: Path) -> BuiltKernel:
    """A copy of a kernel in whose table of calls the body of write is at `address`."""
    data = bytearray(kernel.elf.read_bytes())
    with kernel.elf.open("rb") as stream:
        elf: Any = ELFFile(stream)
        symbol = elf.get_section_by_name(".symtab").get_symbol_by_name("kernel.syscall.dispatch.CALLS")[0]
        section = elf.get_section(symbol["st_shndx"])
        at = section["sh_offset"] + symbol["st_value"] - section["sh_addr"]
    struct.pack_into("<Q", data, at + 8 * SYSCALL_NUMBERS["write"], address)
    copy = folder / "kernel.elf"
    copy.write_bytes(data)
    return BuiltKernel(copy, kernel.panic_table, kernel.header_address)


def address_of(kernel: BuiltKernel, name: str) -> int:
    """Where a function of the kernel begins."""
    with kernel.elf.open("rb") as stream:
        elf: Any = ELFFile(stream)
        return int(elf.get_section_by_name(".symtab").get_symbol_by_name(name)[0]["st_value"])


def a_failing_check(kernel: BuiltKernel) -> int:
    """The address of an instruction that a failed check ends at."""
    with kernel.elf.open("rb") as stream:
        elf: Any = ELFFile(stream)
        address, _ = struct.unpack_from("<QI", elf.get_section_by_name(".goanna.traps").data())
    return int(address)


@pytest.fixture(scope="module")
def program() -> Path:
    guest = next(guest for guest in guests() if guest.bare)
    return toolchains.build_go(guest, toolchains.newest_go())


def image_with(kernel: BuiltKernel, program: Path, folder: Path) -> Path:
    path = folder / "broken.img"
    tree, _ = Guest().tree(program, "/bin/hello")
    launch = Launch(path=b"/bin/hello", arguments=[b"/bin/hello"], environment={})
    write_image(path, kernel, tree.root, launch)
    return path


def checked(text: str, program: Path) -> re.Match[str]:
    """The panic's text; the program stood at the instruction that makes its system calls."""
    said = PANIC.search(text)
    assert said is not None, text
    with program.open("rb") as stream:
        elf: Any = ELFFile(stream)
        symbols = elf.get_section_by_name(".symtab").iter_symbols()
        counter = int(said["counter"], 16)
        here = [each.name for each in symbols if 0 < counter - each["st_value"] < each["st_size"]]
    assert here[0].endswith("Syscall6")
    return said


def test_a_failed_check_names_its_python_line(program: Path, tmp_path: Path, processors: int) -> None:
    kernel = built_kernel()
    image = image_with(with_other_write(kernel, a_failing_check(kernel), tmp_path), program, tmp_path)
    command = [*GOANNA, "run", "-c", str(processors), "--timeout", "240", image]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (125, "")
    said = checked(done.stderr, program)
    assert re.fullmatch(PLACE, said["place"]) and "fault" not in said["reason"]


def test_a_jump_to_nowhere_is_told_on_a_bare_machine(program: Path, tmp_path: Path, processors: int) -> None:
    # What traces a call is handed no body to call here, but what the program left in that register.
    kernel = built_kernel()
    caller = address_of(kernel, "kernel.syscall.trace.traced_call")
    image = image_with(with_other_write(kernel, caller, tmp_path), program, tmp_path)
    text, status = run(image, "-machine", "q35", "-smp", str(processors), *EXITS["debug-exit"])
    said = checked(text.replace("\r", ""), program)
    assert said["reason"].startswith("page fault")
    assert re.search(rf"  from {PLACE}\n", said["callers"])
    assert status == 2 * 125 + 1
