"""Process groups, nice values and scheduling attributes, by the answers Linux gives."""

import errno

import pytest

from goanna.kernel.memory.user import get, put
from goanna.kernel.thread import group_calls as groups
from goanna.kernel.thread import io_priority_calls as io_priorities_of
from goanna.kernel.thread import priority_calls as priorities
from goanna.kernel.thread.current import current, current_process
from goanna.metal import Array, i32, i64, metal, static, u32, u64
from tests.kernel.thread.simulation import USER_PAGE, Simulation

results = static(Array[i64, 40])


@metal
def sessions(number: u64) -> None:
    """The first process, that of no session and group as on Linux, makes its own."""
    results[0] = groups.sys_getpgid(0)
    results[1] = groups.sys_getsid(1)
    results[2] = groups.sys_getpgid(999)
    results[3] = groups.sys_getpgid(-1)
    results[4] = groups.sys_getsid(999)
    results[5] = groups.sys_setpgid(0, -1)
    results[6] = groups.sys_setpgid(999, 0)
    results[7] = groups.sys_setpgid(0, 12345)
    results[8] = groups.sys_setsid()
    results[9] = groups.sys_setsid()
    results[10] = groups.sys_getpgrp()
    results[11] = groups.sys_getsid(0)
    results[12] = groups.sys_setpgid(0, 0)


@metal
def nice_values(number: u64) -> None:
    current_process().credentials.effective = 1 << 23
    results[0] = priorities.sys_getpriority(3, 0)
    results[1] = priorities.sys_getpriority(0, 0)
    results[2] = priorities.sys_getpriority(0, 999)
    results[3] = priorities.sys_setpriority(0, 0, 100)
    results[4] = priorities.sys_getpriority(1, 0)
    results[5] = priorities.sys_setpriority(2, 0, -100)
    results[6] = priorities.sys_getpriority(0, 1)
    results[7] = priorities.sys_setpriority(0, 999, 0)
    current_process().credentials.effective = 0
    results[8] = priorities.sys_setpriority(0, 0, 5)
    results[9] = priorities.sys_setpriority(0, 0, 4)
    results[10] = i64(current().nice)


@metal
def io_priorities(number: u64) -> None:
    """The group's process is the only one: what it gets is what the running thread has."""
    current_process().credentials.effective = 0
    current().nice = 0
    results[0] = io_priorities_of.sys_ioprio_get(1, 0)
    results[1] = io_priorities_of.sys_ioprio_get(2, 0)
    results[2] = io_priorities_of.sys_ioprio_get(0, 0)
    results[3] = io_priorities_of.sys_ioprio_set(4, 0, 0x4004)
    results[4] = io_priorities_of.sys_ioprio_get(1, 999)
    results[5] = io_priorities_of.sys_ioprio_set(3, -1, 0x4004)
    results[6] = io_priorities_of.sys_ioprio_set(1, 0, 0x14FF8)
    results[7] = io_priorities_of.sys_ioprio_get(1, 1)
    results[8] = io_priorities_of.sys_ioprio_set(1, 0, 3)
    results[9] = io_priorities_of.sys_ioprio_set(1, 0, 0x8000)
    results[10] = io_priorities_of.sys_ioprio_set(1, 0, 0x2003)
    current_process().credentials.effective = 1 << 23
    results[11] = io_priorities_of.sys_ioprio_set(3, 0, 0x2003)
    results[12] = io_priorities_of.sys_ioprio_get(3, 0)
    results[13] = io_priorities_of.sys_ioprio_set(1, 0, 0)
    current().nice = 10
    results[14] = io_priorities_of.sys_ioprio_get(2, 0)
    current().policy = 5
    results[15] = io_priorities_of.sys_ioprio_get(2, 0)
    current().policy = 0


@metal
def attributes(number: u64) -> None:
    a: u64 = USER_PAGE
    current_process().credentials.effective = 1 << 23
    results[0] = priorities.sys_sched_getattr(0, a, 47, 0)
    results[1] = priorities.sys_sched_getattr(0, a, 100, 0)
    size, _ = get(u32, a)
    results[2] = i64(size)
    results[3] = priorities.sys_sched_getattr(0, a, 48, 1)
    results[4] = priorities.sys_sched_getattr(0, a, 5000, 0)
    results[5] = priorities.sys_sched_getattr(999, a, 48, 0)
    put(a, u32(20))
    results[6] = priorities.sys_sched_setattr(0, a, 0)
    size, _ = get(u32, a)
    results[7] = i64(size)
    put(a, u32(64))
    put(a + 60, u32(1))
    results[8] = priorities.sys_sched_setattr(0, a, 0)
    put(a, u32(48))
    put(a + 4, u32(9))
    results[9] = priorities.sys_sched_setattr(0, a, 0)
    put(a + 4, u32(3))
    put(a + 16, i32(7))
    results[10] = priorities.sys_sched_setattr(0, a, 0)
    results[11] = i64(current().nice) * 10 + i64(current().policy)
    put(a + 20, u32(1))
    results[12] = priorities.sys_sched_setattr(0, a, 0)
    put(a + 20, u32(0))
    put(a + 8, u64(128))
    results[13] = priorities.sys_sched_setattr(0, a, 0)
    put(a + 8, u64(32))
    results[14] = priorities.sys_sched_setattr(0, a, 0)
    results[15] = priorities.sys_sched_setattr(0, 0, 0)
    results[16] = priorities.sys_sched_setattr(-1, a, 0)
    results[17] = priorities.sys_sched_setattr(0, a, 1)
    results[18] = priorities.sys_sched_setattr(0, 8, 0)


@pytest.fixture(scope="module")
def machine():
    return Simulation(sessions, nice_values, io_priorities, attributes, results)


def play(machine, function, count):
    machine.run(function, 1)
    return list(machine.unit.static(results))[:count]


def test_sessions_and_groups(machine):
    assert play(machine, sessions, 13) == [
        0, 0, -errno.ESRCH, -errno.ESRCH, -errno.ESRCH, -errno.EINVAL, -errno.ESRCH, -errno.EPERM, 1, -errno.EPERM, 1,
        1, -errno.EPERM,
    ]  # fmt: skip


def test_nice_values(machine):
    assert play(machine, nice_values, 11) == [
        -errno.EINVAL, 20, -errno.ESRCH, 0, 1, 0, 40, -errno.ESRCH, 0, -errno.EACCES, 5,
    ]  # fmt: skip


def test_priorities_of_input_and_output(machine):
    assert play(machine, io_priorities, 16) == [
        0, 0x4004, -errno.EINVAL, -errno.EINVAL, -errno.ESRCH, -errno.ESRCH, 0, 0x4FF8, -errno.EINVAL, -errno.EINVAL,
        -errno.EPERM, 0, 0x2003, 0, 0x4006, 0x6006,
    ]  # fmt: skip


def test_scheduling_attributes(machine):
    assert play(machine, attributes, 19) == [
        -errno.EINVAL, 0, 56, -errno.EINVAL, -errno.EINVAL, -errno.ESRCH, -errno.E2BIG, 56, -errno.E2BIG, -errno.EINVAL,
        0, 73, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL, -errno.EINVAL, -errno.EFAULT,
    ]  # fmt: skip
