"""What /proc/self/fd leads to where a descriptor has no path: pipes, counters, the console.

Such an entry has no parent and no name; it holds the description that the link stood for.
"""

from goanna.kernel.base.errno import ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO
from goanna.kernel.base.text import Text
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description
from goanna.kernel.file.place import drop_place
from goanna.kernel.file.shown import shown_path
from goanna.kernel.file.subject import Subject, hold_files_of, hold_place
from goanna.kernel.file.table import drop_table
from goanna.kernel.file.tree import Entry, Tree, entries
from goanna.metal import Ptr, Slice, constant, i32, i64, metal, u8, u32, unsafe


@metal
def lookup_nothing(parent: Entry, name: Slice[u8], child: Entry) -> i64:
    """Tree.lookup: it is no directory."""
    return -ENOTDIR


@metal
def below(entry: Entry) -> Description:
    """The description that an entry holds."""
    return unsafe.at(Description, entry.number)


@metal
def pathless_attributes(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    return below(entry).operations.attributes(below(entry), attributes)


@metal
def reopen(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    description = below(entry)
    if description.operations.reopen is None:
        return None, -ENXIO
    return description.operations.reopen(description, flags)


@metal
def forget(entry: Entry) -> None:
    """Tree.forget."""
    below(entry).drop()


PATHLESS_TREE = constant(
    Tree,
    {
        "lookup": lookup_nothing,
        "attributes": pathless_attributes,
        "open": reopen,
        "forget": forget,
        "pathless": True,
    },
)


@metal
def descriptor_of(subject: Subject) -> Ptr[Description]:
    """The description behind the subject's descriptor, with a reference, or None."""
    files = hold_files_of(subject.thread)
    if files is None:
        return None
    description = files.get(i32.wrap(subject.item))
    drop_table(files)
    return description


@metal
def jump_to_descriptor(subject: Subject) -> Ptr[Entry]:
    """Where /proc/PID/fd/N leads."""
    description = descriptor_of(subject)
    if description is None:
        return None
    if description.entry is not None:
        entry = description.entry
        entry.hold()
        description.drop()
        return entry
    made = entries.allocate()
    if made is None:
        description.drop()
        return None
    made.references.store(1)
    made.tree = PATHLESS_TREE
    made.number = unsafe.address(description)
    made.mode = description.mode()
    return made


@metal
def descriptor_name(subject: Subject, buffer: Slice[u8]) -> i64:
    """The text of /proc/PID/fd/N: a path, or what kind of thing it is."""
    description = descriptor_of(subject)
    if description is None:
        return -ENOENT
    if description.entry is not None:
        result = path_text(subject, description.entry, buffer)
        description.drop()
        return result
    attributes = Attributes()
    description.operations.attributes(description, attributes)
    text = Text(window=buffer)
    text.string(description.operations.label[:])
    if text.position != 0 and buffer[text.position - 1] == 0x3A:
        text.put(b"[")
        text.number(attributes.inode)
        text.put(b"]")
    description.drop()
    return i64(text.position)


@metal
def path_text(subject: Subject, entry: Entry, buffer: Slice[u8]) -> i64:
    """Write an entry's path, as the subject's process sees it, to the start of `buffer`: its length."""
    place = hold_place(subject.process)
    if place is None:
        return -ENOENT
    root = place.get_root()
    length = shown_path(entry, root, buffer)
    root.drop()
    drop_place(place)
    return i64(length) if length != 0 else -ENAMETOOLONG
