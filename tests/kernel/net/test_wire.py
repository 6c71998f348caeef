"""Wire formats below TCP: what Python's struct packs is read as it was meant; no bytes are read beyond the end."""

import ipaddress
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.net.address import Address
from goanna.kernel.net.wire import arp, discovery, ethernet, icmp, ip4, ip6, udp
from goanna.kernel.net.wire.ip6 import Verdict
from goanna.metal import jit
from tests.kernel.net.machine import Edge

unit = jit(
    arp.parse, arp.write, discovery.parse, discovery.parse_router, discovery.write_neighbour,
    discovery.write_router_solicitation, ethernet.parse, ethernet.write, icmp.parse, ip4.parse, ip4.parse_options,
    ip4.write, ip6.parse, ip6.walk, ip6.write, udp.parse, udp.write, Address,
)  # fmt: skip
edge = Edge()
macs, halves, words = st.integers(0, 2**48 - 1), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
sixes = st.ip_addresses(v=6)


def mac(number):
    return number.to_bytes(6, "big")


def text(address):
    return ipaddress.IPv6Address(address.high << 64 | address.low)


def ip_parse(version, data, found):
    return unit.call(version.parse, edge.slice(data), len(data), found)


def ones(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@settings(max_examples=150, deadline=None)
@given(macs, macs, st.sampled_from([0x800, 0x806, 0x86DD]), st.lists(halves, max_size=3), st.binary(max_size=9))
def test_ethernet(target, source, kind, tags, rest):
    head = b"".join(struct.pack(">HH", 0x8100 if n else 0x88A8, tag) for n, tag in enumerate(tags))
    data = mac(target) + mac(source) + head + struct.pack(">H", kind) + rest
    frame = unit.new(ethernet.Frame)
    assert unit.call(ethernet.parse, edge.slice(data), frame) == (len(tags) < 3)
    if len(tags) < 3:
        assert (frame.target, frame.source, frame.kind) == (target, source, kind)
        assert frame.length == len(data) - len(rest) and frame.tag == (tags[0] if tags else 0)
        for cut in range(frame.length):
            assert not unit.call(ethernet.parse, edge.slice(data[:cut]), frame)


@given(macs, macs, halves, st.sampled_from([0, 1, 4094]))
def test_ethernet_written_is_read(target, source, kind, vlan):
    data = bytearray(18 if vlan else 14)
    unit.call(ethernet.write, data, target, source, kind | 0x600, vlan)
    frame = unit.new(ethernet.Frame)
    assert unit.call(ethernet.parse, data, frame) == (kind | 0x600 not in (0x8100, 0x88A8))
    assert (frame.target, frame.source, frame.tag) == (target, source, vlan)


def test_a_length_is_no_type():
    assert not unit.call(ethernet.parse, bytes(12) + b"\x05\xdc" + bytes(60), unit.new(ethernet.Frame))


@given(st.integers(0, 3), macs, words, macs, words)
def test_arp(operation, sender_mac, sender, target_mac, target):
    data = struct.pack(">HHBBH6sI6sI", 1, 0x800, 6, 4, operation, mac(sender_mac), sender, mac(target_mac), target)
    message = unit.new(arp.Arp)
    assert unit.call(arp.parse, edge.slice(data), message) == (operation in (1, 2))
    fields = (message.operation, message.sender_mac, message.sender, message.target_mac, message.target)
    assert fields == (operation, sender_mac, sender, target_mac, target)
    out = bytearray(28)
    unit.call(arp.write, out, message)
    assert out == data
    assert not unit.call(arp.parse, edge.slice(data[:-1]), message)
    for place in (1, 3, 4, 5):  # hardware and protocol, and their sizes
        assert not unit.call(arp.parse, data[:place] + bytes([data[place] + 1]) + data[place + 1 :], message)


@settings(max_examples=200, deadline=None)
@given(
    halves, st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), words, words,
    st.integers(0, 10), st.binary(max_size=30), st.integers(0, 59), st.integers(1, 0xFFFF),
)  # fmt: skip
def test_ip4(identification, fragment, traffic, hops, protocol, source, target, options, rest, damaged, by):
    size = 20 + options * 4
    header = unit.new(
        ip4.Header, source=source, target=target, header_length=size, total_length=size + len(rest),
        identification=identification, fragment=fragment, traffic=traffic, hops=hops, protocol=protocol,
    )  # fmt: skip
    data = bytearray(20) + b"\x01" * (options * 4)
    unit.call(ip4.write, data, header)
    assert ones(bytes(data)) == 0xFFFF
    expected = struct.pack(
        ">BBHHHBBHII", 0x40 + size // 4, traffic, size + len(rest), identification, fragment, hops, protocol, 0,
        source, target,
    )  # fmt: skip
    assert data[:10] == expected[:10] and data[12:20] == expected[12:]
    whole, found = bytes(data) + rest, unit.new(ip4.Header)
    assert ip_parse(ip4, whole, found) and bytes(found) == bytes(header)
    assert ip_parse(ip4, whole + b"padding", found)
    assert not ip_parse(ip4, whole[:-1], found)
    place = damaged % size & ~1
    old = struct.unpack_from(">H", whole, place)[0]
    if (old ^ by) % 0xFFFF != old % 0xFFFF:
        wrong = bytearray(whole)
        struct.pack_into(">H", wrong, place, old ^ by)
        assert not ip_parse(ip4, wrong, found)


@pytest.mark.parametrize(
    ("options", "good", "pointer", "route", "alert"),
    [
        ("01010101", True, 0, False, False),
        ("94040000", True, 0, False, True),  # RFC 2113
        ("8307040102030400", True, 0, True, False),
        ("0189070401020304", True, 0, True, False),
        ("83020000", False, 20, False, False),
        ("0183030483030400", False, 24, True, False),
        ("0701ffff", False, 20, False, False),
        ("010107ff", False, 22, False, False),
        ("01010107", False, 23, False, False),
        ("00ffffff", True, 0, False, False),
        ("94030000", False, 20, False, False),
    ],
)
def test_ip4_options(options, good, pointer, route, alert):
    found = unit.new(ip4.Options)
    data = edge.slice(bytes(20) + bytes.fromhex(options))
    assert unit.call(ip4.parse_options, data, found) == good
    assert (found.pointer, found.source_route, found.router_alert) == (pointer, route, alert)


@given(
    st.integers(0, 255),
    st.integers(0, 0xFFFFF),
    st.integers(0, 255),
    st.integers(0, 255),
    sixes,
    sixes,
    st.binary(max_size=9),
)
def test_ip6(traffic, flow, following, hops, source, target, rest):
    first = 6 << 28 | traffic << 20 | flow
    data = struct.pack(">IHBB", first, len(rest), following, hops) + source.packed + target.packed + rest
    header = unit.new(ip6.Header)
    assert ip_parse(ip6, data, header)
    assert (header.traffic, header.flow, header.next, header.hops) == (traffic, flow, following, hops)
    assert (text(header.source), text(header.target), header.payload_length) == (source, target, len(rest))
    out = bytearray(40)
    unit.call(ip6.write, out, header)
    assert out + rest == data
    assert not ip_parse(ip6, data[:-1], header)
    assert not ip_parse(ip6, b"\x40" + data[1:], header)


def chain(*headers):
    """An IPv6 packet of (next header, bytes) in turn; the first names what the fixed header announces."""
    body = b"".join(each for _, each in headers)
    return bytes([0x60, 0, 0, 0]) + struct.pack(">H", len(body)) + bytes([headers[0][0], 64]) + bytes(32) + body


TCP = (6, bytes(20))
PAD = bytes([1, 4, 0, 0, 0, 0])


def walk(data):
    found = unit.new(ip6.Chain)
    verdict = unit.call(ip6.walk, edge.slice(data), data[6], found)
    return verdict, found


def test_ip6_chain_of_all_headers():
    fragment = struct.pack(">BBHI", 6, 0, 0x1230 | 1, 77)
    data = chain((0, bytes([43, 0]) + b"\x05\x02\0\0" + b"\1\0"), (43, bytes([60, 0, 4, 0]) + bytes(4)),
                 (60, bytes([44, 0]) + PAD), (44, fragment), TCP)  # fmt: skip
    verdict, found = walk(data)
    assert verdict == Verdict.GOOD.value and found.router_alert
    assert (found.protocol, found.offset, found.fragment, found.before) == (6, 72, 64, 64)
    assert (found.more, found.fragment_offset, found.identification) == (True, 0x1230, 77)


def test_rfc_8200_4_2_unknown_options_say_what_to_do():
    for number, verdict in ((0x3E, Verdict.GOOD), (0x7E, Verdict.DROP), (0xBE, Verdict.UNKNOWN_OPTION),
                            (0xFE, Verdict.UNKNOWN_OPTION_UNICAST)):  # fmt: skip
        got, found = walk(chain((60, bytes([6, 0, 0, 0, number, 2, 0, 0])), TCP))
        assert got == verdict.value
        if verdict not in (Verdict.GOOD, Verdict.DROP):
            assert found.pointer == 44


def test_rfc_8200_4_3_hop_by_hop_comes_first_or_not_at_all():
    verdict, found = walk(chain((60, bytes([0, 0]) + PAD), (0, bytes([6, 0]) + PAD), TCP))
    assert verdict == Verdict.UNKNOWN_HEADER.value and found.pointer == 40


def test_rfc_5095_routing_headers_are_not_followed():
    verdict, found = walk(chain((43, bytes([6, 2, 0, 1]) + bytes(20)), TCP))
    assert verdict == Verdict.ERRONEOUS.value and found.pointer == 42


def test_rfc_8200_4_7_no_next_header():
    assert walk(chain((59, b"whatever")))[0] == Verdict.END.value


def test_an_endless_chain_ends():
    assert walk(chain(*[(60, bytes([60, 0]) + PAD)] * 40, TCP))[0] == Verdict.DROP.value
    assert walk(chain((60, bytes([6, 15]) + b"\0" * 126), TCP))[0] == Verdict.DROP.value


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([0, 6, 17, 43, 44, 51, 58, 59, 60, 255]))
def test_any_bytes_are_a_chain_within_the_packet(body, first):
    data = chain((first, body))
    verdict, found = walk(data)
    if verdict == Verdict.GOOD.value:
        assert 40 <= found.offset <= len(data)


@settings(max_examples=600, deadline=None)
@given(st.binary(max_size=130), st.sampled_from([133, 134, 135, 136, 137]))
def test_any_bytes_are_read_within_the_packet(body, kind):
    for parse, out in (
        (ethernet.parse, ethernet.Frame), (arp.parse, arp.Arp), 
        (icmp.parse, icmp.Message), (discovery.parse, discovery.Discovery), (discovery.parse_router, discovery.Router),
    ):  # fmt: skip
        for data in (body, bytes([kind]) + body, bytes([kind, 0]) + body, b"\x45" + body):
            unit.call(parse, edge.slice(data), unit.new(out))
    for version in (ip4, ip6):
        for data in (body, b"\x45" + body, b"\x60" + body):
            ip_parse(version, data, unit.new(version.Header))
    unit.call(udp.parse, edge.slice(body), len(body), unit.new(udp.Datagram))
    unit.call(ip4.parse_options, edge.slice(bytes(20) + body[:40]), unit.new(ip4.Options))


@given(sixes, macs, st.booleans(), st.integers(0, 255))
def test_neighbour_messages(target, link, solicitation, flags):
    out, kind = bytearray(40), 135 if solicitation else 136
    made = unit.new(Address)
    unit.call(Address.load, made, target.packed)
    size = unit.call(discovery.write_neighbour, out, kind, flags, made, link)
    option = bytes([1 if solicitation else 2, 1]) + mac(link) if link else b""
    assert out[:size] == bytes([kind, 0, 0, 0, flags, 0, 0, 0]) + target.packed + option
    found = unit.new(discovery.Discovery)
    multicast = (target.ipv4_mapped or target).is_multicast  # older Pythons don't look into the mapped address
    assert unit.call(discovery.parse, edge.slice(out[:size]), found) == (not multicast)
    if not multicast:
        assert text(found.target) == target and found.flags == flags
        assert (found.source_mac if solicitation else found.target_mac) == link


def test_rfc_4861_4_6_an_option_of_no_length_spoils_the_message():
    data = bytes([135, 0]) + bytes(6) + ipaddress.IPv6Address("fe80::1").packed
    found = unit.new(discovery.Discovery)
    assert unit.call(discovery.parse, edge.slice(data), found)
    assert not unit.call(discovery.parse, edge.slice(data + bytes(8)), found)
    assert not unit.call(discovery.parse, edge.slice(data + b"\1\2" + bytes(6)), found)
    assert unit.call(discovery.parse, edge.slice(data + b"\xfd\1" + bytes(6)), found)  # unknown: passed over


def test_a_router_advertisement():
    prefixes = [ipaddress.ip_network("2001:db8:1::/64"), ipaddress.ip_network("2001:db8:2::/48")]
    data = bytes([134, 0, 0, 0, 64, 0x80]) + struct.pack(">HII", 1800, 30000, 1000)
    data += bytes([1, 1, 2, 0, 0, 0, 0, 9]) + struct.pack(">BBHI", 5, 1, 0, 1400)
    for each in prefixes:
        data += struct.pack(">BBBBIII", 3, 4, each.prefixlen, 0xC0, 86400, 3600, 0) + each.network_address.packed
    data += struct.pack(">BBHI", 25, 5, 0, 600) + b"".join(
        ipaddress.IPv6Address(f"2001:db8::{n}").packed for n in (1, 2)
    )
    found = unit.new(discovery.Router)
    assert unit.call(discovery.parse_router, edge.slice(data), found)
    assert (found.hops, found.flags, found.lifetime, found.reachable, found.retransmit) == (64, 0x80, 1800, 30000, 1000)
    assert (found.mtu, found.source_mac, found.prefix_count, found.server_count) == (1400, 0x020000000009, 2, 2)
    for each, entry in zip(prefixes, found.prefixes, strict=False):
        assert text(entry.prefix) == each.network_address and entry.length == each.prefixlen
        assert (entry.flags, entry.valid, entry.preferred) == (0xC0, 86400, 3600)
    assert [str(text(each)) for each in found.servers[:2]] == ["2001:db8::1", "2001:db8::2"]
    for cut in range(16, len(data)):
        unit.call(discovery.parse_router, edge.slice(data[:cut]), found)


def test_more_prefixes_than_are_kept():
    data = bytes([134]) + bytes(15) + (struct.pack(">BBBB", 3, 4, 64, 0xC0) + bytes(28)) * 20
    found = unit.new(discovery.Router)
    assert unit.call(discovery.parse_router, edge.slice(data), found)
    assert found.prefix_count == discovery.MOST_PREFIXES


@given(halves, halves, st.integers(0, 40), st.binary(max_size=20), st.integers(0, 5))
def test_udp(source, target, length, rest, sum):
    data = struct.pack(">HHHH", source, target, length, sum) + rest
    found = unit.new(udp.Datagram)
    assert unit.call(udp.parse, edge.slice(data), len(data), found) == (8 <= length <= len(data))
    assert (found.source, found.target, found.length, found.summed) == (source, target, length, sum != 0)
    out = bytearray(8)
    unit.call(udp.write, out, source, target, length)
    assert out == data[:6] + b"\0\0"
