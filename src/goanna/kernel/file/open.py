"""open, openat, openat2, creat: from flags and a path to a descriptor (Linux fs/open.c, fs/namei.c)."""

from goanna.kernel.base.errno import (
    E2BIG,
    EACCES,
    EAGAIN,
    EEXIST,
    EFAULT,
    EINVAL,
    EISDIR,
    ELOOP,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    EOPNOTSUPP,
    EPERM,
    EROFS,
    ETXTBSY,
)
from goanna.kernel.file.attributes import CHANGE_SIZE, Change
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import descriptor_limit, files
from goanna.kernel.file.events import IN_OPEN, watched
from goanna.kernel.file.flags import (
    AT_FDCWD,
    O_ACCMODE,
    O_CLOEXEC,
    O_CREAT,
    O_DIRECTORY,
    O_EXCL,
    O_LARGEFILE,
    O_NOATIME,
    O_NOCTTY,
    O_NOFOLLOW,
    O_PATH,
    O_RDONLY,
    O_TMPFILE_BIT,
    O_TRUNC,
    O_WRONLY,
    OPEN_FLAGS,
    S_IFBLK,
    S_IFCHR,
    S_IFLNK,
    S_IFREG,
    ST_NODEV,
)
from goanna.kernel.file.names import make_name, make_nameless
from goanna.kernel.file.permission import READ, WRITE, entry_permitted
from goanna.kernel.file.place import my_place, walk_from
from goanna.kernel.file.tree import LINKABLE, Entry, attributes_by_entry, own, tell_both
from goanna.kernel.file.walk import RESOLVE_BENEATH, RESOLVE_CACHED, RESOLVE_IN_ROOT, Path
from goanna.kernel.identity.credentials import CAP_FOWNER, capable, mine
from goanna.kernel.memory import user
from goanna.metal import Ptr, constant, i32, i64, metal, sizeof, struct, u8, u32, u64

PATH_FLAGS = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC  # all that matters with O_PATH
MODE_BITS = 0o7777
MOST_TRIES = 1000  # to make a file that is there when it is made and isn't when it is looked for
# What the tree is not told of the flags of open, and F_GETFL does not show; nor does it show O_NOCTTY.
FORGOTTEN = O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC


@metal
def check_flags(flags: u32) -> i64:
    """0, or -EINVAL for a combination that means nothing (build_open_flags)."""
    if (flags & O_TMPFILE_BIT) != 0:
        if (flags & O_DIRECTORY) == 0 or (flags & O_CREAT) != 0 or (flags & O_ACCMODE) == O_RDONLY:
            return -EINVAL
    elif (flags & (O_DIRECTORY | O_CREAT)) == O_DIRECTORY | O_CREAT:
        return -EINVAL
    return 0


@metal
def wanted_access(flags: u32) -> u32:
    """The permissions that the flags ask for."""
    access = flags & O_ACCMODE
    wanted: u32 = READ | WRITE
    if access == O_RDONLY:
        wanted = READ
    elif access == O_WRONLY:
        wanted = WRITE
    return wanted | WRITE if (flags & O_TRUNC) != 0 else wanted


@metal
def open_entry(entry: Entry, flags: u32, made: bool) -> tuple[Ptr[Description], i64]:
    """Open what a path led to, after the checks of do_open and may_open, which a file that was just made does not
    need. The entry's reference stays the caller's."""
    if (flags & O_PATH) != 0:
        if (flags & O_DIRECTORY) != 0 and not entry.is_directory():
            return None, -ENOTDIR
        description = create(PLACE, flags & ~O_CLOEXEC, 0)
        return with_entry(description, entry, 0 if description is not None else -ENOMEM)
    if not made:
        error = check_open(entry, flags)
        if error < 0:
            return None, error
    wanted = wanted_access(flags)
    regular = entry.kind() == S_IFREG
    if (wanted & WRITE) != 0 and regular and entry.node is not None:
        own(entry)
    description, error = entry.tree.open(entry, (flags & ~FORGOTTEN) | O_LARGEFILE)
    description, error = with_entry(description, entry, error)
    if error == 0 and (flags & O_NOCTTY) != 0:
        description.change_status(O_NOCTTY, 0)
    if error == 0 and (flags & O_TRUNC) != 0 and regular and not made and entry.tree.change is not None:
        error = entry.tree.change(entry, Change(what=CHANGE_SIZE))
        if error < 0:
            description.drop()
            return None, error
        if entry.node is not None:
            entry.node.modified()
    return description, error


@metal
def check_open(entry: Entry, flags: u32) -> i64:
    """Whether a file that is there may be opened like this. 0 or an errno."""
    if entry.is_directory():
        if (flags & (O_CREAT | O_TRUNC)) != 0 or (flags & O_ACCMODE) != O_RDONLY:
            return -EISDIR
    elif (flags & O_DIRECTORY) != 0:
        return -ENOTDIR
    if entry.is_link():
        return -ELOOP
    if entry.kind() in (S_IFCHR, S_IFBLK) and (entry.tree.flags & ST_NODEV) != 0:
        return -EACCES
    wanted = wanted_access(flags)
    if (wanted & WRITE) != 0 and entry.tree.read_only and entry.kind() in (S_IFREG, S_IFLNK):
        return -EROFS
    if not entry_permitted(entry, wanted):
        return -EACCES
    if (wanted & WRITE) != 0 and entry.node is not None and entry.node.running.load() != 0:
        return -ETXTBSY
    if (flags & O_NOATIME) != 0 and mine().file_user != entry.owner() and not capable(CAP_FOWNER):
        return -EPERM
    return 0


@metal
def with_entry(description: Ptr[Description], entry: Entry, error: i64) -> tuple[Ptr[Description], i64]:
    """Let a new description remember where it was opened."""
    if description is not None and not entry.tree.pathless:
        entry.hold()
        description.entry = entry
        if description.writable() and entry.kind() == S_IFREG:
            entry.tree.writers.add(1)
        if watched() and (description.status.load() & O_PATH) == 0:
            tell_both(entry, IN_OPEN)
    return description, error


@metal
def open_path(directory: i32, path: Path, flags: u32, mode: u32) -> tuple[Ptr[Description], i64]:
    """Walk a path and open what is there, or make it."""
    follow = (flags & O_NOFOLLOW) == 0 and (flags & (O_CREAT | O_EXCL)) != O_CREAT | O_EXCL
    path.creates = (flags & O_CREAT) != 0
    tries: u32 = 0
    while True:
        entry, error = walk_from(directory, path, follow)
        made = False
        if error == -ENOENT and path.missing_in is not None:
            entry, error = make_missing(path, mode)
            if error == -EEXIST and (flags & O_EXCL) == 0 and tries < MOST_TRIES:
                tries += 1
                path.rewind()
                continue
            made = True
        if error < 0:
            return None, error
        if (flags & O_TMPFILE_BIT) != 0:
            made = True
            entry, error = make_temporary(entry, flags, mode)
        elif not made and (flags & (O_CREAT | O_EXCL)) == O_CREAT | O_EXCL:
            error = -EEXIST
        description: Ptr[Description] = None
        if error == 0:
            description, error = open_entry(entry, flags, made)
        if entry is not None:
            entry.drop()
        return description, error


@metal
def make_missing(path: Path, mode: u32) -> tuple[Ptr[Entry], i64]:
    """Make the file that a walk did not find."""
    bits = mode & MODE_BITS & ~my_place().umask
    return make_name(path.missing_in, path.last(), S_IFREG | bits, 0, b"", -EACCES)


@metal
def make_temporary(directory: Entry, flags: u32, mode: u32) -> tuple[Ptr[Entry], i64]:
    """Make a file without a name in a directory, whose reference is used up."""
    made: Ptr[Entry] = None
    error: i64 = -ENOTDIR
    if directory.is_directory():
        error = -EOPNOTSUPP
        nameless = directory.tree.create is not None and directory.real().tree.elsewhere is None
        if nameless or directory.tree.read_only:
            made, error = make_nameless(directory, S_IFREG | (mode & MODE_BITS & ~my_place().umask))
    if made is not None and (flags & O_EXCL) == 0:
        made.real().flags |= LINKABLE
    directory.drop()
    return made, error


@metal
def open_at(directory: i32, address: u64, flags: u32, mode: u32, resolve: u32) -> i64:
    """A descriptor for a path in user memory. The flags are known ones and go together."""
    path = Path(resolve=resolve)
    error = path.load(address)
    if error < 0:
        path.release()
        return error
    descriptor = files().reserve(0, descriptor_limit())
    if descriptor < 0:
        path.release()
        return i64(descriptor)
    description, error = open_path(directory, path, flags, mode)
    path.release()
    if error < 0:
        files().cancel(descriptor)
        return error
    files().install(descriptor, description, (flags & O_CLOEXEC) != 0)
    return i64(descriptor)


@metal
def sys_openat(directory: i32, address: u64, flags: u32, mode: u32) -> i64:
    """openat(2): flags that nobody knows are dropped, and most where O_PATH is one."""
    known = flags & (PATH_FLAGS if (flags & O_PATH) != 0 else OPEN_FLAGS)
    error = check_flags(known)
    return error if error < 0 else open_at(directory, address, known, mode, 0)


@metal
def sys_open(address: u64, flags: u32, mode: u32) -> i64:
    """open(2)."""
    return sys_openat(AT_FDCWD, address, flags, mode)


@metal
def sys_creat(address: u64, mode: u32) -> i64:
    """creat(2)."""
    return sys_openat(AT_FDCWD, address, O_CREAT | O_WRONLY | O_TRUNC, mode)


@struct
class OpenHow:
    """struct open_how."""

    flags: u64
    mode: u64
    resolve: u64


RESOLVE_KNOWN = 0x3F


@metal
def sys_openat2(directory: i32, address: u64, how_address: u64, size: u64) -> i64:
    """openat2(2). Every walk is one of the cache's, as RESOLVE_CACHED wants it; but it makes nothing."""
    how = OpenHow()
    if size < sizeof(OpenHow):
        return -EINVAL
    if size > 4096:
        return -E2BIG
    if user.get_struct(how, how_address) < 0:
        return -EFAULT
    for offset in range(u64(sizeof(OpenHow)), size):
        byte, error = user.get(u8, how_address + offset)
        if error < 0:
            return error
        if byte != 0:
            return -E2BIG
    if (how.flags & ~OPEN_FLAGS) != 0 or (how.resolve & ~RESOLVE_KNOWN) != 0:
        return -EINVAL
    flags = u32(how.flags)
    makes = (flags & (O_CREAT | O_TMPFILE_BIT)) != 0
    if (how.mode & ~MODE_BITS) != 0 or (how.mode != 0 and not makes):
        return -EINVAL
    if (flags & O_PATH) != 0 and (flags & ~PATH_FLAGS) != 0:
        return -EINVAL
    error = check_flags(flags)
    if error < 0:
        return error
    scoped: u32 = RESOLVE_BENEATH | RESOLVE_IN_ROOT
    resolve = u32(how.resolve)
    if (resolve & scoped) == scoped:
        return -EINVAL
    if (resolve & RESOLVE_CACHED) != 0 and (flags & (O_TRUNC | O_CREAT | O_TMPFILE_BIT)) != 0:
        return -EAGAIN
    return open_at(directory, address, flags, u32(how.mode), resolve)


PLACE = constant(Operations, {"attributes": attributes_by_entry})
