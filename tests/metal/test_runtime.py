"""The kernel's memory functions against Python's own, at every size where their loops change over."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.metal import runtime
from goanna.metal.backend import assemble, emit_object
from goanna.metal.host_engine import HostModule
from goanna.metal.target import host_target, kernel_target

NAMES = ("memmove", "memset", "memcmp")
SIZE = 700


def _functions(address: Callable[[str], int]) -> list[Any]:
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    signatures = [(pointer, pointer, pointer, size), (pointer, pointer, ctypes.c_int, size),
                  (ctypes.c_int, pointer, pointer, size)]  # fmt: skip
    return [ctypes.CFUNCTYPE(*each)(address(name)) for name, each in zip(NAMES, signatures, strict=True)]


@pytest.fixture(scope="module", params=["assembly", "words"])
def functions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """memmove, memset and memcmp: x86-64's, or the other machines' compiled for the host under names of their own."""
    if request.param == "words":
        text = runtime.memory_ir(host_target()).replace("@memcpy = hidden alias ptr (ptr, ptr, i64), ptr @memmove", "")
        for name in NAMES:
            text = text.replace(f"@{name}(", f"@goanna_{name}(")
        module = HostModule(text, 2)
        return _functions(lambda name: module.address(f"goanna_{name}")), module
    if host_target().name != "x86_64":
        pytest.skip("not an x86-64 host")
    from goanna.metal.backend import run_zig

    folder = tmp_path_factory.mktemp("runtime")
    assemble(runtime.ASSEMBLY_X86_64.replace(".hidden", "#"), kernel_target("x86_64"), folder / "a.o")
    run_zig(["ld.lld", "-shared", str(folder / "a.o"), "-o", str(folder / "a.so")])
    library = ctypes.CDLL(str(folder / "a.so"))
    return _functions(lambda name: ctypes.cast(library[name], ctypes.c_void_p).value or 0), library


sizes = st.one_of(st.integers(0, 40), st.integers(0, SIZE // 2), st.sampled_from([255, 256, 257, 263, 264]))


@settings(max_examples=300, deadline=None)
@given(sizes, st.integers(0, SIZE // 2), st.integers(0, SIZE // 2), st.integers(0, 255))
def test_move_and_set_as_python_does(functions: Any, size: int, source: int, target: int, byte: int) -> None:
    (move, fill, _), _ = functions
    size = min(size, SIZE - max(source, target))
    buffer = bytearray(index * 7 + 3 & 255 for index in range(SIZE))
    expected = bytearray(buffer)
    base = ctypes.addressof((ctypes.c_uint8 * SIZE).from_buffer(buffer))
    expected[target : target + size] = bytes(buffer[source : source + size])
    assert move(base + target, base + source, size) == base + target
    assert buffer == expected
    assert fill(base + source, byte | 0x300, size) == base + source
    expected[source : source + size] = bytes([byte]) * size
    assert buffer == expected


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 39), st.integers(0, 255))
def test_compare_as_python_does(functions: Any, data: bytes, place: int, byte: int) -> None:
    (_, _, compare), _ = functions
    other = bytearray(data)
    if place < len(other):
        other[place] = byte
    changed = bytes(other)
    one, two = ctypes.create_string_buffer(data + b"x"), ctypes.create_string_buffer(changed + b"y")
    result = compare(ctypes.addressof(one), ctypes.addressof(two), len(data))
    assert (result > 0) - (result < 0) == (data > changed) - (data < changed)


@pytest.mark.parametrize("name", ["aarch64", "riscv64"])
def test_the_loops_do_not_become_calls_of_themselves(name: str, tmp_path: Path) -> None:
    from elftools.elf.elffile import ELFFile

    target = kernel_target(name)
    emit_object(runtime.memory_ir(target), target, tmp_path / "a.o")
    with (tmp_path / "a.o").open("rb") as stream:
        elf = ELFFile(stream)
        names = set()
        for section in elf.iter_sections("SHT_RELA"):
            symbols = elf.get_section(section["sh_link"])
            if section.name.startswith(".rela.text"):
                names |= {symbols.get_symbol(each["r_info_sym"]).name for each in section.iter_relocations()}
        assert all(name.startswith(".L") for name in names), "constants, and no function"
