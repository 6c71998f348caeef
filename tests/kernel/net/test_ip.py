"""IP, ICMP and UDP of a whole host, packet by packet, each rule by its section."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base import errno
from goanna.kernel.net import path_mtu, reassembly
from goanna.kernel.net.wire.ethernet import BROADCAST
from goanna.metal import jit
from tests.kernel.net import host as hosts
from tests.kernel.net.host import Host, arp_bytes, ether, host_hooks, ip4, ip6, ones, raw, summed, udp_bytes
from tests.kernel.net.machine import free

with host_hooks():
    unit = jit(*hosts.HOST_ROOTS)

ME, PEER = 0x020000000001, 0x020000000002
A, B = "10.0.0.1", "10.0.0.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
FAR, FAR6 = "198.51.100.7", "2001:db8:ffff::7"


def make_host(**options):
    made = Host(unit, ME, **options)
    made.add(A + "/24")
    made.add(A6 + "/64")
    made.route("0.0.0.0/0", B)
    made.route("::/0", B6)
    made.pass_time(5)
    made.put(ether(BROADCAST, PEER, 0x806, arp_bytes(1, PEER, B, 0, A)))
    body = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + raw(A6) + b"\1\1" + PEER.to_bytes(6, "big")
    made.put(ether(ME, PEER, 0x86DD, ip6(B6, A6, 58, summed(B6, A6, 58, body, 2), 255)))
    made.frames()
    return made


@pytest.fixture
def host():
    return make_host()


def four(data, target=A, source=B, protocol=17, **options):
    return ether(ME, PEER, 0x800, ip4(source, target, protocol, data, **options))


def six(data, target=A6, source=B6, protocol=17, **options):
    return ether(ME, PEER, 0x86DD, ip6(source, target, protocol, data, **options))


def icmp4(kind, code, rest, data=b""):
    made = struct.pack(">BBHI", kind, code, 0, rest) + data
    return made[:2] + struct.pack(">H", ones(made)) + made[4:]


def icmp6(source, target, kind, code, rest, data=b""):
    return summed(source, target, 58, struct.pack(">BBHI", kind, code, 0, rest) + data, 2)


def check4(frame):
    """Source, target, protocol and payload of a sound IPv4 frame."""
    assert frame[12:14] == b"\x08\x00" and ones(frame[14:34]) == 0
    (length,) = struct.unpack(">H", frame[16:18])
    assert len(frame) == 14 + length
    return frame[26:30], frame[30:34], frame[23], frame[34:]


# RFC 791, RFC 1122 3.2.1


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
    assert host.unit.static(hosts.network.counters).ip_malformed == 1


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
    assert (target, protocol, data[:2], data[4]) == (raw(B), 1, b"\x0c\x00", 20) and ones(data) == 0


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
    assert host.unit.static(hosts.network.counters).icmp_sent <= 70


# Fragments


def fragments(data, size, identification=7, source=B, target=A, protocol=17, more_at_end=False):
    made = []
    for at in range(0, len(data), size):
        part = data[at : at + size]
        more = 0x2000 if at + size < len(data) or more_at_end else 0
        made.append(four(part, target, source, protocol, identification=identification, fragment=at // 8 | more))
    return made


def fragments6(data, size, identification=7, protocol=17):
    made = []
    for at in range(0, len(data), size):
        part, more = data[at : at + size], at + size < len(data)
        made.append(six(struct.pack(">BBHI", protocol, 0, at | more, identification) + part, protocol=44))
    return made


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


def test_a_flood_of_fragments_takes_bounded_memory(host):
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
    host.unit.call(hosts.close, 0)
    assert free(host.unit) == 0


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


def test_rfc_1191_7_a_router_that_does_not_say(host):
    host.bind(0, A, 53)
    host.send(0, bytes(1400), FAR, 4000)
    original = host.frame()[14:]
    host.put(four(icmp4(3, 4, 0, original[:28]), source="192.0.2.1", protocol=1))
    assert host.call(path_mtu.known_mtu, FAR, host.now)[0] == 1006


@pytest.mark.parametrize("said", [0, 68, 100, 551])
def test_very_small_mtus_are_not_believed(host, said):
    host.bind(0, A, 53)
    host.send(0, bytes(500), FAR, 4000)
    original = host.frame()[14:]
    host.put(four(icmp4(3, 4, said, original[:28]), source="192.0.2.1", protocol=1))
    known = host.call(path_mtu.known_mtu, FAR, host.now)[0]
    assert known == 552
    host.send(0, bytes(500), FAR, 4000)
    assert not host.frame()[20] & 0x40  # routers may cut it further


def test_rfc_8201_4_packet_too_big(host):
    host.bind(1, A6, 53)
    host.send(1, bytes(1400), FAR6, 4000)
    original = host.frame()[14:]
    for said, known in ((1300, 1300), (1400, 1300), (600, 1280)):
        host.put(six(icmp6("2001:db8::9", A6, 2, 0, said, original[:60]), source="2001:db8::9", protocol=58))
        assert host.call(path_mtu.known_mtu, FAR6, host.now)[0] == known


def test_rfc_5927_7_an_mtu_for_nothing_that_we_sent_is_not_believed(host):
    host.bind(0, A, 53)
    forged = ip4(A, FAR, 17, udp_bytes(A, FAR, 54, 4000, b""))
    host.put(four(icmp4(3, 4, 600, forged[:28]), source="192.0.2.1", protocol=1))
    assert host.call(path_mtu.known_mtu, FAR, host.now)[0] == 0


# UDP


def test_rfc_768_checksums(host):
    host.bind(0, A, 53)
    host.bind(1, A6, 53)
    data = udp_bytes(B, A, 4000, 53, b"hello")
    host.put(four(data[:-1] + b"p"))
    assert host.receive(0) is None
    host.put(four(data[:6] + b"\0\0" + data[8:]))
    assert host.receive(0)[0] == b"hello"
    data = udp_bytes(B6, A6, 4000, 53, b"hello")
    host.put(six(data[:6] + b"\0\0" + data[8:]))  # RFC 8200 8.1: not without
    assert host.receive(1) is None
    host.put(six(data))
    assert host.receive(1)[0] == b"hello"


@given(st.binary(max_size=60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_what_is_sent_is_what_python_makes(data, offload):
    host = make_host(features=1 if offload else 0)
    host.bind(0, A, 53)
    host.send(0, data, B, 4000)
    sent = check4(host.frame())[3]
    if offload:
        pseudo = ~ones(raw(A) + raw(B) + struct.pack(">HH", 17, 8 + len(data))) & 0xFFFF
        assert sent == struct.pack(">HHHH", 53, 4000, 8 + len(data), pseudo) + data
    else:
        expected = udp_bytes(A, B, 53, 4000, data)
        assert sent == (expected if expected[6:8] != b"\0\0" else expected[:6] + b"\xff\xff" + expected[8:])


def test_a_checksum_of_zero_is_sent_as_all_ones(host):
    host.bind(0, A, 53)
    for number in range(0x10000):
        if udp_bytes(A, B, 53, 4000, struct.pack(">H", number))[6:8] == b"\0\0":
            host.send(0, struct.pack(">H", number), B, 4000)
            assert check4(host.frame())[3][6:8] == b"\xff\xff"
            return


def test_the_endpoint_that_fits_best_gets_it(host):
    for index, (local, options) in enumerate([("0.0.0.0", 2), (A, 2), ("0.0.0.0", 2)]):
        assert host.bind(index, local, 53, options) == 0
    assert host.call(hosts.connect, 2, B, 4000, host.now) == 0
    host.put(four(udp_bytes(B, A, 4000, 53, b"connected")))
    host.put(four(udp_bytes(B, A, 4001, 53, b"address")))
    host.put(ether(BROADCAST, PEER, 0x800, ip4(B, "10.0.0.255", 17, udp_bytes(B, "10.0.0.255", 1, 53, b"any"))))
    assert [host.receive(index)[0] for index in (2, 1, 0)] == [b"connected", b"address", b"any"]


def test_dual_stack_endpoints(host):
    assert host.bind(0, "::", 53) == 0
    host.put(four(udp_bytes(B, A, 4000, 53, b"four")))
    host.put(six(udp_bytes(B6, A6, 4000, 53, b"six")))
    assert host.receive(0) == (b"four", B, 4000) and host.receive(0) == (b"six", B6, 4000)
    assert host.bind(1, "0.0.0.0", 53) == -errno.EADDRINUSE
    assert host.bind(2, "::", 54, 1) == 0 and host.bind(1, "0.0.0.0", 54) == 0


def test_ports_are_taken_once_unless_shared(host):
    assert host.bind(0, A, 53) == 0 and host.bind(1, A, 53) == -errno.EADDRINUSE
    assert host.bind(1, "0.0.0.0", 53) == -errno.EADDRINUSE
    assert host.bind(1, "127.0.0.1", 53) == 0
    host.unit.call(hosts.close, 0)
    assert host.bind(2, A, 53, 4) == 0 and host.bind(3, A, 53, 4) == 0
    for port in range(200):
        host.put(four(udp_bytes(B, A, 4000 + port, 53, b"x")))
    counts = [0, 0]
    for index in (0, 1):
        while host.receive(2 + index):
            counts[index] += 1
    assert sum(counts) == 200 and min(counts) > 50


def test_rfc_6056_ports_are_drawn_at_random(host):
    seen = set()
    for _ in range(20):
        assert host.bind(0, A, 0) == 0
        seen.add(host.unit.static(hosts.endpoints)[0].local_port)
        host.unit.call(hosts.close, 0)
    assert len(seen) > 15 and all(32768 <= port <= 60999 for port in seen)


def test_broadcasts_go_to_all_that_listen(host):
    for index in range(3):
        assert host.bind(index, "0.0.0.0", 67, 2) == 0
    data = udp_bytes(B, "255.255.255.255", 68, 67, b"discover")
    host.put(ether(BROADCAST, PEER, 0x800, ip4(B, "255.255.255.255", 17, data)))
    assert [host.receive(index) for index in range(3)] == [(b"discover", B, 68)] * 3
    data = udp_bytes(B, "255.255.255.255", 68, 67, b"")
    host.put(ether(BROADCAST, PEER, 0x800, ip4(B, "255.255.255.255", 17, data)))
    assert [host.receive(index) for index in range(3)] == [(b"", B, 68)] * 3
    for index in range(3):
        host.unit.call(hosts.close, index)
    assert free(host.unit) == 0


def test_rfc_1122_4_1_3_3_errors_for_the_connected(host):
    host.bind(0, A, 53)
    host.send(0, b"x", FAR, 4000)
    original = host.frame()[14:]
    refused = four(icmp4(3, 3, 0, original[:28]), source=FAR, protocol=1)
    host.put(refused)
    assert host.unit.call(hosts.take_error, 0) == 0
    assert host.call(hosts.connect, 0, FAR, 4000, host.now) == 0
    host.put(refused)
    assert host.unit.call(hosts.take_error, 0) == errno.ECONNREFUSED and host.unit.call(hosts.take_error, 0) == 0
    host.put(four(icmp4(3, 1, 0, original[:28]), source=FAR, protocol=1))  # host unreachable: may pass
    assert host.unit.call(hosts.take_error, 0) == 0


def test_a_full_queue_drops(host):
    host.bind(0, A, 53)
    for _ in range(200):
        host.put(four(udp_bytes(B, A, 4000, 53, b"x")))
    count = 0
    while host.receive(0):
        count += 1
    assert count == 104  # of 2 KiB each


def test_loopback(host):
    host.bind(0, "127.0.0.1", 53)
    host.bind(1, "127.0.0.1", 54)
    data = random.Random(2).randbytes(40000)
    assert host.send(0, data, "127.0.0.1", 54) == 0
    assert host.frames() == [] and host.receive(1) is None
    host.pass_time(0)
    assert host.receive(1) == (data, "127.0.0.1", 53)
    host.bind(2, A, 55)
    host.send(2, b"to myself", A, 55)
    host.pass_time(0)
    assert host.receive(2) == (b"to myself", A, 55) and host.frames() == []


def test_routes(host):
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
