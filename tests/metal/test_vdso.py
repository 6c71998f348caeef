"""A vDSO of metal functions: its data lies before it, and on this machine it runs wherever it is mapped."""

import ctypes
import io
import mmap
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from goanna.metal import Array, Ptr, constant, extern_static, metal, struct, u32, u64
from goanna.metal.target import ARCHITECTURES, host_target
from goanna.metal.vdso import vdso_image


@struct
class Clock:
    base: u64
    step: u32


clock = extern_static("__vdso_data", Clock)
FACTORS = constant(Array[u64, 4], [1, 10, 100, 1000])


@metal(inline=False)
def scaled(index: u64) -> u64:
    return clock.base + u64(clock.step) * FACTORS[index]


@metal(export="__vdso_time")
def time(index: u64, result: Ptr[u64]) -> u64:
    value = scaled(index)
    if result is not None:
        result.value = value
    return value


VERSIONS = {"LINUX_2.6": ["__vdso_time"]}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_needs_no_relocation_and_no_other_object(architecture: str) -> None:
    elf = ELFFile(io.BytesIO(vdso_image([time], architecture, VERSIONS)))
    tags = {each.entry.d_tag for each in elf.get_section_by_name(".dynamic").iter_tags()}
    assert not tags & {"DT_NEEDED", "DT_RELA", "DT_REL", "DT_RELR", "DT_JMPREL", "DT_TEXTREL"}
    assert [each.name for each in elf.get_section_by_name(".dynsym").iter_symbols()] == ["", "__vdso_time"]


def test_it_runs_where_it_is_mapped_and_reads_the_page_before_it() -> None:
    image = vdso_image([time], host_target().name, VERSIONS)
    symbol: Any = ELFFile(io.BytesIO(image)).get_section_by_name(".dynsym").get_symbol(1)
    memory = mmap.mmap(-1, 4096 + mmap.PAGESIZE * 4, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory[: Clock.size] = Clock.pack(base=5, step=3)
    memory[4096 : 4096 + len(image)] = image
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + 4096 + symbol["st_value"]
    function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p)(address)
    result = ctypes.c_uint64()
    assert function(2, ctypes.addressof(result)) == 305 == result.value
    assert function(0, None) == 8
