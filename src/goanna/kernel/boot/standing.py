"""Who the first process is and where it stands: user, group, working directory, what its machine is called, and the
tree that came along beside the image.
"""

from goanna.kernel.base.errno import EINVAL, ENOTDIR
from goanna.kernel.boot.settings import settings
from goanna.kernel.exec.stack import Start
from goanna.kernel.file.crossing import cross
from goanna.kernel.file.drive import Drive
from goanna.kernel.file.image_tree import mount_image
from goanna.kernel.file.tree import Entry, child_of, root_entry
from goanna.kernel.identity.credentials import become_user
from goanna.kernel.identity.names import host_name
from goanna.kernel.thread.process import GROUPS, Credentials, Process
from goanna.metal import Fn, Ptr, Slice, hook, i64, metal, u8, u32, u64, unsafe

__all__ = ["describe_person", "find_entry", "mount_tree", "set_directory", "take_identity", "take_place"]

SLASH = 0x2F

# The process stands in this entry of the tree, whose reference is used up.
set_directory = hook(Fn[[Process, Entry], None])


@metal
def find_entry(path: Slice[u8]) -> tuple[Ptr[Entry], i64]:
    """The entry of an absolute path without links, with a reference; or None and an errno."""
    root_entry.hold()
    at: Ptr[Entry] = root_entry
    position: u64 = 0
    while position < len(path):
        if path[position] == SLASH:
            position += 1
            continue
        end = position
        while end < len(path) and path[end] != SLASH:
            end += 1
        child, error = child_of(at, path[position:end])
        at.drop()
        if child is None:
            return None, error
        at = cross(child)
        position = end
    return at, 0


@metal
def take_identity(process: Process) -> None:
    """User, group and host name as the settings say. Before the program is loaded."""
    become_user(process.credentials, settings.user, settings.group)
    credentials: Credentials = process.credentials
    count = min(len(settings.groups) // 4, u64(GROUPS))
    for index in range(count):
        credentials.groups[index] = unsafe.load(u32, unsafe.address(settings.groups) + index * 4, unaligned=True)
    credentials.group_count = u32(count)
    if len(settings.hostname) != 0:
        host_name.set(settings.hostname)


@metal
def describe_person(start: Start, process: Process) -> None:
    """What the first stack says of the user."""
    me = process.credentials
    start.user = me.user
    start.effective_user = me.effective_user
    start.group = me.group
    start.effective_group = me.effective_group


@metal
def take_place(process: Process) -> i64:
    """Let the process stand in the working directory that was asked for. 0, -ENOENT, -ENOTDIR or what the tree says."""
    entry, error = find_entry(settings.directory)
    if entry is None:
        return error
    if not entry.is_directory():
        entry.drop()
        return -ENOTDIR
    set_directory(process, entry)
    return 0


@metal
def mount_tree(base: u64, drive: Ptr[Drive], size: u64) -> i64:
    """Put the tree that came along, of `size` bytes at `base` or on a drive, where the settings say; the directory must
    be there. 0 or a negative errno."""
    path = settings.tree
    end = len(path)
    while end > 0 and path[end - 1] != SLASH:
        end -= 1
    if end == 0 or end == len(path):
        return -EINVAL
    parent, error = find_entry(path[0:end])
    if parent is None:
        return error
    error = mount_image(base, drive, size, parent, path[end:])
    parent.drop()
    return error
