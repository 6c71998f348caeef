"""A boot copies no byte of the program that nobody writes to: its pages are mapped where they lie in the image.

Seen from outside, without the kernel's help: QEMU keeps the machine's memory in a file. While the program rests, every
stretch of its file is looked for in that memory, at every eighth byte. It may be in one place only, the image's own,
but for pages of data that the program has written to.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from goanna.image.reading import read_image
from goanna.program.elf import PT_LOAD, parse_segments
from tests.boot import toolchains
from tests.boot.catalogue import GUESTS, Guest
from tests.boot.running import GOANNA

PAGE = 4096
STRETCH = 256  # bytes that are looked for at a time: more than a Go program copies when it fills its variables
FEWEST_VALUES = 16  # different bytes in a stretch that is worth looking for: others may be there by chance
MEMORY = 32 << 20
WRITABLE = 2  # PF_W


@pytest.fixture(scope="module")
def program() -> Path:
    guest = Guest("resting", GUESTS / "resting", "go", (), False, ())
    return toolchains.build_go(guest, toolchains.newest_go())


def memory_at_rest(program: Path, folder: Path, processors: int, arguments: Sequence[str]) -> tuple[bytes, int, int]:
    """The machine's memory while the program rests, and where in it the program's file begins and the image ends."""
    image = folder / "resting.img"
    subprocess.run([*GOANNA, "build", "-o", image, program, "--", *arguments], check=True)
    backing = folder / "memory"
    command = [
        "qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio",
        "-machine", "microvm,memory-backend=ram", "-smp", str(processors), "-m", f"{MEMORY >> 20}M",
        "-object", f"memory-backend-file,id=ram,size={MEMORY},mem-path={backing},share=on", "-kernel", image,
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as machine:
        try:
            assert machine.stdout is not None and machine.stdout.readline() == b"ready\n"
            memory = backing.read_bytes()
        finally:
            machine.kill()
    read = read_image(image)
    start = next(each for each in reversed(read.segments) if each.kind == PT_LOAD).physical
    return memory, start + read.bundle.index(program.read_bytes()[:PAGE]), read.end


def copies(memory: bytes, program: bytes, at: int, end: int) -> dict[int, set[int]]:
    """Pages of the program that are somewhere else, too: offsets in its file, each with those of memory's pages."""
    places: dict[bytes, int] = {}
    for offset in range(0, len(program) - STRETCH, STRETCH):
        stretch = program[offset : offset + STRETCH]
        if len(set(stretch)) >= FEWEST_VALUES:
            places[stretch] = -1 if stretch in places else offset
    assert len(places) > len(program) // STRETCH // 3 and memory[at : at + PAGE] == program[:PAGE]
    found: dict[int, set[int]] = {}
    for begin, limit in ((0, at), (end, len(memory))):
        for address in range(begin, limit, 8):
            offset = places.get(memory[address : address + STRETCH], -1)
            if offset >= 0:
                found.setdefault(offset // PAGE * PAGE, set()).add(address // PAGE * PAGE)
    return found


def test_only_pages_that_are_written_to_are_copied(program: Path, tmp_path: Path, processors: int) -> None:
    data = program.read_bytes()
    memory, at, end = memory_at_rest(program, tmp_path, processors, [])
    writable = [each for each in parse_segments(program, data) if each.kind == PT_LOAD and each.flags & WRITABLE]
    for offset, pages in copies(memory, data, at, end).items():
        assert any(each.offset - PAGE < offset < each.offset + each.file_size for each in writable), hex(offset)
        for page in pages:
            assert memory[page : page + PAGE] != data[offset : offset + PAGE], hex(offset)


def test_a_copy_is_found(program: Path, tmp_path: Path) -> None:
    data = program.read_bytes()
    memory, at, end = memory_at_rest(program, tmp_path, 1, ["copy"])
    found = copies(memory, data, at, end)
    assert any(memory[page : page + PAGE] == data[offset : offset + PAGE] for offset in found for page in found[offset])
