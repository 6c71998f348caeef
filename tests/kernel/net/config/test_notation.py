"""Addresses in words, against Python's ipaddress."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.base.text import Text
from goanna.kernel.net.address import Address
from goanna.kernel.net.config import notation
from goanna.metal import Slice, jit, metal, u8, u64

MAPPED = 0xFFFF_0000_0000
ADDRESSES = st.ip_addresses().filter(lambda each: each.version == 4 or each.ipv4_mapped is None)


@metal
def write(address: Address, out: Slice[u8]) -> u64:
    text = Text(window=out)
    notation.put_address(text, address)
    return text.position


@pytest.fixture(scope="module")
def unit():
    return jit(write, notation.parse_address, notation.parse_prefix, notation.parse_mac, notation.parse_number)


def number_of(address):
    parsed = ipaddress.ip_address(address)
    return int(parsed) | (MAPPED if parsed.version == 4 else 0)


def parse(unit, text):
    address = unit.new(Address)
    good = unit.call(notation.parse_address, text.encode(), address)
    return address.high << 64 | address.low if good else None


@given(text=st.one_of(st.ip_addresses().map(str), st.ip_addresses(v=6).map(lambda each: each.exploded)))
def test_every_address_is_read(unit, text):
    assert parse(unit, text) == number_of(text)


@given(address=ADDRESSES)
def test_every_address_is_written_as_python_writes_it(unit, address):
    out = bytearray(64)
    number = number_of(address)
    value = unit.new(Address, high=number >> 64, low=number & (1 << 64) - 1)
    assert out[: unit.call(write, value, out)].decode() == str(address)


@given(text=st.text(alphabet="0123456789abcdefF:./ x", max_size=24))
def test_what_is_no_address_is_refused(unit, text):
    try:
        wanted = number_of(text)
    except ValueError:
        wanted = None
    found = parse(unit, text)
    if wanted is None:
        # Python takes no leading zeros in IPv4 numbers, which mean octal to some.
        assert found is None or "0" in text
    elif "." not in text or ":" not in text:
        assert found == wanted


@given(network=ADDRESSES, length=st.integers(0, 200))
def test_prefixes(unit, network, length):
    most = network.max_prefixlen
    address = unit.new(Address)
    found, good = unit.call(notation.parse_prefix, f"{network}/{length}".encode(), address)
    assert good == (length <= most)
    if good:
        assert found == length + 128 - most
    assert unit.call(notation.parse_prefix, str(network).encode(), address) == (128, True)


def test_link_addresses(unit):
    assert unit.call(notation.parse_mac, b"52:54:00:12:34:aF") == (0x5254001234AF, True)
    for wrong in (b"", b"52:54:00:12:34", b"52-54-00-12-34-56", b"52:54:00:12:34:5g", b"52:54:00:12:34:567"):
        assert not unit.call(notation.parse_mac, wrong)[1]
