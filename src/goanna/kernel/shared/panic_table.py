"""The panic table: from an address in the kernel's code to the Python file and line, and why a check there fails.

The image writer makes it from the linked kernel; the kernel reads it when it panics. It holds the failed checks' own
addresses, the addresses that calls return to (for back traces), and where each function begins. The layout: a
PanicTable; `sites` packed sites, sorted by address; `functions` packed functions, sorted; `files` and `reasons`
offsets (u32) of texts; then the texts, each ended by a zero byte. All offsets count from the table's start.
"""

from goanna.metal import Slice, metal, struct, u8, u32, u64, unsafe

PANIC_TABLE_MAGIC = int.from_bytes(b"GoannaPa", "little")
PANIC_TABLE_VERSION = 1

# A site is a u64: where it is, in bytes from the table's `base`, in the high bits, so that sites sort as numbers;
# then the line, the number of the file, and the number of the reason, 0 for the address that a call returns to.
OFFSET_BITS, LINE_BITS, FILE_BITS, REASON_BITS = 24, 14, 10, 16
FILE_SHIFT = REASON_BITS
LINE_SHIFT = FILE_SHIFT + FILE_BITS
OFFSET_SHIFT = LINE_SHIFT + LINE_BITS
# A function is a u64: where it begins, from `base`, in the high half; the offset of its name in the low one.
NAME_BITS = 32

NOT_FOUND = 2**64 - 1


@struct
class PanicTable:
    """The table's head. `size` is the whole table's, in bytes; counts are of elements."""

    magic: u64 = PANIC_TABLE_MAGIC
    version: u32 = PANIC_TABLE_VERSION
    size: u32
    base: u64  # the virtual address from which sites and functions are counted
    sites: u32
    functions: u32
    files: u32
    reasons: u32  # reason 0 is empty

    def valid(self, available: u64) -> bool:
        """Whether the head is a table's, and the parts that it counts lie within `available` bytes."""
        if self.magic != PANIC_TABLE_MAGIC or self.version != PANIC_TABLE_VERSION or u64(self.size) > available:
            return False
        return self.texts_at() <= u64(self.size)

    def sites_at(self) -> u64:
        """Offset of the sites."""
        return sizeof_head()

    def functions_at(self) -> u64:
        """Offset of the functions."""
        return self.sites_at() + u64(self.sites) * 8

    def files_at(self) -> u64:
        """Offset of the files' names."""
        return self.functions_at() + u64(self.functions) * 8

    def reasons_at(self) -> u64:
        """Offset of the reasons."""
        return self.files_at() + u64(self.files) * 4

    def texts_at(self) -> u64:
        """Offset of the texts."""
        return self.reasons_at() + u64(self.reasons) * 4

    def site(self, address: u64) -> u64:
        """The site at exactly this virtual address: of a failed check, or after a call. NOT_FOUND if there is none."""
        if address < self.base or address - self.base >= 1 << OFFSET_BITS:
            return NOT_FOUND
        offset = address - self.base
        found = self.last_up_to(self.sites_at(), u64(self.sites), (offset << OFFSET_SHIFT) | ((1 << OFFSET_SHIFT) - 1))
        if found == NOT_FOUND or found >> OFFSET_SHIFT != offset:
            return NOT_FOUND
        return found

    def line(self, site: u64) -> u64:
        """The line of a site."""
        return (site >> LINE_SHIFT) & ((1 << LINE_BITS) - 1)

    def file(self, site: u64) -> Slice[u8]:
        """The file of a site, from the package's folder on: `kernel/memory/pages.py`."""
        return self.text_of(self.files_at(), u64(self.files), (site >> FILE_SHIFT) & ((1 << FILE_BITS) - 1))

    def reason(self, site: u64) -> Slice[u8]:
        """Why the check at a site failed; empty for the address that a call returns to."""
        return self.text_of(self.reasons_at(), u64(self.reasons), site & ((1 << REASON_BITS) - 1))

    def function(self, address: u64) -> Slice[u8]:
        """The name of the function that holds a virtual address; empty if none begins before it."""
        if address < self.base or address - self.base >= 1 << OFFSET_BITS:
            return b""
        key = ((address - self.base) << NAME_BITS) | ((1 << NAME_BITS) - 1)
        found = self.last_up_to(self.functions_at(), u64(self.functions), key)
        if found == NOT_FOUND:
            return b""
        return self.text(found & ((1 << NAME_BITS) - 1))

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

    def text_of(self, start: u64, count: u64, index: u64) -> Slice[u8]:
        """The text whose offset is element `index` of the `count` u32 at `start`; empty if there is none."""
        if index >= count:
            return b""
        return self.text(u64(unsafe.load(u32, unsafe.address(self) + start + index * 4, unaligned=True)))

    def text(self, offset: u64) -> Slice[u8]:
        """The text at an offset, which ends at a zero byte or at the table's end."""
        end = offset
        while end < u64(self.size) and unsafe.load(u8, unsafe.address(self) + end) != 0:
            end += 1
        return unsafe.slice(u8, unsafe.address(self) + offset, end - offset)


@metal(inline=True)
def sizeof_head() -> u64:
    """Bytes of the head; a function, because a structure's size isn't known while its methods are declared."""
    return HEAD_SIZE


HEAD_SIZE = PanicTable.size
