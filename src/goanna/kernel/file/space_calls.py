"""The calls that size files: truncate, fallocate; and those that make them safe or say how they will be used."""

from goanna.kernel.base.errno import (
    EACCES,
    EBADF,
    EFBIG,
    EINVAL,
    EISDIR,
    ENODEV,
    EOPNOTSUPP,
    EPERM,
    EROFS,
    ESPIPE,
    ETXTBSY,
)
from goanna.kernel.file.attribute_calls import place_at
from goanna.kernel.file.attributes import CHANGE_SIZE, Change
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import get_open_file
from goanna.kernel.file.events import IN_MODIFY
from goanna.kernel.file.flags import AT_FDCWD, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG
from goanna.kernel.file.memory_file import (
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE,
    FALLOC_ZERO_RANGE,
    allocate_space,
)
from goanna.kernel.file.permission import WRITE, entry_permitted
from goanna.kernel.file.tree import own, tell_both
from goanna.metal import i32, i64, metal, u32, u64


@metal
def sys_truncate(address: u64, size: i64) -> i64:
    """truncate(2)."""
    if size < 0:
        return -EINVAL
    entry, error = place_at(AT_FDCWD, address, 0)
    if entry is None:
        return error
    if entry.is_directory():
        error = -EISDIR
    elif entry.kind() != S_IFREG:
        error = -EINVAL
    elif entry.tree.read_only:
        error = -EROFS
    elif not entry_permitted(entry, WRITE):
        error = -EACCES
    elif entry.tree.change is None:
        error = -EPERM
    elif entry.node is not None and entry.node.running.load() != 0:
        error = -ETXTBSY
    else:
        error = entry.tree.change(entry, Change(what=CHANGE_SIZE, size=u64(size)))
    entry.drop()
    return error


@metal
def sys_ftruncate(descriptor: i32, size: i64) -> i64:
    """ftruncate(2)."""
    if size < 0:
        return -EINVAL
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    error: i64 = -EINVAL
    entry = description.entry
    if entry is not None and entry.kind() == S_IFREG and description.writable() and entry.tree.change is not None:
        error = entry.tree.change(entry, Change(what=CHANGE_SIZE, size=u64(size)))
    description.drop()
    return error


REFUSED_MODES = (8, 32, 64, 65)  # collapse and insert ranges, unshare
KNOWN_MODES = (
    0, FALLOC_KEEP_SIZE, FALLOC_KEEP_SIZE | FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE, FALLOC_ZERO_RANGE | FALLOC_KEEP_SIZE,
    *REFUSED_MODES,
)  # fmt: skip


@metal
def sys_fallocate(descriptor: i32, mode: u32, start: i64, length: i64) -> i64:
    """fallocate(2): space, holes, zeros."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    result = allocate_in(description, mode, start, length)
    description.drop()
    return result


@metal
def allocate_in(description: Description, mode: u32, start: i64, length: i64) -> i64:
    """The same in an open file (vfs_fallocate)."""
    if start < 0 or length <= 0:
        return -EINVAL
    if mode not in KNOWN_MODES:
        return -EOPNOTSUPP
    if not description.writable():
        return -EBADF
    kind = description.mode() & 0o170000
    if kind == S_IFIFO:
        return -ESPIPE
    if kind == S_IFDIR:
        return -EISDIR
    if kind != S_IFREG:
        return -ENODEV
    if u64(start) + u64(length) > 0x7FFFFFFFFFFFFFFF:
        return -EFBIG
    entry = description.entry
    if entry is None or entry.node is None or entry.node.remote != 0 or mode in REFUSED_MODES:
        return -EOPNOTSUPP
    own(entry)
    error = allocate_space(entry.node, mode, u64(start), u64(length))
    if error == 0:
        tell_both(entry, IN_MODIFY)
    return error


@metal
def safe(descriptor: i32, data_only: bool) -> i64:
    """fsync and its kin: what is in memory is as safe as it will ever be."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    entry = description.entry
    result: i64 = -EINVAL
    if description.operations.synchronise is not None:
        result = description.operations.synchronise(description, data_only)
    elif entry is not None and (entry.kind() in (S_IFREG, S_IFDIR)):
        result = 0
    description.drop()
    return result


@metal
def sys_fsync(descriptor: i32) -> i64:
    """fsync(2)."""
    return safe(descriptor, False)


@metal
def sys_fdatasync(descriptor: i32) -> i64:
    """fdatasync(2)."""
    return safe(descriptor, True)


@metal
def sys_syncfs(descriptor: i32) -> i64:
    """syncfs(2)."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    description.drop()
    return 0


@metal
def sys_sync() -> i64:
    """sync(2)."""
    return 0


SYNC_KNOWN = 7


@metal
def sys_sync_file_range(descriptor: i32, start: i64, length: i64, flags: u32) -> i64:
    """sync_file_range(2)."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    result: i64 = 0
    if (flags & ~SYNC_KNOWN) != 0 or start < 0 or length < 0 or start > 0x7FFFFFFFFFFFFFFF - length:
        result = -EINVAL
    elif (description.mode() & 0o170000) not in (S_IFREG, S_IFDIR, S_IFLNK):
        result = -ESPIPE
    description.drop()
    return result


@metal
def sys_fadvise64(descriptor: i32, start: i64, length: i64, advice: u32) -> i64:
    """fadvise64(2): all is in memory, so there is nothing that advice could change."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    kind = description.mode() & 0o170000
    description.drop()
    if kind == S_IFIFO:
        return -ESPIPE
    return -EINVAL if length < 0 or advice > 5 else i64(0)


@metal
def sys_readahead(descriptor: i32, start: i64, count: u64) -> i64:
    """readahead(2): all is in memory."""
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    readable = description.readable()
    kind = description.mode() & 0o170000
    description.drop()
    if not readable:
        return -EBADF
    return 0 if kind == S_IFREG else -EINVAL
