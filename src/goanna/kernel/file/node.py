"""The node: a file in memory, whatever names it has (Linux: struct inode). It may lie over a file of the image.

What a node over the image holds itself covers what the image says: attributes at once, content page by page. All
nodes share one budget of memory; what does not fit into it is refused with ENOSPC.
"""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import Attributes, Space
from goanna.kernel.file.erofs import Image, Inode
from goanna.kernel.file.flags import S_IFBLK, S_IFCHR, S_IFDIR, S_IFMT, S_IFREG
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.page_map import MAXIMUM_INDEX, PageMap
from goanna.kernel.memory.source import PageSource
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.time.wall import real_time
from goanna.metal import Atomic, Fn, Ptr, copy, hook, i64, metal, static, struct, u32, u64

__all__ = [
    "Budget",
    "Node",
    "budgets",
    "charge",
    "create_node",
    "drop_budget",
    "image_node",
    "now",
    "number_from",
    "set_budget",
    "space_total",
    "space_used",
    "uncharge",
]

NODE_COST = 1024  # bytes that a file without content counts as: node, name, slack

_budget = static(u64)  # bytes
_used = static(Atomic[u64])  # bytes
_last_number = static(Atomic[u64])  # of nodes that no image has

# What else hangs on a node that nobody refers to any more: pipes, extended attributes.
on_node_end = hook(Fn[["Node"], None])


@struct
class Budget:
    """What the files of one tree may take, of what all may (tmpfs(5): size, nr_inodes)."""

    references: Atomic[u64]  # the tree's, and one of each file
    most: u64  # bytes of content; 0: no limit of its own
    used: Atomic[u64]
    most_files: u64  # 0: no limit of its own
    mode: u32  # of the tree's top, as it was asked for; and who it was to belong to
    user: u32
    group: u32

    def take_file(self) -> bool:
        """Let one file more count. False: there are as many as there may be. `drop_budget` is the way back."""
        if self.references.add(1) <= self.most_files or self.most_files == 0:
            return True
        self.references.sub(1)
        return False

    def take(self, bytes: u64) -> bool:
        """Take bytes. False: there are not so many."""
        if self.used.add(bytes) + bytes <= self.most or self.most == 0:
            return True
        self.used.sub(bytes)
        return False

    def limit(self, space: Space) -> None:
        """Put the limits into what statfs tells of all files."""
        if self.most != 0:
            space.total = self.most
            space.free = min(space.free, self.most - min(self.most, self.used.load()))
        if self.most_files != 0:
            space.files = self.most_files
            space.files_free = self.most_files - min(self.most_files, self.references.load() - 1)


budgets = Cache(Budget)


@metal
def drop_budget(budget: Ptr[Budget]) -> None:
    """Give back what take_file took, or a tree's reference."""
    if budget is not None and budget.references.sub(1) == 1:
        budgets.free(budget)


@struct
class Node:
    """Whoever uses it holds a reference: its names, open files, mappings."""

    references: Atomic[u32]
    mode: u32  # type and permissions; `lock` for changes of all attributes
    user: u32
    group: u32
    links: u32  # names
    seals: u32  # F_SEAL_ bits
    sealable: bool  # it is a memfd, or of a tree that is tmpfs to programs
    number: u64
    special_device: u64  # of a device file
    size: u64  # bytes; written with `mutex` and `lock`
    access_time: i64  # nanoseconds since 1970
    modify_time: i64
    change_time: i64
    birth_time: i64
    mutex: Mutex  # held by what changes content and size
    lock: SpinLock  # protects attributes and pages; no other but those of memory is taken with it
    pages: PageMap
    source: PageSource  # its pages for mappings; one reference while any is mapped
    image: Ptr[Image]  # None: all of it is in memory
    inode: Inode  # in the image
    image_end: u64  # bytes of the image's content that count: what was cut off does not come back
    attached: u64  # address of what a pipe or socket has
    remote: u64  # address of what a file of a shared folder has; 0: it is none
    extended: u64  # address of the first extended attribute
    locks: u64  # address of the locks on it
    watches: u64  # address of who is told of changes
    writers: Atomic[u32]  # descriptions open for writing
    running: Atomic[u32]  # processes whose program it is
    readers: Atomic[u32]  # descriptions open for reading only
    budget: Ptr[Budget]  # its tree's own, or None

    def charge(self, bytes: u64) -> bool:
        """Take bytes of its tree's budget and of the one of all. False: there are not so many."""
        if self.budget is not None and not self.budget.take(bytes):
            return False
        if charge(bytes):
            return True
        if self.budget is not None:
            self.budget.used.sub(bytes)
        return False

    def uncharge(self, bytes: u64) -> None:
        """Give them back."""
        uncharge(bytes)
        if self.budget is not None:
            self.budget.used.sub(bytes)

    def kind(self) -> u32:
        """The type bits of the mode."""
        return self.mode & S_IFMT

    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.kind() == S_IFDIR

    def hold(self) -> None:
        """One reference more. The caller has one."""
        self.references.add(1)

    def drop(self) -> None:
        """One reference less; the last one frees the file. May take time."""
        if self.references.sub(1) == 1:
            end_node(self)

    def modified(self) -> None:
        """The content has changed."""
        with self.lock:
            self.modify_time = now()
            self.change_time = self.modify_time

    def changed(self) -> None:
        """An attribute has changed."""
        with self.lock:
            self.change_time = now()

    def accessed(self, strict: bool) -> None:
        """The content was read: noted always, or only as the mount option relatime does."""
        time = now()
        with self.lock:
            if strict or self.access_time <= max(self.modify_time, self.change_time) or time - self.access_time >= DAY:
                self.access_time = time

    def set_links(self, links: u32) -> None:
        """Say how many names it has."""
        with self.lock:
            self.links = links
            self.change_time = now()

    def describe(self, attributes: Attributes) -> None:
        """What stat tells, but for the device."""
        with self.lock:
            attributes.inode = self.number
            attributes.mode = self.mode
            attributes.links = self.links
            attributes.user = self.user
            attributes.group = self.group
            attributes.special_device = self.special_device
            attributes.size = self.size
            attributes.access_time = self.access_time
            attributes.modify_time = self.modify_time
            attributes.change_time = self.change_time
            attributes.birth_time = self.birth_time
            attributes.has_birth_time = self.birth_time != 0
            attributes.has_blocks = True
            attributes.blocks = self.taken_pages() * (PAGE_SIZE // 512)

    def taken_pages(self) -> u64:
        """Pages of content, in memory or in the image. With the lock."""
        if self.kind() != S_IFREG:
            return 0
        if self.image is None:
            return self.pages.count
        return max(self.pages.count, (self.image_end + (PAGE_SIZE - 1)) // PAGE_SIZE)


MOST_SECONDS = 9_000_000_000  # before or since 1970, of a file of the image: what 64 bits of nanoseconds hold
MOST_LINKS = 1 << 30
DAY = 24 * 3600 * 1_000_000_000

nodes = Cache(Node)


@metal
def now() -> i64:
    """The time, for marks on files: nanoseconds since 1970."""
    return i64(real_time())


@metal
def set_budget(bytes: u64) -> None:
    """Say how much memory files may take. At boot."""
    global _budget
    _budget = bytes


@metal
def number_from(last: u64) -> None:
    """Say after which number new files are numbered, if not after a greater one. At boot."""
    _last_number.store(max(_last_number.load(), last))


@metal
def charge(bytes: u64) -> bool:
    """Take bytes of the budget. False: there are not so many."""
    if _used.add(bytes) + bytes <= _budget:
        return True
    _used.sub(bytes)
    return False


@metal
def uncharge(bytes: u64) -> None:
    """Give bytes of the budget back."""
    _used.sub(bytes)


@metal
def space_total() -> u64:
    """The budget, in bytes."""
    return _budget


@metal
def space_used() -> u64:
    """How much of it is used."""
    return min(_used.load(), _budget)


@metal
def create_node(mode: u32, user: u32, group: u32) -> Ptr[Node]:
    """A new file with one reference and one name, or None: it does not fit."""
    if not charge(NODE_COST):
        return None
    node = nodes.allocate()
    if node is None:
        uncharge(NODE_COST)
        return None
    node.references.store(1)
    node.mode = mode
    node.user = user
    node.group = group
    node.links = 1
    node.number = _last_number.add(1) + 1
    node.birth_time = now()
    node.access_time = node.birth_time
    node.modify_time = node.birth_time
    node.change_time = node.birth_time
    node.source.number = node.number
    return node


@metal
def image_node(image: Image, inode: Inode) -> Ptr[Node]:
    """A node over a file of the image, with one reference, or None: memory is out."""
    node = nodes.allocate()
    if node is None:
        return None
    node.references.store(1)
    node.image = image
    copy(node.inode, inode)
    node.mode = inode.mode
    node.user = inode.user
    node.group = inode.group
    node.links = min(max(inode.links, 1), MOST_LINKS)
    node.number = inode.nid
    if inode.kind() in (S_IFCHR, S_IFBLK):
        node.special_device = u64(inode.device)
    node.size = inode.size
    node.image_end = inode.size
    seconds = min(max(i64.wrap(inode.modified), -MOST_SECONDS), MOST_SECONDS)
    time = seconds * 1_000_000_000 + i64(inode.modified_nanoseconds)
    node.access_time = time
    node.modify_time = time
    node.change_time = time
    node.source.number = node.number
    return node


@metal
def end_node(node: Node) -> None:
    """Free a file that nobody refers to."""
    on_node_end(node)
    cut_pages(node, 0)
    if node.image is None and node.remote == 0:
        uncharge(NODE_COST)
    drop_budget(node.budget)
    nodes.free(node)


PAGES_AT_ONCE = 512  # released under one hold of the lock


@metal
def cut_pages(node: Node, first: u64) -> None:
    """Release the pages from an index on. Those who map them keep them."""
    while True:
        with node.lock:
            before = node.pages.count
            last = node.pages.last()
            if last == MAXIMUM_INDEX or last < first:
                if before == 0 and first == 0:
                    node.pages.clear_from(0)
                return
            node.pages.clear_from(max(first, last - min(last, PAGES_AT_ONCE - 1)))
            released = before - node.pages.count
        node.uncharge(released * PAGE_SIZE)
