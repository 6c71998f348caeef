"""Sequences of calls on descriptors, pipes, counters and pollers: the same answers and bytes as from Linux."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import SYSCALL_NUMBERS
from tests.kernel.syscall.linux import REGION, Both, needs_linux

pytestmark = needs_linux

FCNTL, F_GETPIPE_SZ = SYSCALL_NUMBERS["fcntl"], 1032
NONBLOCK, CLOEXEC, DIRECT = 0o4000, 0o2000000, 0o40000
SOURCE, TARGET, VECTOR, OTHER = REGION + 0x4000, REGION, REGION + 0x800, REGION + 0xC00
PATTERN = bytes(index * 7 % 251 for index in range(0x8000))

descriptors = st.one_of(st.just(-1), st.integers(3, 9))
flags = st.sampled_from([0, NONBLOCK, CLOEXEC, NONBLOCK | CLOEXEC])


EVENTS = [1, 4, 5, 0x2001, 1 << 31 | 1, 1 << 30 | 5, 1 << 31 | 1 << 30 | 1, 1 << 28 | 1, 0, 1 << 28 | 0x2000]

sizes = st.one_of(st.integers(0, 20), st.sampled_from([4095, 4096, 4097, 8192, 30000]))
operations = st.one_of(
    st.tuples(st.just("pipe2"), st.just(OTHER), st.sampled_from([NONBLOCK, NONBLOCK | CLOEXEC, NONBLOCK | DIRECT])),
    st.tuples(st.just("eventfd2"), st.sampled_from([0, 1, 3]), st.sampled_from([NONBLOCK, NONBLOCK | 1])),
    st.tuples(st.just("epoll_create1"), st.sampled_from([0, CLOEXEC])),
    st.tuples(st.just("dup"), descriptors),
    st.tuples(st.just("dup2"), descriptors, st.integers(-1, 70)),
    st.tuples(st.just("dup3"), descriptors, st.integers(-1, 70), st.sampled_from([0, CLOEXEC, 1])),
    st.tuples(st.just("close"), st.integers(3, 70)),
    st.tuples(st.just("close_range"), st.integers(3, 70), st.integers(3, 90), st.sampled_from([0, 4])),
    st.tuples(st.just("fcntl"), descriptors, st.sampled_from([0, 1030]), st.integers(-1, 70)),
    st.tuples(st.just("fcntl"), descriptors, st.sampled_from([1, 3, 99]), st.just(0)),
    st.tuples(st.just("fcntl"), st.integers(3, 9), st.just(1032), st.just(0)),
    st.tuples(st.just("fcntl"), descriptors, st.just(2), st.integers(0, 3)),
    st.tuples(st.just("fcntl"), st.integers(3, 9), st.just(4), st.sampled_from([NONBLOCK, NONBLOCK | DIRECT])),
    st.tuples(st.just("fcntl"), st.integers(3, 9), st.just(1031), st.sampled_from([0, 1, 4096, 8192, 65537, 1 << 31])),
    st.tuples(st.just("write"), st.integers(3, 9), st.just(SOURCE), sizes),
    st.tuples(st.just("write"), st.integers(3, 9), st.sampled_from([0, 1 << 47, REGION + 0xFFF0]), st.just(8)),
    st.tuples(st.just("read"), st.integers(3, 9), st.just(TARGET), st.sampled_from([0, 1, 7, 8, 100, 2000])),
    st.tuples(st.just("read"), st.integers(3, 9), st.sampled_from([0, (1 << 64) - 8]), st.just(8)),
    st.tuples(st.sampled_from(["readv", "writev"]), st.integers(3, 9), st.just(VECTOR + 0x100), st.integers(-1, 5)),
    st.tuples(st.sampled_from(["pread64", "pwrite64"]), st.integers(3, 9), st.just(TARGET), st.just(8),
              st.integers(-1, 1)),
    st.tuples(st.sampled_from(["preadv2", "pwritev2"]), st.integers(3, 9), st.just(VECTOR + 0x100), st.just(2),
              st.integers(-2, 0), st.just(0), st.sampled_from([0, 0x1000])),
    st.tuples(st.just("ioctl"), st.integers(3, 9), st.sampled_from([0x541B, 0x5450, 0x5451, 0x5401]), st.just(TARGET)),
    st.tuples(st.just("lseek"), descriptors, st.integers(-2, 2), st.integers(0, 5)),
    st.tuples(st.just("epoll_ctl"), descriptors, st.integers(0, 4), descriptors, st.sampled_from(EVENTS)),
    st.tuples(st.just("epoll_wait"), descriptors, st.just(TARGET), st.integers(-1, 5), st.just(0)),
    st.tuples(st.just("poll"), st.just(VECTOR), st.integers(0, 6), st.just(0)),
    st.tuples(st.just("select"), st.integers(-1, 70), *[st.one_of(st.none(), st.integers(0, 1 << 13))] * 3),
)
@pytest.fixture(scope="module")
def both():
    both = Both()
    yield both
    both.close()


def perform(both, step):
    """One call, with what it points to put into memory."""
    name, *arguments = step
    if name == "epoll_ctl":
        arguments[3] = both.put(0xC40, struct.pack("<IQ", arguments[3], arguments[2] & 0xFF))
    if name == "select":
        for number, bits in enumerate(arguments[1:], 1):
            arguments[number] = 0 if bits is None else both.put(0xC80 + 16 * number, struct.pack("QQ", bits, 0))
        arguments.append(both.put(0xD00, bytes(16)))
    if name == "write" and arguments[2] > 8 and both.linux.number(FCNTL, arguments[0], F_GETPIPE_SZ) < 0:
        arguments[2] = 8  # what longer writes to a counter do has changed between releases of Linux
    both.call(name, *arguments)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(operations, min_size=1, max_size=40))
def test_any_sequence_of_calls_is_answered_as_by_linux(both, steps):
    both.put(0, bytes(0x1000))
    both.call("close_range", 3, 90, 0)
    both.put(0x4000, PATTERN)
    both.put(0x800, b"".join(struct.pack("iHH", number, 0x2FFF, 0) for number in (3, 4, 5, 6, 20, -1)))
    vectors = [(SOURCE, 5), (SOURCE + 3, 0), (SOURCE + 100, 4100), (TARGET, 3), (1 << 47, 1)]
    both.put(0x900, b"".join(struct.pack("QQ", *each) for each in vectors))
    for step in steps:
        perform(both, step)
