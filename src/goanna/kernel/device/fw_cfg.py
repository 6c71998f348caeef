"""QEMU's firmware configuration: small files that the one who starts the machine gives it.

QEMU docs/specs/fw_cfg.rst. A selector register chooses an item, whose bytes are then read one after another.
"""

from goanna.metal import Array, Big, Fn, Slice, metal, sizeof, struct, u8, u16, u32, u64, unsafe

__all__ = ["FirmwareConfiguration"]

SIGNATURE, PROCESSORS, DIRECTORY = 0x00, 0x05, 0x19
NAME_SIZE = 56
MAXIMUM_FILES = 1024


@struct
class Entry:
    """One file of the directory."""

    size: Big[u32]
    select: Big[u16]
    reserved: u16
    name: Array[u8, NAME_SIZE]  # ends with a zero byte


assert sizeof(Entry) == 64


@struct
class FirmwareConfiguration:
    """The device, by two functions that reach its registers. Used at boot, by one processor."""

    select: Fn[[u16], None]
    read: Fn[[Slice[u8]], None]

    def present(self) -> bool:
        """Whether there is such a device."""
        signature = Array[u8, 4]()
        self.select(SIGNATURE)
        self.read(signature)
        return signature[0:4] == b"QEMU"

    def processors(self) -> u32:
        """How many processors the machine has."""
        count = Array[u8, 2]()
        self.select(PROCESSORS)
        self.read(count)
        return u32(count[0]) | u32(count[1]) << 8

    def find(self, name: Slice[u8]) -> tuple[u16, u32]:
        """Selector and size in bytes of a file; 0, 0 if there is none of that name."""
        count = Array[u8, 4]()
        self.select(DIRECTORY)
        self.read(count)
        files = u32(count[0]) << 24 | u32(count[1]) << 16 | u32(count[2]) << 8 | u32(count[3])
        entry = Entry()
        for _ in range(min(files, u32(MAXIMUM_FILES))):
            self.read(unsafe.slice(u8, unsafe.address(entry), sizeof(Entry)))
            if named(entry, name):
                return entry.select, entry.size
        return 0, 0

    def load(self, selector: u16, target: Slice[u8]) -> None:
        """Read the first bytes of an item."""
        self.select(selector)
        self.read(target)


@metal
def named(entry: Entry, name: Slice[u8]) -> bool:
    """Whether a file has that name."""
    length = u64(len(name))
    return length < NAME_SIZE and entry.name[0:length] == name and entry.name[length] == 0
