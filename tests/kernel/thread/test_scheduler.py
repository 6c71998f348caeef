"""The scheduler on simulated processors: shares, slices, places, and ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import Frame, processor_index, take_work
from goanna.kernel.arch.host import machine as host_machine
from goanna.kernel.arch.host.processors import simulated_time
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory.user import put
from goanna.kernel.thread import affinity_calls as calls
from goanna.kernel.thread.current import current, current_process
from goanna.kernel.thread.exit import end_process
from goanna.kernel.thread.process import tree_lock
from goanna.kernel.thread.queue import LEAST, LEAST_TIMED, NICE_WEIGHTS, SLICE
from goanna.kernel.thread.scheduler import interrupt, running_time
from goanna.kernel.thread.thread import WORK_SIGNAL, deliver_signals, find_thread, release_thread, threads
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.clock import process_time
from goanna.kernel.time.timer import NEVER
from goanna.metal import Array, i32, i64, metal, static, u32, u64
from tests.kernel.thread.simulation import USER_PAGE, Simulation, ended_with, pass_user, spend

THREADS = 8
MILLISECOND = 1_000_000

amounts = static(Array[u64, THREADS])  # what each thread is to compute, in nanoseconds
nices = static(Array[i32, THREADS])
times = static(Array[u64, THREADS])
ends = static(Array[u64, THREADS])
places = static(Array[u64, THREADS])  # mask of processors on which a thread was seen
results = static(Array[i64, 64])
deadline = static(u64)
lock = static(SpinLock)
queue = static(WaitQueue)
woken_at = static(u64)
dozes = static(u64)
signals_taken = static(u64)
total_time = static(u64)
own_registers = static(u64)


@metal
def compute(number: u64) -> None:
    """Use the processor for a time of one's own, in small steps, until the deadline."""
    current().nice = nices[number]
    left = amounts[number]
    while left > 0 and simulated_time < deadline:
        step = min(left, u64(100_000))
        spend(step)
        left -= step
        places[number] |= u64(1) << u64(processor_index())
    times[number] = running_time(current())
    ends[number] = simulated_time


@metal
def wake_beside_a_hog(number: u64) -> None:
    """Thread 0 sleeps for 10 ms, thread 1 computes for 100 ms: when does thread 0 run again?"""
    global woken_at
    if number == 0:
        with lock:
            queue.wait(lock, 10 * MILLISECOND, False)
        woken_at = simulated_time
    else:
        for _ in range(1000):
            spend(100_000)


@metal
def doze_beside_a_hog(number: u64) -> None:
    """Thread 0 sleeps for 20 us again and again, thread 1 computes for 20 ms: how often was thread 0 up meanwhile?"""
    global dozes
    if number == 0:
        while amounts[1] != 0:
            with lock:
                queue.wait(lock, simulated_time + 20_000, False)
            dozes += 1
            pass_user()
    else:
        amounts[1] = 1
        for _ in range(20_000):
            spend(1000)
        amounts[1] = 0


@metal
def answer_a_hog(number: u64) -> None:
    """Thread 0 is woken every 20 us by thread 1, which computes for 20 ms: how often was thread 0 up meanwhile?"""
    global dozes
    if number == 0:
        while amounts[1] != 0:
            with lock:
                queue.wait(lock, NEVER, False)
            dozes += 1
            pass_user()
    else:
        for step in range(20_000):
            spend(1000)
            if step % 20 == 0:
                with lock:
                    queue.wake_one()
        amounts[1] = 0
        with lock:
            queue.wake_one()


@metal
def take_signals(frame: Frame) -> None:
    global signals_taken
    signals_taken += 1


@metal
def sleep_until_signalled(number: u64) -> None:
    """Odd threads sleep, alternately with and without signals allowed; even ones send signals."""
    if number % 2 == 1:
        with lock:
            wake = queue.wait(lock, 5000, number % 4 == 1)
        results[number] = i64(u32(wake))
        pass_user()
    else:
        spend(10)
        thread = find_thread(u32(number) + 2)
        if thread is not None:
            interrupt(thread)
            release_thread(thread)


@metal
def sleep_before_the_interrupt_comes(number: u64) -> None:
    """A signal was sent from another processor, whose interrupt is still on its way; the thread goes to sleep."""
    current().work.or_(u32(WORK_SIGNAL))
    with lock:
        results[0] = i64(u32(queue.wait(lock, NEVER, True)))
    results[1] = i64(take_work())


@metal
def signal_a_running_thread(number: u64) -> None:
    """Thread 0 computes; thread 1 sends it a signal at once. When is it taken?"""
    global woken_at
    if number == 0:
        for _ in range(1000):
            if signals_taken == 0:
                spend(1000)
        woken_at = simulated_time
    else:
        thread = find_thread(1)
        if thread is not None:
            interrupt(thread)
            release_thread(thread)


@metal
def all_end_at_once(number: u64) -> None:
    """Some sleep for ever, some compute for ever, one ends the process."""
    if number == 0:
        spend(1000)
        end_process(7 << 8)
    elif number % 2 == 0:
        with lock:
            while True:
                queue.wait(lock, NEVER, True)
                lock.release()
                pass_user()
                lock.acquire()
    else:
        while True:
            spend(100)


@metal
def stay_on_one(number: u64) -> None:
    """Each thread asks for one processor, after having run for a while."""
    spend(1000)
    put(USER_PAGE + number * 8, u64(1) << (number % 2))
    results[number] = calls.sys_sched_setaffinity(0, 8, USER_PAGE + number * 8)
    places[number] = 0
    for _ in range(50):
        spend(10_000)
        places[number] |= u64(1) << u64(processor_index())


@metal
def move_another(number: u64) -> None:
    """Thread 0 moves all others to processor 1, whatever they do."""
    if number == 0:
        put(USER_PAGE, u64(2))
        for other in range(u32(2), u32(5)):
            results[u64(other)] = calls.sys_sched_setaffinity(i32(other), 8, USER_PAGE)
        spend(100_000)
        for i in range(u64(THREADS)):
            places[i] = 0
    else:
        for _ in range(200):
            spend(10_000)
            places[number] |= u64(1) << u64(processor_index())


@metal
def keep_registers(number: u64) -> None:
    """Vector registers, thread pointer and GS base are each thread's own."""
    value = number + 100
    host_machine.float_registers = value
    host_machine.set_thread_pointer(value * 2)
    host_machine.set_user_gs(value * 3)
    for _ in range(30):
        spend(500_000)
        calls.sys_sched_yield()
        assert host_machine.float_registers == value, "vector registers"
        assert host_machine.thread_pointer() == value * 2, "thread pointer"
        assert host_machine.get_user_gs() == value * 3, "GS base"


@metal
def yield_in_turn(number: u64) -> None:
    """Threads that only yield run in turn."""
    for step in range(u64(10)):
        results[number * 2] = i64(step)
        other = 2 - number * 2
        assert results[other] - i64(step) <= 2 and i64(step) - results[other] <= 2, "one ran ahead"
        calls.sys_sched_yield()


@metal
def count_time(number: u64) -> None:
    """The process's time is the sum of its threads', those that ended included."""
    global total_time
    spend(amounts[number])
    with tree_lock:
        total_time = max(total_time, process_time(current_process()))


@pytest.fixture(scope="module")
def machine():
    return Simulation(
        compute, wake_beside_a_hog, doze_beside_a_hog, answer_a_hog,
        sleep_until_signalled, sleep_before_the_interrupt_comes,
        signal_a_running_thread, all_end_at_once, stay_on_one, move_another, keep_registers, yield_in_turn, count_time,
        amounts, nices, times, ends, places, results, deadline, woken_at, dozes, signals_taken, total_time, ended_with,
        simulated_time, threads.in_use,
        hooks=((deliver_signals, take_signals),),
    )  # fmt: skip


def share(machine, work, processors, until, seed=1, nice=()):
    """Threads that compute; the time that each has run."""

    def prepare():
        for number, amount in enumerate(work):
            machine.unit.static(amounts)[number] = amount
            machine.unit.static(nices)[number] = nice[number] if nice else 0
        machine.unit.set(deadline, until)

    machine.prepare = prepare
    machine.run(compute, len(work), processors, seed)
    machine.prepare = None
    return list(machine.unit.static(times))[: len(work)]


@settings(max_examples=20, deadline=None)
@given(count=st.integers(2, 6), seed=st.integers(0, 2**32))
def test_those_who_compute_get_equal_shares(machine, count, seed):
    got = share(machine, [10**12] * count, 1, 400 * MILLISECOND, seed)
    assert max(got) - min(got) <= 2 * SLICE


def test_a_nice_value_changes_a_share_as_on_linux(machine):
    slow, fast = share(machine, [10**12] * 2, 1, 2000 * MILLISECOND, nice=[5, 0])
    assert fast / slow == pytest.approx(NICE_WEIGHTS[20] / NICE_WEIGHTS[25], rel=0.1)


def test_one_that_computes_alone_is_not_interrupted(machine):
    share(machine, [50 * MILLISECOND], 1, NEVER)
    assert machine.unit.get(simulated_time) == 50 * MILLISECOND


@pytest.mark.parametrize("seed", range(5))
def test_processors_share_the_work(machine, seed):
    """Time is one for all processors here, so a thread's steps count for each that runs beside it."""
    share(machine, [20 * MILLISECOND] * 4, 2, NEVER, seed)
    assert all(mask for mask in list(machine.unit.static(places))[:4])
    assert 3 in list(machine.unit.static(places))[:4] or len(set(list(machine.unit.static(places))[:4])) > 1


@settings(max_examples=10, deadline=None)
@given(processors=st.integers(2, 4), more=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_threads_take_turns_on_all_processors(machine, processors, more, seed):
    got = share(machine, [10**12] * (processors + more), processors, 600 * MILLISECOND, seed)
    assert min(got) > max(got) * 0.8


def test_a_woken_thread_soon_runs_beside_one_that_computes(machine):
    machine.run(wake_beside_a_hog, 2)
    assert machine.unit.get(woken_at) - 10 * MILLISECOND <= MILLISECOND


def beside_a_hog(machine, other):
    """How often a thread is up that gives the processor back at once, while another computes for 20 ms."""

    def prepare():
        machine.unit.static(amounts)[1] = 1
        machine.unit.set(dozes, 0)

    machine.prepare = prepare
    machine.run(other, 2)
    machine.prepare = None
    return machine.unit.get(dozes)


def test_one_that_sleeps_for_moments_leaves_the_processor_to_one_that_computes(machine):
    """It would be up a thousand times in 20 ms, and both would mostly be switched between."""
    assert 5 <= beside_a_hog(machine, doze_beside_a_hog) <= 20 * MILLISECOND // LEAST_TIMED + 2


def test_one_that_is_woken_by_another_is_up_sooner_than_one_that_sleeps(machine):
    assert 20 <= beside_a_hog(machine, answer_a_hog) <= 20 * MILLISECOND // LEAST + 2


@settings(max_examples=50, deadline=None)
@given(count=st.integers(2, 8), processors=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_a_signal_ends_an_interruptible_sleep_only(machine, count, processors, seed):
    machine.run(sleep_until_signalled, count, processors, seed)
    got = list(machine.unit.static(results))
    for number in range(1, count, 2):
        assert got[number] == (int(Wake.SIGNAL) if number % 4 == 1 else int(Wake.TIMEOUT))


def test_a_signal_that_ends_a_sleep_is_looked_at_before_user_mode(machine):
    machine.run(sleep_before_the_interrupt_comes, 1)
    ended, work = list(machine.unit.static(results))[:2]
    assert ended == Wake.SIGNAL and work != 0


@pytest.mark.parametrize("seed", range(10))
def test_a_signal_reaches_a_running_thread_at_once(machine, seed):
    machine.run(signal_a_running_thread, 2, 2, seed)
    assert machine.unit.get(signals_taken) == 1
    assert machine.unit.get(woken_at) <= 20_000


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 8), processors=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_the_end_of_a_process_ends_all_its_threads(machine, count, processors, seed):
    machine.run(all_end_at_once, count, processors, seed)
    assert machine.unit.get(ended_with) == 7 << 8


@pytest.mark.parametrize("seed", range(5))
def test_affinity_is_kept(machine, seed):
    machine.run(stay_on_one, 4, 2, seed)
    assert list(machine.unit.static(places))[:4] == [1, 2, 1, 2]
    assert list(machine.unit.static(results))[:4] == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_affinity_moves_threads_that_wait_or_run(machine, seed):
    machine.run(move_another, 4, 2, seed)
    assert list(machine.unit.static(results))[2:5] == [0, 0, 0]
    assert set(list(machine.unit.static(places))[1:4]) <= {2}


@settings(max_examples=20, deadline=None)
@given(count=st.integers(1, 6), processors=st.integers(1, 4), seed=st.integers(0, 2**32))
def test_registers_of_a_thread_are_its_own(machine, count, processors, seed):
    machine.run(keep_registers, count, processors, seed)


def test_yielding_threads_run_in_turn(machine):
    machine.run(yield_in_turn, 2)


def test_the_time_of_a_process_is_that_of_its_threads(machine):
    def prepare():
        for number in range(3):
            machine.unit.static(amounts)[number] = (number + 1) * MILLISECOND

    machine.prepare = prepare
    machine.run(count_time, 3)
    machine.prepare = None
    assert machine.unit.get(total_time) == 6 * MILLISECOND
