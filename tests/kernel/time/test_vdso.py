"""The vDSO, loaded into this process with a page of data that the test makes: what it shows is the formula's time."""

import ctypes
import mmap
import platform

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.time.vdso import FUNCTIONS
from goanna.kernel.time.vdso_data import VdsoData
from goanna.kernel.time.vdso_image import build_vdso

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the vDSO is run here")

SECOND = 1_000_000_000
SHIFT = 4


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_int64)]


@pytest.fixture(scope="module")
def image():
    return build_vdso("x86_64")


@pytest.fixture(scope="module")
def mapped(image):
    """The image behind its page of data, executable; and its functions by name."""
    pages = mmap.mmap(-1, 4096 + -(-len(image) // 4096) * 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    pages[4096 : 4096 + len(image)] = image
    base = ctypes.addressof(ctypes.c_char.from_buffer(pages)) + 4096
    return pages, base


@pytest.fixture(scope="module")
def functions(image, mapped, tmp_path_factory):
    path = tmp_path_factory.mktemp("vdso") / "vdso.so"
    path.write_bytes(image)
    with path.open("rb") as file:
        symbols = {each.name: each["st_value"] for each in ELFFile(file).get_section_by_name(".dynsym").iter_symbols()}
    kind = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    clock = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    _, base = mapped
    found = {name: kind(base + symbols[name]) for name in FUNCTIONS}
    found["__vdso_clock_gettime"] = clock(base + symbols["__vdso_clock_gettime"])
    return found


def write(mapped, **fields):
    pages, _ = mapped
    data = VdsoData.pack(**fields)
    pages[: len(data)] = data


def counter():
    """The time stamp counter, as the vDSO reads it."""
    code = bytes.fromhex("0faee80f3148c1e2204809d0c3")  # lfence; rdtsc; shl $32, %rdx; or %rdx, %rax; ret
    if not hasattr(counter, "function"):
        counter.page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        counter.page[: len(code)] = code
        address = ctypes.addressof(ctypes.c_char.from_buffer(counter.page))
        counter.function = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    return counter.function()


def nanoseconds(ticks, multiplier):
    return ((ticks << SHIFT) & (2**64 - 1)) * multiplier >> 64


@settings(max_examples=100, deadline=None)
@given(
    clock=st.sampled_from([0, 1, 4, 7, 11]),
    frequency=st.integers(10**8, 5 * 10**9),
    past=st.integers(0, 10**16),
    offset=st.integers(0, 4 * 10**18),
)
def test_a_clock_lies_between_two_readings_of_the_counter(mapped, functions, clock, frequency, past, offset):
    multiplier = min((SECOND << (64 - SHIFT)) // frequency, 2**64 - 1)
    before = counter()
    base = max(before - past, 0)
    write(mapped, shift=SHIFT, multiplier=multiplier, base=base, wall_offset=offset)
    before = counter()
    time = Timespec()
    assert functions["__vdso_clock_gettime"](clock, ctypes.addressof(time)) == 0
    after = counter()
    shown = time.seconds * SECOND + time.nanoseconds
    extra = offset if clock in (0, 11) else 0
    assert 0 <= time.nanoseconds < SECOND
    assert nanoseconds(before - base, multiplier) <= shown - extra <= nanoseconds(after - base, multiplier)


@settings(max_examples=20, deadline=None)
@given(clock=st.sampled_from([5, 6]), past=st.integers(0, 10**15))
def test_a_coarse_clock_shows_the_last_tick(mapped, functions, clock, past):
    multiplier = (SECOND << (64 - SHIFT)) // (2 * SECOND)
    write(mapped, shift=SHIFT, multiplier=multiplier, base=max(counter() - past, 0), wall_offset=1_700_000_000 * SECOND)
    fine, coarse = Timespec(), Timespec()
    functions["__vdso_clock_gettime"](1 if clock == 6 else 0, ctypes.addressof(fine))
    functions["__vdso_clock_gettime"](clock, ctypes.addressof(coarse))
    assert coarse.nanoseconds % 4_000_000 == 0
    behind = (coarse.seconds - fine.seconds) * SECOND + coarse.nanoseconds - fine.nanoseconds
    assert -4_000_000 < behind < 1_000_000_000


def test_gettimeofday_and_time_show_real_time(mapped, functions):
    multiplier = (SECOND << (64 - SHIFT)) // (2 * SECOND)
    write(mapped, shift=SHIFT, multiplier=multiplier, base=counter(), wall_offset=1_700_000_000 * SECOND + 123_456_789)
    time, zone, seconds = Timespec(), ctypes.c_uint64(77), ctypes.c_int64()
    assert functions["__vdso_gettimeofday"](ctypes.addressof(time), ctypes.addressof(zone)) == 0
    assert time.seconds == 1_700_000_000
    assert 123_456 <= time.nanoseconds < 1_000_000
    assert zone.value == 0
    assert functions["__vdso_time"](ctypes.addressof(seconds), None) == seconds.value == 1_700_000_000
    assert functions["__vdso_time"](None, None) == 1_700_000_000


def test_without_a_usable_counter_the_kernel_is_asked(mapped, functions):
    """This machine's own kernel, here."""
    import time

    write(mapped, multiplier=0)
    shown = Timespec()
    before = time.monotonic_ns()
    assert functions["__vdso_clock_gettime"](1, ctypes.addressof(shown)) == 0
    assert before <= shown.seconds * SECOND + shown.nanoseconds <= time.monotonic_ns()
    assert int(time.time()) - 1 <= functions["__vdso_time"](None, None) <= time.time()
    before = int(time.time())
    assert functions["__vdso_gettimeofday"](ctypes.addressof(shown), None) == 0
    assert before <= shown.seconds <= time.time()


@pytest.mark.parametrize("clock", [2, 3, 8, 9])
def test_clocks_that_need_the_kernel_are_the_kernels(mapped, functions, clock):
    write(mapped, shift=SHIFT, multiplier=1 << 60, base=0)
    shown, expected = Timespec(), Timespec()
    system = ctypes.CDLL(None).clock_gettime
    result = functions["__vdso_clock_gettime"](clock, ctypes.addressof(shown))
    assert (result == 0) == (system(clock, ctypes.byref(expected)) == 0)
    assert abs(shown.seconds - expected.seconds) <= 1


@pytest.mark.parametrize("clock", [10, 12, 63, 64, 2**31 - 1, -(2**31)])
def test_what_is_no_clock_is_an_error(mapped, functions, clock):
    write(mapped, shift=SHIFT, multiplier=1 << 60, base=0)
    assert functions["__vdso_clock_gettime"](clock, ctypes.addressof(Timespec())) == -22


def test_clock_getres_and_getcpu_are_the_kernels(functions):
    resolution, processor = Timespec(), ctypes.c_uint32(2**32 - 1)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
    getres = kind(ctypes.cast(functions["__vdso_clock_getres"], ctypes.c_void_p).value)
    assert getres(1, ctypes.addressof(resolution)) == 0
    assert (resolution.seconds, resolution.nanoseconds) == (0, 1)
    assert functions["__vdso_getcpu"](ctypes.addressof(processor), None) == 0
    assert processor.value < 4096


def test_every_function_has_the_version_that_programs_look_up(image, tmp_path):
    path = tmp_path / "vdso.so"
    path.write_bytes(image)
    with path.open("rb") as file:
        elf = ELFFile(file)
        names = {}
        for definition, auxiliaries in elf.get_section_by_name(".gnu.version_d").iter_versions():
            names[definition["vd_ndx"]] = (next(auxiliaries).name, definition["vd_hash"])
        versions = elf.get_section_by_name(".gnu.version")
        symbols = list(elf.get_section_by_name(".dynsym").iter_symbols())
        found = {each.name: names[versions.get_symbol(index)["ndx"]] for index, each in enumerate(symbols) if each.name}
        # Go's runtime compares the hash before the name (runtime/vdso_linux_amd64.go).
        assert found == {name: ("LINUX_2.6", 0x3AE75F6) for name in FUNCTIONS}
        assert all(each["st_info"]["type"] == "STT_FUNC" for each in symbols[1:])
        kinds = [each["p_type"] for each in elf.iter_segments()]
        assert kinds.count("PT_LOAD") == 1
        assert "PT_DYNAMIC" in kinds
        assert not any(each["sh_type"] in ("SHT_RELA", "SHT_REL") for each in elf.iter_sections())
