"""Futexes: sleep while a word of user memory has a value, wake those who sleep on it (futex(2)).

A sleeper looks at the word with its bucket locked, and a waker takes the same lock, so that no change of the word
followed by a wake-up is missed. Priority-inheritance futexes are in futex_pi.py, the call that leads here in
futex_call.py.
"""

from goanna.kernel.arch import READ, WRITE
from goanna.kernel.base.errno import (
    EAGAIN,
    EFAULT,
    EINVAL,
    ENOSYS,
    ERESTART_RESTARTBLOCK,
    ERESTARTSYS,
    ETIMEDOUT,
)
from goanna.kernel.memory.user import (
    compare_exchange32_quietly,
    load32_quietly,
    touch,
)
from goanna.kernel.thread.current import current
from goanna.kernel.thread.futex_key import (
    Bucket,
    FutexKey,
    FutexWaiter,
    bucket_of,
    find_key,
    lock_two,
    unlock_two,
)
from goanna.kernel.thread.scheduler import WOKEN, Wake, claim, prepare_wait
from goanna.kernel.thread.thread import RestartBlock
from goanna.kernel.thread.wait import sleep_until
from goanna.kernel.time.timer import NEVER
from goanna.metal import i32, i64, metal, u32, u64, wrapping

__all__ = [
    "MATCH_ANY",
    "enqueue",
    "futex_requeue",
    "futex_wait",
    "futex_wake",
    "futex_wake_operation",
    "leave_queue",
    "wake_at",
]

MATCH_ANY = 0xFFFF_FFFF
FLAG_SHARED = 1  # RestartBlock.flags


@metal
def futex_wait(address: u64, shared: bool, value: u32, bitset: u32, deadline: u64, clock: u32) -> i64:
    """Sleep if the word at `address` is `value`, until woken by one whose bitset meets ours, or until the deadline.

    `deadline` is on the clock MONOTONIC or REAL of time/timer.py, NEVER for none. 0 when woken, -EAGAIN (another
    value), -ETIMEDOUT, -EINVAL, -EFAULT, or a restart after a signal.
    """
    if bitset == 0:
        return -EINVAL
    waiter = FutexWaiter(bitset=bitset)
    result = find_key(waiter.key, address, shared)
    if result != 0:
        return result
    me = current()
    waiter.thread = me
    bucket = bucket_of(waiter.key)
    while True:
        bucket.lock.acquire()
        fault, found = load32_quietly(address)
        if not fault:
            break
        bucket.lock.release()
        if not touch(address, READ):
            return -EFAULT
    if found != value:
        bucket.lock.release()
        return -EAGAIN
    enqueue(bucket, waiter)
    prepare_wait(me, True)
    bucket.lock.release()
    wake = sleep_until(me, deadline, clock)
    if wake == Wake.WOKEN:
        return 0
    leave_queue(waiter)
    if wake == Wake.TIMEOUT:
        return -ETIMEDOUT
    if deadline == NEVER:
        return -ERESTARTSYS
    me.restart.call = wait_again
    me.restart.address = address
    me.restart.deadline = deadline
    me.restart.value = u64(value) | u64(bitset) << 32
    me.restart.clock = clock
    me.restart.flags = FLAG_SHARED if shared else 0
    return -ERESTART_RESTARTBLOCK


@metal
def wait_again(block: RestartBlock) -> i64:
    """futex_wait after a signal that no handler took."""
    return futex_wait(
        block.address,
        block.flags & FLAG_SHARED != 0,
        u32.wrap(block.value),
        u32(block.value >> 32),
        block.deadline,
        block.clock,
    )


@metal
def enqueue(bucket: Bucket, waiter: FutexWaiter) -> None:
    """Put a sleeper at the end of its bucket, which is locked."""
    waiter.bucket.store(bucket)
    bucket.waiters.append(waiter)


@metal
def leave_queue(waiter: FutexWaiter) -> bool:
    """Take a sleeper that wasn't woken out of whichever bucket it is in now; False if a waker has taken it out."""
    while True:
        bucket: Bucket = waiter.bucket.load()
        with bucket.lock:
            if waiter.bucket.load() is bucket:
                if not waiter.link.linked():
                    return False
                bucket.waiters.remove(waiter)
                return True


@metal
def wake_in(bucket: Bucket, key: FutexKey, count: i32, bitset: u32) -> i64:
    """Wake up to `count` sleepers of a key, at least one; how many. The bucket is locked."""
    woken: i64 = 0
    waiter = bucket.waiters.head()
    while waiter is not None:
        following = bucket.waiters.after(waiter)
        if waiter.key.equals(key) and waiter.bitset & bitset != 0:
            if waiter.holder != 0:
                return -EINVAL
            bucket.waiters.remove(waiter)
            if claim(waiter.thread, WOKEN):
                woken += 1
                if woken >= i64(count):
                    break
        waiter = following
    return woken


@metal
def futex_wake(address: u64, shared: bool, count: i32, bitset: u32) -> i64:
    """Wake up to `count` sleepers (Linux wakes one even for 0) whose bitsets meet; how many, -EINVAL or -EFAULT."""
    if bitset == 0:
        return -EINVAL
    key = FutexKey()
    result = find_key(key, address, shared)
    if result != 0:
        return result
    bucket = bucket_of(key)
    # Not even a look without the lock: a sleeper that has read the word already may be about to join the bucket.
    with bucket.lock:
        return wake_in(bucket, key, count, bitset)


@metal
def wake_at(address: u64) -> None:
    """Wake one sleeper on a word that the kernel has changed for a thread that ends."""
    futex_wake(address, True, 1, MATCH_ANY)


@metal
def futex_requeue(
    first: u64, second: u64, shared: bool, wakes: i32, requeues: i32, compare: bool, expected: u32
) -> i64:
    """Wake up to `wakes` sleepers of `first` and have up to `requeues` more wait on `second`; how many in all.

    With `compare`, only if the word at `first` is `expected`, else -EAGAIN. -EINVAL, -EFAULT.
    """
    if wakes < 0 or requeues < 0:
        return -EINVAL
    key = FutexKey()
    target = FutexKey()
    result = find_key(key, first, shared)
    if result == 0:
        result = find_key(target, second, shared)
    if result != 0:
        return result
    source = bucket_of(key)
    goal = bucket_of(target)
    while True:
        lock_two(source, goal)
        if not compare:
            break
        fault, found = load32_quietly(first)
        if not fault:
            if found == expected:
                break
            unlock_two(source, goal)
            return -EAGAIN
        unlock_two(source, goal)
        if not touch(first, READ):
            return -EFAULT
    result = move(source, key, goal, target, i64(wakes), i64(requeues))
    unlock_two(source, goal)
    return result


@metal
def move(source: Bucket, key: FutexKey, goal: Bucket, target: FutexKey, wakes: i64, requeues: i64) -> i64:
    """futex_requeue with both buckets locked."""
    done: i64 = 0
    waiter = source.waiters.head()
    last = source.waiters.tail()
    while waiter is not None:
        following = source.waiters.after(waiter)
        if waiter is last:
            following = None
        if done - wakes >= requeues:
            break
        if waiter.key.equals(key):
            if waiter.holder != 0:
                return -EINVAL
            if done < wakes:
                source.waiters.remove(waiter)
                if claim(waiter.thread, WOKEN):
                    done += 1
            else:
                waiter.key = target
                if source is not goal:
                    source.waiters.remove(waiter)
                    enqueue(goal, waiter)
                done += 1
        waiter = following
    return done


# The operation of FUTEX_WAKE_OP, in bits: 4 operation, 4 comparison, 12 operand, 12 comparand.
SET, ADD, OR, ANDN, XOR = range(5)
SHIFTED = 8  # the operand is 1 << operand
EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL = range(6)


@metal
def signed12(field: u32) -> i32:
    """A field of 12 bits with its sign."""
    return i32.wrap(wrapping(field << 20)) >> 20


@metal
def operate(encoded: u32, old: u32) -> u32:
    """What the word becomes."""
    operand = u32.wrap(signed12(encoded >> 12 & 0xFFF))
    if encoded >> 28 & SHIFTED != 0:
        operand = u32(1) << (operand & 31)
    match encoded >> 28 & 7:
        case 0:
            return operand
        case 1:
            return wrapping(old + operand)
        case 2:
            return old | operand
        case 3:
            return old & ~operand
        case _:
            return old ^ operand


@metal
def holds(encoded: u32, old: u32) -> bool:
    """Whether the old word meets the comparison, signed."""
    value = i32.wrap(old)
    comparand = signed12(encoded & 0xFFF)
    match encoded >> 24 & 15:
        case 0:
            return value == comparand
        case 1:
            return value != comparand
        case 2:
            return value < comparand
        case 3:
            return value <= comparand
        case 4:
            return value > comparand
        case _:
            return value >= comparand


@metal
def futex_wake_operation(first: u64, second: u64, shared: bool, wakes: i32, more: i32, encoded: u32) -> i64:
    """Change the word at `second`, wake up to `wakes` sleepers of `first`, and, if the old word meets a condition, up
    to `more` of `second`. How many; -EINVAL, -EFAULT, -ENOSYS (no such operation or comparison)."""
    key = FutexKey()
    other = FutexKey()
    result = find_key(key, first, shared)
    if result == 0:
        result = find_key(other, second, shared)
    if result != 0:
        return result
    if encoded >> 28 & 7 > XOR:
        return -ENOSYS
    one = bucket_of(key)
    two = bucket_of(other)
    old: u32 = 0
    while True:
        lock_two(one, two)
        fault, old = change(second, encoded)
        if not fault:
            break
        unlock_two(one, two)
        if not touch(second, WRITE):
            return -EFAULT
    if encoded >> 24 & 15 > GREATER_EQUAL:
        unlock_two(one, two)
        return -ENOSYS
    result = wake_in(one, key, wakes, MATCH_ANY)
    if result >= 0 and holds(encoded, old):
        extra = wake_in(two, other, more, MATCH_ANY)
        result = result + extra if extra >= 0 else extra
    unlock_two(one, two)
    return result


@metal
def change(address: u64, encoded: u32) -> tuple[bool, u32]:
    """Change a word in one step. Whether it faulted, and the old value."""
    fault, old = load32_quietly(address)
    while not fault:
        fault, found = compare_exchange32_quietly(address, old, operate(encoded, old))
        if not fault and found == old:
            return False, old
        old = found
    return True, u32(0)
