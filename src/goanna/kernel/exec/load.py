"""Makes an address space out of an ELF file: its segments, its heap's start, its stack.

Both kinds of static program are loaded: fixed, and position-independent at a random base. What is writable is not
executable unless the file asks for it, and pages of the file are mapped from the image, not copied.
"""

from goanna.kernel.arch import PAGE_SIZE, READ, WRITE
from goanna.kernel.base.errno import EFAULT, ENOEXEC, ENOMEM
from goanna.kernel.exec.elf import PT_GNU_RELRO, PT_LOAD, Layout, Segment, examine, segment_at
from goanna.kernel.exec.relocate import relocate
from goanna.kernel.exec.stack import Start, build_stack
from goanna.kernel.memory.area import AREA_GROWSDOWN, AREA_STACK
from goanna.kernel.memory.mapping import MAP_ANONYMOUS, MAP_PRIVATE, PROTECTION, Request, map_request
from goanna.kernel.memory.placement import MAP_FIXED, MAP_FIXED_NOREPLACE, pie_base, random_u64, randomise, stack_top
from goanna.kernel.memory.protect import protect
from goanna.kernel.memory.remote import Window
from goanna.kernel.memory.source import PageSource
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Fn, fill, hook, i64, metal, u8, u64, unsafe, wrapping

__all__ = ["describe_machine", "load_program", "map_vdso"]

BREAK_RANGE = 32 << 20  # bytes after the program in which the heap starts (Linux arch_randomize_brk)
STACK_START = 132 << 10  # bytes of stack that are mapped before it grows

# What the machine offers programs: AT_HWCAP, AT_HWCAP2 and the bytes of the largest signal frame go into `Start`.
describe_machine = hook(Fn[[Start], None])
map_vdso = hook(Fn[[AddressSpace], u64])  # map the vDSO into a new space: its address, or 0


@metal
def load_program(space: AddressSpace, source: PageSource, size: u64, start: Start) -> i64:
    """Load the ELF file of `size` bytes into an empty space. `start` says what the program is told and receives its
    entry and stack pointer.

    0, -ENOEXEC, -ENOENT (it wants shared libraries), -E2BIG, -ENOMEM or -EIO. After an error the space is of no use.
    """
    layout = Layout()
    result = examine(source, size, layout)
    if result != 0:
        return result
    randomise(space)
    bias: u64 = 0
    if layout.movable:
        base = pie_base(layout.align)
        bias = wrapping(base - (layout.low & ~(layout.align - 1)))
    result = map_segments(space, layout, bias)
    if result != 0:
        return result
    if layout.interpreter and layout.relocations != 0:
        result = relocate(space, layout, bias)
        if result == 0:
            result = seal(space, layout, bias)
        if result != 0:
            return result
    space.break_start = wrapping(bias + layout.high) + ((random_u64() % BREAK_RANGE) & ~(PAGE_SIZE - 1))
    space.break_end = space.break_start
    result = map_stack(space, layout.executable_stack)
    if result < 0:
        return result
    start.entry = wrapping(bias + layout.entry)
    start.headers = u64(0) if layout.headers == 0 else wrapping(bias + layout.headers)
    start.header_count = layout.count
    space.vdso = map_vdso(space)
    return build_stack(space, u64(result), start)


@metal
def map_segments(space: AddressSpace, layout: Layout, bias: u64) -> i64:
    """Map each PT_LOAD segment."""
    segment = Segment()
    for index in range(layout.count):
        result = segment_at(layout, index, segment)
        if result != 0:
            return result
        if segment.kind != PT_LOAD or segment.memory_size == 0:
            continue
        result = map_segment(space, layout, segment, bias)
        if result != 0:
            return result
        start = wrapping(bias + segment.address)
        end = start + segment.memory_size
        if segment.protection() & WRITE != 0:
            space.data_start = start
            space.data_end = end
        elif space.code_start == 0:
            space.code_start = start
            space.code_end = end
    return 0


@metal
def map_segment(space: AddressSpace, layout: Layout, segment: Segment, bias: u64) -> i64:
    """Map one segment: pages of the file, then pages of zeros."""
    protection = segment.protection()
    first = wrapping(bias + segment.address)
    start = first & ~(PAGE_SIZE - 1)
    file_end = first + segment.file_size
    end = (first + segment.memory_size + (PAGE_SIZE - 1)) & ~(PAGE_SIZE - 1)
    file_pages_end = start if segment.file_size == 0 else (file_end + (PAGE_SIZE - 1)) & ~(PAGE_SIZE - 1)
    if file_pages_end > start:
        request = Request(address=start, length=file_pages_end - start, protection=protection, maximum=PROTECTION)
        request.flags = MAP_PRIVATE | MAP_FIXED
        request.source = layout.source
        request.offset = segment.offset - (first - start)
        result = put(space, request)
        if result != 0:
            return result
    if end > file_pages_end:
        size = end - file_pages_end
        request = Request(address=file_pages_end, length=size, protection=protection, maximum=PROTECTION)
        request.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
        result = put(space, request)
        if result != 0:
            return result
    if segment.memory_size > segment.file_size and file_pages_end > file_end and protection & WRITE != 0:
        return clear_rest(space, file_end)
    return 0


@metal
def put(space: AddressSpace, request: Request) -> i64:
    """Map at a fixed place: 0, -ENOMEM, or -ENOEXEC where the place is no place."""
    result = map_request(space, request)
    if result >= 0:
        return 0
    return result if result == -ENOMEM else -ENOEXEC


@metal
def clear_rest(space: AddressSpace, address: u64) -> i64:
    """Fill the page from `address` on with zeros: the file's bytes after the segment don't belong to it."""
    window = Window()
    window.start(space)
    place = window.reach(address, True)
    if place == 0:
        return -EFAULT
    fill(unsafe.slice(u8, place, PAGE_SIZE - address % PAGE_SIZE), 0)
    return 0


@metal
def seal(space: AddressSpace, layout: Layout, bias: u64) -> i64:
    """Make read-only what the program wants so after its relocation."""
    segment = Segment()
    for index in range(layout.count):
        result = segment_at(layout, index, segment)
        if result != 0:
            return result
        if segment.kind != PT_GNU_RELRO:
            continue
        if segment.address < layout.low or segment.address >= layout.high:
            return -ENOEXEC
        size = min(segment.memory_size, layout.high - segment.address)
        start = wrapping(bias + segment.address) & ~(PAGE_SIZE - 1)
        end = wrapping(bias + segment.address + size) & ~(PAGE_SIZE - 1)
        if end > start and protect(space, start, end - start, READ) != 0:
            return -ENOEXEC
    return 0


@metal
def map_stack(space: AddressSpace, executable: bool) -> i64:
    """Map the start of the stack; the address after it, or a negative error."""
    top = stack_top()
    request = Request(address=top - STACK_START, length=STACK_START, maximum=PROTECTION)
    request.protection = PROTECTION if executable else READ | WRITE
    request.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
    request.area_flags = AREA_STACK | AREA_GROWSDOWN
    result = map_request(space, request)
    return i64(top) if result >= 0 else result
