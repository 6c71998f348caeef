"""The drivers of a serial port and of QEMU's configuration device against devices of a few lines."""

import struct

import pytest

from goanna.kernel.device import fw_cfg, serial
from goanna.metal import Array, Slice, jit, metal, static, u8, u16, u32, u64

registers = static(Array[u8, 8])
sent = static(Array[u8, 256])
sent_count = static(u32)
unpolled = static(u32)
overrun = static(u32)
waiting = static(u32)


@metal
def read_register(address: u64) -> u8:
    """A port whose transmitter is always done when asked, and that has `waiting` bytes to give."""
    global unpolled, waiting
    register = address - 0x3F8
    if register == 5:
        unpolled = 0
        return 0x61 if waiting != 0 else 0x60
    if register == 0:
        waiting -= 1
        return u8.wrap(waiting) + 65
    return registers[register]


@metal
def write_register(address: u64, value: u8) -> None:
    """Takes 16 bytes between two looks at the line status."""
    global unpolled, sent_count, overrun
    register = address - 0x3F8
    if register == 0 and registers[3] & 0x80 == 0:
        unpolled += 1
        if unpolled > 16:
            overrun += 1
        sent[sent_count] = value
        sent_count += 1
    else:
        registers[register] = value


@metal
def connect(port: serial.Serial) -> bool:
    """Start the driver on it."""
    port.base = 0x3F8
    port.read = read_register
    port.write = write_register
    return port.start()


items = static(Array[u8, 512])
item_start = static(u32)


@metal
def select(item: u16) -> None:
    """Items lie 128 bytes apart here."""
    global item_start
    item_start = 0 if item == 0 else 16 if item == 5 else 32 if item == 0x19 else 384


@metal
def read(target: Slice[u8]) -> None:
    """Reads on."""
    global item_start
    for index in range(len(target)):
        target[index] = items[item_start]
        item_start += 1


@metal
def open_configuration(device: fw_cfg.FirmwareConfiguration) -> bool:
    """Start the driver on it."""
    device.select = select
    device.read = read
    return device.present()


@pytest.fixture(scope="module")
def compiled():
    return jit(serial.Serial, connect, fw_cfg.FirmwareConfiguration, open_configuration, registers, sent, sent_count,
               overrun, waiting, items)  # fmt: skip


@pytest.fixture
def unit(compiled):
    compiled.reset()
    return compiled


def test_the_fifo_is_never_overrun(unit):
    port = unit.new(serial.Serial)
    assert unit.call(connect, port)
    text = bytes(range(100, 200))
    unit.call(serial.Serial.write_all, port, text)
    assert bytes(unit.static(sent)[: unit.get(sent_count)]) == text
    assert unit.get(overrun) == 0


def test_receive_takes_what_has_arrived_and_no_more_than_fits(unit):
    port = unit.new(serial.Serial)
    unit.call(connect, port)
    unit.set(waiting, 5)
    buffer = bytearray(3)
    assert unit.call(serial.Serial.receive, port, buffer) == 3
    assert bytes(buffer) == b"EDC"
    assert unit.call(serial.Serial.receive, port, buffer) == 2
    assert unit.call(serial.Serial.receive, port, buffer) == 0


def test_files_of_the_configuration(unit):
    directory = struct.pack(">I", 2)
    for name, select_key, size in [(b"etc/acpi/rsdp", 0x20, 36), (b"opt/goanna/boot", 0x21, 4)]:
        directory += struct.pack(">IHH56s", size, select_key, 0, name)
    content = b"QEMU".ljust(16, b"\0") + struct.pack("<H", 3).ljust(16, b"\0") + directory
    view = unit.static(items)
    for index, byte in enumerate(content.ljust(384, b"\0") + b"boot"):
        view[index] = byte
    device = unit.new(fw_cfg.FirmwareConfiguration)
    assert unit.call(open_configuration, device)
    assert unit.call(fw_cfg.FirmwareConfiguration.processors, device) == 3
    assert unit.call(fw_cfg.FirmwareConfiguration.find, device, b"opt/goanna/boot") == (0x21, 4)
    assert unit.call(fw_cfg.FirmwareConfiguration.find, device, b"opt/goanna") == (0, 0)
    buffer = bytearray(4)
    unit.call(fw_cfg.FirmwareConfiguration.load, device, 0x21, buffer)
    assert bytes(buffer) == b"boot"


def test_no_device_is_seen(unit):
    assert not unit.call(open_configuration, unit.new(fw_cfg.FirmwareConfiguration))
