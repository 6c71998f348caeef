"""Where trees meet: from what is covered to the top of the tree that stands there, and from a top to what it covers.

A mounted tree's top has no name and no parent; its tree says what entry it covers (Linux:
struct mount, mnt_mountpoint).
"""

from goanna.kernel.file.tree import Entry, Tree, entries_lock
from goanna.metal import Ptr, metal

__all__ = ["cross", "is_top", "lowest", "same_place", "topmost"]


@metal
def same_place(a: Entry, b: Entry) -> bool:
    """Whether two entries are one, or show the same of one tree."""
    return a is b or (a.below is not None and a.below is b.below and a.tree is b.tree)


@metal
def is_top(entry: Entry) -> bool:
    """Whether an entry is the top of a tree that stands somewhere."""
    tree: Tree = entry.tree
    return tree.root is not None and entry.real() is tree.root.real()


@metal
def topmost(entry: Entry) -> Entry:
    """What is found where an entry is: the top of the last tree that was mounted there, or itself. With
    entries_lock."""
    at = entry
    while True:
        tree = at.real().over
        while tree is not None and tree.covered.tree is not at.tree:
            tree = tree.next_over
        if tree is None:
            return at
        at = tree.root


@metal
def cross(entry: Entry) -> Entry:
    """The same, with a reference; the entry's is used up."""
    if entry.real().over is None:
        return entry
    return cross_over(entry)


@metal(inline=False)
def cross_over(entry: Entry) -> Entry:
    """The same of an entry over which trees stand, be it in another view."""
    with entries_lock:
        top = topmost(entry)
        top.hold()
    entry.drop()
    return top


@metal
def lowest(entry: Entry) -> Entry:
    """The entry itself, or what the tree covers whose top it is, and so on: an entry that has a parent, or the top of
    all. With entries_lock."""
    at = entry
    while is_top(at):
        covered: Ptr[Entry] = at.tree.covered
        if covered is None:
            break
        at = covered
    return at
