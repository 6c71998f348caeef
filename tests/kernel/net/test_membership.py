"""Groups told to routers, as RFC 3376, 2236, 9777 and 2710 say; and what is sent to a group that we are in."""

import struct

import pytest

from goanna.kernel.net import membership
from goanna.kernel.net.address import Address
from goanna.metal import jit, metal, u64
from tests.kernel.net import host as hosts
from tests.kernel.net.host import SECOND, Host, ether, host_hooks, ip4, ip6, ones, raw, summed, udp_bytes
from tests.kernel.net.machine import free

ME, ROUTER = 0x020000000001, 0x0200000000FE
A, B, A6, L6, R6 = "10.0.0.1", "10.0.0.2", "2001:db8::1", "fe80::1", "fe80::fe"
GROUP, OTHER, GROUP6 = "239.1.2.3", "224.0.0.251", "ff05::1:3"
IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE = 2, 3, 4


@metal
def join(group: Address, now: u64) -> bool:
    return membership.join_group(hosts.device, group, now)


@metal
def leave(group: Address, now: u64) -> None:
    membership.leave_group(hosts.device, group, now)


with host_hooks():
    unit = jit(*hosts.HOST_ROOTS, join, leave)


@pytest.fixture
def host():
    made = Host(unit, ME)
    made.add(A + "/24")
    made.add(A6 + "/64")
    made.add(L6 + "/64")
    made.pass_time(5)
    made.frames()
    return made


def records(frame, six=False):
    """The records of a report of the newer version, as {group: kind}; its headers are looked at."""
    if six:
        assert frame[:6] == bytes.fromhex("333300000016") and frame[14 + 7] == 1
        assert frame[22:54] == raw(L6) + raw("ff02::16") and frame[54:62] == bytes.fromhex("3a00050200000100")
        body, kind, size = frame[62:], 143, 20
        assert summed(L6, "ff02::16", 58, body[:2] + bytes(2) + body[4:], 2) == body
    else:
        assert frame[:6] == bytes.fromhex("01005e000016") and frame[14] == 0x46 and frame[22] == 1
        assert ones(frame[14:38]) == 0 and frame[26:38] == raw(A) + raw("224.0.0.22") + bytes.fromhex("94040000")
        body, kind, size = frame[38:], 0x22, 8
        assert ones(body) == 0
    assert body[0] == kind
    (count,) = struct.unpack(">H", body[6:8])
    assert len(body) == 8 + count * size
    found = {}
    for at in range(8, len(body), size):
        assert body[at + 1 : at + 4] == bytes(3)
        found[body[at + 4 : at + size]] = body[at]
    return found


def query4(code, group="0.0.0.0", new=True):
    body = struct.pack(">BBH4s", 0x11, code, 0, raw(group)) + (bytes(4) if new else b"")
    body = body[:2] + struct.pack(">H", ones(body)) + body[4:]
    return ether(0x01005E000001, ROUTER, 0x800, ip4(B, "224.0.0.1", 2, body, hops=1, options=b"\x94\4\0\0"))


def query6(code, group="::", new=True):
    body = struct.pack(">BBHHH16s", 130, 0, 0, code, 0, raw(group)) + (bytes(4) if new else b"")
    body = summed(R6, "ff02::1", 58, body, 2)
    alert = bytes.fromhex("3a00050200000100")
    return ether(0x333300000001, ROUTER, 0x86DD, ip6(R6, "ff02::1", 0, alert + body, hops=1))


def test_joins_and_leaves_are_reported_at_once_and_once_more(host):
    for group, six in ((GROUP, False), (GROUP6, True)):
        for kind, function in ((TO_EXCLUDE, join), (TO_INCLUDE, leave)):
            host.call(function, group, host.now)
            assert records(host.frame(), six) == {raw(group): kind}
            host.pass_time(1)
            assert records(host.frame(), six) == {raw(group): kind}
            host.pass_time(5)
            assert host.frames() == []


def test_only_the_first_join_and_the_last_leave_count(host):
    host.call(join, GROUP, host.now)
    host.pass_time(2)
    assert len(host.frames()) == 2
    host.call(join, GROUP, host.now)
    host.call(leave, GROUP, host.now)
    host.pass_time(2)
    assert host.frames() == []


def test_groups_of_every_node_are_not_reported(host):
    for group in ("224.0.0.1", "ff02::1", "ff01::5"):
        host.call(join, group, host.now)
        host.pass_time(2)
        assert host.frames() == []


def test_a_query_is_answered_in_one_report_in_time(host):
    for group in (GROUP, OTHER, GROUP6):
        host.call(join, group, host.now)
    host.pass_time(2)
    host.frames()
    host.put(query4(20))
    assert host.frames() == []
    host.pass_time(2)
    assert records(host.frame()) == {raw(GROUP): IS_EXCLUDE, raw(OTHER): IS_EXCLUDE}
    host.put(query4(20, OTHER))
    host.pass_time(2)
    assert records(host.frame()) == {raw(OTHER): IS_EXCLUDE}
    host.put(query4(20, "239.9.9.9"))
    host.pass_time(2)
    assert host.frames() == []


def test_a_query_of_mld_is_answered_with_the_groups_of_our_addresses_too(host):
    host.call(join, GROUP6, host.now)
    host.pass_time(2)
    host.frames()
    host.put(query6(2000))
    host.pass_time(2)
    found = {}
    for frame in host.frames():
        found |= records(frame, True)
    assert found == {raw(GROUP6): IS_EXCLUDE, raw("ff02::1:ff00:1"): IS_EXCLUDE}


def test_long_delays_are_floating_point_numbers(host):
    host.call(join, GROUP, host.now)
    host.pass_time(2)
    host.frames()
    times = []
    for _ in range(30):  # 0xFF: 31 << 10 tenths of a second
        host.put(query4(0xFF))
        begun = host.now
        while not (frames := host.frames()):
            host.pass_time(10)
        assert records(*frames) == {raw(GROUP): IS_EXCLUDE}
        times.append((host.now - begun) / SECOND)
    assert max(times) <= 3174.4 + 10 and max(times) > 300


def test_older_queriers_are_answered_in_their_version(host):
    host.put(query4(10, new=False))
    host.call(join, GROUP, host.now)
    frame = host.frame()
    assert frame[:6] == bytes.fromhex("01005e010203") and frame[30:34] == raw(GROUP)
    assert frame[38:] == b"\x16\0" + struct.pack(">H", ones(b"\x16\0\0\0" + raw(GROUP))) + raw(GROUP)
    host.pass_time(2)
    host.frames()
    host.put(query4(10, new=False))
    report = b"\x16\0" + struct.pack(">H", ones(b"\x16\0\0\0" + raw(GROUP))) + raw(GROUP)
    host.put(ether(0x01005E010203, ROUTER, 0x800, ip4(B, GROUP, 2, report, hops=1)))
    host.pass_time(2)
    assert host.frames() == []  # another member's report is enough
    host.call(leave, GROUP, host.now)
    assert host.frame()[30:34] == raw("224.0.0.2")
    host.pass_time(261)
    host.frames()
    host.call(join, GROUP, host.now)
    assert records(host.frame()) == {raw(GROUP): TO_EXCLUDE}


def test_older_queriers_of_ipv6_too(host):
    host.put(query6(1000, new=False))
    host.pass_time(2)
    host.frames()
    host.call(join, GROUP6, host.now)
    body = struct.pack(">BBHHH16s", 131, 0, 0, 0, 0, raw(GROUP6))
    frame = host.frame()
    assert frame[38:54] == raw(GROUP6) and frame[62:] == summed(L6, GROUP6, 58, body, 2)
    host.pass_time(2)
    host.frames()
    host.call(leave, GROUP6, host.now)
    frame = host.frame()
    assert frame[38:54] == raw("ff02::2") and frame[62] == 132


def test_what_is_no_query_is_passed_over(host):
    host.call(join, GROUP, host.now)
    host.pass_time(2)
    host.frames()
    good = query4(1)
    for at in range(38, len(good)):
        host.put(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
    host.put(ether(ME, ROUTER, 0x86DD, ip6("2001:db8::fe", A6, 58, b"\x82" + bytes(27), hops=1)))
    host.pass_time(2)
    assert host.frames() == []


def test_what_is_sent_to_a_group_comes_back_to_its_members(host):
    assert host.bind(0, "0.0.0.0", 5353) == 0
    assert host.send(0, b"alone", GROUP, 5353) == 0
    host.pass_time(0)
    assert host.receive(0) is None and len(host.frames()) == 1
    host.call(join, GROUP, host.now)
    host.frames()
    assert host.send(0, b"together", GROUP, 5353) == 0
    host.pass_time(0)
    assert host.receive(0) == (b"together", A, 5353)
    assert host.frame()[42:] == b"together"
    before = free(unit)
    assert host.send(0, bytes(5000), GROUP, 5353) == 0
    host.pass_time(0)
    assert host.receive(0) == (bytes(5000), A, 5353)
    assert len(host.frames()) == 4 and free(unit) == before


def test_what_comes_for_a_group_is_for_its_members(host):
    assert host.bind(0, "0.0.0.0", 5353) == 0
    frame = ether(0x01005E010203, ROUTER, 0x800, ip4(B, GROUP, 17, udp_bytes(B, GROUP, 5353, 5353, b"hello")))
    host.put(frame)
    assert host.receive(0) is None
    host.call(join, GROUP, host.now)
    host.put(frame)
    assert host.receive(0) == (b"hello", B, 5353)
