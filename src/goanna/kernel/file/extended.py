"""Extended attributes: names with values that hang on a file (xattr(7), Linux fs/xattr.c).

Those that the image says of a file are read where they lie (image_attributes.py) until one of them is changed, which
makes all of them the node's own.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.errno import (
    EEXIST,
    EFAULT,
    EIO,
    ENODATA,
    ENOMEM,
    ENOSPC,
    ERANGE,
)
from goanna.kernel.file.image_attributes import ImageAttribute, image_value, next_attribute
from goanna.kernel.file.node import Node, charge, uncharge
from goanna.kernel.identity.credentials import CAP_SYS_ADMIN, capable
from goanna.kernel.memory import pages, user
from goanna.kernel.memory.objects import Cache
from goanna.metal import Array, Ptr, Slice, i64, metal, struct, u8, u32, u64, unsafe

XATTR_CREATE = 1
XATTR_REPLACE = 2
LONGEST_NAME = 255
LARGEST_VALUE = 65536


@struct
class Attribute:
    """One attribute of a file; the node's mutex protects it."""

    next: Ptr["Attribute"]
    length: u32  # of the name
    order: u32  # of the memory of the value: PAGE_SIZE << order bytes
    size: u64  # of the value
    value: u64  # kernel address; 0: it is empty
    name: Array[u8, LONGEST_NAME + 1]

    def text(self) -> Slice[u8]:
        """The name."""
        return self.name[0 : u64(self.length)]


attributes = Cache(Attribute)


@metal
def first_of(node: Node) -> Ptr[Attribute]:
    """The first attribute of a file. With the mutex."""
    if node.extended == 0:
        return None
    return unsafe.pointer(Attribute, node.extended)


@metal
def find(node: Node, name: Slice[u8]) -> Ptr[Attribute]:
    """The attribute of a name, or None. With the mutex."""
    each = first_of(node)
    while each is not None:
        if each.text() == name:
            return each
        each = each.next
    return None


@metal
def empty_value(attribute: Attribute) -> None:
    """Give back the memory of a value."""
    if attribute.value != 0:
        pages.free_order(physical(attribute.value), attribute.order)
        uncharge(u64(PAGE_SIZE) << u64(attribute.order))
        attribute.value = 0
    attribute.size = 0


@metal
def end_attributes(node: Node) -> None:
    """The file ends."""
    each = first_of(node)
    node.extended = 0
    while each is not None:
        following = each.next
        empty_value(each)
        attributes.free(each)
        each = following


@metal
def starts_with(name: Slice[u8], prefix: Slice[u8]) -> bool:
    """Whether a name is in a namespace."""
    return len(name) >= len(prefix) and name[0 : len(prefix)] == prefix


@metal
def make_room(made: Attribute, size: u64) -> i64:
    """Take memory for a value of that size. 0, -ENOSPC or -ENOMEM."""
    if size == 0:
        return 0
    while (u64(PAGE_SIZE) << u64(made.order)) < size:
        made.order += 1
    if not charge(u64(PAGE_SIZE) << u64(made.order)):
        return -ENOSPC
    memory = pages.allocate_order(made.order)
    if memory == 0:
        uncharge(u64(PAGE_SIZE) << u64(made.order))
        return -ENOMEM
    made.value = virtual(memory)
    made.size = size
    return 0


@metal
def take_over(node: Node) -> i64:
    """Make the node's own what the image says of a file, before it changes. With the mutex. 0, -ENOSPC, -ENOMEM, -EIO,
    -EUCLEAN."""
    if not over_image(node):
        return 0
    found = ImageAttribute()
    result: i64 = 1
    while result > 0:
        result = next_attribute(node.image, node.inode, found)
        if result > 0 and found.length <= LONGEST_NAME:
            error = take_one(node, found)
            result = error if error < 0 else i64(1)
    if result < 0:
        end_attributes(node)
        return result
    node.inode.attributes_size = 0
    return 0


@metal
def take_one(node: Node, found: ImageAttribute) -> i64:
    """The same of one attribute."""
    made = attributes.allocate()
    if made is None:
        return -ENOMEM
    made.length = u32(found.length)
    made.name[0 : found.length] = found.name()
    error = make_room(made, found.size)
    if error == 0 and found.size != 0:
        error = 0 if node.image.load(found.value, unsafe.slice(u8, made.value, made.size)) else -EIO
    if error < 0:
        empty_value(made)
        attributes.free(made)
        return error
    made.next = first_of(node)
    node.extended = unsafe.address(made)
    return 0


@metal
def put_attribute(node: Node, made: Attribute, flags: u32) -> i64:
    """Let a file have an attribute. 0, -EEXIST, -ENODATA, or what `take_over` says."""
    with node.mutex:
        error = take_over(node)
        if error < 0:
            return error
        old = find(node, made.text())
        if old is not None and (flags & XATTR_CREATE) != 0:
            return -EEXIST
        if old is None and (flags & XATTR_REPLACE) != 0:
            return -ENODATA
        if old is not None:
            take_out(node, old)
            empty_value(old)
            attributes.free(old)
        made.next = first_of(node)
        node.extended = unsafe.address(made)
        return 0


@metal
def take_out(node: Node, gone: Attribute) -> None:
    """Take an attribute off its file's list. With the mutex."""
    each = first_of(node)
    if each is gone:
        node.extended = u64(0) if gone.next is None else unsafe.address(gone.next)
        return
    while each is not None:
        if each.next is gone:
            each.next = gone.next
            return
        each = each.next


@struct
class NameList:
    """Where names of attributes are put one behind another, each with a zero byte."""

    address: u64  # in user memory
    size: u64  # bytes; 0: only how many there are is asked
    total: u64  # of names so far

    def add(self, name: Slice[u8]) -> i64:
        """One name more, if the running process may know it. 0, -ERANGE or -EFAULT."""
        if starts_with(name, b"trusted.") and not capable(CAP_SYS_ADMIN):
            return 0
        place = self.address + self.total
        self.total += len(name) + 1
        if self.size == 0:
            return 0
        if self.total > self.size:
            return -ERANGE
        if user.copy_out(place, name) < 0 or user.copy_out(place + len(name), b"\0") < 0:
            return -EFAULT
        return 0


@metal
def list_attributes(node: Node, names: NameList) -> i64:
    """The names of all attributes of a file: their bytes, or an errno."""
    with node.mutex:
        error: i64 = 0
        each = first_of(node)
        while each is not None and error == 0:
            error = names.add(each.text())
            each = each.next
        found = ImageAttribute()
        more = error == 0 and over_image(node)
        while more:
            error = next_attribute(node.image, node.inode, found)
            more = error > 0
            if more:
                error = names.add(found.name())
                more = error == 0
        return error if error < 0 else i64(names.total)


@metal
def over_image(node: Node) -> bool:
    """Whether the image says which attributes a file has. With the mutex."""
    return node.image is not None and node.inode.attributes_size != 0


@metal
def get_value(node: Node, name: Slice[u8], address: u64, size: u64) -> i64:
    """The size of a value, which is put into user memory unless `size` is 0. -ENODATA, -ERANGE, -EFAULT, -EIO,
    -EUCLEAN."""
    with node.mutex:
        if over_image(node):
            return image_value(node.image, node.inode, name, address, size)
        found = find(node, name)
        if found is None:
            return -ENODATA
        if size == 0:
            return i64(found.size)
        if size < found.size:
            return -ERANGE
        if found.size != 0 and user.copy_out(address, unsafe.slice(u8, found.value, found.size)) < 0:
            return -EFAULT
        return i64(found.size)


@metal
def remove_from(node: Node, name: Slice[u8]) -> i64:
    """Let a file no longer have an attribute. 0, -ENODATA, or what `take_over` says."""
    with node.mutex:
        error = take_over(node)
        if error < 0:
            return error
        found = find(node, name)
        if found is None:
            return -ENODATA
        take_out(node, found)
        empty_value(found)
        attributes.free(found)
        return 0
