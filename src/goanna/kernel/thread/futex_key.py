"""Where the sleepers of a futex are found: its key, its bucket, and the sleeper itself.

A futex is known by the memory behind it: by address space and address, or, in a shared mapping, by the source of its
pages and the place in it, so that processes meet that map it at different addresses.
"""

from goanna.kernel.base.errno import EFAULT, EINVAL
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.user import accessible
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.thread import Thread
from goanna.metal import Array, Atomic, Ptr, i64, metal, static, struct, u32, u64, unsafe, wrapping

__all__ = ["Bucket", "FutexKey", "FutexWaiter", "bucket_of", "buckets", "find_key", "lock_two", "unlock_two"]

BUCKETS = 256
WORD = 4  # bytes of a futex


@struct
class FutexKey:
    """What identifies a futex."""

    owner: u64  # address of the AddressSpace or PageSource
    place: u64  # address, or offset in the source

    def equals(self, other: "FutexKey") -> bool:
        """Whether both are one futex."""
        return self.place == other.place and self.owner == other.owner


@struct
class FutexWaiter:
    """A thread asleep on a futex. It lies on the sleeper's stack; its bucket's lock protects it."""

    link: Link
    thread: Ptr[Thread]
    key: FutexKey
    bucket: Atomic[Ptr["Bucket"]]  # changes only under the locks of both buckets (requeue)
    bitset: u32
    holder: u32  # of a priority-inheritance futex: the tid that the sleeper waits for; else 0
    granted: u32  # ... and how it got the lock, GRANTED_ of futex_pi.py


FutexWaiters = List(FutexWaiter, "link")


@struct(align=64)
class Bucket:
    """Sleepers whose keys have one hash, the longest-waiting first."""

    lock: SpinLock  # protects all fields below
    waiters: FutexWaiters


buckets = static(Array[Bucket, BUCKETS])


@metal
def bucket_of(key: FutexKey) -> Bucket:
    """The bucket of a key."""
    mixed = wrapping((key.place >> 2) * 0x9E3779B97F4A7C15 + (key.owner >> 4) * 0xC2B2AE3D27D4EB4F)
    return buckets[mixed >> 56]


@metal
def find_key(key: FutexKey, address: u64, shared: bool) -> i64:
    """Fill in the key of the running program's futex at an address. 0, -EINVAL (not aligned) or -EFAULT.

    `shared`: other processes may use it (no FUTEX_PRIVATE_FLAG). The address space's lock is taken then.
    """
    if address % WORD != 0:
        return -EINVAL
    if not accessible(address, WORD):
        return -EFAULT
    space = current_process().space
    key.owner = unsafe.address(space)
    key.place = address
    if shared:
        with space.lock:
            area = space.find(address)
            if area is None:
                return -EFAULT
            if area.shared() and area.source is not None:
                key.owner = unsafe.address(area.source)
                key.place = area.offset + (address - area.start)
    return 0


@metal
def lock_two(a: Bucket, b: Bucket) -> None:
    """Take two buckets' locks, or one if they are one."""
    if a is b:
        a.lock.acquire()
    elif unsafe.address(a) < unsafe.address(b):
        a.lock.acquire()
        b.lock.acquire()
    else:
        b.lock.acquire()
        a.lock.acquire()


@metal
def unlock_two(a: Bucket, b: Bucket) -> None:
    """Undo lock_two."""
    a.lock.release()
    if a is not b:
        b.lock.release()
