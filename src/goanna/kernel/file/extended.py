"""Extended attributes: names with values that hang on a file (xattr(7), Linux fs/xattr.c)."""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.errno import (
    E2BIG,
    EACCES,
    EEXIST,
    EFAULT,
    EINVAL,
    ENAMETOOLONG,
    ENODATA,
    ENOMEM,
    ENOSPC,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
    EROFS,
)
from goanna.kernel.file.attribute_calls import place_at, place_of
from goanna.kernel.file.events import IN_ATTRIB
from goanna.kernel.file.flags import AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFDIR, S_IFREG
from goanna.kernel.file.node import Node, charge, uncharge
from goanna.kernel.file.permission import READ, WRITE, entry_permitted
from goanna.kernel.file.tree import Entry, own, tell_both
from goanna.kernel.identity.credentials import CAP_FOWNER, CAP_SYS_ADMIN, capable, mine
from goanna.kernel.memory import pages, user
from goanna.kernel.memory.objects import Cache
from goanna.metal import Array, Ptr, Slice, i32, i64, metal, struct, u8, u32, u64, unsafe

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
def names_nothing(name: Slice[u8]) -> bool:
    """Whether a name is a namespace alone."""
    return name[len(name) - 1] == 0x2E


@metal
def may_use(entry: Entry, name: Slice[u8], writing: bool) -> i64:
    """Whether the running process may read or write an attribute (xattr_permission). 0 or an errno."""
    refusal: i64 = -EPERM if writing else -ENODATA
    if writing and entry.tree.read_only:
        return -EROFS
    if starts_with(name, b"security."):
        return -EPERM if writing and not capable(CAP_SYS_ADMIN) else i64(0)
    if starts_with(name, b"trusted."):
        return 0 if capable(CAP_SYS_ADMIN) else refusal
    if starts_with(name, b"system."):
        return -EOPNOTSUPP
    user_name = starts_with(name, b"user.")
    if user_name and entry.kind() not in (S_IFREG, S_IFDIR):
        return refusal
    sticky = entry.is_directory() and (entry.permissions() & 0o1000) != 0
    if user_name and sticky and writing and mine().file_user != entry.owner() and not capable(CAP_FOWNER):
        return -EPERM
    if not entry_permitted(entry, WRITE if writing else READ):
        return -EACCES
    return 0 if user_name else -EOPNOTSUPP


@metal
def check_name(entry: Entry, name: Slice[u8], writing: bool) -> i64:
    """The same, and whether there can be an attribute of that name. 0 or an errno."""
    error = may_use(entry, name, writing)
    return -EINVAL if error == 0 and names_nothing(name) else error


@metal
def fetch_name(name: Slice[u8], address: u64) -> i64:
    """A name from user memory: its length, -ERANGE or -EFAULT."""
    length = user.copy_in_string(name, address)
    if length == 0 or length == -ENAMETOOLONG:
        return -ERANGE
    return length


@metal
def set_attribute(entry: Entry, made: Attribute, flags: u32) -> i64:
    """setxattr of an entry, whose reference is used up. 0 or an errno, after which the attribute is the caller's."""
    node = entry.node
    error = check_name(entry, made.text(), True)
    if error == 0:
        error = -EOPNOTSUPP
        if entry.tree.elsewhere is not None:
            value = unsafe.slice(u8, made.value, made.size)
            error = entry.tree.elsewhere.set_attribute(entry, made.text(), value, flags)
            if error == 0:
                empty_value(made)
                attributes.free(made)
        elif node is not None:
            own(entry)
            error = put_attribute(node, made, flags)
    if error == 0:
        node.changed()
        tell_both(entry, IN_ATTRIB)
    entry.drop()
    return error


@metal
def fetch_value(made: Attribute, address: u64, size: u64) -> i64:
    """Take a value from user memory. 0, -ENOSPC, -ENOMEM or -EFAULT."""
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
    return user.copy_in(unsafe.slice(u8, made.value, size), address)


@metal
def put_attribute(node: Node, made: Attribute, flags: u32) -> i64:
    """Let a file have an attribute. 0, -EEXIST or -ENODATA."""
    with node.mutex:
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


BY_DESCRIPTOR = 1  # an argument that says how a file is given, beside AT_SYMLINK_NOFOLLOW


@metal
def file_at(place: u64, how: u32) -> tuple[Ptr[Entry], i64]:
    """The entry of a path or descriptor, with a reference. -EOPNOTSUPP: a descriptor that has none."""
    if how == BY_DESCRIPTOR:
        entry, error = place_of(i32.wrap(place), False)
        return entry, -EOPNOTSUPP if error == -EPERM else error
    entry, error = place_at(AT_FDCWD, place, how)
    return entry, error


@metal
def set_at(place: u64, how: u32, name: u64, value: u64, size: u64, flags: u32) -> i64:
    """setxattr and its kin: name and value are looked at before the file."""
    if (flags & ~u32(XATTR_CREATE | XATTR_REPLACE)) != 0:
        return -EINVAL
    made = attributes.allocate()
    if made is None:
        return -ENOMEM
    error = fetch_name(made.name[:], name)
    if error > 0:
        made.length = u32(error)
        error = -E2BIG if size > LARGEST_VALUE else fetch_value(made, value, size)
    if error == 0:
        entry, missing = file_at(place, how)
        error = missing
        if entry is not None:
            error = set_attribute(entry, made, flags)
    if error < 0:
        empty_value(made)
        attributes.free(made)
    return error


@metal
def get_at(place: u64, how: u32, name_address: u64, address: u64, size: u64) -> i64:
    """getxattr and its kin: the size of the value."""
    name = Array[u8, LONGEST_NAME + 1]()
    result = fetch_name(name[:], name_address)
    if result < 0:
        return result
    entry, error = file_at(place, how)
    if entry is None:
        return error
    result = get_attribute(entry, name[0 : u64(result)], address, size)
    entry.drop()
    return result


@metal
def get_attribute(entry: Entry, name: Slice[u8], address: u64, size: u64) -> i64:
    """getxattr of an entry."""
    error = check_name(entry, name, False)
    if error < 0:
        return error
    if entry.tree.elsewhere is not None:
        return ask_elsewhere(entry, name, address, size)
    node = entry.node
    if node is None:
        return -EOPNOTSUPP
    with node.mutex:
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
def ask_elsewhere(entry: Entry, name: Slice[u8], address: u64, size: u64) -> i64:
    """A value, or with an empty name all names, from where the tree is kept: its size. -ERANGE, -ENOMEM, -EFAULT."""
    order: u32 = 0
    wanted = min(size, u64(LARGEST_VALUE))
    while (u64(PAGE_SIZE) << u64(order)) < wanted:
        order += 1
    memory = pages.allocate_order(order)
    if memory == 0:
        return -ENOMEM
    buffer = unsafe.slice(u8, virtual(memory), wanted)
    result: i64 = 0
    if len(name) == 0:
        result = entry.tree.elsewhere.list_attributes(entry, buffer)
    else:
        result = entry.tree.elsewhere.get_attribute(entry, name, buffer)
    if result > 0 and size != 0 and user.copy_out(address, buffer[0 : u64(result)]) < 0:
        result = -EFAULT
    pages.free_order(memory, order)
    return result


@metal
def list_at(place: u64, how: u32, address: u64, size: u64) -> i64:
    """listxattr and its kin: bytes of names, each with a zero byte."""
    entry, error = file_at(place, how)
    if entry is None:
        return error
    result: i64 = 0
    if entry.tree.elsewhere is not None:
        result = ask_elsewhere(entry, b"", address, size)
    elif entry.node is not None:
        with entry.node.mutex:
            result = list_names(entry.node, address, size)
    entry.drop()
    return result


@metal
def list_names(node: Node, address: u64, size: u64) -> i64:
    """The same. With the mutex."""
    total: u64 = 0
    each = first_of(node)
    while each is not None:
        if not starts_with(each.text(), b"trusted.") or capable(CAP_SYS_ADMIN):
            length = u64(each.length) + 1
            if size != 0:
                if total + length > size:
                    return -ERANGE
                if user.copy_out(address + total, each.name[0:length]) < 0:
                    return -EFAULT
            total += length
        each = each.next
    return i64(total)


@metal
def remove_at(place: u64, how: u32, name_address: u64) -> i64:
    """removexattr and its kin."""
    name = Array[u8, LONGEST_NAME + 1]()
    length = fetch_name(name[:], name_address)
    if length < 0:
        return length
    entry, error = file_at(place, how)
    if entry is None:
        return error
    result = check_name(entry, name[0 : u64(length)], True)
    if result == 0:
        result = remove_attribute(entry, name[0 : u64(length)])
    entry.drop()
    return result


@metal
def remove_attribute(entry: Entry, name: Slice[u8]) -> i64:
    """removexattr of an entry."""
    if entry.tree.elsewhere is not None:
        error = entry.tree.elsewhere.remove_attribute(entry, name)
        if error == 0:
            tell_both(entry, IN_ATTRIB)
        return error
    node = entry.node
    if node is None:
        return -EOPNOTSUPP
    with node.mutex:
        found = find(node, name)
        if found is None:
            return -ENODATA
        take_out(node, found)
        empty_value(found)
        attributes.free(found)
    node.changed()
    tell_both(entry, IN_ATTRIB)
    return 0


@metal
def sys_setxattr(path: u64, name: u64, value: u64, size: u64, flags: u32) -> i64:
    """setxattr(2)."""
    return set_at(path, 0, name, value, size, flags)


@metal
def sys_lsetxattr(path: u64, name: u64, value: u64, size: u64, flags: u32) -> i64:
    """lsetxattr(2)."""
    return set_at(path, AT_SYMLINK_NOFOLLOW, name, value, size, flags)


@metal
def sys_fsetxattr(descriptor: i32, name: u64, value: u64, size: u64, flags: u32) -> i64:
    """fsetxattr(2)."""
    return set_at(u64(u32.wrap(descriptor)), BY_DESCRIPTOR, name, value, size, flags)


@metal
def sys_getxattr(path: u64, name: u64, value: u64, size: u64) -> i64:
    """getxattr(2)."""
    return get_at(path, 0, name, value, size)


@metal
def sys_lgetxattr(path: u64, name: u64, value: u64, size: u64) -> i64:
    """lgetxattr(2)."""
    return get_at(path, AT_SYMLINK_NOFOLLOW, name, value, size)


@metal
def sys_fgetxattr(descriptor: i32, name: u64, value: u64, size: u64) -> i64:
    """fgetxattr(2)."""
    return get_at(u64(u32.wrap(descriptor)), BY_DESCRIPTOR, name, value, size)


@metal
def sys_listxattr(path: u64, address: u64, size: u64) -> i64:
    """listxattr(2)."""
    return list_at(path, 0, address, size)


@metal
def sys_llistxattr(path: u64, address: u64, size: u64) -> i64:
    """llistxattr(2)."""
    return list_at(path, AT_SYMLINK_NOFOLLOW, address, size)


@metal
def sys_flistxattr(descriptor: i32, address: u64, size: u64) -> i64:
    """flistxattr(2)."""
    return list_at(u64(u32.wrap(descriptor)), BY_DESCRIPTOR, address, size)


@metal
def sys_removexattr(path: u64, name: u64) -> i64:
    """removexattr(2)."""
    return remove_at(path, 0, name)


@metal
def sys_lremovexattr(path: u64, name: u64) -> i64:
    """lremovexattr(2)."""
    return remove_at(path, AT_SYMLINK_NOFOLLOW, name)


@metal
def sys_fremovexattr(descriptor: i32, name: u64) -> i64:
    """fremovexattr(2)."""
    return remove_at(u64(u32.wrap(descriptor)), BY_DESCRIPTOR, name)
