"""Sleeping and clocks, as programs call them, on simulated processors."""

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host.processors import BOOT_TIME, simulated_time
from goanna.kernel.memory.user import get, put
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.scheduler import interrupt
from goanna.kernel.thread.thread import deliver_signals, find_thread, release_thread
from goanna.kernel.time import clock, sleep
from goanna.metal import Array, i32, i64, metal, static, u64
from tests.kernel.thread.simulation import USER_PAGE, Simulation, pass_user, spend

SECOND = 1_000_000_000
ABSTIME = 1
RESTART = 516
NOHAND = 514
REQUEST, LEFT = USER_PAGE + 0x100, USER_PAGE + 0x200

kind = static(u64)
clock_id = static(i32)
flags = static(i32)
pair = static(Array[i64, 2])
place = static(u64)
result = static(i64)
left = static(Array[i64, 2])
ended = static(u64)
signal_at = static(u64)
new_time = static(Array[i64, 2])
new_time_at = static(u64)
capabilities = static(u64)


@metal
def sleeper(number: u64) -> None:
    """Thread 0 makes the call; thread 1 signals it at a time, or sets the clock."""
    global result, ended
    if number == 0:
        put(REQUEST, pair[0])
        put(REQUEST + 8, pair[1])
        put(LEFT, i64(-1))
        address = place if place != 0 else u64(REQUEST)
        if kind == 0:
            result = sleep.sys_nanosleep(address, LEFT)
        else:
            result = sleep.sys_clock_nanosleep(clock_id, flags, address, LEFT)
        ended = simulated_time
        left[0], _ = get(i64, LEFT)
        left[1], _ = get(i64, LEFT + 8)
    elif signal_at != 0:
        put(USER_PAGE, u64(0))
        put(USER_PAGE + 8, signal_at)
        sleep.sys_nanosleep(USER_PAGE, 0)
        thread = find_thread(1)
        if thread is not None:
            interrupt(thread)
            release_thread(thread)
    elif new_time_at != 0:
        put(USER_PAGE, u64(0))
        put(USER_PAGE + 8, new_time_at)
        sleep.sys_nanosleep(USER_PAGE, 0)
        current_process().credentials.effective = capabilities
        put(USER_PAGE, new_time[0])
        put(USER_PAGE + 8, new_time[1])
        result = clock.sys_clock_settime(0, USER_PAGE)


@metal
def sleep_and_go_on(number: u64) -> None:
    """A signal without a handler: the call goes on by its restart block."""
    global result, ended
    if number == 0:
        put(REQUEST, pair[0])
        put(REQUEST + 8, pair[1])
        result = sleep.sys_nanosleep(REQUEST, LEFT)
        while result == -RESTART:
            pass_user()
            result = current().restart.call(current().restart)
        ended = simulated_time
    else:
        for _ in range(5):
            put(USER_PAGE, u64(0))
            put(USER_PAGE + 8, signal_at)
            sleep.sys_nanosleep(USER_PAGE, 0)
            thread = find_thread(1)
            if thread is not None:
                interrupt(thread)
                release_thread(thread)


readings = static(Array[i64, 2])


@metal
def read(number: u64) -> None:
    global result
    spend(123_456_789)
    if kind == 0:
        result = clock.sys_clock_gettime(clock_id, place)
    elif kind == 1:
        result = clock.sys_clock_getres(clock_id, place)
    elif kind == 2:
        result = clock.sys_gettimeofday(place, 0)
    elif kind == 3:
        result = clock.sys_time(place)
    else:
        result = clock.sys_gettimeofday(0, place)
    readings[0], _ = get(i64, REQUEST)
    readings[1], _ = get(i64, REQUEST + 8)


@metal
def forget(frame: Frame) -> None:
    pass


@pytest.fixture(scope="module")
def machine():
    return Simulation(
        sleeper, sleep_and_go_on, read, kind, clock_id, flags, pair, place, result, left, ended, signal_at, new_time,
        new_time_at, capabilities, readings, simulated_time, hooks=((deliver_signals, forget),),
    )  # fmt: skip


def play(machine, function=sleeper, threads=1, processors=1, seed=1, seconds=0, nanoseconds=0, new=None, **statics):
    names = {each.name: each for each in (kind, clock_id, flags, place, signal_at, new_time_at, capabilities)}

    def prepare():
        unit = machine.unit
        for name, value in statics.items():
            unit.static(names[name]).value = value
        unit.static(pair)[0], unit.static(pair)[1] = seconds, nanoseconds
        if new:
            unit.static(new_time)[0], unit.static(new_time)[1] = new

    machine.prepare = prepare
    machine.run(function, threads, processors, seed)
    machine.prepare = None
    return machine.unit.get(result)


@settings(max_examples=50, deadline=None)
@given(time=st.integers(0, 10 * SECOND), processors=st.integers(1, 2), call=st.integers(0, 1))
def test_a_sleep_is_as_long_as_it_says(machine, time, processors, call):
    got = play(machine, kind=call, clock_id=1, seconds=time // SECOND, nanoseconds=time % SECOND, processors=processors)
    assert got == 0
    assert machine.unit.get(ended) == time


@pytest.mark.parametrize("clock_id", [0, 1, 7, 11])
def test_an_absolute_sleep_ends_at_its_time(machine, clock_id):
    base = BOOT_TIME if clock_id in (0, 11) else 0
    time = base + 5000
    got = play(machine, kind=1, clock_id=clock_id, flags=ABSTIME, seconds=time // SECOND, nanoseconds=time % SECOND)
    assert got == 0
    assert machine.unit.get(ended) == 5000


@pytest.mark.parametrize("moved", [2000, -2000, 10_000])
def test_setting_the_clock_moves_absolute_sleeps_of_real_time(machine, moved):
    time = BOOT_TIME + 5000
    new = BOOT_TIME + 1000 + moved
    play(
        machine, kind=1, clock_id=0, flags=ABSTIME, seconds=time // SECOND, nanoseconds=time % SECOND, threads=2,
        new=(new // SECOND, new % SECOND), new_time_at=1000, capabilities=1 << 25,
    )  # fmt: skip
    assert machine.unit.get(ended) == max(5000 - moved, 1000)


@pytest.mark.parametrize(
    ("new", "capabilities", "expected"),
    [
        ((-1, 0), 1 << 25, -errno.EINVAL),
        ((0, 0), 1 << 25, -errno.EINVAL),  # before the machine started
        ((5, SECOND), 1 << 25, -errno.EINVAL),
        ((5, -1), 1 << 25, -errno.EINVAL),
        ((2**62, 0), 1 << 25, -errno.EINVAL),
        ((2_000_000_000, 0), 0, -errno.EPERM),
        ((2_000_000_000, 5), 1 << 25, 0),
    ],
)
def test_setting_the_clock(machine, new, capabilities, expected):
    assert play(machine, threads=2, new=new, new_time_at=1000, capabilities=capabilities) == expected


@settings(max_examples=30, deadline=None)
@given(at=st.integers(1, 4999), processors=st.integers(1, 2), seed=st.integers(0, 2**32))
def test_a_signal_ends_a_sleep_and_the_rest_is_told(machine, at, processors, seed):
    got = play(machine, threads=2, processors=processors, seed=seed, nanoseconds=5000, signal_at=at)
    assert got == -RESTART
    assert machine.unit.get(ended) == at
    assert list(machine.unit.static(left)) == [0, 5000 - at]


def test_a_signal_ends_an_absolute_sleep_without_a_rest(machine):
    got = play(machine, threads=2, kind=1, clock_id=1, flags=ABSTIME, nanoseconds=5000, signal_at=300)
    assert got == -NOHAND
    assert machine.unit.static(left)[0] == -1


@settings(max_examples=30, deadline=None)
@given(every=st.integers(1, 1500), processors=st.integers(1, 2), seed=st.integers(0, 2**32))
def test_a_sleep_that_goes_on_after_signals_is_no_longer(machine, every, processors, seed):
    play(machine, sleep_and_go_on, 2, processors, seed, nanoseconds=5000, signal_at=every)
    assert machine.unit.get(result) == 0
    assert machine.unit.get(ended) == 5000


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"nanoseconds": SECOND}, errno.EINVAL),
        ({"nanoseconds": -1}, errno.EINVAL),
        ({"seconds": -1}, errno.EINVAL),
        ({"place": 8}, errno.EFAULT),
        ({"place": 2**64 - 8}, errno.EFAULT),
        ({"kind": 1, "clock_id": 4}, errno.EOPNOTSUPP),
        ({"kind": 1, "clock_id": 5}, errno.EOPNOTSUPP),
        ({"kind": 1, "clock_id": 3}, errno.EOPNOTSUPP),
        ({"kind": 1, "clock_id": 8}, errno.EOPNOTSUPP),
        ({"kind": 1, "clock_id": 10}, errno.EINVAL),
        ({"kind": 1, "clock_id": 12}, errno.EINVAL),
        ({"kind": 1, "clock_id": -2}, errno.EINVAL),  # a thread can't wait for its own time
        ({"kind": 1, "clock_id": -1}, errno.EINVAL),
    ],
)
def test_errors_of_sleeps(machine, values, expected):
    assert play(machine, **values) == -expected


SPENT = 123_456_789


@pytest.mark.parametrize(
    ("clock_id", "expected"),
    [
        (0, BOOT_TIME + SPENT),
        (1, SPENT),
        (2, SPENT),
        (3, SPENT),
        (4, SPENT),
        (5, BOOT_TIME + SPENT // 4_000_000 * 4_000_000),
        (6, SPENT // 4_000_000 * 4_000_000),
        (7, SPENT),
        (11, BOOT_TIME + SPENT),
        (-6, SPENT),  # process 0, the running one: scheduler time
        (-2, SPENT),  # thread 0
        (~1 << 3 | 2, SPENT),  # process 1
        (~1 << 3 | 6, SPENT),  # thread 1
    ],
)
def test_clocks(machine, clock_id, expected):
    assert play(machine, read, clock_id=clock_id, place=REQUEST) == 0
    seconds, nanoseconds = machine.unit.static(readings)
    assert seconds * SECOND + nanoseconds == expected


@pytest.mark.parametrize(("clock_id", "expected"), [(0, 1), (1, 1), (2, 1), (5, 4_000_000), (6, 4_000_000), (-6, 1)])
def test_resolutions(machine, clock_id, expected):
    assert play(machine, read, kind=1, clock_id=clock_id, place=REQUEST) == 0
    assert list(machine.unit.static(readings)) == [0, expected]
    assert play(machine, read, kind=1, clock_id=clock_id, place=0) == 0


@pytest.mark.parametrize("clock_id", [8, 9, 10, 12, 100, 2**31 - 1, -(2**31), ~999 << 3 | 2, ~999 << 3 | 6, -5, -1])
def test_what_is_no_clock(machine, clock_id):
    assert play(machine, read, clock_id=clock_id, place=REQUEST) == -errno.EINVAL
    assert play(machine, read, kind=1, clock_id=clock_id, place=REQUEST) == -errno.EINVAL


@settings(max_examples=100, deadline=None)
@given(clock_id=st.integers(-(2**31), 2**31 - 1), call=st.integers(0, 4), place=st.integers(0, 2**64 - 1))
def test_any_clock_and_address_is_answered(machine, clock_id, call, place):
    play(machine, read, kind=call, clock_id=clock_id, place=place)


def test_the_older_calls(machine):
    assert play(machine, read, kind=2, place=REQUEST) == 0
    assert list(machine.unit.static(readings)) == [BOOT_TIME // SECOND, 123_456]
    assert play(machine, read, kind=3, place=REQUEST) == BOOT_TIME // SECOND
    assert machine.unit.static(readings)[0] == BOOT_TIME // SECOND
    assert play(machine, read, kind=3, place=8) == -errno.EFAULT
    assert play(machine, read, kind=4, place=8) == -errno.EFAULT
