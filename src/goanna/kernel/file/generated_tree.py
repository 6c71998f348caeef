"""The tree of generated files: /proc, /sys and /dev, made at build time of the declarations in the tables.

A file's number says which node it is and whom it is about: the node's index, the process, and a thread or descriptor.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EACCES, EFAULT, EINVAL, ENOENT, ENOMEM, ENXIO, ESRCH
from goanna.kernel.base.text import Text
from goanna.kernel.file import device_files, mapping_files, process_files, system_files
from goanna.kernel.file.attributes import Attributes, device_number
from goanna.kernel.file.declare import Generated, Generator, Jump, LinkText
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.directory import DirectoryWriter, entry_type
from goanna.kernel.file.flags import O_ACCMODE, O_RDONLY, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG
from goanna.kernel.file.image_tree import SHM_TREE, mount_memory
from goanna.kernel.file.memory_tree import open_device
from goanna.kernel.file.pts_tree import mount_pts
from goanna.kernel.file.seek import read_directory, seek_file
from goanna.kernel.file.subject import Subject, hold_files, next_id
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS, drop_table
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import Entry, Tree, attributes_by_entry, mount_at, root_entry
from goanna.kernel.memory import pages
from goanna.kernel.time.wall import real_time
from goanna.metal import Array, Ptr, Slice, constant, i32, i64, metal, struct, u8, u16, u32, u64, unsafe

PROC_MAGIC = 0x9FA0
SYSFS_MAGIC = 0x62656572
TMPFS_MAGIC = 0x01021994
GENERATED_DEVICE = 21  # 0:21

# What a node's name is.
LITERAL = 0
PROCESS = 1  # {pid}
THREAD = 2  # {tid}
DESCRIPTOR = 3  # {fd}
PATTERNS = {"{pid}": PROCESS, "{tid}": THREAD, "{fd}": DESCRIPTOR}


@struct
class Node:
    """One declared file or directory."""

    name: Array[u8, 32]
    length: u8
    pattern: u8
    first: u16  # child; 0: none
    next: u16  # of the same parent; 0: none
    parent: u16
    mode: u32  # type too
    device: u32
    text: Generator
    link: LinkText
    jump: Jump
    operations: Ptr[Operations]

    def called(self) -> Slice[u8]:
        """The name, of a LITERAL one."""
        return self.name[0 : u64(self.length)]


def _build() -> list[dict]:
    """The nodes: a directory before what is in it; node 0 stands above the three trees."""
    nodes: list[dict] = [{"name": b"", "mode": S_IFDIR | 0o555}]
    places: dict[str, int] = {"": 0}

    def add(path: str, node: dict) -> None:
        above, _, name = path.rpartition("/")
        if above not in places:
            add(above, {"mode": S_IFDIR | 0o555})
        index, parent = len(nodes), nodes[places[above]]
        pattern = PATTERNS.get(name, LITERAL)
        literal = name.encode() if pattern == LITERAL else b""
        node |= {"name": literal, "length": len(literal), "pattern": pattern, "parent": places[above]}
        if "first" not in parent:
            parent["first"] = index
        else:
            last = nodes[parent["first"]]
            while "next" in last:
                last = nodes[last["next"]]
            last["next"] = index
        nodes.append(node)
        places[path] = index

    for each in device_files.FILES + process_files.FILES + mapping_files.FILES + system_files.FILES:
        add(each.path, _node(each))
    return nodes


def _node(each: Generated) -> dict:
    if each.text is not None:
        return {"mode": S_IFREG | each.mode, "text": each.text}
    if each.operations is not None:
        device = each.device[0] << 8 | each.device[1]
        return {"mode": S_IFCHR | each.mode, "operations": each.operations, "device": device}
    if each.link is not None:
        return {"mode": S_IFLNK | 0o777, "link": each.link} | ({"jump": each.jump} if each.jump else {})
    return {"mode": S_IFDIR | each.mode}


_nodes = _build()
NODES = constant(Array[Node, len(_nodes)], _nodes)
_TOPS = {bytes(each["name"]): index for index, each in enumerate(_nodes) if each.get("parent") == 0 and index != 0}

SHORT = 128  # bytes that are read without a page to write them to first
INDEX_BITS = 16
ITEM_SHIFT = 40


@metal
def number_of(index: u64, process: u32, item: u32) -> u64:
    """A file's number."""
    return index | (u64(process) << INDEX_BITS) | (u64(item) << ITEM_SHIFT)


@metal
def node_of(number: u64) -> Node:
    """The node that a file's number names."""
    return NODES[number & 0xFFFF]


@metal
def process_of(number: u64) -> u32:
    """The process that a file is about; 0: none."""
    return u32((number >> INDEX_BITS) & 0xFFFFFF)


@metal
def item_of(number: u64) -> u32:
    """The thread or descriptor that a file is about."""
    return u32(number >> ITEM_SHIFT)


@metal
def in_thread(index: u64) -> bool:
    """Whether a node lies below a {tid}."""
    at = index
    while at != 0:
        if NODES[at].pattern == THREAD:
            return True
        at = u64(NODES[at].parent)
    return False


@metal
def find_subject(number: u64, subject: Subject) -> i64:
    """Look up whom a file is about, with references to be released. 0, or -ESRCH if it is gone."""
    if subject.find(process_of(number), item_of(number), in_thread(number & 0xFFFF)):
        return 0
    subject.release()
    return -ESRCH


@metal
def parse_number(name: Slice[u8]) -> tuple[u32, bool]:
    """A decimal number without needless zeros, and whether the name is one."""
    if len(name) == 0 or len(name) > 8 or (name[0] == 0x30 and len(name) > 1):
        return 0, False
    value: u32 = 0
    for byte in name:
        if byte < 0x30 or byte > 0x39:
            return 0, False
        value = value * 10 + u32(byte - 0x30)
    return value, True


@metal
def lookup_generated(parent: Entry, name: Slice[u8], child: Entry) -> i64:
    """Tree.lookup."""
    index = u64(node_of(parent.number).first)
    while index != 0:
        node = NODES[index]
        found: u64 = 0
        if node.pattern == LITERAL:
            if node.called() == name:
                found = number_of(index, process_of(parent.number), item_of(parent.number))
        else:
            found = match_pattern(index, parent.number, name)
        if found != 0:
            child.number = found
            child.mode = node.mode
            child.user, child.group = owner_of(found)
            return 0
        index = u64(node.next)
    return -ENOENT


@metal
def match_pattern(index: u64, parent: u64, name: Slice[u8]) -> u64:
    """The number of the file that a name stands for under a pattern, 0 if there is none."""
    value, is_number = parse_number(name)
    if not is_number:
        return 0
    pattern = NODES[index].pattern
    made = number_of(index, process_of(parent), value)
    if pattern == PROCESS:
        if value == 0:
            return 0
        made = number_of(index, value, 0)
    subject = Subject()
    if find_subject(made, subject) < 0:
        return 0
    there = pattern != DESCRIPTOR or descriptor_there(subject)
    subject.release()
    return made if there else u64(0)


@metal
def descriptor_there(subject: Subject) -> bool:
    """Whether the process has the descriptor open."""
    files = hold_files(subject.process)
    if files is None:
        return False
    description = files.get(i32.wrap(subject.item))
    drop_table(files)
    if description is None:
        return False
    description.drop()
    return True


@metal
def owner_of(number: u64) -> tuple[u32, u32]:
    """User and group of a file: what is about a process belongs to whom it acts as, or to root if it lets nobody look
    into it (Linux task_dump_owner)."""
    subject = Subject()
    user: u32 = 0
    group: u32 = 0
    if process_of(number) != 0 and find_subject(number, subject) == 0:
        process = subject.process
        if process.dumpable == 1 or node_of(number).mode == S_IFDIR | 0o555:
            user = process.credentials.effective_user
            group = process.credentials.effective_group
        subject.release()
    return user, group


@metal
def fill_attributes(number: u64, attributes: Attributes) -> i64:
    """What stat tells of a generated file."""
    node = node_of(number)
    attributes.device = GENERATED_DEVICE
    attributes.inode = number + 1
    attributes.mode = node.mode
    attributes.user, attributes.group = owner_of(number)
    attributes.links = 1
    if (node.mode & S_IFMT) == S_IFDIR:
        attributes.links = 2
    attributes.special_device = device_number(node.device >> 8, node.device & 0xFF)
    time = i64(real_time())
    attributes.access_time = time
    attributes.modify_time = time
    attributes.change_time = time
    return 0


@metal
def generated_attributes(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    return fill_attributes(entry.number, attributes)


@metal
def read_generated_link(entry: Entry, buffer: Slice[u8]) -> i64:
    """Tree.read_link."""
    node = node_of(entry.number)
    if node.link is None:
        return -EINVAL
    subject = Subject()
    error = find_subject(entry.number, subject)
    if error < 0:
        return error
    result = node.link(subject, buffer)
    subject.release()
    return result


@metal
def jump_generated(entry: Entry) -> Ptr[Entry]:
    """Tree.jump."""
    node = node_of(entry.number)
    if node.jump is None:
        return None
    subject = Subject()
    if find_subject(entry.number, subject) < 0:
        return None
    target = node.jump(subject)
    subject.release()
    return target


@metal
def open_generated(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    node = node_of(entry.number)
    operations: Ptr[Operations] = DIRECTORY
    if node.operations is not None:
        operations = node.operations
        if operations.open is not None:
            return operations.open(flags)
    elif node.text is not None:
        if (flags & O_ACCMODE) != O_RDONLY:
            return None, -EACCES
        operations = TEXT
    elif node.link is not None:
        return None, -ENXIO
    description = create(operations, flags, entry.number)
    return description, 0 if description is not None else -ENOMEM


@open_device.set
@metal
def open_by_number(device: u64, flags: u32) -> tuple[Ptr[Description], i64]:
    """Open what a device file somewhere else stands for, if /dev has it too."""
    for index in range(u64(len(NODES))):
        node = NODES[index]
        if node.operations is not None and device_number(node.device >> 8, node.device & 0xFF) == device:
            if node.operations.open is not None:
                return node.operations.open(flags)
            description = create(node.operations, flags, index)
            return description, 0 if description is not None else -ENOMEM
    return None, -ENXIO


@metal
def read_text(description: Description, transfer: Transfer) -> i64:
    """Generate the text, as often as it takes pages to give what was asked for."""
    subject = Subject()
    error = find_subject(description.object, subject)
    if error < 0:
        return error
    short = unsafe.uninitialized(Array[u8, SHORT])
    buffer = short[:]
    page: u64 = 0
    if transfer.left > SHORT:
        page = pages.allocate()
        if page == 0:
            subject.release()
            return -ENOMEM
        buffer = unsafe.slice(u8, virtual(page), PAGE_SIZE)
    done: i64 = 0
    while transfer.left != 0:
        text = Text(window=buffer[0 : min(transfer.left, len(buffer))], start=transfer.position)
        error = node_of(description.object).text(text, subject)
        if error < 0 or text.position <= text.start:
            break
        count = min(text.position - text.start, len(text.window))
        copied = transfer.put(buffer[0:count])
        transfer.position += copied
        done += i64(copied)
        if copied < count:
            error = -EFAULT
            break
    if page != 0:
        pages.release(page)
    subject.release()
    return done if done != 0 else error


@metal
def seek_text(description: Description, offset: i64, whence: u32) -> i64:
    """lseek: such a file has no size."""
    return seek_file(description.position, 0, offset, whence)


@metal
def list_generated(description: Description, writer: DirectoryWriter) -> i64:
    """getdents64: ., .., the declared names, then the numbers of a pattern.

    Position 0 is ., 1 is .., from 2 on come declared names by index, from NUMBERS on those that a pattern stands for.
    """
    number = description.object
    node = node_of(number)
    while description.position < NUMBERS:
        position = description.position
        kept = True
        if position == 0:
            kept = writer.add(b".", number + 1, entry_type(S_IFDIR), 1)
        elif position == 1:
            kept = writer.add(b"..", number_of(u64(node.parent), process_of(number), 0) + 1, entry_type(S_IFDIR), 2)
        else:
            index = nth_literal(node, position - 2)
            if index == 0:
                description.position = NUMBERS
                break
            child = NODES[index]
            made = number_of(index, process_of(number), item_of(number))
            kept = writer.add(child.called(), made + 1, entry_type(child.mode), position + 1)
        if not kept:
            return writer.result()
        description.position = position + 1
    index = pattern_child(node)
    if index != 0:
        list_pattern(description, writer, index)
    return writer.result()


NUMBERS = 1 << 32


@metal
def nth_literal(node: Node, count: u64) -> u64:
    """The index of a directory's child with a name of its own, 0 if there are not so many."""
    left = count
    index = u64(node.first)
    while index != 0:
        if NODES[index].pattern == LITERAL:
            if left == 0:
                return index
            left -= 1
        index = u64(NODES[index].next)
    return 0


@metal
def pattern_child(node: Node) -> u64:
    """The index of a directory's child that stands for numbers, 0 if there is none."""
    index = u64(node.first)
    while index != 0:
        if NODES[index].pattern != LITERAL:
            return index
        index = u64(NODES[index].next)
    return 0


@metal
def list_pattern(description: Description, writer: DirectoryWriter, index: u64) -> None:
    """The names that a pattern stands for, in order."""
    node = NODES[index]
    buffer = Array[u8, 16]()
    while True:
        value, there = next_value(u32(description.position - NUMBERS), node.pattern, process_of(description.object))
        if not there:
            return
        text = Text(window=buffer[:])
        text.number(u64(value))
        made = number_of(index, process_of(description.object), value)
        if node.pattern == PROCESS:
            made = number_of(index, value, 0)
        following = NUMBERS + u64(value) + 1
        if not writer.add(buffer[0 : text.position], made + 1, entry_type(node.mode), following):
            return
        description.position = following


@metal
def next_value(start: u32, pattern: u8, process: u32) -> tuple[u32, bool]:
    """The lowest number from `start` on that a pattern stands for, and whether there is one."""
    if pattern == PROCESS:
        found = next_id(max(start, 1), 0)
        return found, found != 0
    if pattern == THREAD:
        found = next_id(max(start, 1), process)
        return found, found != 0
    subject = Subject()
    if not subject.find(process, 0, False):
        subject.release()
        return 0, False
    files = hold_files(subject.process)
    number: u32 = MAXIMUM_DESCRIPTORS
    if files is not None:
        number = files.next_used(start, MAXIMUM_DESCRIPTORS)
        drop_table(files)
    subject.release()
    return number, number < MAXIMUM_DESCRIPTORS


@metal
def seek_list(description: Description, offset: i64, whence: u32) -> i64:
    """lseek of a directory."""
    return seek_file(description.position, 0, offset, whence)


TEXT = constant(
    Operations,
    {"positional": True, "read": read_text, "seek": seek_text, "attributes": attributes_by_entry},
)
DIRECTORY = constant(
    Operations,
    {
        "positional": True,
        "read": read_directory,
        "seek": seek_list,
        "attributes": attributes_by_entry,
        "list": list_generated,
    },
)


def _tree(magic: int, label: bytes):
    return constant(
        Tree,
        {
            "lookup": lookup_generated,
            "attributes": generated_attributes,
            "read_link": read_generated_link,
            "jump": jump_generated,
            "open": open_generated,
            "label": label,
            "magic": magic,
            "device": GENERATED_DEVICE,
        },
    )


PROC_TREE, SYS_TREE = _tree(PROC_MAGIC, b"proc"), _tree(SYSFS_MAGIC, b"sysfs")
DEV_TREE = _tree(TMPFS_MAGIC, b"devtmpfs")
_PROC, _SYS, _DEV = _TOPS[b"proc"], _TOPS[b"sys"], _TOPS[b"dev"]


@metal
def mount_generated() -> None:
    """Put the three trees into the root, and memory under /dev/shm, the terminals under /dev/pts. At boot."""
    mount_at(root_entry, b"proc", PROC_TREE, _PROC, None)
    mount_at(root_entry, b"sys", SYS_TREE, _SYS, None)
    devices = mount_at(root_entry, b"dev", DEV_TREE, _DEV, None)
    mount_memory(devices, b"shm", SHM_TREE)
    mount_pts(devices)
