"""Locks on files: flock's on the whole file, record locks of processes (POSIX) and of open descriptions (OFD).

A file's locks are a list under one spin lock; who must wait sleeps until any of them changes (Linux fs/locks.c).
"""

from goanna.kernel.base.errno import EAGAIN, EDEADLK, ENOLCK, ERESTARTSYS
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.description import Description, on_descriptor_close, on_locked_release
from goanna.kernel.file.events import IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, watched
from goanna.kernel.file.flags import O_PATH
from goanna.kernel.file.node import Node
from goanna.kernel.file.tree import tell_both
from goanna.kernel.memory.objects import Cache
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Ptr, copy, i64, metal, static, struct, u32, u64, unsafe

__all__ = [
    "FLOCK",
    "LAST",
    "READ_LOCK",
    "RECORD",
    "UNLOCK",
    "WRITE_LOCK",
    "FileLock",
    "end_locks",
    "find_conflict",
    "locks_of",
    "set_lock",
]

READ_LOCK = 0  # F_RDLCK
WRITE_LOCK = 1  # F_WRLCK
UNLOCK = 2  # F_UNLCK
LAST = (1 << 63) - 1  # the last byte that a lock can cover: to the end of the file, however it grows

FLOCK = 0  # flock's
RECORD = 1  # of a process or a description; these two see each other


@struct
class FileLock:
    """One lock, or the wish for one."""

    link: Link
    family: u32  # FLOCK or RECORD
    kind: u32  # READ_LOCK, WRITE_LOCK, UNLOCK
    owner: u64  # address of the descriptor table of a process, or of a description
    process: u32  # whose it is, for F_GETLK; 0: a description's
    start: u64  # bytes
    end: u64  # the last one, included

    def conflicts(self, wish: "FileLock") -> bool:
        """Whether it stands in the way of a wish."""
        if self.family != wish.family or self.owner == wish.owner:
            return False
        if self.kind == READ_LOCK and wish.kind == READ_LOCK:
            return False
        return self.start <= wish.end and wish.start <= self.end


LockList = List(FileLock, "link")


@struct
class FileLocks:
    """The locks of one file. They stay with the node."""

    lock: SpinLock  # protects both
    held: LockList
    waiters: WaitQueue


@struct
class Waiting:
    """Whom the owner of a record lock waits for. It lies on the sleeper's stack."""

    link: Link
    owner: u64
    for_owner: u64


WaitingList = List(Waiting, "link")
records = Cache(FileLock)
tables = Cache(FileLocks)
graph_lock = static(SpinLock)  # protects `waiting`; taken after a file's
waiting = static(WaitingList)
making_lock = static(SpinLock)  # protects the step of Node.locks from 0


@metal
def locks_of(node: Node) -> Ptr[FileLocks]:
    """The locks of a file; None: memory is out."""
    if node.locks == 0:
        made = tables.allocate()
        if made is None:
            return None
        with making_lock:
            if node.locks == 0:
                node.locks = unsafe.address(made)
                return made
        tables.free(made)
    return unsafe.pointer(FileLocks, node.locks)


@metal
def end_locks(node: Node) -> None:
    """The file ends; nobody holds a lock."""
    if node.locks != 0:
        tables.free(unsafe.at(FileLocks, node.locks))
        node.locks = 0


@metal
def blocker(locks: FileLocks, wish: FileLock) -> Ptr[FileLock]:
    """The first lock that stands in the way of a wish, or None. With the lock."""
    each = locks.held.head()
    while each is not None:
        if each.conflicts(wish):
            return each
        each = locks.held.after(each)
    return None


@metal
def find_conflict(node: Node, wish: FileLock) -> bool:
    """F_GETLK: overwrite a wish with the lock that stands in its way. False: nothing does."""
    if node.locks == 0:
        return False
    locks = unsafe.at(FileLocks, node.locks)
    with locks.lock:
        found = blocker(locks, wish)
        if found is None:
            return False
        wish.kind = found.kind
        wish.process = found.process
        wish.start = found.start
        wish.end = found.end
        return True


@metal
def deadlocks(owner: u64, for_owner: u64) -> bool:
    """Whether whoever `owner` would wait for waits, by way of others, for it. With graph_lock."""
    at = for_owner
    steps: u32 = 0
    while steps < 1000:
        steps += 1
        found = False
        each = waiting.head()
        while each is not None:
            if each.owner == at:
                if each.for_owner == owner:
                    return True
                at = each.for_owner
                found = True
                break
            each = waiting.after(each)
        if not found:
            return False
    return False


@metal
def wait_for(locks: FileLocks, wish: FileLock, holder: FileLock) -> i64:
    """Sleep until the file's locks change. With the lock. 0, -EDEADLK or -ERESTARTSYS."""
    record = Waiting(owner=wish.owner, for_owner=holder.owner)
    listed = wish.family == RECORD and wish.process != 0
    if listed:
        with graph_lock:
            if holder.process != 0 and deadlocks(wish.owner, holder.owner):
                return -EDEADLK
            waiting.append(record)
    wake = locks.waiters.wait(locks.lock, NEVER, True)
    if listed:
        with graph_lock:
            waiting.remove(record)
    return -ERESTARTSYS if wake == Wake.SIGNAL else 0


@metal
def set_lock(node: Node, wish: FileLock, waits: bool) -> i64:
    """Take, change or give up a lock; bytes that the owner had locked otherwise change. 0, -EAGAIN, -EDEADLK, -ENOLCK
    (memory is out) or -ERESTARTSYS. May sleep."""
    if wish.kind == UNLOCK and node.locks == 0:
        return 0
    locks = locks_of(node)
    fresh = records.allocate()
    spare = records.allocate()
    result: i64 = -ENOLCK
    if locks is not None and fresh is not None and spare is not None:
        with locks.lock:
            result = try_lock(locks, wish, waits)
            if result == 0:
                wanted = wish.kind != UNLOCK
                if replace(locks, wish, spare):
                    spare = None
                if wanted:
                    copy(fresh, wish)
                    locks.held.append(fresh)
                    fresh = None
            locks.waiters.wake_all()
    if fresh is not None:
        records.free(fresh)
    if spare is not None:
        records.free(spare)
    return result


@metal
def try_lock(locks: FileLocks, wish: FileLock, waits: bool) -> i64:
    """Wait until nothing stands in the way. With the lock. 0 or an errno."""
    if wish.kind == UNLOCK:
        return 0
    if wish.family == FLOCK:
        give_up(locks, wish)
    while True:
        holder = blocker(locks, wish)
        if holder is None:
            return 0
        if not waits:
            return -EAGAIN
        error = wait_for(locks, wish, holder)
        if error < 0:
            return error


@metal
def give_up(locks: FileLocks, wish: FileLock) -> None:
    """flock gives up what the description has of another kind before it asks for the new lock. With the lock."""
    each = locks.held.head()
    while each is not None:
        following = locks.held.after(each)
        if each.family == FLOCK and each.owner == wish.owner and each.kind != wish.kind:
            locks.held.remove(each)
            records.free(each)
            locks.waiters.wake_all()
        each = following


@metal
def replace(locks: FileLocks, wish: FileLock, spare: FileLock) -> bool:
    """Make room for what the owner wants: its locks on these bytes go, are cut, or become part of the wish where they
    are of the same kind. With the lock. Whether `spare`, for the second half of one that is cut in two, was used."""
    used = False
    each = locks.held.head()
    while each is not None:
        following = locks.held.after(each)
        if each.family == wish.family and each.owner == wish.owner:
            joins = each.kind == wish.kind
            reach: u64 = 1 if joins else 0
            if each.start <= wish.end + reach and wish.start <= each.end + reach:
                if joins:
                    wish.start = min(wish.start, each.start)
                    wish.end = max(wish.end, each.end)
                    locks.held.remove(each)
                    records.free(each)
                elif cut(locks, each, wish, spare):
                    used = True
        each = following
    return used


@metal
def cut(locks: FileLocks, each: FileLock, wish: FileLock, spare: FileLock) -> bool:
    """Take the bytes of a wish out of a lock of another kind. With the lock. Whether `spare` was used."""
    before = each.start < wish.start
    after = each.end > wish.end
    if before and after:
        copy(spare, each)
        spare.link.next = None
        spare.link.previous = None
        spare.start = wish.end + 1
        each.end = wish.start - 1
        locks.held.append(spare)
        return True
    if before:
        each.end = wish.start - 1
    elif after:
        each.start = wish.end + 1
    else:
        locks.held.remove(each)
        records.free(each)
    return False


@metal
def drop_locks(node: Node, owner: u64) -> None:
    """An owner has no lock on a file any more."""
    locks = unsafe.at(FileLocks, node.locks)
    with locks.lock:
        each = locks.held.head()
        while each is not None:
            following = locks.held.after(each)
            if each.owner == owner:
                locks.held.remove(each)
                records.free(each)
            each = following
        locks.waiters.wake_all()


@metal
def node_below(description: Description) -> Ptr[Node]:
    """The file that a description is of, or None."""
    return None if description.entry is None else description.entry.node


@on_descriptor_close.set
@metal
def forget_descriptor(description: Description, table: u64) -> None:
    """A process closes a descriptor: its record locks on that file are gone."""
    node = node_below(description)
    if node is not None and node.locks != 0:
        drop_locks(node, table)


@on_locked_release.set
@metal
def forget_description(description: Description) -> None:
    """A description ends, and with it the locks that it owns; who watches the file hears of it."""
    node = node_below(description)
    if node is not None and node.locks != 0:
        drop_locks(node, unsafe.address(description))
    if watched() and (description.status.load() & O_PATH) == 0:
        tell_both(description.entry, IN_CLOSE_WRITE if description.writable() else IN_CLOSE_NOWRITE)
