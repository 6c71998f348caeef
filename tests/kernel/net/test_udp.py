"""UDP of a whole host, packet by packet, each rule by its section."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base import errno
from goanna.kernel.net.wire.ethernet import BROADCAST
from tests.kernel.net import host as hosts
from tests.kernel.net.host import ether, ip4, ones, raw, udp_bytes
from tests.kernel.net.ip import A6, B6, FAR, PEER, A, B, check4, four, icmp4, make_host, six
from tests.kernel.net.machine import free


@pytest.fixture
def host():
    return make_host()


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
