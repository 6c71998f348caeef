"""Whole processes: stopping and continuing them, ending them, and what their parents hear."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import WRITE, Frame
from goanna.kernel.arch.host.processors import simulated_time, stop
from goanna.kernel.memory import user
from goanna.kernel.signal import fault
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import (
    CLD_CONTINUED,
    CLD_STOPPED,
    SI_USER,
    SIGCHLD,
    SIGCONT,
    SIGKILL,
    SIGSEGV,
    SIGSTOP,
    SIGTERM,
    SIGUSR1,
    bits,
)
from goanna.kernel.signal.restart import sys_restart_syscall
from goanna.kernel.signal.send import send_to_process
from goanna.kernel.signal.wait import wait_for
from goanna.kernel.thread.create import make_process, start_kernel_thread
from goanna.kernel.thread.current import current
from goanna.kernel.thread.process import Process
from goanna.kernel.time.sleep import sys_nanosleep
from goanna.kernel.time.timespec import Timespec
from goanna.metal import Array, Atomic, i32, metal, static, u32, u64, unreachable
from tests.kernel.signal.program import (
    begin,
    block,
    compute,
    finish_call,
    handled,
    handled_by,
    install,
    seen,
    simulation,
    stack_of,
    word,
)
from tests.kernel.thread.simulation import ended_with, process

CHILD, PARENT = 1, 50
RESTART_SYSCALL = 219

counters = static(Array[u64, 16])
before = static(Array[u64, 16])
finished = static(Atomic[bool])
ready = static(Atomic[u64])
fatal = static(u32)
late = static(u64)  # nanoseconds that a sleep took
sleepers = static(u64)


@metal
def tell(target: Process, number: u32) -> None:
    send_to_process(target, Information(number=i32(number), code=SI_USER))


@metal
def moved() -> bool:
    """Whether the child's threads have computed since `before`."""
    result = False
    for index in range(u64(16)):
        if counters[index] != before[index]:
            result = True
        before[index] = counters[index]
    return result


@metal
def child(number: u64) -> None:
    """The threads of the child compute; the last of them makes the parent."""
    frame = Frame()
    begin(number, frame)
    install(SIGUSR1, 0, 0)
    if ready.add(1) == 2:
        parent: Process = make_process()
        parent.space = process.space
        parent.id = PARENT
        process.parent = parent
        start_kernel_thread(control, 3, parent)
    while not finished.load():
        counters[number] += 1
        compute(number, frame, 300)


@metal
def control(number: u64) -> None:
    """The parent stops and continues its child, and looks whether it does."""
    frame = Frame()
    begin(number, frame)
    install(SIGCHLD, 0, 0)
    for round in range(u64(3)):
        start = handled_by[number]
        tell(process, SIGSTOP)
        while handled_by[number] == start:
            compute(number, frame, 100)
        assert word(number, 8) == CLD_STOPPED and word(number, 24) == SIGSTOP, "not told of the stop"
        assert word(number, 16) == CHILD, "told of another's stop"
        moved()
        tell(process, SIGUSR1)
        compute(number, frame, 20000)
        assert not moved() and handled.load() == handled_by[number] + round, "a stopped thread ran"
        tell(process, SIGCONT)
        while handled_by[number] == start + 1:
            compute(number, frame, 100)
        assert word(number, 8) == CLD_CONTINUED and word(number, 24) == SIGCONT, "not told of the continuation"
        while handled.load() != handled_by[number] + round + 1:
            compute(number, frame, 100)
        while not moved():
            compute(number, frame, 100)
    finished.store(True)
    stop(0)


@metal
def sleep_through(number: u64) -> None:
    """A sleep that is stopped and continued ends when it would have."""
    global late
    frame = Frame()
    begin(number, frame)
    other: Process = make_process()
    other.space = process.space
    other.id = PARENT
    start_kernel_thread(stop_and_go, 3, other)
    start = simulated_time
    request = Timespec(seconds=0, nanoseconds=50000000)
    user.put_struct(stack_of(0), request)
    again = finish_call(number, frame, sys_nanosleep(stack_of(0), 0))
    while again:
        assert frame.call == RESTART_SYSCALL, "another call is made in place of the one that was interrupted"
        again = finish_call(number, frame, sys_restart_syscall())
    assert frame.result() == 0, "the sleep failed"
    late = simulated_time - start
    stop(0)


@metal
def stop_and_go(number: u64) -> None:
    frame = Frame()
    begin(number, frame)
    for _ in range(3):
        compute(number, frame, sleepers)
        tell(process, SIGSTOP)
        compute(number, frame, 1000)
        tell(process, SIGCONT)
    while True:
        compute(number, frame, 1000)


@metal
def end_by_signal(number: u64) -> None:
    """Some threads sleep, some compute; thread 0 sends the signal that ends the first process."""
    frame = Frame()
    begin(number, frame)
    if fatal == SIGTERM:
        block(bits(SIGUSR1))
    ready.add(1)
    if number == 0:
        while ready.load() < 3:
            compute(number, frame, 100)
        tell(process, fatal)
    information = Information()
    while True:
        if number < sleepers:
            wait_for(current(), bits(SIGUSR1), 2**64 - 1, information)
        compute(number, frame, 100)


@metal
def kill_stopped(number: u64) -> None:
    """A process that is stopped, or about to, ends by SIGKILL."""
    frame = Frame()
    begin(number, frame)
    if ready.add(1) == 1:
        killer: Process = make_process()
        killer.space = process.space
        killer.id = PARENT
        start_kernel_thread(kill_it, 3, killer)
    while True:
        compute(number, frame, 100)


@metal
def kill_it(number: u64) -> None:
    frame = Frame()
    begin(number, frame)
    tell(process, SIGSTOP)
    compute(number, frame, sleepers)
    tell(process, SIGKILL)
    while True:
        compute(number, frame, 100)


@metal
def fault_at(number: u64) -> None:
    """A thread touches what isn't there, with a handler, then with the signal blocked."""
    frame = Frame()
    begin(number, frame)
    install(SIGSEGV, 0, 0)
    fault.page_fault(frame, 0x5000, WRITE)
    compute(number, frame, 1)
    block(bits(SIGSEGV))
    fault.page_fault(frame, stack_of(0) + 0x100000, WRITE)
    compute(number, frame, 1)
    unreachable("a blocked fault was survived")


@pytest.fixture(scope="module")
def machine():
    statics = (simulated_time, ended_with, fatal, sleepers, late, handled, seen)
    return simulation(child, sleep_through, end_by_signal, kill_stopped, fault_at, *statics)


seeds = st.integers(0, 2**32)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4))
def test_a_stopped_process_stands_still_and_goes_on(machine, seed, processors):
    machine.first = {}
    machine.run(child, 3, processors, seed)


@settings(max_examples=40, deadline=None)
@given(
    seed=seeds,
    processors=st.integers(1, 4),
    number=st.sampled_from([1, 6, 9, 11, 15, 34, 64]),
    asleep=st.integers(0, 3),
)
def test_a_fatal_signal_ends_all_threads_with_its_number(machine, seed, processors, number, asleep):
    machine.first = {fatal: number, sleepers: asleep}
    machine.run(end_by_signal, 3, processors, seed)
    assert machine.unit.get(ended_with) == number


@settings(max_examples=40, deadline=None)
@given(seed=seeds, pause=st.integers(6_000_000, 15_000_000))
def test_a_sleep_that_was_stopped_and_continued_keeps_its_deadline(machine, seed, pause):
    machine.first = {sleepers: pause}
    machine.run(sleep_through, 1, 1, seed)
    assert 50_000_000 <= machine.unit.get(late) <= 55_000_000  # late by a slice at most


@settings(max_examples=40, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4), pause=st.integers(1, 5000))
def test_sigkill_ends_a_process_that_is_stopped_or_stopping(machine, seed, processors, pause):
    machine.first = {sleepers: pause}
    machine.run(kill_stopped, 2, processors, seed)
    assert machine.unit.get(ended_with) == SIGKILL


def test_a_fault_runs_its_handler_and_ends_the_process_if_blocked(machine):
    machine.first = {}
    machine.run(fault_at, 1)
    assert machine.unit.get(handled) == 1
    information = bytes(machine.unit.get(seen))
    assert information[:12] == bytes([11, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    assert int.from_bytes(information[16:24], "little") == 0x5000
    assert machine.unit.get(ended_with) == SIGSEGV
