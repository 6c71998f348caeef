"""Sequences of signal calls do the same as on the Linux that runs this test: results, handlers in order, memory."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64.numbers import SYSCALL_NUMBERS
from tests.kernel.signal.bench import ALTERNATE, Bench
from tests.kernel.signal.c_program import needs_linux_oracle
from tests.kernel.signal.oracle import HANDLER, MEMORY, RESTORER, SELF, Call, Oracle

SIGSTOP = 19
SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_NODEFER, SA_RESETHAND = 4, 0x04000000, 0x08000000, 0x40000000, 0x80000000
FLAGS = SA_SIGINFO | SA_RESTORER
OTHER_FLAGS = (0, SA_ONSTACK, SA_NODEFER, SA_RESETHAND, SA_NODEFER | SA_RESETHAND, 1, 2, 0x10000000, 1 << 9, 1 << 40)
UNSEEN = MEMORY + 0x800  # where results lie that depend on the time

numbers = st.one_of(
    st.sampled_from([1, 10, 12, 15, 17, 18, 20, 21, 23, 32, 33, 40, 64]),
    st.integers(1, 64).filter(lambda number: number != SIGSTOP),
)
odd_numbers = st.one_of(numbers, st.sampled_from([0, -1, 65, 2**31 - 1, -(2**31), 2**32 + 10]))
masks = st.one_of(
    st.integers(0, 2**64 - 1), st.just(2**64 - 1), st.just(0), st.integers(1, 64).map(lambda number: 1 << (number - 1))
)
pointers = st.one_of(
    st.just(0),
    st.integers(0, 96).map(lambda index: MEMORY + index * 8),
    st.sampled_from(
        [MEMORY + 3, MEMORY + 0xFFFC, MEMORY + 0xFFF8, 0x20000, 0x7FFFFFFFEFFC, 0x7FFFFFFFF000, 1 << 63, -1]
    ),
)
good = st.integers(0, 96).map(lambda index: index * 8)
sizes = st.one_of(st.just(8), st.just(8), st.just(8), st.sampled_from([0, 1, 4, 7, 9, 16, 128, 1 << 32, -1]))
processes = st.one_of(st.just(SELF), st.just(SELF), st.sampled_from([0x7FFFFFFF, 5000000, -(2**31)]))
threads = st.one_of(st.just(SELF), st.just(SELF), st.sampled_from([0, -1, 0x7FFFFFFF, 5000000, -(2**31)]))


@st.composite
def set_action(draw):
    handler = draw(st.sampled_from([HANDLER, HANDLER, HANDLER, 0, 1]))
    flags = FLAGS | draw(st.sampled_from(OTHER_FLAGS))
    place = draw(good)
    data = struct.pack("<4Q", handler, flags, RESTORER, draw(masks))
    new = draw(st.one_of(st.just(MEMORY + place), st.just(MEMORY + place), st.sampled_from([0, 0x20000, -1])))
    return Call("rt_sigaction", [draw(odd_numbers), new, draw(pointers), draw(sizes)], [(place, data)])


@st.composite
def set_mask(draw):
    place = draw(good)
    how = draw(st.sampled_from([0, 1, 2, 2, 3, -1, 1 << 32]))
    new = draw(st.one_of(st.just(MEMORY + place), st.just(MEMORY + place), pointers))
    return Call("rt_sigprocmask", [how, new, draw(pointers), draw(sizes)], [(place, struct.pack("<Q", draw(masks)))])


@st.composite
def send(draw):
    match draw(st.integers(0, 9)):
        case 9:
            return Call("restart_syscall", [])
        case 0 | 3 | 4:
            return Call("kill", [draw(processes), draw(odd_numbers.filter(lambda number: number != SIGSTOP))])
        case 1 | 5 | 6:
            return Call("tkill", [draw(threads), draw(odd_numbers)])
    return Call("tgkill", [draw(threads), draw(threads), draw(odd_numbers)])


@st.composite
def queue(draw):
    place = draw(good)
    code = draw(st.sampled_from([-1, -1, -1, -2, -3, -6, -7, -60, -100, 0, 1, 6, 7, 0x80, 0x81]))
    tail = draw(st.sampled_from([bytes(80), bytes(79) + b"\1"]))
    number = draw(odd_numbers.filter(lambda number: number != SIGSTOP))
    words = draw(st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4))
    data = struct.pack("<iiiI4Q", draw(st.integers(0, 64)), 5, code, 0, *words) + tail
    address = draw(st.one_of(st.just(MEMORY + place), st.just(MEMORY + place), pointers))
    if draw(st.booleans()):
        return Call("rt_sigqueueinfo", [draw(processes), number, address], [(place, data)])
    return Call("rt_tgsigqueueinfo", [draw(threads), draw(threads), number, address], [(place, data)])


@st.composite
def look(draw):
    if draw(st.booleans()):
        return Call("rt_sigpending", [draw(pointers), draw(st.one_of(sizes, st.integers(0, 9)))])
    place = draw(good)
    seconds, nanoseconds = draw(st.sampled_from([(0, 0), (0, 0), (0, 0), (0, -1), (-1, 0), (0, 10**9)]))
    writes = [(place, struct.pack("<Q", draw(masks))), (0x400 - 24, struct.pack("<qq", seconds, nanoseconds))]
    information = draw(pointers)
    timeout = MEMORY + 0x400 - 24
    return Call("rt_sigtimedwait", [MEMORY + place, information, timeout, draw(sizes)], writes)


@st.composite
def set_stack(draw):
    place = draw(good)
    low, high = ALTERNATE
    address, size = draw(st.sampled_from([(low, high - low), (low, high - low), (low, 2047), (low, 2048), (0, 0)]))
    if size == 2048:
        address, size = low, high - low
    flags = draw(st.sampled_from([0, 0, 1, 2, 3, 4, 1 << 31, 1 << 31 | 2, 1 << 31 | 4, 1 << 30]))
    data = struct.pack("<QIIQ", address, flags, 0, size)
    new = draw(st.one_of(st.just(MEMORY + place), st.just(MEMORY + place), st.sampled_from([0, 0x20000, -1])))
    return Call("sigaltstack", [new, draw(pointers)], [(place, data)])


@st.composite
def clocks(draw):
    place = draw(good)
    never = [(0, 0), (10**6, 0), (10**9, 999_999_999), (-1, 0), (0, -1), (0, 10**9), (0, 10**6), (2**62, 0)]
    far = [each for each in never if each not in ((0, 10**6),)]
    value, interval = draw(st.sampled_from(far)), draw(st.sampled_from(never))
    setting = struct.pack("<4q", *interval, *value)
    address = draw(st.one_of(st.just(MEMORY + place), st.just(MEMORY + place), st.sampled_from([0, 0x20000, -1])))
    unseen = draw(st.sampled_from([0, UNSEEN, UNSEEN, 0x20000, -1]))
    id = draw(st.sampled_from([0, 0, 0, 1, 2, 3, 4, -1, 2**31 - 1]))
    match draw(st.integers(0, 7)):
        case 0:
            return Call("setitimer", [draw(st.sampled_from([0, 1, 2, 3, -1])), address, unseen], [(place, setting)])
        case 1:
            return Call("getitimer", [draw(st.sampled_from([0, 1, 2, 3, -1])), unseen])
        case 2:
            return Call("alarm", [draw(st.sampled_from([0, 1000, 100000, 2**32 - 1]))])
        case 3:
            clock = draw(
                st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 15, 16, 100, -2, -3, -6, -5, -7, -(2**31)])
            )
            notify = draw(st.sampled_from([0, 0, 1, 2, 3, 4, 5, 6]))
            thread = draw(st.sampled_from([0, 0x7FFFFFFF]))
            event = struct.pack("<QiiI44x", draw(masks), draw(odd_numbers) % 2**31, notify, thread)
            where = draw(st.one_of(st.just(MEMORY + place), st.just(0), st.sampled_from([0x20000, -1])))
            return Call("timer_create", [clock, where, draw(pointers)], [(place, event)])
        case 4:
            flags = draw(st.sampled_from([0, 0, 2, 3, -1]))
            return Call("timer_settime", [id, flags, address, unseen], [(place, setting)])
        case 5:
            return Call("timer_gettime", [id, unseen])
        case 6:
            return Call("timer_getoverrun", [id])
    return Call("timer_delete", [id])


everything = st.one_of(set_action(), set_action(), set_mask(), send(), send(), queue(), look(), set_stack(), clocks())


@pytest.fixture(scope="module")
def both():
    oracle = Oracle(SYSCALL_NUMBERS)
    yield oracle, Bench()
    oracle.close()


def compare(both, calls):
    oracle, bench = both
    theirs = oracle.run(calls)
    ours = bench.run(calls, theirs.process)
    for index, (call, ours_, theirs_) in enumerate(zip(calls, ours.outcomes, theirs.outcomes, strict=False)):
        assert ours_.result == theirs_.result, (index, call)
        assert ours_.handled == theirs_.handled, (index, call)
        assert ours_.memory == theirs_.memory, (index, call)
    assert len(ours.outcomes) == len(theirs.outcomes), calls[min(len(ours.outcomes), len(theirs.outcomes))]
    assert ours.death == theirs.death


def block_all():
    return Call("rt_sigprocmask", [2, MEMORY, 0, 8], [(0, b"\xff" * 8)])


@needs_linux_oracle
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(calls=st.lists(everything, min_size=1, max_size=25), blocked=st.booleans())
def test_any_sequence_of_calls_does_what_linux_does(both, calls, blocked):
    compare(both, [block_all(), *calls] if blocked else calls)


@needs_linux_oracle
@settings(max_examples=150, deadline=None)
@given(
    handled=st.lists(numbers.filter(lambda number: number != 9), min_size=1, max_size=12, unique=True),
    masks_=st.lists(masks, min_size=12, max_size=12),
    sent=st.lists(st.tuples(st.sampled_from(["kill", "tkill", "queue"]), st.integers(0, 11)), max_size=20),
    flags=st.lists(st.sampled_from(OTHER_FLAGS[:5]), min_size=12, max_size=12),
)
def test_pending_signals_run_their_handlers_in_linux_order(both, handled, masks_, sent, flags):
    calls = [block_all()]
    for number, mask, flag in zip(handled, masks_, flags, strict=False):
        data = struct.pack("<4Q", HANDLER, FLAGS | flag & ~SA_ONSTACK, RESTORER, mask)
        calls.append(Call("rt_sigaction", [number, MEMORY, 0, 8], [(0, data)]))
    for way, index in sent:
        number = handled[index % len(handled)]
        info = struct.pack("<iiiI4Q", 0, 0, -1, 0, 7, len(calls), 0, 0) + bytes(80)
        match way:
            case "kill":
                calls.append(Call("kill", [SELF, number]))
            case "tkill":
                calls.append(Call("tkill", [SELF, number]))
            case "queue":
                calls.append(Call("rt_sigqueueinfo", [SELF, number, MEMORY], [(0, info)]))
    calls.append(Call("rt_sigprocmask", [2, MEMORY, 0, 8], [(0, bytes(8))]))
    compare(both, calls)
