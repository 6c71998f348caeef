"""ACPI tables as far as a kernel without an interpreter reads them: processors, and how to switch the machine off.

Everything is a function over bytes that nobody has checked; each offset is compared with the table's length before
it is read. ACPI specification 6.5, chapters 5.2 and 7.4.2.
"""

from goanna.metal import Slice, metal, struct, u8, u32, u64

__all__ = [
    "HEADER_SIZE",
    "RSDP_SIZE",
    "PowerOff",
    "checksum_good",
    "definition_block",
    "madt_controller",
    "madt_processors",
    "mmio_device",
    "power_registers",
    "root_count",
    "root_entry",
    "rsdp_root",
    "signature",
    "sleep_type",
    "table_length",
]  # fmt: skip

HEADER_SIZE = 36
RSDP_SIZE = 36
RSDP_SIZE_1 = 20  # of the ACPI 1.0 form

MADT = int.from_bytes(b"APIC", "little")
FADT = int.from_bytes(b"FACP", "little")

MADT_ENTRIES = 44
LOCAL_APIC, IO_APIC, LOCAL_X2APIC = 0, 1, 9
IO_APIC_LINES = 24  # of each controller, as far as its entry tells
USABLE = 1  # enabled; "online capable" ones are for hot plug
SYSTEM_MEMORY, SYSTEM_IO = 0, 1
HARDWARE_REDUCED = 1 << 20

NEAR = 96  # bytes behind a device's name in which its resources are


@metal
def load16(data: Slice[u8], offset: u64) -> u32:
    """A 16-bit number; 0 where the data ends before it."""
    if offset + 2 > len(data):
        return 0
    return u32(data[offset]) | u32(data[offset + 1]) << 8


@metal
def load32(data: Slice[u8], offset: u64) -> u32:
    """A 32-bit number; 0 where the data ends before it."""
    if offset + 4 > len(data):
        return 0
    return load16(data, offset) | load16(data, offset + 2) << 16


@metal
def load64(data: Slice[u8], offset: u64) -> u64:
    """A 64-bit number; 0 where the data ends before it."""
    if offset + 8 > len(data):
        return 0
    return u64(load32(data, offset)) | u64(load32(data, offset + 4)) << 32


@metal
def checksum_good(data: Slice[u8]) -> bool:
    """Whether the bytes add up to 0."""
    total: u32 = 0
    for byte in data:
        total = (total + u32(byte)) & 0xFF
    return total == 0


@metal
def signature(table: Slice[u8]) -> u32:
    """The four letters a table begins with, as a little-endian number."""
    return load32(table, 0)


@metal
def table_length(header: Slice[u8]) -> u64:
    """The length a table's header (HEADER_SIZE bytes) says; 0 if that can't be one."""
    length = load32(header, 4)
    return u64(length) if HEADER_SIZE <= length <= 1 << 20 else u64(0)


@metal
def rsdp_root(rsdp: Slice[u8]) -> tuple[u64, bool]:
    """Physical address of the root table, and whether its entries are 64 bits wide; 0 if this is no valid pointer."""
    if len(rsdp) < RSDP_SIZE_1 or rsdp[0:8] != b"RSD PTR " or not checksum_good(rsdp[0:RSDP_SIZE_1]):
        return 0, False
    if rsdp[15] >= 2 and len(rsdp) >= RSDP_SIZE and checksum_good(rsdp[0:RSDP_SIZE]):
        wide = load64(rsdp, 24)
        if wide != 0:
            return wide, True
    return u64(load32(rsdp, 16)), False


@metal
def root_count(table: Slice[u8], wide: bool) -> u64:
    """How many tables the root table names."""
    if len(table) < HEADER_SIZE:
        return 0
    return (len(table) - HEADER_SIZE) // (8 if wide else 4)


@metal
def root_entry(table: Slice[u8], wide: bool, index: u64) -> u64:
    """The physical address of a table; 0 past the end."""
    if index >= root_count(table, wide):
        return 0
    return load64(table, HEADER_SIZE + index * 8) if wide else u64(load32(table, HEADER_SIZE + index * 4))


@metal
def madt_processors(table: Slice[u8], ids: Slice[u32]) -> u64:
    """Fill `ids` with the interrupt controller numbers of the usable processors. Gives how many were stored."""
    count: u64 = 0
    offset: u64 = MADT_ENTRIES
    while offset + 2 <= len(table) and count < len(ids):
        kind, length = table[offset], u64(table[offset + 1])
        if length < 2 or offset + length > len(table):
            break
        if kind == LOCAL_APIC and length >= 8 and load32(table, offset + 4) & USABLE != 0:
            ids[count] = u32(table[offset + 3])
            count += 1
        elif kind == LOCAL_X2APIC and length >= 16 and load32(table, offset + 8) & USABLE != 0:
            ids[count] = load32(table, offset + 4)
            count += 1
        offset += length
    return count


@metal
def madt_controller(table: Slice[u8], line: u32) -> tuple[u64, u32]:
    """The physical address of the I/O interrupt controller that has a line, and its first line; 0 if there is none."""
    offset: u64 = MADT_ENTRIES
    while offset + 2 <= len(table):
        length = u64(table[offset + 1])
        if length < 2 or offset + length > len(table):
            break
        if table[offset] == IO_APIC and length >= 12:
            first = load32(table, offset + 8)
            if first <= line and line - first < IO_APIC_LINES:
                return u64(load32(table, offset + 4)), first
        offset += length
    return 0, 0


@metal
def mmio_device(table: Slice[u8], after: u64) -> tuple[u64, u32, u64]:
    """A virtio device on memory-mapped registers in the DSDT: physical address, interrupt line, and where to look for
    the next one. Address 0: there are no more.

    It is found by its name, LNRO0005, and the two resource descriptors behind it: Memory32Fixed (ACPI 6.5, 6.4.3.4) and
    Interrupt (6.4.3.6). Code that makes such a name at run time is not understood.
    """
    at = after
    while at + 8 <= len(table):
        if table[at] == ord("L") and table[at : at + 8] == b"LNRO0005":
            memory = find_resource(table, at + 8, 0x86, 9)
            line = find_resource(table, at + 8, 0x89, 6)
            if memory != 0 and line != 0:
                return u64(load32(table, memory + 4)), load32(table, line + 5), at + 8
        at += 1
    return 0, 0, at


@metal
def find_resource(table: Slice[u8], start: u64, tag: u8, length: u8) -> u64:
    """The first large resource descriptor of a kind and length within the next bytes; 0 if there is none."""
    at = start
    while at + 3 + u64(length) <= min(len(table), start + NEAR):
        if table[at] == tag and table[at + 1] == length and table[at + 2] == 0:
            return at
        at += 1
    return 0


@struct
class PowerOff:
    """The registers that send the machine to sleep. Address 0: there is none."""

    control: u64  # PM1a control, a port
    control_b: u64  # PM1b control, a port
    sleep: u64  # sleep control of a hardware-reduced machine
    sleep_in_memory: bool
    dsdt: u64  # physical address of the table that holds \\_S5


@metal
def definition_block(table: Slice[u8]) -> u64:
    """The physical address of the table of AML that the fixed description table (FADT) names; 0: none."""
    wide = load64(table, 140)
    return wide if wide != 0 else u64(load32(table, 40))


@metal
def power_registers(table: Slice[u8], power: PowerOff) -> None:
    """Read the fixed description table (FADT)."""
    power.control = u64(load32(table, 64))
    power.control_b = u64(load32(table, 68))
    power.sleep = 0
    power.sleep_in_memory = False
    power.dsdt = definition_block(table)
    if load32(table, 112) & HARDWARE_REDUCED != 0:
        power.control = 0
        power.control_b = 0
        space = table[244] if len(table) > 244 else u8(SYSTEM_IO)
        if space in (SYSTEM_MEMORY, SYSTEM_IO):
            power.sleep = load64(table, 248)
            power.sleep_in_memory = space == SYSTEM_MEMORY


@metal
def package_number(code: Slice[u8], offset: u64) -> tuple[u32, u64]:
    """A small constant of AML and the offset behind it; offset 0 if it is none."""
    if offset >= len(code):
        return 0, 0
    match code[offset]:
        case 0x00:
            return 0, offset + 1
        case 0x01:
            return 1, offset + 1
        case 0x0A:
            return (u32(code[offset + 1]), offset + 2) if offset + 1 < len(code) else (u32(0), u64(0))
        case _:
            return 0, 0


@metal
def sleep_type(table: Slice[u8]) -> tuple[u32, u32, bool]:
    r"""The values of SLP_TYPa and SLP_TYPb for switching off, and whether the DSDT's \_S5 package was found."""
    offset: u64 = HEADER_SIZE
    while offset + 7 <= len(table):
        if table[offset] == 0x5F and table[offset : offset + 4] == b"_S5_" and table[offset + 4] == 0x12:
            # PackageOp, PkgLength (its top two bits: how many bytes follow), number of elements, the elements.
            at = offset + 6 + u64(table[offset + 5] >> 6) + 1
            first, after = package_number(table, at)
            if after != 0:
                second, end = package_number(table, after)
                return first & 7, second & 7, end != 0
        offset += 1
    return 0, 0, False
