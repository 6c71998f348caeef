"""The file tree as paths see it: entries, each a name in a directory, over trees that know what lies behind the names.

An Entry lives while something refers to it (an open file, a working directory, an entry below it). While it lives there
is only one for each name, so that two who hold the same place hold the same entry. Where a tree's files are in memory,
the entries are the directories: one that says what no image says is pinned until its name is removed. A name that the
image has and the tree no longer has is a pinned entry too, a negative one.
"""

from goanna.kernel.arch import virtual
from goanna.kernel.base.errno import ENAMETOOLONG, ENOENT, ENOMEM
from goanna.kernel.base.hash_table import HashTable, hash_bytes
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.base.tree import Node as TreeNode
from goanna.kernel.base.tree import Tree as OrderedTree
from goanna.kernel.file.attributes import Attributes, Change, Space
from goanna.kernel.file.description import Description, on_entry_release
from goanna.kernel.file.elsewhere import Elsewhere
from goanna.kernel.file.events import IN_ISDIR, tell_in, tell_of, watched
from goanna.kernel.file.flags import NAME_MAX, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, ST_NOATIME, ST_STRICTATIME
from goanna.kernel.file.node import Budget, Node, drop_budget
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import (
    RELAXED,
    Array,
    Atomic,
    Fn,
    Ptr,
    Slice,
    hook,
    i64,
    metal,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
)


@struct
class Tree:
    """What one tree can do, and where it stands: a file system as it is mounted at one place (mount.py), or a view of
    another (view.py). Functions may sleep. Those that change names have `names` held."""

    # Find a name in a directory: number, mode, user and group of `child` filled in, or its node. 0, -ENOENT or another
    # errno.
    lookup: Fn[["Entry", Slice[u8], "Entry"], i64]
    attributes: Fn[["Entry", Attributes], i64]
    read_link: Fn[["Entry", Slice[u8]], i64]  # the text of a symbolic link: its length, cut to fit, or an errno
    forget: Fn[["Entry"], None]  # the entry is freed; None: nothing hangs on it
    # Where a link leads that is no text to be walked, with a reference; None: walk the text. None: there are none such.
    jump: Fn[["Entry"], Ptr["Entry"]]
    open: Fn[["Entry", u32], tuple[Ptr[Description], i64]]  # a description without its entry, or None and an errno
    space: Fn[["Entry", Space], i64]  # statfs of a file: 0 or an errno; None: nothing is stored
    # Fill in the node of a new entry, which is not in its directory yet: a file, directory, pipe or device by
    # child.mode, or a symbolic link with its text. None: no names can be made here.
    create: Fn[["Entry", "Entry", u64, Slice[u8]], i64]
    empty: Fn[["Entry"], i64]  # whether a directory may be removed: 0, -ENOTEMPTY
    change: Fn[["Entry", Change], i64]  # chmod, chown, utimensat, truncate: 0 or an errno. None: -EPERM
    elsewhere: Ptr[Elsewhere]  # what else can be done where others have the names too; None: they are all here
    names: Ptr[Mutex]  # held while names are made, removed or moved; None: names_mutex
    label: Array[u8, 16]  # what /proc/mounts calls its kind
    magic: u64  # statfs: f_type
    device: u64  # st_dev
    read_only: bool  # changes answer EROFS
    cached: bool  # entries that nobody refers to are kept for a while
    pathless: bool  # no path leads here: what is opened has no entry
    made: bool  # at run time: it goes with its last entry
    frozen: bool  # the file system can't be written to, wherever it stands
    unbindable: bool  # MS_UNBINDABLE
    expiring: bool  # MNT_EXPIRE was asked for, and it has not been looked at since
    # How and where it stands; entries_lock protects what links it to others.
    flags: u32  # ST_ bits of the mount
    id: u32  # as mountinfo numbers it; 0: it has not been mounted
    root: Ptr["Entry"]  # its top, referenced while it stands; None: nothing can stand here
    covered: Ptr["Entry"]  # where it stands, referenced; None: over nothing
    next_over: Ptr["Tree"]  # the next that stands over the same file
    next: Ptr["Tree"]  # the next of all that stand
    copied: Ptr["Tree"]  # its copy, while trees are copied with what is below
    namespace: u64  # the number of its mount namespace
    users: Atomic[u32]  # entries, if it was made at run time
    views: Atomic[u32]  # entries of views of it
    writers: Atomic[u32]  # descriptions open for writing that were opened by it
    budget: Ptr[Budget]  # what its files may take; None: what all may
    source: Ptr["LongName"]  # what it was mounted from; None: its label


PINNED = 1  # one reference more keeps the entry: nothing below it says what it says
NEGATIVE = 2  # there is no such name, though the image has one
COVERS = 4  # the image has the name in this directory
DEAD = 8  # the name is gone: removed, or another file was renamed to it
LINKABLE = 16  # made without a name, it may get one
INLINE_NAME = 40


@struct
class LongName:
    """A name that does not fit into its entry."""

    bytes: Array[u8, NAME_MAX + 1]


@struct
class Entry:
    """One name. entries_lock protects what places it: links, parent, flags, name, children.

    A file with a node is described by the node; of mode, user and group only the type bits of mode count then. What a
    view shows (view.py) has no place of its own: only what says what it is counts, the rest is `below`'s.
    """

    references: Atomic[u32]
    hash: u32
    link: Link  # the table of names
    unused: Link  # the list of entries that nobody refers to
    parent: Ptr["Entry"]  # referenced; None: the root, or what never had a name
    tree: Ptr[Tree]
    node: Ptr[Node]  # referenced
    number: u64  # the file, as a tree without nodes numbers it
    mode: u32
    user: u32
    group: u32
    flags: u32
    children: "Children"  # the pinned entries of this directory, by cookie
    last_cookie: u64
    order: TreeNode  # among the parent's children
    cookie: u64  # the position at which getdents64 gives it
    over: Ptr[Tree]  # the first of the trees that stand here; entries_lock
    below: Ptr["Entry"]  # what a view shows, referenced; None: the file is of this tree
    length: u32  # of the name, bytes
    name: Array[u8, INLINE_NAME]
    long: Ptr[LongName]

    def text(self) -> Slice[u8]:
        """The name; empty for the root."""
        if self.long is not None:
            return self.long.bytes[0 : u64(self.length)]
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

    def has(self, flag: u32) -> bool:
        """Whether a flag is set."""
        return (self.flags & flag) != 0

    def owner(self) -> u32:
        """The user that the file belongs to."""
        return self.user if self.node is None else self.node.user

    def owner_group(self) -> u32:
        """The group that the file belongs to."""
        return self.group if self.node is None else self.node.group

    def permissions(self) -> u32:
        """The mode, type included."""
        return self.mode if self.node is None else self.node.mode

    def real(self) -> "Entry":
        """Itself, or what it shows."""
        return self if self.below is None else self.below

    def hold(self) -> None:
        """One reference more. The caller has one, or holds entries_lock."""
        self.references.add(1)

    def drop(self) -> None:
        """One reference less; the last one frees the entry, or leaves it to be found again, and lets go of its
        parent. May sleep."""
        count = self.references.load(order=RELAXED)
        while count > 1:
            count, done = self.references.compare_exchange(count, count - 1)
            if done:
                return
        entry: Ptr[Entry] = self
        while entry is not None:
            entry = leave(entry)
            if entry is not None:
                entry = free_entry(entry)


Children = OrderedTree(Entry, "order", "cookie")
entries = Cache(Entry)
long_names = Cache(LongName)
UNUSED_MOST = 4096  # entries kept that nobody refers to
FIRST_COOKIE = 2  # . and .. are before

names_mutex = static(Mutex)  # held while names are made, removed or moved
# Protects the places of entries, and the steps of an entry's references from 1 to 0 and back.
entries_lock = static(SpinLock)
NameTable = HashTable(Entry, "link", "hash")
UnusedList = List(Entry, "unused")
known_names = static(NameTable)  # the entries that can be found; entries_lock
unused_entries = static(UnusedList)  # the one that was used last is at the end
unused_count = static(u64)
trees = Cache(Tree)
abandoned = static(u64)  # trees that are mounted no more and yet in use; changed by mount.py
# Somebody who may have been the last in an abandoned tree has left it (set by mount.py).
on_left = hook(Fn[[], None])
root_entry = static(Entry, {"references": 1, "mode": S_IFDIR | 0o755})


@metal(inline=False)
def hash_of(parent: Entry, name: Slice[u8]) -> u32:
    """The hash of a name in a directory."""
    return hash_bytes(unsafe.address(parent) >> 4, name)


@metal
def make_findable(parent: Entry, child: Entry) -> None:
    """Put an entry, which is nowhere and has its hash, below a directory. With entries_lock."""
    parent.hold()
    child.parent = parent
    known_names.insert(child)
    if known_names.wants_room():
        page = pages.allocate_zeroed()
        if page != 0:
            known_names.extend(virtual(page))


@metal
def leave(entry: Entry) -> Ptr[Entry]:
    """Drop a reference. An entry that is to be freed, which nobody can find any more, or None."""
    global unused_count
    with entries_lock:
        if entry.references.sub(1) != 1:
            return None
        if not entry.link.linked():
            return entry
        if not entry.tree.cached:
            unhash(entry)
            return entry
        unused_entries.append(entry)
        unused_count += 1
        if unused_count <= UNUSED_MOST:
            return None
        oldest = unused_entries.pop()
        unused_count -= 1
        unhash(oldest)
        return oldest


@metal
def unhash(entry: Entry) -> None:
    """Let nobody find an entry any more. With entries_lock."""
    if entry.link.linked():
        known_names.remove(entry)


@metal
def free_entry(entry: Entry) -> Ptr[Entry]:
    """Free an entry that nobody can find or refers to: its parent, or what it showed, whose reference is the caller's
    now."""
    above = entry.parent
    tree: Tree = entry.tree
    if tree.forget is not None:
        tree.forget(entry)
    if entry.below is not None:
        above = entry.below
        above.tree.views.sub(1)
    if entry.node is not None:
        entry.node.drop()
    if entry.long is not None:
        long_names.free(entry.long)
    entries.free(entry)
    if tree.made and tree.users.sub(1) == 1:
        free_tree(tree)
    return above


@metal(cold=True)
def free_tree(tree: Tree) -> None:
    """Free a tree that was made at run time and has no entries any more."""
    drop_budget(tree.budget)
    if tree.source is not None:
        long_names.free(tree.source)
    trees.free(tree)


@metal
def find_entry(parent: Entry, name: Slice[u8], hash: u32) -> Ptr[Entry]:
    """The entry of that name, or None. With entries_lock."""
    entry = known_names.head(hash)
    while entry is not None:
        if entry.hash == hash and entry.parent is parent and entry.text() == name:
            return entry
        entry = known_names.after(entry)
    return None


@metal
def take(entry: Entry) -> None:
    """A reference to an entry that was found. With entries_lock."""
    global unused_count
    if entry.references.add(1) == 0:
        unused_entries.remove(entry)
        unused_count -= 1


@metal
def child_of(parent: Entry, name: Slice[u8]) -> tuple[Ptr[Entry], i64]:
    """The entry of a name in a directory, with a reference; or None and -ENOENT, -ENOMEM or what the tree says."""
    if len(name) > NAME_MAX:
        return None, -ENAMETOOLONG
    if parent.tree.elsewhere is not None:
        return parent.tree.elsewhere.find(parent, name)
    hash = hash_of(parent, name)
    with entries_lock:
        found = find_entry(parent, name, hash)
        if found is not None:
            if found.has(NEGATIVE):
                return None, -ENOENT
            take(found)
            return found, 0
        if parent.has(DEAD):
            return None, -ENOENT
    if parent.node is not None and parent.node.image is None:
        return None, -ENOENT
    child = new_entry(parent.tree, name)
    if child is None:
        return None, -ENOMEM
    child.hash = hash
    error = parent.tree.lookup(parent, name, child)
    if error == 0:
        return settle(parent, child)
    free_entry(child)
    return None, error


@metal
def settle(parent: Entry, child: Entry) -> tuple[Ptr[Entry], i64]:
    """Make a new entry, with its hash, findable; or give it up for one that another thread was quicker to make, or for
    -ENOENT if there no longer is such a name."""
    if publish(parent, child) != 0:
        return child, 0
    error: i64 = 0
    with entries_lock:
        found = find_entry(parent, child.text(), child.hash)
        if found is not None and not found.has(NEGATIVE):
            take(found)
        else:
            found = None
            error = -ENOENT
    free_entry(child)
    return found, error


@metal
def names_of(tree: Tree) -> Mutex:
    """What is held while names are made, removed or moved in a tree."""
    return names_mutex if tree.names is None else tree.names


@metal
def publish(parent: Entry, child: Entry) -> i64:
    """Make a new entry findable: 1. 0: another thread made one, or a decision that there is none, before."""
    with entries_lock:
        if parent.has(DEAD) or find_entry(parent, child.text(), child.hash) is not None:
            return 0
        make_findable(parent, child)
        return 1


@metal
def new_entry(tree: Tree, name: Slice[u8]) -> Ptr[Entry]:
    """An entry with a name and one reference that is nowhere yet, or None: memory is out."""
    entry = entries.allocate()
    if entry is None:
        return None
    if not set_name(entry, name):
        entries.free(entry)
        return None
    entry.references.store(1)
    entry.tree = tree
    if tree.made:
        tree.users.add(1)
    return entry


@metal
def set_name(entry: Entry, name: Slice[u8]) -> bool:
    """Write the name of an entry that is nowhere. False: memory is out."""
    entry.length = u32(len(name))
    if len(name) <= INLINE_NAME:
        entry.name[0 : len(name)] = name
        return True
    entry.long = long_names.allocate()
    if entry.long is None:
        return False
    entry.long.bytes[0 : len(name)] = name
    return True


@metal
def attach(parent: Entry, child: Entry) -> None:
    """Put an entry, which is nowhere, into a directory under its name, pinned. With entries_lock. What stands there
    in the name of nothing goes; nothing else stands there."""
    child.hash = hash_of(parent, child.text())
    make_findable(parent, child)
    pin(child)


@metal
def pin(entry: Entry) -> None:
    """Keep an entry, in the list of its directory. With entries_lock; the caller has a reference."""
    if entry.has(PINNED):
        return
    entry.flags |= PINNED
    entry.hold()
    parent: Entry = entry.parent
    parent.last_cookie = max(parent.last_cookie, FIRST_COOKIE - 1) + 1
    entry.cookie = parent.last_cookie
    parent.children.insert(entry)


@metal
def detach(entry: Entry) -> bool:
    """Take an entry out of its directory: nobody finds it any more. With entries_lock. Whether the caller now has
    the reference that pinned it."""
    unhash(entry)
    entry.flags |= DEAD
    if not entry.has(PINNED):
        return False
    entry.parent.children.remove(entry)
    entry.flags &= ~u32(PINNED)
    return True


@metal
def own(entry: Entry) -> None:
    """What the image says of a file is no longer all: keep the entry. The caller has a reference."""
    kept = entry.real()
    if kept.has(PINNED) or kept.parent is None or kept.tree.elsewhere is not None:
        return
    with entries_lock:
        if not kept.has(DEAD):
            pin(kept)


@metal
def parent_of(entry: Entry) -> Entry:
    """The directory above in the same tree, with a reference; of its top, itself. Not of what a view shows."""
    with entries_lock:
        above: Entry = entry if entry.parent is None else entry.parent
        above.hold()
        return above


@metal
def tell_both(entry: Entry, mask: u32) -> None:
    """Something happened to a file: who watches it, or the directory that it is in, hears of it."""
    if not watched():
        return
    told = entry.real()
    marked: u32 = mask | IN_ISDIR if told.is_directory() else mask
    if told.parent is not None and not told.has(DEAD):
        above = parent_of(told)
        tell_in(above.node, marked, 0, told.text())
        above.drop()
    tell_of(told.node, marked)


@metal(inline=False)
def touch(entry: Entry) -> None:
    """A file was read: noted as its mount says."""
    node = entry.node
    flags = entry.tree.flags
    if node is not None and node.image is None and node.remote == 0 and (flags & ST_NOATIME) == 0:
        node.accessed((flags & ST_STRICTATIME) != 0)


@on_entry_release.set
@metal
def release_entry(entry: Ptr[Entry], writable: bool) -> None:
    """A description gives back the entry it was opened by."""
    if writable and not entry.tree.pathless and entry.kind() == S_IFREG:
        entry.tree.writers.sub(1)
    entry.drop()
    if abandoned != 0:
        on_left()


@metal
def attributes_by_entry(description: Description, attributes: Attributes) -> i64:
    """fstat of what was opened by a path: what stat of that path tells."""
    return description.entry.tree.attributes(description.entry, attributes)
