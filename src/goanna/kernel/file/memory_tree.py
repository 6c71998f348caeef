"""Trees in memory: the root, which lies over the image, and trees without anything below (tmpfs).

Their entries are the directories (tree.py), their nodes the files. A directory that lies over one of the image has the
image's names too, but for those that an entry stands for, be it a negative one.
"""

from goanna.kernel.base.errno import EINVAL, ENOENT, ENOMEM, ENOSPC, ENOTEMPTY, ENXIO, EUCLEAN
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import (
    CHANGE_ACCESS_TIME,
    CHANGE_GROUP,
    CHANGE_MODE,
    CHANGE_MODIFY_TIME,
    CHANGE_SIZE,
    CHANGE_USER,
    Attributes,
    Change,
    Space,
)
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.directory import DirectoryWriter, entry_type
from goanna.kernel.file.erofs import BLOCK, DirectoryEntry, Image, Inode, entries_in, name_in
from goanna.kernel.file.erofs import Entry as ImageEntry
from goanna.kernel.file.events import IN_ACCESS, IN_ATTRIB, IN_MODIFY
from goanna.kernel.file.flags import (
    NAME_MAX,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    SEEK_CUR,
    SEEK_SET,
    ST_RELATIME,
)
from goanna.kernel.file.memory_file import SEAL_SEAL, open_node, truncate_node
from goanna.kernel.file.named_pipe import open_named_pipe
from goanna.kernel.file.node import (
    NODE_COST,
    Node,
    create_node,
    drop_budget,
    image_node,
    now,
    space_total,
    space_used,
)
from goanna.kernel.file.node_pages import content, own_page, page_bytes
from goanna.kernel.file.seek import read_directory
from goanna.kernel.file.tree import (
    COVERS,
    NEGATIVE,
    PINNED,
    Entry,
    Tree,
    attributes_by_entry,
    entries_lock,
    find_entry,
    hash_of,
    own,
    tell_both,
)
from goanna.kernel.identity.credentials import CAP_FSETID, capable, in_group, mine
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import Cache
from goanna.metal import (
    Array,
    Fn,
    Ptr,
    Slice,
    add_overflows,
    constant,
    hook,
    i64,
    metal,
    sizeof,
    static,
    struct,
    u8,
    u32,
    u64,
    unsafe,
)

__all__ = ["lookup_image", "make_tree"]

S_ISGID = 0o2000
NAME_COST = 20  # bytes by which a name adds to the size of its directory (Linux BOGO_DIRENT_SIZE)
TMPFS_MAGIC = 0x01021994

# Opens what a device file of that number stands for.
open_device = hook(Fn[[u64, u32], tuple[Ptr[Description], i64]])

LINKED_BUCKETS = 64


@struct
class Linked:
    """A file of the image that has several names, found again by each of them."""

    next: Ptr["Linked"]
    node: Ptr[Node]  # referenced


linked = static(Array[Ptr[Linked], LINKED_BUCKETS])
linked_lock = static(SpinLock)  # protects `linked`
linked_records = Cache(Linked)


@metal
def lookup_image(parent: Entry, name: Slice[u8], child: Entry) -> i64:
    """Tree.lookup: what the image has under a name."""
    directory: Node = parent.node
    if directory.image is None:
        return -ENOENT
    image: Image = directory.image
    nid, missing = image.lookup(directory.inode, name)
    if missing < 0:
        return missing
    inode = Inode()
    error = image.inode(nid, inode)
    if error < 0:
        return error
    child.node = find_node(image, inode)
    if child.node is None:
        return -ENOMEM
    child.mode = inode.mode
    child.flags = COVERS
    return 0


@metal
def find_node(image: Image, inode: Inode) -> Ptr[Node]:
    """The node over a file of the image, with a reference, or None: memory is out."""
    if inode.links < 2 or inode.kind() == S_IFDIR:
        return image_node(image, inode)
    with linked_lock:
        found = find_linked(image, inode.nid)
        if found is not None:
            return found
    made = image_node(image, inode)
    if made is None:
        return None
    record = linked_records.allocate()
    if record is None:
        made.drop()
        return None
    with linked_lock:
        found = find_linked(image, inode.nid)
        if found is None:
            made.hold()
            record.node = made
            record.next = linked[inode.nid % LINKED_BUCKETS]
            linked[inode.nid % LINKED_BUCKETS] = record
            return made
    linked_records.free(record)
    made.drop()
    return found


@metal
def find_linked(image: Image, nid: u64) -> Ptr[Node]:
    """The node over a file that has several names, with a reference, or None. With linked_lock."""
    record = linked[nid % LINKED_BUCKETS]
    while record is not None:
        if record.node.image is image and record.node.inode.nid == nid:
            record.node.hold()
            return record.node
        record = record.next
    return None


@metal
def node_attributes(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    entry.node.describe(attributes)
    attributes.device = entry.tree.device
    return 0


@metal
def read_node_link(entry: Entry, buffer: Slice[u8]) -> i64:
    """Tree.read_link."""
    node: Node = entry.node
    done: u64 = 0
    while done < len(buffer) and done < node.size:
        part, page, error = content(node, done, min(len(buffer), node.size) - done)
        if error < 0:
            return error
        buffer[done : done + len(part)] = part
        done += len(part)
        if page != 0:
            pages.release(page)
    return i64(done)


@metal
def open_entry_node(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    node: Node = entry.node
    description: Ptr[Description] = None
    kind = entry.kind()
    if kind == S_IFREG:
        description = open_node(node, flags)
    elif kind == S_IFDIR:
        description = create(DIRECTORY, flags, 0)
    elif kind == S_IFIFO:
        return open_named_pipe(node, flags)
    elif kind == S_IFCHR:
        return open_device(node.special_device, flags)
    else:
        return None, -ENXIO
    return description, 0 if description is not None else -ENOMEM


@metal
def node_space(entry: Entry, space: Space) -> i64:
    """Tree.space: the budget that all have in common."""
    space.total = space_total()
    space.free = space.total - space_used()
    space.files = space.total // NODE_COST
    space.files_free = space.free // NODE_COST
    if entry.node.budget is not None:
        entry.node.budget.limit(space)
    return 0


@metal
def create_in(parent: Entry, child: Entry, device: u64, text: Slice[u8]) -> i64:
    """Tree.create."""
    me = mine()
    directory: Node = parent.node
    mode = child.mode
    group = me.file_group
    if (directory.mode & S_ISGID) != 0:
        group = directory.group
        if (mode & S_IFMT) == S_IFDIR:
            mode |= S_ISGID
        elif (mode & 0o2010) == 0o2010 and not in_group(group) and not capable(CAP_FSETID):
            mode &= ~u32(S_ISGID)
    budget = directory.budget
    if budget is not None and not budget.take_file():
        return -ENOSPC
    node = create_node(mode, me.file_user, group)
    if node is None:
        drop_budget(budget)
        return -ENOSPC
    node.budget = budget
    if (mode & S_IFMT) == S_IFDIR:
        node.links = 2
        node.size = 2 * NAME_COST
    elif (mode & S_IFMT) == S_IFLNK:
        page, error = own_page(node, 0)
        if error < 0:
            node.drop()
            return error
        page_bytes(page)[0 : len(text)] = text
        pages.release(page)
        node.size = len(text)
    node.special_device = device
    if parent.tree.magic == TMPFS_MAGIC:
        node.sealable = True
        node.seals = SEAL_SEAL
    child.mode = mode
    child.node = node
    return 0


@metal
def check_empty(entry: Entry) -> i64:
    """Tree.empty."""
    directory: Node = entry.node
    with entries_lock:
        child = entry.children.first()
        while child is not None:
            if not child.has(NEGATIVE):
                return -ENOTEMPTY
            child = entry.children.after(child)
    if directory.image is None:
        return 0
    image: Image = directory.image
    position: u64 = 0
    below = ImageEntry()
    while True:
        found = image.entry(directory.inode, position, below)
        if found <= 0:
            return found
        position = below.next
        if not is_dots(below.name()) and not hidden(entry, below.name()):
            return -ENOTEMPTY


@metal
def is_dots(name: Slice[u8]) -> bool:
    """Whether a name of the image is . or .."""
    return len(name) <= 2 and name[0] == 0x2E and name[len(name) - 1] == 0x2E


@metal
def hidden(directory: Entry, name: Slice[u8]) -> bool:
    """Whether an entry stands for a name that the image has."""
    hash = hash_of(directory, name)
    with entries_lock:
        found = find_entry(directory, name, hash)
        return found is not None and found.has(PINNED)


@metal
def change_node(entry: Entry, change: Change) -> i64:
    """Tree.change."""
    node: Node = entry.node
    own(entry)
    if change.wants(CHANGE_SIZE):
        error = truncate_node(node, change.size)
        if error < 0:
            return error
        tell_both(entry, IN_MODIFY)
    if (change.what & ~CHANGE_SIZE) == 0:
        return 0
    with node.lock:
        if change.wants(CHANGE_MODE):
            node.mode = (node.mode & S_IFMT) | (change.mode & 0o7777)
        if change.wants(CHANGE_USER):
            node.user = change.user
        if change.wants(CHANGE_GROUP):
            node.group = change.group
        if change.wants(CHANGE_ACCESS_TIME):
            node.access_time = change.access_time
        if change.wants(CHANGE_MODIFY_TIME):
            node.modify_time = change.modify_time
        node.change_time = now()
    tell_both(entry, event_of(change))
    return 0


@metal
def event_of(change: Change) -> u32:
    """What a change of attributes is to those who watch (fsnotify_change)."""
    if change.what == CHANGE_ACCESS_TIME:
        return IN_ACCESS
    return IN_MODIFY if change.what == CHANGE_MODIFY_TIME else u32(IN_ATTRIB)


IMAGE_NAMES = 1 << 61  # positions from here on are those of the image's names
THE_END = 1 << 62


@metal
def list_directory(description: Description, writer: DirectoryWriter) -> i64:
    """getdents64: . and .., the pinned entries, then the names that only the image has."""
    directory: Entry = description.entry.real()
    if directory.node.links == 0:
        return -ENOENT
    tell_both(directory, IN_ACCESS)
    if description.position < 2 and not list_dots(description, writer, directory):
        return writer.result()
    if description.position < IMAGE_NAMES and not list_children(description, writer, directory):
        return writer.result()
    if directory.node.image is not None:
        error = list_image(description, writer, directory)
        if error < 0 and writer.written == 0:
            return error
    return writer.result()


@metal
def list_dots(description: Description, writer: DirectoryWriter, directory: Entry) -> bool:
    """The first two names. False: no room."""
    if description.position == 0:
        if not writer.add(b".", directory.node.number, 4, 1):
            return False
        description.position = 1
    above = directory.node.number
    with entries_lock:
        if directory.parent is not None and directory.parent.node is not None:
            above = directory.parent.node.number
    if not writer.add(b"..", above, 4, 2):
        return False
    description.position = 2
    return True


@struct
class Listed:
    """What getdents64 says of a pinned entry."""

    cookie: u64
    inode: u64
    length: u64  # of the name
    kind: u8
    name: Array[u8, NAME_MAX + 1]


LISTED_AT_ONCE = 8  # in one hold of the lock


@metal
def list_children(description: Description, writer: DirectoryWriter, directory: Entry) -> bool:
    """The pinned entries. False: no room."""
    some = Array[Listed, LISTED_AT_ONCE]()
    while True:
        count: u64 = 0
        with entries_lock:
            child = directory.children.at_least(description.position)
            while child is not None and count < LISTED_AT_ONCE:
                if not child.has(NEGATIVE):
                    each = some[count]
                    each.length = u64(child.length)
                    each.name[0 : each.length] = child.text()
                    each.inode = child.number + 1 if child.node is None else child.node.number
                    each.kind = entry_type(child.mode)
                    each.cookie = child.cookie
                    count += 1
                child = directory.children.after(child)
        if count == 0:
            description.position = IMAGE_NAMES
            return True
        for index in range(count):
            each = some[index]
            if not writer.add(each.name[0 : each.length], each.inode, each.kind, each.cookie + 1):
                return False
            description.position = each.cookie + 1


# d_type by EROFS's own numbers: unknown, file, directory, character device, block device, pipe, socket, link.
TYPES = constant(Array[u8, 8], [0, 8, 4, 2, 6, 1, 12, 10])


@metal
def list_image(description: Description, writer: DirectoryWriter, directory: Entry) -> i64:
    """The names that only the image has. 0, or -EIO or -EUCLEAN where it is damaged."""
    image: Image = directory.node.image
    inode = directory.node.inode
    with entries_lock:
        changed = directory.children.first() is not None
    while description.position < THE_END:
        position = description.position - IMAGE_NAMES
        if position >= inode.size:
            description.position = THE_END
            return 0
        data, error = image.directory_block(inode, position // BLOCK)
        if error < 0:
            return error
        result = list_block(description, writer, directory, data, changed)
        image.let_go(unsafe.address(data))
        if result <= 0:
            return result
    return 0


@metal
def list_block(
    description: Description, writer: DirectoryWriter, directory: Entry, data: Slice[u8], changed: bool
) -> i64:
    """The names of one block of the image, from the position on. 1; 0: no room; -EUCLEAN. `changed`: some of them may
    be hidden."""
    block = (description.position - IMAGE_NAMES) & ~u64(BLOCK - 1)
    count = entries_in(data)
    index = (description.position - IMAGE_NAMES - block) // sizeof(DirectoryEntry)
    while index < count:
        name, nid, type = name_in(data, index, count)
        if len(name) == 0:
            return -EUCLEAN
        index += 1
        following = IMAGE_NAMES + block + (index * sizeof(DirectoryEntry) if index < count else u64(BLOCK))
        if not is_dots(name) and not (changed and hidden(directory, name)):
            kind = TYPES[u64(type)] if type < 8 else u8(0)
            if not writer.add(name, nid, kind, following):
                return 0
        description.position = following
    description.position = IMAGE_NAMES + block + BLOCK
    return 1


@metal
def seek_directory(description: Description, offset: i64, whence: u32) -> i64:
    """lseek of a directory: to where getdents64 has been."""
    if whence not in (SEEK_CUR, SEEK_SET):
        return -EINVAL
    place, overflowed = add_overflows(i64(description.position) if whence == SEEK_CUR else i64(0), offset)
    return -EINVAL if overflowed or place < 0 else place


DIRECTORY = constant(
    Operations,
    {
        "positional": True,
        "read": read_directory,
        "seek": seek_directory,
        "attributes": attributes_by_entry,
        "list": list_directory,
    },
)


def make_tree(device: int, magic: int = TMPFS_MAGIC, label: bytes = b"tmpfs"):
    """A tree in memory with a device number of its own."""
    return static(
        Tree,
        {
            "lookup": lookup_image,
            "attributes": node_attributes,
            "read_link": read_node_link,
            "open": open_entry_node,
            "space": node_space,
            "create": create_in,
            "empty": check_empty,
            "change": change_node,
            "label": label,
            "magic": magic,
            "device": device,
            "cached": True,
            "flags": ST_RELATIME,
        },
    )
