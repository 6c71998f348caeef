"""Wait queues on one and several processors: no wake-up is lost, none is counted twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.host.processors import simulated_time
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, metal, static, u64
from tests.kernel.thread.simulation import Simulation, pass_user

lock = static(SpinLock)
queue = static(WaitQueue)
tokens = static(u64)
taken = static(u64)
rounds = static(u64)
timeouts = static(u64)
late = static(u64)
ends = static(Array[u64, 16])


@metal
def produce_or_consume(number: u64) -> None:
    """Even threads put tokens in, odd ones take them out, as many in all."""
    global tokens, taken
    for _ in range(rounds):
        if number % 2 == 0:
            with lock:
                tokens += 1
                queue.wake_one()
        else:
            with lock:
                while tokens == 0:
                    queue.wait(lock, NEVER, False)
                tokens -= 1
                taken += 1
        pass_user()


@metal
def sleep_apart(number: u64) -> None:
    """Each thread sleeps to a deadline of its own, several times."""
    global timeouts, late
    for step in range(rounds):
        deadline = simulated_time + (number + 1) * 1000 + step * 7
        with lock:
            wake = queue.wait(lock, deadline, False)
        if wake == Wake.TIMEOUT:
            timeouts += 1
        if simulated_time != deadline:
            late += 1
        pass_user()


@pytest.fixture(scope="module")
def machine():
    return Simulation(produce_or_consume, sleep_apart, tokens, taken, rounds, timeouts, late)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), processors=st.integers(1, 4), pairs=st.integers(1, 4), count=st.integers(1, 20))
def test_every_token_is_taken_once(machine, seed, processors, pairs, count):
    machine.unit.reset()
    machine.first = {rounds: count}
    machine.run(produce_or_consume, 2 * pairs, processors, seed)
    assert machine.unit.get(tokens) == 0
    assert machine.unit.get(taken) == pairs * count


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), processors=st.integers(1, 4), count=st.integers(1, 8))
def test_a_deadline_is_met_to_the_nanosecond_when_nothing_else_runs(machine, seed, processors, count):
    machine.first = {rounds: 5}
    machine.run(sleep_apart, count, processors, seed)
    assert (machine.unit.get(timeouts), machine.unit.get(late)) == (5 * count, 0)
