"""flock, and the fcntl commands for record locks."""

from goanna.kernel.base.errno import EBADF, EFAULT, EINVAL, ENOLCK, EOVERFLOW
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import files, get_open_file
from goanna.kernel.file.flags import (
    F_GETLK,
    F_OFD_GETLK,
    F_OFD_SETLKW,
    F_SETLKW,
    SEEK_CUR,
    SEEK_END,
    SEEK_SET,
)
from goanna.kernel.file.locks import (
    FLOCK,
    LAST,
    READ_LOCK,
    RECORD,
    UNLOCK,
    WRITE_LOCK,
    FileLock,
    find_conflict,
    node_below,
    set_lock,
)
from goanna.kernel.memory import user
from goanna.kernel.thread.current import current_process
from goanna.metal import i16, i32, i64, metal, struct, u32, u64, unsafe

LOCK_SH = 1
LOCK_EX = 2
LOCK_NB = 4
LOCK_UN = 8


@struct
class Flock:
    """struct flock."""

    l_type: i16
    l_whence: i16
    padding: u32
    l_start: i64
    l_len: i64
    l_pid: i32
    padding_too: u32


@metal
def sys_flock(descriptor: i32, operation: u32) -> i64:
    """flock(2)."""
    wanted = operation & ~u32(LOCK_NB)
    if wanted not in (LOCK_SH, LOCK_EX, LOCK_UN):
        return -EINVAL
    description = get_open_file(descriptor)
    if description is None:
        return -EBADF
    node = node_below(description)
    result: i64 = -ENOLCK
    if wanted == LOCK_UN:
        result = 0
    if node is not None:
        wish = FileLock(family=FLOCK, owner=unsafe.address(description), start=0, end=LAST)
        wish.kind = WRITE_LOCK if wanted == LOCK_EX else READ_LOCK
        if wanted == LOCK_UN:
            wish.kind = UNLOCK
        result = set_lock(node, wish, (operation & LOCK_NB) == 0)
    description.drop()
    return result


@metal
def fill_wish(description: Description, asked: Flock, wish: FileLock) -> i64:
    """Kind and bytes of a lock. 0, -EINVAL or -EOVERFLOW (flock_to_posix_lock)."""
    start: i64 = 0
    if asked.l_whence == SEEK_CUR:
        start = i64(description.position)
    elif asked.l_whence == SEEK_END:
        node = node_below(description)
        start = i64(node.size) if node is not None else i64(0)
    elif asked.l_whence != SEEK_SET:
        return -EINVAL
    if asked.l_start > LAST - start:
        return -EOVERFLOW
    start += asked.l_start
    if start < 0:
        return -EINVAL
    end: i64 = LAST
    if asked.l_len > 0:
        if asked.l_len - 1 > LAST - start:
            return -EOVERFLOW
        end = start + (asked.l_len - 1)
    elif asked.l_len < 0:
        if asked.l_len < -start:
            return -EINVAL
        end = start - 1
        start += asked.l_len
    if asked.l_type not in (READ_LOCK, WRITE_LOCK, UNLOCK):
        return -EINVAL
    wish.family = RECORD
    wish.kind = u32(asked.l_type)
    wish.start = u64(start)
    wish.end = u64(end)
    return 0


@metal
def record_lock(description: Description, command: u32, address: u64) -> i64:
    """One of the six commands."""
    asked = Flock()
    if user.get_struct(asked, address) < 0:
        return -EFAULT
    by_description = command >= F_OFD_GETLK
    asks = command in (F_GETLK, F_OFD_GETLK)
    if asks and asked.l_type == UNLOCK and not by_description:
        return -EINVAL
    wish = FileLock()
    error = fill_wish(description, asked, wish)
    if error < 0:
        return error
    if not asks and wish.kind == READ_LOCK and not description.readable():
        return -EBADF
    if not asks and wish.kind == WRITE_LOCK and not description.writable():
        return -EBADF
    if by_description and asked.l_pid != 0:
        return -EINVAL
    wish.owner = unsafe.address(description) if by_description else unsafe.address(files())
    wish.process = u32(0) if by_description else current_process().id
    node = node_below(description)
    if asks:
        found = node is not None and wish.kind != UNLOCK and find_conflict(node, wish)
        return tell(address, asked, wish, found)
    if node is None:
        return -ENOLCK if wish.kind != UNLOCK else 0
    return set_lock(node, wish, command in (F_SETLKW, F_OFD_SETLKW))


@metal
def tell(address: u64, asked: Flock, wish: FileLock, found: bool) -> i64:
    """Answer F_GETLK. 0 or -EFAULT."""
    asked.l_type = UNLOCK
    if found:
        asked.l_type = i16(wish.kind)
        asked.l_whence = SEEK_SET
        asked.l_start = i64(wish.start)
        asked.l_len = 0 if wish.end == LAST else i64(wish.end - wish.start + 1)
        asked.l_pid = -1 if wish.process == 0 else i32(wish.process)
    return user.put_struct(address, asked)
