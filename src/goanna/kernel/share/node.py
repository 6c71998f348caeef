"""The files of a share as nodes: one for each file of the server, however many names and openers it has here.

What a node says of such a file is what the server said last. The content is the server's; only what programs map is
here too (pages.py).
"""

from goanna.kernel.base.errno import ENOENT
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.flags import S_IFDIR, S_IFMT
from goanna.kernel.file.node import Node, nodes
from goanna.kernel.file.tree import Entry, Tree
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.page_map import PageMap
from goanna.kernel.share.message import NO_FID, Qid
from goanna.kernel.share.requests import clone, describe, open_fid
from goanna.kernel.share.session import Session
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import Array, Atomic, Ptr, i64, metal, struct, u32, u64, unsafe

__all__ = [
    "OpenFile",
    "Share",
    "Shared",
    "describe_by",
    "end_shared",
    "node_for",
    "open_file",
    "refresh",
    "share_of",
    "shared_of",
    "vague_node",
]

BUCKETS = 256


@struct
class OpenFile:
    """A file that the server has opened. Whoever uses it holds a reference: descriptions and mappings."""

    references: Atomic[u32]
    fid: u32
    session: Ptr[Session]

    def hold(self) -> None:
        """One reference more. The caller has one."""
        self.references.add(1)

    def drop(self) -> None:
        """One reference less; the last one closes the file. May sleep."""
        if self.references.sub(1) == 1:
            self.session.clunk(self.fid)
            open_files.free(self)


@struct
class Shared:
    """What a node of a share has besides."""

    link: Link  # Share.buckets
    share: Ptr["Share"]
    node: Ptr[Node]  # no reference: this goes with it
    path: u64  # of the qid
    fresh: Ptr[OpenFile]  # the file was made by opening it, and this is for who asked; `mutex`
    mutex: Mutex  # held while pages for mappings come and go; before Node.lock
    reader: Ptr[OpenFile]  # while the file is mapped: where its pages come from
    writer: Ptr[OpenFile]  # where they go to, if a description that may write was mapped
    sent: PageMap  # copies of the pages that may be written to, as the server has them; `mutex`
    vague: bool  # nothing is known of it but that it is a folder: nobody asked yet
    failure: i64  # why pages did not get to the server, until fsync or msync has told; `mutex`


SharedList = List(Shared, "link")


@struct
class Share:
    """One folder of the host."""

    session: Session
    tree: Tree
    names: Mutex  # Tree.names
    lock: SpinLock  # protects buckets
    buckets: Array[SharedList, BUCKETS]
    keeps_owner: bool  # the server can't give files away: what is made here belongs to whom it makes it


open_files = Cache(OpenFile)
shared_files = Cache(Shared)


@metal
def share_of(entry: Entry) -> Share:
    """The share that an entry is in."""
    return unsafe.container(Share, "tree", entry.tree)


@metal
def shared_of(node: Node) -> Shared:
    """What a node of a share has besides."""
    return unsafe.at(Shared, node.remote)


@metal
def open_file(session: Session, fid: u32) -> Ptr[OpenFile]:
    """A fid that is open, as a file with one reference; None, and the fid is given back: memory is out."""
    made = open_files.allocate()
    if made is None:
        session.clunk(fid)
        return None
    made.references.store(1)
    made.fid = fid
    made.session = session
    return made


@metal
def open_again(session: Session, fid: u32, flags: u32) -> tuple[u32, i64]:
    """Another fid for a file, opened. NO_FID and an errno."""
    made, error = clone(session, fid)
    if error == 0:
        error = open_fid(session, made, flags)
        if error < 0:
            session.clunk(made)
    return made, error


@metal
def hold_living(node: Node) -> bool:
    """A reference to a node whose last one may just be going. False: it is gone."""
    count = node.references.load()
    while count != 0:
        count, done = node.references.compare_exchange(count, count + 1)
        if done:
            return True
    return False


@metal
def find_shared(share: Share, path: u64, mode: u32) -> Ptr[Node]:
    """The node of a file, with a reference, or None. With the lock."""
    bucket = share.buckets[path % BUCKETS]
    each = bucket.head()
    while each is not None:
        if each.path == path and (each.node.mode & S_IFMT) == (mode & S_IFMT) and hold_living(each.node):
            return each.node
        each = bucket.after(each)
    return None


@metal
def refresh(node: Node, attributes: Attributes) -> None:
    """Take over what the server says of a file."""
    shared_of(node).vague = False
    with node.lock:
        node.mode = (node.mode & S_IFMT) | (attributes.mode & ~u32(S_IFMT))
        node.links = attributes.links
        node.user = attributes.user
        node.group = attributes.group
        node.special_device = attributes.special_device
        node.size = attributes.size
        node.access_time = attributes.access_time
        node.modify_time = attributes.modify_time
        node.change_time = attributes.change_time


@metal
def node_for(share: Share, qid: Qid, attributes: Attributes) -> Ptr[Node]:
    """The node of a file that the server has described, with a reference; None: memory is out."""
    found, fresh = node_at(share, qid, attributes)
    if found is not None and not fresh:
        refresh(found, attributes)
    return found


@metal
def vague_node(share: Share, qid: Qid) -> Ptr[Node]:
    """The node of a folder of which nothing else is known, with a reference; None: memory is out."""
    found, fresh = node_at(share, qid, Attributes(mode=S_IFDIR, links=2))
    if fresh:
        shared_of(found).vague = True
    return found


@metal
def node_at(share: Share, qid: Qid, attributes: Attributes) -> tuple[Ptr[Node], bool]:
    """The node of a file, with a reference, and whether it was made now, with these attributes. None: memory is out."""
    with share.lock:
        found = find_shared(share, qid.path, attributes.mode)
    if found is not None:
        return found, False
    made = nodes.allocate()
    if made is None:
        return None, False
    shared = shared_files.allocate()
    if shared is None:
        nodes.free(made)
        return None, False
    made.references.store(1)
    made.mode = attributes.mode & S_IFMT
    made.number = qid.path
    made.source.number = qid.path
    made.remote = unsafe.address(shared)
    shared.node = made
    shared.share = share
    shared.path = qid.path
    refresh(made, attributes)
    with share.lock:
        found = find_shared(share, qid.path, attributes.mode)
        if found is None:
            share.buckets[qid.path % BUCKETS].append(shared)
            return made, True
    shared_files.free(shared)
    nodes.free(made)
    return found, False


@metal
def describe_by(entry: Entry, fid: u32, attributes: Attributes) -> i64:
    """What the server says of a file by one of its fids (NO_FID: it is no longer found by its name); of one that is
    gone while it is open, what it was last, with no name. 0 or an errno."""
    node: Node = entry.node
    qid = Qid()
    error: i64 = -ENOENT
    if fid != NO_FID:
        error = describe(share_of(entry).session, fid, qid, attributes)
    gone = error == -ENOENT
    if error == 0:
        gone = qid.path != shared_of(node).path or (attributes.mode & S_IFMT) != entry.kind()
    if gone:
        node.describe(attributes)
        attributes.links = 0
        error = 0
    elif error == 0:
        refresh(node, attributes)
    attributes.device = entry.tree.device
    return error


@metal
def end_shared(node: Node) -> None:
    """Nobody refers to a node of a share any more. Nothing of it is mapped."""
    shared = shared_of(node)
    share: Share = shared.share
    with share.lock:
        share.buckets[shared.path % BUCKETS].remove(shared)
    if shared.fresh is not None:
        shared.fresh.drop()
    shared_files.free(shared)
