"""EROFS: a read-only file tree, read in place: in the image, or in the pages of a drive.

What is read: one device, 4 KiB blocks, no compression, inodes compact and extended, data flat or with its tail beside
the inode (Linux Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h). Nothing in an image is trusted: every offset
is checked against its end, and every block against its checksum when it is first used. A tree that makes no sense gives
-EUCLEAN, damaged data -EIO; neither is ever a panic.
"""

from goanna.kernel.arch import physical
from goanna.kernel.base.errno import EINVAL, EIO, EISDIR, ENOENT, ENOTDIR, EUCLEAN
from goanna.kernel.base.word import load_word
from goanna.kernel.file.drive import Drive
from goanna.kernel.file.integrity import Integrity
from goanna.kernel.memory import pages
from goanna.metal import Array, Ptr, Slice, byte_swap, i64, metal, sizeof, struct, u8, u16, u32, u64, unsafe

__all__ = [
    "BLOCK",
    "S_IFDIR",
    "S_IFLNK",
    "S_IFMT",
    "S_IFREG",
    "Entry",
    "Image",
    "Inode",
]

MAGIC = 0xE0F5E1E2
SUPERBLOCK = 1024  # offset
BLOCK_BITS = 12
BLOCK = 1 << BLOCK_BITS
SLOT = 32  # bytes: inode numbers count slots
MAXIMUM_NAME = 255
MAXIMUM_SIZE = 1 << 48  # bytes of a file; larger ones are nonsense, and sums of offsets stay below 2**63

KNOWN_FEATURES = 1  # incompatible ones: zero padding, which only concerns compressed data

S_IFMT = 0o170000
S_IFREG = 0o100000
S_IFDIR = 0o040000
S_IFLNK = 0o120000
S_IFCHR = 0o020000
S_IFBLK = 0o060000

PLAIN = 0  # data in blocks
INLINE = 2  # blocks, and the last part after the inode


@struct(packed=True)
class Superblock:
    """struct erofs_super_block."""

    magic: u32
    checksum: u32
    compatible: u32
    block_bits: u8
    extra_slots: u8
    root: u16
    inodes: u64
    build_time: u64
    build_nanoseconds: u32
    blocks: u32
    metadata: u32  # block at which inode numbers count from
    xattrs: u32
    uuid: Array[u8, 16]
    volume: Array[u8, 16]
    incompatible: u32
    algorithms: u16
    devices: u16
    device_slot: u16
    directory_bits: u8  # log2 of the size of a directory block, less that of a block
    prefixes: u8
    prefix_start: u32
    packed: u64
    reserved: Array[u8, 24]


@struct(packed=True)
class CompactInode:
    """struct erofs_inode_compact."""

    format: u16
    xattr_count: u16
    mode: u16
    links: u16
    size: u32
    modified: u32  # seconds after the build time, in newer images; 0 before
    place: u32  # first block, or the device's number
    number: u32
    user: u16
    group: u16
    reserved: u32


@struct(packed=True)
class ExtendedInode:
    """struct erofs_inode_extended."""

    format: u16
    xattr_count: u16
    mode: u16
    reserved: u16
    size: u64
    place: u32
    number: u32
    user: u32
    group: u32
    modified: u64
    modified_nanoseconds: u32
    links: u32
    reserved_too: Array[u8, 16]


@struct(packed=True)
class DirectoryEntry:
    """struct erofs_dirent."""

    inode: u64
    name: u16  # offset in the block
    kind: u8
    reserved: u8


assert sizeof(Superblock) == 128 and sizeof(CompactInode) == 32 and sizeof(ExtendedInode) == 64
assert sizeof(DirectoryEntry) == 12


@struct
class Inode:
    """What an inode says, checked: all its data lies inside the image."""

    nid: u64  # where it is
    size: u64  # bytes
    data: u64  # offset of its blocks in the image
    flat: u64  # bytes that lie in blocks; the rest is the tail
    tail: u64  # offset of the tail
    modified: u64  # seconds since 1970
    modified_nanoseconds: u32
    mode: u32
    links: u32
    number: u32
    user: u32
    group: u32
    device: u32  # of a device file
    attributes_size: u32  # bytes of what is said of extended attributes (image_attributes.py); 0: it has none
    attributes: u64  # offset of it, which is not checked

    def kind(self) -> u32:
        """The S_IFMT bits of the mode."""
        return self.mode & S_IFMT


@struct
class Entry:
    """One name in a directory."""

    nid: u64
    bytes: Array[u8, MAXIMUM_NAME + 1]
    length: u64  # of the name
    next: u64  # position of the entry after
    kind: u8  # EROFS_FT_*: 1 file, 2 directory, 3, 4 devices, 5 pipe, 6 socket, 7 symbolic link

    def name(self) -> Slice[u8]:
        """The name."""
        return self.bytes[0 : self.length]


@struct
class Image:
    """A mounted image. Constant after `mount` but for the record of what has been checked."""

    base: u64  # address; of no meaning on a drive
    drive: Ptr[Drive]  # None: all of it is in memory
    size: u64  # bytes
    metadata: u64  # offset from which inode numbers count
    shared_attributes: u64  # offset from which extended attributes count that several files have
    root: u64  # inode number
    inodes: u64  # how many there are
    blocks: u64
    build_time: u64
    build_nanoseconds: u32
    unused: u32
    integrity: Integrity

    def mount(self, base: u64, size: u64) -> i64:
        """Read the superblock of the image of `size` bytes at `base` (in the direct map, on a page) or on the drive. 0,
        -EINVAL, -EIO.

        If blocks are to be checked, `integrity` was started before.
        """
        if size < SUPERBLOCK + sizeof(Superblock):
            return -EINVAL
        self.base = base
        self.size = min(size, u64(MAXIMUM_SIZE))
        block = Superblock()
        if not self.load(SUPERBLOCK, unsafe.slice(u8, unsafe.address(block), sizeof(Superblock))):
            return -EIO
        if block.magic != MAGIC or u64(block.block_bits) != BLOCK_BITS or block.directory_bits != 0:
            return -EINVAL
        if block.incompatible & ~KNOWN_FEATURES != 0 or block.devices != 0:
            return -EINVAL
        self.metadata = u64(block.metadata) << BLOCK_BITS
        self.shared_attributes = u64(block.xattrs) << BLOCK_BITS
        self.root = u64(block.root)
        self.inodes = block.inodes
        self.blocks = u64(block.blocks)
        self.build_time = block.build_time
        self.build_nanoseconds = block.build_nanoseconds
        root = Inode()
        result = self.inode(self.root, root)
        if result != 0:
            return result
        return 0 if root.kind() == S_IFDIR else -EINVAL

    def inside(self, offset: u64, length: u64) -> bool:
        """Whether a stretch lies in the image."""
        return length <= self.size and offset <= self.size - length

    def at(self, offset: u64, length: u64) -> u64:
        """The address of a stretch of the image, checked in every way; 0 if it is damaged. It lies inside, and on a
        drive in one page, which stays until `let_go`."""
        if self.drive is not None:
            page = self.drive.page(offset // BLOCK)
            return page + offset % BLOCK if page != 0 else u64(0)
        if length != 0 and not self.integrity.check(offset, length):
            return 0
        return self.base + offset

    def let_go(self, address: u64) -> None:
        """What `at`, or `view`, gave is no longer looked at."""
        if self.drive is not None:
            pages.release(physical(address) & ~u64(BLOCK - 1))

    def inode(self, nid: u64, inode: Inode) -> i64:
        """Read an inode. 0, -EUCLEAN or -EIO."""
        if nid >= MAXIMUM_SIZE // SLOT:
            return -EUCLEAN
        offset = self.metadata + nid * SLOT
        if not self.inside(offset, sizeof(CompactInode)):
            return -EUCLEAN
        compact = CompactInode()
        if not self.load(offset, unsafe.slice(u8, unsafe.address(compact), sizeof(CompactInode))):
            return -EIO
        inode.nid = nid
        inode.modified = self.build_time
        inode.modified_nanoseconds = self.build_nanoseconds
        inode.mode = u32(compact.mode)
        place = compact.place
        length: u64 = sizeof(CompactInode)
        if compact.format & 1 == 0:
            inode.size = u64(compact.size)
            inode.links = u32(compact.links)
            inode.number = compact.number
            inode.user = u32(compact.user)
            inode.group = u32(compact.group)
        else:
            length = sizeof(ExtendedInode)
            extended = ExtendedInode()
            if not self.inside(offset, length):
                return -EUCLEAN
            if not self.load(offset, unsafe.slice(u8, unsafe.address(extended), length)):
                return -EIO
            place = extended.place
            inode.size = extended.size
            inode.links = extended.links
            inode.number = extended.number
            inode.user = extended.user
            inode.group = extended.group
            inode.modified = extended.modified
            inode.modified_nanoseconds = min(extended.modified_nanoseconds, 999_999_999)
        inode.attributes = offset + length
        inode.attributes_size = 12 + (u32(compact.xattr_count) - 1) * 4 if compact.xattr_count != 0 else u32(0)
        length += u64(inode.attributes_size)
        return self.place_data(inode, u32(compact.format) >> 1 & 7, place, offset + length)

    def load(self, offset: u64, destination: Slice[u8]) -> bool:
        """Copy a stretch, which lies inside, across pages too. False: it is damaged."""
        done: u64 = 0
        while done < len(destination):
            count = min(len(destination) - done, BLOCK - (offset + done) % BLOCK)
            address = self.at(offset + done, count)
            if address == 0:
                return False
            destination[done : done + count] = unsafe.slice(u8, address, count)
            self.let_go(address)
            done += count
        return True

    def place_data(self, inode: Inode, layout: u32, place: u32, after: u64) -> i64:
        """Find out where an inode's data lies. `after`: the offset of what follows the inode. 0 or -EUCLEAN."""
        inode.device = 0
        inode.data = 0
        inode.flat = 0
        inode.tail = 0
        if inode.kind() not in (S_IFREG, S_IFDIR, S_IFLNK):
            inode.size = 0
            if inode.kind() in (S_IFCHR, S_IFBLK):
                inode.device = place
            return 0
        if inode.size > MAXIMUM_SIZE or layout not in (PLAIN, INLINE):
            return -EUCLEAN
        if inode.size == 0:
            return 0
        inode.flat = inode.size
        if layout == INLINE:
            inode.flat = (inode.size - 1) & ~(BLOCK - 1)
            inode.tail = after
            rest = inode.size - inode.flat
            if after % BLOCK + rest > BLOCK or not self.inside(after, rest):
                return -EUCLEAN
        if inode.flat != 0:
            inode.data = u64(place) << BLOCK_BITS
            if not self.inside(inode.data, inode.flat):
                return -EUCLEAN
        return 0

    def read(self, inode: Inode, offset: u64, destination: Slice[u8]) -> i64:
        """Copy data from `offset` on. The number of bytes, less than asked for only at the end; -EIO, -EISDIR."""
        if inode.kind() == S_IFDIR:
            return -EISDIR
        if offset >= inode.size:
            return 0
        count = min(len(destination), inode.size - offset)
        done: u64 = 0
        while done < count:
            part, result = self.view(inode, offset + done, count - done)
            if result != 0:
                return result
            destination[done : done + len(part)] = part
            self.let_go(unsafe.address(part))
            done += len(part)
        return i64(count)

    def view(self, inode: Inode, offset: u64, most: u64) -> tuple[Slice[u8], i64]:
        """The data at `offset` (inside the file) in place, at most `most` bytes, up to where flat part, tail or a
        drive's page end. `let_go` of its address if there is no error."""
        start = inode.data + offset
        count = inode.flat - offset if offset < inode.flat else inode.size - offset
        if offset >= inode.flat:
            start = inode.tail + (offset - inode.flat)
        count = min(count, most)
        if self.drive is not None:
            count = min(count, BLOCK - start % BLOCK)
        address = self.at(start, count)
        if address == 0:
            return unsafe.slice(u8, self.base, 0), -EIO
        return unsafe.slice(u8, address, count), 0

    def entry(self, directory: Inode, position: u64, entry: Entry) -> i64:
        """The name at a position (0, or an entry's `next`). 1: it is there; 0: the end; -EUCLEAN, -EIO, -ENOTDIR."""
        if directory.kind() != S_IFDIR:
            return -ENOTDIR
        while position < directory.size:
            block = position & ~(BLOCK - 1)
            data, result = self.view(directory, block, min(directory.size - block, u64(BLOCK)))
            if result != 0:
                return result
            count = entries_in(data)
            if count == 0:
                self.let_go(unsafe.address(data))
                return -EUCLEAN
            index = (position - block) // sizeof(DirectoryEntry)
            if index < count:
                name, nid, kind = name_in(data, index, count)
                entry.length = len(name)
                entry.bytes[0 : len(name)] = name
                self.let_go(unsafe.address(data))
                if len(name) == 0:
                    return -EUCLEAN
                entry.nid = nid
                entry.kind = kind
                following = block + (index + 1) * sizeof(DirectoryEntry)
                entry.next = following if index + 1 < count else block + BLOCK
                return 1
            self.let_go(unsafe.address(data))
            position = block + BLOCK
        return 0

    def lookup(self, directory: Inode, name: Slice[u8]) -> tuple[u64, i64]:
        """The inode number of a name. And 0, -ENOENT, -ENOTDIR, -EUCLEAN, -EIO.

        Names are sorted in a directory: the block is found by the first names, then the name in it, both by halving.
        """
        if directory.kind() != S_IFDIR:
            return 0, -ENOTDIR
        low: u64 = 0
        high = (directory.size + (BLOCK - 1)) >> BLOCK_BITS
        while high - low > 1:
            middle = low + (high - low) // 2
            data, result = self.directory_block(directory, middle)
            if result != 0:
                return 0, result
            first, _, _ = name_in(data, 0, entries_in(data))
            order = compare(name, first)
            broken = len(first) == 0
            self.let_go(unsafe.address(data))
            if broken:
                return 0, -EUCLEAN
            if order < 0:
                high = middle
            else:
                low = middle
        if high == 0:
            return 0, -ENOENT
        data, result = self.directory_block(directory, low)
        if result != 0:
            return 0, result
        nid, result = search(data, entries_in(data), name)
        self.let_go(unsafe.address(data))
        return nid, result

    def directory_block(self, directory: Inode, index: u64) -> tuple[Slice[u8], i64]:
        """One block of a directory, which has so many. `let_go` of its address if there is no error."""
        start = index << BLOCK_BITS
        data, result = self.view(directory, start, min(directory.size - start, u64(BLOCK)))
        if result == 0 and entries_in(data) == 0:
            self.let_go(unsafe.address(data))
            return data, -EUCLEAN
        return data, result


@metal
def entries_in(data: Slice[u8]) -> u64:
    """How many entries a directory block has; 0 if it makes no sense."""
    if len(data) < sizeof(DirectoryEntry):
        return 0
    first = u64(unsafe.at(DirectoryEntry, unsafe.address(data)).name)
    if first % sizeof(DirectoryEntry) != 0 or first == 0 or first >= len(data):
        return 0
    return first // sizeof(DirectoryEntry)


@metal
def name_in(data: Slice[u8], index: u64, count: u64) -> tuple[Slice[u8], u64, u8]:
    """Name, inode number and kind of one entry of a block; an empty name if it makes no sense."""
    entries = unsafe.slice(DirectoryEntry, unsafe.address(data), count)
    entry = entries[index]
    start = u64(entry.name)
    end = u64(len(data))
    if index + 1 < count:
        end = u64(entries[index + 1].name)
    if start < count * sizeof(DirectoryEntry) or end > len(data) or start >= end:
        return data[0:0], 0, 0
    if index + 1 == count:
        stop = start
        while stop < end and data[stop] != 0:
            stop += 1
        end = stop
    if end - start > MAXIMUM_NAME:
        return data[0:0], 0, 0
    return data[start:end], entry.inode, entry.kind


@metal
def compare(a: Slice[u8], b: Slice[u8]) -> i64:
    """Less than 0, 0 or more, as `a` sorts before, with or after `b`."""
    first = unsafe.address(a)
    second = unsafe.address(b)
    common = min(len(a), len(b))
    index: u64 = 0
    while index + 8 <= common:
        x = load_word(first + index)
        y = load_word(second + index)
        if x != y:
            return -1 if byte_swap(x) < byte_swap(y) else i64(1)
        index += 8
    while index < common:
        x = u64(unsafe.load(u8, first + index))
        y = u64(unsafe.load(u8, second + index))
        if x != y:
            return i64(x) - i64(y)
        index += 1
    return i64(len(a)) - i64(len(b))


@metal
def search(data: Slice[u8], count: u64, name: Slice[u8]) -> tuple[u64, i64]:
    """Look a name up in one block: its inode number, and 0, -ENOENT or -EUCLEAN."""
    low: u64 = 0
    high = count
    while low < high:
        middle = low + (high - low) // 2
        candidate, nid, _ = name_in(data, middle, count)
        if len(candidate) == 0:
            return 0, -EUCLEAN
        order = compare(name, candidate)
        if order == 0:
            return nid, 0
        if order < 0:
            high = middle
        else:
            low = middle + 1
    return 0, -ENOENT
