"""The root: the read-only tree of the image, and what the machine has made of it since; and trees of memory alone.

All of them share one budget of memory, half of RAM unless a setting says otherwise (`filespace`).
"""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.file.drive import Drive
from goanna.kernel.file.erofs import DirectoryEntry, Image, Inode
from goanna.kernel.file.memory_tree import make_tree
from goanna.kernel.file.mount import mount_at, mount_top
from goanna.kernel.file.node import create_node, image_node, number_from, set_budget
from goanna.kernel.file.tree import Entry, Tree, root_entry
from goanna.kernel.memory.pages import total_pages
from goanna.metal import Ptr, Slice, i64, metal, sizeof, static, u8, u64

__all__ = ["SHM_TREE", "mount_image", "mount_memory", "mount_root", "root_image"]

OVERLAY_MAGIC = 0x794C7630
ROOT_DEVICE = 16  # 0:16
EMPTY_DIRECTORY = 2 * sizeof(DirectoryEntry) + len("." + "..")  # bytes
SLOT = 32  # bytes of an image for each of its inode numbers, at least

root_image = static(Image)
further_image = static(Image)

ROOT_TREE = make_tree(ROOT_DEVICE, OVERLAY_MAGIC, b"overlay")
TMP_TREE, RUN_TREE, SHM_TREE = make_tree(24), make_tree(25), make_tree(26)
FURTHER_TREE = make_tree(17, OVERLAY_MAGIC, b"overlay")


@metal
def mount_root(base: u64, size: u64) -> i64:
    """Make the image of `size` bytes at `base` (direct map, on a page) the root, and let /tmp and /run be in memory,
    but for one in which the image has files. Half of RAM is for files, until set_budget says otherwise. At boot. 0,
    -EINVAL, -EIO, -EUCLEAN or -ENOMEM, which a root has, too, that nothing can be put over."""
    error = root_image.mount(base, size)
    if error < 0:
        return error
    set_budget(total_pages() // 2 * PAGE_SIZE)
    number_from(size // SLOT)
    inode = Inode()
    error = root_image.inode(root_image.root, inode)
    if error < 0:
        return error
    root_entry.tree = ROOT_TREE
    root_entry.mode = inode.mode
    root_entry.node = image_node(root_image, inode)
    if root_entry.node is None:
        return -ENOMEM
    mount_top(root_entry)
    if not filled(inode, b"tmp") and not mount_memory(root_entry, b"tmp", TMP_TREE):
        return -ENOMEM
    if not filled(inode, b"run") and not mount_memory(root_entry, b"run", RUN_TREE):
        return -ENOMEM
    return 0


@metal
def mount_image(base: u64, drive: Ptr[Drive], size: u64, parent: Entry, name: Slice[u8]) -> i64:
    """Put the tree of another image, of `size` bytes at `base` or on a drive, into a directory; there is memory over
    it, as over the root. At boot, once. 0, -EINVAL, -EIO, -EUCLEAN or -ENOMEM."""
    further_image.drive = drive
    error = further_image.mount(base, size)
    if error < 0:
        return error
    inode = Inode()
    error = further_image.inode(further_image.root, inode)
    if error < 0:
        return error
    number_from(max(root_image.size, size) // SLOT)
    node = image_node(further_image, inode)
    if node is None or mount_at(parent, name, FURTHER_TREE, 0, node) is None:
        return -ENOMEM
    return 0


@metal
def filled(top: Inode, name: Slice[u8]) -> bool:
    """Whether the image has something in a directory at its top."""
    number, error = root_image.lookup(top, name)
    inode = Inode()
    if error < 0 or root_image.inode(number, inode) < 0:
        return False
    return inode.size > EMPTY_DIRECTORY


@metal
def mount_memory(parent: Ptr[Entry], name: Slice[u8], tree: Tree) -> bool:
    """Let a directory be an empty tree of memory. At boot. False: memory is out."""
    if parent is None:
        return False
    node = create_node(0o041777 if name != b"run" else 0o040755, 0, 0)
    if node is None:
        return False
    node.links = 2
    node.size = 40
    return mount_at(parent, name, tree, 0, node) is not None
