"""The calls of inotify."""

from goanna.kernel.base.errno import EACCES, EBADF, EINVAL, ENOMEM, ENOTDIR
from goanna.kernel.file.attribute_calls import place_at
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import add_descriptor, get_open_file
from goanna.kernel.file.events import (
    IN_DONT_FOLLOW,
    IN_MASK_ADD,
    IN_MASK_CREATE,
    IN_ONLYDIR,
)
from goanna.kernel.file.flags import AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_NONBLOCK, O_RDONLY
from goanna.kernel.file.inotify import INOTIFY, add_watch, instance_of, instances, remove_watch
from goanna.kernel.file.permission import READ, entry_permitted
from goanna.kernel.file.tree import Entry, own
from goanna.metal import Ptr, i32, i64, metal, u32, u64, unsafe

KNOWN = 0xF7000FFF  # ALL_INOTIFY_BITS, without those that only events have


@metal
def sys_inotify_init1(options: u32) -> i64:
    """inotify_init1(2)."""
    if (options & ~(O_CLOEXEC | O_NONBLOCK)) != 0:
        return -EINVAL
    instance = instances.allocate()
    if instance is None:
        return -ENOMEM
    description = create(INOTIFY, O_RDONLY | (options & O_NONBLOCK), unsafe.address(instance))
    if description is None:
        instances.free(instance)
        return -ENOMEM
    return add_descriptor(description, (options & O_CLOEXEC) != 0)


@metal
def sys_inotify_init() -> i64:
    """inotify_init(2)."""
    return sys_inotify_init1(0)


@metal
def inotify_description(descriptor: i32) -> tuple[Ptr[Description], i64]:
    """The description of an instance, with a reference. -EBADF; -EINVAL: it is something else."""
    description = get_open_file(descriptor)
    if description is None:
        return None, -EBADF
    operations: Ptr[Operations] = INOTIFY
    if description.operations is not operations:
        description.drop()
        return None, -EINVAL
    return description, 0


@metal
def sys_inotify_add_watch(descriptor: i32, path: u64, mask: u32) -> i64:
    """inotify_add_watch(2)."""
    if (mask & KNOWN) == 0:
        return -EINVAL
    if (mask & (IN_MASK_ADD | IN_MASK_CREATE)) == IN_MASK_ADD | IN_MASK_CREATE:
        return -EINVAL
    description, error = inotify_description(descriptor)
    if description is None:
        return error
    entry, error = place_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW if (mask & IN_DONT_FOLLOW) != 0 else 0)
    if entry is not None:
        error = watch_entry(description, entry, mask)
        entry.drop()
    description.drop()
    return error


@metal
def watch_entry(description: Description, entry: Entry, mask: u32) -> i64:
    """Add a watch on what a path led to."""
    if (mask & IN_ONLYDIR) != 0 and not entry.is_directory():
        return -ENOTDIR
    if not entry_permitted(entry, READ):
        return -EACCES
    if entry.node is None:
        return -EINVAL
    own(entry)
    return add_watch(instance_of(description), entry.node, mask)


@metal
def sys_inotify_rm_watch(descriptor: i32, number: i32) -> i64:
    """inotify_rm_watch(2)."""
    description, error = inotify_description(descriptor)
    if description is None:
        return error
    error = remove_watch(instance_of(description), number)
    description.drop()
    return error
