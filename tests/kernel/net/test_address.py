"""Addresses against Python's ipaddress."""

from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import example, given, settings
from hypothesis import strategies as st

from goanna.kernel.net.address import Address
from goanna.metal import jit

unit = jit(Address)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


def address(value):
    result = unit.new(Address)
    if value.version == 4:
        unit.call(Address.set4, result, int(value))
    else:
        unit.call(Address.load, result, value.packed)
    return result


@settings(max_examples=400, deadline=None)
@given(addresses)
@example(IPv4Address("0.0.0.0"))
@example(IPv4Address("255.255.255.255"))
@example(IPv6Address("::1"))
@example(IPv6Address("ff02::1"))
@example(IPv6Address("::"))
@example(IPv6Address("fe80::1"))
@example(IPv4Address("169.254.3.4"))
@example(IPv4Address("127.255.0.1"))
def test_what_kind_it_is(value):
    made = address(value)
    mapped = value.version == 6 and value.ipv4_mapped
    plain = mapped or value
    assert unit.call(Address.is4, made) == (plain.version == 4)
    assert unit.call(Address.loopback, made) == plain.is_loopback
    assert unit.call(Address.multicast, made) == plain.is_multicast
    assert unit.call(Address.unspecified, made) == plain.is_unspecified
    assert unit.call(Address.link_local, made) == plain.is_link_local
    out = bytearray(16)
    unit.call(Address.store, made, out)
    assert out == (value.packed if value.version == 6 else b"\0" * 10 + b"\xff\xff" + value.packed)


@settings(max_examples=400, deadline=None)
@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.integers(0, 128), st.integers(0, 128))
def test_prefixes(a, b, shared, length):
    b = IPv6Address(int(a) ^ (int(b) >> shared))
    x, y = address(a), address(b)
    same = 128 - (int(a) ^ int(b)).bit_length()
    assert unit.call(Address.within, x, y, length) == (same >= length)
    assert unit.call(Address.common, x, y) == same
    unit.call(Address.mask, x, length)
    assert x.high << 64 | x.low == int(ip_network((a, length), strict=False).network_address)
