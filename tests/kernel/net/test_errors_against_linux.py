"""Errors of datagrams sent over loopback, pending ones and those on the error queue: as Linux tells them."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.net.both import INET, INET6, both_networks, name4, name6, needs_network, perform
from tests.kernel.net.calls import (
    DATAGRAM,
    HEADER,
    LENGTH,
    NAME,
    NONBLOCK,
    OPTION,
    PEEK,
    POLLED,
    TARGET,
    TRUNC,
    put_message,
)
from tests.kernel.net.host import ip4, ip6, udp_bytes
from tests.kernel.net.test_raw_against_linux import BothRaw, icmp

pytestmark = needs_network
RAW, ICMP, ICMP6 = 3, 1, 58
IP, IPV6, SOL_SOCKET = 0, 41, 1
ERROR_QUEUE = 0x2000


class BothErrors(BothRaw):
    """A raw packet's identification and checksum may be any, and those of a packet that it quotes."""

    masked = ((4, 6), (10, 12), (32, 34), (38, 40))


@pytest.fixture(scope="module")
def both():
    with both_networks(BothErrors) as both:
        yield both


HERE, HERE6 = "127.0.0.1", "::1"
quoted = ip4(HERE, HERE, 17, udp_bytes(HERE, HERE, 5000, 5009, b"lost"))
quoted6 = ip6(HERE6, HERE6, 17, udp_bytes(HERE6, HERE6, 5001, 5009, b"lost"))
quoted_raw = ip4(HERE, HERE, 99, b"it was raw")
quoted_ping = ip4(HERE, HERE, 1, icmp(8, 0, 0x138A0001, b"echo"))
messages = st.sampled_from([
    b"", b"a", b"how do you do", bytes(range(100)), bytes(1200),
    *(icmp(kind, code, rest, data) for data in (quoted, quoted_raw, quoted_ping)
      for kind, code, rest in ((3, 3, 0), (3, 1, 0), (3, 4, 1200), (11, 0, 0), (12, 0, 0), (3, 13, 0))),
    *(icmp(kind, code, rest, quoted6)
      for kind, code, rest in ((1, 4, 0), (1, 0, 0), (2, 0, 1400), (3, 0, 0), (4, 1, 6))),
])  # fmt: skip
addresses = st.sampled_from([
    name4(HERE, 5009), name4(HERE, 5000), name4(HERE, 0), name6(HERE6, 5009), name6(HERE6, 5001), name6(HERE6, 0),
    name6("::ffff:127.0.0.1", 5009),
])  # fmt: skip
descriptors = st.integers(3, 7)
OPTIONS = [(IP, 11), (IP, 11), (IPV6, 25), (IPV6, 25), (IP, 12), (IP, 13), (IP, 8), (IPV6, 51), (IPV6, 49), (IP, 10)]
controls = st.sampled_from([
    b"", struct.pack("QiiI4x", 20, IP, 2, 7), struct.pack("QiiI4x", 20, IP, 1, 8), struct.pack("QiiI4x", 20, IP, 2, 0),
    struct.pack("Qiii4x", 20, IPV6, 52, 9), struct.pack("Qiii4x", 20, IPV6, 67, 4),
    struct.pack("Qiii4x", 20, IPV6, 52, -2), struct.pack("QiiB7x", 17, IP, 1, 8), struct.pack("QiiB7x", 17, IP, 2, 8),
])  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("set"), descriptors, st.sampled_from(OPTIONS), st.sampled_from([0, 1, 1, 1])),
    st.tuples(st.just("send"), descriptors, messages, st.one_of(st.none(), addresses), st.just(b"")),
    st.tuples(st.just("send"), descriptors, messages, addresses, controls),
    st.tuples(st.just("connect"), descriptors, st.one_of(addresses, st.just(bytes(16)))),
    st.tuples(st.just("errors"), descriptors, st.sampled_from([0, 3, 1500]), st.sampled_from([0, 16, 28, 128]),
              st.sampled_from([0, 16, 40, 100, 200]), st.sampled_from([0, 0, PEEK, TRUNC])),
    st.tuples(st.just("errors"), descriptors, st.just(1500), st.just(128), st.just(200), st.just(0)),
    st.tuples(st.just("receive"), descriptors, st.sampled_from([10, 1500])),
    st.tuples(st.just("getsockopt"), descriptors, st.sampled_from([(SOL_SOCKET, 4), (IP, 11), (IPV6, 25)]), st.just(4)),
    st.tuples(st.just("poll"), st.just(POLLED), st.integers(1, 5), st.just(0)),
)  # fmt: skip


def act(both, step):
    """One call, with what it points to put into memory."""
    name, *rest = step
    match name:
        case "new":
            both.call("socket", rest[0], rest[1] | NONBLOCK, rest[2])
        case "send":
            data, address, control = rest[1], rest[2] or b"", rest[3]
            both.put(0x4000, data)
            both.put(0x800, address)
            put_message(both, len(data), NAME if address else 0, len(address), len(control))
            both.put(0xC00, control)
            both.call("sendmsg", rest[0], HEADER, 0x4000)
        case "errors":
            put_message(both, rest[1], NAME if rest[2] else 0, rest[2], rest[3])
            both.put(0xF00, struct.pack("4Q", TARGET, rest[1] // 3, TARGET + 0x300, rest[1] - rest[1] // 3))
            both.put(0xC00, bytes(256))
            both.call("recvmsg", rest[0], HEADER, rest[4] | ERROR_QUEUE)
        case "receive":
            both.put(0x900, struct.pack("i", 128))
            both.call("recvfrom", rest[0], TARGET, rest[1], 0, NAME, LENGTH)
        case "set":
            both.put(0xA00, struct.pack("i", rest[2]))
            both.call("setsockopt", rest[0], *rest[1], OPTION, 4)
        case _:
            perform(both, step)


BEGUN = [
    ("new", INET, DATAGRAM, 0), ("bind", 3, name4(HERE, 5000)), ("new", INET6, DATAGRAM, 0),
    ("bind", 4, name6("::", 5001)), ("new", INET, RAW, ICMP), ("new", INET, DATAGRAM, ICMP),
    ("bind", 6, name4(HERE, 5002)), ("new", INET6, RAW, ICMP6),
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=40))
def test_any_sequence_of_calls_is_answered_as_by_linux(both, steps):
    both.reset()
    both.put(0, bytes(0x1000))
    both.put(0xD00, b"".join(struct.pack("iHH", number, 0x3FFF, 0) for number in (3, 4, 5, 6, 7)))
    for step in BEGUN + steps:
        act(both, step)
