"""Futexes: programs of random futex calls on simulated processors, and each operation's own rules."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host.processors import simulated_time
from goanna.kernel.memory.user import get, put
from goanna.kernel.thread.futex import holds, operate
from goanna.kernel.thread.futex_call import sys_futex
from goanna.kernel.thread.futex_key import buckets
from goanna.metal import Array, i32, i64, metal, static, struct, u32, u64
from tests.kernel.thread.simulation import SHARED_AGAIN, SHARED_PAGE, USER_PAGE, Simulation, pass_user, spend

WAIT, WAKE, FD, REQUEUE, CMP_REQUEUE, WAKE_OP = range(6)
WAIT_BITSET, WAKE_BITSET = 9, 10
PRIVATE, REALTIME = 128, 256
THREADS = 6
STEPS = 12
TIMES = USER_PAGE + 0x4000  # a timespec for each thread


@struct
class Step:
    """One futex call of a thread. A timeout of 0 is none."""

    wait: u64  # time that passes before
    address: u64
    operation: i32
    value: u32
    timeout: u64
    second: u64
    third: u32
    store: bool  # instead: store `value` at the address
    result: i64
    ended: u64


script = static(Array[Step, THREADS * STEPS])
lengths = static(Array[u64, THREADS])


@metal
def follow_script(number: u64) -> None:
    for index in range(lengths[number]):
        step = script[number * STEPS + index]
        if step.wait != 0:
            spend(step.wait)
        if step.store:
            put(step.address, step.value)
        else:
            third = step.timeout
            if step.timeout != 0 and step.operation & 127 in (WAIT, WAIT_BITSET):
                third = TIMES + number * 16
                put(third, step.timeout // 1_000_000_000)
                put(third + 8, step.timeout % 1_000_000_000)
            step.result = sys_futex(step.address, step.operation, step.value, third, step.second, step.third)
        step.ended = simulated_time
        pass_user()


# A mutex in user memory: 0 free, 1 taken, 2 taken and waited for (Drepper, "Futexes are tricky", mutex 2).
LOCK = USER_PAGE
COUNT = USER_PAGE + 64
rounds = static(u64)
inside = static(u64)
most = static(u64)


@metal
def exchange(address: u64, new: u32) -> u32:
    """What a program does in one instruction."""
    old, _ = get(u32, address)
    put(address, new)
    return old


@metal
def count_under_a_mutex(number: u64) -> None:
    global inside, most
    for _ in range(rounds):
        seen, _ = get(u32, LOCK)
        if seen == 0:
            put(LOCK, u32(1))
        else:
            while exchange(LOCK, 2) != 0:
                sys_futex(LOCK, WAIT | PRIVATE, 2, 0, 0, 0)
                pass_user()
        inside += 1
        most = max(most, inside)
        pass_user()
        inside -= 1
        if exchange(LOCK, 0) == 2:
            sys_futex(LOCK, WAKE | PRIVATE, 1, 0, 0, 0)
        pass_user()


@pytest.fixture(scope="module")
def machine():
    return Simulation(follow_script, script, lengths, buckets, operate, holds, count_under_a_mutex, rounds, most)


def play(machine, threads, processors=1, seed=1):
    """Run scripts, one for each thread; gives the steps with their results."""

    def prepare():
        view = machine.unit.static(script)
        for number, steps in enumerate(threads):
            machine.unit.static(lengths)[number] = len(steps)
            for index, values in enumerate(steps):
                for name, value in values.items():
                    setattr(view[number * STEPS + index], name, value)

    machine.prepare = prepare
    machine.run(follow_script, len(threads), processors, seed)
    machine.prepare = None
    view = machine.unit.static(script)
    return [[view[number * STEPS + index] for index in range(len(steps))] for number, steps in enumerate(threads)]


def call(machine, operation, address=USER_PAGE, value=0, timeout=0, second=0, third=0):
    """The result of one call in a program of one thread."""
    step = {"operation": operation, "address": address, "value": value, "timeout": timeout}
    ((done,),) = play(machine, [[{**step, "second": second, "third": third}]])
    return done.result


def pause(nanoseconds):
    """A step that sleeps where nobody wakes."""
    return {"operation": WAIT | PRIVATE, "address": USER_PAGE + 0x3000, "timeout": nanoseconds}


words = st.integers(0, 2).map(lambda index: USER_PAGE + index * 4)
waits = st.integers(0, 40)
bitsets = st.sampled_from([1, 2, 3, 0xFFFF_FFFF])
a_wait = st.fixed_dictionaries(
    {"operation": st.just(WAIT | PRIVATE), "address": words, "timeout": st.integers(1, 200), "wait": waits}
)
a_wait_bitset = st.fixed_dictionaries(
    {
        "operation": st.just(WAIT_BITSET | PRIVATE), "address": words, "timeout": st.integers(1, 400), "wait": waits,
        "third": bitsets,
    }
)  # fmt: skip
a_wake = st.fixed_dictionaries(
    {"operation": st.just(WAKE | PRIVATE), "address": words, "value": st.integers(0, 3), "wait": waits}
)
a_wake_bitset = st.fixed_dictionaries(
    {
        "operation": st.just(WAKE_BITSET | PRIVATE), "address": words, "value": st.integers(1, 3), "wait": waits,
        "third": bitsets,
    }
)  # fmt: skip
a_requeue = st.fixed_dictionaries(
    {
        "operation": st.sampled_from([REQUEUE | PRIVATE, CMP_REQUEUE | PRIVATE]), "address": words,
        "value": st.integers(0, 2), "timeout": st.integers(0, 3), "second": words, "third": st.integers(0, 1),
        "wait": waits,
    }
)  # fmt: skip
a_store = st.fixed_dictionaries({"store": st.just(True), "address": words, "value": st.integers(0, 1), "wait": waits})
steps = st.lists(st.one_of(a_wait, a_wait_bitset, a_wake, a_wake_bitset, a_requeue, a_store), max_size=STEPS)


@settings(max_examples=300, deadline=None)
@given(threads=st.lists(steps, min_size=1, max_size=THREADS), processors=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_as_many_sleepers_wake_as_wakers_are_told(machine, threads, processors, seed):
    woken = told = 0
    for steps in play(machine, threads, processors, seed):
        for step in steps:
            if step.store:
                continue
            match step.operation & 127:
                case 0 | 9:
                    assert step.result in (0, -errno.EAGAIN, -errno.ETIMEDOUT)
                    woken += step.result == 0
                case 1 | 10:
                    assert 0 <= step.result <= max(step.value, 1)
                    told += step.result
                case _:
                    assert step.result == -errno.EAGAIN or 0 <= step.result <= step.value + step.timeout
                    told += min(max(step.result, 0), step.value)
    assert woken == told
    for bucket in machine.unit.static(buckets):
        assert not bucket.waiters.first


@settings(max_examples=100, deadline=None)
@given(threads=st.integers(1, 6), count=st.integers(1, 12), processors=st.integers(1, 1), seed=st.integers(0, 2**32))
def test_a_mutex_of_futexes_lets_one_in_and_leaves_nobody_behind(machine, threads, count, processors, seed):
    machine.first = {rounds: count}
    machine.run(count_under_a_mutex, threads, processors, seed)
    machine.first = {}
    assert machine.unit.get(most) == 1


@settings(max_examples=50, deadline=None)
@given(
    waiters=st.integers(1, 5), wakes=st.integers(0, 5), requeues=st.integers(0, 5), then=st.integers(1, 5),
    same=st.booleans(), processors=st.integers(1, 3), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_requeue_wakes_some_and_moves_some(machine, waiters, wakes, requeues, then, same, processors, seed):
    """All wait on one word; later some are woken, some moved to another word, and then woken there."""
    first, second = USER_PAGE, USER_PAGE if same else USER_PAGE + 2048
    sleeper = [{"operation": WAIT | PRIVATE, "address": first, "timeout": 10_000}]
    move = {"operation": REQUEUE | PRIVATE, "address": first, "value": wakes, "timeout": requeues, "second": second}
    mover = [pause(5000), move, pause(1000), {"operation": WAKE | PRIVATE, "address": second, "value": then}]
    *slept, (_, moved, _, woke) = play(machine, [sleeper] * waiters + [mover], processors, seed)
    expected_woken = min(wakes, waiters)
    expected_moved = min(requeues, waiters - expected_woken)
    assert moved.result == expected_woken + expected_moved
    there = waiters - expected_woken if same else expected_moved
    assert woke.result == min(then, there)
    results = [step.result for (step,) in slept]
    assert results.count(0) == expected_woken + woke.result
    assert results.count(-errno.ETIMEDOUT) == waiters - results.count(0)
    assert all(step.ended == 10_000 for (step,) in slept if step.result == -errno.ETIMEDOUT)


@pytest.mark.parametrize("processors", [1, 2, 3])
def test_shared_memory_is_one_futex_wherever_it_is_mapped(machine, processors):
    sleeper = [{"operation": WAIT, "address": SHARED_PAGE + 8, "timeout": 10_000}]
    waker = [pause(1000), {"operation": WAKE, "address": SHARED_AGAIN + 8, "value": 1}]
    (slept,), (_, woke) = play(machine, [sleeper, waker], processors)
    assert (slept.result, woke.result) == (0, 1)


def test_a_private_futex_of_shared_memory_is_another(machine):
    sleeper = [{"operation": WAIT | PRIVATE, "address": SHARED_PAGE + 8, "timeout": 10_000}]
    waker = [pause(1000), {"operation": WAKE | PRIVATE, "address": SHARED_AGAIN + 8, "value": 1}]
    (slept,), (_, woke) = play(machine, [sleeper, waker])
    assert (slept.result, woke.result) == (-errno.ETIMEDOUT, 0)


def test_a_relative_timeout_counts_from_the_call_an_absolute_one_from_boot(machine):
    relative = [pause(100), {"operation": WAIT | PRIVATE, "address": USER_PAGE, "timeout": 500}]
    absolute = [{"operation": WAIT_BITSET | PRIVATE, "address": USER_PAGE, "timeout": 550, "third": 0xFFFF_FFFF}]
    (_, first), (second,) = play(machine, [relative, absolute], 2)
    assert (first.result, second.result) == (-errno.ETIMEDOUT, -errno.ETIMEDOUT)
    assert (first.ended, second.ended) == (600, 550)


def test_a_bitset_timeout_can_be_real_time(machine):
    boot = 1_700_000_000_000_000_000
    step = {"operation": WAIT_BITSET | PRIVATE | REALTIME, "address": USER_PAGE, "timeout": boot + 700, "third": 1}
    ((done,),) = play(machine, [[step]])
    assert done.result == -errno.ETIMEDOUT
    assert done.ended == 700


UNMAPPED = 0x40_0000
PAST_THE_END = 0x7FFF_FFFF_F000


@pytest.mark.parametrize(
    ("operation", "arguments", "expected"),
    [
        (WAIT, {"value": 1}, errno.EAGAIN),
        (WAIT, {"address": USER_PAGE + 1}, errno.EINVAL),
        (WAIT, {"address": UNMAPPED}, errno.EFAULT),
        (WAIT | PRIVATE, {"address": UNMAPPED}, errno.EFAULT),
        (WAIT | PRIVATE, {"address": PAST_THE_END}, errno.EFAULT),
        (WAIT | PRIVATE, {"address": 2**64 - 4}, errno.EFAULT),
        (WAIT | REALTIME, {}, errno.ENOSYS),
        (WAIT_BITSET, {"third": 0}, errno.EINVAL),
        (WAKE, {"address": USER_PAGE + 2}, errno.EINVAL),
        (WAKE, {"address": UNMAPPED}, errno.EFAULT),
        (WAKE | PRIVATE, {"address": UNMAPPED}, 0),
        (WAKE_BITSET, {"third": 0}, errno.EINVAL),
        (FD, {}, errno.ENOSYS),
        (REQUEUE, {"value": 2**32 - 1, "second": USER_PAGE}, errno.EINVAL),
        (REQUEUE, {"timeout": 2**32 - 1, "second": USER_PAGE}, errno.EINVAL),
        (REQUEUE, {"second": USER_PAGE + 3}, errno.EINVAL),
        (CMP_REQUEUE, {"second": USER_PAGE, "third": 1}, errno.EAGAIN),
        (CMP_REQUEUE | PRIVATE, {"address": UNMAPPED, "second": USER_PAGE}, errno.EFAULT),
        (CMP_REQUEUE | PRIVATE, {"second": UNMAPPED}, 0),
        (WAKE_OP, {"second": USER_PAGE, "third": 5 << 28}, errno.ENOSYS),
        (WAKE_OP, {"second": USER_PAGE, "third": 6 << 24}, errno.ENOSYS),
        (WAKE_OP | PRIVATE, {"second": UNMAPPED}, errno.EFAULT),
        (11, {"third": 1}, errno.ENOSYS),
        (12, {"third": 1}, errno.ENOSYS),
        (14, {}, errno.ENOSYS),
        (127, {}, errno.ENOSYS),
        (-1, {}, errno.ENOSYS),
    ],
)  # fmt: skip
def test_the_error_is_linuxs(machine, operation, arguments, expected):
    assert call(machine, operation, **arguments) == -expected


@settings(max_examples=500, deadline=None)
@given(encoded=st.integers(0, 2**32 - 1), old=st.integers(0, 2**32 - 1))
def test_wake_operation_does_what_it_encodes(machine, encoded, old):
    def sign(value, bits):
        return value - (1 << bits) if value >> (bits - 1) & 1 else value

    kind, compare = encoded >> 28 & 7, encoded >> 24 & 15
    operand, comparand = sign(encoded >> 12 & 0xFFF, 12), sign(encoded & 0xFFF, 12)
    if encoded >> 31:
        operand = 1 << (operand & 31)
    if kind < 5:
        new = [operand, old + operand, old | operand, old & ~operand, old ^ operand][kind]
        assert machine.unit.call(operate, encoded, old) == new & 0xFFFF_FFFF
    if compare < 6:
        value = sign(old, 32)
        truth = [
            value == comparand, value != comparand, value < comparand, value <= comparand, value > comparand,
            value >= comparand,
        ]  # fmt: skip
        assert machine.unit.call(holds, encoded, old) == truth[compare]


def test_wake_operation_wakes_both_words(machine):
    first = [{"operation": WAIT | PRIVATE, "address": USER_PAGE, "timeout": 10_000}]
    second = [{"operation": WAIT | PRIVATE, "address": USER_PAGE + 4, "timeout": 10_000}]
    # The second word is 0: add 1 to it, and wake its sleepers if it was 0.
    encoded = 1 << 28 | 0 << 24 | 1 << 12 | 0
    waker = {"operation": WAKE_OP | PRIVATE, "value": 5, "timeout": 5, "second": USER_PAGE + 4, "third": encoded}
    threads = [first, second, [pause(1000), {**waker, "address": USER_PAGE}, {**waker, "address": USER_PAGE}]]
    (one,), (two,), (_, woke, again) = play(machine, threads, 2)
    assert (one.result, two.result, woke.result, again.result) == (0, 0, 2, 0)
