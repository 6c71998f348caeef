"""Signals of a process with several threads: no signal waits unnoticed, queues have their limit, setup and end."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import EAGAIN
from goanna.kernel.signal.state import queued_count
from tests.kernel.signal.bench import Bench, become, teardown, unnoticed, unsettled
from tests.kernel.signal.oracle import HANDLER, MEMORY, RESTORER

THREADS = 3
FIRST = 1000
numbers = st.sampled_from([1, 10, 11, 15, 17, 18, 23, 34, 40, 64])
operations = st.one_of(
    st.tuples(st.just("become"), st.integers(0, THREADS - 1)),
    st.tuples(st.just("mask"), st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 2**64 - 1]))),
    st.tuples(st.just("kill"), numbers),
    st.tuples(st.just("tkill"), st.integers(0, THREADS - 1), numbers),
    st.tuples(st.just("settle")),
    st.tuples(st.just("ignore"), numbers),
    st.tuples(st.just("handle"), numbers),
)


@pytest.fixture(scope="module")
def bench():
    return Bench()


def act(bench, number, handler):
    bench.write(MEMORY, struct.pack("<4Q", handler, 4, RESTORER, 0))
    assert bench.call("rt_sigaction", number, MEMORY, 0, 8) == 0


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(operations, max_size=40))
def test_whoever_can_take_a_pending_signal_was_told(bench, steps):
    bench.start(FIRST, THREADS)
    for number in (1, 10, 11, 15, 17, 18, 23, 34, 40, 64):
        act(bench, number, HANDLER)
    for step in steps:
        match step:
            case ("become", index):
                bench.unit.call(become, index)
            case ("mask", mask):
                bench.write(MEMORY, struct.pack("<Q", mask))
                bench.call("rt_sigprocmask", 2, MEMORY, 0, 8)
            case ("kill", number):
                assert bench.call("kill", FIRST, number) == 0
            case ("tkill", index, number):
                assert bench.call("tkill", FIRST + index, number) == 0
            case ("settle",):
                bench.settle()
                assert bench.unit.call(unsettled) == 0
            case ("ignore", number):
                act(bench, number, 1)
            case ("handle", number):
                act(bench, number, HANDLER)
        assert bench.unit.call(unnoticed) == 0


def test_a_full_queue_refuses_real_time_signals_and_keeps_standard_ones(bench):
    bench.start(FIRST)
    bench.write(MEMORY, b"\xff" * 8)
    bench.call("rt_sigprocmask", 0, MEMORY, 0, 8)
    bench.limit_pending(3)
    bench.write(MEMORY, struct.pack("<iii", 0, 0, -1) + bytes(116))
    assert [bench.call("rt_sigqueueinfo", FIRST, 40, MEMORY) for _ in range(5)] == [0, 0, 0, -EAGAIN, -EAGAIN]
    assert bench.call("kill", FIRST, 41) == 0  # without its siginfo
    assert bench.call("kill", FIRST, 10) == 0
    assert bench.call("timer_create", 1, 0, MEMORY) == -EAGAIN
    bench.call("rt_sigpending", MEMORY, 8)
    assert struct.unpack("<Q", bench.read(MEMORY, 8))[0] == 1 << 39 | 1 << 40 | 1 << 9


def test_the_end_of_a_process_gives_all_queue_entries_back(bench):
    bench.start(FIRST, THREADS)
    bench.write(MEMORY, b"\xff" * 8)
    for index in range(THREADS):
        bench.unit.call(become, index)
        bench.call("rt_sigprocmask", 0, MEMORY, 0, 8)
    for number in (34, 34, 40, 10):
        bench.call("kill", FIRST, number)
        bench.call("tkill", FIRST, number)
    for _ in range(3):
        assert bench.call("timer_create", 1, 0, MEMORY) == 0
    assert bench.unit.get(queued_count) == 11
    bench.unit.call(teardown)
    assert bench.unit.get(queued_count) == 0
