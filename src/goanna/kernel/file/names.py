"""Making, removing and moving names: what mkdir, open, unlink, rename, link and their kin do to directories.

Checks come in Linux's order (fs/namei.c): what the last component is, whether it is there, whether it may be done.
"""

from goanna.kernel.base.errno import (
    EACCES,
    EBUSY,
    EEXIST,
    EISDIR,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    EPERM,
    EROFS,
    EXDEV,
)
from goanna.kernel.file.events import (
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_ISDIR,
    tell_gone,
    tell_in,
    tell_of,
)
from goanna.kernel.file.flags import S_IFBLK, S_IFCHR, S_IFMT, S_IFREG
from goanna.kernel.file.node import Node
from goanna.kernel.file.permission import READ, SEARCH, WRITE, entry_permitted
from goanna.kernel.file.tree import (
    COVERS,
    DEAD,
    NEGATIVE,
    Entry,
    attach,
    child_of,
    detach,
    entries_lock,
    find_entry,
    hash_of,
    names_of,
    new_entry,
    own,
    settle,
)
from goanna.kernel.file.view import shown_by
from goanna.kernel.identity.credentials import CAP_FOWNER, CAP_MKNOD, capable, mine
from goanna.metal import Ptr, Slice, i64, metal, u8, u32, u64

__all__ = [
    "link_name",
    "make_name",
    "make_nameless",
    "remove_name",
]

S_ISVTX = 0o1000
S_ISUID = 0o4000
SET_GROUP = 0o2010  # S_ISGID | S_IXGRP: without the second bit the first does not change who runs a file
NAME_COST = 20  # bytes by which a name adds to the size of its directory


@metal
def may_create(parent: Entry, refusal: i64) -> i64:
    """Whether names can be made in a directory. 0, -EACCES, or `refusal` where nothing is ever made."""
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
    made, error = make_real(parent.real(), name, mode, device, text, refusal, parent.tree.read_only)
    shown = shown_by(parent, made)
    return shown, -i64(ENOMEM) if error == 0 and shown is None else error


@metal
def make_real(
    parent: Entry, name: Slice[u8], mode: u32, device: u64, text: Slice[u8], refusal: i64, read_only: bool
) -> tuple[Ptr[Entry], i64]:
    """The same in a directory that is no view's; `read_only`: nothing can be made by the way that led there."""
    with names_of(parent.tree):
        found, error = child_of(parent, name)
        if found is not None:
            found.drop()
            return None, -EEXIST
        if error != -ENOENT or parent.has(DEAD):
            return None, error
        error = -EROFS if read_only else may_create(parent, refusal)
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
        made: Ptr[Entry] = child
        if parent.tree.elsewhere is None:
            put_name(parent, child)
        else:
            child.hash = hash_of(parent, name)
            made, error = settle(parent, child)
            if made is None:
                return None, error
        tell_in(parent.node, IN_CREATE | directory_bit(made), 0, name)
        return made, 0


@metal
def directory_bit(entry: Entry) -> u32:
    """What marks an event that is about a directory."""
    return IN_ISDIR if entry.is_directory() else 0


@metal
def make_nameless(parent: Entry, mode: u32) -> tuple[Ptr[Entry], i64]:
    """A file in a directory's tree without a name (O_TMPFILE): an entry with a reference, or None and an errno."""
    place = parent.real()
    error = -EROFS if parent.tree.read_only else may_create(place, -EPERM)
    if error < 0:
        return None, error
    child = new_entry(place.tree, b"#")
    if child is None:
        return None, -ENOMEM
    child.mode = mode
    error = place.tree.create(place, child, 0, b"")
    if error < 0:
        child.drop()
        return None, error
    child.node.links = 0
    child.flags = DEAD
    place.hold()
    child.parent = place
    shown = shown_by(parent, child)
    return shown, 0 if shown is not None else -ENOMEM


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
def lose(victim: Entry) -> None:
    """A name that is kept elsewhere is gone: nobody finds its entry any more."""
    with entries_lock:
        if not victim.has(DEAD):
            detach(victim)


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
    with names_of(parent.tree):
        victim, error = child_of(parent.real(), name)
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
    if victim.over is not None:
        return -EBUSY
    if victim.node is None:
        return -EPERM
    if directory:
        error = victim.tree.empty(victim)
        if error < 0:
            return error
    if victim.tree.elsewhere is None:
        negative, error = negative_for(victim)
        if error < 0:
            return error
        take_name(victim, negative)
    else:
        error = victim.tree.elsewhere.remove(victim, directory)
        if error < 0:
            return error
        lose(victim)
    unlink_node(victim)
    if not directory:
        tell_of(victim.node, IN_ATTRIB)
    if victim.node.links == 0 and victim.references.load() == 1:  # nobody but the caller has it
        tell_gone(victim.node)
    tell_in(victim.parent.node, IN_DELETE | directory_bit(victim), 0, victim.text())
    return 0


@metal
def link_name(old: Entry, parent: Entry, name: Slice[u8], linkable: bool) -> i64:
    """Give a file one more name. 0 or an errno. `linkable`: though it has no name any more."""
    if not parent.tree.read_only:
        return link_real(old.real(), parent.real(), name, linkable, old.tree is parent.tree)
    found, error = child_of(parent, name)
    if found is not None:
        found.drop()
        return -EEXIST
    return -EROFS if error == -ENOENT else error


@metal
def link_real(old: Entry, parent: Entry, name: Slice[u8], linkable: bool, within: bool) -> i64:
    """The same where nothing is a view's; `within`: both are of one mount."""
    with names_of(parent.tree):
        found, error = child_of(parent, name)
        if found is not None:
            found.drop()
            return -EEXIST
        if error != -ENOENT or parent.has(DEAD):
            return error
        if not within:
            return -EXDEV
        if not may_be_linked(old):
            return -EPERM
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
        if parent.tree.elsewhere is not None:
            error = parent.tree.elsewhere.link(old, parent, name)
        else:
            error = link_here(old, parent, name)
        if error == 0:
            tell_of(node, IN_ATTRIB)
            tell_in(parent.node, IN_CREATE, 0, name)
        return error


@metal
def may_be_linked(old: Entry) -> bool:
    """Whether the running process may give a file another name: its own, or one that it may read and write and that
    does not change who runs it (proc_sys_fs(5), protected_hardlinks)."""
    mode = old.permissions()
    if mine().file_user == old.owner() or capable(CAP_FOWNER):
        return True
    if (mode & S_IFMT) != S_IFREG or (mode & S_ISUID) != 0 or (mode & SET_GROUP) == SET_GROUP:
        return False
    return entry_permitted(old, READ | WRITE)


@metal
def link_here(old: Entry, parent: Entry, name: Slice[u8]) -> i64:
    """The same once all is checked, in a tree whose names are here. With names_mutex. 0 or -ENOMEM."""
    node: Node = old.node
    child = new_entry(parent.tree, name)
    if child is None:
        return -ENOMEM
    own(old)
    node.hold()
    child.node = node
    child.mode = old.mode
    node.set_links(node.links + 1)
    put_name(parent, child)
    child.drop()
    return 0
