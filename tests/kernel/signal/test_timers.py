"""POSIX and interval timers on simulated time: when they expire, how often, what they count."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host.processors import simulated_time
from goanna.kernel.memory import user
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.itimer import sys_setitimer
from goanna.kernel.signal.numbers import SI_KERNEL, SI_TIMER, SIGALRM, SIGPROF, SIGUSR1, bits
from goanna.kernel.signal.posix_timer import (
    SignalEvent,
    sys_timer_create,
    sys_timer_delete,
    sys_timer_getoverrun,
    sys_timer_settime,
)
from goanna.kernel.signal.span import Record
from goanna.kernel.signal.wait import wait_for
from goanna.kernel.thread.current import current
from goanna.metal import Array, i32, i64, metal, static, u64
from tests.kernel.signal.program import begin, block, compute, handled_by, install, simulation, stack_of

MONOTONIC, PROCESS_TIME, THREAD_TIME = 1, 2, 3
THREAD_ID = 4
CORES = 2

first = static(u64)  # nanoseconds to the first expiry
interval = static(u64)
late = static(u64)  # how long the program computes before it takes a signal
clock = static(i32)
times = static(Array[u64, 16])
overruns = static(Array[i64, 16])
wrong = static(u64)
spent = static(Array[u64, 4])
computing = static(u64)  # threads that compute


@metal
def set_timer(number: u64, signal: i32, thread: i32) -> i32:
    """Create a timer and start it; its number."""
    page = stack_of(number)
    event = SignalEvent(value=77, signal=signal, notify=THREAD_ID if thread != 0 else 0, thread=thread)
    user.put_struct(page, event)
    assert sys_timer_create(clock, page, page + 128) == 0, "no timer"
    id, _ = user.get(i32, page + 128)
    start_timer(number, id)
    return id


@metal
def start_timer(number: u64, id: i32) -> None:
    page = stack_of(number)
    setting = Record(
        interval_seconds=i64(interval // 1000000000),
        interval_fraction=i64(interval % 1000000000),
        value_seconds=i64(first // 1000000000),
        value_fraction=i64(first % 1000000000),
    )
    user.put_struct(page, setting)
    assert sys_timer_settime(id, 0, page, 0) == 0, "the timer can't be set"


@metal
def take_expiries(number: u64) -> None:
    """Take ten expiries of a periodic timer, each late."""
    global wrong
    frame = Frame()
    begin(number, frame)
    block(bits(SIGUSR1))
    id = set_timer(number, SIGUSR1, 0)
    information = Information()
    for round in range(u64(10)):
        if late != 0:
            compute(number, frame, late)
        signal, _ = wait_for(current(), bits(SIGUSR1), 2**64 - 1, information)
        times[round] = simulated_time
        overruns[round] = i64(information.details.expiry.overrun)
        if signal != SIGUSR1 or information.code != SI_TIMER or information.details.expiry.value != 77:
            wrong += 1
        if sys_timer_getoverrun(id) != overruns[round]:
            wrong += 1
    sys_timer_delete(id)
    signal, _ = wait_for(current(), bits(SIGUSR1), simulated_time + 10 * interval, information)
    if signal != 0:
        wrong += 1


@metal
def profile(number: u64) -> None:
    """Each thread has a timer on its own processor time, as Go's profiler sets one for each of its threads."""
    frame = Frame()
    begin(number, frame)
    if number == 0:
        install(SIGPROF, 0, 0)
    compute(number, frame, 1000)
    set_timer(number, SIGPROF, i32(current().id))
    information = Information()
    for _ in range(50):
        if number < computing:
            compute(number, frame, 1000000)
        else:
            wait_for(current(), bits(SIGUSR1), simulated_time + 1000000, information)
            compute(number, frame, 1)


@metal
def profile_process(number: u64) -> None:
    """setitimer(ITIMER_PROF), as Go's profiler sets it for the whole process."""
    frame = Frame()
    begin(number, frame)
    install(SIGPROF, 0, 0)
    if number == 0:
        page = stack_of(number)
        user.put_struct(page, Record(interval_fraction=i64(interval // 1000), value_fraction=i64(first // 1000)))
        assert sys_setitimer(2, page, 0) == 0, "the timer can't be set"
    for _ in range(50):
        compute(number, frame, 1000000)


@metal
def ring(number: u64) -> None:
    """ITIMER_REAL with an interval, taken by sigtimedwait."""
    global wrong
    frame = Frame()
    begin(number, frame)
    block(bits(SIGALRM))
    page = stack_of(number)
    user.put_struct(page, Record(interval_fraction=i64(interval // 1000), value_fraction=i64(first // 1000)))
    assert sys_setitimer(0, page, 0) == 0, "the timer can't be set"
    information = Information()
    for round in range(u64(10)):
        if late != 0:
            compute(number, frame, late)
        signal, _ = wait_for(current(), bits(SIGALRM), 2**64 - 1, information)
        times[round] = simulated_time
        if signal != SIGALRM or information.code != SI_KERNEL:
            wrong += 1


@pytest.fixture(scope="module")
def machine():
    statics = (first, interval, late, clock, times, overruns, wrong, computing)
    return simulation(take_expiries, profile, profile_process, ring, *statics)


@settings(max_examples=60, deadline=None)
@given(
    begin_=st.integers(1000, 100_000),
    period=st.integers(1000, 50_000),
    late_=st.integers(0, 200_000),
    seed=st.integers(0, 99),
)
def test_a_periodic_timer_keeps_its_grid_and_counts_what_it_missed(machine, begin_, period, late_, seed):
    machine.first = {first: begin_, interval: period, late: late_, clock: MONOTONIC}
    machine.run(take_expiries, 1, 1, seed)
    assert machine.unit.get(wrong) == 0
    expected, at, grid = [], 0, begin_
    for _ in range(10):
        taken = max(at + late_, grid)
        missed = (taken - grid) // period
        grid += (missed + 1) * period
        expected.append((taken, missed))
        at = taken
    found = list(zip(machine.unit.get(times), machine.unit.get(overruns), strict=True))[:10]
    start = found[0][0] - expected[0][0]
    assert [(time - start, count) for time, count in found] == expected


@settings(max_examples=30, deadline=None)
@given(period=st.sampled_from([1000, 7000, 50_000]), late_=st.integers(0, 200_000))
def test_the_real_interval_timer_keeps_its_grid(machine, period, late_):
    machine.first = {first: 10_000, interval: period, late: late_, clock: 0}
    machine.run(ring, 1)
    assert machine.unit.get(wrong) == 0
    found = list(machine.unit.get(times))[:10]
    at, grid, expected = 0, 10_000, []
    for _ in range(10):
        at = max(at + late_, grid)
        grid += ((at - grid) // period + 1) * period
        expected.append(at)
    assert [time - found[0] for time in found] == [time - expected[0] for time in expected]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), busy=st.integers(0, 3))
def test_a_threads_timer_counts_its_own_processor_time(machine, seed, busy):
    """50 ms of computing at 10 ms each: five signals, and none to a thread that sleeps.

    On one processor: on several, the simulation's time passes for all who run while one computes.
    """
    machine.first = {first: 10_000_000, interval: 10_000_000, clock: THREAD_TIME, computing: busy}
    machine.run(profile, 3, 1, seed)
    counts = list(machine.unit.get(handled_by))[:3]
    assert all(4 <= count <= 5 for count in counts[:busy])
    assert counts[busy:] == [0] * (3 - busy)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 4))
def test_the_profiling_timer_counts_all_threads(machine, seed, count):
    machine.first = {first: 10_000_000, interval: 10_000_000}
    machine.run(profile_process, count, 1, seed)
    total = sum(machine.unit.get(handled_by))
    assert 3 * count <= total <= 5 * count  # one that comes while the last is pending is lost, as on Linux
