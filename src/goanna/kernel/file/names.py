"""Making, removing and moving names: what mkdir, open, unlink, rename, link and their kin do to directories.

Checks come in Linux's order (fs/namei.c): what the last component is, whether it is there, whether it may be done.
"""

from goanna.kernel.base.errno import (
    EACCES,
    EBUSY,
    EEXIST,
    EINVAL,
    EISDIR,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    ENOTEMPTY,
    EPERM,
    EROFS,
    EXDEV,
)
from goanna.kernel.file.events import (
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    last_cookie,
    tell_in,
    tell_of,
    watched,
)
from goanna.kernel.file.flags import S_IFBLK, S_IFCHR, S_IFMT
from goanna.kernel.file.node import Node
from goanna.kernel.file.tree import (
    COVERS,
    DEAD,
    INLINE_NAME,
    MOUNT,
    NEGATIVE,
    SEARCH,
    WRITE,
    Entry,
    attach,
    child_of,
    detach,
    entries_lock,
    entry_permitted,
    find_entry,
    hash_of,
    names_mutex,
    new_entry,
    own,
)
from goanna.kernel.identity.credentials import CAP_FOWNER, CAP_MKNOD, capable, mine
from goanna.metal import Ptr, Slice, i64, metal, u8, u32, u64

__all__ = [
    "RENAME_EXCHANGE",
    "RENAME_NOREPLACE",
    "RENAME_WHITEOUT",
    "link_name",
    "make_name",
    "make_nameless",
    "move_name",
    "remove_name",
]

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
RENAME_WHITEOUT = 4

S_ISVTX = 0o1000
NAME_COST = 20  # bytes by which a name adds to the size of its directory


@metal
def may_create(parent: Entry, refusal: i64) -> i64:
    """Whether names can be made in a directory. 0, -EROFS, -EACCES, or `refusal` where nothing is ever made."""
    if parent.tree.read_only:
        return -EROFS
    if not entry_permitted(parent, WRITE | SEARCH):
        return -EACCES
    return refusal if parent.tree.create is None else i64(0)


@metal
def may_delete(victim: Entry, directory: bool) -> i64:
    """Whether a name can be removed, as a directory or as something else (may_delete)."""
    parent: Entry = victim.parent
    if not entry_permitted(parent, WRITE | SEARCH):
        return -EACCES
    me = mine()
    foreign = me.file_user not in (victim.owner(), parent.owner())
    if (parent.permissions() & S_ISVTX) != 0 and foreign and not capable(CAP_FOWNER):
        return -EPERM
    if directory:
        if not victim.is_directory():
            return -ENOTDIR
    elif victim.is_directory():
        return -EISDIR
    return 0


@metal
def make_name(
    parent: Entry, name: Slice[u8], mode: u32, device: u64, text: Slice[u8], refusal: i64
) -> tuple[Ptr[Entry], i64]:
    """Make a file, directory, pipe, device or symbolic link under a name: its entry, with a reference. Or None and
    -EEXIST, -ENOENT (the directory is gone), -EACCES, -EROFS, -ENOSPC, -ENOMEM, or `refusal`."""
    with names_mutex:
        found, error = child_of(parent, name)
        if found is not None:
            found.drop()
            return None, -EEXIST
        if error != -ENOENT or parent.has(DEAD):
            return None, error
        error = may_create(parent, refusal)
        if error == 0 and (mode & S_IFMT) in (S_IFCHR, S_IFBLK) and not capable(CAP_MKNOD):
            error = -EPERM
        if error < 0:
            return None, error
        child = new_entry(parent.tree, name)
        if child is None:
            return None, -ENOMEM
        child.mode = mode
        error = parent.tree.create(parent, child, device, text)
        if error < 0:
            child.drop()
            return None, error
        put_name(parent, child)
        tell_in(parent.node, IN_CREATE | directory_bit(child), 0, name)
        return child, 0


@metal
def directory_bit(entry: Entry) -> u32:
    """What marks an event that is about a directory."""
    return IN_ISDIR if entry.is_directory() else 0


@metal
def make_nameless(parent: Entry, mode: u32) -> tuple[Ptr[Entry], i64]:
    """A file in a directory's tree without a name (O_TMPFILE): an entry with a reference, or None and an errno."""
    error = may_create(parent, -EPERM)
    if error < 0:
        return None, error
    child = new_entry(parent.tree, b"#")
    if child is None:
        return None, -ENOMEM
    child.mode = mode
    error = parent.tree.create(parent, child, 0, b"")
    if error < 0:
        child.drop()
        return None, error
    child.node.links = 0
    child.flags = DEAD
    parent.hold()
    child.parent = parent
    return child, 0


@metal
def put_name(parent: Entry, child: Entry) -> None:
    """Put a new name into its directory, in place of a negative one. With names_mutex."""
    own(parent)
    gone: Ptr[Entry] = None
    with entries_lock:
        found = find_entry(parent, child.text(), hash_of(parent, child.text()))
        if found is not None:
            assert found.has(NEGATIVE), "a name was made that is there"
            child.flags |= COVERS
            detach(found)
            gone = found
        attach(parent, child)
    if gone is not None:
        gone.drop()
    count_name(parent, child, True)


@metal
def count_name(parent: Entry, child: Entry, added: bool) -> None:
    """Bring a directory's size, links and times up to date after a name came or went."""
    directory = parent.node
    if directory is None:
        return
    if directory.image is None:
        directory.size = directory.size + NAME_COST if added else directory.size - NAME_COST
    if child.is_directory():
        directory.set_links(directory.links + 1 if added else directory.links - min(directory.links, 1))
    directory.modified()


@metal
def take_name(victim: Entry, negative: Ptr[Entry]) -> None:
    """Take a name out of its directory, and put a negative one there if the image has the name. With names_mutex; the
    caller has a reference to the victim, and gives `negative` up."""
    parent: Entry = victim.parent
    own(parent)
    pinned = False
    with entries_lock:
        pinned = detach(victim)
        if negative is not None:
            negative.flags = NEGATIVE | COVERS
            attach(parent, negative)
    if negative is not None:
        negative.drop()
    if pinned:
        victim.drop()
    count_name(parent, victim, False)


@metal
def negative_for(victim: Entry) -> tuple[Ptr[Entry], i64]:
    """The negative entry that is to stand where a name was, if one is needed. 0 or -ENOMEM."""
    if not victim.has(COVERS):
        return None, 0
    made = new_entry(victim.tree, victim.text())
    return made, 0 if made is not None else -ENOMEM


@metal
def bury(directory: Entry) -> None:
    """Let go of the negative entries of a directory that was removed."""
    while True:
        gone: Ptr[Entry] = None
        with entries_lock:
            gone = directory.children.first()
            if gone is not None:
                detach(gone)
        if gone is None:
            return
        gone.drop()


@metal
def unlink_node(victim: Entry) -> None:
    """One name of a file is gone."""
    node: Node = victim.node
    if victim.is_directory():
        node.set_links(0)
        bury(victim)
    else:
        node.set_links(node.links - min(node.links, 1))


@metal
def remove_name(parent: Entry, name: Slice[u8], directory: bool, slash: bool) -> i64:
    """unlink, or rmdir for a directory. `slash`: the name was written with a slash at the end. 0 or an errno."""
    if parent.tree.read_only:
        return -EROFS
    with names_mutex:
        victim, error = child_of(parent, name)
        if victim is None:
            return error
        error = remove_entry(victim, directory, slash)
        victim.drop()
        return error


@metal
def remove_entry(victim: Entry, directory: bool, slash: bool) -> i64:
    """The same of an entry. With names_mutex."""
    if slash and not directory:
        return -EISDIR if victim.is_directory() else -ENOTDIR
    error = may_delete(victim, directory)
    if error < 0:
        return error
    if victim.has(MOUNT):
        return -EBUSY
    if victim.node is None:
        return -EPERM
    if directory:
        error = victim.tree.empty(victim)
        if error < 0:
            return error
    negative, error = negative_for(victim)
    if error < 0:
        return error
    take_name(victim, negative)
    unlink_node(victim)
    if not directory:
        tell_of(victim.node, IN_ATTRIB)
    tell_in(victim.parent.node, IN_DELETE | directory_bit(victim), 0, victim.text())
    return 0


@metal
def link_name(old: Entry, parent: Entry, name: Slice[u8], linkable: bool) -> i64:
    """Give a file one more name. 0 or an errno. `linkable`: though it has no name any more."""
    with names_mutex:
        found, error = child_of(parent, name)
        if found is not None:
            found.drop()
            return -EEXIST
        if error != -ENOENT or parent.has(DEAD):
            return error
        if old.tree is not parent.tree:
            return -EXDEV
        error = may_create(parent, -EPERM)
        if error < 0:
            return error
        if old.is_directory():
            return -EPERM
        node = old.node
        if node is None:
            return -EPERM
        if node.links == 0 and not linkable:
            return -ENOENT
        child = new_entry(parent.tree, name)
        if child is None:
            return -ENOMEM
        own(old)
        node.hold()
        child.node = node
        child.mode = old.mode
        node.set_links(node.links + 1)
        put_name(parent, child)
        tell_of(node, IN_ATTRIB)
        tell_in(parent.node, IN_CREATE, 0, name)
        child.drop()
        return 0


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
    with names_mutex:
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
    if exchange:
        return exchange_names(old, new)
    return replace_name(old, to, new_name, new, flags)


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
    if old.has(MOUNT) or (new is not None and new.has(MOUNT)):
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
    for index in range(u64(INLINE_NAME)):
        byte = a.name[index]
        a.name[index] = b.name[index]
        b.name[index] = byte


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
