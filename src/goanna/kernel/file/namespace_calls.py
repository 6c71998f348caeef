"""unshare and setns, as a kernel answers that has one namespace of each kind but of mounts.

unshare gives a thread that shares its descriptors or directories with another its own, and its own mounts.
"""

from goanna.kernel.base.errno import EBADF, EINVAL, EPERM
from goanna.kernel.file.descriptors import get_file
from goanna.kernel.file.place import leave_space, my_place
from goanna.kernel.file.thread_files import own_files, own_place
from goanna.kernel.identity.credentials import CAP_SYS_ADMIN, capable
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.inherit import (
    CLONE_FILES,
    CLONE_FS,
    CLONE_NEWNS,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_SIGHAND,
    CLONE_THREAD,
    CLONE_VM,
    NAMESPACES,
)
from goanna.metal import i32, i64, metal, u32, u64

CLONE_SYSVSEM = 0x40000  # undo values of semaphores: there are none
ALL_NAMESPACES = NAMESPACES | CLONE_NEWTIME
ALONE = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM  # what a process of one thread shares with nobody
UNSHARED = ALL_NAMESPACES | ALONE | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM


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
    apart = (flags & ALL_NAMESPACES) == CLONE_NEWNS and capable(CAP_SYS_ADMIN)
    if (flags & ALL_NAMESPACES) != 0 and not apart:
        mine = (flags & ALL_NAMESPACES) == CLONE_NEWUSER or capable(CAP_SYS_ADMIN)
        return -EINVAL if mine else -EPERM
    error: i64 = 0
    if (flags & (CLONE_FS | CLONE_NEWNS)) != 0:
        error = own_place(current())
    if error == 0 and apart:
        error = leave_space(my_place())
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
