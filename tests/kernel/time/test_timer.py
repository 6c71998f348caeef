"""Timers against a model: each callback runs once, at its time, on the processor that armed it."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import halt_until_interrupt, on_reschedule, on_timer, processor_index
from goanna.kernel.arch.host.frame import Frame
from goanna.kernel.arch.host.processors import (
    DEADLOCK,
    RUNAWAY,
    before_user,
    simulate,
    simulated_time,
    spend_time,
    stop,
)
from goanna.kernel.time import timer
from goanna.kernel.time.timer import (
    REAL,
    Timer,
    run_timers,
    start_timers,
    timer_cancel,
    timer_pending,
    timer_start,
    timer_start_on,
    timers_rescheduled,
    timers_wall_clock_changed,
)
from goanna.kernel.time.wall import real_time, set_wall_offset, start_wall_clock
from goanna.metal import Array, Atomic, Ptr, jit, metal, static, struct, u32, u64, unsafe
from tests.kernel.hooks import filled

COUNT = 8
NEVER = 2**64 - 1


@struct
class Probe:
    timer: Timer
    fired: u64
    time: u64
    processor: u32
    period: u64


@struct
class Step:
    """What a processor does: first let time pass, then start or cancel a timer."""

    wait: u64
    probe: u32
    processor: u32
    deadline: u64
    cancel: bool
    cancelled: bool


probes = static(Array[Probe, COUNT])
script = static(Array[Step, 32])
steps = static(u64)
frame = static(Frame)
active = static(Atomic[u32])


@metal
def fired(timer: Ptr[Timer]) -> None:
    probe = unsafe.container(Probe, "timer", timer)
    probe.fired += 1
    probe.time = simulated_time
    probe.processor = processor_index()
    if probe.period != 0:
        timer_start(timer, timer.deadline + probe.period)


@metal
def nothing(frame: Frame) -> None:
    pass


@metal
def one_processor(index: u32) -> None:
    start_timers()
    for i in range(steps):
        step = script[i]
        spend_time(frame, step.wait)
        probe = probes[u64(step.probe)]
        probe.timer.callback = fired
        if step.cancel:
            step.cancelled = timer_cancel(probe.timer)
        else:
            timer_start(probe.timer, step.deadline)
    while any_pending():
        halt_until_interrupt()
    stop(0)


@metal
def any_pending() -> bool:
    count: u64 = 0
    for probe in probes:
        count += u64(timer_pending(probe.timer))
    for queue in timer.queues:
        count += u64(queue.running.load() is not None)
    return count != 0


@metal
def play(processors: u32, seed: u64) -> u32:
    return simulate(one_processor, processors, seed, 1_000_000)


@metal
def remote(index: u32) -> None:
    """Each processor arms timers on all others, and cancels some of them."""
    start_timers()
    for i in range(steps):
        step = script[i]
        if step.processor == index:
            probe = probes[u64(step.probe)]
            if step.cancel:
                step.cancelled = timer_cancel(probe.timer)
            else:
                probe.timer.callback = fired
                timer_start_on(probe.timer, step.deadline, u32(u64(step.probe) % 3))
            spend_time(frame, step.wait)
    active.sub(1)
    while any_pending() or active.load() != 0:
        if active.load() != 0:
            spend_time(frame, 1)
        else:
            halt_until_interrupt()
    stop(0)


@metal
def play_remote(seed: u64) -> u32:
    active.store(3)
    return simulate(remote, 3, seed, 1_000_000)


@metal
def set_clock(index: u32) -> None:
    """A timer of real time, and the clock set past it or back."""
    start_timers()
    start_wall_clock()
    probe = probes[0]
    probe.timer.callback = fired
    probe.timer.clock = REAL
    timer_start(probe.timer, real_time() + 1000)
    set_wall_offset(script[0].deadline)
    timers_wall_clock_changed()
    while timer_pending(probe.timer):
        halt_until_interrupt()
    stop(0)


@metal
def play_set_clock() -> u32:
    return simulate(set_clock, 1, 1, 1_000_000)


@pytest.fixture(scope="module")
def unit():
    hooks = ((on_timer, run_timers), (on_reschedule, timers_rescheduled), (before_user, nothing))
    with filled(*hooks):
        return jit(play, play_remote, play_set_clock, probes, script, steps, simulated_time, timer.queues)


def fill(unit, script_steps):
    unit.reset()
    unit.set(steps, len(script_steps))
    view = unit.static(script)
    for place, values in zip(view, script_steps, strict=False):
        for name, value in values.items():
            setattr(place, name, value)


@settings(max_examples=200, deadline=None)
@given(
    steps_=st.lists(
        st.fixed_dictionaries(
            {
                "wait": st.integers(0, 50),
                "probe": st.integers(0, COUNT - 1),
                "deadline": st.one_of(st.integers(0, 500), st.just(NEVER)),
                "cancel": st.booleans(),
            }
        ),
        max_size=32,
    )
)
def test_one_processors_timers_do_as_a_list_would(unit, steps_):
    fill(unit, steps_)
    assert unit.call(play, 1, 1) == 0
    now, armed, count, last, cancelled = 0, {}, defaultdict(int), {}, []

    def fire_until(time):
        for probe, deadline in sorted(armed.items(), key=lambda pair: pair[1]):
            if deadline <= time:
                count[probe] += 1
                last[probe] = max(deadline, armed_at[probe])
                del armed[probe]

    armed_at = {}
    for step in steps_:
        # An interrupt is taken only while time passes or the processor halts.
        if step["wait"]:
            now += step["wait"]
            fire_until(now)
        if step["cancel"]:
            cancelled.append(armed.pop(step["probe"], None) is not None)
        else:
            cancelled.append(False)
            armed.pop(step["probe"], None)
            if step["deadline"] != NEVER:
                armed[step["probe"]], armed_at[step["probe"]] = step["deadline"], now
    fire_until(NEVER)
    view = unit.static(probes)
    assert [view[i].fired for i in range(COUNT)] == [count[i] for i in range(COUNT)]
    assert [each.cancelled for each in list(unit.static(script))[: len(steps_)]] == cancelled
    for probe, time in last.items():
        assert view[probe].time >= time


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps_=st.lists(
        st.fixed_dictionaries(
            {
                "wait": st.integers(0, 50),
                "probe": st.integers(0, COUNT - 1),
                "deadline": st.integers(0, 500),
                "cancel": st.booleans(),
            }
        ),
        max_size=32,
    ),
)
def test_a_timer_started_elsewhere_fires_there_unless_it_was_cancelled(unit, seed, steps_):
    # A timer has one owner at a time: here the processor of its number.
    for step in steps_:
        step["processor"] = step["probe"] % 3 if step["probe"] % 2 else (step["probe"] + 1) % 3
    fill(unit, steps_)
    result = unit.call(play_remote, seed)
    assert result not in (DEADLOCK, RUNAWAY)
    view = unit.static(probes)
    done = list(unit.static(script))[: len(steps_)]
    for probe in range(COUNT):
        own = [each for each in done if each.probe == probe]
        starts = sum(not each.cancel for each in own)
        stopped = sum(each.cancelled for each in own)
        replaced = starts - stopped - view[probe].fired
        assert 0 <= replaced <= max(starts - 1, 0)
        if own and not own[-1].cancel:
            assert view[probe].fired >= 1
        if view[probe].fired:
            assert view[probe].processor == probe % 3


def test_a_callback_may_arm_its_timer_again(unit):
    fill(unit, [{"probe": 0, "deadline": 10}, {"wait": 45, "probe": 0, "cancel": True}])
    unit.static(probes)[0].period = 10
    assert unit.call(play, 1, 1) == 0
    assert unit.static(probes)[0].fired == 4


@pytest.mark.parametrize("moved", [-500, 0, 500, 5000])
def test_a_timer_of_real_time_moves_with_the_clock(unit, moved):
    fill(unit, [])
    unit.static(script)[0].deadline = 1_700_000_000_000_000_000 + moved
    assert unit.call(play_set_clock) == 0
    assert unit.static(probes)[0].time == max(1000 - moved, 0)
