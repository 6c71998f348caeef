"""Sequences of calls on packet sockets over loopback: answers, bytes and events are those of Linux."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernel.net.both import INET, INET6, BothNetworks, both_networks, exchange, name4, name6, needs_network
from tests.kernel.net.calls import DATAGRAM, NAME, NONBLOCK, OPTION, PEEK, POLLED, TRUNC
from tests.kernel.net.host import ip4, ip6, udp_bytes

pytestmark = needs_network
PACKET, RAW = 17, 3
ALL, IP4, IP6, OWN = 0x0300, 0x0008, 0xDD86, 0x3412  # EtherTypes as a program writes them: in network order
SOL_PACKET = 263


class BothPackets(BothNetworks):
    """An IPv4 packet's identification and checksum may be any, and so may the flow label of IPv6."""

    masked = ((1, 6), (10, 12), (15, 20), (24, 26))


@pytest.fixture(scope="module")
def both():
    with both_networks(BothPackets) as both:
        yield both


def link_name(protocol, interface, address, size=20):
    return struct.pack("<HHiHBB8s", PACKET, protocol, interface, 0, 0, len(address), address)[:size]


HERE, HERE6 = "127.0.0.1", "::1"
datagram = ip4(HERE, HERE, 17, udp_bytes(HERE, HERE, 5001, 5000, b"made by hand"))
datagram6 = ip6(HERE6, HERE6, 17, udp_bytes(HERE6, HERE6, 5001, 5000, b"made by hand"))
headers = {0x800: datagram, 0x86DD: datagram6, 0x1234: b"nothing that is known"}
frames = st.sampled_from([
    b"", b"short", bytes(13), bytes(14), bytes(60), b"\xff" * 20,
    *(mac + bytes(6) + struct.pack(">H", kind) + data for kind, data in headers.items()
      for mac in (bytes(6), b"\xff" * 6, b"\1\0\x5e\0\0\1", b"\2\0\0\0\0\7")),
    *headers.values(),
])  # fmt: skip
protocols = st.sampled_from([0, ALL, ALL, IP4, IP6, OWN])
link_names = st.one_of(
    st.builds(link_name, protocols, st.sampled_from([0, 1, 1, 7, -1]), st.sampled_from([bytes(6), b"\xff" * 6, b""])),
    st.sampled_from([b"", b"\x11", bytes(20), link_name(ALL, 1, bytes(6), 12), name4(HERE, 5000)]),
)
descriptors = st.integers(3, 6)
memberships = st.builds(
    lambda interface, kind, length: struct.pack("<iHH8s", interface, kind, length, b"\1\0\x5e\0\0\7"),
    st.sampled_from([1, 1, 0, 9]), st.integers(0, 4), st.sampled_from([0, 6, 6, 7]),
)  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("new"), st.sampled_from([RAW, DATAGRAM]), protocols),
    st.tuples(st.just("bind"), descriptors, link_names),
    st.tuples(st.just("connect"), descriptors, link_names.filter(len)),
    st.tuples(st.just("send"), descriptors, frames, st.one_of(st.none(), link_names)),
    st.tuples(st.just("send"), descriptors, frames, link_names),
    st.tuples(st.just("send"), st.sampled_from([7, 8]), frames, st.just(name4(HERE, 5000))),
    st.tuples(st.just("send"), st.sampled_from([7, 8]), frames, st.just(name6(HERE6, 5000))),
    st.tuples(st.just("receive"), st.integers(3, 8), st.sampled_from([0, 10, 1500]), st.sampled_from([0, PEEK, TRUNC])),
    st.tuples(st.just("receive"), descriptors, st.just(1500), st.just(0)),
    st.tuples(st.sampled_from(["getsockname", "getpeername"]), descriptors, st.sampled_from([0, 5, 16, 128])),
    st.tuples(st.just("shutdown"), descriptors, st.integers(0, 2)),
    st.tuples(st.just("close"), descriptors),
    st.tuples(st.just("poll"), st.just(POLLED), st.integers(1, 5), st.just(0)),
    st.tuples(st.just("getsockopt"), descriptors, st.sampled_from([(SOL_PACKET, 6), (SOL_PACKET, 23), (1, 3), (1, 39)]),
              st.sampled_from([0, 4, 8])),
    st.tuples(st.just("set"), descriptors, st.sampled_from([1, 2]), memberships),
    st.tuples(st.just("set"), descriptors, st.just(23), st.sampled_from([b"", bytes(4), b"\1\0\0\0", b"\2\0\0\0"])),
    st.tuples(st.just("ioctl"), descriptors, st.just(0x541B), st.just(OPTION)),
)  # fmt: skip
BEGUN = [("new", RAW, ALL), ("new", RAW, IP4), ("new", DATAGRAM, ALL), ("new", DATAGRAM, 0)]


def act(both, step):
    """One call, with what it points to put into memory."""
    name, *rest = step
    match name:
        case "new":
            both.call("socket", PACKET, rest[0] | NONBLOCK, rest[1])
        case "set":
            both.put(0xA00, rest[2])
            both.call("setsockopt", rest[0], SOL_PACKET, rest[1], OPTION, len(rest[2]))
        case _:
            exchange(both, step)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=40))
def test_any_sequence_of_calls_is_answered_as_by_linux(both, steps):
    both.reset()
    both.put(0, bytes(0x1000))
    both.put(0xD00, b"".join(struct.pack("iHH", number, 0x3FFF, 0) for number in (3, 4, 5, 6, 7)))
    for step in BEGUN:
        act(both, step)
    for family, address in ((INET, name4(HERE, 5000)), (INET6, name6(HERE6, 5000))):
        made = both.call("socket", family, DATAGRAM | NONBLOCK, 0)
        both.put(0x800, address)
        both.call("bind", made, NAME, len(address))
    for step in steps:
        act(both, step)
