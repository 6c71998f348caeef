"""Priority-inheritance futexes and robust lists: who owns a lock, and what is left of it when its owner ends."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.memory.user import get, put
from goanna.kernel.thread.current import current
from goanna.kernel.thread.exit import end_thread
from goanna.kernel.thread.futex_call import sys_futex
from goanna.kernel.thread.futex_key import buckets
from goanna.kernel.thread.robust import sys_get_robust_list, sys_set_robust_list
from goanna.metal import Array, i64, metal, static, u32, u64
from tests.kernel.thread.simulation import USER_PAGE, Simulation, pass_user

LOCK_PI, UNLOCK_PI, TRYLOCK_PI, LOCK_PI2 = 6, 7, 8, 13
PRIVATE = 128
WAITERS, DIED = 0x8000_0000, 0x4000_0000
LOCK = USER_PAGE
rounds = static(u64)
inside = static(u64)
most = static(u64)
entered = static(u64)
results = static(Array[i64, 16])
words = static(Array[u32, 16])


@metal
def word() -> u32:
    value, _ = get(u32, LOCK)
    return value


@metal
def take() -> i64:
    """What a C library does: in user mode if the lock is free, else by the kernel."""
    if word() == 0:
        put(LOCK, current().id)
        return 0
    return sys_futex(LOCK, LOCK_PI | PRIVATE, 0, 0, 0, 0)


@metal
def give() -> i64:
    if word() == current().id:
        put(LOCK, u32(0))
        return 0
    return sys_futex(LOCK, UNLOCK_PI | PRIVATE, 0, 0, 0, 0)


@metal
def count_under_the_lock(number: u64) -> None:
    global inside, most, entered
    for _ in range(rounds):
        assert take() == 0, "the lock was not taken"
        inside += 1
        most = max(most, inside)
        entered += 1
        assert word() & 0x3FFF_FFFF == current().id, "the word doesn't name its owner"
        pass_user()
        inside -= 1
        assert give() == 0, "the lock was not given back"
        pass_user()


@metal
def die_with_the_lock(number: u64) -> None:
    """The first thread takes the lock and ends; each other waits for it and then ends with it too."""
    results[number] = sys_futex(LOCK, LOCK_PI | PRIVATE, 0, 0, 0, 0)
    words[number] = word()
    pass_user()


@metal
def alone(number: u64) -> None:
    """One thread and its mistakes."""
    results[0] = sys_futex(LOCK, TRYLOCK_PI, 0, 0, 0, 0)
    results[1] = sys_futex(LOCK, TRYLOCK_PI, 0, 0, 0, 0)
    results[2] = sys_futex(LOCK, LOCK_PI, 0, 0, 0, 0)
    results[3] = sys_futex(LOCK, UNLOCK_PI, 0, 0, 0, 0)
    results[4] = i64(word())
    results[5] = sys_futex(LOCK, UNLOCK_PI, 0, 0, 0, 0)
    put(LOCK, u32(999_999))
    results[6] = sys_futex(LOCK, LOCK_PI, 0, 0, 0, 0)
    results[7] = i64(word())
    put(LOCK, u32(DIED))
    results[8] = sys_futex(LOCK, LOCK_PI2, 0, 0, 0, 0)
    results[9] = i64(word())
    results[10] = sys_futex(LOCK + 2, LOCK_PI, 0, 0, 0, 0)
    results[11] = sys_futex(0x40_0000, LOCK_PI | PRIVATE, 0, 0, 0, 0)
    results[12] = sys_futex(0x40_0000, UNLOCK_PI | PRIVATE, 0, 0, 0, 0)


TIME = USER_PAGE + 0x100


@metal
def wait_in_vain(number: u64) -> None:
    """The first holds the lock for a while; the second waits for a shorter time."""
    if number == 0:
        results[0] = sys_futex(LOCK, TRYLOCK_PI, 0, 0, 0, 0)
        put(TIME, u64(0))
        put(TIME + 8, u64(9000))
        sys_futex(LOCK + 64, 0, 0, TIME, 0, 0)
        results[1] = sys_futex(LOCK, UNLOCK_PI, 0, 0, 0, 0)
    else:
        doze(number, 1000)
        put(TIME + 16, u64(0))
        put(TIME + 24, u64(4000))
        results[2] = sys_futex(LOCK, LOCK_PI2, 0, TIME + 16, 0, 0)


# A robust list in user memory: a head, and an entry before each of three locks.
HEAD = USER_PAGE + 0x1000
ENTRY = USER_PAGE + 0x2000  # of lock i at ENTRY + 64 * i; the lock 8 bytes after
links = static(Array[u64, 8])  # what a test writes from HEAD on: first entry, offset, pending entry
chain = static(Array[u64, 3])
start_words = static(Array[u32, 3])


@metal
def doze(number: u64, nanoseconds: u64) -> None:
    """Sleep where nobody wakes."""
    place = USER_PAGE + 0x3000 + number * 64
    put(place + 8, u64(0))
    put(place + 16, nanoseconds)
    sys_futex(place, 0, 0, place + 8, 0, 0)


@metal
def die_with_a_list(number: u64) -> None:
    if number == 0:
        for i in range(u64(3)):
            put(HEAD + i * 8, links[i])
            put(ENTRY + i * 64, chain[i])
            put(ENTRY + i * 64 + 8, start_words[i])
        results[4] = sys_set_robust_list(HEAD, 24)
        sys_get_robust_list(0, TIME, TIME + 8)
        head, _ = get(u64, TIME)
        length, _ = get(u64, TIME + 8)
        results[5] = i64(head)
        results[6] = i64(length)
        results[7] = sys_set_robust_list(HEAD, 16)
        doze(number, 5000)
    else:
        doze(number, 1000)
        place = ENTRY + (number - 1) * 64 + 8
        value, _ = get(u32, place)
        put(TIME + number * 16, u64(0))
        put(TIME + number * 16 + 8, u64(50_000))
        results[number] = sys_futex(place, 0, value, TIME + number * 16, 0, 0)


@pytest.fixture(scope="module")
def machine():
    return Simulation(
        count_under_the_lock, die_with_the_lock, alone, wait_in_vain, die_with_a_list, rounds, most, entered, results,
        words, buckets, links, chain, start_words, end_thread,
    )  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(threads=st.integers(1, 6), count=st.integers(1, 10), processors=st.integers(1, 1), seed=st.integers(0, 2**32))
def test_one_at_a_time_owns_the_lock(machine, threads, count, processors, seed):
    machine.first = {rounds: count}
    machine.run(count_under_the_lock, threads, processors, seed)
    assert machine.unit.get(most) == 1
    assert machine.unit.get(entered) == threads * count
    assert not any(bucket.waiters.first for bucket in machine.unit.static(buckets))


@settings(max_examples=100, deadline=None)
@given(threads=st.integers(2, 6), processors=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_a_lock_passes_from_the_dead_to_who_waits(machine, threads, processors, seed):
    machine.first = {}
    machine.run(die_with_the_lock, threads, processors, seed)
    taken = list(machine.unit.static(results))[:threads]
    seen = list(machine.unit.static(words))[:threads]
    # Who comes only when an owner that nobody waited for is gone finds a word that names no thread.
    for result, value in zip(taken, seen, strict=True):
        assert result in (0, -errno.ESRCH)
        assert value & 0x3FFF_FFFF
    assert taken.count(0) >= 1


def test_a_thread_alone(machine):
    machine.run(alone, 1)
    got = list(machine.unit.static(results))
    assert got[0] == 0
    assert got[1] == got[2] == -errno.EDEADLK
    assert got[3] == 0
    assert got[4] == 0
    assert got[5] == -errno.EPERM
    assert got[6] == -errno.ESRCH
    assert got[7] == 999_999 | WAITERS  # as Linux leaves it
    assert got[8] == 0
    assert got[9] & DIED and got[9] & 0x3FFF_FFFF
    assert got[10] == -errno.EINVAL
    assert got[11] == got[12] == -errno.EFAULT


@pytest.mark.parametrize("processors", [1, 2])
def test_a_wait_for_the_lock_can_time_out(machine, processors):
    machine.run(wait_in_vain, 2, processors)
    assert list(machine.unit.static(results))[:3] == [0, 0, -errno.ETIMEDOUT]


def robust(machine, own, pending=0, offset=8, threads=4, processors=1):
    """A list of the locks `own` (indexes), each held by thread 0 and waited for; the results of the waiters."""
    unit = machine.unit

    def prepare():
        first = [ENTRY + 64 * i for i in own]
        unit.static(links)[0] = first[0] if first else HEAD
        unit.static(links)[1] = offset
        unit.static(links)[2] = pending
        for i in range(3):
            unit.static(start_words)[i] = 1 | WAITERS
        for place, following in zip(own, [*first, HEAD][1:], strict=True):
            unit.static(chain)[place] = following

    machine.prepare = prepare
    try:
        machine.run(die_with_a_list, threads, processors)
    finally:
        machine.prepare = None
    return list(unit.static(results))[:8]


@pytest.mark.parametrize("processors", [1, 2])
@pytest.mark.parametrize("own", [[], [0], [2, 0], [0, 1, 2]])
def test_the_locks_of_the_dead_wake_their_waiters(machine, own, processors):
    got = robust(machine, own, processors=processors)
    assert [got[1 + i] for i in range(3)] == [0 if i in own else -errno.ETIMEDOUT for i in range(3)]
    assert got[4:] == [0, HEAD, 24, -errno.EINVAL]


def test_a_lock_that_was_just_being_taken_counts(machine):
    got = robust(machine, [0], pending=ENTRY + 64)
    assert got[1:4] == [0, 0, -errno.ETIMEDOUT]


def test_a_list_that_never_ends_is_left(machine):
    got = robust(machine, [0, 0])
    assert got[1] == 0


@settings(max_examples=50, deadline=None)
@given(offset=st.integers(0, 2**64 - 1), pending=st.integers(0, 2**64 - 1))
def test_a_list_of_nonsense_does_no_harm(machine, offset, pending):
    robust(machine, [0, 1], pending=pending, offset=offset, threads=1)
