"""The calls that read and write extended attributes (xattr(7), Linux fs/xattr.c): whose they are, and who may."""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import (
    E2BIG,
    EACCES,
    EFAULT,
    EINVAL,
    ENAMETOOLONG,
    ENODATA,
    ENOMEM,
    EOPNOTSUPP,
    EPERM,
    ERANGE,
    EROFS,
)
from goanna.kernel.file.attribute_calls import place_at, place_of
from goanna.kernel.file.events import IN_ATTRIB
from goanna.kernel.file.extended import (
    LARGEST_VALUE,
    LONGEST_NAME,
    XATTR_CREATE,
    XATTR_REPLACE,
    Attribute,
    NameList,
    attributes,
    empty_value,
    get_value,
    list_attributes,
    make_room,
    put_attribute,
    remove_from,
    starts_with,
)
from goanna.kernel.file.flags import AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFDIR, S_IFREG
from goanna.kernel.file.permission import READ, WRITE, entry_permitted
from goanna.kernel.file.tree import Entry, own, tell_both
from goanna.kernel.identity.credentials import CAP_FOWNER, CAP_SYS_ADMIN, capable, mine
from goanna.kernel.memory import pages, user
from goanna.metal import Array, Ptr, Slice, i32, i64, metal, u8, u32, u64, unsafe


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
        real = entry.real()
        if real.tree.elsewhere is not None:
            value = unsafe.slice(u8, made.value, made.size)
            error = real.tree.elsewhere.set_attribute(real, made.text(), value, flags)
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
    error = make_room(made, size)
    if size == 0 or error < 0:
        return error
    return user.copy_in(unsafe.slice(u8, made.value, size), address)


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
    real = entry.real()
    if real.tree.elsewhere is not None:
        return ask_elsewhere(real, name, address, size)
    return -EOPNOTSUPP if entry.node is None else get_value(entry.node, name, address, size)


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
    real = entry.real()
    if real.tree.elsewhere is not None:
        result = ask_elsewhere(real, b"", address, size)
    elif entry.node is not None:
        result = list_attributes(entry.node, NameList(address=address, size=size))
    entry.drop()
    return result


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
    real = entry.real()
    if real.tree.elsewhere is not None:
        error = real.tree.elsewhere.remove_attribute(real, name)
        if error == 0:
            tell_both(entry, IN_ATTRIB)
        return error
    node = entry.node
    if node is None:
        return -EOPNOTSUPP
    own(entry)
    error = remove_from(node, name)
    if error == 0:
        node.changed()
        tell_both(entry, IN_ATTRIB)
    return error


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
