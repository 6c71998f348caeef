"""IPv6 addresses, routes and name servers by routers' word: RFC 4861 6.3, RFC 4862 5.5, RFC 8106."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.net import neighbour_input, path
from goanna.kernel.net.address import Address
from goanna.kernel.net.config.autoconf import Autoconf
from goanna.kernel.net.interface import Interface, Standing
from goanna.kernel.net.wire.discovery import Router
from goanna.metal import i64, jit, metal, static, u64
from tests.kernel.net import host as hosts
from tests.kernel.net.host import SECOND, Host, ether, host_hooks, ip6, raw, show, summed
from tests.kernel.net.machine import free

ME, ROUTER = 0x020000000001, 0x0200000000FE
LINK_LOCAL = "fe80::ff:fe00:1"
FROM, OTHER = "fe80::1", "fe80::2"
PREFIX = "2001:db8:0:1::"
MINE = "2001:db8:0:1:0:ff:fe00:1"

autoconf = static(Autoconf)


@metal
def advertised(interface: Interface, source: Address, router: Router, now: u64) -> None:
    autoconf.advertised(source, router, now)


@metal
def begin(now: u64) -> None:
    autoconf.interface = hosts.device
    neighbour_input.hear_routers(advertised)
    autoconf.start(now)


@metal
def way(target: Address, hop: Address, now: u64) -> tuple[i64, u64]:
    """Where a packet to a target would go: 0 and the next hop, or an errno; and the MTU."""
    found = path.Path()
    found.target = target
    result = found.open(now)
    hop.set(found.hop.high, found.hop.low)
    return result, u64(found.mtu)


@metal
def remaining(address: Address, now: u64) -> tuple[u64, u64]:
    """Seconds that an address is valid and preferred."""
    local = hosts.device.find(address)
    if local is None:
        return 0, 0
    return (local.valid_until - now) // SECOND, (max(local.preferred_until, now) - now) // SECOND


with host_hooks():
    unit = jit(
        *hosts.HOST_ROOTS, begin, way, remaining, Autoconf.timer, Autoconf.deadline, Autoconf.stop, autoconf,
        hosts.device,
    )  # fmt: skip


class Node(Host):
    """A host with the machine under test."""

    def __init__(self):
        super().__init__(unit, ME)
        unit.call(begin, self.now)

    def pass_time(self, seconds):
        end = self.now + int(seconds * SECOND)
        while True:
            mine = unit.call(Autoconf.deadline, unit.get(autoconf))
            due = min(mine, unit.call(hosts.deadline))
            if due > end:
                break
            self.now = max(self.now, due)
            unit.call(Autoconf.timer, unit.get(autoconf), self.now)
            unit.call(hosts.timers, self.now)
        self.now = end

    def settle(self):
        self.pass_time(20)
        self.frames()
        return self

    def standing(self, address):
        return self.call(hosts.standing, address)

    def hop(self, target):
        """The next hop on the way to a target, or None; and the MTU."""
        hop = unit.new(Address)
        result, mtu = unit.call(way, self.address(target), hop, self.now)
        return (show(hop), mtu) if result == 0 else (None, 0)

    def left(self, address):
        return unit.call(remaining, self.address(address), self.now)

    def servers(self):
        return [show(each.address) for each in unit.get(autoconf).servers if each.until > self.now]


def prefix(valid=86400, preferred=14400, flags=0xC0, length=64, address=PREFIX):
    return struct.pack(">BBBBIII", 3, 4, length, flags, valid, preferred, 0) + raw(address)


def names(*servers, lifetime=600):
    return struct.pack(">BBHI", 25, 1 + 2 * len(servers), 0, lifetime) + b"".join(map(raw, servers))


def advertisement(*options, lifetime=1800, source=FROM, hops=255, hop_limit=64, code=0):
    body = struct.pack(">BBHBBHII", 134, code, 0, hop_limit, 0, lifetime, 0, 0) + b"".join(options)
    packet = ip6(source, "ff02::1", 58, summed(source, "ff02::1", 58, body, 2), hops)
    return ether(0x333300000001, ROUTER, 0x86DD, packet)


def test_rfc_4862_5_3_a_link_local_address_is_made_and_probed():
    node = Node()
    assert node.standing(LINK_LOCAL) == Standing.TENTATIVE
    node.pass_time(3)
    assert node.standing(LINK_LOCAL) == Standing.PREFERRED
    probes = [each for each in node.frames() if each[54] == 135]
    assert len(probes) == 1 and probes[0][22:38] == bytes(16) and probes[0][62:78] == raw(LINK_LOCAL)


def test_rfc_4861_6_3_7_three_solicitations_are_sent_until_a_router_answers():
    node = Node()
    node.pass_time(60)
    sent = [each for each in node.frames() if each[54] == 133]
    assert len(sent) == 3 and all(each[21] == 255 and each[38:54] == raw("ff02::2") for each in sent)
    assert sent[-1][22:38] == raw(LINK_LOCAL) and sent[-1][62:70] == b"\1\1" + ME.to_bytes(6, "big")
    other = Node()
    other.pass_time(0.05)
    other.put(advertisement())
    other.pass_time(60)
    assert not [each for each in other.frames() if each[54] == 133]


def test_an_advertisement_gives_address_routes_and_servers():
    node = Node().settle()
    assert node.hop("2001:db8:9::9") == (None, 0)
    node.put(advertisement(prefix(), names("2001:db8::53", "2001:db8::54"), b"\5\1\0\0" + struct.pack(">I", 1400)))
    assert node.standing(MINE) == Standing.TENTATIVE and node.left(MINE) == (86400, 14400)
    node.pass_time(3)
    assert node.standing(MINE) == Standing.PREFERRED
    assert node.hop("2001:db8:9::9") == (FROM, 1400) and node.hop("2001:db8:0:1::77") == ("2001:db8:0:1::77", 1400)
    assert node.servers() == ["2001:db8::53", "2001:db8::54"] or set(node.servers()) == {"2001:db8::53", "2001:db8::54"}


@pytest.mark.parametrize(
    "wrong",
    [advertisement(prefix(), hops=254), advertisement(prefix(), source="2001:db8::1"), advertisement(prefix(), code=1),
     advertisement(prefix()[:-8]), advertisement(prefix(), b"\1\0")],
)  # fmt: skip
def test_rfc_4861_6_1_2_what_is_no_router_is_not_believed(wrong):
    node = Node().settle()
    node.put(wrong)
    assert node.standing(MINE) == Standing.UNUSED and node.hop("2001:db8:9::9")[0] is None


@pytest.mark.parametrize(
    "option",
    [prefix(flags=0x80), prefix(preferred=10, valid=5), prefix(address="fe80::"), prefix(length=63), prefix(valid=0),
     prefix(length=200), prefix(address="ff02::")],
)  # fmt: skip
def test_rfc_4862_5_5_3_prefixes_that_give_no_address(option):
    node = Node().settle()
    node.put(advertisement(option))
    assert sum(each.standing != Standing.UNUSED for each in unit.get(hosts.device).addresses) == 1


def test_everything_ends_in_its_time():
    node = Node().settle()
    node.put(advertisement(prefix(valid=300, preferred=100), names("2001:db8::53", lifetime=50), lifetime=200))
    node.pass_time(49)
    assert node.servers() and node.standing(MINE) == Standing.PREFERRED
    node.pass_time(2)
    assert not node.servers()
    node.pass_time(50)
    assert node.standing(MINE) == Standing.DEPRECATED and node.hop("2001:db8:9::9")[0] == FROM
    node.pass_time(100)
    assert node.hop("2001:db8:9::9")[0] is None and node.hop("2001:db8:0:1::77")[0] is not None
    node.pass_time(100)
    assert node.standing(MINE) == Standing.UNUSED and node.hop("2001:db8:0:1::77")[0] is None


def test_later_advertisements_prolong_and_take_back():
    node = Node().settle()
    node.put(advertisement(prefix(), names("2001:db8::53")))
    node.pass_time(1000)
    node.put(advertisement(prefix(), names("2001:db8::53")))
    assert node.left(MINE) == (86400, 14400)
    node.put(advertisement(prefix(valid=86400, preferred=0), names("2001:db8::53", lifetime=0), lifetime=0))
    node.pass_time(1)
    assert node.standing(MINE) == Standing.DEPRECATED and not node.servers()
    assert node.hop("2001:db8:9::9")[0] is None
    node.put(advertisement(prefix()))
    assert node.standing(MINE) == Standing.PREFERRED and node.hop("2001:db8:9::9")[0] == FROM


def test_rfc_4862_5_5_3_e_nobody_ends_an_address_in_less_than_two_hours():
    node = Node().settle()
    node.put(advertisement(prefix(valid=86400)))
    node.put(advertisement(prefix(valid=10, preferred=10)))
    assert node.left(MINE)[0] == 7200
    node.pass_time(3600)
    node.put(advertisement(prefix(valid=10, preferred=10)))
    assert node.left(MINE)[0] == 3600
    node.put(advertisement(prefix(valid=5000, preferred=10)))
    assert node.left(MINE)[0] == 5000


def test_several_routers():
    node = Node().settle()
    node.put(advertisement(lifetime=100))
    node.put(advertisement(source=OTHER, lifetime=1000))
    assert node.hop("2001:db8:9::9")[0] == FROM
    node.pass_time(101)
    assert node.hop("2001:db8:9::9")[0] == OTHER
    for number in range(20):
        node.put(advertisement(source=f"fe80::{number + 16:x}"))
    assert node.hop("2001:db8:9::9")[0] == OTHER


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_advertisements_in_any_time(data):
    """Whatever routers say, nothing panics, nothing outlives its word, and no memory is lost."""
    node = Node().settle()
    before = free(unit)
    ends = {"router": 0, "address": 0}
    for _ in range(data.draw(st.integers(1, 15))):
        valid, preferred = data.draw(st.integers(0, 20000)), data.draw(st.integers(0, 20000))
        lifetime = data.draw(st.sampled_from([0, 5, 1800]))
        junk = data.draw(st.binary(max_size=40))
        node.put(advertisement(prefix(valid, preferred), lifetime=lifetime))
        node.put(advertisement(junk, source=data.draw(st.sampled_from([FROM, OTHER])), lifetime=0))
        ends["address"] = max(ends["address"], node.now + valid * SECOND if preferred <= valid else 0)
        node.pass_time(data.draw(st.sampled_from([0, 1, 100, 3000, 30000])))
        node.frames()
        if node.now > ends["address"] + SECOND:
            assert node.standing(MINE) == Standing.UNUSED
    node.pass_time(100000)
    node.frames()
    assert node.hop("2001:db8:9::9")[0] is None and node.hop("2001:db8:0:1::77")[0] is None
    assert node.standing(LINK_LOCAL) == Standing.PREFERRED and free(unit) == before
