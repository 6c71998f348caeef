"""Files that go back: what the program wrote to the paths that the runner named, over the control channel at its end.

Of a folder, what has come into being in it since the start goes back, with the folders in it; what the image has had
there is on the other side already.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.boot.settings import settings
from goanna.kernel.boot.standing import find_entry
from goanna.kernel.device.control import return_data, return_file
from goanna.kernel.file.flags import PATH_MAX, S_IFREG
from goanna.kernel.file.node import Node
from goanna.kernel.file.node_pages import content
from goanna.kernel.file.tree import NEGATIVE, Entry, entries_lock
from goanna.kernel.memory import pages
from goanna.metal import Array, Ptr, Slice, metal, static, u8, u32, u64, unsafe

__all__ = ["send_returns"]

DEEPEST = 16  # folders in folders: each takes a part of the kernel's stack

_path = static(Array[u8, PATH_MAX])  # of what is being sent; the last thread of the first process alone


@metal
def send_returns() -> None:
    """Send all that was asked for and is there. On the last thread of the first process; may sleep."""
    asked = settings.returns
    position: u64 = 0
    while position < len(asked):
        end = position
        while asked[end] != 0:
            end += 1
        length = end - position
        if length < PATH_MAX:
            _path[0:length] = asked[position:end]
            entry, _ = find_entry(asked[position:end])
            if entry is not None:
                send_entry(entry, length, 0)
                entry.drop()
        position = end + 1


@metal
def send_entry(entry: Entry, length: u64, depth: u64) -> None:
    """Send a file or folder, whose path is the first `length` bytes of _path."""
    node = entry.node
    if node is None:
        return
    if node.kind() == S_IFREG:
        send_file(node, _path[0:length])
    elif node.is_directory() and depth < DEEPEST:
        return_file(node.mode, 0, _path[0:length])
        send_folder(entry, length, depth + 1)


@metal
def send_folder(folder: Entry, length: u64, depth: u64) -> None:
    """Send what is in a folder and no image has."""
    cookie: u64 = 0
    while True:
        child: Ptr[Entry] = None
        with entries_lock:
            child = folder.children.at_least(cookie)
            while child is not None and child.has(NEGATIVE):
                child = folder.children.after(child)
            if child is not None:
                child.hold()
                cookie = child.cookie + 1
        if child is None:
            return
        end = length + 1 + u64(child.length)
        if end < PATH_MAX:
            _path[length] = ord("/")
            _path[length + 1 : end] = child.text()
            send_entry(child, end, depth)
        child.drop()


@metal
def send_file(node: Node, path: Slice[u8]) -> None:
    """Send one file. What can't be read of it goes as zeros: the program has been told."""
    size = node.size
    return_file(u32(node.mode), size, path)
    position: u64 = 0
    while position < size:
        data, page, _ = content(node, position, min(size - position, u64(PAGE_SIZE)))
        if len(data) == 0:
            count = min(size - position, PAGE_SIZE - position % PAGE_SIZE)
            data = unsafe.slice(u8, virtual(pages.zero_page()), count)
        return_data(data)
        position += len(data)
        if page != 0:
            pages.release(page)
