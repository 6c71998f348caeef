"""The calls that make, remove and move names: mkdir, mknod, symlink, link, unlink, rmdir, rename."""

from goanna.kernel.arch import virtual
from goanna.kernel.base.errno import (
    EBADF,
    EBUSY,
    EEXIST,
    EINVAL,
    EISDIR,
    ENOENT,
    ENOMEM,
    ENOTEMPTY,
    EPERM,
    EXDEV,
)
from goanna.kernel.file.attributes import device_number
from goanna.kernel.file.descriptors import get_file
from goanna.kernel.file.flags import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    PATH_MAX,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
)
from goanna.kernel.file.names import link_name, make_name, remove_name
from goanna.kernel.file.place import my_place, walk_from
from goanna.kernel.file.rename import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, move_name
from goanna.kernel.file.tree import LINKABLE, Entry, child_of
from goanna.kernel.file.walk import Path
from goanna.kernel.identity.credentials import CAP_DAC_READ_SEARCH, capable
from goanna.kernel.memory import pages, user
from goanna.metal import Ptr, Slice, i32, i64, metal, u8, u32, u64, unsafe


@metal
def parent_at(directory: i32, address: u64, path: Path) -> tuple[Ptr[Entry], i64]:
    """The directory of the last component of a path in user memory, with a reference; or None and an errno."""
    length = path.load(address)
    if length < 0:
        return None, length
    path.to_parent = True
    return walk_from(directory, path, False)


@metal
def create_at(directory: i32, address: u64, mode: u32, device: u64, text: Slice[u8]) -> i64:
    """Make what is not there: 0 or an errno."""
    path = Path()
    parent, error = parent_at(directory, address, path)
    if parent is not None:
        error = create_in(parent, path, mode, device, text)
        parent.drop()
    path.release()
    return error


@metal
def create_in(parent: Entry, path: Path, mode: u32, device: u64, text: Slice[u8]) -> i64:
    """The same in a directory."""
    if not path.last_is_name():
        return -EEXIST
    if path.to_directory and (mode & S_IFMT) != S_IFDIR:
        return missing_or_there(parent, path)
    made, error = make_name(parent, path.last(), mode, device, text, -EPERM)
    if made is not None:
        made.drop()
    return error


@metal
def missing_or_there(parent: Entry, path: Path) -> i64:
    """What stands in the way of a file whose name ends in a slash."""
    found, error = child_of(parent, path.last())
    if found is not None:
        found.drop()
        return -EEXIST
    return error


@metal
def with_umask(mode: u32) -> u32:
    """Permissions for a new file."""
    return mode & 0o7777 & ~my_place().umask


@metal
def sys_mkdirat(directory: i32, address: u64, mode: u32) -> i64:
    """mkdirat(2)."""
    return create_at(directory, address, S_IFDIR | (with_umask(mode) & 0o1777), 0, b"")


@metal
def sys_mkdir(address: u64, mode: u32) -> i64:
    """mkdir(2)."""
    return sys_mkdirat(AT_FDCWD, address, mode)


@metal
def sys_mknodat(directory: i32, address: u64, mode: u32, device: u32) -> i64:
    """mknodat(2)."""
    kind = mode & S_IFMT
    if kind == 0:
        kind = S_IFREG
    if kind == S_IFDIR:
        return -EPERM
    if kind not in (S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK):
        return -EINVAL
    number: u64 = 0
    if kind in (S_IFCHR, S_IFBLK):
        number = device_number((device & 0xFFF00) >> 8, (device & 0xFF) | ((device >> 12) & 0xFFF00))
    return create_at(directory, address, kind | with_umask(mode), number, b"")


@metal
def sys_mknod(address: u64, mode: u32, device: u32) -> i64:
    """mknod(2)."""
    return sys_mknodat(AT_FDCWD, address, mode, device)


@metal
def sys_symlinkat(target: u64, directory: i32, address: u64) -> i64:
    """symlinkat(2)."""
    page = pages.allocate()
    if page == 0:
        return -ENOMEM
    text = unsafe.slice(u8, virtual(page), PATH_MAX)
    length = user.copy_in_string(text, target)
    result = length
    if length == 0:
        result = -ENOENT
    elif length > 0:
        result = create_at(directory, address, S_IFLNK | 0o777, 0, text[0 : u64(length)])
    pages.release(page)
    return result


@metal
def sys_symlink(target: u64, address: u64) -> i64:
    """symlink(2)."""
    return sys_symlinkat(target, AT_FDCWD, address)


@metal
def sys_unlinkat(directory: i32, address: u64, flags: u32) -> i64:
    """unlinkat(2)."""
    if (flags & ~AT_REMOVEDIR) != 0:
        return -EINVAL
    path = Path()
    parent, error = parent_at(directory, address, path)
    if parent is not None:
        error = remove_last(parent, path, (flags & AT_REMOVEDIR) != 0)
        parent.drop()
    path.release()
    return error


@metal
def remove_last(parent: Entry, path: Path, directory: bool) -> i64:
    """Remove the last component of a path, if it is a name."""
    if path.last_is_name():
        return remove_name(parent, path.last(), directory, path.to_directory)
    if not directory:
        return -EISDIR
    if path.last_start == path.last_end:
        return -EBUSY
    return -EINVAL if path.last_end - path.last_start == 1 else -ENOTEMPTY


@metal
def sys_unlink(address: u64) -> i64:
    """unlink(2)."""
    return sys_unlinkat(AT_FDCWD, address, 0)


@metal
def sys_rmdir(address: u64) -> i64:
    """rmdir(2)."""
    return sys_unlinkat(AT_FDCWD, address, AT_REMOVEDIR)


@metal
def sys_renameat2(directory: i32, address: u64, new_directory: i32, new_address: u64, flags: u32) -> i64:
    """renameat2(2)."""
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0:
        return -EINVAL
    if (flags & RENAME_EXCHANGE) != 0 and (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)) != 0:
        return -EINVAL
    path = Path()
    new_path = Path()
    parent, error = parent_at(directory, address, path)
    to: Ptr[Entry] = None
    if parent is not None:
        to, error = parent_at(new_directory, new_address, new_path)
    if to is not None:
        error = move_last(parent, path, to, new_path, flags)
        to.drop()
    if parent is not None:
        parent.drop()
    path.release()
    new_path.release()
    return error


@metal
def move_last(parent: Entry, path: Path, to: Entry, new_path: Path, flags: u32) -> i64:
    """Rename between two directories."""
    if parent.tree is not to.tree:
        return -EXDEV
    if not path.last_is_name():
        return -EBUSY
    if not new_path.last_is_name():
        return -EEXIST if (flags & RENAME_NOREPLACE) != 0 else -EBUSY
    slash = path.to_directory
    return move_name(parent, path.last(), slash, to, new_path.last(), new_path.to_directory, flags)


@metal
def sys_renameat(directory: i32, address: u64, new_directory: i32, new_address: u64) -> i64:
    """renameat(2)."""
    return sys_renameat2(directory, address, new_directory, new_address, 0)


@metal
def sys_rename(address: u64, new_address: u64) -> i64:
    """rename(2)."""
    return sys_renameat2(AT_FDCWD, address, AT_FDCWD, new_address, 0)


@metal
def sys_linkat(directory: i32, address: u64, new_directory: i32, new_address: u64, flags: u32) -> i64:
    """linkat(2)."""
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0:
        return -EINVAL
    old, error = linked_at(directory, address, flags)
    if old is None:
        return error
    path = Path()
    parent, error = parent_at(new_directory, new_address, path)
    if parent is not None:
        if not path.last_is_name():
            error = -EEXIST
        elif path.to_directory:
            error = missing_or_there(parent, path)
        else:
            error = link_name(old, parent, path.last(), old.real().has(LINKABLE))
        parent.drop()
    path.release()
    old.drop()
    return error


@metal
def linked_at(directory: i32, address: u64, flags: u32) -> tuple[Ptr[Entry], i64]:
    """What is to get one more name: by path, or with AT_EMPTY_PATH by descriptor. Those who may use that flag may use
    it with any path from a descriptor."""
    path = Path()
    length = path.load(address)
    entry: Ptr[Entry] = None
    error = length
    by_descriptor = (flags & AT_EMPTY_PATH) != 0 and directory != AT_FDCWD and not path.absolute()
    if length >= 0 and by_descriptor and not capable(CAP_DAC_READ_SEARCH):
        start = get_file(directory)
        error = -ENOENT if start is not None else -EBADF
        if start is not None:
            start.drop()
    elif length == 0 and (flags & AT_EMPTY_PATH) != 0:
        if directory == AT_FDCWD:
            path.set_dot()
            entry, error = walk_from(directory, path, True)
        else:
            entry, error = entry_of(directory)
    elif length >= 0:
        entry, error = walk_from(directory, path, (flags & AT_SYMLINK_FOLLOW) != 0)
    path.release()
    return entry, error


@metal
def entry_of(descriptor: i32) -> tuple[Ptr[Entry], i64]:
    """The entry that a descriptor was opened by, with a reference. -EBADF; -EXDEV: by none."""
    description = get_file(descriptor)
    if description is None:
        return None, -EBADF
    entry = description.entry
    if entry is not None:
        entry.hold()
    description.drop()
    return entry, 0 if entry is not None else -EXDEV


@metal
def sys_link(address: u64, new_address: u64) -> i64:
    """link(2)."""
    return sys_linkat(AT_FDCWD, address, AT_FDCWD, new_address, 0)
