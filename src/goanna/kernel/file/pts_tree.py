"""/dev/pts: a device file for each pseudo-terminal that is there (Linux fs/devpts/inode.c)."""

from goanna.kernel.base.errno import EMFILE, ENOENT, EPERM
from goanna.kernel.base.text import Text
from goanna.kernel.file.attributes import (
    CHANGE_GROUP,
    CHANGE_MODE,
    CHANGE_SIZE,
    CHANGE_USER,
    Attributes,
    Change,
    device_number,
)
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import add_descriptor
from goanna.kernel.file.directory import DirectoryWriter, entry_type
from goanna.kernel.file.flags import O_CLOEXEC, S_IFCHR, S_IFDIR, ST_NOEXEC, ST_NOSUID, ST_RELATIME
from goanna.kernel.file.mount import mount_at
from goanna.kernel.file.pseudo_terminal import (
    MAXIMUM_PAIRS,
    find_pair,
    forget_name,
    open_peer,
    open_slave,
    pairs,
    pairs_lock,
)
from goanna.kernel.file.seek import read_directory, seek_file
from goanna.kernel.file.terminal import Terminal
from goanna.kernel.file.terminal_calls import MAJOR_PSEUDO
from goanna.kernel.file.tree import DEAD, Entry, Tree, attributes_by_entry, child_of, detach, entries_lock
from goanna.kernel.time.wall import real_time
from goanna.metal import Array, Ptr, Slice, constant, i64, metal, static, u8, u32, u64

DEVPTS_MAGIC = 0x1CD1
PTS_DEVICE = 27  # 0:27
FIRST = 3  # the inode number of /dev/pts/0
LONGEST = 4  # digits of a name

top = static(Ptr[Entry])  # /dev/pts itself, for good


@metal
def number_in(name: Slice[u8]) -> u32:
    """The number that a name is; MAXIMUM_PAIRS if none."""
    if len(name) == 0 or len(name) > LONGEST or (name[0] == ord("0") and len(name) > 1):
        return MAXIMUM_PAIRS
    value: u32 = 0
    for byte in name:
        if byte < ord("0") or byte > ord("9"):
            return MAXIMUM_PAIRS
        value = value * 10 + u32(byte - ord("0"))
    return value


@metal
def lookup(parent: Entry, name: Slice[u8], child: Entry) -> i64:
    """Tree.lookup."""
    number = number_in(name)
    with pairs_lock:
        if number >= MAXIMUM_PAIRS or pairs[u64(number)] is None:
            return -ENOENT
        terminal: Terminal = pairs[u64(number)]
        child.number = FIRST + u64(number)
        child.mode = S_IFCHR | terminal.mode
        child.user = terminal.user
        child.group = terminal.owner_group
    return 0


@metal
def tell_attributes(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    attributes.device = PTS_DEVICE
    attributes.inode = max(entry.number, u64(1))
    attributes.mode = entry.mode
    attributes.links = 2 if entry.number == 0 else 1
    attributes.user = entry.user
    attributes.group = entry.group
    attributes.block_size = 1024
    if entry.number >= FIRST:
        attributes.special_device = device_number(MAJOR_PSEUDO, u32(entry.number - FIRST))
    time = i64(real_time())
    attributes.access_time = time
    attributes.modify_time = time
    attributes.change_time = time
    return 0


@metal
def change_attributes(entry: Entry, change: Change) -> i64:
    """Tree.change: who may use a terminal is kept with it; times pass."""
    if entry.number < FIRST:
        return -EPERM
    with pairs_lock:
        terminal = pairs[entry.number - FIRST]
        if terminal is None:
            return -ENOENT
        if change.wants(CHANGE_SIZE):
            return 0
        if change.wants(CHANGE_MODE):
            terminal.mode = change.mode & 0o7777
        if change.wants(CHANGE_USER):
            terminal.user = change.user
        if change.wants(CHANGE_GROUP):
            terminal.owner_group = change.group
        entry.mode = S_IFCHR | terminal.mode
        entry.user = terminal.user
        entry.group = terminal.owner_group
    return 0


@metal
def open_file(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    if entry.number >= FIRST:
        return open_slave(u32(entry.number - FIRST), flags)
    made = create(DIRECTORY, flags, 0)
    return made, 0 if made is not None else -EMFILE


@metal
def list_directory(description: Description, writer: DirectoryWriter) -> i64:
    """getdents64: position 0 is ., 1 is .., then the terminals by number."""
    while description.position < MAXIMUM_PAIRS + 2:
        position = description.position
        kept = True
        if position < 2:
            dots: Slice[u8] = b".."
            kept = writer.add(dots[0 : position + 1], 1, entry_type(S_IFDIR), position + 1)
        elif find_pair(u32(position - 2)):
            buffer = Array[u8, 8]()
            text = Text(window=buffer[:])
            text.number(position - 2)
            kept = writer.add(buffer[0 : text.position], FIRST + position - 2, entry_type(S_IFCHR), position + 1)
        if not kept:
            break
        description.position = position + 1
    return writer.result()


@metal
def seek_list(description: Description, offset: i64, whence: u32) -> i64:
    """lseek."""
    return seek_file(description.position, 0, offset, whence)


@metal
def entry_of(number: u32) -> tuple[Ptr[Entry], i64]:
    """The entry of a terminal's name, with a reference; or None and an errno."""
    buffer = Array[u8, 8]()
    text = Text(window=buffer[:])
    text.number(u64(number))
    return child_of(top, buffer[0 : text.position])


@forget_name.set
@metal
def remove_name(number: u32) -> None:
    """The master is closed: who still has the terminal open has a file without a name."""
    entry, _ = entry_of(number)
    if entry is not None:
        with entries_lock:
            if not entry.has(DEAD):
                detach(entry)
        entry.drop()


@open_peer.set
@metal
def open_by_number(number: u32, flags: u32) -> i64:
    """TIOCGPTPEER: as if by its path, though another tree may stand there."""
    entry, error = entry_of(number)
    if entry is None:
        return error
    description, error = open_slave(number, flags & ~u32(O_CLOEXEC))
    if description is None:
        entry.drop()
        return error
    description.entry = entry
    return add_descriptor(description, flags & O_CLOEXEC != 0)


DIRECTORY = constant(
    Operations,
    {
        "positional": True,
        "read": read_directory,
        "seek": seek_list,
        "attributes": attributes_by_entry,
        "list": list_directory,
    },
)
PTS_TREE = static(
    Tree,
    {
        "lookup": lookup,
        "attributes": tell_attributes,
        "change": change_attributes,
        "open": open_file,
        "label": b"devpts",
        "magic": DEVPTS_MAGIC,
        "device": PTS_DEVICE,
        "flags": ST_NOSUID | ST_NOEXEC | ST_RELATIME,
    },
)


@metal
def mount_pts(parent: Ptr[Entry]) -> bool:
    """Put the tree into /dev. At boot. False: memory is out."""
    global top
    if parent is not None:
        top = mount_at(parent, b"pts", PTS_TREE, 0, None)
    return top is not None
