"""Moving names: rename and its flags. Whoever looks finds the old name or the new one, never neither.

Checks come in Linux's order (fs/namei.c do_renameat2, vfs_rename).
"""

from goanna.kernel.base.errno import (
    EACCES,
    EBUSY,
    EEXIST,
    EINVAL,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    ENOTEMPTY,
    EPERM,
    EROFS,
)
from goanna.kernel.file.events import (
    IN_ATTRIB,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    last_cookie,
    tell_in,
    tell_of,
    watched,
)
from goanna.kernel.file.flags import S_IFCHR
from goanna.kernel.file.names import (
    count_name,
    directory_bit,
    lose,
    may_create,
    may_delete,
    negative_for,
    unlink_node,
)
from goanna.kernel.file.permission import WRITE, entry_permitted
from goanna.kernel.file.tree import (
    COVERS,
    DEAD,
    INLINE_NAME,
    NEGATIVE,
    Entry,
    attach,
    child_of,
    detach,
    entries_lock,
    find_entry,
    hash_of,
    make_findable,
    names_of,
    new_entry,
    own,
    unhash,
)
from goanna.metal import Array, Ptr, Slice, i64, metal, u8, u32

__all__ = ["RENAME_EXCHANGE", "RENAME_NOREPLACE", "RENAME_WHITEOUT", "move_name"]

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4


@metal
def is_above(upper: Entry, lower: Entry) -> bool:
    """Whether one entry is, or lies above, another. With names_mutex."""
    at: Ptr[Entry] = lower
    while at is not None:
        if at is upper:
            return True
        at = at.parent
    return False


@metal
def move_name(
    parent: Entry, name: Slice[u8], slash: bool, to: Entry, new_name: Slice[u8], new_slash: bool, flags: u32
) -> i64:
    """rename. 0 or an errno; the last components are names and both directories are of one tree."""
    if parent.tree.read_only:
        return -EROFS
    return move_real(parent.real(), name, slash, to.real(), new_name, new_slash, flags)


@metal
def move_real(
    parent: Entry, name: Slice[u8], slash: bool, to: Entry, new_name: Slice[u8], new_slash: bool, flags: u32
) -> i64:
    """The same in directories that are no view's."""
    with names_of(parent.tree):
        old, error = child_of(parent, name)
        if old is None:
            return error
        new, error = child_of(to, new_name)
        if error == -ENOENT and (new is None):
            error = 0
        if error == 0:
            error = move_checked(old, slash, to, new_name, new, new_slash, flags)
        if error == 0:
            tell_move(parent, name, to, new_name, old)
            if new is not None and (flags & RENAME_EXCHANGE) != 0:
                tell_move(to, new_name, parent, name, new)
            elif new is not None and not new.is_directory():
                tell_of(new.node, IN_ATTRIB)
        old.drop()
        if new is not None:
            new.drop()
        return min(error, 0)


@metal
def tell_move(parent: Entry, name: Slice[u8], to: Entry, new_name: Slice[u8], moved: Entry) -> None:
    """Tell who watches that a name has become another one."""
    if watched():
        cookie = last_cookie.add(1) + 1
        mark = directory_bit(moved)
        tell_in(parent.node, IN_MOVED_FROM | mark, cookie, name)
        tell_in(to.node, IN_MOVED_TO | mark, cookie, new_name)
        tell_of(moved.node, IN_MOVE_SELF)


@metal
def move_checked(
    old: Entry, slash: bool, to: Entry, new_name: Slice[u8], new: Ptr[Entry], new_slash: bool, flags: u32
) -> i64:
    """What remains once it is known what both names are. With names_mutex. 0; 1: there is nothing to be done; or an
    errno."""
    exchange = (flags & RENAME_EXCHANGE) != 0
    if new is not None and (flags & RENAME_NOREPLACE) != 0:
        return -EEXIST
    if exchange:
        if new is None:
            return -ENOENT
        if new_slash and not new.is_directory():
            return -ENOTDIR
    if not old.is_directory() and (slash or (not exchange and new_slash)):
        return -ENOTDIR
    if is_above(old, to):
        return -EINVAL
    if new is not None and is_above(new, old.parent):
        return -EINVAL if exchange else -ENOTEMPTY
    error = may_move(old, to, new, exchange)
    if error != 0:
        return error
    if old.tree.elsewhere is not None:
        return -EINVAL if flags != 0 else move_elsewhere(old, to, new_name, new)
    if exchange:
        return exchange_names(old, new)
    return replace_name(old, to, new_name, new, flags)


@metal
def move_elsewhere(old: Entry, to: Entry, new_name: Slice[u8], new: Ptr[Entry]) -> i64:
    """Move a name in a tree that is kept elsewhere, which knows no flags (v9fs_vfs_rename). With the tree's names."""
    fresh = new_entry(old.tree, new_name)
    if fresh is None:
        return -ENOMEM
    error = old.tree.elsewhere.move(old, to, new_name)
    if error < 0:
        fresh.drop()
        return error
    parent: Entry = old.parent
    if new is not None:
        lose(new)
        unlink_node(new)
    with entries_lock:
        stays = not old.has(DEAD) and find_entry(to, fresh.text(), hash_of(to, fresh.text())) is None
        if stays:
            unhash(old)
            swap_names(old, fresh)
            old.hash = hash_of(to, old.text())
            make_findable(to, old)
        elif not old.has(DEAD):
            detach(old)
    fresh.drop()
    if stays:
        parent.drop()
    return 0


@metal
def may_move(old: Entry, to: Entry, new: Ptr[Entry], exchange: bool) -> i64:
    """Whether a name may be moved. 0: yes; 1: there is nothing to be done; else an errno."""
    if new is not None and (new is old or (old.node is not None and new.node is old.node)):
        return 1
    directory = old.is_directory()
    error = may_delete(old, directory)
    if error < 0:
        return error
    if new is None:
        error = -ENOENT if to.has(DEAD) else may_create(to, -EPERM)
    elif exchange:
        error = may_delete(new, new.is_directory())
    else:
        error = may_delete(new, directory)
    if error < 0:
        return error
    if to is not old.parent:
        if directory and not entry_permitted(old, WRITE):
            return -EACCES
        if exchange and new.is_directory() and not entry_permitted(new, WRITE):
            return -EACCES
    if old.over is not None or (new is not None and new.over is not None):
        return -EBUSY
    if old.node is None:
        return -EPERM
    if new is not None and not exchange and directory:
        return new.tree.empty(new)
    return 0


@metal
def replace_name(old: Entry, to: Entry, new_name: Slice[u8], new: Ptr[Entry], flags: u32) -> i64:
    """Move a name, over another if there is one: nobody finds neither. With names_mutex."""
    left, error = left_behind(old, flags)
    if error < 0:
        return error
    fresh = new_entry(old.tree, new_name)
    if fresh is None:
        if left is not None:
            left.drop()
        return -ENOMEM
    parent: Entry = old.parent
    own(parent)
    own(to)
    gone = new
    gone_pinned = False
    old_pinned = False
    with entries_lock:
        if gone is None:
            gone = find_entry(to, fresh.text(), hash_of(to, fresh.text()))
        covers: u32 = 0
        if gone is not None:
            assert new is not None or gone.has(NEGATIVE), "a name was moved to where one is"
            covers = gone.flags & COVERS
            gone_pinned = detach(gone)
        old_pinned = lift(old)
        if left is not None:
            attach(parent, left)
        swap_names(old, fresh)
        old.flags |= covers
        attach(to, old)
    fresh.drop()
    if gone_pinned:
        gone.drop()
    if old_pinned:
        old.drop()
    count_name(parent, old, False)
    if new is not None:
        count_name(to, new, False)
        unlink_node(new)
    count_name(to, old, True)
    if left is not None:
        if not left.has(NEGATIVE):
            count_name(parent, left, True)
        left.drop()
    parent.drop()
    old.node.changed()
    return 0


@metal
def left_behind(old: Entry, flags: u32) -> tuple[Ptr[Entry], i64]:
    """What stands where a name was: nothing, a negative entry, or, with RENAME_WHITEOUT, a device file 0:0."""
    if (flags & RENAME_WHITEOUT) == 0:
        negative, error = negative_for(old)
        if negative is not None:
            negative.flags = NEGATIVE | COVERS
        return negative, error
    device = new_entry(old.tree, old.text())
    if device is None:
        return None, -ENOMEM
    device.mode = S_IFCHR
    error = old.tree.create(old.parent, device, 0, b"")
    if error < 0:
        device.drop()
        return None, error
    device.flags = old.flags & COVERS
    return device, 0


@metal
def lift(entry: Entry) -> bool:
    """Take a living name out of its directory; the caller puts it somewhere, and has the reference to its directory,
    and, if True is given, the one that pinned it. With entries_lock."""
    pinned = detach(entry)
    entry.flags &= ~u32(DEAD | COVERS)
    return pinned


@metal
def swap_names(a: Entry, b: Entry) -> None:
    """Give two entries that are nowhere each other's names. With entries_lock."""
    long = a.long
    a.long = b.long
    b.long = long
    length = a.length
    a.length = b.length
    b.length = length
    name = Array[u8, INLINE_NAME]()
    name[:] = a.name[:]
    a.name[:] = b.name[:]
    b.name[:] = name[:]


@metal
def exchange_names(old: Entry, new: Entry) -> i64:
    """Swap two names. With names_mutex."""
    parent: Entry = old.parent
    new_parent: Entry = new.parent
    own(parent)
    own(new_parent)
    old_pinned = False
    new_pinned = False
    with entries_lock:
        old_covers = old.flags & COVERS
        new_covers = new.flags & COVERS
        old_pinned = lift(old)
        new_pinned = lift(new)
        swap_names(old, new)
        old.flags |= new_covers
        new.flags |= old_covers
        attach(new_parent, old)
        attach(parent, new)
    if old_pinned:
        old.drop()
    if new_pinned:
        new.drop()
    count_name(parent, old, False)
    count_name(new_parent, new, False)
    count_name(new_parent, old, True)
    count_name(parent, new, True)
    parent.drop()
    new_parent.drop()
    old.node.changed()
    new.node.changed()
    return 0
