"""The declared files of /proc, /sys and /dev as nodes, made at build time of the tables; and the numbers of files.

A file's number says which node it is and whom it is about: the node's index, the process, and a thread or descriptor.
Nodes are small: names lie one after the other in a constant of their own, and so do texts that never change.
"""

from goanna.kernel.base.errno import ESRCH
from goanna.kernel.file import (
    accounting_files,
    device_files,
    device_lists,
    mapping_files,
    memory_files,
    mount_files,
    namespace_links,
    neighbour_files,
    network_files,
    process_files,
    processor_files,
    socket_files,
    statistics_files,
    sysctl_files,
    system_files,
    unix_files,
)
from goanna.kernel.file.declare import Generated, Generator, Jump, LinkText, Store
from goanna.kernel.file.description import Operations
from goanna.kernel.file.flags import S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG
from goanna.kernel.file.subject import Subject
from goanna.metal import Array, Ptr, Slice, constant, i64, metal, struct, u8, u16, u32, u64

__all__ = [
    "CACHE",
    "DESCRIPTOR",
    "LITERAL",
    "NODES",
    "PROCESS",
    "PROCESSOR",
    "THREAD",
    "THREAD_DESCRIPTOR",
    "TOPS",
    "Node",
    "find_subject",
    "item_of",
    "node_of",
    "number_of",
    "process_of",
]

# What a node's name is.
LITERAL = 0
PROCESS = 1  # {pid}
THREAD = 2  # {tid}
DESCRIPTOR = 3  # {fd}
PROCESSOR = 4  # cpu{n}
CACHE = 5  # index{n}, a cache of a processor
THREAD_DESCRIPTOR = 6  # {fd} below a {tid}: its number holds the thread instead of the process
PATTERNS = {"{pid}": PROCESS, "{tid}": THREAD, "{fd}": DESCRIPTOR, "cpu{n}": PROCESSOR, "index{n}": CACHE}

NOTHING = 0xFFFF  # Node.what of a directory
NO_TEXT = 0xFFFF  # Node.size of a file that has operations of its own


@struct
class Node:
    """One declared file or directory."""

    name: u16  # where its name begins among NAMES
    length: u8
    pattern: u8
    first: u16  # child; 0: none
    next: u16  # of the same parent; 0: none
    parent: u16
    mode: u16  # type too
    what: u16  # by type: index of its generator, link or operations; where its text begins among TEXTS
    size: u16  # of a text that never changes, or NO_TEXT; of a device its numbers, 8 bits each

    def called(self) -> Slice[u8]:
        """The name, or what of it comes before a number."""
        return NAMES[u64(self.name) : u64(self.name) + u64(self.length)]

    def text(self) -> Generator:
        """Who writes a file's text, or None."""
        return GENERATORS[u64(self.what)] if self.regular() and self.size == 0 else None

    def fixed_text(self) -> Slice[u8]:
        """A text that never changes, or nothing."""
        return TEXTS[u64(self.what) : u64(self.what) + u64(self.size)] if self.regular() else TEXTS[0:0]

    def store(self) -> Store:
        """Who takes what is written to a file, or None."""
        if self.text() is not None:
            for index in range(u64(0), u64(len(STORED))):
                if STORED[index] == self.what:
                    return STORES[index]
        return None

    def regular(self) -> bool:
        """Whether it is a file with a text."""
        return self.mode & 0xF000 == S_IFREG and self.size != NO_TEXT

    def link(self) -> LinkText:
        """What a link says, or None."""
        return LINKS[u64(self.what)] if self.mode & 0xF000 == S_IFLNK else None

    def jump(self) -> Jump:
        """Where a link leads that is no text, or None."""
        return JUMPS[u64(self.what)] if self.mode & 0xF000 == S_IFLNK else None

    def operations(self) -> Ptr[Operations]:
        """What a device, or a file that is no text, does, or None."""
        kind = self.mode & 0xF000
        return DEVICES[u64(self.what)] if kind == S_IFCHR or (kind == S_IFREG and self.size == NO_TEXT) else None

    def device(self) -> bool:
        """Whether it is a device."""
        return self.mode & 0xF000 == S_IFCHR


class _Pool:
    """Bytes one after the other, each only once."""

    def __init__(self) -> None:
        self.bytes = b""

    def place(self, text: bytes) -> int:
        """Where a text begins, which is put there if it is not there yet."""
        at = self.bytes.find(text)
        if at < 0:
            at = len(self.bytes)
            self.bytes += text
        return at


class _Builder:
    """The nodes: a directory before what is in it; node 0 stands above the three trees."""

    def __init__(self) -> None:
        self.nodes: list[dict] = [{"name": 0, "mode": S_IFDIR | 0o555, "what": NOTHING}]
        self.places: dict[str, int] = {"": 0}
        self.names, self.texts = _Pool(), _Pool()
        self.generators: list = []
        self.links: list = []
        self.devices: list = []
        self.stores: dict[int, object] = {}

    def add(self, path: str, node: dict) -> None:
        """Place a node, and directories above it that nobody declared."""
        above, _, name = path.rpartition("/")
        if above not in self.places:
            self.add(above, {"mode": S_IFDIR | (0o755 if above.startswith("/sys/") else 0o555), "what": NOTHING})
        assert path not in self.places, path
        index, parent = len(self.nodes), self.nodes[self.places[above]]
        pattern = PATTERNS.get(name, LITERAL)
        if pattern == DESCRIPTOR and "{tid}" in above:
            pattern = THREAD_DESCRIPTOR
        literal = name.partition("{")[0].encode()
        node |= {"name": self.names.place(literal), "length": len(literal), "pattern": pattern}
        node["parent"] = self.places[above]
        if "first" not in parent:
            parent["first"] = index
        else:
            last = self.nodes[parent["first"]]
            while "next" in last:
                last = self.nodes[last["next"]]
            last["next"] = index
        self.nodes.append(node)
        self.places[path] = index

    def node(self, each: Generated) -> dict:
        """What a declaration says but for its place."""
        if isinstance(each.text, bytes):
            assert each.text, each.path  # size 0 means that it is generated
            return {"mode": S_IFREG | each.mode, "what": self.texts.place(each.text), "size": len(each.text)}
        if each.text is not None:
            what = _index(self.generators, each.text)
            if each.store is not None:
                self.stores[what] = each.store
            return {"mode": S_IFREG | each.mode, "what": what}
        if each.operations is not None:
            what = _index(self.devices, each.operations)
            if each.device == (0, 0):
                return {"mode": S_IFREG | each.mode, "what": what, "size": NO_TEXT}
            return {"mode": S_IFCHR | each.mode, "what": what, "size": each.device[0] << 8 | each.device[1]}
        if each.link is not None:
            return {"mode": S_IFLNK | 0o777, "what": _index(self.links, (each.link, each.jump))}
        return {"mode": S_IFDIR | each.mode, "what": NOTHING}


def _index(table: list, item: object) -> int:
    """Where an item is in a table, at whose end it is put if it is not there yet."""
    if item not in table:
        table.append(item)
    return table.index(item)


_built = _Builder()
for _room in (
    device_files,
    device_lists,
    process_files,
    accounting_files,
    mapping_files,
    memory_files,
    mount_files,
    namespace_links,
    neighbour_files,
    network_files,
    socket_files,
    statistics_files,
    processor_files,
    sysctl_files,
    system_files,
    unix_files,
):
    for _each in _room.FILES:
        _built.add(_each.path, _built.node(_each))

NODES = constant(Array[Node, len(_built.nodes)], _built.nodes)
NAMES = constant(Array[u8, len(_built.names.bytes)], _built.names.bytes)
TEXTS = constant(Array[u8, len(_built.texts.bytes)], _built.texts.bytes)
GENERATORS = constant(Array[Generator, len(_built.generators)], _built.generators)
STORED = constant(Array[u16, len(_built.stores)], list(_built.stores))  # the generators of files that can be written
STORES = constant(Array[Store, len(_built.stores)], list(_built.stores.values()))
LINKS = constant(Array[LinkText, len(_built.links)], [text for text, _ in _built.links])
JUMPS = constant(Array[Jump, len(_built.links)], [jump for _, jump in _built.links])
DEVICES = constant(Array[Ptr[Operations], len(_built.devices)], _built.devices)
TOPS = {path[1:]: index for path, index in _built.places.items() if path.count("/") == 1}  # proc, sys, dev

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
    """The thread, descriptor or processor that a file is about."""
    return u32(number >> ITEM_SHIFT)


@metal
def in_thread(index: u64) -> bool:
    """Whether the item in the number of a node is a thread: it lies below a {tid}."""
    at = index if NODES[index].pattern != THREAD_DESCRIPTOR else u64(0)
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
