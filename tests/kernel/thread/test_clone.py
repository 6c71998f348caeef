"""clone, clone3 and what a thread's end leaves; scheduling and membarrier calls by their errors."""

import errno

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host import frame as host_frame
from goanna.kernel.arch.host.machine import thread_pointer
from goanna.kernel.arch.host.processors import simulated_time
from goanna.kernel.memory.user import copy_out, get, put
from goanna.kernel.thread import affinity_calls as calls
from goanna.kernel.thread.clone import CloneArguments, sys_clone, sys_clone3, sys_set_tid_address
from goanna.kernel.thread.current import current
from goanna.kernel.thread.exit import sys_exit
from goanna.kernel.thread.futex_call import sys_futex
from goanna.kernel.thread.identity_calls import sys_getcpu, sys_getpid, sys_getppid, sys_gettid
from goanna.kernel.thread.membarrier import sys_membarrier
from goanna.kernel.thread.thread import threads
from goanna.metal import Array, i32, i64, metal, static, u8, u32, u64
from tests.kernel.thread.simulation import USER_PAGE, Simulation, frame, pass_user, spend

VM, FS, FILES, SIGHAND, PIDFD = 0x100, 0x200, 0x400, 0x800, 0x1000
VFORK, PARENT, THREAD, NEWNS, SYSVSEM = 0x4000, 0x8000, 0x10000, 0x20000, 0x40000
SETTLS, PARENT_SETTID, CHILD_CLEARTID, DETACHED = 0x80000, 0x100000, 0x200000, 0x400000
CHILD_SETTID, NEWUSER, NEWPID = 0x1000000, 0x10000000, 0x20000000
CLEAR_SIGHAND, INTO_CGROUP = 1 << 32, 1 << 33
PLAIN = VM | FS | FILES | SIGHAND | THREAD | SYSVSEM
FULL = PLAIN | SETTLS | PARENT_SETTID | CHILD_CLEARTID | CHILD_SETTID

PARENT_TID, CHILD_TID = USER_PAGE + 0x100, USER_PAGE + 0x200
ARGUMENTS = USER_PAGE + 0x1000

results = static(Array[i64, 32])
count = static(u64)
arguments = static(Array[u64, 6])
bytes_ = static(Array[u8, 128])
size = static(u64)


@metal
def child(frame: Frame) -> None:
    """What a new thread runs in user mode: it says what it was given, and ends."""
    assert frame.result() == 0, "clone gives 0 in the child"
    own = current().id
    told, _ = get(u32, CHILD_TID + u64(own) * 16)
    results[u64(own)] = i64.wrap(frame.stack_pointer())
    results[16 + u64(own)] = i64(thread_pointer() & 0x7FFF_FFFF) << 32 | i64(told)
    pass_user()
    sys_exit(0)


@metal
def make_children(number: u64) -> None:
    """Start threads, then wait for the end of each as a C library does."""
    host_frame.program = child
    for i in range(u64(2), count + 2):
        place = CHILD_TID + i * 16
        result = sys_clone(frame, FULL, 0x5000 + i, PARENT_TID, place, 0x7000 + i)
        told, _ = get(u32, PARENT_TID)
        assert result == i64(i) and told == u32(i), "the maker is told the tid"
        pass_user()
    for i in range(u64(2), count + 2):
        place = CHILD_TID + i * 16
        while True:
            value, _ = get(u32, place)
            if value == 0:
                break
            sys_futex(place, 0, value, 0, 0, 0)
            pass_user()


@metal
def compute_and_make(number: u64) -> None:
    """Compute for 20 ms, start a thread, and compute on: when did the thread begin?"""
    host_frame.program = child_in_time
    spend(20_000_000)
    sys_clone(frame, PLAIN, 0x5000, 0, 0, 0)
    results[0] = i64(simulated_time)
    for _ in range(20):
        spend(100_000)
        pass_user()
    results[1] = i64(simulated_time)


@metal
def child_in_time(frame: Frame) -> None:
    results[2] = i64(simulated_time)
    sys_exit(0)


@metal
def clone_once(number: u64) -> None:
    host_frame.program = child
    a = arguments
    results[0] = sys_clone(frame, a[0], a[1], a[2], a[3], a[4])
    results[1] = i64(threads.in_use())


@metal
def clone3_once(number: u64) -> None:
    host_frame.program = child
    copy_out(ARGUMENTS, bytes_[:])
    results[0] = sys_clone3(frame, arguments[0], size)


@metal
def identity(number: u64) -> None:
    results[0] = sys_gettid()
    results[1] = sys_getpid()
    results[2] = sys_getppid()
    results[3] = sys_set_tid_address(0)
    results[4] = sys_getcpu(USER_PAGE, USER_PAGE + 4, 0)
    results[5] = sys_getcpu(1, 0, 0)
    results[6] = sys_getcpu(0, 0, 0)


@metal
def scheduling(number: u64) -> None:
    """One call of each kind and mistake, in the order of the test."""
    put(USER_PAGE, i32(0))
    put(USER_PAGE + 8, i32(1))
    put(USER_PAGE + 16, u64(0))
    results[0] = calls.sys_sched_getaffinity(0, 8, USER_PAGE + 24)
    results[1] = calls.sys_sched_getaffinity(0, 4, USER_PAGE + 24)
    results[2] = calls.sys_sched_getaffinity(0, 12, USER_PAGE + 24)
    results[3] = calls.sys_sched_getaffinity(999, 8, USER_PAGE + 24)
    results[4] = calls.sys_sched_getaffinity(0, 8, 1)
    results[5] = calls.sys_sched_setaffinity(0, 8, USER_PAGE + 16)
    results[6] = calls.sys_sched_setaffinity(999, 8, USER_PAGE + 24)
    results[7] = calls.sys_sched_setaffinity(0, 8, 1)
    results[8] = calls.sys_sched_getscheduler(0)
    results[9] = calls.sys_sched_getscheduler(-1)
    results[10] = calls.sys_sched_getscheduler(999)
    results[11] = calls.sys_sched_setscheduler(0, 3, USER_PAGE)
    results[12] = calls.sys_sched_getscheduler(0)
    results[13] = calls.sys_sched_setscheduler(0, 1, USER_PAGE + 8)
    results[14] = calls.sys_sched_setscheduler(0, 1, USER_PAGE)
    results[15] = calls.sys_sched_setscheduler(0, 0, USER_PAGE + 8)
    results[16] = calls.sys_sched_setscheduler(0, 9, USER_PAGE)
    results[17] = calls.sys_sched_setscheduler(0, -1, USER_PAGE)
    results[18] = calls.sys_sched_setparam(0, USER_PAGE)
    results[19] = calls.sys_sched_setparam(0, 0)
    results[20] = calls.sys_sched_getparam(0, USER_PAGE)
    results[21] = calls.sys_sched_getparam(0, 0)
    results[22] = calls.sys_sched_get_priority_max(1)
    results[23] = calls.sys_sched_get_priority_min(2)
    results[24] = calls.sys_sched_get_priority_max(0)
    results[25] = calls.sys_sched_get_priority_max(4)
    results[26] = calls.sys_sched_rr_get_interval(0, USER_PAGE + 32)
    results[27] = calls.sys_sched_rr_get_interval(-1, USER_PAGE + 32)
    results[28] = calls.sys_sched_yield()
    results[29] = calls.sys_sched_setaffinity(0, 1, USER_PAGE + 8)


@metal
def barriers(number: u64) -> None:
    results[0] = sys_membarrier(0, 0, 0)
    results[1] = sys_membarrier(8, 0, 0)
    results[2] = sys_membarrier(16, 0, 0)
    results[3] = sys_membarrier(8, 0, 0)
    results[4] = sys_membarrier(32, 0, 0)
    results[5] = sys_membarrier(64, 0, 0)
    results[6] = sys_membarrier(32, 0, 0)
    results[7] = sys_membarrier(1, 0, 0)
    results[8] = sys_membarrier(0, 1, 0)
    results[9] = sys_membarrier(-1, 0, 0)


@pytest.fixture(scope="module")
def machine():
    return Simulation(
        make_children, compute_and_make, clone_once, clone3_once, identity, scheduling, barriers, results, count,
        arguments, bytes_, size, threads.in_use,
    )  # fmt: skip


def test_a_new_thread_does_not_take_the_processor_from_its_maker_at_once(machine):
    """It starts level with its maker: what that one has run before is no head start for it."""
    machine.run(compute_and_make, 1)
    made, computed, began = list(machine.unit.static(results))[:3]
    assert computed - made == 2_000_000 and began >= computed


@settings(max_examples=50, deadline=None)
@given(children=st.integers(1, 8), processors=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_threads_start_with_what_they_are_given_and_tell_their_end(machine, children, processors, seed):
    machine.first = {count: children}
    machine.run(make_children, 1, processors, seed)
    machine.first = {}
    got = list(machine.unit.static(results))
    for tid in range(2, children + 2):
        assert got[tid] == 0x5000 + tid
        assert got[16 + tid] == (0x7000 + tid) << 32 | tid


def clone(machine, *values):
    def prepare():
        for index, value in enumerate(values):
            machine.unit.static(arguments)[index] = value

    machine.prepare = prepare
    machine.run(clone_once, 1)
    machine.prepare = None
    result, left = list(machine.unit.static(results))[:2]
    assert result > 0 or left == 1, "a thread that couldn't be made was kept"
    return result


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (PLAIN, 2),
        (PLAIN | 17, 2),  # the signal to a parent at a thread's end means nothing
        (PLAIN | DETACHED, 2),
        (PLAIN | FS | NEWNS, -errno.EINVAL),
        (PLAIN | NEWUSER, -errno.EINVAL),
        (PLAIN & ~FS | NEWPID, -errno.EINVAL),
        (PLAIN & ~SIGHAND, -errno.EINVAL),
        (PLAIN & ~VM, -errno.EINVAL),
        (VM & 0 | SIGHAND, -errno.EINVAL),
        (PLAIN | PARENT, -errno.EINVAL),
        (PLAIN | PIDFD | PARENT_SETTID, -errno.EINVAL),
        (PLAIN | PIDFD | DETACHED, -errno.EINVAL),
        (PLAIN & ~FILES, 2),
        (17, 2),
        (VM | VFORK | 17, 2),
        (VM | SIGHAND | 17, -errno.EINVAL),
    ],
)
def test_combinations_of_flags(machine, flags, expected):
    assert clone(machine, flags, 0x5000) == expected


def test_a_thread_pointer_outside_of_user_memory_is_refused(machine):
    assert clone(machine, PLAIN | SETTLS, 0x5000, 0, 0, 0x7FFF_FFFF_F000) == -errno.EPERM


@settings(max_examples=200, deadline=None)
@example(flags=PLAIN | SETTLS, stack=2**31, place=0)
@example(flags=PLAIN, stack=2**64 - 16, place=0)
@given(flags=st.integers(0, 2**64 - 1), stack=st.integers(0, 2**64 - 1), place=st.integers(0, 2**64 - 1))
def test_any_flags_are_answered(machine, flags, stack, place):
    assert clone(machine, flags | PARENT_SETTID | CHILD_SETTID, stack, place, place, stack) in (
        2, -errno.EINVAL, -errno.ENOSYS, -errno.EPERM,
    )  # fmt: skip


def clone3(machine, length=88, address=ARGUMENTS, tail=b"", tid=None, **fields):
    data = CloneArguments.pack(**fields) + tail

    def prepare():
        view = machine.unit.static(bytes_)
        view[: len(data)] = data
        if tid is not None:
            view[120:124] = tid.to_bytes(4, "little")
        machine.unit.static(arguments)[0] = address
        machine.unit.set(size, length)

    machine.prepare = prepare
    machine.run(clone3_once, 1)
    machine.prepare = None
    return machine.unit.static(results)[0]


STACK = {"stack": 0x10000, "stack_size": 0x1000}
TID = ARGUMENTS + 120


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"flags": PLAIN, **STACK}, 2),
        ({"flags": PLAIN, **STACK, "length": 64}, 2),
        ({"flags": PLAIN, **STACK, "length": 96, "tail": bytes(8)}, 2),
        ({"flags": PLAIN, **STACK, "length": 96, "tail": b"\0\0\0\0\1\0\0\0"}, -errno.E2BIG),
        ({"flags": PLAIN, **STACK, "length": 63}, -errno.EINVAL),
        ({"flags": PLAIN, **STACK, "length": 4097}, -errno.E2BIG),
        ({"flags": PLAIN, **STACK, "address": 0x40_0000}, -errno.EFAULT),
        ({"flags": PLAIN, **STACK, "address": 2**64 - 8}, -errno.EFAULT),
        ({"flags": PLAIN, "stack": 0x10000}, -errno.EINVAL),
        ({"flags": PLAIN, "stack_size": 0x1000}, -errno.EINVAL),
        ({"flags": PLAIN, "stack": 2**63, "stack_size": 2**63}, -errno.EINVAL),
        ({"flags": PLAIN | 17, **STACK}, -errno.EINVAL),
        ({"flags": PLAIN | DETACHED, **STACK}, -errno.EINVAL),
        ({"flags": PLAIN, "exit_signal": 17, **STACK}, -errno.EINVAL),
        ({"flags": PLAIN, "exit_signal": 256, **STACK}, -errno.EINVAL),
        ({"flags": 0, "exit_signal": 65}, -errno.EINVAL),
        ({"flags": 0, "exit_signal": 17}, 2),
        ({"flags": INTO_CGROUP, "exit_signal": 17}, -errno.EBADF),
        ({"flags": PLAIN | CLEAR_SIGHAND, **STACK}, -errno.EINVAL),
        ({"flags": PLAIN | 1 << 34, **STACK}, -errno.EINVAL),
        ({"flags": INTO_CGROUP, "length": 80}, -errno.EINVAL),
        ({"flags": PLAIN, **STACK, "set_tid": TID}, -errno.EINVAL),
        ({"flags": PLAIN, **STACK, "set_tid_size": 1}, -errno.EINVAL),
        ({"flags": PLAIN, **STACK, "set_tid_size": 33, "set_tid": TID}, -errno.EINVAL),
        ({"flags": PLAIN, **STACK, "set_tid_size": 1, "set_tid": TID, "tid": 12}, 12),
        ({"flags": PLAIN, **STACK, "set_tid_size": 1, "set_tid": TID, "tid": 1}, -errno.EEXIST),
        ({"flags": PLAIN, **STACK, "set_tid_size": 1, "set_tid": TID, "tid": 0}, -errno.EINVAL),
        ({"flags": PLAIN, **STACK, "set_tid_size": 1, "set_tid": 0x40_0000}, -errno.EFAULT),
    ],
)
def test_clone3(machine, values, expected):
    assert clone3(machine, **values) == expected


def test_numbers_of_the_first_thread(machine):
    machine.run(identity, 1)
    assert list(machine.unit.static(results))[:7] == [1, 1, 0, 1, 0, -errno.EFAULT, 0]


def test_scheduling_calls(machine):
    machine.run(scheduling, 1)
    expected = [
        8, -errno.EINVAL, -errno.EINVAL, -errno.ESRCH, -errno.EFAULT, -errno.EINVAL, -errno.ESRCH, -errno.EFAULT,
        0, -errno.EINVAL, -errno.ESRCH, 0, 3, -errno.EPERM, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL,
        0, -errno.EINVAL, 0, -errno.EINVAL, 99, 1, 0, -errno.EINVAL, 0, -errno.EINVAL, 0, 0,
    ]  # fmt: skip
    assert list(machine.unit.static(results))[:30] == expected


def test_membarrier(machine):
    machine.run(barriers, 1)
    expected = [8 | 16 | 32 | 64, -errno.EPERM, 0, 0, -errno.EPERM, 0, 0, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL]
    assert list(machine.unit.static(results))[:10] == expected
