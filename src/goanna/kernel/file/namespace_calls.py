"""unshare, setns, mount, umount2 and pivot_root, as a kernel answers that has one namespace of each kind.

unshare gives a thread that shares its descriptors or directories with another its own. What is mounted is settled at
the start of the machine: of the file systems that Linux would make at run time none can be made here.
"""

from goanna.kernel.base.errno import EBADF, EBUSY, EFAULT, EINVAL, ENODEV, ENOSYS, EPERM
from goanna.kernel.file.descriptors import get_file
from goanna.kernel.file.flags import AT_FDCWD
from goanna.kernel.file.place import entry_at
from goanna.kernel.file.thread_files import own_files, own_place
from goanna.kernel.file.tree import MOUNT, Entry
from goanna.kernel.identity.credentials import CAP_SYS_ADMIN, capable
from goanna.kernel.memory import user
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.inherit import (
    CLONE_FILES,
    CLONE_FS,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_SIGHAND,
    CLONE_THREAD,
    CLONE_VM,
    NAMESPACES,
)
from goanna.metal import Array, Ptr, constant, i32, i64, metal, u8, u32, u64

CLONE_SYSVSEM = 0x40000  # undo values of semaphores: there are none
ALL_NAMESPACES = NAMESPACES | CLONE_NEWTIME
ALONE = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM  # what a process of one thread shares with nobody
UNSHARED = ALL_NAMESPACES | ALONE | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM

MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_PRIVATE = 1 << 18
MS_PROPAGATION = 1 << 17 | MS_PRIVATE | 1 << 19 | 1 << 20
KIND_SIZE = 32
# The kinds that a Linux of the usual configuration has at hand.
NAMES = (b"tmpfs", b"ramfs", b"proc", b"sysfs", b"devtmpfs", b"devpts", b"mqueue", b"overlay")
KINDS = constant(Array[Array[u8, 9], len(NAMES)], [each.ljust(9, b"\0") for each in NAMES])
UMOUNT_KNOWN = 0xF  # MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW
UMOUNT_NOFOLLOW = 8


@metal
def sys_unshare(flags: u64) -> i64:
    """unshare(2)."""
    if (flags & ~u64(UNSHARED)) != 0:
        return -EINVAL
    process = current_process()
    several = process.thread_count > 1
    if several and (flags & (ALONE | CLONE_NEWUSER)) != 0:
        return -EINVAL
    if (flags & CLONE_VM) != 0 and process.space.references.load() > 1:
        return -EINVAL
    if (flags & ALL_NAMESPACES) != 0:
        mine = (flags & ALL_NAMESPACES) == CLONE_NEWUSER or capable(CAP_SYS_ADMIN)
        return -EINVAL if mine else -EPERM
    error: i64 = 0
    if (flags & CLONE_FS) != 0:
        error = own_place(current())
    if error == 0 and (flags & CLONE_FILES) != 0:
        error = own_files(current())
    return error


@metal
def sys_setns(descriptor: i32, kind: u32) -> i64:
    """setns(2): no descriptor stands for a namespace."""
    description = get_file(descriptor)
    if description is None:
        return -EBADF
    description.drop()
    return -EINVAL


@metal
def reached(address: u64, follow: bool) -> tuple[bool, i64]:
    """Whether a tree stands at a path; and 0, what keeps the path from being walked, or -EPERM."""
    entry, error = entry_at(AT_FDCWD, address, follow)
    if error < 0:
        return False, error
    stands = is_mount(entry)
    entry.drop()
    return stands, 0 if capable(CAP_SYS_ADMIN) else -EPERM


@metal
def is_mount(entry: Ptr[Entry]) -> bool:
    """Whether a tree stands at an entry."""
    return entry.parent is None or entry.has(MOUNT)


@metal
def sys_mount(source: u64, target: u64, kind: u64, flags: u64, data: u64) -> i64:
    """mount(2): what stands is private already; -ENOSYS for what can't be done here and can be on Linux."""
    name = Array[u8, KIND_SIZE]()
    if kind != 0 and user.copy_in_string(name[:], kind) == -EFAULT:
        return -EFAULT
    stands, error = reached(target, True)
    if error < 0:
        return error
    if (flags & MS_PROPAGATION) != 0 and (flags & (MS_REMOUNT | MS_BIND | MS_MOVE)) == 0:
        return 0 if stands and (flags & MS_PROPAGATION) == MS_PRIVATE else -EINVAL
    if (flags & (MS_REMOUNT | MS_MOVE)) != 0:
        return -ENOSYS if stands else -EINVAL
    if (flags & MS_BIND) != 0:
        return -ENOSYS
    if kind == 0:
        return -EINVAL
    for known in KINDS:
        if name[0 : len(known)] == known:
            return -ENOSYS
    return -ENODEV


@metal
def sys_umount2(target: u64, flags: u32) -> i64:
    """umount2(2): what stands is in use."""
    if (flags & ~u32(UMOUNT_KNOWN)) != 0:
        return -EINVAL
    stands, error = reached(target, (flags & UMOUNT_NOFOLLOW) == 0)
    if error < 0:
        return error
    return -EBUSY if stands else -EINVAL


@metal
def sys_pivot_root(new: u64, old: u64) -> i64:
    """pivot_root(2)."""
    if not capable(CAP_SYS_ADMIN):
        return -EPERM
    _, error = reached(new, True)
    if error == 0:
        _, error = reached(old, True)
    return error if error < 0 else -EINVAL
