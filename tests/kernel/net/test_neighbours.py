"""Neighbours and addresses, message by message: RFC 826, RFC 4861, RFC 5227, RFC 4862."""

import struct
from itertools import pairwise

import pytest

from goanna.kernel.net.interface import Standing
from goanna.kernel.net.wire.ethernet import BROADCAST
from goanna.metal import jit
from tests.kernel.net import host as hosts
from tests.kernel.net.host import SECOND, Host, arp_bytes, ether, host_hooks, ip4, ip6, raw, summed, udp_bytes
from tests.kernel.net.machine import free

with host_hooks():
    unit = jit(*hosts.HOST_ROOTS)

ME, PEER, OTHER = 0x020000000001, 0x020000000002, 0x020000000003
A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
A6, B6 = "2001:db8::1", "2001:db8::2"


@pytest.fixture
def host():
    made = Host(unit, ME)
    made.add(A + "/24")
    made.add(A6 + "/64")
    made.pass_time(5)
    made.frames()  # announcements
    assert made.bind(0, "0.0.0.0", 1000) == 0 and made.bind(1, "::", 1000, 1) == 0
    return made


def ask(sender, target, mac=PEER):
    return ether(BROADCAST, mac, 0x806, arp_bytes(1, mac, sender, 0, target))


def solicitation(source, target, group=True, mac=PEER, hops=255, option=True):
    body = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + raw(target) + (b"\1\1" + mac.to_bytes(6, "big") if option else b"")
    to = "ff02::1:ff" + raw(target)[13:14].hex() + ":" + raw(target)[14:].hex() if group else target
    link = 0x3333FF000000 | int.from_bytes(raw(target)[13:], "big") if group else ME
    return ether(link, mac, 0x86DD, ip6(source, to, 58, summed(source, to, 58, body, 2), hops))


def advertisement(target, mac, flags=0x60, to=A6, link=ME):
    body = bytes([136, 0, 0, 0, flags, 0, 0, 0]) + raw(target) + b"\2\1" + mac.to_bytes(6, "big")
    return ether(link, mac, 0x86DD, ip6(target, to, 58, summed(target, to, 58, body, 2), 255))


def test_rfc_826_a_request_for_us_is_answered_and_learnt_from(host):
    host.put(ask(B, A))
    assert host.frame() == ether(PEER, ME, 0x806, arp_bytes(2, ME, A, PEER, B))
    assert host.send(0, b"x", B, 7) == 0
    sent = ip4(A, B, 17, udp_bytes(A, B, 1000, 7, b"x"), 0, 0x4000)
    assert strip(host.frame()) == strip(ether(PEER, ME, 0x800, sent))


def strip(frame):
    """A frame without what is random in it: the identification of IPv4 and its checksum."""
    assert frame[12:14] != b"\x08\x00" or hosts.ones(frame[14:34]) == 0
    return frame if frame[12:14] != b"\x08\x00" else frame[:18] + b"\0\0" + frame[20:24] + b"\0\0" + frame[26:]


def test_a_request_for_another_is_neither_answered_nor_remembered(host):
    host.put(ask(B, C))
    assert host.frames() == [] and host.unit.call(hosts.neighbours) == 0


def test_packets_wait_for_the_answer_and_go_in_order(host):
    for data in (b"1", b"2", b"3"):
        assert host.send(0, data, B, 7) == 0
    assert host.frame() == ether(BROADCAST, ME, 0x806, arp_bytes(1, ME, A, 0, B))
    host.put(ether(ME, PEER, 0x806, arp_bytes(2, PEER, B, ME, A)))
    frames = host.frames()
    assert [frame[-1:] for frame in frames] == [b"1", b"2", b"3"]
    assert all(frame[:6] == PEER.to_bytes(6, "big") for frame in frames)
    assert host.call(hosts.reach_of, B) == 1


def test_rfc_1122_2_3_2_2_at_most_so_many_wait(host):
    for number in range(100):
        host.send(0, bytes([number]), B, 7)
    host.frames()
    host.put(ether(ME, PEER, 0x806, arp_bytes(2, PEER, B, ME, A)))
    assert [frame[-1] for frame in host.frames()] == list(range(36, 100))


def test_nobody_answers(host):
    """RFC 4861 7.2.2: three solicitations, a second apart, then the sender hears of it."""
    host.call(hosts.connect, 0, B, 7, host.now)
    assert host.send(0, b"x", B, 7) == 0
    times = [host.now]
    assert len(host.frames()) == 1
    for _ in range(3):
        host.pass_time(1)
        times += [host.now] * len(host.frames())
    assert len(times) == 3 and host.unit.call(hosts.neighbours) == 0
    host.unit.call(hosts.close, 0)
    host.unit.call(hosts.close, 1)
    assert free(host.unit) == 0
    assert host.unit.static(hosts.network.counters).ip_dropped == 0


def test_rfc_4861_7_3_3_a_stale_neighbour_is_used_then_probed(host):
    host.put(ask(B, A))
    host.frames()
    assert host.call(hosts.reach_of, B) == 2
    host.send(0, b"x", B, 7)
    assert len(host.frames()) == 1  # at once, to what is known
    host.pass_time(4.9)
    assert host.frames() == []
    host.pass_time(0.2)
    assert host.frame() == ether(PEER, ME, 0x806, arp_bytes(1, ME, A, 0, B))  # to it alone
    host.put(ether(ME, PEER, 0x806, arp_bytes(2, PEER, B, ME, A)))
    assert host.call(hosts.reach_of, B) == 1
    host.pass_time(46)
    assert host.call(hosts.reach_of, B) == 2


def test_rfc_4861_7_3_3_probes_without_answer_end_it(host):
    host.put(ask(B, A))
    host.send(0, b"x", B, 7)
    host.frames()
    host.pass_time(5.01)
    host.pass_time(2.5)
    assert len(host.frames()) == 3
    host.pass_time(1)
    assert host.call(hosts.reach_of, B) == 99
    host.send(0, b"y", B, 7)
    assert host.frame()[12:14] == b"\x08\x06"  # asks all anew


def test_a_moved_neighbour_is_followed(host):
    host.put(ask(B, A))
    host.send(0, b"x", B, 7)
    host.frames()
    host.put(ether(BROADCAST, OTHER, 0x806, arp_bytes(1, OTHER, B, 0, B)))  # gratuitous
    host.send(0, b"y", B, 7)
    assert host.frame()[:6] == OTHER.to_bytes(6, "big")


def test_a_table_full_of_strangers_has_an_end(host):
    for number in range(1500):
        host.send(0, b"x", f"10.0.{number // 250}.{number % 250 + 3}" if number < 250 else f"10.0.0.{number % 250}", 7)
    for number in range(1500):
        host.put(ask(f"10.{number >> 8}.{number & 255}.9", A, PEER + number))
    assert host.unit.call(hosts.neighbours) <= 1024


def test_rfc_5227_2_1_1_an_address_is_probed_before_it_is_used():
    host = Host(unit, ME)
    host.add(A + "/24", probe=True)
    probes = []
    while host.call(hosts.standing, A) == Standing.TENTATIVE.value:
        host.pass_time(0.05)
        probes += [(host.now, frame) for frame in host.frames()]
        assert host.now < 12 * SECOND
    assert [frame for _, frame in probes[:3]] == [ether(BROADCAST, ME, 0x806, arp_bytes(1, ME, "0.0.0.0", 0, A))] * 3
    assert probes[0][0] <= 2.06 * SECOND
    assert all(SECOND <= b - a + SECOND // 20 <= 2.1 * SECOND for (a, _), (b, _) in pairwise(probes[:3]))
    assert host.now - probes[2][0] >= 1.9 * SECOND
    host.pass_time(3)
    announced = [frame for _, frame in probes[3:]] + host.frames()
    assert announced == [ether(BROADCAST, ME, 0x806, arp_bytes(1, ME, A, 0, A))] * 2  # 2.3


@pytest.mark.parametrize(
    "message", [arp_bytes(2, PEER, A, ME, "0.0.0.0"), arp_bytes(1, PEER, A, 0, C), arp_bytes(1, PEER, "0.0.0.0", 0, A)]
)
def test_rfc_5227_2_1_1_a_conflict_while_probing_loses_the_address(message):
    host = Host(unit, ME)
    host.add(A + "/24", probe=True)
    host.pass_time(2)
    host.put(ether(BROADCAST, PEER, 0x806, message))
    assert host.call(hosts.standing, A) == Standing.DUPLICATE.value and host.unit.get(hosts.lost) == 1
    host.frames()
    host.put(ask(B, A))
    host.pass_time(10)
    assert host.frames() == []


def test_rfc_5227_2_4_an_address_in_use_is_defended_once_in_ten_seconds(host):
    theirs = ether(BROADCAST, PEER, 0x806, arp_bytes(1, PEER, A, 0, C))
    host.put(theirs)
    assert host.frame() == ether(BROADCAST, ME, 0x806, arp_bytes(1, ME, A, 0, A))
    host.put(theirs)
    assert host.frames() == []
    host.pass_time(10)
    host.put(theirs)
    assert len(host.frames()) == 1
    assert host.call(hosts.standing, A) == Standing.PREFERRED.value


def test_rfc_4861_7_2_4_a_solicitation_is_answered(host):
    host.put(solicitation(B6, A6))
    frame = host.frame()
    assert frame == advertisement(A6, ME, 0x60, B6, PEER)
    assert host.call(hosts.reach_of, B6) == 2


def test_rfc_4861_7_1_1_only_from_the_link(host):
    host.put(solicitation(B6, A6, hops=254))
    assert host.frames() == []


def test_rfc_4861_7_2_2_and_7_2_5_asking_for_an_ip6_neighbour(host):
    assert host.send(1, b"hello", B6, 7) == 0
    frame = host.frame()
    assert frame == solicitation(A6, B6, mac=ME)
    host.put(advertisement(B6, PEER))
    assert host.frame() == ether(PEER, ME, 0x86DD, ip6(A6, B6, 17, udp_bytes(A6, B6, 1000, 7, b"hello")))
    assert host.call(hosts.reach_of, B6) == 1
    host.put(advertisement(B6, OTHER, 0x40))  # no override: doubt, but the old link address (7.2.5)
    assert host.call(hosts.reach_of, B6) == 2
    host.send(1, b"x", B6, 7)
    assert host.frame()[:6] == PEER.to_bytes(6, "big")
    host.put(advertisement(B6, OTHER, 0x20))  # override
    host.send(1, b"x", B6, 7)
    assert host.frame()[:6] == OTHER.to_bytes(6, "big")


def test_rfc_4861_7_2_5_an_advertisement_nobody_asked_for_makes_no_entry(host):
    host.put(advertisement(B6, PEER))
    assert host.call(hosts.reach_of, B6) == 99


def test_rfc_4862_5_4_duplicate_detection():
    host = Host(unit, ME)
    host.add(A6 + "/64", probe=True)
    host.pass_time(1.01)
    report, frame = host.frames()
    assert report[38:54] == raw("ff02::16") and report[62] == 143  # 5.4.2: it joins the solicited-node group before
    assert frame == solicitation("::", A6, mac=ME, option=False)
    host.put(solicitation(B6, A6))
    assert host.frames() == []  # 5.4.3: a tentative address answers nobody
    host.pass_time(1)
    assert host.call(hosts.standing, A6) == Standing.PREFERRED.value


@pytest.mark.parametrize("how", ["advertisement", "probe"])
def test_rfc_4862_5_4_3_and_5_4_4_somebody_has_it(how):
    host = Host(unit, ME)
    host.add(A6 + "/64", probe=True)
    if how == "advertisement":
        host.put(advertisement(A6, PEER, 0x20, "ff02::1", 0x333300000001))
    else:
        host.put(solicitation("::", A6, option=False))
    assert host.call(hosts.standing, A6) == Standing.DUPLICATE.value


def test_rfc_4861_7_2_4_a_probe_for_ours_is_answered_to_all(host):
    host.put(solicitation("::", A6, option=False))
    frame = host.frame()
    assert frame[:6] == bytes.fromhex("333300000001") and frame[14 + 40] == 136
    assert struct.unpack(">I", frame[58:62])[0] == 0x20000000
