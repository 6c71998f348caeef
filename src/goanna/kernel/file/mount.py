"""The trees that stand: which there are and where, whether anybody is in one, and what becomes of one that is taken
away (Linux fs/namespace.c).

Trees come and go under one mutex. What is covered stays in its directory under its name, and so do those who are in it.
"""

from goanna.kernel.base.errno import ENOENT
from goanna.kernel.file.crossing import cross
from goanna.kernel.file.flags import S_IFDIR
from goanna.kernel.file.names import put_name
from goanna.kernel.file.node import Node, create_node
from goanna.kernel.file.tree import (
    NEGATIVE,
    PINNED,
    Entry,
    Tree,
    abandoned,
    child_of,
    detach,
    entries_lock,
    free_entry,
    known_names,
    long_names,
    new_entry,
    on_left,
    trees,
    unhash,
    unused_count,
    unused_entries,
)
from goanna.kernel.file.view import fill_view, view_of
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import Array, Ptr, Slice, i64, metal, static, u8, u32, u64

__all__ = [
    "first_tree",
    "in_use",
    "make_folder",
    "mount_at",
    "mount_top",
    "mounts_mutex",
    "move_tree",
    "new_view",
    "permanent_top",
    "set_source",
    "settle_rights",
    "stand",
    "take_away",
]

FOLDER_SIZE = 40  # bytes, of an empty directory in memory
PERMANENT = 4  # trees that are not of files: proc, sysfs, devtmpfs, devpts

mounts_mutex = static(Mutex)  # held while trees come and go, before any directory's
first_tree = static(Ptr[Tree])  # of all that stand, in the order in which they were mounted; entries_lock
last_id = static(u32)
first_abandoned = static(Ptr[Tree])  # of those in which somebody still is, by `next`; mounts_mutex
permanent = static(Array[Ptr[Entry], PERMANENT])  # their tops, which stay when they are mounted no more


@metal
def link(tree: Tree, covered: Ptr[Entry]) -> None:
    """Let a tree stand over an entry, whose reference is used up. With entries_lock."""
    tree.covered = covered
    if covered is not None:
        real = covered.real()
        tree.next_over = real.over
        real.over = tree


@metal
def unlink(tree: Tree) -> Ptr[Entry]:
    """Take a tree from where it stands: what it covered, whose reference is the caller's now. With entries_lock."""
    covered = tree.covered
    if covered is not None:
        real = covered.real()
        if real.over is tree:
            real.over = tree.next_over
        else:
            before = real.over
            while before.next_over is not tree:
                before = before.next_over
            before.next_over = tree.next_over
    tree.covered = None
    tree.next_over = None
    return covered


@metal
def stand(tree: Tree, root: Entry, covered: Ptr[Entry]) -> None:
    """Let a tree, by its top, stand over an entry; both references are used up. With mounts_mutex."""
    global first_tree, last_id
    last_id += 1
    with entries_lock:
        tree.root = root
        tree.id = last_id
        if covered is not None:
            tree.namespace = covered.tree.namespace
        tree.next = None
        link(tree, covered)
        if first_tree is None:
            first_tree = tree
        else:
            last = first_tree
            while last.next is not None:
                last = last.next
            last.next = tree


@metal
def move_tree(tree: Tree, covered: Ptr[Entry]) -> None:
    """Let a tree stand elsewhere, over an entry, whose reference is used up. With mounts_mutex."""
    with entries_lock:
        old = unlink(tree)
        link(tree, covered)
    if old is not None:
        old.drop()


@metal
def mount_top(root: Entry) -> None:
    """Let the first tree stand. At boot."""
    root.hold()
    stand(root.tree, root, None)


@metal
def mount_at(parent: Ptr[Entry], name: Slice[u8], tree: Tree, number: u64, node: Ptr[Node]) -> Ptr[Entry]:
    """Let a tree stand under a name in a directory, over what the directory has there; its top is a directory, of
    that number in its tree or with that node, whose reference is used up. The top, or None: memory is out. At boot."""
    if parent is None:
        return None
    point, error = child_of(parent, name)
    if point is not None:
        point = cross(point)
    elif error == -ENOENT:
        point = make_folder(parent, name)
    root = new_entry(tree, b"")
    if point is None or root is None:
        return None
    root.number = number
    root.node = node
    root.mode = S_IFDIR | 0o555
    if node is not None:
        root.mode = node.mode
    else:
        root.hold()
        index: u64 = 0
        while permanent[index] is not None:
            index += 1
        permanent[index] = root
    stand(tree, root, point)
    return root


@metal
def permanent_top(label: Slice[u8]) -> Ptr[Entry]:
    """The top of a tree that is not of files, by its kind, or None."""
    for index in range(u64(PERMANENT)):
        top = permanent[index]
        if top is not None and top.tree.label[0 : len(label)] == label and top.tree.label[len(label)] == 0:
            return top
    return None


@metal
def make_folder(parent: Entry, name: Slice[u8]) -> Ptr[Entry]:
    """Make a directory of root's in a tree in memory: with a reference. Or None: it is no such tree, or memory is out.
    At boot."""
    if parent.node is None or parent.tree.elsewhere is not None or not parent.is_directory():
        return None
    child = new_entry(parent.tree, name)
    if child is None:
        return None
    child.node = create_node(S_IFDIR | 0o755, 0, 0)
    if child.node is None:
        child.drop()
        return None
    child.mode = S_IFDIR | 0o755
    child.node.links = 2
    child.node.size = FOLDER_SIZE
    put_name(parent, child)
    return child


@metal
def new_view(shown: Entry) -> Ptr[Tree]:
    """A tree that shows what is below an entry that is no view's, with its top; it stands nowhere yet. None: memory is
    out."""
    tree = trees.allocate()
    if tree is None:
        return None
    fill_view(tree, shown.tree)
    shown.hold()
    tree.root = view_of(tree, shown)
    if tree.root is None:
        trees.free(tree)
        return None
    tree.made = True
    tree.users.store(1)
    return tree


@metal
def set_source(tree: Tree, text: Slice[u8]) -> None:
    """Say what a tree was mounted from: 255 bytes of it, or nothing if memory is out."""
    if tree.source is None:
        tree.source = long_names.allocate()
    if tree.source is not None:
        count = min(len(text), u64(len(tree.source.bytes) - 1))
        tree.source.bytes[0:count] = text[0:count]
        tree.source.bytes[count] = 0


@metal
def settle_rights(flags: u32, tree: Tree) -> None:
    """Give a mount its flags: whether names and files can be changed by it follows from them and its file system."""
    tree.flags = flags
    tree.read_only = (flags & 1) != 0 or tree.root.real().tree.frozen


@metal
def in_use(tree: Tree, held: u32) -> bool:
    """Whether anybody is in a tree. `held`: how many references to its top don't count, its mount's among them; nor do
    views of it.

    Whoever is in a tree has a reference to an entry of it. Those of a tree that is no view are counted: what is left
    of all when those that entries have to their directories, and directories to pinned entries, are taken away.
    """
    top: Entry = tree.root
    if top.below is not None:
        return tree.users.load() > 1 or top.references.load() > held
    with entries_lock:
        total = i64(top.references.load()) - i64(held) - i64(tree.views.load())
        for index in range(known_names.buckets()):
            entry = known_names.bucket_at(index).head()
            while entry is not None:
                if entry.tree is tree:
                    total += i64(entry.references.load()) - (2 if entry.has(PINNED) else 1)
                entry = known_names.after(entry)
        return total > 0


@metal
def take_away(tree: Tree) -> None:
    """Let a tree stand no longer, but for those who are in it. With mounts_mutex."""
    global first_tree, first_abandoned, abandoned
    with entries_lock:
        covered = unlink(tree)
        if first_tree is tree:
            first_tree = tree.next
        else:
            before = first_tree
            while before.next is not tree:
                before = before.next
            before.next = tree.next
        tree.next = None
    if covered is not None:
        covered.drop()
    top: Entry = tree.root
    if top.below is not None or top.node is None or tree.elsewhere is not None:
        top.drop()
    else:
        tree.next = first_abandoned
        first_abandoned = tree
        abandoned += 1
    end_abandoned()


@metal
def end_abandoned() -> None:
    """Free the files of abandoned trees in which nobody is any more. With mounts_mutex."""
    global first_abandoned, abandoned
    before: Ptr[Tree] = None
    each = first_abandoned
    while each is not None:
        following = each.next
        if each.views.load() == 0 and not in_use(each, 1):
            if before is None:
                first_abandoned = following
            else:
                before.next = following
            abandoned -= 1
            top: Entry = each.root
            forget_names(each)
            empty(top)
            with entries_lock:
                each.root = None
            top.drop()
        else:
            before = each
        each = following


@on_left.set
@metal
def look_again() -> None:
    """Somebody left an abandoned tree, maybe."""
    with mounts_mutex:
        end_abandoned()


@metal
def forget_names(tree: Tree) -> None:
    """Free the entries of a tree that are kept though nobody refers to them."""
    global unused_count
    while True:
        with entries_lock:
            entry = unused_entries.head()
            while entry is not None and entry.tree is not tree:
                entry = unused_entries.after(entry)
            if entry is not None:
                unused_entries.remove(entry)
                unused_count -= 1
                unhash(entry)
        if entry is None:
            return
        above = free_entry(entry)
        if above is not None:
            above.drop()


@metal
def empty(top: Entry) -> None:
    """Take all names out of a tree in which nobody is."""
    at = top
    while True:
        with entries_lock:
            child = at.children.first()
            if child is not None:
                detach(child)
        if child is not None and child.is_directory() and not child.has(NEGATIVE):
            at = child
        elif child is not None:
            child.drop()
        elif at is top:
            return
        else:
            emptied = at
            at = at.parent
            emptied.drop()
