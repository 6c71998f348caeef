"""Robust futexes: a list in user memory of the locks that a thread holds, which are marked when it ends with them held.

Source: Linux Documentation/locking/robust-futex-ABI.rst, kernel/futex/core.c.
"""

from goanna.kernel.arch import WRITE
from goanna.kernel.base.errno import EFAULT, EINVAL, EPERM, ESRCH
from goanna.kernel.memory.user import accessible, compare_exchange32_quietly, get, load32_quietly, put, touch
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.futex import wake_at
from goanna.kernel.thread.process import tree_lock
from goanna.kernel.thread.thread import Thread, find_in_table
from goanna.metal import i32, i64, metal, u32, u64, wrapping

__all__ = [
    "FUTEX_OWNER_DIED",
    "FUTEX_TID_MASK",
    "FUTEX_WAITERS",
    "release_robust_list",
    "sys_get_robust_list",
    "sys_set_robust_list",
]

FUTEX_WAITERS = 0x8000_0000
FUTEX_OWNER_DIED = 0x4000_0000
FUTEX_TID_MASK = 0x3FFF_FFFF

HEAD_SIZE = 24  # struct robust_list_head: first entry, offset of the futex from an entry, entry being taken or released
OFFSET = 8
PENDING = 16
LIMIT = 2048  # entries followed, ROBUST_LIST_LIMIT
PI = 1  # lowest bit of an entry's address


@metal
def sys_set_robust_list(head: u64, length: u64) -> i64:
    """set_robust_list."""
    if length != HEAD_SIZE:
        return -EINVAL
    current().robust_list = head
    return 0


@metal
def sys_get_robust_list(thread: i32, head: u64, length: u64) -> i64:
    """get_robust_list: of a thread of one's own process, or of any for root."""
    found = current().robust_list
    if thread != 0:
        with tree_lock:
            target = find_in_table(u32.wrap(thread))
            if target is None or target.process is None:
                return -ESRCH
            mine = current_process().credentials.effective_user == 0
            if target.process is not current_process() and not mine:
                return -EPERM
            found = target.robust_list
    if put(length, u64(HEAD_SIZE)) != 0 or put(head, found) != 0:
        return -EFAULT
    return 0


@metal
def release_robust_list(me: Thread) -> None:
    """Mark the locks on the running thread's list as left behind by one that died, and wake a waiter of each."""
    head = me.robust_list
    if head == 0:
        return
    me.robust_list = 0
    entry, failed = get(u64, head)
    offset, no_offset = get(u64, wrapping(head + OFFSET))
    pending, no_pending = get(u64, wrapping(head + PENDING))
    if failed != 0 or no_offset != 0 or no_pending != 0:
        return
    for _ in range(LIMIT):
        if entry & ~PI == head:
            break
        following, failed = get(u64, entry & ~PI)
        if entry & ~PI != pending & ~PI and not release_one(
            me, wrapping((entry & ~PI) + offset), entry & PI != 0, False
        ):
            return
        if failed != 0:
            break
        entry = following
    if pending & ~PI != 0:
        release_one(me, wrapping((pending & ~PI) + offset), pending & PI != 0, True)


@metal
def release_one(me: Thread, address: u64, inherits: bool, pending: bool) -> bool:
    """Mark one lock if the thread holds it. False: its word can't be reached."""
    if address % 4 != 0 or not accessible(address, 4):
        return False
    while True:
        fault, word = load32_quietly(address)
        if fault:
            if not touch(address, WRITE):
                return False
            continue
        if pending and not inherits and word == 0:
            wake_at(address)
            return True
        if word & FUTEX_TID_MASK != me.id:
            return True
        fault, found = compare_exchange32_quietly(address, word, word & FUTEX_WAITERS | FUTEX_OWNER_DIED)
        if fault:
            if not touch(address, WRITE):
                return False
        elif found == word:
            if not inherits and word & FUTEX_WAITERS != 0:
                wake_at(address)
            return True
