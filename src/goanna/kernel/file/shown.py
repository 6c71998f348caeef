"""Paths of entries as programs are shown them: by getcwd, links in /proc, maps."""

from goanna.kernel.file.tree import DEAD, Entry, Tree, entries_lock
from goanna.metal import Slice, metal, u8, u64

__all__ = ["path_of", "shown_path"]

GONE = b" (deleted)"


@metal
def path_of(entry: Entry, root: Entry, buffer: Slice[u8]) -> tuple[u64, bool]:
    """Write the path from `root` down to the end of `buffer`: where it begins there, len(buffer) if it does not fit;
    and whether it is below the root at all. If not, it begins at the top of the last tree above it."""
    start = len(buffer)
    below = True
    with entries_lock:
        tree: Tree = entry.tree
        at = entry.real()
        while at is not root.real() or tree is not root.tree:
            if tree.root is not None and at is tree.root.real() and tree.covered is not None:
                at = tree.covered.real()
                tree = tree.covered.tree
                continue
            if at.parent is None or (tree.root is not None and at is tree.root.real()):
                below = False
                break
            length = u64(at.length)
            if start < length + 1:
                return len(buffer), True
            buffer[start - length : start] = at.text()
            start -= length + 1
            buffer[start] = 0x2F
            at = at.parent
    if start == len(buffer) and start != 0:
        start -= 1
        buffer[start] = 0x2F
    return start, below


@metal
def shown_path(entry: Entry, root: Entry, buffer: Slice[u8]) -> u64:
    """The path of an entry at the start of `buffer`, as links in /proc show it: that a name is gone is said. Its
    length; 0: it does not fit."""
    room = len(buffer) - len(GONE)
    length: u64 = 0
    if entry.parent is None and entry.length != 0:
        length = u64(entry.length) + 1
        if length > room:
            return 0
        buffer[0] = 0x2F
        buffer[1:length] = entry.text()
    else:
        start, _ = path_of(entry, root, buffer[0:room])
        length = room - start
        buffer[0:length] = buffer[start:room]
    if entry.real().has(DEAD) and length != 0:
        buffer[length : length + len(GONE)] = GONE
        length += len(GONE)
    return length
