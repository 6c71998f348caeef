"""The file tree as paths see it: entries, each a name in a directory, over trees that know what lies behind the names.

An Entry lives while something refers to it (an open file, a working directory, an entry below it). While it lives there
is only one for each name, so that two who hold the same place hold the same entry.
"""

from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description, on_entry_release
from goanna.kernel.file.flags import NAME_MAX, S_IFDIR, S_IFLNK, S_IFMT
from goanna.kernel.identity.credentials import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, capable, in_group, mine
from goanna.kernel.memory.objects import Cache
from goanna.metal import (
    Array,
    Atomic,
    Fn,
    Ptr,
    Slice,
    i64,
    metal,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
    wrapping,
)

BUCKETS = 64


@struct
class Tree:
    """What one kind of tree can do. Functions may sleep."""

    # Find a name in a directory: number, mode, user and group of `child` filled in. 0, -ENOENT or another errno.
    lookup: Fn[["Entry", Slice[u8], "Entry"], i64]
    attributes: Fn[["Entry", Attributes], i64]
    read_link: Fn[["Entry", Slice[u8]], i64]  # the text of a symbolic link: its length, cut to fit, or an errno
    forget: Fn[["Entry"], None]  # the entry is freed; None: nothing hangs on it
    # Where a link leads that is no text to be walked, with a reference; None: walk the text. None: there are none such.
    jump: Fn[["Entry"], Ptr["Entry"]]
    open: Fn[["Entry", u32], tuple[Ptr[Description], i64]]  # a description without its entry, or None and an errno
    size: Fn[[], u64]  # statfs: bytes in all; None: nothing is stored
    magic: u64  # statfs: f_type
    device: u64  # st_dev
    read_only: bool  # changes answer EROFS


@struct
class Entry:
    """One name. What it says of the file is what the tree said when it was looked up."""

    references: Atomic[u32]
    link: Link  # the bucket; entries_lock
    parent: Ptr["Entry"]  # referenced; None: the root
    tree: Ptr[Tree]
    number: u64  # the file, as the tree numbers it
    mode: u32
    user: u32
    group: u32
    length: u32  # of the name, bytes
    name: Array[u8, NAME_MAX + 1]

    def text(self) -> Slice[u8]:
        """The name; empty for the root."""
        return self.name[0 : u64(self.length)]

    def kind(self) -> u32:
        """The type bits of the mode."""
        return self.mode & S_IFMT

    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.kind() == S_IFDIR

    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.kind() == S_IFLNK

    def hold(self) -> None:
        """One reference more. The caller has one, or holds entries_lock."""
        self.references.add(1)

    def drop(self) -> None:
        """One reference less; the last one frees the entry and lets go of its parent."""
        entry: Ptr[Entry] = self
        while entry is not None:
            if not leave(entry):
                return
            parent = entry.parent
            if entry.tree.forget is not None:
                entry.tree.forget(entry)
            entries.free(entry)
            entry = parent


entries = Cache(Entry)
entries_lock = static(SpinLock)  # protects the buckets, and the step of an entry's references from 1 to 0
Bucket = List(Entry, "link")
buckets = static(Array[Bucket, BUCKETS])
root_entry = static(Entry, {"references": 1, "mode": S_IFDIR | 0o755})


@metal
def bucket_of(parent: Entry, name: Slice[u8]) -> Bucket:
    """Where the entry of that name is kept."""
    value = unsafe.address(parent) >> 6
    for byte in name:
        value = wrapping(value * 31 + u64(byte))
    return buckets[value % BUCKETS]


@metal
def leave(entry: Entry) -> bool:
    """Drop a reference; True: it was the last, and nobody can find the entry any more."""
    with entries_lock:
        if entry.references.sub(1) != 1:
            return False
        if entry.parent is not None:
            bucket_of(entry.parent, entry.text()).remove(entry)
        return True


@metal
def find_entry(parent: Entry, name: Slice[u8]) -> Ptr[Entry]:
    """The living entry of that name, or None. With entries_lock."""
    bucket = bucket_of(parent, name)
    entry = bucket.head()
    while entry is not None:
        if entry.parent is parent and entry.text() == name:
            return entry
        entry = bucket.after(entry)
    return None


@metal
def find_living(parent: Entry, name: Slice[u8]) -> Ptr[Entry]:
    """The same with a reference for the caller."""
    with entries_lock:
        found = find_entry(parent, name)
        if found is not None:
            found.hold()
        return found


@metal
def child_of(parent: Entry, name: Slice[u8]) -> tuple[Ptr[Entry], i64]:
    """The entry of a name in a directory, with a reference; or None and -ENOENT, -ENOMEM or what the tree says."""
    living = find_living(parent, name)
    if living is not None:
        return living, 0
    child = entries.allocate()
    if child is None:
        return None, -ENOMEM
    child.references.store(1)
    child.tree = parent.tree
    child.length = u32(len(name))
    child.name[0 : len(name)] = name
    error = i64(0)
    if not (parent.parent is None and find_mount(name, child)):
        error = parent.tree.lookup(parent, name, child)
    if error < 0:
        entries.free(child)
        return None, error
    return publish(parent, name, child), 0


@metal
def publish(parent: Entry, name: Slice[u8], child: Entry) -> Entry:
    """Make a new entry findable, or take the one that another thread was quicker to make."""
    with entries_lock:
        found = find_entry(parent, name)
        if found is None:
            parent.hold()
            child.parent = parent
            bucket_of(parent, name).append(child)
            return child
        found.hold()
    entries.free(child)
    return found


@struct
class Mount:
    """A tree that stands in the root directory under a name."""

    name: Array[u8, 16]
    length: u64
    tree: Ptr[Tree]
    number: u64  # its top directory

    def text(self) -> Slice[u8]:
        """The name."""
        return self.name[0 : self.length]


MAXIMUM_MOUNTS = 8
mounts = static(Array[Mount, MAXIMUM_MOUNTS])  # filled at boot, constant afterwards
mount_count = static(u64)


@metal
def add_mount(name: Slice[u8], tree: Tree, number: u64) -> None:
    """Put a tree into the root directory. At boot."""
    global mount_count
    mount = mounts[mount_count]
    mount.name[0 : len(name)] = name
    mount.length = len(name)
    mount.tree = tree
    mount.number = number
    mount_count += 1


@metal
def find_mount(name: Slice[u8], child: Entry) -> bool:
    """Whether a tree stands under that name in the root; `child` then is its top."""
    for index in range(mount_count):
        mount = mounts[index]
        if mount.text() == name:
            child.tree = mount.tree
            child.number = mount.number
            child.mode = S_IFDIR | 0o555
            return True
    return False


READ = 4
WRITE = 2
SEARCH = 1  # and execute


@metal
def permitted(mode: u32, user: u32, group: u32, wanted: u32) -> bool:
    """Whether the running process may do to a file what the bits of `wanted` say (Linux generic_permission)."""
    me = mine()
    granted = mode
    if me.file_user == user:
        granted = mode >> 6
    elif in_group(group):
        granted = mode >> 3
    if (wanted & ~granted & 7) == 0:
        return True
    if (mode & S_IFMT) == S_IFDIR:
        if capable(CAP_DAC_OVERRIDE):
            return True
        return (wanted & WRITE) == 0 and capable(CAP_DAC_READ_SEARCH)
    if wanted == READ and capable(CAP_DAC_READ_SEARCH):
        return True
    if (wanted & SEARCH) != 0 and (mode & 0o111) == 0:
        return False
    return capable(CAP_DAC_OVERRIDE)


@metal
def entry_permitted(entry: Entry, wanted: u32) -> bool:
    """The same for an entry."""
    return permitted(entry.mode, entry.user, entry.group, wanted)


@metal
def path_of(entry: Entry, root: Entry, buffer: Slice[u8]) -> u64:
    """Write the path from `root` down to the end of `buffer`: where it begins there; len(buffer) if it does not fit."""
    start = len(buffer)
    at = entry
    while at is not root and at.parent is not None:
        length = u64(at.length)
        if start < length + 1:
            return len(buffer)
        buffer[start - length : start] = at.text()
        start -= length + 1
        buffer[start] = 0x2F
        at = at.parent
    if start == len(buffer) and start != 0:
        start -= 1
        buffer[start] = 0x2F
    return start


@metal
def release_entry(entry: Ptr[Entry]) -> None:
    """A description gives back the entry it was opened by."""
    entry.drop()


on_entry_release.set(release_entry)


@metal
def attributes_by_entry(description: Description, attributes: Attributes) -> i64:
    """fstat of what was opened by a path: what stat of that path tells."""
    return description.entry.tree.attributes(description.entry, attributes)
