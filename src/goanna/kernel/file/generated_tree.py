"""The tree of generated files: how the nodes of /proc, /sys and /dev are looked up, listed and read.

What there is, and whom a file's number is about, stands in generated_nodes.py.
"""

from goanna.kernel.arch import PAGE_SIZE, CacheFacts, find_cache, processor_count, virtual
from goanna.kernel.base.errno import EACCES, EFAULT, EINVAL, ENOENT, ENOMEM, ENXIO
from goanna.kernel.base.text import Text
from goanna.kernel.file.attributes import Attributes, device_number
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptor_tree import descriptor_of
from goanna.kernel.file.directory import DirectoryWriter, entry_type
from goanna.kernel.file.flags import (
    O_ACCMODE,
    O_RDONLY,
    S_IFDIR,
    S_IFLNK,
    S_IFMT,
)
from goanna.kernel.file.generated_nodes import (
    CACHE,
    DESCRIPTOR,
    LITERAL,
    NODES,
    PROCESS,
    PROCESSOR,
    THREAD,
    THREAD_DESCRIPTOR,
    Node,
    find_subject,
    item_of,
    node_of,
    number_of,
    process_of,
)
from goanna.kernel.file.memory_tree import open_device
from goanna.kernel.file.seek import read_directory, seek_file
from goanna.kernel.file.subject import Subject, hold_files_of, next_id
from goanna.kernel.file.table import MAXIMUM_DESCRIPTORS, drop_table
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import Entry, attributes_by_entry
from goanna.kernel.memory import pages
from goanna.kernel.time.wall import real_time
from goanna.metal import Array, Ptr, Slice, constant, i64, metal, u8, u32, u64, unsafe

SHORT = 128  # bytes that are read without a page to write them to first


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
            child.mode = u32(node.mode)
            child.user, child.group = owner_of(found)
            return 0
        index = u64(node.next)
    return -ENOENT


@metal
def match_pattern(index: u64, parent: u64, name: Slice[u8]) -> u64:
    """The number of the file that a name stands for under a pattern, 0 if there is none."""
    prefix = NODES[index].called()
    if len(name) < len(prefix) or name[0 : len(prefix)] != prefix:
        return 0
    value, is_number = parse_number(name[len(prefix) : len(name)])
    if not is_number:
        return 0
    pattern = NODES[index].pattern
    made = made_by_pattern(index, parent, value)
    if pattern in (PROCESSOR, CACHE):
        next, there = next_value(value, pattern, 0)
        return made if there and next == value else u64(0)
    if pattern == PROCESS and value == 0:
        return 0
    subject = Subject()
    if find_subject(made, subject) < 0:
        return 0
    there = pattern not in (DESCRIPTOR, THREAD_DESCRIPTOR) or descriptor_there(subject)
    subject.release()
    return made if there else u64(0)


@metal
def made_by_pattern(index: u64, parent: u64, value: u32) -> u64:
    """The number of the file that a number stands for under a pattern."""
    pattern = NODES[index].pattern
    if pattern == PROCESS:
        return number_of(index, value, 0)
    if pattern == CACHE:
        return number_of(index, 0, item_of(parent) | (value + 1) << CACHE_SHIFT)
    if pattern == THREAD_DESCRIPTOR:
        return number_of(index, item_of(parent), value)
    return number_of(index, process_of(parent), value)


@metal
def descriptor_there(subject: Subject) -> bool:
    """Whether the process has the descriptor open."""
    description = descriptor_of(subject)
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
        if process.dumpable == 1 or u32(node_of(number).mode) == S_IFDIR | 0o555:
            user = process.credentials.effective_user
            group = process.credentials.effective_group
        subject.release()
    return user, group


@metal
def descriptor_mode(number: u64) -> u32:
    """The permissions of a link to what is open: as it was opened (Linux tid_fd_update_inode)."""
    mode: u32 = 0
    subject = Subject()
    if find_subject(number, subject) == 0:
        description = descriptor_of(subject)
        if description is not None:
            mode = (0o500 if description.readable() else u32(0)) | (0o300 if description.writable() else u32(0))
            description.drop()
        subject.release()
    return mode


@metal
def device_of(node: Node) -> u64:
    """The number of the device that a node is."""
    return device_number(u32(node.size) >> 8, u32(node.size) & 0xFF)


@metal
def fill_attributes(number: u64, attributes: Attributes) -> i64:
    """What stat tells of a generated file, but for the device."""
    node = node_of(number)
    attributes.inode = number + 1
    attributes.mode = u32(node.mode)
    attributes.user, attributes.group = owner_of(number)
    if (attributes.mode & S_IFMT) == S_IFLNK and node.pattern in (DESCRIPTOR, THREAD_DESCRIPTOR):
        attributes.mode = S_IFLNK | descriptor_mode(number)
    attributes.links = 1
    if (attributes.mode & S_IFMT) == S_IFDIR:
        attributes.links = 2
    if node.device():
        attributes.special_device = device_of(node)
    time = i64(real_time())
    attributes.access_time = time
    attributes.modify_time = time
    attributes.change_time = time
    return 0


@metal
def generated_attributes(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    attributes.device = entry.tree.device
    return fill_attributes(entry.number, attributes)


@metal
def read_generated_link(entry: Entry, buffer: Slice[u8]) -> i64:
    """Tree.read_link."""
    node = node_of(entry.number)
    link = node.link()
    if link is None:
        return -EINVAL
    subject = Subject()
    error = find_subject(entry.number, subject)
    if error < 0:
        return error
    result = link(subject, buffer)
    subject.release()
    return result


@metal
def jump_generated(entry: Entry) -> Ptr[Entry]:
    """Tree.jump."""
    node = node_of(entry.number)
    jump = node.jump()
    if jump is None:
        return None
    subject = Subject()
    if find_subject(entry.number, subject) < 0:
        return None
    target = jump(subject)
    subject.release()
    return target


@metal
def open_generated(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    node = node_of(entry.number)
    operations = node.operations()
    if operations is not None:
        if operations.open is not None:
            return operations.open(flags)
    elif node.regular():
        if (flags & O_ACCMODE) != O_RDONLY and node.store() is None:
            return None, -EACCES
        operations = TEXT
    elif node.link() is not None:
        return None, -ENXIO
    else:
        operations = DIRECTORY
    description = create(operations, flags, entry.number)
    return description, 0 if description is not None else -ENOMEM


@open_device.set
@metal
def open_by_number(device: u64, flags: u32) -> tuple[Ptr[Description], i64]:
    """Open what a device file somewhere else stands for, if /dev has it too."""
    for index in range(u64(len(NODES))):
        node = NODES[index]
        operations = node.operations()
        if operations is not None and node.device() and device_of(node) == device:
            if operations.open is not None:
                return operations.open(flags)
            description = create(operations, flags, index)
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
        error = write_text(node_of(description.object), text, subject)
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
def store_text(description: Description, transfer: Transfer) -> i64:
    """Hand over what is written, which counts as a whole wherever it is put."""
    store = node_of(description.object).store()
    if store is None:
        return -EINVAL
    bytes = Array[u8, SHORT]()
    count = min(transfer.left, SHORT)
    if transfer.take(bytes[0:count]) < count:
        return -EFAULT
    subject = Subject()
    error = find_subject(description.object, subject)
    if error == 0:
        error = store(bytes[0:count], subject)
        subject.release()
    transfer.position += count
    return i64(count) if error == 0 else error


@metal
def write_text(node: Node, text: Text, subject: Subject) -> i64:
    """The whole text of a node. 0 or an errno."""
    generator = node.text()
    if generator is not None:
        return generator(text, subject)
    text.put(node.fixed_text())
    return 0


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
            kept = writer.add(child.called(), made + 1, entry_type(u32(child.mode)), position + 1)
        if not kept:
            return writer.result()
        description.position = position + 1
    index = pattern_child(node)
    if index != 0:
        list_pattern(description, writer, index)
    return writer.result()


NUMBERS = 1 << 32
CACHE_SHIFT = 8  # of an item about a processor's cache: 1 + the cache's index


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
    of = item_of(description.object) if node.pattern == THREAD_DESCRIPTOR else process_of(description.object)
    while True:
        value, there = next_value(u32(description.position - NUMBERS), node.pattern, of)
        if not there:
            return
        text = Text(window=buffer[:])
        text.put(node.called())
        text.number(u64(value))
        made = made_by_pattern(index, description.object, value)
        following = NUMBERS + u64(value) + 1
        if not writer.add(buffer[0 : text.position], made + 1, entry_type(u32(node.mode)), following):
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
    if pattern == PROCESSOR:
        return start, start < processor_count()
    if pattern == CACHE:
        facts = CacheFacts()
        return start, find_cache(start, facts)
    subject = Subject()
    if not subject.find(process, 0, False):
        subject.release()
        return 0, False
    files = hold_files_of(subject.thread)
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
    {
        "positional": True,
        "read": read_text,
        "write": store_text,
        "seek": seek_text,
        "attributes": attributes_by_entry,
    },
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
