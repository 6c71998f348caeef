"""Where a process stands in the file tree: its root and its working directory (struct fs_struct)."""

from goanna.kernel.arch import virtual
from goanna.kernel.base.errno import EACCES, EBADF, EFAULT, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM, ERANGE, EXDEV
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.descriptors import get_file
from goanna.kernel.file.flags import AT_FDCWD, PATH_MAX
from goanna.kernel.file.mount import mounts_mutex
from goanna.kernel.file.mount_space import Space, copy_space, counterpart, drop_space, first_space
from goanna.kernel.file.permission import SEARCH, entry_permitted
from goanna.kernel.file.shown import path_of
from goanna.kernel.file.tree import DEAD, Entry, root_entry
from goanna.kernel.file.walk import RESOLVE_BENEATH, RESOLVE_IN_ROOT, Path
from goanna.kernel.identity.credentials import CAP_SYS_CHROOT, capable
from goanna.kernel.memory import user
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.pages import allocate, release
from goanna.kernel.thread.current import current
from goanna.metal import Atomic, Ptr, i32, i64, metal, struct, u8, u32, u64, unsafe


@struct
class Place:
    """Each entry is referenced."""

    references: Atomic[u64]
    lock: SpinLock  # protects all below
    root: Ptr[Entry]
    directory: Ptr[Entry]
    umask: u32  # permissions that new files don't get
    space: Ptr[Space]  # the mount namespace, referenced

    def get_root(self) -> Entry:
        """The root, with a reference."""
        with self.lock:
            self.root.hold()
            return self.root

    def get_directory(self) -> Entry:
        """The working directory, with a reference."""
        with self.lock:
            self.directory.hold()
            return self.directory

    def set_directory(self, entry: Entry) -> None:
        """Stand elsewhere. The caller's reference is used up."""
        with self.lock:
            old = self.directory
            self.directory = entry
        old.drop()

    def set_root(self, entry: Entry) -> None:
        """Take another root. The caller's reference is used up."""
        with self.lock:
            old = self.root
            self.root = entry
        old.drop()


places = Cache(Place)
UNREACHABLE = b"(unreachable)"


@metal
def create_place() -> Ptr[Place]:
    """A place at the machine's root, with one reference, or None."""
    place = places.allocate()
    if place is not None:
        place.references.store(1)
        root_entry.hold()
        place.umask = 0o022
        first_space.references.add(1)
        place.space = first_space
        place.root = root_entry
        root_entry.hold()
        place.directory = root_entry
    return place


@metal
def copy_place(source: Place) -> Ptr[Place]:
    """A place like another, with one reference, or None."""
    place = places.allocate()
    if place is not None:
        place.references.store(1)
        place.umask = source.umask
        place.root = source.get_root()
        place.directory = source.get_directory()
        source.space.references.add(1)
        place.space = source.space
    return place


@metal
def drop_place(place: Place) -> None:
    """One reference less; the last one lets go of the entries."""
    if place.references.sub(1) == 1:
        place.root.drop()
        place.directory.drop()
        drop_space(place.space)
        places.free(place)


@metal
def leave_space(place: Place) -> i64:
    """Take a copy of the mount namespace for a place that only the caller has. 0 or -ENOMEM."""
    with mounts_mutex:
        space, error = copy_space(place.space)
        if space is None:
            return error
        old = place.space
        place.space = space
        root = counterpart(place.root)
        directory = counterpart(place.directory)
        if root is not None:
            place.set_root(root)
        if directory is not None:
            place.set_directory(directory)
    drop_space(old)
    return 0 if root is not None and directory is not None else -ENOMEM


@metal
def my_place() -> Place:
    """Where the running thread stands."""
    return current().place


@metal
def start_of(directory: i32, path: Path) -> tuple[Ptr[Entry], i64]:
    """Where a path given with a directory's descriptor starts, with a reference. -EBADF; -ENOTDIR for a pipe, say."""
    if path.begin_at is not None:
        begin = path.begin_at
        path.begin_at = None
        return begin, 0
    if path.absolute() and (path.resolve & RESOLVE_IN_ROOT) == 0:
        return my_place().get_root(), 0
    if directory == AT_FDCWD:
        return my_place().get_directory(), 0
    description = get_file(directory)
    if description is None:
        return None, -EBADF
    entry = description.entry
    if entry is not None:
        entry.hold()
    description.drop()
    return entry, 0 if entry is not None else -ENOTDIR


@metal
def walk_from(directory: i32, path: Path, follow: bool) -> tuple[Ptr[Entry], i64]:
    """Walk a path that has been loaded. The entry, with a reference; or None and an errno, -ENOENT if it is empty."""
    if path.start == path.end:
        return None, -ENOENT
    scoped = (path.resolve & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) != 0
    if (path.resolve & RESOLVE_BENEATH) != 0 and path.absolute():
        return None, -EXDEV
    start, error = start_of(directory, path)
    if error < 0:
        return None, error
    root: Entry = start
    if scoped or path.absolute():
        root.hold()
    else:
        root = my_place().get_root()
    entry, error = path.walk(start, root, follow)
    root.drop()
    return entry, error


@metal
def entry_at(directory: i32, address: u64, follow: bool) -> tuple[Ptr[Entry], i64]:
    """The entry of a path in user memory, with a reference; or None and an errno."""
    path = Path()
    length = path.load(address)
    if length < 0:
        path.release()
        return None, length
    entry, error = walk_from(directory, path, follow)
    path.release()
    return entry, error


@metal
def change_directory(entry: Entry) -> i64:
    """Stand at an entry, whose reference is used up."""
    error = i64(0)
    if not entry.is_directory():
        error = -ENOTDIR
    elif not entry_permitted(entry, SEARCH):
        error = -EACCES
    if error < 0:
        entry.drop()
        return error
    my_place().set_directory(entry)
    return 0


@metal
def sys_chdir(address: u64) -> i64:
    """chdir(2)."""
    entry, error = entry_at(AT_FDCWD, address, True)
    if error < 0:
        return error
    return change_directory(entry)


@metal
def sys_fchdir(descriptor: i32) -> i64:
    """fchdir(2)."""
    description = get_file(descriptor)
    if description is None:
        return -EBADF
    entry = description.entry
    if entry is not None:
        entry.hold()
    description.drop()
    return -ENOTDIR if entry is None else change_directory(entry)


@metal
def sys_chroot(address: u64) -> i64:
    """chroot(2)."""
    entry, error = entry_at(AT_FDCWD, address, True)
    if error < 0:
        return error
    if not entry.is_directory():
        error = -ENOTDIR
    elif not entry_permitted(entry, SEARCH):
        error = -EACCES
    elif not capable(CAP_SYS_CHROOT):
        error = -EPERM
    if error < 0:
        entry.drop()
        return error
    my_place().set_root(entry)
    return 0


@metal
def sys_getcwd(address: u64, size: u64) -> i64:
    """getcwd(2): the length with the final zero."""
    page = allocate()
    if page == 0:
        return -ENOMEM
    buffer = unsafe.slice(u8, virtual(page), PATH_MAX)
    place = my_place()
    entry = place.get_directory()
    root = place.get_root()
    buffer[PATH_MAX - 1] = 0
    start, reached = path_of(entry, root, buffer[0 : PATH_MAX - 1])
    root.drop()
    directory_gone = entry.real().has(DEAD)
    entry.drop()
    if not reached and start >= len(UNREACHABLE):
        start -= len(UNREACHABLE)
        buffer[start : start + len(UNREACHABLE)] = UNREACHABLE
    length = PATH_MAX - start
    result = i64(length)
    if directory_gone:
        result = -ENOENT
    elif length == 1:
        result = -ENAMETOOLONG
    elif length > size:
        result = -ERANGE
    elif user.copy_out(address, buffer[start:PATH_MAX]) < 0:
        result = -EFAULT
    release(page)
    return result
