"""Sequences of calls on TCP and UDP sockets over loopback: answers, bytes, addresses and events are those of Linux."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.kernel.net.both import INET, INET6, both_networks, name4, name6, needs_network, perform
from tests.kernel.net.calls import CLOEXEC, DATAGRAM, NONBLOCK, OPTION, PEEK, POLLED, STREAM, TRUNC, WAITALL

pytestmark = needs_network


@pytest.fixture(scope="module")
def both():
    with both_networks() as both:
        yield both


ports = st.sampled_from([0, 5000, 5000, 5001])
texts4 = st.sampled_from(["127.0.0.1", "127.0.0.1", "0.0.0.0", "127.0.0.2", "10.1.2.3"])
texts6 = st.sampled_from(["::1", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "2001:db8::1"])
odd = st.sampled_from([b"", b"\2", b"\0\0", bytes(16), b"\2\0\x13\x88\x7f", name6("::1", 5000)[:24], b"\1\0/a"])
addresses = st.one_of(st.builds(name4, texts4, ports), st.builds(name6, texts6, ports), odd)
peers = st.one_of(st.builds(name4, texts4, ports), st.builds(name6, texts6, ports), odd.filter(len))
descriptors = st.one_of(st.integers(3, 8), st.integers(3, 12), st.just(-1))
sizes = st.one_of(st.integers(0, 20), st.sampled_from([100, 1200]))
flags = st.sampled_from([0, 0, 0, PEEK, TRUNC, PEEK | TRUNC, WAITALL])
rooms = st.sampled_from([0, 0, 16, 24, 32, 64])
SOL_SOCKET, TCP, IP, IPV6 = 1, 6, 0, 41
KNOWN = [
    (SOL_SOCKET, 2), (SOL_SOCKET, 3), (SOL_SOCKET, 4), (SOL_SOCKET, 6), (SOL_SOCKET, 9), (SOL_SOCKET, 13),
    (SOL_SOCKET, 15), (SOL_SOCKET, 18), (SOL_SOCKET, 30), (SOL_SOCKET, 38), (SOL_SOCKET, 39), (TCP, 3), (TCP, 4),
    (TCP, 5), (TCP, 6), (TCP, 18), (IP, 1), (IP, 2), (IP, 8), (IP, 10), (IP, 12), (IP, 13), (IP, 34),
    (IPV6, 16), (IPV6, 19), (IPV6, 26), (IPV6, 49), (IPV6, 51), (IPV6, 66), (IPV6, 67),
]  # fmt: skip
READ_ONLY = {(SOL_SOCKET, 3), (SOL_SOCKET, 4), (SOL_SOCKET, 30), (SOL_SOCKET, 38), (SOL_SOCKET, 39)}
options = st.sampled_from(KNOWN)
settable = st.sampled_from(KNOWN)

steps = st.one_of(
    st.tuples(st.just("socket"), st.sampled_from([INET, INET6]), st.sampled_from([STREAM, STREAM, DATAGRAM, 5])),
    st.tuples(st.just("socket"), st.sampled_from([INET, INET6]), st.sampled_from([STREAM, DATAGRAM])),
    st.tuples(st.just("bind"), descriptors, addresses),
    st.tuples(st.just("listen"), descriptors, st.integers(0, 5)),
    st.tuples(st.just("connect"), descriptors, peers),
    st.tuples(st.just("connect"), descriptors, peers),
    st.tuples(st.just("accept4"), descriptors, st.sampled_from([NONBLOCK, NONBLOCK | CLOEXEC, NONBLOCK | 1])),
    st.tuples(st.sampled_from(["getsockname", "getpeername"]), descriptors, st.sampled_from([0, 2, 5, 16, 128, -1])),
    st.tuples(st.just("sendto"), descriptors, sizes, st.one_of(st.none(), st.none(), addresses)),
    st.tuples(st.just("recvfrom"), descriptors, sizes, flags, st.one_of(st.none(), st.sampled_from([0, 8, 128]))),
    st.tuples(st.sampled_from(["write", "read"]), descriptors, sizes),
    st.tuples(st.just("sendmsg"), descriptors, sizes, st.one_of(st.none(), addresses)),
    st.tuples(st.just("recvmsg"), descriptors, sizes, flags, st.sampled_from([-1, 0, 8, 128]), rooms),
    st.tuples(st.just("shutdown"), descriptors, st.integers(-1, 3)),
    st.tuples(st.just("close"), st.integers(3, 12)),
    st.tuples(st.just("poll"), st.just(POLLED), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("getsockopt"), descriptors, options, st.sampled_from([0, 4, 8, -1])),
    st.tuples(st.just("setsockopt"), descriptors, settable, st.sampled_from([0, 4, 8]),
              st.sampled_from([0, 1, 1, 2, 64, 255, 300, -1])),
    st.tuples(st.just("ioctl"), descriptors, st.just(0x541B), st.just(OPTION)),
)  # fmt: skip


def joined(family, own, target):
    """A listener 3, and a connection to it with the ends 4 and 5."""
    other = INET6 if len(target) == 28 else INET
    return [("socket", family, STREAM), ("bind", 3, own), ("listen", 3, 3), ("socket", other, STREAM),
            ("connect", 4, target), ("accept4", 3, NONBLOCK)]  # fmt: skip


LOCAL4, LOCAL6 = name4("127.0.0.1", 5000), name6("::1", 5000)
beginnings = st.sampled_from([
    [],
    joined(INET, LOCAL4, LOCAL4),
    joined(INET6, name6("::", 5000), LOCAL6),
    joined(INET6, name6("::", 5000), LOCAL4),
    [("socket", INET, DATAGRAM), ("bind", 3, LOCAL4), ("socket", INET, DATAGRAM), ("connect", 4, LOCAL4)],
    [("socket", INET6, DATAGRAM), ("bind", 3, name6("::", 5000)), ("socket", INET, DATAGRAM), ("connect", 4, LOCAL4),
     ("bind", 4, name4("127.0.0.1", 5001)), ("socket", INET6, DATAGRAM), ("bind", 5, name6("::1", 5001))],
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(begun=beginnings, steps=st.lists(steps, min_size=1, max_size=40))
@example(
    [("socket", INET, DATAGRAM), ("bind", 3, LOCAL4)],
    [("connect", 3, name4("127.0.0.1", 0)), ("sendto", 3, 9, LOCAL4), ("poll", POLLED, 1, 0), ("sendto", 3, 9, None)],
)
@example(
    [("socket", INET6, DATAGRAM), ("bind", 3, name6("::", 5000))],
    [("connect", 3, name4("127.0.0.1", 0)), ("sendto", 3, 9, None), ("connect", 3, name6("::ffff:127.0.0.1", 0)),
     ("sendto", 3, 9, None)],
)
@example(
    [("socket", INET6, DATAGRAM), ("bind", 3, name6("::", 5000))],
    [("connect", 3, name6("::1", 0)), ("sendto", 3, 9, None)],
)
@example(
    [("socket", INET6, DATAGRAM), ("connect", 3, name4("127.0.0.1", 0))],
    [("sendto", 3, 0, name6("::1", 0)), ("sendto", 3, 0, name6("::1", 9))],
)
def test_any_sequence_of_calls_is_answered_as_by_linux(both, begun, steps):
    both.reset()
    both.put(0, bytes(0x1000))
    both.put(0x4000, bytes(index * 7 % 251 for index in range(0x2000)))
    both.put(0xD00, b"".join(struct.pack("iHH", number, 0x3FFF, 0) for number in (3, 4, 5, 6, 7, 8, 20, -1)))
    for step in begun + steps:
        perform(both, step)
