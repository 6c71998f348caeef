"""Puts folders of the host into the file tree, each at its place."""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import ENOMEM, ENOTDIR
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.flags import S_IFDIR
from goanna.kernel.file.mount import mount_at
from goanna.kernel.file.node import Node
from goanna.kernel.file.tree import Entry
from goanna.kernel.memory import pages
from goanna.kernel.share import requests
from goanna.kernel.share.message import Qid
from goanna.kernel.share.node import Share, node_for
from goanna.kernel.share.tree import fill_tree
from goanna.metal import Array, Ptr, Slice, fill, i64, metal, sizeof, static, u8, u32, u64, unsafe

__all__ = ["MAXIMUM_SHARES", "mount_share", "new_share"]

MAXIMUM_SHARES = 8
FIRST_DEVICE = 32  # 0:32

shares = static(Array[Ptr[Share], MAXIMUM_SHARES])
share_count = static(u64)


@metal
def new_share() -> Ptr[Share]:
    """A share whose session is to be given its transport; None: there are too many, or memory is out. At boot."""
    global share_count
    if share_count == MAXIMUM_SHARES:
        return None
    order: u32 = 0
    while (u64(PAGE_SIZE) << u64(order)) < sizeof(Share):
        order += 1
    memory = pages.allocate_order(order)
    if memory == 0:
        return None
    fill(unsafe.slice(u8, virtual(memory), u64(PAGE_SIZE) << u64(order)), 0)
    shares[share_count] = unsafe.pointer(Share, virtual(memory))
    share_count += 1
    return shares[share_count - 1]


@metal
def mount_share(share: Share, parent: Entry, name: Slice[u8], read_only: bool) -> i64:
    """Begin the session, and let the folder stand under a name in a directory. At boot. 0, -EIO, -ENOTDIR, -ENOMEM or
    what the server says."""
    error = share.session.start()
    if error < 0:
        return error
    fill_tree(share, FIRST_DEVICE + share_count - 1, read_only)
    qid = Qid()
    attributes = Attributes()
    error = requests.describe(share.session, 0, qid, attributes)
    if error < 0:
        return error
    node: Ptr[Node] = node_for(share, qid, attributes)
    if node is None:
        return -ENOMEM
    if node.kind() != S_IFDIR:
        node.drop()
        return -ENOTDIR
    return 0 if mount_at(parent, name, share.tree, 0, node) is not None else -ENOMEM
