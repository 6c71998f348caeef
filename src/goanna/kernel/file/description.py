"""The open file description: what a descriptor refers to, with the position and status flags that duplicates share.

What kind of thing lies below is a table of functions. An operation that is None does not exist for that kind, and the
call that wants it answers as Linux does (EINVAL, ESPIPE, ENOTTY, ENOTDIR, ENODEV).
"""

from goanna.kernel.base.list import List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.directory import DirectoryWriter
from goanna.kernel.file.flags import O_ACCMODE, O_NONBLOCK, O_PATH, O_RDONLY, O_RDWR, O_WRONLY
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.watch import Watchers
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.source import PageSource
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import Array, Atomic, Fn, Ptr, hook, i64, metal, struct, u8, u32, u64


@struct
class Operations:
    """What can be done with one kind of file. Functions may sleep; none is called with a lock held."""

    label: Array[u8, 24]  # what /proc/self/fd says of a file without a path
    positional: bool  # read and write heed and move transfer.position; else pread and pwrite answer ESPIPE
    # Move up to transfer.left bytes: how many, 0 at the end of the file, or a negative errno.
    read: Fn[["Description", Transfer], i64]
    write: Fn[["Description", Transfer], i64]
    poll: Fn[["Description"], u32]  # the events that hold now; None: always ready
    watchers: Fn[["Description"], Ptr[Watchers]]  # who hears of changes; None: nothing that epoll watches
    seek: Fn[["Description", i64, u32], i64]  # the new position, with position_lock held; None: ESPIPE
    attributes: Fn[["Description", Attributes], i64]
    control: Fn[["Description", u32, u64], i64]  # ioctl
    list: Fn[["Description", DirectoryWriter], i64]  # entries from position on, with position_lock held
    source: Fn[["Description"], Ptr[PageSource]]  # its pages for mmap, with a reference; None: memory is out
    synchronise: Fn[["Description", bool], i64]  # fsync, or fdatasync (True); None: it is safe where it is
    open: Fn[[u32], tuple[Ptr["Description"], i64]]  # of a device: with open's flags; None: nothing to prepare
    # Open again what a descriptor refers to but no path leads to (/proc/self/fd); None: it can't be.
    reopen: Fn[["Description", u32], tuple[Ptr["Description"], i64]]
    release: Fn[["Description"], None]  # the last reference is gone


@struct
class Description:
    """struct file. Whoever uses it holds a reference; the descriptor table holds one for each descriptor."""

    operations: Ptr[Operations]
    references: Atomic[u32]
    status: Atomic[u32]  # open flags, as F_GETFL gives them
    object: u64  # address of what lies below, of a type that the operations know; or a number
    entry: Ptr["goanna.kernel.file.tree.Entry"]  # where it was opened, referenced; None for what has no path
    position_lock: Mutex  # protects position
    position: u64  # bytes from the start, or a directory's cookie
    owner: Atomic[u64]  # address of who is told by signals (signal_driven.py), or 0
    watch_lock: SpinLock  # protects watches
    watches: List("goanna.kernel.file.epoll.Item", "file_link")  # the epoll items that watch it

    def readable(self) -> bool:
        """Whether it was opened for reading. Access mode 3 permits neither reading nor writing (open(2))."""
        status = self.status.load()
        return (status & O_PATH) == 0 and (status & O_ACCMODE) in (O_RDONLY, O_RDWR)

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        status = self.status.load()
        return (status & O_PATH) == 0 and (status & O_ACCMODE) in (O_WRONLY, O_RDWR)

    def nonblocking(self) -> bool:
        """Whether O_NONBLOCK is set."""
        return (self.status.load() & O_NONBLOCK) != 0

    def change_status(self, mask: u32, value: u32) -> None:
        """Give the bits of `mask` in the status flags the bits of `value`."""
        while True:
            old = self.status.load()
            _, done = self.status.compare_exchange(old, (old & ~mask) | value)
            if done:
                return

    def mode(self) -> u32:
        """Type and permissions of what lies below."""
        attributes = Attributes()
        self.operations.attributes(self, attributes)
        return attributes.mode

    def seekable(self) -> bool:
        """Whether it has a position that reads and writes move."""
        return self.operations.positional

    def poll_events(self) -> u32:
        """The poll events that hold now."""
        if self.operations.poll is None:
            return ALWAYS_READY
        return self.operations.poll(self)

    def watcher_list(self) -> Ptr[Watchers]:
        """Who hears of changes, or None where there never is one."""
        if self.operations.watchers is None:
            return None
        return self.operations.watchers(self)

    def hold(self) -> None:
        """One reference more. The caller has one."""
        self.references.add(1)

    def drop(self) -> None:
        """One reference less; the last one ends the description. May sleep."""
        if self.references.sub(1) == 1:
            destroy(self)


ALWAYS_READY = 0x145  # DEFAULT_POLLMASK: POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM

descriptions = Cache(Description)

# Called when a description that epoll watches has lost its last reference (set by epoll.py).
on_watched_release = hook(Fn[[Description], None])
# Called when a description that has an owner has lost its last reference (set by signal_driven.py).
on_owned_release = hook(Fn[[Description], None])
# A process closes a descriptor, one of the table at this address, that refers to a description (set by locks.py).
on_descriptor_close = hook(Fn[[Description, u64], None])
# A description that may own locks has lost its last reference (set by locks.py).
on_locked_release = hook(Fn[[Description], None])
# Gives back a description's entry; the bool: the description could be written to (set by tree.py).
on_entry_release = hook(Fn[[Ptr["goanna.kernel.file.tree.Entry"], bool], None])


@metal
def create(operations: Operations, status: u32, object: u64) -> Ptr[Description]:
    """A description with one reference, or None if memory is out."""
    made = descriptions.allocate()
    if made is not None:
        made.operations = operations
        made.references.store(1)
        made.status.store(status)
        made.object = object
    return made


@metal
def close(description: Description, table: u64) -> None:
    """A descriptor of the table at this address no longer refers to a description: its reference is used up."""
    if description.entry is not None and (description.status.load() & O_PATH) == 0:
        on_descriptor_close(description, table)
    description.drop()


@metal
def destroy(description: Description) -> None:
    """End a description that nobody refers to."""
    if not description.watches.empty():
        on_watched_release(description)
    if description.owner.load() != 0:
        on_owned_release(description)
    if description.entry is not None:
        on_locked_release(description)
    if description.operations.release is not None:
        description.operations.release(description)
    if description.entry is not None:
        on_entry_release(description.entry, description.writable())
    descriptions.free(description)

