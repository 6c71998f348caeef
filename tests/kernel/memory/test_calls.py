"""The memory calls beside this computer's Linux: the same calls, odd ones too, give the same results and contents."""

import ctypes
import os
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import Frame, table_switch
from goanna.kernel.arch.host import user as host_user
from goanna.kernel.base.errno import EFAULT
from goanna.kernel.memory import calls, fault, placement, space
from goanna.kernel.memory.mapping import Request
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Ptr, i32, i64, jit, metal, static, u32, u64
from tests.kernel.memory import linux, machine
from tests.kernel.memory.machine import ROOTS, Memory, hooks
from tests.kernel.memory.test_space import check

PAGE = 4096
BASE = 0x10_0000_0000  # where neither this process nor the model has anything
PAGES = 32
END = BASE + PAGES * PAGE
GUARD = 300  # pages around the window that stay free

VECTOR = 0x30_0000_0000  # where the kernel under test writes mincore's answers

running = static(Ptr[AddressSpace])


@metal
def run_on(space_: AddressSpace) -> None:
    global running
    running = space_
    table_switch(space_.table)
    placement.randomise(space_)


@metal
def current_space() -> AddressSpace:
    return running


@metal
def page_fault(frame: Frame, address: u64, access: u32) -> bool:
    return fault.handle_fault(running, address, access) == 0


@metal
def unlimited() -> bool:
    return True


@metal
def no_files(descriptor: i32, request: Request) -> i64:
    return -9  # EBADF


SYSTEM_CALLS = {name: getattr(calls, "sys_" + name) for name in linux.NUMBERS}
with hooks(
    (calls.current_space, current_space), (calls.may_lock_freely, unlimited), (calls.open_mapping, no_files),
    (host_user.on_page_fault, page_fault),
):  # fmt: skip
    unit = jit(
        *ROOTS, *SYSTEM_CALLS.values(), run_on, check, space.create, space.release, machine.read, machine.write,
    )  # fmt: skip


def ours(name, *arguments):
    """The same call of the kernel under test."""
    function = SYSTEM_CALLS[name]
    wrapped = []
    for (_, type_), value in zip(function.signature()[0], arguments, strict=True):
        wrapped.append(type_.wrap(value))
    return unit.call(function, *wrapped)


class Apart(Exception):
    """From here on the two differ in a way that is allowed."""


class Pair:
    """A window of pages in this process and the same one in a space of the kernel under test."""

    def __init__(self, count=PAGES, size=16 << 20):
        self.count, self.end = count, BASE + count * PAGE
        self.memory = Memory(unit, size)
        self.free = self.memory.free
        self.space = unit.call(space.create)
        unit.call(run_on, self.space)
        assert ours("mmap", VECTOR, PAGE, 3, PRIVATE | ANONYMOUS | FIXED, -1, 0) == VECTOR

    def close(self):
        linux.call("munmap", BASE - GUARD * PAGE, (self.count + 2 * GUARD) * PAGE)
        unit.call(space.release, self.space)
        assert self.free - self.memory.free <= 24

    def call(self, name, *arguments):
        """Make a call in both; a mapping that landed outside the window goes away again."""
        theirs, mine = linux.call(name, *arguments), ours(name, *arguments)
        placed = name in ("mmap", "mremap") and theirs > 0 and mine > 0
        if placed and not (BASE <= theirs < self.end and theirs == mine):
            length = arguments[1] if name == "mmap" else arguments[2]
            assert linux.call("munmap", theirs, length) == ours("munmap", mine, length) == 0
        else:
            if name == "mremap" and theirs == -EFAULT and mine > 0:
                raise Apart  # Linux does not join areas of different histories; here they are one
            assert mine == theirs, f"{name}{tuple(map(hex, arguments))}: Linux {theirs}, here {mine}"
        unit.call(check, self.space)
        return mine

    def resident(self, address, length):
        """mincore, and its answers."""
        answer = (ctypes.c_uint8 * PAGES)()
        theirs = linux.call("mincore", address, length, ctypes.addressof(answer))
        mine = ours("mincore", address, length, VECTOR)
        assert mine == theirs, f"mincore({address:#x}, {length:#x}): Linux {theirs}, here {mine}"
        if mine == 0:
            here = bytearray(PAGES)
            assert unit.call(machine.read, self.space, here, VECTOR) == 0
            count = -(-length // PAGE)
            assert here[:count] == bytes(answer)[:count]

    def write(self, address, data):
        assert (unit.call(machine.write, self.space, address, data) == 0) == linux.write(address, data)

    def compare(self):
        for page in range(self.count):
            address = BASE + page * PAGE
            theirs, mine = linux.read(address, 64), bytearray(64)
            result = unit.call(machine.read, self.space, mine, address)
            assert (bytes(mine) if result == 0 else None) == theirs, f"page {page}"


@pytest.fixture(autouse=True)
def on_linux():
    version = tuple(int(each) for each in re.findall(r"\d+", os.uname().release)[:2])
    if not sys.platform.startswith("linux") or version < (6, 17):
        pytest.skip("needs Linux 6.17 or later to compare with: mremap of several mappings")


FIXED, NOREPLACE, ANONYMOUS, PRIVATE, SHARED = 0x10, 0x100000, 0x20, 2, 1
places = st.integers(0, PAGES - 1).map(lambda page: BASE + page * PAGE)
lengths = st.integers(1, 8).map(lambda count: count * PAGE)
ODD = [0, 1, 0xFFF, 0x1001, 2**31, 2**47, 2**47 - PAGE, 2**48, 2**63, 2**64 - PAGE, 2**64 - 1, BASE + 1]
odd = st.sampled_from(ODD)
inside = st.tuples(places, lengths).map(lambda pair: (pair[0], min(pair[1], END - pair[0])))
protections = st.sampled_from([0, 1, 3, 3, 3, 7, 5])


def fixed(kind):
    return st.builds(
        lambda where, protection: ("mmap", *where, protection, kind | ANONYMOUS, -1, 0), inside, protections
    )


COMMON_ADVICE = [0, 4, 4, 10, 11, 14, 15, 18, 19, 22, 23]
plain_steps = st.one_of(
    fixed(PRIVATE | FIXED), fixed(PRIVATE | FIXED), fixed(SHARED | FIXED), fixed(PRIVATE | NOREPLACE), fixed(PRIVATE),
    inside.map(lambda where: ("munmap", *where)),
    st.builds(lambda where, protection: ("mprotect", *where, protection), inside, protections),
    st.builds(lambda where, advice: ("madvise", *where, advice), inside, st.sampled_from(COMMON_ADVICE)),
    st.builds(lambda where, size: ("mremap", *where, size, 0, 0), inside, lengths),
    st.builds(lambda where, size: ("mremap", *where, size, 1, 0), inside, lengths),
    st.builds(lambda where, to: ("mremap", *where, min(where[1], END - to), 3, to), inside, places),
    st.builds(lambda where, to: ("mremap", *where, where[1], 7, min(to, END - where[1])), inside, places),
    st.builds(lambda where, flags: ("msync", *where, flags), inside, st.sampled_from([0, 1, 2, 4])),
    inside.map(lambda where: ("mincore", *where)), inside.map(lambda where: ("mlock", *where)),
    inside.map(lambda where: ("munlock", *where)),
)  # fmt: skip


@given(st.lists(plain_steps, max_size=30))
@settings(max_examples=120, deadline=None)
def test_sequences_of_calls_leave_the_same_memory(steps):
    pair = Pair()
    try:
        for name, *arguments in steps:
            if name == "write":
                pair.write(arguments[0], bytes([arguments[1]]) * 40)
            elif name == "mincore":
                pair.resident(*arguments)
            else:
                pair.call(name, *arguments)
        pair.compare()
    except Apart:
        pass
    finally:
        pair.close()


def readable(protection):
    """Whether what can be touched at all can also be read, even by process_vm_readv."""
    return protection & 1 or not protection & 6


def arguments_of(name):
    address, size = st.one_of(places, places, odd), st.one_of(lengths, lengths, odd)
    small = st.one_of(st.integers(0, 8), st.integers(0, 2**32 - 1), st.sampled_from([2**31, 2**24, 2**25]))
    return {
        "munmap": st.tuples(address, size),
        "mprotect": st.tuples(address, size, st.one_of(protections, small.filter(readable))),
        "madvise": st.tuples(address, size, st.one_of(st.sampled_from(ADVICE), st.integers(26, 99))),
        "mremap": st.tuples(address, size, size, st.integers(0, 8), st.one_of(places, odd)),
        "msync": st.tuples(address, size, small),
        "mlock": st.tuples(address, size),
        "munlock": st.tuples(address, size),
        "mlock2": st.tuples(address, size, small),
    }[name].map(lambda rest: (name, *rest))


ADVICE = [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21]
ODD_CALLS = ["munmap", "mprotect", "madvise", "mremap", "msync", "mlock", "munlock", "mlock2"]
odd_steps = st.sampled_from(ODD_CALLS).flatmap(arguments_of)


def safe(name, *arguments):
    """Whether the call, made in this very process, can only touch the window and its surroundings."""
    low, high = BASE - GUARD * PAGE, BASE + (PAGES + GUARD) * PAGE
    address, size = arguments[0], arguments[1]
    reaches = low <= address and address + size <= high
    if name == "mremap":
        flags, target = arguments[3], arguments[4]
        if flags & 2 and not (low <= target and target + arguments[2] <= high):
            reaches = reaches and (target % PAGE != 0 or target + arguments[2] > 2**47)
        return reaches and (arguments[2] < 1 << 20 or arguments[2] > 1 << 46)
    if name == "mprotect" and arguments[2] & 0x03000000:  # which goes on to the next mapping
        return reaches
    if name == "madvise":  # which does what it can beyond the holes
        return reaches or address + size >= 2**64 or address % PAGE != 0
    return reaches or address + size > 2**47 or address % PAGE != 0 or size == 0


@given(st.lists(st.one_of(plain_steps, odd_steps), max_size=25))
@settings(max_examples=120, deadline=None)
def test_odd_calls_give_the_same_errors(steps):
    pair = Pair()
    try:
        for name, *arguments in steps:
            if name == "write":
                pair.write(arguments[0], bytes([arguments[1]]) * 40)
            elif name == "mincore":
                pair.resident(*arguments)
            elif name == "mmap" or safe(name, *arguments):
                pair.call(name, *arguments)
        pair.compare()
    except Apart:
        pass
    finally:
        pair.close()


LARGE = 1536  # pages: three of 2 MiB
borders = st.one_of(st.integers(0, LARGE), st.sampled_from([0, 1, 511, 512, 513, 1024, 1500, LARGE]))
stretches = st.tuples(borders, borders).map(sorted).filter(lambda pair: pair[0] < pair[1])
large_places = stretches.map(lambda pair: (BASE + pair[0] * PAGE, (pair[1] - pair[0]) * PAGE))


def move(where, to):
    """An mremap with MREMAP_FIXED inside the window."""
    return ("mremap", *where, where[1], 3, min(BASE + to * PAGE, BASE + LARGE * PAGE - where[1]))


large_steps = st.one_of(
    large_places.map(lambda where: ("mmap", *where, 3, PRIVATE | ANONYMOUS | FIXED, -1, 0)),
    large_places.map(lambda where: ("munmap", *where)),
    st.builds(lambda where, protection: ("mprotect", *where, protection), large_places, st.sampled_from([1, 3, 3])),
    st.builds(lambda where, advice: ("madvise", *where, advice), large_places, st.sampled_from([4, 4, 10, 14, 15, 18])),
    large_places.map(lambda where: ("mlock", *where)),
    st.builds(move, large_places, st.integers(0, LARGE)),
    st.builds(lambda page, byte: ("write", BASE + page * PAGE, byte), st.integers(0, LARGE - 1), st.integers(1, 255)),
    st.builds(lambda page, byte: ("write", BASE + page * PAGE, byte), st.integers(0, LARGE - 1), st.integers(1, 255)),
)


@given(st.lists(large_steps, max_size=14))
@settings(max_examples=40, deadline=None)
def test_2_mib_pages_change_nothing_that_a_program_sees(steps):
    pair = Pair(LARGE, 96 << 20)
    try:
        pair.call("mmap", BASE, LARGE * PAGE, 3, PRIVATE | ANONYMOUS | FIXED, -1, 0)
        pair.call("madvise", BASE, LARGE * PAGE, 14)
        for page in range(0, LARGE, 100):
            pair.write(BASE + page * PAGE, bytes([page % 251]) * 40)
        for name, *arguments in steps:
            if name == "write":
                pair.write(arguments[0], bytes([arguments[1]]) * 40)
            else:
                pair.call(name, *arguments)
        pair.compare()
    except Apart:
        pass
    finally:
        pair.close()
