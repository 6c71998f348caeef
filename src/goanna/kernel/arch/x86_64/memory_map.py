"""The machine's RAM: what the loader says of it, the exact direct map, the rights of the kernel's own pages.

Before the memory room runs, pages for tables come from right behind the image. What is left is handed over once, by
`give_memory`.
"""

from goanna.metal import Array, Fn, Slice, extern_static, fill, hook, metal, static, u8, u64, unsafe

from .boot import IMAGE_TABLES, boot_image_directory, boot_image_table, boot_top
from .cpu import invalidate_all, write_cr3
from .layout import (
    DIRECT_MAP,
    HUGE_SIZE,
    KERNEL_OFFSET,
    KERNEL_PHYSICAL,
    PAGE_SIZE,
    TRAMPOLINE,
    virtual,
)
from .page_table import (
    ACCESSED,
    DIRTY,
    GLOBAL,
    HUGE,
    NO_EXECUTE,
    PRESENT,
    WRITABLE,
    early_table_page,
    kernel_table,
    slot_of,
)
from .processor import features
from .pvh import MEMORY_RESERVED, PVH_MAGIC, MemoryEntry, Module, Range, StartInfo, remove, usable_ranges

__all__ = [
    "build_direct_map", "command_line", "give_memory", "image_end", "loader_module", "loader_rsdp", "memory_beyond",
    "memory_size", "read_start_info",
]  # fmt: skip

# The first physical address behind everything the loader brought: kernel and bundle. Called once, on the boot stack.
image_end = hook(Fn[[], u64])

MAXIMUM_RANGES = 32
MAXIMUM_ENTRIES = 256
COMMAND_LINE_SIZE = 2048
INNER = PRESENT | WRITABLE | ACCESSED
LEAF = PRESENT | ACCESSED | DIRTY | GLOBAL | NO_EXECUTE
GIANT_SIZE = 1 << 30
BUILD_TOP = 320  # where the new direct map is built before it replaces the first one: an entry of the top table
DIRECT_TOP = DIRECT_MAP >> 39 & 511
MAXIMUM_TOPS = 64  # 32 TiB

ranges = static(Array[Range, MAXIMUM_RANGES])
range_count = static(u64)
module = static(Range)  # the loader's first module, which is no free RAM; end 0: there is none
module_size = static(u64)  # bytes
command_line_text = static(Array[u8, COMMAND_LINE_SIZE])
command_line_length = static(u64)
loader_rsdp = static(u64)  # physical; 0: the loader says nothing
early_next = static(u64)  # physical; 0: the memory room has taken over
early_end = static(u64)

text_start = extern_static("__text_start", u8)
rodata_start = extern_static("__rodata_start", u8)
data_start = extern_static("__data_start", u8)
kernel_end = extern_static("__kernel_end", u8)


@metal
def early_page() -> u64:
    """A zeroed page behind the image; 0 once memory was given away."""
    global early_next
    if early_next == 0:
        return 0
    page = early_next
    assert page + PAGE_SIZE <= early_end, "the machine has no memory left behind the image"
    early_next = page + PAGE_SIZE
    fill(unsafe.slice(u8, virtual(page), PAGE_SIZE), 0)
    return page


early_table_page.set(early_page)


@metal
def command_line() -> Slice[u8]:
    """The kernel command line, without a final zero."""
    return command_line_text[0:command_line_length]


@metal
def memory_size() -> u64:
    """Bytes of RAM."""
    total: u64 = 0
    for index in range(u64(0), range_count):
        total += ranges[index].end - ranges[index].start
    return total


@metal
def loader_module() -> tuple[u64, u64]:
    """Physical address and size of the file that the loader put beside the kernel; size 0: there is none."""
    return module.start, module_size


@metal
def keep_module(modules: u64) -> None:
    """Take the first module out of free RAM. A module that isn't in RAM, in whole pages, is none."""
    global range_count, module_size
    first = unsafe.at(Module, virtual(modules))
    if first.size == 0 or first.address & (PAGE_SIZE - 1) != 0:
        return
    for index in range(u64(0), range_count):
        each = ranges[index]
        if each.start <= first.address < each.end and first.size <= each.end - first.address:
            module.start = first.address
            module.end = first.address + ((first.size + (PAGE_SIZE - 1)) & ~u64(PAGE_SIZE - 1))
            module_size = first.size
    if module_size != 0:
        taken = MemoryEntry(start=module.start, size=module.end - module.start, kind=MEMORY_RESERVED)
        range_count = remove(ranges, range_count, taken)


@metal
def memory_beyond(address: u64) -> u64:
    """Bytes of RAM from a physical address on."""
    total: u64 = 0
    for index in range(u64(0), range_count):
        start = max(ranges[index].start, address)
        if start < ranges[index].end:
            total += ranges[index].end - start
    return total


@metal
def read_start_info(address: u64) -> None:
    """Copy what is needed of the loader's structures, which lie in memory that will be used."""
    global range_count, command_line_length, loader_rsdp
    info = unsafe.at(StartInfo, virtual(address))
    assert info.magic == PVH_MAGIC and info.version >= 1, "the loader gave no PVH start information with a memory map"
    entries = unsafe.slice(MemoryEntry, virtual(info.memory_map), min(u64(info.memory_map_entries), MAXIMUM_ENTRIES))
    range_count = usable_ranges(entries, ranges)
    if info.module_count != 0 and info.modules != 0:
        keep_module(info.modules)
    loader_rsdp = info.rsdp
    if info.command_line != 0:
        while command_line_length < COMMAND_LINE_SIZE:
            byte = unsafe.load(u8, virtual(info.command_line) + command_line_length)
            if byte == 0:
                break
            command_line_text[command_line_length] = byte
            command_line_length += 1


@metal
def set_early(end: u64) -> None:
    """Take pages for tables from the first whole page at `end` on."""
    global early_next, early_end
    for index in range(u64(0), range_count):
        if ranges[index].start <= KERNEL_PHYSICAL < ranges[index].end:
            early_next = (end + (PAGE_SIZE - 1)) & ~u64(PAGE_SIZE - 1)
            early_end = ranges[index].end
    assert early_next != 0, "the kernel doesn't lie in RAM"
    assert early_next < early_end, "the image is larger than the machine's memory"


@metal
def build_direct_map() -> None:
    """Replace the first tables: all RAM and nothing else in the direct map, the image with exact rights, no
    identity map.
    """
    kernel_table.root = unsafe.address(boot_top) - KERNEL_OFFSET
    set_early(unsafe.address(kernel_end) - KERNEL_OFFSET)  # so that image_end can stop the machine
    set_early(max(image_end(), unsafe.address(kernel_end) - KERNEL_OFFSET))
    read_only_end = unsafe.address(data_start) - KERNEL_OFFSET
    for index in range(u64(0), range_count):
        start, end = ranges[index].start, ranges[index].end
        if start <= KERNEL_PHYSICAL < end:
            map_linear(start, KERNEL_PHYSICAL, WRITABLE)
            map_linear(KERNEL_PHYSICAL, read_only_end, 0)
            map_linear(read_only_end, end, WRITABLE)
        else:
            map_linear(start, end, WRITABLE)
    map_linear(module.start, module.end, 0)
    for index in range(u64(0), u64(MAXIMUM_TOPS)):
        entry = boot_top[BUILD_TOP + index]
        boot_top[DIRECT_TOP + index] = entry | NO_EXECUTE if entry != 0 else u64(0)
        boot_top[BUILD_TOP + index] = 0
    protect_image()
    boot_top[0] = 0
    write_cr3(kernel_table.root)
    invalidate_all()


@metal
def map_linear(start: u64, end: u64, rights: u64) -> None:
    """Put physical [start, end) into the direct map that is being built, in the largest pages that fit."""
    at = start
    while at < end:
        left = end - at
        size: u64 = PAGE_SIZE
        level: u64 = 0
        if at & (HUGE_SIZE - 1) == 0 and left >= HUGE_SIZE:
            size = HUGE_SIZE
            level = 1
            if features.giant_pages and at & (GIANT_SIZE - 1) == 0 and left >= GIANT_SIZE:
                size = GIANT_SIZE
                level = 2
        where = slot_of(kernel_table.root, (BUILD_TOP << 39 | 0xFFFF << 48) + at, level, True, INNER)
        entry = at | LEAF | rights
        unsafe.store(u64, where, entry | HUGE if level != 0 else entry)
        at += size


@metal
def protect_image() -> None:
    """Code read-only and executable, constants read-only, data writable; the start code is not mapped any more."""
    text, rodata = unsafe.address(text_start), unsafe.address(rodata_start)
    data, end = unsafe.address(data_start), unsafe.address(kernel_end)
    assert end - KERNEL_OFFSET <= IMAGE_TABLES * HUGE_SIZE, "the kernel is larger than its page tables map"
    address = text
    while address < end:
        entry = (address - KERNEL_OFFSET) | PRESENT | ACCESSED | DIRTY | GLOBAL
        if address >= rodata:
            entry |= NO_EXECUTE
        if address >= data:
            entry |= WRITABLE
        boot_image_table[(address - KERNEL_OFFSET) // PAGE_SIZE] = entry
        address += PAGE_SIZE
    fill(boot_image_directory, 0)
    for index in range(u64(0), u64(IMAGE_TABLES)):
        boot_image_directory[index] = (unsafe.address(boot_image_table[index * 512]) - KERNEL_OFFSET) | INNER


@metal
def give_memory(add: Fn[[u64, u64], None]) -> None:
    """Call `add(start, end)` for each range of free RAM, physical, page-aligned. Once; afterwards tables come from
    its pages.

    Kept back: the first two pages (frame 0, and where further processors start), the image, the tables behind it.
    """
    global early_next
    used = early_next
    early_next = 0
    for index in range(u64(0), range_count):
        start, end = max(ranges[index].start, u64(TRAMPOLINE + PAGE_SIZE)), ranges[index].end
        if start <= KERNEL_PHYSICAL < end:
            if start < KERNEL_PHYSICAL:
                add(start, KERNEL_PHYSICAL)
            start = used
        if start < end:
            add(start, end)
