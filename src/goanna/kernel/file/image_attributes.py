"""Extended attributes of a file of an image, read where they lie.

They stand behind the inode; what several files have stands in an area of its own, and numbers behind the inode say
where. Nothing of it is trusted, as in erofs.py. Format: Linux fs/erofs/erofs_fs.h, fs/erofs/xattr.c.
"""

from goanna.kernel.base.errno import EFAULT, EIO, ENODATA, ERANGE, EUCLEAN
from goanna.kernel.file.erofs import BLOCK, Image, Inode
from goanna.kernel.memory import user
from goanna.metal import Array, Slice, i64, metal, sizeof, struct, u8, u16, u32, u64, unsafe

__all__ = ["ImageAttribute", "image_value", "next_attribute"]

UNIT = 4  # bytes: entries begin on it, and shared ones are numbered by it
LONGEST_PREFIX = len("security.")


@struct(packed=True)
class Head:
    """struct erofs_xattr_ibody_header."""

    filter: u32
    shared: u8
    reserved: Array[u8, 7]


@struct(packed=True)
class Written:
    """struct erofs_xattr_entry."""

    name: u8  # bytes of the name behind its namespace
    namespace: u8
    value: u16  # bytes


assert sizeof(Head) == 12 and sizeof(Written) == 4


@struct
class ImageAttribute:
    """One attribute of a file, and how far a walk over all has come; zeroed, it is before the first."""

    bytes: Array[u8, LONGEST_PREFIX + 256]
    length: u64  # of the name
    value: u64  # offset in the image
    size: u64  # of the value
    begun: bool
    shared: u64  # numbers that have not been looked at
    position: u64  # offset of what is to be looked at next

    def name(self) -> Slice[u8]:
        """The whole name."""
        return self.bytes[0 : self.length]


@metal
def prefix_of(namespace: u8) -> Slice[u8]:
    """How names of a namespace begin (EROFS_XATTR_INDEX_*); empty: one that programs can't ask for."""
    if namespace == 1:
        return b"user."
    if namespace == 4:
        return b"trusted."
    return b"security." if namespace == 6 else b""


@metal
def next_attribute(image: Image, inode: Inode, found: ImageAttribute) -> i64:
    """Go to the next attribute of a file: 1; 0: there is none; -EUCLEAN, -EIO."""
    end = inode.attributes + u64(inode.attributes_size)
    if not found.begun:
        if u64(inode.attributes_size) < sizeof(Head):
            return 0
        if not image.inside(inode.attributes, u64(inode.attributes_size)):
            return -EUCLEAN
        head = Head()
        if not image.load(inode.attributes, unsafe.slice(u8, unsafe.address(head), sizeof(Head))):
            return -EIO
        found.begun = True
        found.shared = u64(head.shared)
        found.position = inode.attributes + sizeof(Head)
    while found.position + UNIT <= end:
        result: i64 = 0
        if found.shared != 0:
            found.shared -= 1
            result, _ = read_entry(image, shared_place(image, found.position), image.size, found)
            found.position += UNIT
        else:
            result, after = read_entry(image, found.position, end, found)
            found.position = (after + (UNIT - 1)) & ~u64(UNIT - 1)
        if result != 0:
            return result
    return 0


@metal
def shared_place(image: Image, number: u64) -> u64:
    """Where the attribute lies that a number at an offset names; what is outside of the image if that can't be read."""
    data = Array[u8, UNIT]()
    if not image.load(number, data[:]):
        return image.size
    return image.shared_attributes + u64(unsafe.load(u32, unsafe.address(data))) * UNIT


@metal
def read_entry(image: Image, place: u64, end: u64, found: ImageAttribute) -> tuple[i64, u64]:
    """Read what stands at an offset, before another: 1; 0: of a namespace that nobody can ask for; -EUCLEAN, -EIO. And
    the offset behind it."""
    if not image.inside(place, sizeof(Written)) or place + sizeof(Written) > end:
        return -EUCLEAN, end
    written = Written()
    if not image.load(place, unsafe.slice(u8, unsafe.address(written), sizeof(Written))):
        return -EIO, end
    name = place + sizeof(Written)
    found.value = name + u64(written.name)
    found.size = u64(written.value)
    after = found.value + found.size
    if after > end or not image.inside(place, after - place):
        return -EUCLEAN, end
    prefix = prefix_of(written.namespace)
    if len(prefix) == 0 or written.name == 0:
        return 0, after
    found.length = len(prefix) + u64(written.name)
    found.bytes[0 : len(prefix)] = prefix
    return 1 if image.load(name, found.bytes[len(prefix) : found.length]) else -EIO, after


@metal
def image_value(image: Image, inode: Inode, name: Slice[u8], address: u64, size: u64) -> i64:
    """getxattr: the size of a value, which is put into user memory unless `size` is 0. -ENODATA, -ERANGE, -EFAULT,
    -EUCLEAN, -EIO."""
    found = ImageAttribute()
    while True:
        result = next_attribute(image, inode, found)
        if result < 0:
            return result
        if result == 0:
            return -ENODATA
        if found.name() == name:
            break
    if size != 0 and size < found.size:
        return -ERANGE
    done: u64 = 0
    while size != 0 and done < found.size:
        place = found.value + done
        count = min(found.size - done, BLOCK - place % BLOCK)
        memory = image.at(place, count)
        if memory == 0:
            return -EIO
        error = user.copy_out(address + done, unsafe.slice(u8, memory, count))
        image.let_go(memory)
        if error < 0:
            return -EFAULT
        done += count
    return i64(found.size)
