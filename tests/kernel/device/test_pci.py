"""Finding PCI functions, their registers, and routing their messages, on a configuration space of a few functions."""

import ctypes
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.device import pci
from goanna.kernel.device.pci import Configuration, Function
from goanna.kernel.device.virtio import pci as virtio_pci
from goanna.kernel.device.virtio.device import Device
from goanna.metal import Array, jit, metal, static, u8, u16, u32, u64, unsafe

SLOTS = 6  # functions that the space has room for

addresses = static(Array[u32, SLOTS])
spaces = static(Array[u8, SLOTS * 256])
present = static(u32)
found_addresses = static(Array[u32, 64])
found_count = static(u64)
table = static(Array[u32, 16])  # what map_registers gives
mapped = static(u64)  # the address that it was asked for
device = static(Device)


@metal
def place(address: u32, offset: u32) -> u64:
    for index in range(u64(present)):
        if addresses[index] == address:
            return unsafe.address(spaces) + index * 256 + u64(offset)
    return 0


@metal
def read(address: u32, offset: u32) -> u32:
    assert offset & 3 == 0 and offset < 256, "no register of configuration space"
    at = place(address, offset)
    return unsafe.load(u32, at) if at != 0 else u32(0xFFFF_FFFF)


@metal
def write(address: u32, offset: u32, value: u32) -> None:
    at = place(address, offset)
    if at != 0:
        status = unsafe.load(u32, at) & 0xFFFF_0000 if offset == 4 else u32(0)  # cleared by ones alone
        unsafe.store(u32, at, value | status)


@metal
def note(function: Function) -> None:
    global found_count
    found_addresses[found_count] = function.address
    found_count += 1


@metal
def map_registers(address: u64, size: u64) -> u64:
    global mapped
    mapped = address
    return unsafe.address(table)


@metal
def find() -> u64:
    space = Configuration(read=read, write=write)
    pci.find_functions(space, note)
    return found_count


@metal
def first(kind: u8) -> u8:
    function = Function(space=Configuration(read=read, write=write), address=0)
    return pci.each_capability(function, 0, kind)


@metal
def bar(number: u32) -> tuple[u64, bool]:
    function = Function(space=Configuration(read=read, write=write), address=0)
    return pci.bar_address(function, number)


@metal
def route(number: u32, address: u64, data: u32) -> bool:
    function = Function(space=Configuration(read=read, write=write), address=0)
    return pci.route_message(function, map_registers, number, address, data)


@metal
def find_virtio(vendor: u16, number: u16, subsystem: u16) -> bool:
    function = Function(space=Configuration(read=read, write=write), address=0)
    function.vendor = vendor
    function.device = number
    function.subsystem = subsystem
    return virtio_pci.find_pci(device, function, None, map_registers)


@pytest.fixture(scope="module")
def compiled():
    return jit(find, first, bar, route, find_virtio)


@pytest.fixture
def unit(compiled):
    compiled.reset()
    return compiled


def put(unit, functions):
    """Fill the configuration space: address -> {offset: 32-bit value}."""
    spaces_at, at = unit.get(spaces), unit.get(addresses)
    for index, (address, values) in enumerate(functions.items()):
        at[index] = address
        data = bytearray(256)
        for offset, value in values.items():
            struct.pack_into("<I", data, offset, value)
        for offset in range(256):
            spaces_at[index * 256 + offset] = data[offset]
    unit.set(present, len(functions))


def slot(bus, number, function=0):
    return bus << 16 | number << 11 | function << 8


def test_functions_are_found_through_bridges(unit):
    put(unit, {
        slot(0, 0): {0: 0x1234_8086},
        slot(0, 3): {0: 0x1000_1AF4, 0xC: 0x80_0000},
        slot(0, 3, 5): {0: 0x1041_1AF4},
        slot(0, 4): {0: 0x0001_8086, 0xC: 0x01_0000, 0x18: 0x0002_0200},
        slot(2, 1): {0: 0x1042_1AF4},
        slot(3, 0): {0: 0x1042_1AF4},
    })  # fmt: skip
    assert unit.call(find) == 4
    assert list(unit.get(found_addresses))[:4] == [slot(0, 0), slot(0, 3), slot(0, 3, 5), slot(2, 1)]


def test_a_bridge_to_its_own_bus_is_no_endless_road(unit):
    put(unit, {slot(0, 4): {0: 0x0001_8086, 0xC: 0x01_0000, 0x18: 0x0000_0000}})
    assert unit.call(find) == 0


def test_base_addresses(unit):
    put(unit, {0: {0: 1, 0x10: 0xC001, 0x14: 0xFEBF_000C, 0x18: 0x12, 0x1C: 0xFE00_0000}})
    assert unit.call(bar, 0) == (0xC000, True)
    assert unit.call(bar, 1) == (0x12_FEBF_0000, False)
    assert unit.call(bar, 3) == (0xFE00_0000, False)
    assert unit.call(bar, 4) == (0, False) and unit.call(bar, 6) == (0, False)


def test_messages_go_where_they_are_sent(unit):
    put(unit, {0: {0: 1, 4: 1 << 20, 0x34: 0x40, 0x10: 0xFEBF_0000, 0x40: 0x0003_0011, 0x44: 0x0000_2000}})
    assert unit.call(route, 0, 0xFEE0_1000, 0x41)
    assert list(unit.get(table))[:4] == [0xFEE0_1000, 0, 0x41, 0]
    assert unit.get(mapped) == 0xFEBF_2000
    assert unit.get(spaces)[0x43] & 0xC0 == 0x80


def test_another_message_than_the_first_goes_where_it_is_sent(unit):
    put(unit, {0: {0: 1, 4: 1 << 20, 0x34: 0x40, 0x10: 0xFEBF_0000, 0x40: 0x0001_0011, 0x44: 0x0000_2000}})
    assert unit.call(route, 1, 0xFEE0_1000, 0x42)
    assert unit.get(mapped) == 0xFEBF_2010
    assert not unit.call(route, 2, 0xFEE0_1000, 0x43)


def test_a_function_without_messages_is_told(unit):
    put(unit, {0: {0: 1, 4: 1 << 20, 0x34: 0x40, 0x40: 0x0009}})
    assert not unit.call(route, 0, 0xFEE0_1000, 0x41)


def test_a_modern_device_is_found_by_its_capabilities(unit):
    def capability(at, following, kind, offset):
        return {at: kind << 24 | 20 << 16 | following << 8 | 9, at + 4: 1, at + 8: offset, at + 12: 0x1000, at + 16: 4}

    put(unit, {0: {0: 0x1042_1AF4, 4: 1 << 20, 0x34: 0x40, 0x14: 0xFEBF_0000,
                   **capability(0x40, 0x54, 1, 0), **capability(0x54, 0x68, 2, 0x3000),
                   **capability(0x68, 0x7C, 3, 0x1000), **capability(0x7C, 0, 4, 0x2000)}})  # fmt: skip
    assert unit.call(find_virtio, 0x1AF4, 0x1042, 0)
    found = unit.get(device)
    assert found.kind == 2 and not found.legacy and found.notification_step == 4
    assert unit.get(spaces)[4] & 7 == 7  # ports, memory, bus master


def test_others_are_no_virtio_devices(unit):
    put(unit, {0: {0: 0x1234_8086}})
    assert not unit.call(find_virtio, 0x8086, 0x1000, 1)
    assert not unit.call(find_virtio, 0x1AF4, 0x0FFF, 1)
    assert not unit.call(find_virtio, 0x1AF4, 0x1042, 0)  # no capabilities, and no ports to reach it by


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=256, max_size=256), kind=st.integers(0, 255))
def test_nonsense_in_configuration_space_is_survived(compiled, data, kind):
    compiled.reset()
    put(compiled, {0: {offset: struct.unpack_from("<I", data, offset)[0] for offset in range(0, 256, 4)}})
    ctypes.memset(ctypes.addressof(compiled.get(table)), 0, 64)
    compiled.call(first, kind)
    compiled.call(route, kind & 1, 0xFEE0_0000, 1)
    compiled.call(find_virtio, 0x1AF4, 0x1042, 0)
    compiled.call(find)
