"""IP and ICMP of a whole host, packet by packet, each rule by its section."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base import errno
from goanna.kernel.net.wire.ethernet import BROADCAST
from tests.kernel.net import host as hosts
from tests.kernel.net.host import Host, ether, ip4, ip6, ones, raw, udp_bytes
from tests.kernel.net.ip import A6, B6, FAR, FAR6, ME, PEER, A, B, check4, four, icmp4, icmp6, make_host, six, unit
from tests.kernel.net.linux import STACKS
from tests.kernel.net.linux_ip import LinuxIp
from tests.kernel.net.machine import free


@pytest.fixture(params=STACKS)
def bare_stack(request, makers):
    return makers(request.param, make_host, LinuxIp)


def fresh(make):
    return make()


@pytest.fixture
def host(bare_stack):
    return fresh(bare_stack)


def test_a_datagram_arrives(host):
    assert host.bind(0, A, 53) == 0
    host.put(four(udp_bytes(B, A, 4000, 53, b"question")))
    assert host.receive(0) == (b"question", B, 4000) and host.receive(0) is None
    assert host.send(0, b"answer", B, 4000) == 0
    source, target, protocol, data = check4(host.frame())
    assert (source, target, protocol) == (raw(A), raw(B), 17) and data == udp_bytes(A, B, 53, 4000, b"answer")


@pytest.mark.parametrize("place", [14, 16, 24, 26])
def test_rfc_1122_3_2_1_2_bad_headers_are_dropped(host, place):
    host.bind(0, A, 53)
    frame = bytearray(four(udp_bytes(B, A, 4000, 53, b"question")))
    frame[place] ^= 0x10
    host.put(frame)
    assert host.receive(0) is None and host.frames() == []
    assert not host.ours or host.unit.static(hosts.network.counters).ip_malformed == 1


def test_padding_is_cut_off(host):
    host.bind(0, A, 53)
    host.put(four(udp_bytes(B, A, 4000, 53, b"")) + bytes(18))
    assert host.receive(0) == (b"", B, 4000)


@pytest.mark.parametrize("source", ["224.0.0.1", "255.255.255.255", "127.0.0.1"])
def test_rfc_1122_3_2_1_3_sources_that_cannot_be(host, source):
    host.bind(0, "0.0.0.0", 53)
    host.put(four(udp_bytes(source, A, 4000, 53, b"x"), source=source))
    assert host.receive(0) is None and host.frames() == []


def test_rfc_1122_3_2_1_3_loopback_never_comes_from_a_wire(host):
    host.bind(0, "0.0.0.0", 53)
    host.put(four(udp_bytes(B, "127.0.0.1", 4000, 53, b"x"), target="127.0.0.1"))
    host.put(six(udp_bytes(B6, "::1", 4000, 53, b"x"), target="::1"))
    assert host.receive(0) is None and host.frames() == []


def test_packets_for_others_are_not_ours(host):
    host.put(four(udp_bytes(B, FAR, 4000, 53, b"x"), target=FAR))
    host.put(ether(0x020000000009, PEER, 0x800, ip4(B, A, 17, udp_bytes(B, A, 1, 2, b""))))
    assert host.frames() == []


def test_source_routes_are_refused(host):
    host.bind(0, A, 53)
    data = udp_bytes(B, A, 4000, 53, b"x")
    host.put(four(data, options=bytes.fromhex("83070401020304") + b"\0"))
    assert host.receive(0) is None
    host.put(four(data, options=b"\x94\x04\0\0"))
    assert host.receive(0) is not None


def test_rfc_1122_3_2_2_5_a_bad_option_is_a_parameter_problem(host):
    host.put(four(b"whatever", options=b"\x83\x02\0\0"))
    _, target, protocol, data = check4(host.frame())
    at = 20 if host.ours else 21  # the option, or its length
    assert (target, protocol, data[:2], data[4]) == (raw(B), 1, b"\x0c\x00", at) and ones(data) == 0


def test_vlan_frames_without_an_interface_are_dropped(host):
    frame = four(udp_bytes(B, A, 4000, 53, b""))
    host.put(frame[:12] + b"\x81\0\0\x07" + frame[12:])
    assert host.frames() == []
    host.bind(0, A, 53)
    host.put(frame[:12] + b"\x81\0\xe0\0" + frame[12:])  # a priority tag is no VLAN
    assert host.receive(0) is not None


# ICMP


def test_rfc_1122_3_2_2_6_echo(host):
    message = icmp4(8, 0, 0x12340001, b"are you there?" * 90)
    host.put(four(message, protocol=1))
    source, target, protocol, data = check4(host.frame())
    assert (source, target, protocol) == (raw(A), raw(B), 1)
    assert data == icmp4(0, 0, 0x12340001, b"are you there?" * 90)


def test_rfc_4443_4_2_echo(host):
    host.put(six(icmp6(B6, A6, 128, 0, 7, b"hello"), protocol=58))
    assert host.frame() == ether(PEER, ME, 0x86DD, ip6(A6, B6, 58, icmp6(A6, B6, 129, 0, 7, b"hello")))


def test_an_echo_without_data(host):
    host.put(four(icmp4(8, 0, 1), protocol=1))
    assert check4(host.frame())[3] == icmp4(0, 0, 1)


def test_broadcast_echo_is_not_answered(host):
    host.put(ether(BROADCAST, PEER, 0x800, ip4(B, "10.0.0.255", 1, icmp4(8, 0, 1))))
    host.put(ether(ME, PEER, 0x800, ip4(B, "10.0.0.255", 1, icmp4(8, 0, 1))))
    assert host.frames() == []


def test_a_damaged_echo_is_dropped(host):
    host.put(four(icmp4(8, 0, 1)[:-1] + b"\x77", protocol=1))
    assert host.frames() == []


def test_rfc_1122_4_1_3_1_no_such_port(host):
    original = ip4(B, A, 17, udp_bytes(B, A, 4000, 53, b"x" * 1000))
    host.put(ether(ME, PEER, 0x800, original))
    _, target, protocol, data = check4(host.frame())
    assert (target, protocol) == (raw(B), 1) and ones(data) == 0
    assert data[:2] == b"\x03\x03" and data[8:] == original[: 576 - 28]


def test_rfc_4443_3_1_no_such_port(host):
    original = ip6(B6, A6, 17, udp_bytes(B6, A6, 4000, 53, b"x" * 1400))
    host.put(ether(ME, PEER, 0x86DD, original))
    frame = host.frame()
    assert frame[14:] == ip6(A6, B6, 58, icmp6(A6, B6, 1, 4, 0, original[: 1280 - 48]))


def test_rfc_1122_3_2_2_no_error_about(host):
    datagram = udp_bytes(B, A, 4000, 53, b"")
    unreachable = icmp4(3, 3, 0, ip4(A, B, 17, udp_bytes(A, B, 9, 9, b"")))
    host.put(four(unreachable, protocol=1))  # an error
    host.put(four(datagram, target="10.0.0.255"))  # a broadcast
    host.put(ether(BROADCAST, PEER, 0x800, ip4(B, A, 17, datagram)))  # a link broadcast
    host.put(four(datagram[8:] + b"12345678", fragment=0x2000 | 1))  # a fragment that is not the first
    host.put(four(udp_bytes("0.0.0.0", A, 4000, 53, b""), source="0.0.0.0"))  # nobody
    assert host.frames() == []


def test_unknown_protocols(host):
    host.put(four(b"12345678", protocol=132))
    assert check4(host.frame())[3][:2] == b"\x03\x02"
    host.put(six(b"12345678", protocol=132))
    frame = host.frame()
    assert frame[54:56] == b"\x04\x01" and frame[58:62] == b"\0\0\0\6"


def test_rfc_1812_4_3_2_8_errors_are_limited(host):
    for _ in range(100):
        host.put(four(udp_bytes(B, A, 4000, 53, b"")))
    first = len(host.frames())
    assert 1 <= first <= 6
    host.pass_time(3)
    for _ in range(100):
        host.put(four(udp_bytes(B, A, 4000, 53, b"")))
    assert 1 <= len(host.frames()) <= 4
    for number in range(500):  # all targets together
        source = f"10.0.0.{number % 250 + 3}"
        host.put(four(udp_bytes(source, A, 4000, 53, b""), source=source))
    assert not host.ours or host.unit.static(hosts.network.counters).icmp_sent <= 70


def test_loopback(host):
    host.bind(0, "127.0.0.1", 53)
    host.bind(1, "127.0.0.1", 54)
    data = random.Random(2).randbytes(40000)
    assert host.send(0, data, "127.0.0.1", 54) == 0
    assert host.frames() == [] and (not host.ours or host.receive(1) is None)
    host.pass_time(0)
    assert host.receive(1) == (data, "127.0.0.1", 53)
    host.bind(2, A, 55)
    host.send(2, b"to myself", A, 55)
    host.pass_time(0)
    assert host.receive(2) == (b"to myself", A, 55) and host.frames() == []


def test_routes():
    host = make_host()
    host.bind(0, A, 53)
    assert host.route("203.0.113.0/24", "10.0.0.9", 5) == 0
    assert host.route("203.0.113.0/24", "10.0.0.9", 5) == -errno.EEXIST
    assert host.route("203.0.113.0/24", "10.0.0.8", 3) == 0
    assert host.route("203.0.113.128/25", "10.0.0.7", 9) == 0
    assert host.route("203.0.113.64/26", "0.0.0.0", 9, 7) == 0
    for target, hop in (("203.0.113.1", "10.0.0.8"), ("203.0.113.200", "10.0.0.7"), ("203.0.114.1", None)):
        assert host.send(0, b"x", target, 9) == 0
        frame = host.frame()
        if hop is None:
            assert frame[:6] == PEER.to_bytes(6, "big")
        else:
            assert frame[12:14] == b"\x08\x06" and frame[38:42] == raw(hop)
    assert host.send(0, b"x", "203.0.113.65", 9) == -errno.EHOSTUNREACH


def test_no_route():
    host = Host(unit, ME)
    host.add(A + "/24")
    host.bind(0, A, 53)
    host.bind(1, "::", 54, 1)
    assert host.send(0, b"x", FAR, 9) == -errno.ENETUNREACH
    assert host.send(1, b"x", FAR6, 9) == -errno.ENETUNREACH


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x81\x00"]),
    st.binary(max_size=3),
)
def test_any_frame_is_survived(data, kind, start):
    host = Host(unit, ME)
    host.add(A + "/24")
    host.add(A6 + "/64")
    for head in (b"", b"\x45\0", b"\x60\0\0\0", start):
        host.put(ME.to_bytes(6, "big") + PEER.to_bytes(6, "big") + kind + head + data)
    host.pass_time(61)
    host.frames()
    assert free(host.unit) == 0


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100), st.sampled_from([0, 1, 6, 17, 43, 44, 58, 60]), st.integers(0, 0xFFFF))
def test_any_payload_is_survived(data, protocol, fragment):
    host = make_host()
    host.put(four(data, protocol=protocol, fragment=fragment))
    host.put(six(data, protocol=protocol))
    host.put(six(icmp6(B6, A6, data[0] if data else 0, 0, 0, data), protocol=58))
    host.put(four(icmp4(data[0] if data else 0, 0, 0, data), protocol=1))
    host.pass_time(61)
    host.frames()
    assert free(host.unit) == 0


ENDLESS = pytest.mark.differs("it follows as many headers as a packet has")


def extension(kind, following, size=8):
    """An extension header of any kind, with nothing but padding in it."""
    if kind == 44:
        return struct.pack(">BBHI", following, 0, 0, 5)
    if kind == 43:
        return bytes([following, size // 8 - 1, 0, 0]) + bytes(size - 4)
    return bytes([following, size // 8 - 1, 1, size - 4]) + bytes(size - 4)


def chain(kinds, last, data, size=8):
    """The first header's kind, and all of them in front of the data."""
    made = b""
    for kind, following in zip(kinds, [*kinds[1:], last], strict=True):
        made += extension(kind, following, size)
    return kinds[0], made + data


@pytest.mark.parametrize("kinds", [[0], [60], [43], [0, 60, 43, 44, 60], [60] * 7])
def test_rfc_8200_4_1_chains_of_extension_headers(host, kinds):
    host.bind(1, "::", 53, 1)
    first, data = chain(kinds, 17, udp_bytes(B6, A6, 4000, 53, b"x"))
    host.put(six(data, protocol=first))
    assert host.receive(1)[0] == b"x"


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([60] * 30, marks=ENDLESS),
        pytest.param([60] * 140, marks=ENDLESS),
        [44, 44],
        [0, 0],
        [60, 0],
        pytest.param([43] * 100, marks=ENDLESS),
    ],
)
def test_chains_that_nobody_sends_are_dropped(host, kinds):
    host.bind(1, "::", 53, 1)
    first, data = chain(kinds, 17, udp_bytes(B6, A6, 4000, 53, b"x"))
    for _ in range(100):
        host.put(six(data, protocol=first))
    assert host.receive(1) is None
    assert len(host.frames()) <= 7


def test_options_without_end_are_dropped(host):
    host.bind(1, "::", 53, 1)
    header = bytes([17, 15, *[0] * 126])  # of one byte each
    host.put(six(header + udp_bytes(B6, A6, 4000, 53, b"x"), protocol=60))
    assert host.receive(1) is None


@pytest.mark.parametrize("options", [b"\1" * 40, b"\x44\x24\x05\0" + bytes(32) + b"\0" * 4, b"\x07\x27\x04" + bytes(37),
                                     b"\x82\x0b" + bytes(9) + b"\0", b"\x95\x28" + bytes(38)])  # fmt: skip
def test_rfc_791_3_1_options_that_concern_nobody_are_passed_over(host, options):
    host.bind(0, A, 53)
    host.put(four(udp_bytes(B, A, 4000, 53, b"x"), options=options))
    assert host.receive(0) == (b"x", B, 4000)
