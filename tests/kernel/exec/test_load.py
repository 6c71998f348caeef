"""Programs loaded: what the processor would find in memory, on the stack, and what is refused."""

import io
import os
import shutil
import struct
import subprocess

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import E2BIG, EFAULT, EIO, ENOENT, ENOEXEC, ENOMEM
from goanna.kernel.exec import load
from goanna.kernel.exec.stack import Start
from goanna.kernel.memory import area, space
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.source import PageSource
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Ptr, Slice, i64, jit, metal, u8, u64, unsafe
from goanna.metal import struct as metal_struct
from tests.kernel.exec.programs import PT_LOAD, Segment, fixed, movable
from tests.kernel.memory import machine
from tests.kernel.memory.machine import ROOTS, Memory, hooks, random_state

PAGE = 4096
READ, WRITE, EXECUTE = 1, 2, 4


@metal_struct
class Contents:
    """A file that lies in the arena behind the RAM."""

    source: PageSource
    start: u64
    pages: u64


@metal
def get_page(source: Ptr[PageSource], index: u64, writing: bool) -> u64:
    contents = unsafe.container(Contents, "source", source)
    return contents.start + index * 4096 if index < contents.pages else u64(0)


@metal
def prepare(contents: Contents) -> None:
    contents.source.get_page = get_page
    contents.source.references.store(1)


@metal
def no_vdso(space_: AddressSpace) -> u64:
    return 0


@metal
def load_with(
    space_: AddressSpace, contents: Contents, size: u64, start: Start, arguments: Slice[u8], environment: Slice[u8],
    path: Slice[u8],
) -> i64:  # fmt: skip
    start.arguments = arguments
    start.environment = environment
    start.path = path
    return load.load_program(space_, contents.source, size, start)


@metal
def area_at(space_: AddressSpace, address: u64) -> Ptr[Area]:
    return area.find(space_.areas, address)


with hooks((load.map_vdso, no_vdso)):
    unit = jit(*ROOTS, random_state, prepare, load_with, area_at, space.create, space.release, machine.read)


class Loaded:
    """A program in a new space."""

    def __init__(self, data, arguments=(b"prog",), environment=(), path=b"/bin/prog", seed=1, ram=16 << 20):
        size = -(-len(data) // PAGE) * PAGE
        self.memory = Memory(unit, ram + size + PAGE, [(0, ram)])
        unit.set(random_state, seed)
        self.memory.bytes(ram, len(data))[:] = data
        self.contents = unit.new(Contents, start=ram, pages=size // PAGE)
        unit.call(prepare, self.contents)
        self.free = self.memory.free
        self.space = unit.call(space.create)
        self.start = unit.new(Start)
        self.result = unit.call(
            load_with, self.space, self.contents, len(data), self.start, b"".join(each + b"\0" for each in arguments),
            b"".join(each + b"\0" for each in environment), path + b"\0",
        )  # fmt: skip

    def read(self, address, size):
        data = bytearray(size)
        assert unit.call(machine.read, self.space, data, address) == 0, hex(address)
        return bytes(data)

    def words(self, address, count):
        return struct.unpack(f"<{count}Q", self.read(address, 8 * count))

    def text(self, address):
        data = b""
        while not data.endswith(b"\0"):
            data += self.read(address + len(data), 1)
        return data[:-1]

    def protection(self, address):
        found = unit.call(area_at, self.space, address)
        return None if found is None else found.protection


def check_segments(loaded, data, bias, skip=()):
    """Each PT_LOAD segment is there, its bytes the file's but for ranges `skip`, its rest zero."""


    for segment in ELFFile(io.BytesIO(data)).iter_segments("PT_LOAD"):
        header = segment.header
        expected = bytearray(segment.data().ljust(header.p_memsz, b"\0"))
        found = bytearray(loaded.read(bias + header.p_vaddr, header.p_memsz))
        for at in skip:
            inside = at - header.p_vaddr
            if 0 <= inside < header.p_memsz:
                found[inside : inside + 8] = expected[inside : inside + 8]
        assert found == expected
        rest = -(bias + header.p_vaddr + header.p_memsz) % PAGE
        if header.p_flags & 2:
            assert not any(loaded.read(bias + header.p_vaddr + header.p_memsz, rest))


def test_a_fixed_program_lies_where_it_says():
    data = fixed().pack()
    loaded = Loaded(data)
    assert loaded.result == 0
    check_segments(loaded, data, 0)
    assert loaded.start.entry == 0x400100
    assert loaded.start.headers == 0x400040 and loaded.start.header_count == 3
    assert loaded.protection(0x400000) == READ | EXECUTE
    assert loaded.protection(0x403800) == READ | WRITE
    assert loaded.protection(0x405000) == READ | WRITE
    assert loaded.protection(0x402000) is None
    assert 0x407000 <= loaded.space.break_start < 0x407000 + (32 << 20)


def test_a_movable_program_is_relocated_at_a_random_base():
    bases = set()
    relocations = [(0x3000, 0x1234), (0x3FF8, 0x20), (0x37FC, 0x30)]
    data = movable(relocations).pack()
    for seed in range(1, 12):
        loaded = Loaded(data, seed=seed * 0x1234567)
        assert loaded.result == 0
        base = loaded.start.entry - 0x1100
        assert base % PAGE == 0 and 0x5555_0000_0000 <= base < 0x6666_0000_0000
        bases.add(base)
        for offset, addend in relocations:
            assert loaded.words(base + offset, 1) == (base + addend,)
        check_segments(loaded, data, base, [offset for offset, _ in relocations])
        assert loaded.protection(base + 0x3000) == READ  # RELRO
        assert loaded.protection(base + 0x4000) == READ | WRITE
    assert len(bases) == 11


def test_a_relocation_across_a_page_border():
    loaded = Loaded(movable([(0x4FFC, 0x77)]).pack())
    assert loaded.result == 0
    base = loaded.start.entry - 0x1100
    assert loaded.words(base + 0x4FFC, 1) == (base + 0x77,)


def test_the_stack_is_what_linux_makes():
    arguments, environment = [b"prog", b"", b"two words"], [b"A=1", b"PATH=/bin:/usr/bin"]
    loaded = Loaded(fixed().pack(), arguments, environment, b"/bin/the program")
    at = loaded.start.stack
    assert at % 16 == 0
    count, *pointers = loaded.words(at, 1 + 4 + 3)
    assert count == 3
    assert [loaded.text(each) for each in pointers[:3]] == arguments and pointers[3] == 0
    assert [loaded.text(each) for each in pointers[4:6]] == environment and pointers[6] == 0
    vector, at = {}, at + 8 * 8
    while (pair := loaded.words(at, 2))[0] != 0:
        assert pair[0] not in vector
        vector[pair[0]] = pair[1]
        at += 16
    assert vector[3] == 0x400040 and vector[4] == 56 and vector[5] == 3 and vector[6] == PAGE and vector[9] == 0x400100
    assert vector[7] == vector[8] == vector[23] == 0 and vector[17] == 100
    assert loaded.text(vector[31]) == b"/bin/the program"
    assert loaded.text(vector[15]) == b"x86_64"
    assert len(set(loaded.read(vector[25], 16))) > 4
    assert 33 not in vector and 27 not in vector
    assert {11, 12, 13, 14, 16, 26, 51} < vector.keys()
    space_ = loaded.space
    assert loaded.read(space_.argument_start, space_.argument_end - space_.argument_start) == b"prog\0\0two words\0"
    assert loaded.read(space_.environment_start, space_.environment_end - space_.environment_start).startswith(b"A=1\0")


def test_stacks_and_arguments_are_put_at_random():
    data = fixed().pack()
    assert len({Loaded(data, seed=seed * 7919).start.stack for seed in range(1, 20)}) == 19


def test_many_arguments_grow_the_stack_and_too_many_are_refused():
    assert Loaded(fixed().pack(), [b"x" * 1000] * 900).result == 0
    assert Loaded(fixed().pack(), [b"x" * 1000] * 2200).result == -E2BIG
    assert Loaded(fixed().pack(), [b"x" * 131072]).result == -E2BIG


def test_nothing_leaks():
    loaded = Loaded(movable().pack())
    unit.call(space.release, loaded.space)
    assert loaded.free - loaded.memory.free <= 6  # spare slabs


def test_without_memory_loading_fails_cleanly():
    for ram in range(17, 60):
        assert Loaded(movable().pack(), ram=ram * PAGE).result in (0, -ENOMEM, -EFAULT)


@pytest.mark.parametrize("change, result", [
    (lambda elf: setattr(elf, "machine", 183), -ENOEXEC),
    (lambda elf: setattr(elf, "kind", 1), -ENOEXEC),
    (lambda elf: setattr(elf, "entry", 0x500000), -ENOEXEC),
    (lambda elf: setattr(elf, "segments", []), -ENOEXEC),
    (lambda elf: setattr(elf.segments[0], "file_size", 1 << 40), -ENOEXEC),
    (lambda elf: setattr(elf.segments[0], "address", 0x400010), -ENOEXEC),
    (lambda elf: setattr(elf.segments[1], "address", 0x400800), -ENOEXEC),
    (lambda elf: setattr(elf.segments[1], "memory_size", 0x7FFF_FFFF_F000), -ENOEXEC),
    (lambda elf: setattr(elf.segments[1], "memory_size", 1), -ENOEXEC),
    (lambda elf: setattr(elf.segments[0], "align", 3), -ENOEXEC),
    (lambda elf: setattr(elf.segments[0], "address", 0), -ENOEXEC),
], ids=[f"case{number}" for number in range(11)])  # fmt: skip
def test_what_is_refused(change, result):
    elf = fixed()
    change(elf)
    assert Loaded(elf.pack()).result == result


def test_dynamic_programs_and_other_relocations_are_refused():
    assert Loaded(movable(needed=True).pack()).result == -ENOENT
    assert Loaded(movable(kind=6).pack()).result == -ENOEXEC
    assert Loaded(movable([(0x7FFF_FFFF, 1)]).pack()).result == -EFAULT
    assert Loaded(movable([(0x1000, 1)]).pack()).result == -EFAULT  # into the text


def test_short_files_are_refused():
    data = fixed().pack()
    for size in (0, 1, 63, 64, 100, 64 + 56 * 3 - 1, 0x1000, 0x2D00 - 1):
        assert Loaded(data[:size]).result == -ENOEXEC


VALUES = st.sampled_from([b"\0", b"\xff", b"\x80", b"\xff" * 8, bytes(8), b"\1"]) | st.binary(min_size=1, max_size=8)
RESULTS = {0, -ENOEXEC, -ENOENT, -EIO, -EFAULT, -ENOMEM}


@given(st.sampled_from([fixed, movable]), st.data())
@settings(max_examples=120, deadline=None)
def test_an_altered_file_is_refused_or_loaded_and_never_a_panic(make, data):
    altered = bytearray(make().pack())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, 0x1A0) | st.integers(0, len(altered) - 1))
        value = data.draw(VALUES)
        altered[at : at + len(value)] = value[: len(altered) - at]
    loaded = Loaded(bytes(altered))
    assert loaded.result in RESULTS
    unit.call(space.release, loaded.space)
    assert loaded.free - loaded.memory.free <= 8


@given(st.lists(st.builds(
    Segment, st.sampled_from([PT_LOAD, PT_LOAD, 2, 3, 0x6474E552]), st.integers(0, 7),
    *[st.sampled_from([0, 1, 0x800, 0x1000, 0x1800, 0x400000, 0x7FFF_FFFF_F000, 2**63, 2**64 - 1]) for _ in range(4)],
    st.sampled_from([0, 1, 4096, 3, 2**21, 2**63]),
), max_size=5), st.sampled_from([2, 3]))  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_no_program_header_is_a_panic(segments, kind):
    elf = fixed()
    elf.kind, elf.segments, elf.entry = kind, segments, segments[0].address if segments else 0
    loaded = Loaded(elf.pack())
    assert loaded.result in RESULTS
    unit.call(space.release, loaded.space)


@pytest.fixture(scope="module", params=["default", "pie"])
def go_program(request, tmp_path_factory):
    if shutil.which("go") is None:
        pytest.skip("there is no Go here")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n')
    subprocess.run(
        ["go", "build", f"-buildmode={request.param}", "-o", "program", "main.go"], cwd=folder, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"},
    )  # fmt: skip
    return request.param, (folder / "program").read_bytes()


def test_what_go_builds_is_loaded(go_program):


    mode, data = go_program
    loaded = Loaded(data)
    assert loaded.result == 0
    elf = ELFFile(io.BytesIO(data))
    bias = loaded.start.entry - elf.header.e_entry
    skip = []
    if mode == "pie":
        assert bias != 0
        table = elf.get_section_by_name(".rela")
        for each in table.iter_relocations():
            skip.append(each["r_offset"])
            if len(skip) % 37 == 0:
                assert loaded.words(bias + each["r_offset"], 1) == (bias + each["r_addend"],)
        assert len(skip) > 1000
    check_segments(loaded, data, bias, skip)
