"""/proc/PID/ns: the namespaces of a process, which are the machine's first and only ones but for mounts
(namespaces(7))."""

from goanna.kernel.base.errno import ENOMEM
from goanna.kernel.base.text import Text
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptor_tree import lookup_nothing
from goanna.kernel.file.flags import S_IFREG
from goanna.kernel.file.place import drop_place
from goanna.kernel.file.subject import Subject, hold_place
from goanna.kernel.file.tree import Entry, Tree, entries
from goanna.kernel.thread.process import Process
from goanna.metal import Ptr, Slice, constant, i64, metal, u8, u32, u64

__all__ = ["FILES"]

NSFS_DEVICE = 4
NSFS_MAGIC = 0x6E736673
FIRST_NUMBER = 0xEFFF_FFF8  # Linux include/uapi/linux/nsfs.h: the numbers of the first ones, in this order
KINDS = ("mnt", "net", "time", "cgroup", "pid", "user", "uts", "ipc")


@metal
def namespace_attributes(entry: Entry, attributes: Attributes) -> i64:
    """Tree.attributes."""
    return fill(entry.number, attributes)


@metal
def open_attributes(description: Description, attributes: Attributes) -> i64:
    """Operations.attributes."""
    return fill(description.object, attributes)


@metal
def fill(number: u64, attributes: Attributes) -> i64:
    """What stat tells of a namespace."""
    attributes.device = NSFS_DEVICE
    attributes.inode = number
    attributes.mode = S_IFREG | 0o444
    attributes.links = 1
    return 0


@metal
def open_namespace(entry: Entry, flags: u32) -> tuple[Ptr[Description], i64]:
    """Tree.open."""
    description = create(NAMESPACE, flags, entry.number)
    return description, 0 if description is not None else -ENOMEM


NAMESPACE = constant(Operations, {"label": b"ns:", "attributes": open_attributes})
NAMESPACE_TREE = constant(
    Tree,
    {
        "lookup": lookup_nothing,
        "attributes": namespace_attributes,
        "open": open_namespace,
        "label": b"nsfs",
        "magic": NSFS_MAGIC,
        "device": NSFS_DEVICE,
        "pathless": True,
    },
)


@metal
def namespace_entry(number: u64) -> Ptr[Entry]:
    """A new entry for a namespace, or None: memory is out."""
    made = entries.allocate()
    if made is not None:
        made.references.store(1)
        made.tree = NAMESPACE_TREE
        made.number = number
        made.mode = S_IFREG | 0o444
    return made


@metal
def put_link(buffer: Slice[u8], kind: Slice[u8], number: u64) -> i64:
    """What the link says: its length."""
    text = Text(window=buffer)
    text.put(kind)
    text.put(b":[")
    text.number(number)
    text.put(b"]")
    return i64(text.position)


@metal
def mount_number(process: Process) -> u64:
    """The number of a process's mount namespace."""
    number: u64 = 0
    place = hold_place(process)
    if place is not None:
        number = place.space.number
        drop_place(place)
    return number if number != 0 else FIRST_NUMBER


@metal
def jump_to_mounts(subject: Subject) -> Ptr[Entry]:
    """Where the link to a mount namespace leads."""
    return namespace_entry(mount_number(subject.process))


@metal
def mounts_text(subject: Subject, buffer: Slice[u8]) -> i64:
    """What that link says."""
    return put_link(buffer, b"mnt", mount_number(subject.process))


def _link(path: str, kind: str) -> Generated:
    if kind == "mnt":
        return Generated(path, 0o777, link=mounts_text, jump=jump_to_mounts)
    number = FIRST_NUMBER + KINDS.index(kind)
    name = kind.encode()

    @metal
    def jump(subject: Subject) -> Ptr[Entry]:
        return namespace_entry(number)

    @metal
    def text(subject: Subject, buffer: Slice[u8]) -> i64:
        return put_link(buffer, name, number)

    return Generated(path, 0o777, link=text, jump=jump)


def _links() -> list[Generated]:
    made = [_link(f"/proc/{{pid}}/ns/{kind}", kind) for kind in KINDS]
    by_kind = dict(zip(KINDS, made, strict=True))
    made += [
        Generated(f"/proc/{{pid}}/ns/{kind}_for_children", 0o777, link=by_kind[kind].link, jump=by_kind[kind].jump)
        for kind in ("pid", "time")
    ]
    made += [
        Generated(each.path.replace("/ns/", "/task/{tid}/ns/"), 0o777, link=each.link, jump=each.jump) for each in made
    ]
    return made


FILES = [Generated("/proc/{pid}/ns", 0o511), Generated("/proc/{pid}/task/{tid}/ns", 0o511), *_links()]
