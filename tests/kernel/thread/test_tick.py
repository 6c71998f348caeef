"""The tick: whose time it was, and the load averages."""

from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.thread.current import current
from goanna.kernel.thread.process import SYSTEM_TICKS, USER_TICKS, Split
from goanna.kernel.thread.tick import LOAD_ONE, TICK, load_averages, processor_idle, split_time
from goanna.metal import Array, jit, metal, static, u64
from tests.kernel.thread.simulation import Simulation, spend

unit = jit(split_time, Split)
results = static(Array[u64, 8])
averages = static(Array[u64, 3])


@given(st.lists(st.tuples(st.integers(0, 10**18), st.integers(0, 10**9), st.integers(0, 10**9)), max_size=8))
def test_neither_part_of_the_time_ever_shrinks_and_both_are_all_of_it(steps):
    shown = unit.new(Split)
    time = user_ticks = system_ticks = 0
    before = (0, 0)
    for more, by_user, by_system in steps:
        time, user_ticks, system_ticks = time + more, user_ticks + by_user, system_ticks + by_system
        system = unit.call(split_time, shown, time, user_ticks, system_ticks)
        after = (time - system, system)
        assert after[0] >= before[0] and after[1] >= before[1]
        before = after


def test_time_is_split_as_the_ticks_are():
    assert unit.call(split_time, unit.new(Split), 1000, 0, 0) == 0
    assert unit.call(split_time, unit.new(Split), 1000, 3, 1) == 250
    assert unit.call(split_time, unit.new(Split), 1000, 0, 1) == 1000


@metal
def compute_for_a_minute(number: u64) -> None:
    """One thread runs all the time, the processor idles afterwards for as long."""
    for _ in range(6000):
        spend(TICK)
    load_averages(averages)
    results[0] = current().counts[USER_TICKS].load()
    results[1] = current().counts[SYSTEM_TICKS].load()
    results[2] = processor_idle(0)


def test_a_thread_that_runs_for_a_minute_is_a_load_of_two_thirds_and_is_met_at_every_tick():
    machine = Simulation(compute_for_a_minute, results, averages)
    machine.run(compute_for_a_minute, 1)
    one, five, fifteen = machine.unit.get(averages)
    assert 0.60 < one / LOAD_ONE < 0.66 and 0.16 < five / LOAD_ONE < 0.20 and 0.05 < fifteen / LOAD_ONE < 0.08
    user, system, idle = list(machine.unit.get(results))[:3]
    assert 5990 < user <= 6001 and system == 0 and idle < TICK
