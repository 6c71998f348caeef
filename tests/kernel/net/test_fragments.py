"""Fragments and path MTUs, packet by packet, each rule by its section."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.net import reassembly
from goanna.kernel.net.wire.ethernet import BROADCAST
from tests.kernel.net import host as hosts
from tests.kernel.net.host import arp_bytes, ether, ip4, raw, udp_bytes
from tests.kernel.net.ip import (
    A6,
    B6,
    FAR,
    FAR6,
    PEER,
    A,
    B,
    check4,
    four,
    fragments,
    fragments6,
    icmp4,
    icmp6,
    make_host,
    six,
)
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


@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 180), length=st.integers(0, 4000), seed=st.integers(0, 1 << 30))
def test_fragments_in_any_order_some_twice(version, size, length, seed):
    host, chance = make_host(), random.Random(seed)
    host.bind(0, "0.0.0.0", 53)
    host.bind(1, "::", 53, 1)
    data = bytes(chance.randrange(256) for _ in range(length))
    source, target = (B, A) if version == 4 else (B6, A6)
    datagram = udp_bytes(source, target, 4000, 53, data)
    made = (fragments if version == 4 else fragments6)(datagram, max(size * 8, (length + 40) // 200 // 8 * 8 + 8))
    twice = made + [each for each in made if chance.random() < 0.2 and len(made) > 1]
    chance.shuffle(twice)
    for frame in twice:
        host.put(frame)
    assert host.receive(0 if version == 4 else 1) == (data, source, 4000)
    host.pass_time(61)
    host.frames()
    for index in (0, 1):
        host.unit.call(hosts.close, index)
    assert host.unit.call(reassembly.reassembly_memory) == 0 and free(host.unit) == 0


@pytest.mark.parametrize("version", [4, 6])
def test_rfc_5722_4_overlapping_fragments_spoil_the_packet(host, version):
    host.bind(0, "0.0.0.0", 53)
    host.bind(1, "::", 53, 1)
    source, target = (B, A) if version == 4 else (B6, A6)
    datagram = udp_bytes(source, target, 4000, 53, bytes(400))
    if version == 4:
        first, second, third = fragments(datagram, 136)
        overlap = four(datagram[128:272], identification=7, fragment=0x2000 | 16)
    else:
        first, second, third = fragments6(datagram, 136)
        overlap = six(struct.pack(">BBHI", 17, 0, 129, 7) + datagram[128:272], protocol=44)
    for frame in (first, overlap, second, third):
        host.put(frame)
    assert host.receive(0) is None and host.receive(1) is None
    host.pass_time(61)
    for frame in (first, second, third):  # a new packet may have the identification again
        host.put(frame)
    assert host.receive(0 if version == 4 else 1)[0] == bytes(400)


def piece(version, datagram, at, end, more=True, identification=7):
    """A fragment with the bytes of a datagram from `at` to `end`."""
    if version == 4:
        return four(datagram[at:end], identification=identification, fragment=at // 8 | (0x2000 if more else 0))
    return six(struct.pack(">BBHI", 17, 0, at | more, identification) + datagram[at:end], protocol=44)


def datagrams_of(host, version):
    """A datagram of 408 bytes to the host, and which socket it is for."""
    host.bind(0, "0.0.0.0", 53)
    host.bind(1, "::", 53, 1)
    source, target = (B, A) if version == 4 else (B6, A6)
    return udp_bytes(source, target, 4000, 53, bytes(range(100)) * 4), int(version == 6)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("again", [(0, 136), (136, 272), (64, 136), (0, 272), (64, 200), (264, 272)])
def test_a_fragment_that_brings_nothing_new_is_passed_over(host, version, again):
    """As on Linux, which takes what lies within what there is for the same again."""
    datagram, index = datagrams_of(host, version)
    for at, end in ((0, 136), (136, 272), again, (272, 408)):
        host.put(piece(version, datagram, at, end, end != 408))
    assert host.receive(index)[0] == datagram[8:]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("over", [(128, 280), (0, 280), (264, 280), (128, 408), (8, 400)])
def test_rfc_8200_4_5_after_an_overlap_the_packet_may_be_sent_again(host, version, over):
    datagram, index = datagrams_of(host, version)
    for at, end in ((0, 136), (136, 272), over):
        host.put(piece(version, datagram, at, end, end != 408))
    host.put(piece(version, datagram, 272, 408, False))
    assert host.receive(index) is None
    for at, end in ((0, 136), (136, 272), (272, 408)):
        host.put(piece(version, datagram, at, end, end != 408))
    assert host.receive(index)[0] == datagram[8:]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("order", [((272, 408, False), (0, 416, True)), ((272, 408, False), (136, 264, False)),
                                   ((400, 408, False), (0, 136, True), (136, 416, True))])  # fmt: skip
def test_fragments_that_disagree_about_the_end_spoil_the_packet(host, version, order):
    datagram, index = datagrams_of(host, version)
    for at, end, more in order:
        host.put(piece(version, datagram + bytes(16), at, end, more))
    for at, end in ((0, 136), (136, 272)):
        host.put(piece(version, datagram, at, end))
    assert host.receive(index) is None


def test_rfc_792_time_exceeded_in_reassembly(host):
    datagram = udp_bytes(B, A, 4000, 53, bytes(400))
    first, second, _ = fragments(datagram, 200)
    host.put(second)
    host.pass_time(31)
    assert host.frames() == []  # nobody can be told without the first
    host.put(first)
    host.pass_time(31)
    _, target, protocol, data = check4(host.frame())
    assert (target, protocol, data[:2]) == (raw(B), 1, b"\x0b\x01") and data[8:] == first[14:]


def test_rfc_8200_4_5_an_odd_length_is_a_parameter_problem(host):
    host.put(six(struct.pack(">BBHI", 17, 0, 1, 9) + bytes(13), protocol=44))
    frame = host.frame()
    assert frame[54:56] == b"\x04\x00" and frame[58:62] == b"\0\0\0\4"


def test_rfc_8200_4_5_beyond_65535(host):
    host.put(six(struct.pack(">BBHI", 17, 0, 65528, 9) + bytes(16), protocol=44))
    frame = host.frame()
    assert frame[54:56] == b"\x04\x00" and frame[58:62] == b"\0\0\0\x2a"


def test_rfc_6946_atomic_fragments_stand_alone(host):
    host.bind(1, "::", 53, 1)
    data = udp_bytes(B6, A6, 4000, 53, b"x")
    host.put(fragments6(udp_bytes(B6, A6, 4000, 53, bytes(100)), 64)[0])
    host.put(six(struct.pack(">BBHI", 17, 0, 0, 7) + data, protocol=44))
    assert host.receive(1)[0] == b"x"


def test_a_packet_longer_than_65535_of_fragments(host):
    """The ping of death."""
    for at in range(0, 65528, 1480):
        host.put(four(bytes(1480), identification=3, fragment=0x2000 | at // 8))
    assert host.frames() == []


def test_a_flood_of_fragments_takes_bounded_memory():
    host = make_host()
    for number in range(4000):
        host.put(four(bytes(1400), identification=number, fragment=0x2000 | 1))
    assert host.unit.call(reassembly.reassembly_memory) <= 4 << 20
    host.bind(0, A, 53)
    for frame in fragments(udp_bytes(B, A, 4000, 53, bytes(3000)), 1480):
        host.put(frame)
    assert host.receive(0)[0] == bytes(3000)
    host.pass_time(61)
    assert host.unit.call(reassembly.reassembly_memory) == 0


@pytest.mark.parametrize("length", [1473, 1480, 3000, 20000, 65507])
def test_rfc_791_a_large_datagram_is_sent_in_fragments(host, length):
    host.bind(0, A, 53)
    data = random.Random(1).randbytes(length)
    assert host.send(0, data, B, 4000) == 0
    got, frames = b"", host.frames()
    for frame in frames:
        assert len(frame) <= 1514
        _, _, protocol, part = check4(frame)
        (word,) = struct.unpack(">H", frame[20:22])
        assert protocol == 17 and (word & 0x1FFF) * 8 == len(got) and bool(word & 0x2000) == (frame is not frames[-1])
        assert frame[18:20] == frames[0][18:20]
        got += part
    assert got == udp_bytes(A, B, 53, 4000, data)
    host.close(0)
    assert not host.ours or free(host.unit) == 0


def test_rfc_8200_4_5_a_large_datagram_is_sent_in_fragments(host):
    host.bind(1, A6, 53)
    data = random.Random(1).randbytes(5000)
    assert host.send(1, data, B6, 4000) == 0
    got = b""
    for frame in host.frames():
        assert len(frame) <= 1514 and frame[20] == 44
        protocol, _, word = struct.unpack(">BBH", frame[54:58])
        assert protocol == 17 and word & 0xFFF8 == len(got)
        got += frame[62:]
    assert got == udp_bytes(A6, B6, 53, 4000, data)


# Path MTU


def test_rfc_1191_a_smaller_mtu_is_learnt_and_forgotten(host):
    host.bind(0, A, 53)
    host.send(0, bytes(1400), FAR, 4000)
    original = host.frame()[14:]
    assert original[6] & 0x40
    host.put(four(icmp4(3, 4, 1200, original[:28]), source="192.0.2.1", protocol=1))
    host.send(0, bytes(1400), FAR, 4000)
    assert [len(each) - 14 for each in host.frames()] == [1196, 252]
    host.pass_time(601)
    host.put(ether(BROADCAST, PEER, 0x806, arp_bytes(1, PEER, B, 0, A)))
    host.frames()
    host.send(0, bytes(1400), FAR, 4000)
    assert len(host.frame()) == 14 + 28 + 1400


@pytest.mark.differs("it takes its least path MTU, 552, where RFC 1191 7.1 has a table")
def test_rfc_1191_7_a_router_that_does_not_say(host):
    host.bind(0, A, 53)
    host.send(0, bytes(1400), FAR, 4000)
    original = host.frame()[14:]
    host.put(four(icmp4(3, 4, 0, original[:28]), source="192.0.2.1", protocol=1))
    assert host.known_mtu(FAR) == 1006


@pytest.mark.parametrize("said", [0, 68, 100, 551])
def test_very_small_mtus_are_not_believed(host, said):
    host.bind(0, A, 53)
    host.send(0, bytes(500), FAR, 4000)
    original = host.frame()[14:]
    host.put(four(icmp4(3, 4, said, original[:28]), source="192.0.2.1", protocol=1))
    known = host.known_mtu(FAR)
    assert known == 552
    host.send(0, bytes(500), FAR, 4000)
    assert not host.frame()[20] & 0x40  # routers may cut it further


def test_rfc_8201_4_packet_too_big(host):
    host.bind(1, A6, 53)
    host.send(1, bytes(1400), FAR6, 4000)
    original = host.frame()[14:]
    for said, known in ((1300, 1300), (1400, 1300), (600, 1300), (1280, 1280)):
        host.put(six(icmp6("2001:db8::9", A6, 2, 0, said, original[:60]), source="2001:db8::9", protocol=58))
        assert host.known_mtu(FAR6) == known


def test_rfc_5927_7_an_mtu_for_nothing_that_we_sent_is_not_believed(host):
    host.bind(0, A, 53)
    forged = ip4(A, FAR, 17, udp_bytes(A, FAR, 54, 4000, b""))
    host.put(four(icmp4(3, 4, 600, forged[:28]), source="192.0.2.1", protocol=1))
    assert host.known_mtu(FAR) == 0
