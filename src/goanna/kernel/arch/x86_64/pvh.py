"""What a PVH loader hands over: struct hvm_start_info and the memory map, as plain functions over structures.

Source: xen/include/public/arch-x86/hvm/start_info.h. Physical addresses in these structures are read through
`virtual` by the caller; nothing here touches the machine.
"""

from goanna.metal import Slice, metal, sizeof, struct, u32, u64

from .layout import PAGE_SIZE

__all__ = [
    "MEMORY_RAM", "MEMORY_RESERVED", "PVH_MAGIC", "MemoryEntry", "Module", "Range", "StartInfo", "remove",
    "usable_ranges",
]  # fmt: skip

PVH_MAGIC = 0x336E_C578
MEMORY_RAM = 1
MEMORY_RESERVED = 2


@struct
class StartInfo:
    """struct hvm_start_info. All addresses are physical; 0: there is none."""

    magic: u32
    version: u32  # the memory map is there from 1 on
    flags: u32
    module_count: u32
    modules: u64
    command_line: u64  # ends with a zero byte
    rsdp: u64
    memory_map: u64
    memory_map_entries: u32
    reserved: u32


@struct
class MemoryEntry:
    """struct hvm_memmap_table_entry: types as in E820."""

    start: u64
    size: u64
    kind: u32
    reserved: u32


@struct
class Module:
    """struct hvm_modlist_entry: a further file that the loader has put into memory (QEMU's -initrd)."""

    address: u64
    size: u64  # bytes
    command_line: u64
    reserved: u64


@struct
class Range:
    """Physical memory from `start` to before `end`, bytes."""

    start: u64
    end: u64


assert sizeof(StartInfo) == 56 and sizeof(MemoryEntry) == 24 and sizeof(Module) == 32

HIGHEST = 1 << 46  # no machine has more; keeps a broken map from overflowing


@metal
def usable_ranges(entries: Slice[MemoryEntry], ranges: Slice[Range]) -> u64:
    """Fill `ranges` with the whole pages of RAM, rising, apart from each other, without what any other entry claims.

    Gives their number. What doesn't fit into `ranges` is left out.
    """
    count: u64 = 0
    for entry in entries:
        if entry.kind == MEMORY_RAM:
            count = insert(ranges, count, entry)
    for entry in entries:
        if entry.kind != MEMORY_RAM:
            count = remove(ranges, count, entry)
    return count


@metal
def clipped_end(entry: MemoryEntry) -> u64:
    """Where an entry ends, at most HIGHEST."""
    if entry.start >= HIGHEST:
        return HIGHEST
    return entry.start + min(entry.size, HIGHEST - entry.start)


@metal
def insert(ranges: Slice[Range], count: u64, entry: MemoryEntry) -> u64:
    """Add the whole pages of an entry; those that touch become one range."""
    if entry.start >= HIGHEST:
        return count
    start = (entry.start + (PAGE_SIZE - 1)) & ~u64(PAGE_SIZE - 1)
    end = clipped_end(entry) & ~u64(PAGE_SIZE - 1)
    if start >= end:
        return count
    kept: u64 = 0
    for index in range(u64(0), count):
        each = ranges[index]
        if each.end < start or each.start > end:
            ranges[kept].start, ranges[kept].end = each.start, each.end
            kept += 1
        else:
            start, end = min(start, each.start), max(end, each.end)
    if kept == len(ranges):
        return kept
    at = kept
    while at > 0 and ranges[at - 1].start > start:
        ranges[at].start, ranges[at].end = ranges[at - 1].start, ranges[at - 1].end
        at -= 1
    ranges[at].start, ranges[at].end = start, end
    return kept + 1


@metal
def remove(ranges: Slice[Range], count: u64, entry: MemoryEntry) -> u64:
    """Take away every page that an entry touches."""
    if entry.start >= HIGHEST or entry.size == 0:
        return count
    start = entry.start & ~u64(PAGE_SIZE - 1)
    end = (clipped_end(entry) + (PAGE_SIZE - 1)) & ~u64(PAGE_SIZE - 1)
    index: u64 = 0
    while index < count:
        each = ranges[index]
        if each.end <= start or each.start >= end:
            index += 1
        elif each.start < start and each.end > end:
            if count < len(ranges):
                at = count
                while at > index + 1:
                    ranges[at].start, ranges[at].end = ranges[at - 1].start, ranges[at - 1].end
                    at -= 1
                ranges[index + 1].start, ranges[index + 1].end = end, each.end
                count += 1
            each.end = start
            index += 1
        elif each.start < start:
            each.end = start
            index += 1
        elif each.end > end:
            each.start = end
            index += 1
        else:
            for at in range(index + 1, count):
                ranges[at - 1].start, ranges[at - 1].end = ranges[at].start, ranges[at].end
            count -= 1
    return count
