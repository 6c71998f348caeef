"""Bind mounts with all that stands below: each tree is shown once more, where the copy shows what it covers."""

from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.file.mount import first_tree, new_view, set_source, settle_rights, stand
from goanna.kernel.file.tree import Entry, Tree
from goanna.kernel.file.view import view_of
from goanna.metal import Ptr, i64, metal

__all__ = ["copy_below", "last_tree", "lies_below"]


@metal
def lies_below(tree: Tree, upper: Tree) -> bool:
    """Whether a tree stands somewhere in another, or in one that does. With mounts_mutex."""
    covered = tree.covered
    while covered is not None:
        if covered.tree is upper:
            return True
        covered = covered.tree.covered
    return False


@metal
def is_below(entry: Entry, upper: Entry) -> bool:
    """Whether one entry that is no view's is, or lies below, another."""
    at: Ptr[Entry] = entry
    while at is not None and at is not upper:
        at = at.parent
    return at is not None


@metal
def last_tree() -> Tree:
    """The tree that was mounted last. With mounts_mutex."""
    each: Tree = first_tree
    while each.next is not None:
        each = each.next
    return each


@metal
def copy_below(source: Entry, made: Tree, last: Tree, all: bool) -> i64:
    """Let what stands below `source` stand below the top of `made`, which shows `source`, too. `last`: the last tree
    that stood before `made`; `all`: unbindable ones too. With mounts_mutex. 0 or -ENOMEM; what could not be copied is
    missing then."""
    each = first_tree
    while each is not None:
        each.copied = None
        each = each.next
    source.tree.copied = made
    error: i64 = 0
    again = True
    while again and error == 0:
        again = False
        each = first_tree
        while each is not None and error == 0:
            if each.copied is None and is_wanted(each, source, all):
                error = copy_tree(each)
                again = True
            each = each.next if each is not last else None
    return error


@metal
def is_wanted(tree: Tree, source: Entry, all: bool) -> bool:
    """Whether a tree is to be copied, now that what it stands in is."""
    covered = tree.covered
    if covered is None or (tree.unbindable and not all) or covered.tree.copied is None:
        return False
    return covered.tree is not source.tree or is_below(covered.real(), source.real())


@metal
def copy_tree(tree: Tree) -> i64:
    """Show a tree where the copy shows what it covers. 0 or -ENOMEM."""
    covered: Entry = tree.covered.real()
    covered.hold()
    point = view_of(tree.covered.tree.copied, covered)
    made: Ptr[Tree] = new_view(tree.root.real()) if point is not None else None
    if made is None:
        if point is not None:
            point.drop()
        return -ENOMEM
    settle_rights(tree.flags, made)
    made.device = tree.device
    if tree.source is not None:
        set_source(made, tree.source.bytes[:])
    made.unbindable = tree.unbindable
    tree.copied = made
    stand(made, made.root, point)
    return 0
