"""The driver of consoles with several ports over a model of the device, that is slow, that lies about what it says, or
has other ports: no byte is lost or changed, and what it says in messages is never a panic."""

import ctypes
import mmap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.device.virtio import console, mmio
from goanna.kernel.device.virtio.console import Console
from goanna.kernel.memory import placement
from goanna.kernel.shared.boot import CONSOLE_PORT, CONTROL_PORT, ERROR_PORT
from goanna.metal import Array, Slice, jit, metal, static, u8, u16, u32, u64, unsafe
from tests.kernel.device.virtio import console_model as device
from tests.kernel.device.virtio.model import BASE, start_memory
from tests.kernel.hooks import filled
from tests.kernel.memory.machine import random_u64

ROOM = 4 << 20
SEVERAL, EVENT_INDEX, VERSION_1 = 1 << 1, 1 << 29, 1 << 32
PAGE = 4096

driver = static(Console)
got = static(Array[u8, 1 << 16])
got_count = static(u64)
appetite = static(u64)  # bytes that the receiver takes before it is full
rooms = static(u32)


@metal
def start(address: u64, size: u64, named: bool) -> bool:
    start_memory(address, size)
    return mmio.find_mmio(driver.device, device.SPACE, BASE) and driver.start(named)


@metal
def receive(data: Slice[u8]) -> u64:
    global got_count, appetite
    count = min(len(data), appetite)
    got[got_count : got_count + count] = data[0:count]
    got_count += count
    appetite -= count
    return count


@metal
def room_again() -> None:
    global rooms
    rooms += 1


@metal
def open_console() -> u32:
    port = driver.console
    port.receive = receive
    port.on_room = room_again
    port.offer_input(1)
    return u32(port.number)


@metal
def type(data: Slice[u8], claimed: u32) -> bool:
    """The host writes: `claimed` bytes as the device says."""
    queue = 2 + 2 * u64(driver.console.number)
    if device.waiting(queue) == 0:
        return False
    address, _, head = device.take(queue)
    unsafe.slice(u8, address, len(data))[:] = data
    device.give(queue, head, claimed)
    return True


@metal
def interrupt() -> u32:
    console.console_interrupt(unsafe.address(driver))
    return device.model.cause


@metal
def eat(count: u64) -> None:
    global appetite
    appetite = count
    driver.console.resume()


@metal
def write(data: Slice[u8]) -> u64:
    """How many bytes found room."""
    room = driver.console.reserve(len(data))
    count = min(len(room), len(data))
    if count != 0:
        room[0:count] = data[0:count]
        driver.console.send(count)
    return count


@metal
def host_reads(target: Slice[u8]) -> u64:
    """The host takes the next buffer."""
    queue = 3 + 2 * u64(driver.console.number)
    if device.waiting(queue) == 0:
        return 0
    address, length, head = device.take(queue)
    target[0 : u64(length)] = unsafe.slice(u8, address, u64(length))
    device.give(queue, head, 0)
    return u64(length)


@metal
def has_room() -> bool:
    return driver.console.has_room()


@metal
def say(port: u32, event: u16, length: u32) -> None:
    """The device sends a control message, of which it says any length."""
    device.tell(port, event, length)


@metal
def heed() -> None:
    while driver.listen():
        pass


class Machine:
    """A console driver in a compiled unit, and its device."""

    def __init__(self, unit, version=2, features=SEVERAL | EVENT_INDEX, names=(b"", CONSOLE_PORT, ERROR_PORT)):
        unit.reset()
        self.unit = unit
        self.memory = mmap.mmap(-1, ROOM)
        self.model = unit.get(device.model)
        self.model.version = version
        self.model.features = features | (VERSION_1 if version == 2 else 0)
        self.model.ports = 1 + len(names)
        view = unit.static(device.model).names
        for index, name in enumerate(names):
            for place, byte in enumerate(name):
                view[index * 16 + place] = byte

    def start(self, named=True):
        return self.unit.call(start, ctypes.addressof(ctypes.c_char.from_buffer(self.memory)), ROOM - 0x1000, named)

    def received(self):
        return bytes(self.unit.static(got))[: self.unit.get(got_count)]

    def host_reads(self):
        buffer = bytearray(1 << 16)
        return bytes(buffer[: self.unit.call(host_reads, buffer)])


NAMES = (CONSOLE_PORT, ERROR_PORT, CONTROL_PORT)
FEATURES = st.sampled_from([SEVERAL, SEVERAL | EVENT_INDEX])


@pytest.fixture(scope="module")
def unit():
    with filled((placement.random_u64, random_u64)):
        return jit(start, open_console, type, interrupt, eat, write, host_reads, has_room, say, heed)


@pytest.fixture(params=[1, 2], ids=["legacy", "modern"])
def machine(unit, request):
    machine = Machine(unit, request.param, names=NAMES)
    assert machine.start()
    return machine


def test_named_ports_are_opened_wherever_they_are(unit):
    for names in (NAMES, NAMES[::-1]):
        machine = Machine(unit, names=names)
        assert machine.start()
        assert machine.model.opened == 0b1110
        assert unit.call(open_console) == 1 + names.index(CONSOLE_PORT)


def test_a_device_with_one_port_is_a_console(unit):
    machine = Machine(unit, features=0, names=())
    assert machine.start(False)
    assert unit.call(open_console) == 0


@settings(max_examples=200, deadline=None)
@given(
    version=st.sampled_from([1, 2]),
    features=FEATURES,
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("type"), st.integers(1, PAGE)),
            st.tuples(st.just("interrupt"), st.just(0)),
            st.tuples(st.just("eat"), st.integers(0, 2 * PAGE)),
        ),
        max_size=60,
    ),
)
def test_input_arrives_whole_however_slowly_it_is_taken(unit, version, features, steps):
    machine = Machine(unit, version, features, NAMES)
    assert machine.start()
    unit.call(open_console)
    sent, number = b"", 0
    for step, size in steps:
        if step == "type":
            number += 1
            data = bytes((number * 31 + place) % 256 for place in range(size))
            if len(sent) + size <= 1 << 16 and unit.call(type, data, size):
                sent += data
        elif step == "interrupt":
            assert unit.call(interrupt) == 0
        else:
            unit.call(eat, size)
        assert sent.startswith(machine.received())
    unit.call(eat, 1 << 20)
    assert machine.received() == sent


@settings(max_examples=200, deadline=None)
@given(
    version=st.sampled_from([1, 2]),
    features=FEATURES,
    steps=st.lists(
        st.one_of(st.tuples(st.just("write"), st.integers(1, 70_000)), st.tuples(st.just("read"), st.just(0))),
        max_size=40,
    ),
)
def test_output_arrives_whole_and_in_order_and_waits_for_room(unit, version, features, steps):
    machine = Machine(unit, version, features, NAMES)
    assert machine.start()
    unit.call(open_console)
    expected, taken, out = b"", b"", 0
    for number, (step, size) in enumerate(steps):
        if step == "write":
            data = bytes((number * 17 + place) % 256 for place in range(size))
            count = unit.call(write, data)
            assert (count == 0) == (out == 2)
            expected += data[:count]
            out += count != 0
        else:
            data = machine.host_reads()
            out -= bool(data)
            taken += data
        assert expected.startswith(taken)
    while data := machine.host_reads():
        taken += data
    assert taken == expected


def test_who_has_no_room_hears_of_it_when_there_is(machine):
    unit = machine.unit
    unit.call(open_console)
    while unit.call(write, b"x" * 100):
        pass
    assert not unit.call(has_room)
    unit.call(interrupt)
    assert unit.get(rooms) == 0
    assert machine.host_reads() == b"x" * 100
    unit.call(interrupt)
    assert unit.get(rooms) == 1 and unit.call(has_room)


@settings(max_examples=300, deadline=None)
@given(
    messages=st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1) | st.integers(0, 5),
            st.integers(0, 9),
            st.integers(0, 2**32 - 1) | st.integers(0, 80),
        ),
        max_size=40,
    ),
    lengths=st.lists(st.integers(0, 2**32 - 1), max_size=10),
)
def test_no_message_and_no_length_that_a_device_claims_is_a_panic(unit, messages, lengths):
    machine = Machine(unit, names=NAMES)
    assert machine.start()
    for port, event, length in messages:
        unit.call(say, port, event, length)
        unit.call(heed)
        unit.call(interrupt)
    unit.call(open_console)
    unit.call(eat, 1 << 15)
    for length in lengths:
        unit.call(type, b"abc", length)
        unit.call(interrupt)
    assert len(machine.received()) <= PAGE * len(lengths)
