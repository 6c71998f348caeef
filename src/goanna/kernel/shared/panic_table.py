"""The panic table: from an address in the kernel's code to the Python file and line, and why a check there fails.

The image writer makes it from the linked kernel; the kernel reads it when it panics. It holds the failed checks' own
addresses, the addresses that calls return to (for back traces), and where each function begins. It is packed, because
every image carries it. The layout: a PanicTable; `blocks` u64 numbers, each the start of a block of sites; `functions`
u64 numbers; `modules`, `files` and `reasons` offsets (u32) of texts; `sites` bytes of sites; then the texts, each ended
by a zero byte. All offsets count from the table's start.

The sites lie one after the other by address, each as unsigned LEB128 numbers (DWARF 5, 7.6): the distance to the site
before it in bytes, times 2, plus 1 if its file is another; the file's number if so; the distance to the line of the
site before, times 2, or times -2 less 1 if it is negative; the reason's number, 0 for the address that a call returns
to. A block begins anew from address `start`, line 0 and no file.
"""

from goanna.metal import Ptr, Slice, metal, struct, u8, u32, u64, unsafe, wrapping

PANIC_TABLE_MAGIC = int.from_bytes(b"GoannaPa", "little")
PANIC_TABLE_VERSION = 2

SITES_PER_BLOCK = 32

# A block is a u64: its first site, in bytes from the table's `base`, in the high half, so that blocks sort as numbers;
# the offset of its bytes in the low one. A function is a u64: where it begins, from `base`; the number of the module
# (or class) that it is in; the offset of its own name.
OFFSET_BITS, MODULE_BITS, NAME_BITS = 24, 16, 24
BLOCK_SHIFT = 32
FUNCTION_SHIFT = MODULE_BITS + NAME_BITS
# A site that was found is a u64 of line, file and reason.
LINE_BITS, FILE_BITS, REASON_BITS = 24, 16, 16
FILE_SHIFT = REASON_BITS
LINE_SHIFT = FILE_SHIFT + FILE_BITS

NOT_FOUND = 2**64 - 1


@struct
class PanicTable:
    """The table's head. `size` is the whole table's, in bytes."""

    magic: u64 = PANIC_TABLE_MAGIC
    version: u32 = PANIC_TABLE_VERSION
    size: u32
    base: u64  # the virtual address from which sites and functions are counted
    blocks: u32
    functions: u32
    modules: u32  # module 0 is empty
    files: u32
    reasons: u32  # reason 0 is empty
    sites: u32  # bytes

    def valid(self, available: u64) -> bool:
        """Whether the head is a table's, and the parts that it counts lie within `available` bytes."""
        if self.magic != PANIC_TABLE_MAGIC or self.version != PANIC_TABLE_VERSION or u64(self.size) > available:
            return False
        return self.sites_at() + u64(self.sites) <= u64(self.size)

    def functions_at(self) -> u64:
        """Offset of the functions."""
        return head_size() + u64(self.blocks) * 8

    def modules_at(self) -> u64:
        """Offset of the modules' names."""
        return self.functions_at() + u64(self.functions) * 8

    def files_at(self) -> u64:
        """Offset of the files' names."""
        return self.modules_at() + u64(self.modules) * 4

    def reasons_at(self) -> u64:
        """Offset of the reasons."""
        return self.files_at() + u64(self.files) * 4

    def sites_at(self) -> u64:
        """Offset of the sites."""
        return self.reasons_at() + u64(self.reasons) * 4

    def site(self, address: u64) -> u64:
        """The site at exactly this virtual address: of a failed check, or after a call. NOT_FOUND if there is none."""
        if not self.holds(address):
            return NOT_FOUND
        offset = address - self.base
        block = self.last_up_to(head_size(), u64(self.blocks), (offset << BLOCK_SHIFT) | ((1 << BLOCK_SHIFT) - 1))
        if block == NOT_FOUND:
            return NOT_FOUND
        at = SiteReader(table=self, position=block & ((1 << BLOCK_SHIFT) - 1), place=block >> BLOCK_SHIFT)
        for _ in range(SITES_PER_BLOCK):
            at.advance()
            if at.place >= offset:
                break
        if at.place != offset:
            return NOT_FOUND
        return at.found()

    def line(self, site: u64) -> u64:
        """The line of a site."""
        return site >> LINE_SHIFT

    def file(self, site: u64) -> Slice[u8]:
        """The file of a site, from the package's folder on: `kernel/memory/pages.py`."""
        return self.text_of(self.files_at(), u64(self.files), (site >> FILE_SHIFT) & ((1 << FILE_BITS) - 1))

    def reason(self, site: u64) -> Slice[u8]:
        """Why the check at a site failed; empty for the address that a call returns to."""
        return self.text_of(self.reasons_at(), u64(self.reasons), site & ((1 << REASON_BITS) - 1))

    def function(self, address: u64) -> u64:
        """The function that holds a virtual address; NOT_FOUND if none begins before it."""
        if not self.holds(address):
            return NOT_FOUND
        key = ((address - self.base) << FUNCTION_SHIFT) | ((1 << FUNCTION_SHIFT) - 1)
        return self.last_up_to(self.functions_at(), u64(self.functions), key)

    def module(self, function: u64) -> Slice[u8]:
        """The module, or module and class, that a function is in; empty if it is in none."""
        return self.text_of(self.modules_at(), u64(self.modules), (function >> NAME_BITS) & ((1 << MODULE_BITS) - 1))

    def name(self, function: u64) -> Slice[u8]:
        """A function's own name."""
        return self.text(function & ((1 << NAME_BITS) - 1))

    def holds(self, address: u64) -> bool:
        """Whether a virtual address can be in the table."""
        return address >= self.base and address - self.base < 1 << OFFSET_BITS

    def last_up_to(self, start: u64, count: u64, key: u64) -> u64:
        """The last of `count` sorted numbers at offset `start` that is not above `key`; NOT_FOUND if all are."""
        low: u64 = 0
        high = count
        while low < high:
            middle = (low + high) // 2
            if self.number(start + middle * 8) <= key:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return NOT_FOUND
        return self.number(start + (low - 1) * 8)

    def number(self, offset: u64) -> u64:
        """The u64 at an offset."""
        return unsafe.load(u64, unsafe.address(self) + offset, unaligned=True)

    def byte(self, offset: u64) -> u8:
        """The byte at an offset; 0 beyond the table's end."""
        if offset >= u64(self.size):
            return 0
        return unsafe.load(u8, unsafe.address(self) + offset)

    def text_of(self, start: u64, count: u64, index: u64) -> Slice[u8]:
        """The text whose offset is element `index` of the `count` u32 at `start`; empty if there is none."""
        if index >= count:
            return b""
        return self.text(u64(unsafe.load(u32, unsafe.address(self) + start + index * 4, unaligned=True)))

    def text(self, offset: u64) -> Slice[u8]:
        """The text at an offset, which ends at a zero byte or at the table's end."""
        end = offset
        while self.byte(end) != 0:
            end += 1
        return unsafe.slice(u8, unsafe.address(self) + offset, end - offset)


@struct
class SiteReader:
    """Where a search for a site is in its block."""

    table: Ptr[PanicTable]
    position: u64  # offset of the next site's bytes
    place: u64  # of the site, in bytes from the table's base
    line: u64
    file: u64
    reason: u64

    def advance(self) -> None:
        """Read the next site. What a damaged table says is as wrong as the table, and nothing worse."""
        step = self.leb128()
        self.place = wrapping(self.place + (step >> 1))
        if step & 1 != 0:
            self.file = self.leb128()
        line = self.leb128()
        self.line = wrapping(self.line + ((line >> 1) ^ (u64(0) - (line & 1))))
        self.reason = self.leb128()

    def leb128(self) -> u64:
        """An unsigned number of 7 bits a byte, the lowest first; at most 28 bits."""
        number: u64 = 0
        for index in range(u64(4)):
            byte = u64(self.table.byte(self.position))
            self.position += 1
            number |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                break
        return number

    def found(self) -> u64:
        """The site that was read last."""
        line = self.line & ((1 << LINE_BITS) - 1)
        return line << LINE_SHIFT | (self.file & ((1 << FILE_BITS) - 1)) << FILE_SHIFT | self.reason & 0xFFFF


@metal(inline=True)
def head_size() -> u64:
    """Bytes of the head; a function, because a structure's size isn't known while its methods are declared."""
    return HEAD_SIZE


HEAD_SIZE = PanicTable.size
