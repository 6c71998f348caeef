"""What programs ask about files: the stat family, access, readlink, getdents64, statfs."""

from goanna.kernel.arch import PAGE_SIZE, Stat, virtual
from goanna.kernel.base.errno import EACCES, EBADF, EFAULT, EINVAL, ENOENT, ENOMEM, ENOTDIR, EROFS
from goanna.kernel.file.attributes import Attributes, Space, Statx, fill_stat, fill_statx
from goanna.kernel.file.crossing import is_top
from goanna.kernel.file.descriptors import get_file, get_open_file
from goanna.kernel.file.directory import DirectoryWriter
from goanna.kernel.file.flags import (
    AT_EACCESS,
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_NO_AUTOMOUNT,
    AT_STATX_DONT_SYNC,
    AT_STATX_FORCE_SYNC,
    AT_SYMLINK_NOFOLLOW,
    NAME_MAX,
    PATH_MAX,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    ST_NOEXEC,
    ST_RDONLY,
    ST_STRICTATIME,
    ST_VALID,
)
from goanna.kernel.file.permission import permitted
from goanna.kernel.file.place import entry_at, walk_from
from goanna.kernel.file.tree import Entry, Tree, touch
from goanna.kernel.file.walk import Path
from goanna.kernel.identity.credentials import mine
from goanna.kernel.memory import pages, user
from goanna.metal import Array, Ptr, i32, i64, metal, struct, u8, u32, u64, unsafe


@metal
def describe(directory: i32, address: u64, flags: u32, attributes: Attributes) -> i64:
    """The attributes of what a path, or with AT_EMPTY_PATH a descriptor, refers to. No path is an empty one then."""
    path = Path()
    length = path.set(b"") if address == 0 and (flags & AT_EMPTY_PATH) != 0 else path.load(address)
    result = length
    if length == 0 and (flags & AT_EMPTY_PATH) != 0 and directory != AT_FDCWD:
        result = describe_descriptor(directory, attributes)
    elif length >= 0:
        if length == 0 and (flags & AT_EMPTY_PATH) != 0:
            path.set_dot()
        entry, error = walk_from(directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0)
        result = error
        if error == 0:
            result = entry.tree.attributes(entry, attributes)
            tell_mount(entry, attributes)
            entry.drop()
    path.release()
    return result


@metal
def describe_descriptor(descriptor: i32, attributes: Attributes) -> i64:
    """The attributes of an open file."""
    description = get_file(descriptor)
    if description is None:
        return -EBADF
    result = description.operations.attributes(description, attributes)
    if description.entry is not None:
        tell_mount(description.entry, attributes)
    description.drop()
    return result


@metal
def tell_mount(entry: Entry, attributes: Attributes) -> None:
    """What statx tells besides: the mount by which the file was reached."""
    attributes.mount = u64(entry.tree.id)
    attributes.mount_top = is_top(entry)


@metal
def give_stat(address: u64, attributes: Attributes) -> i64:
    """Write struct stat to user memory."""
    stat = Stat()
    fill_stat(stat, attributes)
    return user.put_struct(address, stat)


@metal
def sys_newfstatat(directory: i32, path: u64, address: u64, flags: u32) -> i64:
    """fstatat(2)."""
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0:
        return -EINVAL
    attributes = Attributes()
    error = describe(directory, path, flags, attributes)
    return error if error < 0 else give_stat(address, attributes)


@metal
def sys_stat(path: u64, address: u64) -> i64:
    """stat(2)."""
    return sys_newfstatat(AT_FDCWD, path, address, 0)


@metal
def sys_lstat(path: u64, address: u64) -> i64:
    """lstat(2)."""
    return sys_newfstatat(AT_FDCWD, path, address, AT_SYMLINK_NOFOLLOW)


@metal
def sys_fstat(descriptor: i32, address: u64) -> i64:
    """fstat(2)."""
    attributes = Attributes()
    error = describe_descriptor(descriptor, attributes)
    return error if error < 0 else give_stat(address, attributes)


STATX_RESERVED = 0x80000000
STATX_SYNC = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC


@metal
def sys_statx(directory: i32, path: u64, flags: u32, mask: u32, address: u64) -> i64:
    """statx(2): everything known is told, whatever was asked for."""
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | STATX_SYNC)) != 0:
        return -EINVAL
    if (mask & STATX_RESERVED) != 0 or (flags & STATX_SYNC) == STATX_SYNC:
        return -EINVAL
    attributes = Attributes()
    error = describe(directory, path, flags, attributes)
    if error < 0:
        return error
    statx = Statx()
    fill_statx(statx, attributes)
    return user.put_struct(address, statx)


@metal
def check_access(attributes: Attributes, tree: Ptr[Tree], mode: u32) -> i64:
    """0, -EACCES, or -EROFS for writing where nothing can be written."""
    kind = attributes.mode & S_IFMT
    if (mode & 2) != 0 and tree is not None and tree.read_only and kind in (S_IFREG, S_IFDIR, S_IFLNK):
        return -EROFS
    if (mode & 1) != 0 and kind == S_IFREG and tree is not None and (tree.flags & ST_NOEXEC) != 0:
        return -EACCES
    if mode != 0 and not permitted(attributes.mode, attributes.user, attributes.group, mode):
        return -EACCES
    return 0


@metal
def sys_faccessat2(directory: i32, address: u64, mode: u32, flags: u32) -> i64:
    """faccessat2(2): by the real user and group, unless AT_EACCESS says the effective ones."""
    if (mode & ~7) != 0 or (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0:
        return -EINVAL
    me = mine()
    if (flags & AT_EACCESS) != 0 or (me.user == me.file_user and me.group == me.file_group):
        return access(directory, address, mode, flags)
    user_before = me.file_user
    group_before = me.file_group
    capabilities_before = me.effective
    me.file_user = me.user
    me.file_group = me.group
    me.effective = me.permitted if me.user == 0 else u64(0)
    result = access(directory, address, mode, flags)
    me.file_user = user_before
    me.file_group = group_before
    me.effective = capabilities_before
    return result


@metal
def access(directory: i32, address: u64, mode: u32, flags: u32) -> i64:
    """The check itself, with the identity that counts."""
    path = Path()
    result = path.load(address)
    if result == 0 and (flags & AT_EMPTY_PATH) != 0 and directory != AT_FDCWD:
        attributes = Attributes()
        result = describe_descriptor(directory, attributes)
        if result == 0:
            result = check_access(attributes, None, mode)
    elif result >= 0:
        if result == 0 and (flags & AT_EMPTY_PATH) != 0:
            path.set_dot()
        entry, error = walk_from(directory, path, (flags & AT_SYMLINK_NOFOLLOW) == 0)
        result = error
        if error == 0:
            result = access_entry(entry, mode)
            entry.drop()
    path.release()
    return result


@metal
def access_entry(entry: Entry, mode: u32) -> i64:
    """The check of an entry."""
    attributes = Attributes()
    error = entry.tree.attributes(entry, attributes)
    return error if error < 0 else check_access(attributes, entry.tree, mode)


@metal
def sys_faccessat(directory: i32, address: u64, mode: u32) -> i64:
    """faccessat(2), which has no flags."""
    return sys_faccessat2(directory, address, mode, 0)


@metal
def sys_access(address: u64, mode: u32) -> i64:
    """access(2)."""
    return sys_faccessat2(AT_FDCWD, address, mode, 0)


@metal
def sys_readlinkat(directory: i32, address: u64, buffer: u64, size: i32) -> i64:
    """readlinkat(2): cut to `size`, without a zero at the end."""
    if size <= 0:
        return -EINVAL
    entry, error = link_at(directory, address)
    if error < 0:
        return error
    page = pages.allocate()
    if page == 0:
        entry.drop()
        return -ENOMEM
    text = unsafe.slice(u8, virtual(page), PATH_MAX)
    result = entry.tree.read_link(entry, text)
    touch(entry)
    entry.drop()
    if result >= 0:
        count = min(u64(result), u64(size))
        result = user.copy_out(buffer, text[0:count])
        if result == 0:
            result = i64(count)
    pages.release(page)
    return result


@metal
def link_at(directory: i32, address: u64) -> tuple[Ptr[Entry], i64]:
    """The link that a path names, or, for an empty path, that a descriptor was opened on with O_PATH."""
    path = Path()
    length = path.load(address)
    if length < 0:
        path.release()
        return None, length
    entry: Ptr[Entry] = None
    error: i64 = -ENOENT
    wrong: i64 = -EINVAL
    if length == 0:
        wrong = -ENOENT
        description = get_file(directory)
        if description is not None:
            entry = description.entry
            if entry is not None:
                entry.hold()
                error = 0
            description.drop()
        elif directory != AT_FDCWD:
            error = -EBADF
    else:
        entry, error = walk_from(directory, path, False)
    path.release()
    if error == 0 and not entry.is_link():
        entry.drop()
        return None, wrong
    return entry, error


@metal
def sys_readlink(address: u64, buffer: u64, size: i32) -> i64:
    """readlink(2)."""
    return sys_readlinkat(AT_FDCWD, address, buffer, size)


@metal
def sys_getdents64(descriptor: i32, address: u64, size: u32) -> i64:
    """getdents64(2)."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    result: i64 = -ENOTDIR
    if description.operations.list is not None:
        writer = DirectoryWriter(address=address, room=u64(min(size, 0x7FFFFFFF)))
        if not user.accessible(address, writer.room):
            result = -EFAULT
        else:
            with description.position_lock:
                result = description.operations.list(description, writer)
    description.drop()
    return result


@struct
class FileSystem:
    """struct statfs on 64-bit machines."""

    kind: i64
    block_size: i64
    blocks: u64
    blocks_free: u64
    blocks_available: u64
    files: u64
    files_free: u64
    identity: Array[i32, 2]
    name_length: i64
    fragment_size: i64
    flags: i64
    spare: Array[i64, 4]


@metal
def give_file_system(address: u64, entry: Ptr[Entry]) -> i64:
    """Write struct statfs to user memory. No entry: what pipes and sockets live in."""
    system = FileSystem(block_size=PAGE_SIZE, fragment_size=PAGE_SIZE, name_length=NAME_MAX, flags=ST_VALID)
    system.kind = PIPEFS_MAGIC
    if entry is not None:
        tree: Tree = entry.tree
        system.kind = i64(tree.magic)
        system.identity[0] = i32(tree.device)
        system.flags = i64(ST_VALID | (tree.flags & ~u32(ST_STRICTATIME)))
        if tree.read_only:
            system.flags |= ST_RDONLY
        if tree.space is not None:
            space = Space()
            error = tree.space(entry, space)
            if error < 0:
                return error
            system.blocks = space.total // PAGE_SIZE
            system.blocks_free = space.free // PAGE_SIZE
            system.blocks_available = system.blocks_free
            system.files = space.files
            system.files_free = space.files_free
    return user.put_struct(address, system)


PIPEFS_MAGIC = 0x50495045


@metal
def sys_statfs(path: u64, address: u64) -> i64:
    """statfs(2)."""
    entry, error = entry_at(AT_FDCWD, path, True)
    if error < 0:
        return error
    result = give_file_system(address, entry)
    entry.drop()
    return result


@metal
def sys_fstatfs(descriptor: i32, address: u64) -> i64:
    """fstatfs(2)."""
    description = get_file(descriptor)
    if description is None:
        return -EBADF
    result = give_file_system(address, description.entry)
    description.drop()
    return result

