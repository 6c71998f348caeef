"""mount and umount2: file systems in memory, the machine's own once more, parts of trees at second places, and how what
stands may be used (mount(2), Linux fs/namespace.c).

Mounts are private or unbindable; that one is to be shared with others is refused.
"""

from goanna.kernel.arch import virtual
from goanna.kernel.base.errno import (
    EAGAIN,
    EBUSY,
    EINVAL,
    ELOOP,
    ENAMETOOLONG,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOTDIR,
    EPERM,
)
from goanna.kernel.file.crossing import cross, is_top
from goanna.kernel.file.flags import (
    AT_FDCWD,
    PATH_MAX,
    ST_NOATIME,
    ST_NODEV,
    ST_NODIRATIME,
    ST_NOEXEC,
    ST_NOSUID,
    ST_NOSYMFOLLOW,
    ST_RDONLY,
    ST_RELATIME,
    ST_STRICTATIME,
)
from goanna.kernel.file.memory_mount import Options, change_limits, new_device, new_memory_tree
from goanna.kernel.file.mount import (
    first_tree,
    in_use,
    mounts_mutex,
    move_tree,
    new_view,
    permanent_top,
    set_source,
    settle_rights,
    stand,
    take_away,
)
from goanna.kernel.file.mount_copy import copy_below, last_tree, lies_below
from goanna.kernel.file.place import entry_at, my_place
from goanna.kernel.file.tree import DEAD, Entry, Tree
from goanna.kernel.identity.credentials import CAP_SYS_ADMIN, capable
from goanna.kernel.memory import pages, user
from goanna.metal import Array, Ptr, Slice, i64, metal, u8, u32, u64, unsafe

MS_RDONLY = 1
MS_REMOUNT = 32
MS_NOSYMFOLLOW = 256
MS_NOATIME = 1024
MS_NODIRATIME = 2048
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SILENT = 32768
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_PROPAGATION = MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24
MS_NOUSER = 1 << 31
MAGIC_MASK, MAGIC = 0xFFFF_0000, 0xC0ED_0000  # what programs of old put into the flags
TIMES = ST_NOATIME | ST_NODIRATIME | ST_RELATIME | ST_STRICTATIME
# Flags of a mount that have the same bit in statfs.
SAME = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC | ST_NODIRATIME

MNT_FORCE = 1
MNT_DETACH = 2
MNT_EXPIRE = 4
UMOUNT_NOFOLLOW = 8
UMOUNT_KNOWN = MNT_FORCE | MNT_DETACH | MNT_EXPIRE | UMOUNT_NOFOLLOW
LONGEST_KIND = 32  # bytes with the final zero


@metal
def mount_flags(flags: u64, before: u32) -> u32:
    """The flags of a mount as statfs numbers them. `before`: those it has, whose times remain if none are named."""
    made = u32(flags & SAME) | (ST_NOSYMFOLLOW if (flags & MS_NOSYMFOLLOW) != 0 else u32(0))
    if (flags & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)) == 0 and (flags & MS_REMOUNT) != 0:
        return made | (before & TIMES)
    if (flags & MS_STRICTATIME) != 0:
        return made | ST_STRICTATIME
    return made | (ST_NOATIME if (flags & MS_NOATIME) != 0 else u32(ST_RELATIME))


@metal
def fetch(text: Slice[u8], address: u64) -> tuple[u64, i64]:
    """A text from user memory, cut to fit: its length, and 0 or -EFAULT. Nothing, for address 0."""
    if address == 0:
        return 0, 0
    length = user.copy_in_string(text, address)
    if length == -ENAMETOOLONG:
        return len(text), 0
    return u64(max(length, 0)), min(length, 0)


@metal
def sys_mount(source: u64, target: u64, kind: u64, flags: u64, data: u64) -> i64:
    """mount(2)."""
    page = pages.allocate()
    if page == 0:
        return -ENOMEM
    text = unsafe.slice(u8, virtual(page), PATH_MAX)
    name = Array[u8, LONGEST_KIND]()
    length, error = fetch(name[:], kind)
    size: u64 = 0
    if error == 0:
        _, error = fetch(text, source)
    if error == 0:
        size, error = fetch(text, data)
    entry: Ptr[Entry] = None
    if error == 0:
        entry, error = entry_at(AT_FDCWD, target, True)
    if error == 0:
        error = -EPERM
        wanted = flags & ~u64(MAGIC_MASK) if (flags & MAGIC_MASK) == MAGIC else flags
        if (wanted & MS_NOUSER) != 0:
            error = -EINVAL
        elif capable(CAP_SYS_ADMIN):
            error = mount_on(entry, source, name[0:length], kind != 0, wanted, text[0:size])
    if entry is not None:
        entry.drop()
    pages.release(page)
    return error


@metal
def mount_on(entry: Entry, source: u64, kind: Slice[u8], has_kind: bool, flags: u64, data: Slice[u8]) -> i64:
    """What is wanted of a place. 0 or an errno."""
    if (flags & (MS_REMOUNT | MS_BIND)) == MS_REMOUNT | MS_BIND:
        with mounts_mutex:
            return change_mount(entry, mount_flags(flags, entry.tree.flags))
    if (flags & MS_REMOUNT) != 0:
        with mounts_mutex:
            return remount(entry, flags, data)
    if (flags & MS_BIND) != 0:
        return with_source(entry, source, flags)
    if (flags & MS_PROPAGATION) != 0:
        with mounts_mutex:
            return change_kind(entry, flags)
    if (flags & MS_MOVE) != 0:
        return with_source(entry, source, flags)
    if not has_kind:
        return -EINVAL
    return mount_new(entry, source, kind, flags, data)


@metal
def with_source(entry: Entry, source: u64, flags: u64) -> i64:
    """Bind, or move, what stands at another path. 0 or an errno."""
    if source == 0:
        return -EINVAL
    first, error = user.get(u8, source)
    if error == 0 and first == 0:
        error = -EINVAL
    if error < 0:
        return error
    from_, error = entry_at(AT_FDCWD, source, True)
    if from_ is None:
        return error
    with mounts_mutex:
        error = move(entry, from_) if (flags & MS_BIND) == 0 else bind(entry, from_, (flags & MS_REC) != 0)
    from_.drop()
    return error


@metal
def stands(tree: Tree) -> bool:
    """Whether a tree stands now, in the namespace of who asks. With mounts_mutex."""
    each = first_tree
    while each is not None and each is not tree:
        each = each.next
    return each is not None and tree.namespace == my_place().space.number


@metal
def place_for(entry: Entry, top: Entry) -> tuple[Ptr[Entry], i64]:
    """Where a tree that is to stand at an entry will: over what stands there last, with a reference. Or None and
    -ENOENT (it was removed, or nothing stands there any more), -ENOTDIR."""
    entry.hold()
    point = cross(entry)
    error: i64 = 0
    if point.real().has(DEAD) or not stands(point.tree):
        error = -ENOENT
    elif point.is_directory() != top.is_directory():
        error = -ENOTDIR
    if error == 0:
        return point, 0
    point.drop()
    return None, error


@metal
def bind(entry: Entry, source: Entry, recursive: bool) -> i64:
    """Let what is below `source` be seen below `entry` too. With mounts_mutex. 0 or an errno."""
    if source.tree.unbindable or not stands(source.tree):
        return -EINVAL
    point, error = place_for(entry, source)
    if point is None:
        return error
    tree = new_view(source.real())
    if tree is None:
        point.drop()
        return -ENOMEM
    settle_rights(source.tree.flags, tree)
    tree.device = source.tree.device
    if source.tree.source is not None:
        set_source(tree, source.tree.source.bytes[:])
    last = last_tree()
    stand(tree, tree.root, point)
    return copy_below(source, tree, last, False) if recursive else i64(0)


@metal
def move(entry: Entry, source: Entry) -> i64:
    """Let a tree stand elsewhere. With mounts_mutex. 0 or an errno."""
    tree: Tree = source.tree
    if not is_top(source) or not stands(tree) or tree.covered is None:
        return -EINVAL
    point, error = place_for(entry, source)
    if point is None:
        return -EINVAL if error == -ENOTDIR else error
    each: Ptr[Tree] = point.tree
    while each is not None:
        if each is tree:
            point.drop()
            return -ELOOP
        each = each.covered.tree if each.covered is not None else None
    move_tree(tree, point)
    return 0


@metal
def change_kind(entry: Entry, flags: u64) -> i64:
    """Say with whom a mount, or with MS_REC those below it too, shares what is mounted there: with nobody. With
    mounts_mutex. 0 or -EINVAL."""
    kind = flags & ~u64(MS_REC | MS_SILENT)
    if kind not in (MS_PRIVATE, MS_SLAVE, MS_UNBINDABLE) or not is_top(entry) or not stands(entry.tree):
        return -EINVAL
    each = first_tree
    while each is not None:
        meant = each is entry.tree or ((flags & MS_REC) != 0 and lies_below(each, entry.tree))
        if meant and kind != MS_SLAVE:
            each.unbindable = kind == MS_UNBINDABLE
        each = each.next
    return 0


@metal
def written_by(tree: Tree) -> bool:
    """Whether anybody has a file of a file system open for writing, by whatever mount. With mounts_mutex."""
    each = first_tree
    while each is not None:
        if each.root.real().tree is tree and each.writers.load() != 0:
            return True
        each = each.next
    return False


@metal
def change_mount(entry: Entry, flags: u32) -> i64:
    """Give a mount other flags. With mounts_mutex. 0, -EINVAL, or -EBUSY: something is open for writing."""
    tree: Tree = entry.tree
    if not is_top(entry) or not stands(tree):
        return -EINVAL
    if (flags & ~tree.flags & ST_RDONLY) != 0 and tree.writers.load() != 0:
        return -EBUSY
    settle_rights(flags, tree)
    return 0


@metal
def remount(entry: Entry, flags: u64, data: Slice[u8]) -> i64:
    """Change a mount and the file system that it shows. With mounts_mutex. 0 or an errno."""
    if not is_top(entry) or not stands(entry.tree):
        return -EINVAL
    system: Tree = entry.real().tree
    options = Options()
    error = options.parse(data)
    if error == 0:
        error = freeze(system, (flags & MS_RDONLY) != 0)
    if error == 0:
        error = change_limits(system, options)
    if error < 0:
        return error
    settle_rights(mount_flags(flags, entry.tree.flags), entry.tree)
    return 0


@metal
def freeze(system: Tree, frozen: bool) -> i64:
    """Let a file system be written to by none of its mounts, or again by those that may. With mounts_mutex. 0 or
    -EBUSY."""
    if frozen and not system.frozen and written_by(system):
        return -EBUSY
    system.frozen = frozen
    each = first_tree
    while each is not None:
        if each.root.real().tree is system:
            settle_rights(each.flags, each)
        each = each.next
    return 0


@metal
def mount_new(entry: Entry, source: u64, kind: Slice[u8], flags: u64, data: Slice[u8]) -> i64:
    """Mount a file system of a kind. 0 or an errno; -ENODEV: there is no such kind."""
    made: Ptr[Tree] = None
    shown: Ptr[Entry] = None
    if kind == b"tmpfs" or kind == b"ramfs":
        options = Options()
        error = options.parse(data)
        if error < 0:
            return error
        made = new_memory_tree(options)
    else:
        shown = permanent_top(kind)
        if shown is None:
            return -ENODEV
        if len(data) != 0:
            return -EINVAL
        made = new_view(shown)
        if made is not None and kind == b"proc":
            made.device = new_device()  # each is its own
    if made is None:
        return -ENOMEM
    tree: Tree = made
    if shown is None:
        tree.frozen = (flags & MS_RDONLY) != 0
    settle_rights(mount_flags(flags, 0), tree)
    name = unsafe.uninitialized(Array[u8, 256])
    length, error = fetch(name[:], source)
    if source == 0:
        name[0:4] = b"none"
        length = 4
    if error == 0:
        set_source(tree, name[0:length])
        with mounts_mutex:
            error = put_new(entry, tree)
    if error < 0:
        tree.root.drop()
    return error


@metal
def put_new(entry: Entry, tree: Tree) -> i64:
    """Let a new tree stand at a place. With mounts_mutex. 0 or an errno, after which its top is the caller's."""
    point, error = place_for(entry, tree.root)
    if point is None:
        return error
    if is_top(point) and point.tree.device == tree.device:
        point.drop()
        return -EBUSY
    stand(tree, tree.root, point)
    return 0


@metal
def sys_umount2(target: u64, flags: u32) -> i64:
    """umount2(2)."""
    if (flags & ~u32(UMOUNT_KNOWN)) != 0:
        return -EINVAL
    entry, error = entry_at(AT_FDCWD, target, (flags & UMOUNT_NOFOLLOW) == 0)
    if entry is None:
        return error
    root = my_place().get_root()
    of_root = is_top(root) and root.tree is entry.tree
    root.drop()
    error = -EPERM
    if capable(CAP_SYS_ADMIN):
        with mounts_mutex:
            error = unmount(entry, flags, of_root)
            if error == 1:
                take_all(entry)
                error = 0
    entry.drop()
    return error


@metal
def unmount(entry: Entry, flags: u32, of_root: bool) -> i64:
    """Whether what stands at an entry, on which the caller has one reference, may go. With mounts_mutex. 1: it may;
    0: all is done; or an errno."""
    tree: Tree = entry.tree
    if not is_top(entry) or not stands(tree):
        return -EINVAL
    held: u32 = 2 if entry is tree.root else 1
    if (flags & MNT_EXPIRE) != 0:
        if of_root or (flags & (MNT_FORCE | MNT_DETACH)) != 0:
            return -EINVAL
        if in_use(tree, held):
            return -EBUSY
        if not tree.expiring:
            tree.expiring = True
            return -EAGAIN
    if (flags & MNT_DETACH) != 0:
        return 1
    if of_root:
        return freeze(entry.real().tree, True)
    if tree.covered is None or in_use(tree, held):
        return -EBUSY
    return 1


@metal
def take_all(entry: Entry) -> None:
    """Take away a tree and all that stand below it, the last first. With mounts_mutex."""
    while True:
        each = first_tree
        lowest: Ptr[Tree] = None
        while each is not None:
            if each is entry.tree or lies_below(each, entry.tree):
                lowest = each
            each = each.next
        take_away(lowest)
        if lowest is entry.tree:
            return


@metal
def sys_pivot_root(new: u64, old: u64) -> i64:
    """pivot_root(2): the root is the first file system of all, which Linux doesn't let go either (EINVAL)."""
    if not capable(CAP_SYS_ADMIN):
        return -EPERM
    for index in range(2):
        entry, error = entry_at(AT_FDCWD, new if index == 0 else old, True)
        if entry is None:
            return error
        directory = entry.is_directory()
        entry.drop()
        if not directory:
            return -ENOTDIR
    return -EINVAL
