"""What an ELF file says about the program in it (System V ABI, chapter 4 and 5), read with suspicion.

Every number of the file is checked before it is used: a file that is damaged, or not for this machine, is refused with
-ENOEXEC and never taken half.
"""

from goanna.kernel.arch import ELF_MACHINE, EXECUTE, PAGE_SIZE, READ, USER_TOP, WRITE
from goanna.kernel.base.errno import ENOENT, ENOEXEC
from goanna.kernel.memory.placement import LEAST_ADDRESS
from goanna.kernel.memory.source import PageSource, read_source
from goanna.metal import Ptr, i64, metal, sizeof, struct, u8, u16, u32, u64, unsafe

__all__ = ["PT_DYNAMIC", "PT_GNU_RELRO", "PT_LOAD", "Dynamic", "Layout", "Segment", "examine", "segment_at"]

ELF_IDENTITY = 0x00010102464C457F  # magic, 64 bits, little-endian, version 1, System V (low 7 bytes are compared)
IDENTITY_MASK = 0x00FFFFFFFFFFFFFF
ET_EXEC = 2
ET_DYN = 3

PT_LOAD = 1
PT_DYNAMIC = 2
PT_INTERP = 3
PT_GNU_STACK = 0x6474E551
PT_GNU_RELRO = 0x6474E552

PF_EXECUTE = 1
PF_WRITE = 2
PF_READ = 4

DT_NULL = 0
DT_NEEDED = 1
DT_RELA = 7
DT_RELASZ = 8
DT_RELAENT = 9
DT_REL = 17
DT_JMPREL = 23
DT_RELR = 36
MAXIMUM_DYNAMIC = 4096  # entries
RELA_SIZE = 24  # bytes of Elf64_Rela

MAXIMUM_ALIGN = 1 << 30  # bytes
MAXIMUM_SEGMENTS = 65536 // 56  # Linux: the headers take at most 64 KiB


@struct
class ElfHeader:
    """Elf64_Ehdr."""

    identity: u64
    padding: u64
    kind: u16
    machine: u16
    version: u32
    entry: u64
    segments: u64  # offset of the program headers
    sections: u64
    flags: u32
    header_size: u16
    segment_size: u16
    segment_count: u16
    section_size: u16
    section_count: u16
    names: u16


@struct
class Segment:
    """Elf64_Phdr."""

    kind: u32
    flags: u32  # PF_*
    offset: u64  # in the file
    address: u64
    physical: u64
    file_size: u64
    memory_size: u64
    align: u64

    def protection(self) -> u32:
        """The flags as arch.READ, WRITE and EXECUTE."""
        read = READ if self.flags & PF_READ != 0 else u32(0)
        write = WRITE if self.flags & PF_WRITE != 0 else u32(0)
        execute = EXECUTE if self.flags & PF_EXECUTE != 0 else u32(0)
        return read | write | execute


@struct
class Dynamic:
    """Elf64_Dyn."""

    tag: u64
    value: u64


assert sizeof(ElfHeader) == 64 and sizeof(Segment) == 56


@struct
class Layout:
    """What was found out. Addresses are the file's; a position-independent program is moved by a bias."""

    source: Ptr[PageSource]
    size: u64  # bytes of the file
    entry: u64
    headers: u64  # address of the program headers, 0: not mapped
    segments: u64  # offset of the program headers
    count: u64  # of them
    low: u64  # first page of all that is mapped
    high: u64  # the end, whole pages
    align: u64  # the greatest that a segment wants
    movable: bool
    executable_stack: bool
    interpreter: bool
    relocations: u64  # address of the table that the interpreter would have applied, 0: none
    relocations_size: u64  # bytes


@metal
def segment_at(layout: Layout, index: u64, segment: Segment) -> i64:
    """Read one program header. 0, -EIO or -ENOMEM."""
    offset = layout.segments + index * sizeof(Segment)
    return read_source(layout.source, offset, unsafe.slice(u8, unsafe.address(segment), sizeof(Segment)))


@metal
def examine(source: PageSource, size: u64, layout: Layout) -> i64:
    """Read an ELF file of `size` bytes. 0, -ENOEXEC, -ENOENT (it wants shared libraries), -EIO or -ENOMEM."""
    header = ElfHeader()
    if size < sizeof(ElfHeader):
        return -ENOEXEC
    result = read_source(source, 0, unsafe.slice(u8, unsafe.address(header), sizeof(ElfHeader)))
    if result != 0:
        return result
    if header.identity & IDENTITY_MASK != ELF_IDENTITY or u32(header.machine) != ELF_MACHINE:
        return -ENOEXEC
    if header.kind not in (ET_EXEC, ET_DYN) or u64(header.segment_size) != sizeof(Segment):
        return -ENOEXEC
    count = u64(header.segment_count)
    if count == 0 or count > MAXIMUM_SEGMENTS or not inside(header.segments, count * sizeof(Segment), size):
        return -ENOEXEC
    layout.source = source
    layout.size = size
    layout.entry = header.entry
    layout.segments = header.segments
    layout.count = count
    layout.movable = header.kind == ET_DYN
    layout.low = USER_TOP
    layout.high = 0
    layout.align = PAGE_SIZE
    layout.headers = 0
    layout.interpreter = False
    layout.executable_stack = False
    layout.relocations = 0
    result = each_segment(layout)
    if result != 0:
        return result
    if layout.high == 0 or layout.entry < layout.low or layout.entry >= layout.high:
        return -ENOEXEC
    return 0


@metal
def inside(offset: u64, length: u64, size: u64) -> bool:
    """Whether a stretch lies in the file."""
    return length <= size and offset <= size - length


@metal
def each_segment(layout: Layout) -> i64:
    """Look at every program header."""
    segment = Segment()
    dynamic: u64 = 0
    dynamic_size: u64 = 0
    floor: u64 = 0
    for index in range(layout.count):
        result = segment_at(layout, index, segment)
        if result != 0:
            return result
        if segment.kind == PT_LOAD:
            if not loadable(layout, segment, floor):
                return -ENOEXEC
            floor = segment.address + segment.memory_size
            include(layout, segment)
        elif segment.kind == PT_INTERP:
            layout.interpreter = True
        elif segment.kind == PT_DYNAMIC:
            if not inside(segment.offset, segment.file_size, layout.size):
                return -ENOEXEC
            dynamic = segment.offset
            dynamic_size = segment.file_size
        elif segment.kind == PT_GNU_STACK:
            layout.executable_stack = segment.flags & PF_EXECUTE != 0
    if layout.interpreter:
        return without_interpreter(layout, dynamic, dynamic_size)
    return 0


@metal
def loadable(layout: Layout, segment: Segment, floor: u64) -> bool:
    """Whether a segment can be mapped: in order, in file and space, at the same place in the page as in the file."""
    if segment.file_size > segment.memory_size or not inside(segment.offset, segment.file_size, layout.size):
        return False
    if segment.address < floor or segment.address >= USER_TOP or segment.memory_size > USER_TOP - segment.address:
        return False
    if not layout.movable and segment.address < LEAST_ADDRESS:
        return False
    if (segment.align > 1 and segment.align & (segment.align - 1) != 0) or segment.align > MAXIMUM_ALIGN:
        return False
    return segment.file_size == 0 or segment.address % PAGE_SIZE == segment.offset % PAGE_SIZE


@metal
def include(layout: Layout, segment: Segment) -> None:
    """Widen the layout by a segment that will be mapped."""
    if segment.memory_size == 0:
        return
    layout.low = min(layout.low, segment.address & ~(PAGE_SIZE - 1))
    layout.high = max(layout.high, (segment.address + segment.memory_size + (PAGE_SIZE - 1)) & ~(PAGE_SIZE - 1))
    layout.align = max(layout.align, segment.align)
    covered = layout.segments >= segment.offset and layout.segments - segment.offset < segment.file_size
    if covered and layout.headers == 0:
        layout.headers = segment.address + (layout.segments - segment.offset)


@metal
def without_interpreter(layout: Layout, offset: u64, size: u64) -> i64:
    """A program with an interpreter but no library: find the relocations that the interpreter would have applied."""
    entry = Dynamic()
    entry_size: u64 = RELA_SIZE
    for index in range(min(size // sizeof(Dynamic), u64(MAXIMUM_DYNAMIC))):
        where = offset + index * sizeof(Dynamic)
        result = read_source(layout.source, where, unsafe.slice(u8, unsafe.address(entry), sizeof(Dynamic)))
        if result != 0:
            return result
        if entry.tag == DT_NULL:
            break
        if entry.tag == DT_NEEDED:
            return -ENOENT
        if entry.tag in (DT_REL, DT_JMPREL, DT_RELR):
            return -ENOEXEC
        if entry.tag == DT_RELA:
            layout.relocations = entry.value
        elif entry.tag == DT_RELASZ:
            layout.relocations_size = entry.value
        elif entry.tag == DT_RELAENT:
            entry_size = entry.value
    return 0 if entry_size == RELA_SIZE else -ENOEXEC
