"""ACPI and MP tables: what real ones say, and that no bytes at all hurt."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64 import mp_table
from goanna.kernel.device import acpi
from goanna.metal import jit

unit = jit(
    acpi.checksum_good, acpi.table_length, acpi.rsdp_root, acpi.root_count, acpi.root_entry, acpi.madt_processors,
    acpi.power_registers, acpi.sleep_type, acpi.signature, acpi.PowerOff, acpi.madt_controller, acpi.mmio_device,
    mp_table.floating_pointer, mp_table.table_length, mp_table.table_processors,
)  # fmt: skip


def summed(data, at):
    """With the byte at `at` changed so that all add up to 0."""
    data = bytearray(data)
    data[at] = 0
    data[at] = -sum(data) % 256
    return bytes(data)


def table(signature, body):
    header = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), 1, 0, b"GOANNA", b"TEST", 1, b"TEST", 1)
    return summed(header + body, 9)


def ids(function, data, room=16):
    array = (acpi.u32.ctype * room)()
    count = unit.call(function, data, array)
    return list(array[:count])


def test_rsdp_of_both_versions():
    first = summed(b"RSD PTR \0GOANNA\0" + struct.pack("<I", 0x1234), 8)
    assert unit.call(acpi.rsdp_root, first) == (0x1234, False)
    second = summed(b"RSD PTR \0GOANNA\2" + struct.pack("<I", 0x1234), 8) + struct.pack("<IQ4x", 36, 0x56789)
    assert unit.call(acpi.rsdp_root, summed(second, 32)) == (0x56789, True)
    assert unit.call(acpi.rsdp_root, b"RSD PTR ".ljust(36, b"x")) == (0, False)


def test_root_tables_of_both_widths():
    wide, narrow = table(b"XSDT", struct.pack("<QQ", 2**40, 7)), table(b"RSDT", struct.pack("<II", 9, 8))
    assert [unit.call(acpi.root_entry, wide, True, index) for index in range(3)] == [2**40, 7, 0]
    assert [unit.call(acpi.root_entry, narrow, False, index) for index in range(3)] == [9, 8, 0]


def test_processors_that_are_usable():
    entries = [
        struct.pack("<BBBBI", 0, 8, 0, 0, 1),
        struct.pack("<BBBBI", 0, 8, 1, 4, 0),
        struct.pack("<BBxxIII", 9, 16, 300, 1, 2),
        struct.pack("<BBBxII", 1, 12, 0, 0xFEC00000, 0),
        struct.pack("<BBBBI", 0, 8, 2, 6, 1),
    ]
    body = struct.pack("<II", 0xFEE00000, 1) + b"".join(entries)
    assert ids(acpi.madt_processors, table(b"APIC", body)) == [0, 300, 6]


def test_more_processors_than_room():
    body = struct.pack("<II", 0, 1) + b"".join(struct.pack("<BBBBI", 0, 8, index, index, 1) for index in range(40))
    assert ids(acpi.madt_processors, table(b"APIC", body)) == list(range(16))


def test_power_registers_of_a_pc_and_of_a_hardware_reduced_machine():
    fadt = bytearray(table(b"FACP", bytes(276 - 36)))
    struct.pack_into("<I", fadt, 40, 0x7FE0000)
    struct.pack_into("<II", fadt, 64, 0x604, 0)
    power = unit.new(acpi.PowerOff)
    unit.call(acpi.power_registers, bytes(fadt), power)
    assert (power.control, power.sleep, power.dsdt) == (0x604, 0, 0x7FE0000)
    struct.pack_into("<I", fadt, 112, acpi.HARDWARE_REDUCED)
    struct.pack_into("<BBBBQ", fadt, 244, 0, 8, 0, 0, 0xFEA00200)
    unit.call(acpi.power_registers, bytes(fadt), power)
    assert (power.control, power.sleep, power.sleep_in_memory) == (0, 0xFEA00200, True)


def test_sleep_type_in_the_forms_that_compilers_write():
    for package, expected in [
        (b"\x12\x06\x04\x00\x00\x00\x00", (0, 0, True)), (b"\x12\x08\x04\x0a\x05\x0a\x04\x00\x00", (5, 4, True)),
        (b"\x12\x07\x02\x01\x0a\x07", (1, 7, True)), (b"\x12\x06\x04\x0b\x00", (0, 0, False)),
    ]:  # fmt: skip
        assert unit.call(acpi.sleep_type, table(b"DSDT", b"\x08_S4_\x08_S5_" + package)) == expected


def test_mp_table():
    pointer = summed(struct.pack("<4sIBB6x", b"_MP_", 0x9FC10, 1, 4), 10)
    assert unit.call(mp_table.floating_pointer, bytes(32) + pointer + bytes(16)) == 0x9FC10
    entries = [struct.pack("<BBBBII8x", 0, 3, 20, flags, 0, 0) for flags in (3, 1, 0)] + [bytes([1]) + bytes(7)]
    body = b"".join(entries)
    header = struct.pack("<4sHBB8s12sIHHI4x", b"PCMP", 44 + len(body), 4, 0, b"GOANNA", b"TEST", 0, 0, len(entries), 0)
    whole = summed(header + body, 7)
    assert unit.call(mp_table.table_length, whole) == len(whole)
    assert ids(mp_table.table_processors, whole) == [3, 3]


def test_a_line_belongs_to_the_controller_that_has_it():
    body = struct.pack("<II", 0xFEE00000, 1) + struct.pack("<BBBBI", 0, 8, 0, 0, 1)
    for number, (address, first) in enumerate([(0xFEC00000, 0), (0xFEC10000, 24)]):
        body += struct.pack("<BBBBII", 1, 12, number, 0, address, first)
    madt = table(b"APIC", body)
    assert unit.call(acpi.madt_controller, madt, 23) == (0xFEC00000, 0)
    assert unit.call(acpi.madt_controller, madt, 24) == (0xFEC10000, 24)
    assert unit.call(acpi.madt_controller, madt, 48) == (0, 0)


def named_device(address, line):
    memory = struct.pack("<BHBII", 0x86, 9, 1, address, 0x200)
    interrupt = struct.pack("<BHBBI", 0x89, 6, 3, 1, line)
    return b"\x08_HID\x0dLNRO0005\0\x08_UID\x00\x08_CRS\x11\x1a\x0a\x17" + memory + interrupt + b"\x79\0"


def test_virtio_devices_are_found_by_their_name():
    dsdt = table(b"DSDT", b"other" + named_device(0xFEB00000, 24) + bytes(7) + named_device(0xFEB00200, 25))
    found, offset = [], 0
    while True:
        address, line, offset = unit.call(acpi.mmio_device, dsdt, offset)
        if address == 0:
            break
        found.append((address, line))
    assert found == [(0xFEB00000, 24), (0xFEB00200, 25)]


STARTS = [b"", b"LNRO0005", b"RSD PTR ", b"_MP_", b"PCMP", b"APIC" + bytes(40), b"FACP", b"_S5_\x12"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(STARTS))
def test_no_bytes_hurt(data, start):
    data = start + data
    power = unit.new(acpi.PowerOff)
    unit.call(acpi.rsdp_root, data)
    unit.call(acpi.table_length, data)
    unit.call(acpi.root_entry, data, True, 5)
    unit.call(acpi.power_registers, data, power)
    unit.call(acpi.sleep_type, data)
    unit.call(acpi.sleep_type, bytes(36) + data)
    unit.call(acpi.mmio_device, data, 0)
    unit.call(acpi.madt_controller, data, 30)
    unit.call(mp_table.floating_pointer, data)
    unit.call(mp_table.table_length, data)
    assert len(ids(acpi.madt_processors, data)) <= 16
    assert len(ids(mp_table.table_processors, summed(data + b"\0", len(data)))) <= 16
