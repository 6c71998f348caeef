"""A tree that shows another, or a part of it, at a second place: what bind mounts are, and file systems mounted again.

A view has no names of its own. Its entries each refer to the entry they show, and are made anew by every walk; who asks
whether two are the same asks crossing.same_place. Names are made, removed and moved in the tree that is shown
(names.py, rename.py), so that all who look at it see one thing.
"""

from goanna.kernel.base.errno import EINVAL, ENOMEM
from goanna.kernel.file.attributes import Attributes, Change, Space
from goanna.kernel.file.crossing import is_top, lowest
from goanna.kernel.file.description import Description
from goanna.kernel.file.elsewhere import Elsewhere
from goanna.kernel.file.tree import Entry, Tree, child_of, entries_lock, new_entry, parent_of
from goanna.metal import Ptr, Slice, constant, i64, metal, u8, u32

__all__ = ["above", "fill_view", "shown_by", "view_of"]


@metal
def view_of(tree: Tree, below: Entry) -> Ptr[Entry]:
    """How an entry, whose reference is used up, looks in a view: with a reference. None: memory is out."""
    made = new_entry(tree, b"")
    if made is None:
        below.drop()
        return None
    made.below = below
    made.number = below.number
    made.mode = below.mode
    made.user = below.user
    made.group = below.group
    made.node = below.node
    if made.node is not None:
        made.node.hold()
    below.tree.views.add(1)
    return made


@metal
def shown_by(place: Entry, entry: Ptr[Entry]) -> Ptr[Entry]:
    """What was found or made in the tree of place.real(), if anything, as place's tree has it. The reference is used
    up. None: memory is out."""
    if place.below is None or entry is None:
        return entry
    return view_of(place.tree, entry)


@metal
def above(entry: Entry) -> Ptr[Entry]:
    """The directory above an entry, out of its tree if need be, with a reference; of the top of all, itself. None:
    memory is out."""
    with entries_lock:
        at = lowest(entry)
        at.hold()
    if is_top(at):
        return at
    up: Ptr[Entry] = parent_of(at.real())
    if at.below is not None:
        up = view_of(at.tree, up)
    at.drop()
    return up


@metal
def find(parent: Entry, name: Slice[u8]) -> tuple[Ptr[Entry], i64]:
    """Elsewhere.find."""
    found, error = child_of(parent.below, name)
    if found is None:
        return None, error
    shown = view_of(parent.tree, found)
    return shown, 0 if shown is not None else -ENOMEM


@metal
def attributes_of(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    error = entry.below.tree.attributes(entry.below, attributes)
    attributes.device = entry.tree.device
    return error


@metal
def read_link(entry: Entry, buffer: Slice[u8]) -> i64:
    """Tree.read_link."""
    below: Entry = entry.below
    return below.tree.read_link(below, buffer) if below.tree.read_link is not None else -i64(EINVAL)


@metal
def jump(entry: Entry) -> Ptr[Entry]:
    """Tree.jump."""
    below: Entry = entry.below
    return below.tree.jump(below) if below.tree.jump is not None else None


@metal
def open_below(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    return entry.below.tree.open(entry.below, flags)


@metal
def space_of(entry: Entry, space: Space) -> i64:
    """Tree.space."""
    return entry.below.tree.space(entry.below, space)


@metal
def change(entry: Entry, wanted: Change) -> i64:
    """Tree.change."""
    return entry.below.tree.change(entry.below, wanted)


ELSEWHERE = constant(Elsewhere, {"find": find})


@metal
def fill_view(tree: Tree, shown: Tree) -> None:
    """Write the table of a view of another tree, which is no view."""
    tree.attributes = attributes_of
    tree.read_link = read_link
    tree.jump = jump
    tree.open = open_below
    if shown.space is not None:
        tree.space = space_of
    tree.create = shown.create  # is called with what is shown
    if shown.change is not None:
        tree.change = change
    tree.elsewhere = ELSEWHERE
    tree.names = shown.names
    tree.label[:] = shown.label[:]
    tree.magic = shown.magic
    tree.device = shown.device
