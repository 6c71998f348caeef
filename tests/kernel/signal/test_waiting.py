"""Threads that wait for signals, and threads that compute until one comes, on one and several processors."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import Frame
from goanna.kernel.arch.host.processors import simulated_time
from goanna.kernel.base.errno import EINTR
from goanna.kernel.memory import user
from goanna.kernel.signal.info import Information
from goanna.kernel.signal.numbers import SI_TKILL, SIGUSR1, SIGUSR2, bits
from goanna.kernel.signal.send import send_to_process, send_to_thread
from goanna.kernel.signal.wait import sys_rt_sigsuspend, wait_for
from goanna.kernel.thread.current import current
from goanna.kernel.thread.thread import Thread
from goanna.kernel.thread.wait import Wake
from goanna.metal import Array, Atomic, Ptr, i32, i64, metal, static, u32, u64
from tests.kernel.signal.program import (
    begin,
    block,
    compute,
    finish_call,
    handled,
    handled_by,
    install,
    simulation,
    stack_of,
)

FIRST_REAL_TIME = 34

rounds = static(u64)
waiter = static(Ptr[Thread])
results = static(Array[i64, 4])
ready = static(Atomic[u64])
taken = static(u64)
wrong = static(u64)


@metal
def tell(number: u32, value: u64, to_process: bool) -> i64:
    """Send a signal to the waiting thread or its process."""
    information = Information(number=i32(number), code=SI_TKILL)
    information.details.sender.value = value
    if to_process:
        return send_to_process(waiter.process, information)
    return send_to_thread(waiter, information)


@metal
def suspend_and_tell(number: u64) -> None:
    """Thread 0 waits `rounds` times by sigsuspend for a signal that thread 1 sends when the last one was handled."""
    global waiter
    frame = Frame()
    begin(number, frame)
    block(bits(SIGUSR1))
    if number == 0:
        install(SIGUSR1, 0, 0)
        user.put(stack_of(0), u64(0))
        waiter = current()
        ready.store(1)
        for round in range(rounds):
            while finish_call(number, frame, sys_rt_sigsuspend(stack_of(0), 8)):
                pass
            results[0] = frame.result()
            assert handled.load() == round + 1, "a signal was lost or came twice"
            assert current().signals.blocked == bits(SIGUSR1), "the mask did not come back"
        return
    while ready.load() == 0:
        compute(number, frame, 100)
    for round in range(rounds):
        tell(SIGUSR1, 0, round % 2 == 0)
        while handled.load() == round:
            compute(number, frame, 100)


@metal
def compute_until_told(number: u64) -> None:
    """Thread 0 computes without calls; thread 1 interrupts it by signals."""
    global waiter
    frame = Frame()
    begin(number, frame)
    if number == 0:
        install(SIGUSR1, 0, 0)
        waiter = current()
        ready.store(1)
        while handled_by[0] < rounds:
            compute(number, frame, 1000)
        return
    while ready.load() == 0:
        compute(number, frame, 100)
    for round in range(rounds):
        tell(SIGUSR1, 0, False)
        while handled_by[0] == round:
            compute(number, frame, 100)


@metal
def take_in_order(number: u64) -> None:
    """Thread 0 takes real-time signals by sigtimedwait; the others queue numbered ones to its process."""
    global waiter, taken, wrong
    frame = Frame()
    begin(number, frame)
    block(bits(FIRST_REAL_TIME, SIGUSR2))
    ready.add(1)
    if number == 0:
        waiter = current()
        last = Array[u64, 4]()
        information = Information()
        while taken < 3 * rounds:
            signal, _ = wait_for(current(), bits(FIRST_REAL_TIME), 2**64 - 1, information)
            if signal == FIRST_REAL_TIME:
                value = information.details.sender.value
                if value % 1000 != last[value // 1000]:
                    wrong += 1
                last[value // 1000] += 1
                taken += 1
        return
    while ready.load() < 4 or waiter is None:
        compute(number, frame, 100)
    for round in range(rounds):
        tell(FIRST_REAL_TIME, number * 1000 + round, True)
        compute(number, frame, 50)


@metal
def time_out(number: u64) -> None:
    """A wait ends at its deadline, by a signal that it does not wait for, or by one that it does."""
    frame = Frame()
    begin(number, frame)
    global waiter
    information = Information()
    if number == 0:
        waiter = current()
        install(SIGUSR1, 0, 0)
        block(bits(SIGUSR2))
        signal, wake = wait_for(current(), bits(SIGUSR2), simulated_time + 5000, information)
        assert signal == 0 and wake == Wake.TIMEOUT, "the wait did not end by its deadline"
        results[0] = i64(simulated_time)
        ready.store(1)
        signal, wake = wait_for(current(), bits(SIGUSR2), simulated_time + 1000000, information)
        assert signal == 0 and wake == Wake.SIGNAL, "the wait did not end by the other signal"
        assert not finish_call(number, frame, -EINTR), "EINTR is not to be restarted"
        ready.store(2)
        signal, wake = wait_for(current(), bits(SIGUSR2), simulated_time + 1000000, information)
        assert signal == SIGUSR2, "the wait did not end by its signal"
        results[1] = i64(simulated_time)
        return
    while ready.load() == 0:
        compute(number, frame, 1000)
    tell(SIGUSR1, 0, False)
    while ready.load() == 1:
        compute(number, frame, 1000)
    tell(SIGUSR2, 0, True)


@pytest.fixture(scope="module")
def machine():
    statics = (rounds, results, ready, taken, wrong, simulated_time)
    return simulation(suspend_and_tell, compute_until_told, take_in_order, time_out, *statics)


seeds = st.integers(0, 2**32)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4), count=st.integers(1, 10))
def test_sigsuspend_misses_no_signal_and_answers_eintr(machine, seed, processors, count):
    machine.first = {rounds: count}
    machine.run(suspend_and_tell, 2, processors, seed)
    assert machine.unit.get(results)[0] == -EINTR
    assert machine.unit.get(handled_by)[0] == count


@settings(max_examples=60, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4), count=st.integers(1, 10))
def test_a_computing_thread_takes_its_signal_at_once(machine, seed, processors, count):
    machine.first = {rounds: count}
    machine.run(compute_until_told, 2, processors, seed)
    assert machine.unit.get(handled_by)[0] == count


@settings(max_examples=60, deadline=None)
@given(seed=seeds, processors=st.integers(1, 4), count=st.integers(1, 10))
def test_real_time_signals_are_all_taken_each_senders_in_order(machine, seed, processors, count):
    machine.first = {rounds: count}
    machine.run(take_in_order, 4, processors, seed)
    assert machine.unit.get(taken) == 3 * count and machine.unit.get(wrong) == 0


@settings(max_examples=30, deadline=None)
@given(seed=seeds, processors=st.integers(1, 3))
def test_sigtimedwait_ends_by_time_or_signal(machine, seed, processors):
    machine.first = {}
    machine.run(time_out, 2, processors, seed)
    assert machine.unit.get(handled_by)[0] == 1
