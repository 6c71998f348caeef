"""Sequences of calls on raw and ping sockets over loopback: answers, bytes and events are those of Linux."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.net.both import INET, INET6, BothNetworks, both_networks, exchange, name4, name6, needs_network
from tests.kernel.net.calls import DATAGRAM, NONBLOCK, OPTION, PEEK, POLLED, TRUNC
from tests.kernel.net.host import ip4, ip6, ones, udp_bytes

pytestmark = needs_network
RAW = 3
ICMP, UDP, ICMP6, ANY = 1, 17, 58, 255
IP, SOL_RAW, IPV6 = 0, 255, 41


class BothRaw(BothNetworks):
    """An IPv4 packet's identification and checksum, or an echo request's identifier and port, may be any."""

    masked = ((4, 6), (10, 12), (2, 4), (0x802, 0x804))

    def reset(self):
        super().reset()
        self.set_linux("ipv4/ping_group_range", "0 2147483647")
        self.set_linux("ipv6/auto_flowlabels", "0")


@pytest.fixture(scope="module")
def both():
    with both_networks(BothRaw) as both:
        yield both


def icmp(kind, code, rest, data=b""):
    made = struct.pack(">BBHI", kind, code, 0, rest) + data
    return made[:2] + struct.pack(">H", ones(made)) + made[4:]


HERE, HERE6 = "127.0.0.1", "::1"
quoted = ip4(HERE, HERE, 17, udp_bytes(HERE, HERE, 5000, 5001, b"lost"))
quoted_raw = ip4(HERE, HERE, 99, b"it was raw")
quoted6 = ip6(HERE6, HERE6, 17, udp_bytes(HERE6, HERE6, 5000, 5001, b"lost"))
messages = st.sampled_from([
    b"", b"\x08", b"short", bytes(range(40)), bytes(1200),
    icmp(8, 0, 0x12340001, b"how do you do"), icmp(0, 0, 0x13880001, b"fine"), icmp(0, 0, 0x13890002),
    icmp(8, 0, 0x13880001)[:-1] + b"!", icmp(3, 3, 0, quoted), icmp(3, 1, 0, quoted), icmp(3, 3, 0, quoted_raw),
    icmp(13, 0, 0, bytes(12)), icmp(42, 0, 0), b"\x08\x01" + bytes(20), b"\x08\0" + bytes(7),
    icmp(128, 0, 0x12340001, b"six"), icmp(129, 0, 0x13880007, b"six too"), icmp(1, 4, 0, quoted6), icmp(128, 0, 5),
    ip4(HERE, HERE, 99, b"whole"), ip4("0.0.0.0", HERE, 17, udp_bytes(HERE, HERE, 5001, 5000, b"made by hand")),
    ip4(HERE, HERE, 1, icmp(8, 0, 7)), ip4(HERE, HERE, 99, b"", options=b"\1\1\1\0"), ip4(HERE, HERE, 99, b"x")[:12],
    ip6(HERE6, HERE6, 99, b"whole"), ip6(HERE6, HERE6, 58, b"\x80\0\0\0"), b"\x47" + bytes(22), b"\x44" + bytes(30),
    udp_bytes(HERE, HERE, 5001, 5000, b"raw UDP"), udp_bytes(HERE6, HERE6, 5001, 5000, b"raw UDP"),
])  # fmt: skip
ports = st.sampled_from([0, 0, 5000, 5001, 58, 99])
texts4 = st.sampled_from(["127.0.0.1", "127.0.0.1", "0.0.0.0", "127.0.0.2", "10.1.2.3", "224.0.0.1"])
texts6 = st.sampled_from(["::1", "::1", "::", "2001:db8::1", "::ffff:127.0.0.1", "fe80::1"])
odd = st.sampled_from([b"", b"\2", b"\0\0", bytes(16), bytes(28), b"\2\0\x13\x88\x7f", name6("::1", 0)[:24]])
addresses = st.one_of(st.builds(name4, texts4, ports), st.builds(name6, texts6, ports), odd)
descriptors = st.integers(3, 7)
OPTIONS = [
    (IP, 3), (IP, 2), (IP, 8), (IP, 12), (SOL_RAW, 1), (SOL_RAW, 7), (SOL_RAW, 36), (ICMP6, 1), (IPV6, 7), (IPV6, 36),
    (IPV6, 26), (IPV6, 49), (1, 3), (1, 4), (1, 38), (1, 39), (1, 6), (1, 8),
]  # fmt: skip
values = st.one_of(
    st.integers(-1, 4).map(lambda value: struct.pack("i", value)),
    st.integers(0, 2**32 - 1).map(lambda value: struct.pack("I", value)),
    st.binary(min_size=32, max_size=32),
    st.sampled_from([b"", b"\1", b"\0", b"\1\1", bytes(32), b"\xff" * 32]),
)
made = st.one_of(
    st.tuples(st.just(INET), st.just(RAW), st.sampled_from([ICMP, ICMP, UDP, 99, ANY])),
    st.tuples(st.just(INET6), st.just(RAW), st.sampled_from([ICMP6, ICMP6, UDP, 99, ANY])),
    st.sampled_from([(INET, DATAGRAM, ICMP), (INET6, DATAGRAM, ICMP6), (INET, DATAGRAM, 0), (INET6, DATAGRAM, 0)]),
    st.tuples(st.sampled_from([INET, INET6]), st.sampled_from([DATAGRAM, RAW, 1]), st.sampled_from([0, 1, 2, 6, 58])),
)
steps = st.one_of(
    st.tuples(st.just("new"), made),
    st.tuples(st.just("bind"), descriptors, addresses),
    st.tuples(st.just("connect"), descriptors, addresses.filter(len)),
    st.tuples(st.just("send"), descriptors, messages, st.one_of(st.none(), addresses)),
    st.tuples(st.just("send"), descriptors, messages, addresses),
    st.tuples(st.just("receive"), descriptors, st.sampled_from([0, 10, 1500]), st.sampled_from([0, PEEK, TRUNC])),
    st.tuples(st.sampled_from(["getsockname", "getpeername"]), descriptors, st.sampled_from([0, 5, 16, 128])),
    st.tuples(st.just("shutdown"), descriptors, st.integers(0, 2)),
    st.tuples(st.just("close"), descriptors),
    st.tuples(st.just("listen"), descriptors, st.just(1)),
    st.tuples(st.just("poll"), st.just(POLLED), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("getsockopt"), descriptors, st.sampled_from(OPTIONS), st.sampled_from([0, 2, 4, 8, 32, 40])),
    st.tuples(st.just("set"), descriptors, st.sampled_from(OPTIONS).filter(lambda each: each[0] != 1 or each[1] > 4),
              values),
    st.tuples(st.just("ioctl"), descriptors, st.just(0x541B), st.just(OPTION)),
)  # fmt: skip
beginnings = st.sampled_from([
    [],
    [("new", (INET, RAW, ICMP)), ("new", (INET, DATAGRAM, ICMP)), ("bind", 4, name4(HERE, 5000))],
    [("new", (INET6, RAW, ICMP6)), ("new", (INET6, DATAGRAM, ICMP6)), ("bind", 4, name6(HERE6, 5000))],
    [("new", (INET, RAW, 99)), ("new", (INET, RAW, ANY)), ("new", (INET, RAW, ICMP))],
    [("new", (INET, RAW, ICMP)), ("new", (INET, DATAGRAM, 0)), ("bind", 4, name4(HERE, 5000)),
     ("connect", 4, name4(HERE, 5001))],
    [("new", (INET6, RAW, 99)), ("set", 3, (IPV6, 7), struct.pack("i", 2)), ("new", (INET6, RAW, ANY))],
    [("new", (INET, RAW, UDP)), ("new", (INET, DATAGRAM, 0)), ("bind", 4, name4(HERE, 5000))],
])  # fmt: skip


def act(both, step):
    """One call, with what it points to put into memory."""
    name, *rest = step
    match name:
        case "new":
            both.call("socket", rest[0][0], rest[0][1] | NONBLOCK, rest[0][2])
        case "set":
            both.put(0xA00, rest[2])
            both.call("setsockopt", rest[0], *rest[1], OPTION, len(rest[2]))
        case _:
            exchange(both, step)


@settings(max_examples=300, deadline=None)
@given(begun=beginnings, steps=st.lists(steps, min_size=1, max_size=40))
def test_any_sequence_of_calls_is_answered_as_by_linux(both, begun, steps):
    both.reset()
    both.put(0, bytes(0x1000))
    both.put(0xD00, b"".join(struct.pack("iHH", number, 0x3FFF, 0) for number in (3, 4, 5, 6, 7)))
    for step in begun + steps:
        act(both, step)


def test_raw_sockets_are_for_who_may(both):
    both.reset()
    both.put(0, struct.pack("Ii", 0x20080522, 0).ljust(0x1000, b"\0"))
    assert both.answers("capget", 0x100000000000, 0x100000000010) == (0, 0)
    keep = bytes(both.linux.memory[0x10:0x28])  # a container's root may have fewer than the machine's
    both.put(0x10, keep)
    assert both.call("capset", 0x100000000000, 0x100000000010) == 0
    for kind in ((INET, RAW, ICMP), (INET6, RAW, ICMP6), (INET, RAW, 0)):
        both.put(0x10, struct.pack("6I", 0, *struct.unpack("5I", keep[4:])))
        assert both.call("capset", 0x100000000000, 0x100000000010) == 0
        both.call("socket", *kind)
        both.put(0x10, keep)
        assert both.call("capset", 0x100000000000, 0x100000000010) == 0
