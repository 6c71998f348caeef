"""The Internet checksum against four lines of Python."""

import ipaddress
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.net import checksum
from goanna.metal import Slice, jit, metal, u8, u16, u32, u64
from tests.kernel.net.machine import Edge


def plain(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@metal
def of(data: Slice[u8]) -> u16:
    return checksum.finish(checksum.summed(data))


@metal
def of_two(first: Slice[u8], second: Slice[u8]) -> u16:
    return checksum.finish(checksum.joined(checksum.summed(first), checksum.summed(second), len(first)))


@metal
def with_pseudo(data: Slice[u8], sh: u64, sl: u64, th: u64, tl: u64, protocol: u8) -> u16:
    head = checksum.pseudo_header(sh, sl, th, tl, protocol, u32(len(data)))
    return checksum.finish(checksum.joined(head, checksum.summed(data), 0))


@metal
def after_change(sum: u16, old: u16, new: u16) -> u16:
    return checksum.replaced(sum, old, new)


unit = jit(of, of_two, with_pseudo, after_change)
edge = Edge()


def network(value):
    return int.from_bytes(value.to_bytes(2, "little"), "big")


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.integers(0, 3000).map(lambda n: b"\xff" * n)))
def test_as_rfc_1071_defines_it(data):
    assert network(unit.call(of, edge.slice(data))) == plain(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=65), st.binary(max_size=65))
def test_in_two_parts_of_any_length(first, second):
    assert network(unit.call(of_two, first, second)) == plain(first + second)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=64),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 255),
)
def test_pseudo_headers_of_both_families(data, source, target, protocol):
    six = source + target + struct.pack(">IxxxB", len(data), protocol)
    numbers = struct.unpack(">4Q", source + target)
    assert network(unit.call(with_pseudo, data, *numbers, protocol)) == plain(six + data)
    four = source[:4] + target[:4] + struct.pack(">BBH", 0, protocol, len(data))
    numbers = [int(ipaddress.ip_address(each[:4])) for each in (source, target)]
    assert network(unit.call(with_pseudo, data, 0, numbers[0], 0, numbers[1], protocol)) == plain(four + data)


@given(st.binary(min_size=2, max_size=40), st.binary(min_size=2, max_size=2))
def test_a_changed_word(data, word):
    before, after = data, word + data[2:]
    little = [int.from_bytes(each, "little") for each in (data[:2], word)]
    changed = unit.call(after_change, unit.call(of, before), *little)
    assert network(changed) in (plain(after), plain(after) ^ 0xFFFF if plain(after) in (0, 0xFFFF) else plain(after))
