"""The disk driver over a model of the device, by the modern and the legacy registers."""

import ctypes
import mmap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import EINVAL, EIO, ENXIO, EROFS
from goanna.kernel.device.virtio import block, mmio
from goanna.kernel.device.virtio.block import Disk
from goanna.kernel.device.virtio.queue import Part
from goanna.kernel.memory import pages, placement
from goanna.metal import Array, i64, jit, metal, static, u8, u32, u64, unsafe
from tests.kernel.device.virtio import model as device
from tests.kernel.hooks import filled
from tests.kernel.memory.machine import random_u64

ROOM = 4 << 20
READ_ONLY, EVENT_INDEX, VERSION_1 = 1 << 5, 1 << 29, 1 << 32
disk = static(Disk)


@metal
def start(address: u64, size: u64) -> i64:
    device.start_memory(address, size)
    if not mmio.find_mmio(disk.device, device.SPACE, device.BASE):
        return -1000
    return disk.start()


@metal
def transfer(write: bool, sector: u64, sizes: Array[u32, 4], count: u64, bytes: u64) -> i64:
    """One request over `count` parts; the data lie one after the other at host address `bytes`."""
    parts = Array[Part, 4]()
    done: u64 = 0
    for index in range(count):
        page = pages.allocate()
        parts[index].address = page
        parts[index].length = sizes[index]
        length = u64(sizes[index])
        if write:
            unsafe.slice(u8, device.at(page), length)[:] = unsafe.slice(u8, bytes + done, length)
        done += length
    result = disk.write(sector, parts[0:count]) if write else disk.read(sector, parts[0:count])
    done = 0
    for index in range(count):
        length = u64(sizes[index])
        if not write:
            unsafe.slice(u8, bytes + done, length)[:] = unsafe.slice(u8, device.at(parts[index].address), length)
        done += length
        pages.release(parts[index].address)
    return result


@metal
def in_flight() -> u64:
    return disk.queue.in_flight()


@metal
def interrupt() -> u32:
    block.disk_interrupt(unsafe.address(disk))
    return device.model.cause


class Machine:
    """A disk driver in a compiled unit, and its device."""

    def __init__(self, unit, version, features=0):
        unit.reset()
        self.unit = unit
        self.memory = mmap.mmap(-1, ROOM)
        self.model = unit.get(device.model)
        self.model.version = version
        self.model.features = features | EVENT_INDEX | (VERSION_1 if version == 2 else 0)
        self.model.broken = device.SECTORS

    def start(self):
        return self.unit.call(start, ctypes.addressof(ctypes.c_char.from_buffer(self.memory)), ROOM - 0x1000)

    def transfer(self, write, sector, sizes, data=b""):
        buffer = ctypes.create_string_buffer(data, max(sum(sizes), 1))
        four = (ctypes.c_uint32 * 4)(*sizes)
        result = self.unit.call(transfer, write, sector, four, len(sizes), ctypes.addressof(buffer))
        return result, buffer.raw[: sum(sizes)]


@pytest.fixture(scope="module")
def unit():
    with filled((placement.random_u64, random_u64)):
        return jit(start, transfer, in_flight, interrupt, Disk.flush)


@pytest.fixture(params=[1, 2], ids=["legacy", "modern"])
def machine(unit, request):
    machine = Machine(unit, request.param)
    assert machine.start() == 0
    return machine


def test_the_disk_says_what_it_is(machine):
    found = machine.unit.get(disk)
    assert found.size == device.SECTORS * 512
    assert bytes(found.name).startswith(b"a disk\0")
    assert not found.read_only and found.queue.size == device.QUEUE_SIZE


requests = st.lists(
    st.tuples(st.booleans(), st.integers(0, device.SECTORS), st.lists(st.integers(1, 4), min_size=1, max_size=4)),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(version=st.sampled_from([1, 2]), steps=requests)
def test_what_is_written_is_read_and_nothing_else_changes(unit, version, steps):
    machine = Machine(unit, version)
    assert machine.start() == 0
    model = bytearray(device.SECTORS * 512)
    for number, (write, sector, lengths) in enumerate(steps):
        sizes = [512 * each for each in lengths]
        data = bytes([number + 1]) * sum(sizes)
        result, got = machine.transfer(write, sector, sizes, data)
        if sector * 512 + sum(sizes) > len(model):
            assert result == -EIO
        elif write:
            assert result == 0
            model[sector * 512 : sector * 512 + len(data)] = data
        else:
            assert result == 0 and got == model[sector * 512 : sector * 512 + len(data)]
    assert bytes(unit.get(device.content)) == model
    assert unit.call(in_flight) == 0


def test_requests_that_the_disk_can_not_take_are_refused(machine):
    assert machine.transfer(False, 0, [100])[0] == -EINVAL
    assert machine.transfer(False, 0, [])[0] == -EINVAL
    assert machine.transfer(False, 2**55, [512])[0] == -EIO


def test_a_sector_that_can_not_be_read_is_EIO(machine):
    machine.model.broken = 5
    assert machine.transfer(False, 4, [512])[0] == 0
    assert machine.transfer(False, 5, [512])[0] == -EIO
    assert machine.transfer(False, 4, [512])[0] == 0


def test_a_read_only_disk_is_not_written(unit):
    machine = Machine(unit, 2, READ_ONLY)
    assert machine.start() == 0
    assert machine.transfer(True, 0, [512], b"x" * 512)[0] == -EROFS
    assert machine.transfer(False, 0, [512]) == (0, bytes(512))


def test_a_modern_device_that_refuses_our_features_is_left_alone(unit):
    machine = Machine(unit, 2)
    machine.model.refuses = 1
    assert machine.start() == -ENXIO
    assert machine.model.status & 128


def test_the_interrupt_is_acknowledged(machine):
    assert machine.model.cause == 1
    assert machine.unit.call(interrupt) == 0


def test_registers_of_no_device_are_no_device(unit):
    assert Machine(unit, 3).start() == -1000
