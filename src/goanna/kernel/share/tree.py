"""A share as a file tree: names are asked for at each walk, attributes at each look, for the host changes files too.

Nothing is kept that could be stale, but what is mapped (pages.py) and, of a file that is gone, what it was last.
"""

from goanna.kernel.base.errno import EFBIG, ENOENT, ENOMEM, ENXIO, EPERM
from goanna.kernel.file.attributes import (
    CHANGE_GROUP,
    CHANGE_MODE,
    CHANGE_SIZE,
    CHANGE_USER,
    Attributes,
    Change,
    Space,
)
from goanna.kernel.file.description import Description, create
from goanna.kernel.file.elsewhere import Elsewhere
from goanna.kernel.file.events import IN_MODIFY
from goanna.kernel.file.flags import (
    AT_REMOVEDIR,
    O_ACCMODE,
    O_APPEND,
    O_EXCL,
    O_RDONLY,
    O_RDWR,
    O_SYNC,
    O_TRUNC,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    ST_RDONLY,
    ST_RELATIME,
)
from goanna.kernel.file.memory_file import RLIMIT_FSIZE, on_size_limit
from goanna.kernel.file.memory_tree import event_of, open_device
from goanna.kernel.file.named_pipe import open_named_pipe
from goanna.kernel.file.node import Node
from goanna.kernel.file.tree import (
    DEAD,
    Entry,
    detach,
    entries_lock,
    find_entry,
    free_entry,
    hash_of,
    new_entry,
    settle,
    take,
    tell_both,
)
from goanna.kernel.identity.credentials import mine
from goanna.kernel.share import extended, requests
from goanna.kernel.share.file import DIRECTORY, FILE
from goanna.kernel.share.message import NO_FID, Qid
from goanna.kernel.share.node import (
    OpenFile,
    Share,
    describe_by,
    node_for,
    open_again,
    open_file,
    share_of,
    shared_of,
)
from goanna.kernel.share.pages import cut
from goanna.kernel.share.walk import (
    NOT_WALKED,
    fid_for,
    find_folders,
    give_fid,
    next_name,
    take_fid,
    walk_below,
)
from goanna.kernel.thread.current import current_process
from goanna.metal import Ptr, Slice, constant, i64, metal, u8, u32, u64, unsafe

__all__ = ["MAGIC", "fill_tree", "look"]

MAGIC = 0x01021997  # V9FS_MAGIC
S_ISGID = 0o2000
OPEN_FLAGS = O_ACCMODE | O_APPEND | O_SYNC  # that matter to the server; truncation is a call of its own


@metal
def forget(entry: Entry) -> None:
    """Tree.forget. Fid 0 is the root's, which stays."""
    if entry.number not in (0, NOT_WALKED):
        share_of(entry).session.clunk(u32(entry.number))


@metal
def look(share: Share, entry: Entry, fid: u32) -> i64:
    """Let a new entry be what a fid, which is the entry's from now on, says. 0 or an errno."""
    entry.number = u64(fid)
    return look_by(share, entry, fid)


@metal
def look_by(share: Share, entry: Entry, fid: u32) -> i64:
    """The same by a fid that is somebody else's."""
    qid = Qid()
    attributes = Attributes()
    error = requests.describe(share.session, fid, qid, attributes)
    if error < 0:
        return error
    entry.mode = attributes.mode
    entry.node = node_for(share, qid, attributes)
    return 0 if entry.node is not None else -ENOMEM


@metal
def find(parent: Entry, name: Slice[u8]) -> tuple[Ptr[Entry], i64]:
    """Elsewhere.find: an entry that is there is right if the server still says that it is that file."""
    known = known_below(parent, name)
    if known is not None and known.over is not None:
        return known, 0
    fid, error = walk_below(parent, name)
    found, missing = found_by(parent, name, known, fid, error)
    return found, missing


@metal
def known_below(parent: Entry, name: Slice[u8]) -> Ptr[Entry]:
    """The entry that a name had last, with a reference, or None."""
    hash = hash_of(parent, name)
    with entries_lock:
        known = find_entry(parent, name, hash)
        if known is not None:
            take(known)
        return known


@metal
def found_by(parent: Entry, name: Slice[u8], known: Ptr[Entry], fid: u32, error: i64) -> tuple[Ptr[Entry], i64]:
    """The entry of a name after a walk to it, which gave a fid or an errno; with the one it had last, whose reference
    is used up. None and an errno."""
    share = share_of(parent)
    child: Ptr[Entry] = None
    if error == 0:
        child = new_entry(parent.tree, name)
        error = -ENOMEM
        if child is not None:
            error = look(share, child, fid)
        else:
            share.session.clunk(fid)
    if known is not None:
        if error == 0 and known.node is child.node:
            with entries_lock:
                if known.number == NOT_WALKED:
                    known.number = child.number
                    child.number = NOT_WALKED
            free_entry(child)
            return known, 0
        if error == 0 or error == -ENOENT:
            with entries_lock:
                if not known.has(DEAD):
                    detach(known)
        known.drop()
    if error < 0:
        if child is not None:
            free_entry(child)
        return None, error
    child.hash = hash_of(parent, name)
    found, missing = settle(parent, child)
    return found, missing


@metal
def find_ahead(parent: Entry, text: Slice[u8]) -> tuple[Ptr[Entry], u64, Ptr[Entry]]:
    """Elsewhere.find_ahead."""
    folder, passed, fid = find_folders(parent, text)
    if folder is None or fid == NO_FID:
        return folder, passed, None
    end, _ = next_name(text, passed)
    name = text[passed:end]
    found, _ = found_by(folder, name, known_below(folder, name), fid, 0)
    return folder, passed, found


@metal
def make_sure(entry: Entry) -> i64:
    """Elsewhere.make_sure."""
    if not shared_of(entry.node).vague:
        return 0
    attributes = Attributes()
    return attributes_of(entry, attributes)


@metal
def attributes_of(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes. Of a file that is gone while it is open, what it was last, with no name."""
    fid, error = fid_for(entry)
    if error == 0 or error == -ENOENT:
        error = describe_by(entry, fid, attributes)
    return error


@metal
def read_link(entry: Entry, buffer: Slice[u8]) -> i64:
    """Tree.read_link."""
    fid, error = fid_for(entry)
    return error if error < 0 else requests.read_link(share_of(entry).session, fid, buffer)


@metal
def space_of(entry: Entry, space: Space) -> i64:
    """Tree.space."""
    fid, error = fid_for(entry)
    return error if error < 0 else requests.space(share_of(entry).session, fid, space)


@metal
def open_entry(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    kind = entry.kind()
    if kind == S_IFREG:
        return open_regular(entry, flags)
    if kind == S_IFIFO:
        return open_named_pipe(entry.node, flags)
    if kind == S_IFCHR:
        return open_device(entry.node.special_device, flags)
    if kind != S_IFDIR:
        return None, -ENXIO
    session = share_of(entry).session
    of, error = fid_for(entry)
    if error < 0:
        return None, error
    fid, error = open_again(session, of, O_RDONLY | SERVER_DIRECTORY)
    if error < 0:
        return None, error
    opened = open_file(session, fid)
    if opened is None:
        return None, -ENOMEM
    description = create(DIRECTORY, flags, unsafe.address(opened))
    if description is None:
        opened.drop()
    return description, 0 if description is not None else -ENOMEM


SERVER_DIRECTORY = 0o200000  # O_DIRECTORY, as the protocol numbers it


@metal
def open_regular(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """The same of a file. One that was just made is open already, maybe as it could not be opened again."""
    session = share_of(entry).session
    shared = shared_of(entry.node)
    wanted = flags & OPEN_FLAGS
    if (wanted & O_ACCMODE) == O_ACCMODE:
        wanted = (wanted & ~u32(O_ACCMODE)) | O_RDWR
    with shared.mutex:
        opened = shared.fresh
        shared.fresh = None
    if opened is None or (wanted & ~u32(O_ACCMODE)) != 0:
        fid, error = open_by(entry, wanted, (flags & O_TRUNC) == 0)
        if error == 0:
            if opened is not None:
                opened.drop()
            opened = open_file(session, fid)
            error = 0 if opened is not None else -i64(ENOMEM)
        if opened is None:
            return None, error
    description = create(FILE, flags, unsafe.address(opened))
    if description is None:
        opened.drop()
        return None, -ENOMEM
    if description.writable():
        entry.node.writers.add(1)
    else:
        entry.node.readers.add(1)
    return description, 0


@metal
def open_by(entry: Entry, flags: u32, alone: bool) -> tuple[u32, i64]:
    """A fid for a file that is open. `alone`: the entry's own, if only the caller has that; it gets another when it is
    wanted. NO_FID and an errno."""
    session = share_of(entry).session
    own = take_fid(entry) if alone else u32(NO_FID)
    if own != NO_FID:
        refused = requests.open_fid(session, own, flags)
        if refused < 0:
            give_fid(entry, own)
        return own if refused == 0 else u32(NO_FID), refused
    of, missing = fid_for(entry)
    if missing < 0:
        return NO_FID, missing
    fid, error = open_again(session, of, flags)
    return fid, error


@metal
def create_in(parent: Entry, child: Entry, device: u64, text: Slice[u8]) -> i64:
    """Tree.create."""
    share = share_of(parent)
    session = share.session
    kind = child.mode & S_IFMT
    bits = child.mode & ~u32(S_IFMT)
    opened: Ptr[OpenFile] = None
    error = make_sure(parent)
    folder, missing = fid_for(parent)
    if error < 0 or missing < 0:
        return min(error, missing)
    child.number = NOT_WALKED
    if kind == S_IFREG:
        fid, failed = requests.clone(session, folder)
        error = failed
        if error == 0:
            error = requests.create(session, fid, child.text(), O_RDWR | O_EXCL, bits)
            if error == 0:
                opened = open_file(session, fid)
                error = 0 if opened is not None else -i64(ENOMEM)
            else:
                session.clunk(fid)
    elif kind == S_IFDIR:
        error = requests.make_folder(session, folder, child.text(), bits)
    elif kind == S_IFLNK:
        error = requests.make_link(session, folder, child.text(), text)
    else:
        error = requests.make_node(session, folder, child.text(), child.mode, device)
    if error == 0 and opened is not None:
        error = look_by(share, child, opened.fid)
    elif error == 0:
        fid, failed = walk_below(parent, child.text())
        error = failed
        if error == 0:
            error = look(share, child, fid)
    if error == 0:
        own(share, parent, child)
    if opened is not None:
        if error == 0:
            opened = leave_open(child.node, opened)
        if opened is not None:
            opened.drop()
    return error


@metal
def leave_open(node: Node, opened: OpenFile) -> Ptr[OpenFile]:
    """Keep a file that was made by opening it for who opens it now. What was kept before, for the caller to drop."""
    shared = shared_of(node)
    with shared.mutex:
        before = shared.fresh
        shared.fresh = opened
    return before


@metal
def own(share: Share, parent: Entry, child: Entry) -> None:
    """Give a new file to whoever made it, if the server made it somebody else's and can."""
    me = mine()
    node: Node = child.node
    wish = Change()
    if node.user != me.file_user:
        wish.what |= CHANGE_USER
        wish.user = me.file_user
    if node.group != me.file_group and (parent.node.mode & S_ISGID) == 0:
        wish.what |= CHANGE_GROUP
        wish.group = me.file_group
    if wish.what == 0 or share.keeps_owner:
        return
    fid, error = fid_of_new(parent, child)
    if error == 0:
        error = requests.change(share.session, fid, wish)
    if error < 0:
        share.keeps_owner = error == -EPERM
        return
    with node.lock:
        if wish.wants(CHANGE_USER):
            node.user = wish.user
        if wish.wants(CHANGE_GROUP):
            node.group = wish.group


@metal
def fid_of_new(parent: Entry, child: Entry) -> tuple[u32, i64]:
    """The fid of a new entry, which is not in its folder yet."""
    if child.number != NOT_WALKED:
        return u32(child.number), 0
    fid, error = walk_below(parent, child.text())
    if error == 0:
        child.number = u64(fid)
    return fid, error


@metal
def check_empty(entry: Entry) -> i64:
    """Tree.empty: the server will say."""
    return 0


@metal
def change(entry: Entry, wish: Change) -> i64:
    """Tree.change."""
    share = share_of(entry)
    node: Node = entry.node
    if wish.wants(CHANGE_SIZE) and wish.size > current_process().limits[RLIMIT_FSIZE].current:
        attributes = Attributes()
        error = attributes_of(entry, attributes)
        if error < 0:
            return error
        if wish.size > attributes.size:
            on_size_limit()
            return -EFBIG
    fid, failed = fid_for(entry)
    if failed == 0:
        failed = requests.change(share.session, fid, wish)
    if failed < 0:
        return failed
    if wish.wants(CHANGE_SIZE):
        with node.lock:
            node.size = wish.size
        cut(node, wish.size)
        tell_both(entry, IN_MODIFY)
    if (wish.what & ~CHANGE_SIZE) == 0:
        return 0
    with node.lock:
        if wish.wants(CHANGE_MODE):
            node.mode = (node.mode & S_IFMT) | (wish.mode & 0o7777)
        if wish.wants(CHANGE_USER):
            node.user = wish.user
        if wish.wants(CHANGE_GROUP):
            node.group = wish.group
    tell_both(entry, event_of(wish))
    return 0


@metal
def remove(victim: Entry, directory: bool) -> i64:
    """Elsewhere.remove."""
    flags: u32 = AT_REMOVEDIR if directory else 0
    folder, error = fid_for(victim.parent)
    return error if error < 0 else requests.remove(share_of(victim).session, folder, victim.text(), flags)


@metal
def move(old: Entry, to: Entry, name: Slice[u8]) -> i64:
    """Elsewhere.move."""
    folder, error = fid_for(old.parent)
    if error < 0:
        return error
    goal, error = fid_for(to)
    return error if error < 0 else requests.rename(share_of(old).session, folder, old.text(), goal, name)


@metal
def link(old: Entry, to: Entry, name: Slice[u8]) -> i64:
    """Elsewhere.link."""
    folder, error = fid_for(to)
    if error < 0:
        return error
    fid, error = fid_for(old)
    if error == 0:
        error = requests.link(share_of(old).session, folder, fid, name)
    if error == 0:
        old.node.set_links(old.node.links + 1)
    return error


ELSEWHERE = constant(
    Elsewhere,
    {
        "find": find,
        "find_ahead": find_ahead,
        "make_sure": make_sure,
        "remove": remove,
        "move": move,
        "link": link,
        "get_attribute": extended.get_attribute,
        "list_attributes": extended.list_attributes,
        "set_attribute": extended.set_attribute,
        "remove_attribute": extended.remove_attribute,
    },
)


@metal
def fill_tree(share: Share, device: u64, read_only: bool) -> None:
    """Write the table of a share's tree."""
    tree = share.tree
    tree.attributes = attributes_of
    tree.read_link = read_link
    tree.forget = forget
    tree.open = open_entry
    tree.space = space_of
    tree.create = create_in
    tree.empty = check_empty
    tree.change = change
    tree.elsewhere = ELSEWHERE
    tree.names = share.names
    tree.label[0:2] = b"9p"
    tree.magic = MAGIC
    tree.device = device
    tree.read_only = read_only
    tree.flags = ST_RELATIME | (ST_RDONLY if read_only else u32(0))
