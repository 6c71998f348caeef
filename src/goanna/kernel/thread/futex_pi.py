"""Priority-inheritance futexes: a lock whose word holds its owner's tid, handed over by the kernel (futex(2)).

All threads have one priority here, so nothing is inherited; what remains is what programs see: who owns the lock, who
is next, and what becomes of a lock whose owner ends. The word is the owner's tid, 0 if free, with a bit that says that
somebody sleeps in the kernel, so that the owner asks the kernel to unlock.
"""

from goanna.kernel.arch import WRITE
from goanna.kernel.base.errno import EAGAIN, EDEADLK, EFAULT, EPERM, ERESTARTNOINTR, ESRCH, ETIMEDOUT
from goanna.kernel.memory.user import compare_exchange32_quietly, load32_quietly, touch
from goanna.kernel.thread.current import current
from goanna.kernel.thread.futex import enqueue, leave_queue
from goanna.kernel.thread.futex_key import Bucket, FutexKey, FutexWaiter, bucket_of, buckets, find_key
from goanna.kernel.thread.robust import FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS
from goanna.kernel.thread.scheduler import WOKEN, Wake, claim, prepare_wait
from goanna.kernel.thread.thread import Thread, find_thread, release_thread
from goanna.kernel.thread.wait import sleep_until
from goanna.metal import Atomic, Ptr, i64, metal, static, u32, u64

__all__ = ["abandon_pi_locks", "futex_lock_pi", "futex_try_lock_pi", "futex_unlock_pi"]

# FutexWaiter.granted
UNLOCKED = 1  # the owner gave the lock over and set the word
ABANDONED = 2  # the owner ended; the new one sets the word

_sleepers = static(Atomic[u32])  # threads in futex_lock_pi: a thread's end need not look for them if there are none


@metal
def futex_lock_pi(address: u64, shared: bool, deadline: u64, clock: u32) -> i64:
    """Take the lock, sleeping until it is handed over or until the deadline on a clock of time/timer.py.

    0, -EDEADLK (one's own already), -ESRCH (the owner is no thread), -ETIMEDOUT, -EINVAL, -EFAULT, or, after a signal,
    a restart.
    """
    _sleepers.add(1)
    result = lock(address, shared, deadline, clock)
    _sleepers.sub(1)
    return result


@metal
def lock(address: u64, shared: bool, deadline: u64, clock: u32) -> i64:
    """futex_lock_pi, counted."""
    waiter = FutexWaiter(bitset=0xFFFF_FFFF)
    result = find_key(waiter.key, address, shared)
    if result != 0:
        return result
    me = current()
    waiter.thread = me
    bucket = bucket_of(waiter.key)
    while True:
        result, owner = begin(bucket, waiter.key, address)
        if owner == 0:
            return result
        waiter.holder = owner
        waiter.granted = 0
        enqueue(bucket, waiter)
        prepare_wait(me, True)
        bucket.lock.release()
        wake = sleep_until(me, deadline, clock)
        if wake != Wake.WOKEN:
            leave_queue(waiter)
            return -ETIMEDOUT if wake == Wake.TIMEOUT else -ERESTARTNOINTR
        with bucket.lock:
            granted = waiter.granted
        if granted == UNLOCKED:
            return 0
        result = take_abandoned(address, waiter.holder)
        if result != -EAGAIN:
            return result


@metal
def futex_try_lock_pi(address: u64, shared: bool) -> i64:
    """Take the lock if it is free or its owner died: 0, else -EAGAIN or what futex_lock_pi gives."""
    key = FutexKey()
    result = find_key(key, address, shared)
    if result != 0:
        return result
    bucket = bucket_of(key)
    result, owner = begin(bucket, key, address)
    if owner != 0:
        bucket.lock.release()
        return -EAGAIN
    return result


@metal
def begin(bucket: Bucket, key: FutexKey, address: u64) -> tuple[i64, u32]:
    """Take a free lock, or mark it as waited for: the result and 0, or 0 and the owner, with the bucket locked."""
    while True:
        fault, word = load32_quietly(address)
        if fault:
            if not touch(address, WRITE):
                return i64(-EFAULT), u32(0)
            continue
        owner = word & FUTEX_TID_MASK
        if owner == current().id:
            return i64(-EDEADLK), u32(0)
        thread: Ptr[Thread] = None
        if owner != 0:
            thread = find_thread(owner)
        result = attempt(bucket, key, address, word, thread)
        if thread is not None:
            release_thread(thread)
        if result == WAITS:
            return i64(0), owner
        if result == -EFAULT and touch(address, WRITE):
            continue
        if result != -EAGAIN:
            return result, u32(0)


WAITS = 1  # result of attempt: the bucket is locked, the lock is another's


@metal
def attempt(bucket: Bucket, key: FutexKey, address: u64, word: u32, owner: Ptr[Thread]) -> i64:
    """One attempt to take the lock whose word was read. 0, WAITS, -EAGAIN (the word has changed), -ESRCH, -EPERM,
    -EFAULT.

    An owner that ends says so before it looks for sleepers under the bucket's lock: none goes to sleep unseen.
    """
    bucket.lock.acquire()
    result: i64 = 0
    new = word | FUTEX_WAITERS
    if word & FUTEX_TID_MASK == 0:
        new = word & FUTEX_OWNER_DIED | current().id
        if first_waiter(bucket, key) is not None:
            new |= FUTEX_WAITERS
    elif owner is None or owner.pi_dead.load():
        result = -ESRCH
    elif owner.process is None:
        result = -EPERM
    else:
        result = WAITS
    fault, found = compare_exchange32_quietly(address, word, new)
    if fault:
        result = -EFAULT
    elif found != word:
        result = -EAGAIN
    if result != WAITS:
        bucket.lock.release()
    return result


@metal
def first_waiter(bucket: Bucket, key: FutexKey) -> Ptr[FutexWaiter]:
    """Who waits longest for a lock, or None. The bucket is locked."""
    waiter = bucket.waiters.head()
    while waiter is not None:
        if waiter.holder != 0 and waiter.key.equals(key):
            return waiter
        waiter = bucket.waiters.after(waiter)
    return None


@metal
def hand_over(bucket: Bucket, key: FutexKey, how: u32) -> u32:
    """Make the longest waiter the owner and wake it: its tid, 0 if there is none. The bucket is locked."""
    while True:
        waiter = first_waiter(bucket, key)
        if waiter is None:
            return 0
        bucket.waiters.remove(waiter)
        thread: Thread = waiter.thread
        new = thread.id
        waiter.granted = how
        if claim(thread, WOKEN):
            other = bucket.waiters.head()
            while other is not None:
                if other.holder != 0 and other.key.equals(key):
                    other.holder = new
                other = bucket.waiters.after(other)
            return new


@metal
def futex_unlock_pi(address: u64, shared: bool) -> i64:
    """Give the lock to who waits longest, or open it. 0, -EPERM (not the owner), -EINVAL, -EFAULT."""
    key = FutexKey()
    result = find_key(key, address, shared)
    if result != 0:
        return result
    bucket = bucket_of(key)
    while True:
        bucket.lock.acquire()
        result = unlock(bucket, key, address)
        bucket.lock.release()
        if result == -EFAULT and touch(address, WRITE):
            continue
        if result != -EAGAIN:
            return result


@metal
def unlock(bucket: Bucket, key: FutexKey, address: u64) -> i64:
    """futex_unlock_pi with the bucket locked. Also -EAGAIN: the word has changed."""
    fault, word = load32_quietly(address)
    if fault:
        return -EFAULT
    if word & FUTEX_TID_MASK != current().id:
        return -EPERM
    if first_waiter(bucket, key) is None:
        fault, found = compare_exchange32_quietly(address, word, 0)
        return -EFAULT if fault else 0 if found == word else -EAGAIN
    # From here on the word must be writable and ours: nobody but a program that breaks its own lock changes that.
    fault, found = compare_exchange32_quietly(address, word, word | FUTEX_WAITERS)
    if fault or found != word:
        return -EFAULT if fault else -EAGAIN
    new = hand_over(bucket, key, UNLOCKED)
    word |= FUTEX_WAITERS
    compare_exchange32_quietly(address, word, 0 if new == 0 else new | FUTEX_WAITERS)
    return 0


@metal
def take_abandoned(address: u64, dead: u32) -> i64:
    """Make the running thread the owner of a lock whose owner ended. -EAGAIN: another was quicker. -EFAULT."""
    while True:
        fault, word = load32_quietly(address)
        if not fault:
            if word & FUTEX_TID_MASK not in (0, dead):
                return -EAGAIN
            new = current().id | FUTEX_WAITERS | FUTEX_OWNER_DIED
            fault, found = compare_exchange32_quietly(address, word, new)
            if not fault and found == word:
                return 0
        if fault and not touch(address, WRITE):
            return -EFAULT


@metal
def abandon_pi_locks(me: Thread) -> None:
    """Hand over what others wait for when its owner, the running thread, ends."""
    me.pi_dead.store(True)
    if _sleepers.load() == 0:
        return
    for bucket in buckets:
        with bucket.lock:
            waiter = bucket.waiters.head()
            while waiter is not None:
                if waiter.holder == me.id:
                    key = FutexKey(owner=waiter.key.owner, place=waiter.key.place)
                    hand_over(bucket, key, ABANDONED)
                    waiter = bucket.waiters.head()
                else:
                    waiter = bucket.waiters.after(waiter)
