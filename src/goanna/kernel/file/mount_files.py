"""What /proc tells of mounts: mounts, mountinfo, mountstats (proc(5), Linux fs/proc_namespace.c)."""

from goanna.kernel.base.text import Text, text_length
from goanna.kernel.file.declare import Generated, link_to
from goanna.kernel.file.flags import (
    ST_NOATIME,
    ST_NODEV,
    ST_NODIRATIME,
    ST_NOEXEC,
    ST_NOSUID,
    ST_NOSYMFOLLOW,
    ST_RELATIME,
)
from goanna.kernel.file.memory_mount import write_options
from goanna.kernel.file.mount import first_tree, mounts_mutex
from goanna.kernel.file.place import drop_place
from goanna.kernel.file.shown import path_of
from goanna.kernel.file.subject import Subject, hold_place
from goanna.kernel.file.tree import Entry, Tree
from goanna.metal import Array, Fn, Ptr, Slice, constant, i64, metal, u8, u32, u64, unsafe

__all__ = ["FILES"]

LONGEST = 512  # bytes of a path that fit on the stack
WORDS = {
    ST_NOSUID: b"nosuid", ST_NODEV: b"nodev", ST_NOEXEC: b"noexec", ST_NOATIME: b"noatime",
    ST_NODIRATIME: b"nodiratime", ST_RELATIME: b"relatime", ST_NOSYMFOLLOW: b"nosymfollow",
}  # fmt: skip
FLAGS = constant(Array[u32, len(WORDS)], list(WORDS))
NAMES = constant(Array[Array[u8, 12], len(WORDS)], [word.ljust(12, b"\0") for word in WORDS.values()])


@metal
def put_escaped(text: Text, words: Slice[u8]) -> None:
    """Words in which blanks and backslashes are octal numbers."""
    for byte in words:
        if byte in (0x20, 0x09, 0x0A, 0x5C, 0x23):
            text.byte(0x5C)
            text.octal(u64(byte), 3)
        else:
            text.byte(byte)


@metal
def put_path(text: Text, entry: Entry, root: Entry) -> None:
    """The path of an entry from another."""
    buffer = unsafe.uninitialized(Array[u8, LONGEST])
    start, _ = path_of(entry, root, buffer[:])
    put_escaped(text, buffer[start:LONGEST])


@metal
def put_source(text: Text, tree: Tree) -> None:
    """What a tree was mounted from."""
    if tree.source is None:
        text.string(tree.label[:])
    else:
        source = tree.source.bytes[:]
        put_escaped(text, source[0 : text_length(source)])


@metal
def put_flags(text: Text, tree: Tree, read_only: bool) -> None:
    """The options of a mount."""
    text.put(b"ro" if read_only else b"rw")
    for index in range(u64(len(WORDS))):
        if (tree.flags & FLAGS[index]) != 0:
            text.byte(0x2C)
            text.string(NAMES[index][:])


@metal
def put_system_options(text: Text, tree: Tree) -> None:
    """The options of the file system that a mount shows."""
    system: Tree = tree.root.real().tree
    if system.budget is not None:
        write_options(text, system.budget)


@metal
def write_mount(text: Text, tree: Tree, root: Entry) -> None:
    """A line of mounts."""
    put_source(text, tree)
    text.byte(0x20)
    put_path(text, tree.root, root)
    text.byte(0x20)
    text.string(tree.label[:])
    text.byte(0x20)
    put_flags(text, tree, tree.read_only)
    put_system_options(text, tree)
    text.put(b" 0 0\n")


@metal
def write_information(text: Text, tree: Tree, root: Entry) -> None:
    """A line of mountinfo. The first tree of all stands in itself."""
    text.number(u64(tree.id))
    text.byte(0x20)
    text.number(u64(tree.covered.tree.id if tree.covered is not None else tree.id))
    text.put(b" 0:")
    text.number(tree.device)
    text.byte(0x20)
    top = tree.root.real()
    put_path(text, top, top.tree.root)
    text.byte(0x20)
    put_path(text, tree.root, root)
    text.byte(0x20)
    put_flags(text, tree, (tree.flags & 1) != 0)
    if tree.unbindable:
        text.put(b" unbindable")
    text.put(b" - ")
    text.string(tree.label[:])
    text.byte(0x20)
    put_source(text, tree)
    text.put(b" ro" if top.tree.frozen else b" rw")
    put_system_options(text, tree)
    text.byte(0x0A)


@metal
def write_statistics(text: Text, tree: Tree, root: Entry) -> None:
    """A line of mountstats."""
    text.put(b"device ")
    put_source(text, tree)
    text.put(b" mounted on ")
    put_path(text, tree.root, root)
    text.put(b" with fstype ")
    text.string(tree.label[:])
    text.byte(0x0A)


LINES = constant(Array[Fn[[Text, Tree, Entry], None], 3], [write_mount, write_information, write_statistics])


@metal
def write_lines(text: Text, subject: Subject, kind: u64) -> i64:
    """A line for each tree that a process can reach from its root."""
    place = hold_place(subject.process)
    if place is None:
        return 0
    root = place.get_root()
    drop_place(place)
    buffer = unsafe.uninitialized(Array[u8, LONGEST])
    with mounts_mutex:
        each: Ptr[Tree] = first_tree
        while each is not None:
            _, reached = path_of(each.root, root, buffer[:])
            if reached:
                write_line = LINES[kind]
                write_line(text, each, root)
            each = each.next
    root.drop()
    return 0


def _lines(kind: int):
    @metal
    def write(text: Text, subject: Subject) -> i64:
        return write_lines(text, subject, kind)

    return write


_MOUNTS, _INFORMATION, _STATISTICS = (_lines(kind) for kind in range(3))

FILES = [
    Generated("/proc/mounts", 0o777, link=link_to(b"self/mounts")),
    *[
        Generated(f"/proc/{{pid}}{below}/{name}", 0o444, text=text)
        for below in ("", "/task/{tid}")
        for name, text in (("mounts", _MOUNTS), ("mountinfo", _INFORMATION))
    ],
    Generated("/proc/{pid}/mountstats", 0o400, text=_STATISTICS),
]
