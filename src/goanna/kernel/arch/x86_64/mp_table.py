"""Intel's MultiProcessor table: the processors of a machine without ACPI. MultiProcessor Specification 1.4, chapter
4.
"""

from goanna.kernel.device.acpi import checksum_good, load16, load32
from goanna.metal import Slice, metal, u8, u32, u64

__all__ = ["floating_pointer", "table_processors"]

POINTER_SIZE, HEADER_SIZE, PROCESSOR_SIZE, OTHER_SIZE = 16, 44, 20, 8
PROCESSOR = 0
ENABLED = 1


@metal
def floating_pointer(area: Slice[u8]) -> u64:
    """Where the floating pointer in a part of memory says that the table is; 0 if there is none."""
    offset: u64 = 0
    while offset + POINTER_SIZE <= len(area):
        pointer = area[offset : offset + POINTER_SIZE]
        if pointer[0] == 0x5F and pointer[0:4] == b"_MP_" and checksum_good(pointer):
            return u64(load32(pointer, 4))
        offset += 16
    return 0


@metal
def table_length(header: Slice[u8]) -> u64:
    """The length that a table's header says; 0 if it is none."""
    if len(header) < HEADER_SIZE or header[0:4] != b"PCMP":
        return 0
    return u64(load16(header, 4))


@metal
def table_processors(table: Slice[u8], ids: Slice[u32]) -> u64:
    """Fill `ids` with the interrupt controller numbers of the enabled processors. Gives how many were stored."""
    count: u64 = 0
    offset: u64 = HEADER_SIZE
    if not checksum_good(table):
        return 0
    for _ in range(load16(table, 34)):
        if offset >= len(table) or count == len(ids):
            break
        if table[offset] != PROCESSOR:
            offset += OTHER_SIZE
        else:
            if offset + PROCESSOR_SIZE > len(table):
                break
            if table[offset + 3] & ENABLED != 0:
                ids[count] = u32(table[offset + 1])
                count += 1
            offset += PROCESSOR_SIZE
    return count
