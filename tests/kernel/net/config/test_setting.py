"""What is said of an interface in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.net.config import setting
from goanna.kernel.net.config.setting import Setting
from goanna.metal import Slice, jit, metal, u8, u64


@metal
def parse(text: Slice[u8], into: Setting) -> bool:
    return setting.parse_setting(text, into)


@metal
def name_of(text: Slice[u8], out: Slice[u8]) -> u64:
    made = Setting()
    setting.parse_setting(text, made)
    out[0 : len(made.name)] = made.name
    return len(made.name)


unit = jit(parse, name_of)


def read(text):
    made = unit.new(Setting)
    return made if unit.call(parse, text, made) else None


def show(address):
    return address.high, address.low


def test_all_words():
    text = (b"name=eth7,mac=52:54:00:00:00:01,mtu=1400,address=10.0.0.2/24,address=fd00:0:0:0:0:0:0:2/64,"
            b"gateway=10.0.0.1,gateway=fd00::1,route=10.9.0.0/16@10.0.0.3,route=10.8.0.0/16,dns=10.0.0.1,"
            b"search=example.org,dhcp,auto")  # fmt: skip
    made = read(text)
    assert (made.mac, made.mtu, made.dhcp, made.auto) == (0x525400000001, 1400, True, True)
    assert [(show(each.address), each.length) for each in list(made.addresses)[: made.address_count]] == [
        ((0, 0xFFFF0A000002), 120), ((0xFD00 << 48, 2), 64),
    ]  # fmt: skip
    routes = [(show(each.address), each.length, show(each.gateway)) for each in list(made.routes)[: made.route_count]]
    assert routes == [
        ((0, 0xFFFF00000000), 96, (0, 0xFFFF0A000001)), ((0, 0), 0, (0xFD00 << 48, 1)),
        ((0, 0xFFFF0A090000), 112, (0, 0xFFFF0A000003)), ((0, 0xFFFF0A080000), 112, (0, 0)),
    ]  # fmt: skip
    out = bytearray(20)
    assert out[: unit.call(name_of, text, out)] == b"eth7"


@pytest.mark.parametrize(
    "text",
    [b"x", b"name=", b"name=abcdefghijklmnop", b"mtu=67", b"mtu=65536", b"mac=1", b"address=10.0.0.2/33", b"dns=x",
     b"route=10.0.0.0/8@x", b"gateway=", b"host=", b"host=a@", b"host=a b@1.1.1.1", b"dhcp=1", b"dhcp,,auto",
     b"key=value",
     b",".join([b"dns=1.1.1.1"] * 5), b",".join([b"gateway=1.1.1.1"] * 17), b",".join([b"address=1.1.1.1"] * 17)],
)  # fmt: skip
def test_what_is_wrong_is_said(text):
    assert read(text) is None


@given(text=st.lists(st.sampled_from([b"name", b"address", b"dns", b"route", b"=", b",", b"/", b"@", b"10.0.0.1", b"::",
                                      b"dhcp", b"9"]), max_size=40).map(b"".join))  # fmt: skip
def test_any_words_are_read_without_a_panic(text):
    read(text)
