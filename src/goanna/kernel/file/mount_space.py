"""Mount namespaces: each has trees of its own, which show what those showed that it was copied from
(mount_namespaces(7)). A place in the file tree is in one; it goes with the last that is.
"""

from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.file.mount import first_tree, mounts_mutex, new_view, set_source, settle_rights, stand, take_away
from goanna.kernel.file.mount_copy import copy_below, last_tree
from goanna.kernel.file.tree import Entry, Tree
from goanna.kernel.file.view import view_of
from goanna.kernel.memory.objects import Cache
from goanna.metal import Atomic, Ptr, i64, metal, static, struct, u64

__all__ = ["Space", "copy_space", "counterpart", "drop_space", "first_space"]

NUMBER_AFTER = 0xF000_0080  # of those that are made


@struct
class Space:
    """A namespace. Its trees know its number."""

    references: Atomic[u64]  # places that are in it
    number: u64  # as /proc/PID/ns/mnt gives it; 0: the first


first_space = static(Space, {"references": 1})
spaces = Cache(Space)
last_number = static(u64, NUMBER_AFTER)  # mounts_mutex


@metal
def copy_space(old: Space) -> tuple[Ptr[Space], i64]:
    """A namespace with a copy of each tree of another, with one reference; each tree's `copied` says which is its. With
    mounts_mutex. Or None and -ENOMEM."""
    global last_number
    space = spaces.allocate()
    if space is None:
        return None, -ENOMEM
    space.references.store(1)
    last_number += 1
    space.number = last_number
    top: Tree = first_tree
    while top.namespace != old.number or top.covered is not None:
        top = top.next
    made = new_view(top.root.real())
    if made is None:
        spaces.free(space)
        return None, -ENOMEM
    settle_rights(top.flags, made)
    made.device = top.device
    made.namespace = space.number
    if top.source is not None:
        set_source(made, top.source.bytes[:])
    last = last_tree()
    stand(made, made.root, None)
    error = copy_below(top.root, made, last, True)
    if error < 0:
        end_space(space)
        return None, error
    return space, 0


@metal
def counterpart(entry: Entry) -> Ptr[Entry]:
    """What an entry is in the namespace that was just copied, with a reference. With mounts_mutex. None: memory is
    out."""
    entry.hold()
    if entry.tree.copied is None:
        return entry
    real = entry.real()
    real.hold()
    found = view_of(entry.tree.copied, real)
    entry.drop()
    return found


@metal
def drop_space(space: Space) -> None:
    """A place is no longer in a namespace. May sleep."""
    if space.references.sub(1) == 1:
        with mounts_mutex:
            end_space(space)


@metal
def end_space(space: Space) -> None:
    """Take away the trees of a namespace, the last first, and free it. With mounts_mutex."""
    while True:
        lowest: Ptr[Tree] = None
        each = first_tree
        while each is not None:
            if each.namespace == space.number:
                lowest = each
            each = each.next
        if lowest is None:
            break
        take_away(lowest)
    spaces.free(space)
