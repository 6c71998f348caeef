"""Line discipline and output against Linux: the same settings, the same bytes typed and written, and what a pseudo-
terminal of this computer shows and gives its readers.
"""

import ctypes
import fcntl
import mmap
import os
import select
import struct
import termios

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import EAGAIN
from goanna.kernel.file import line_discipline, terminal_file, terminal_output, terminal_settings
from goanna.kernel.file.terminal import Terminal, show_bytes, typing_wanted
from goanna.kernel.file.terminal_calls import change
from goanna.kernel.memory import placement
from goanna.metal import Slice, copy, i64, jit, metal, static, u8, u64, unsafe
from tests.kernel.device.virtio.model import start_memory
from tests.kernel.hooks import filled
from tests.kernel.memory.machine import random_u64

ROOM = 1 << 20
terminal = static(Terminal)


@metal
def start(address: u64, size: u64, wanted: Slice[u8]) -> bool:
    start_memory(address, size)
    made = terminal.setup()
    terminal.pseudo = True
    set_to(wanted)
    return made


@metal
def set_to(wanted: Slice[u8]) -> None:
    new = terminal_settings.Settings()
    copy(new, terminal.settings)
    unsafe.slice(u8, unsafe.address(new), terminal_settings.OLD_SIZE)[:] = wanted
    change(terminal, new)


@metal
def type(data: Slice[u8]) -> u64:
    return line_discipline.typed(terminal, data)


@metal
def write(data: Slice[u8]) -> u64:
    return terminal_output.put_some(terminal, data)


@metal
def screen(target: Slice[u8]) -> u64:
    count = min(len(target), terminal.waiting_output())
    for index in range(count):
        target[index] = unsafe.load(u8, terminal.output + (terminal.shown + index) % 4096)
    terminal.shown += count
    return count


@metal
def read(target: Slice[u8]) -> i64:
    """A read that doesn't wait."""
    if not terminal.readable(1):
        return -EAGAIN
    reading = terminal_file.Reading(limit=len(target))
    reading.start(terminal)
    over = False
    while not over and reading.done < len(target) and terminal.readable(1):
        count, over = terminal_file.take_bytes(terminal, target[reading.done :], reading)
        reading.done += count
    return i64(reading.done)


@metal
def nothing_shown(data: Slice[u8]) -> u64:
    return len(data)


@metal
def nothing() -> None:
    pass


CHARACTERS = [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, ord("@"), 18, 15, 23, 22, ord("~"), 0, 0]
STANDARD = (0x500, 0x5, 0xBF, 0x8A3B)


def packed(flags):
    return struct.pack("<4IB19s", *flags, 0, bytes(CHARACTERS))


class Here:
    """A pseudo-terminal of this computer."""

    def __init__(self, flags):
        self.master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        fcntl.ioctl(self.master, termios.TIOCSPTLCK if hasattr(termios, "TIOCSPTLCK") else 0x40045431, bytes(4))
        number = struct.unpack("i", fcntl.ioctl(self.master, 0x80045430, bytes(4)))[0]
        self.slave = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.set(flags)

    def set(self, flags):
        fcntl.ioctl(self.slave, 0x5402, packed(flags))

    def settle(self):
        for descriptor in (self.slave, self.master):  # poll does what the kernel has put off
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(0)

    def type(self, data):
        assert os.write(self.master, data) == len(data)
        self.settle()

    def write(self, data):
        assert os.write(self.slave, data) == len(data)
        self.settle()

    def read(self, count):
        try:
            return os.read(self.slave, count)
        except BlockingIOError:
            return None

    def screen(self):
        self.settle()
        shown = b""
        while True:
            try:
                shown += os.read(self.master, 4096)
            except BlockingIOError:
                return shown

    def close(self):
        os.close(self.master)
        os.close(self.slave)


class There:
    """Ours."""

    def __init__(self, unit, flags):
        unit.reset()
        self.unit = unit
        self.memory = mmap.mmap(-1, ROOM)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        assert unit.call(start, address, ROOM - 0x1000, packed(flags))

    def set(self, flags):
        self.unit.call(set_to, packed(flags))

    def type(self, data):
        assert self.unit.call(type, data) == len(data)

    def write(self, data):
        assert self.unit.call(write, data) == len(data)

    def read(self, count):
        buffer = bytearray(count)
        got = self.unit.call(read, buffer)
        return None if got == -EAGAIN else bytes(buffer[:got])

    def screen(self):
        buffer = bytearray(8192)
        return bytes(buffer[: self.unit.call(screen, buffer)])


@pytest.fixture(scope="module")
def unit():
    with filled((placement.random_u64, random_u64), (show_bytes, nothing_shown), (typing_wanted, nothing)):
        return jit(start, set_to, type, write, screen, read)


def subset(*bits):
    return st.sets(st.sampled_from(bits)).map(sum)


INPUT = subset(0x20, 0x40, 0x80, 0x100, 0x200, 0x800, 0x2000, 0x4000)
OUTPUT = subset(0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x1800)
LOCAL = subset(0x1, 0x2, 0x8, 0x10, 0x20, 0x40, 0x80, 0x200, 0x800, 0x8000)
FLAGS = st.just(STANDARD) | st.tuples(INPUT, OUTPUT, st.just(0xBF), LOCAL)
EDITING = st.lists(
    st.sampled_from(
        [b"a", b"Z", b"_", b" ", b".", b"\xc3\xa4", b"\x80", b"\t", b"\r", b"\n", b"\x7f", b"\x15", b"\x17", b"\x04",
         b"\x16", b"\x12", b"\x01", b"\x1b", b"@", b"~", b"word", b"\xff", b"\x00"]
    ),
    min_size=1,
    max_size=20,
).map(b"".join)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), EDITING),
        st.tuples(st.just("type"), st.sampled_from([b"\x03", b"\x1c", b"\x1a"])),
        st.tuples(st.just("write"), EDITING),
        st.tuples(st.just("read"), st.sampled_from([1, 2, 3, 5, 64])),
        st.tuples(st.just("set"), FLAGS),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=int(os.environ.get("GOANNA_TERMINAL_EXAMPLES", "400")), deadline=None)
@given(flags=FLAGS, steps=STEPS)
def test_a_terminal_shows_and_gives_what_it_would_on_linux(unit, flags, steps):
    here, there = Here(flags), There(unit, flags)
    try:
        for step, argument in [*steps, ("read", 4096), ("read", 4096)]:
            while step == "type" and (data := here.read(4096)) is not None:  # else Linux puts off what is typed
                assert there.read(4096) == data
            assert getattr(there, step)(argument) == getattr(here, step)(argument)
            assert there.screen() == here.screen()
    finally:
        here.close()


@settings(max_examples=200, deadline=None)
@given(flags=FLAGS, chunks=st.lists(st.binary(min_size=1, max_size=3000), max_size=6))
def test_nothing_that_is_typed_or_written_is_a_panic(unit, flags, chunks):
    there = There(unit, flags)
    for chunk in chunks:
        unit.call(type, chunk)
        unit.call(write, chunk)
        there.screen()
        there.read(100)
