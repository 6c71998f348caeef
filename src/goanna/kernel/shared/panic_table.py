"""The panic table: from an address in the kernel's code to the Python file and line, and why a check there fails.

The image writer makes it from the linked kernel; the kernel reads it when it panics. It holds the failed checks' own
addresses, the addresses that calls return to (for back traces), and where each function begins. It is packed, because
every image carries it, and read slowly, because a kernel panics once. The layout, offsets counted from its start: a
PanicTable; a u64 for each block of sites, then for each block of functions; 128 pairs of bytes; six codes; texts; the
sites; the functions.

A text ends at a zero byte; a byte of it from 0x80 on stands for a pair of bytes, of which each may stand for a pair.
The names of modules lie one after the other, and so do those of files, and reasons.

A code is a canonical Huffman code (RFC 1951, 3.2.2), first bit first: how many of its words have 1 bit, 2, ... 16, a
byte each, then their symbols, a byte each. A number is the symbol that says how many bits it has, then these but for
the leading one.

A block of sites begins on a byte, at an address, line 0 and file 0. A site: the number of its reason, 0 for the
address that a call returns to; the distance to the site before it, whose symbol is doubled, plus 1 if its file is
another; the file's number if it is another; the distance to the line of the site before, times 2, or times -2 less 1
if it is negative. Distances have codes of their own at returns and at checks.

A function is the distance to the function before it, times 2, plus 1 if its module is another, as unsigned LEB128
(DWARF 5, 7.6); the module's number, likewise, if so; and the text of its own name.
"""

from goanna.metal import Array, Ptr, metal, struct, u8, u32, u64, unsafe, wrapping

PANIC_TABLE_MAGIC = int.from_bytes(b"GoannaPa", "little")
PANIC_TABLE_VERSION = 3

SITES_PER_BLOCK = 64
FUNCTIONS_PER_BLOCK = 32

# A block is a u64: its first address, from the table's `base`, in the high half, so that blocks sort as numbers; the
# offset of its bytes in the low one.
OFFSET_BITS = 24
BLOCK_SHIFT = 32
# A site that was found is a u64 of line, file and reason; a function is one of its module and the offset of its name.
LINE_BITS, FILE_BITS, REASON_BITS = 24, 16, 16
FILE_SHIFT = REASON_BITS
LINE_SHIFT = FILE_SHIFT + FILE_BITS
MODULE_BITS = 16
MODULE_SHIFT = 32

FIRST_PAIR, PAIRS = 0x80, 128
DEEPEST_PAIR = 12  # a pair of pairs of pairs ...
# The codes: of reasons, files, and those of steps and lines, at returns and, one further, at checks.
REASON, FILE, STEP, LINE = 0, 1, 2, 4
CODES = 6
LONGEST_CODE = 16  # bits

NOT_FOUND = 2**64 - 1


@struct
class PanicTable:
    """The table's head. `size` is the whole table's, in bytes."""

    magic: u64 = PANIC_TABLE_MAGIC
    version: u32 = PANIC_TABLE_VERSION
    size: u32
    base: u64  # the virtual address from which sites and functions are counted
    site_blocks: u32
    function_blocks: u32
    modules: u32  # offset of their texts; module 0 is empty
    files: u32
    reasons: u32  # reason 0 is empty
    reserved: u32

    def valid(self, available: u64) -> bool:
        """Whether the head is a table's, and the blocks that it counts lie within `available` bytes."""
        if self.magic != PANIC_TABLE_MAGIC or self.version != PANIC_TABLE_VERSION or u64(self.size) > available:
            return False
        return self.codes_at() <= u64(self.size)

    def functions_at(self) -> u64:
        """Offset of the blocks of functions."""
        return head_size() + u64(self.site_blocks) * 8

    def pairs_at(self) -> u64:
        """Offset of the pairs."""
        return self.functions_at() + u64(self.function_blocks) * 8

    def codes_at(self) -> u64:
        """Offset of the codes."""
        return self.pairs_at() + PAIRS * 2

    def code_at(self, code: u64) -> u64:
        """Offset of a code."""
        at = self.codes_at()
        for _ in range(code):
            lengths = at
            at += LONGEST_CODE
            for length in range(u64(LONGEST_CODE)):
                at += u64(self.byte(lengths + length))
        return at

    def site(self, address: u64) -> u64:
        """The site at exactly this virtual address: of a failed check, or after a call. NOT_FOUND if there is none."""
        if not self.holds(address):
            return NOT_FOUND
        offset = address - self.base
        block = self.last_up_to(head_size(), u64(self.site_blocks), offset)
        if block == NOT_FOUND:
            return NOT_FOUND
        at = SiteReader(table=self, position=(block & ((1 << BLOCK_SHIFT) - 1)) * 8, place=block >> BLOCK_SHIFT)
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

    def file(self, site: u64) -> u64:
        """The text of a site's file, from the package's folder on: `kernel/memory/pages.py`."""
        return self.text_of(u64(self.files), (site >> FILE_SHIFT) & ((1 << FILE_BITS) - 1))

    def fails(self, site: u64) -> bool:
        """Whether a site is a check's, and not the address that a call returns to."""
        return site & ((1 << REASON_BITS) - 1) != 0

    def reason(self, site: u64) -> u64:
        """The text that says why the check at a site failed; empty for the address that a call returns to."""
        return self.text_of(u64(self.reasons), site & ((1 << REASON_BITS) - 1))

    def function(self, address: u64) -> u64:
        """The function that holds a virtual address; NOT_FOUND if none begins before it."""
        if not self.holds(address):
            return NOT_FOUND
        offset = address - self.base
        block = self.last_up_to(self.functions_at(), u64(self.function_blocks), offset)
        if block == NOT_FOUND:
            return NOT_FOUND
        at = FunctionReader(table=self, position=block & ((1 << BLOCK_SHIFT) - 1), place=block >> BLOCK_SHIFT)
        found: u64 = NOT_FOUND
        for _ in range(FUNCTIONS_PER_BLOCK):
            if at.position >= u64(self.size):
                break
            at.advance()
            if at.place > offset:
                break
            found = (at.module & ((1 << MODULE_BITS) - 1)) << MODULE_SHIFT | at.name
        return found

    def module(self, function: u64) -> u64:
        """The text of the module, or module and class, that a function is in; empty if it is in none."""
        return self.text_of(u64(self.modules), (function >> MODULE_SHIFT) & ((1 << MODULE_BITS) - 1))

    def name(self, function: u64) -> u64:
        """The text of a function's own name."""
        return function & ((1 << MODULE_SHIFT) - 1)

    def holds(self, address: u64) -> bool:
        """Whether a virtual address can be in the table."""
        return address >= self.base and address - self.base < 1 << OFFSET_BITS

    def last_up_to(self, start: u64, count: u64, offset: u64) -> u64:
        """The last of `count` sorted blocks at offset `start` that begins not above an address, counted from `base`;
        NOT_FOUND if all do."""
        low: u64 = 0
        high = count
        while low < high:
            middle = (low + high) // 2
            if self.block(start + middle * 8) >> BLOCK_SHIFT <= offset:
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return NOT_FOUND
        return self.block(start + (low - 1) * 8)

    def block(self, offset: u64) -> u64:
        """The u64 at an offset."""
        return unsafe.load(u64, unsafe.address(self) + offset, unaligned=True)

    def byte(self, offset: u64) -> u8:
        """The byte at an offset; 0 beyond the table's end."""
        if offset >= u64(self.size):
            return 0
        return unsafe.load(u8, unsafe.address(self) + offset)

    def text_of(self, start: u64, index: u64) -> u64:
        """Text `index` of those that lie from offset `start` on."""
        at = start
        for _ in range(index):
            at = self.after_text(at)
        return at

    def after_text(self, text: u64) -> u64:
        """The offset behind a text."""
        at = text
        while self.byte(at) != 0:
            at += 1
        return min(at + 1, u64(self.size))


@struct
class SiteReader:
    """Where a search for a site is in its block."""

    table: Ptr[PanicTable]
    position: u64  # of the next bit in the table
    place: u64  # of the site, in bytes from the table's base
    line: u64
    file: u64
    reason: u64

    def advance(self) -> None:
        """Read the next site. What a damaged table says is as wrong as the table, and nothing worse."""
        self.reason = self.number(self.symbol(REASON))
        check = u64(self.reason != 0)
        step = self.symbol(STEP + check)
        self.place = wrapping(self.place + self.number(step >> 1))
        if step & 1 != 0:
            self.file = self.number(self.symbol(FILE))
        line = self.number(self.symbol(LINE + check))
        self.line = wrapping(self.line + ((line >> 1) ^ (u64(0) - (line & 1))))

    def symbol(self, code: u64) -> u64:
        """The next symbol of a code; 0 for a word that it hasn't."""
        lengths = self.table.code_at(code)
        symbols = lengths + LONGEST_CODE
        word: u64 = 0
        first: u64 = 0  # of the words of this length
        for length in range(u64(LONGEST_CODE)):
            word = word << 1 | self.bit()
            count = u64(self.table.byte(lengths + length))
            if word < first + count:
                return u64(self.table.byte(symbols + word - first))
            symbols += count
            first = (first + count) << 1
        return 0

    def number(self, size: u64) -> u64:
        """The next number, which has so many bits; at most 32."""
        if size == 0:
            return 0
        number: u64 = 1
        for _ in range(min(size, u64(32)) - 1):
            number = number << 1 | self.bit()
        return number

    def bit(self) -> u64:
        """The next bit."""
        byte = u64(self.table.byte(self.position // 8))
        self.position += 1
        return byte >> (7 - (self.position - 1) % 8) & 1

    def found(self) -> u64:
        """The site that was read last."""
        line = self.line & ((1 << LINE_BITS) - 1)
        return line << LINE_SHIFT | (self.file & ((1 << FILE_BITS) - 1)) << FILE_SHIFT | self.reason & 0xFFFF


@struct
class FunctionReader:
    """Where a search for a function is in its block."""

    table: Ptr[PanicTable]
    position: u64  # offset of the next function
    place: u64  # of the function, in bytes from the table's base
    module: u64
    name: u64  # offset of its text

    def advance(self) -> None:
        """Read the next function."""
        step = self.leb128()
        self.place += step >> 1
        if step & 1 != 0:
            self.module = self.leb128()
        self.name = self.position
        self.position = self.table.after_text(self.name)

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


@struct
class TextReader:
    """Reads a text of the table from the byte at `position` on."""

    table: Ptr[PanicTable]
    position: u64
    waiting: Array[u8, DEEPEST_PAIR]  # second bytes of pairs whose first is being read
    depth: u64

    def next(self) -> u8:
        """The next byte; 0 at the end. In a damaged table the end may never come."""
        byte: u8 = 0
        if self.depth != 0:
            self.depth -= 1
            byte = self.waiting[self.depth]
        else:
            byte = self.table.byte(self.position)
            self.position += 1
        while byte >= FIRST_PAIR and self.depth < DEEPEST_PAIR:
            pair = self.table.pairs_at() + u64(byte - FIRST_PAIR) * 2
            self.waiting[self.depth] = self.table.byte(pair + 1)
            self.depth += 1
            byte = self.table.byte(pair)
        return byte


@metal(inline=True)
def head_size() -> u64:
    """Bytes of the head; a function, because a structure's size isn't known while its methods are declared."""
    return HEAD_SIZE


HEAD_SIZE = PanicTable.size
