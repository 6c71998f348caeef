"""What can happen to a file, told to whoever watches it (the numbers are inotify's; inotify(7))."""

from goanna.kernel.file.node import Node
from goanna.metal import Atomic, Fn, Ptr, Slice, hook, metal, static, u8, u32

IN_ACCESS = 0x1
IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_CLOSE_NOWRITE = 0x10
IN_OPEN = 0x20
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_ALL_EVENTS = 0xFFF
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
IN_DONT_FOLLOW = 0x2000000
IN_EXCL_UNLINK = 0x4000000
IN_MASK_CREATE = 0x10000000
IN_MASK_ADD = 0x20000000
IN_ISDIR = 0x40000000
IN_ONESHOT = 0x80000000

watch_count = static(Atomic[u32])  # watches there are; changed under inotify's lock
last_cookie = static(Atomic[u32])  # joins the two events of a rename

# An event for the watches of a node: mask, cookie, and the name in it that it is about, if it is about one.
on_event = hook(Fn[[Node, u32, u32, Slice[u8]], None])
# A node has lost its last name and nobody has it open: the last that its watches hear of.
on_gone = hook(Fn[[Node], None])


@metal(inline=True)
def watched() -> bool:
    """Whether anybody watches anything."""
    return watch_count.load() != 0


@metal
def tell_in(directory: Ptr[Node], mask: u32, cookie: u32, name: Slice[u8]) -> None:
    """Something happened to a name in a directory."""
    if watched() and directory is not None and directory.watches != 0:
        on_event(directory, mask, cookie, name)


@metal
def tell_of(node: Ptr[Node], mask: u32) -> None:
    """Something happened to a node itself."""
    if watched() and node is not None and node.watches != 0:
        on_event(node, mask, 0, b"")


@metal
def tell_gone(node: Ptr[Node]) -> None:
    """A node is gone."""
    if watched() and node is not None and node.watches != 0:
        on_gone(node)
