"""Machines by name: what settings and the runner say becomes lines of /etc/hosts."""

from hypothesis import given
from hypothesis import strategies as st

from goanna.kernel.base.text import Text
from goanna.kernel.net.config import hosts
from goanna.metal import Slice, jit, metal, u8, u64


@metal
def written(out: Slice[u8]) -> u64:
    text = Text(window=out)
    hosts.put_others(text)
    return text.position


unit = jit(written, hosts.take_host)


def take(text):
    return unit.call(hosts.take_host, text)


def lines():
    out = bytearray(1 << 16)
    return sorted(out[: unit.call(written, out)].decode(errors="replace").split("\n"))[1:]


def test_a_host_has_an_address_of_each_family_and_the_last_one_counts():
    unit.reset()
    assert take(b"db@10.0.0.2") and take(b"db@fd00::2") and take(b"web@10.0.0.3")
    assert lines() == ["10.0.0.2\tdb", "10.0.0.3\tweb", "fd00::2\tdb"]
    assert take(b"db@10.0.0.9")
    assert lines() == ["10.0.0.3\tweb", "10.0.0.9\tdb", "fd00::2\tdb"]
    assert take(b"db") and take(b"nobody")
    assert lines() == ["10.0.0.3\tweb"]
    assert take(b"db@fd00::7")
    assert lines() == ["10.0.0.3\tweb", "fd00::7\tdb"]


def test_what_is_no_host_is_not_taken():
    unit.reset()
    for text in (b"", b"@10.0.0.1", b"a@", b"a@x", b"a b@10.0.0.1", b"a\nb@10.0.0.1", b"x" * 65 + b"@10.0.0.1"):
        assert not take(text)
    assert lines() == []


def test_there_is_room_for_a_whole_segment_and_no_more():
    unit.reset()
    for number in range(256):
        assert take(b"m%d@10.0.0.1" % number)
    assert not take(b"one-more@10.0.0.1") and take(b"m7@10.0.0.2") and len(lines()) == 256


NAMES, ADDRESSES = st.sampled_from(["a", "b", "c"]), st.sampled_from(["10.0.0.1", "10.0.0.2", ""])


@given(st.lists(st.tuples(NAMES, ADDRESSES), max_size=20))
def test_any_sequence_ends_in_what_was_said_last(said):
    unit.reset()
    model = {}
    for name, address in said:
        if address:
            model[name] = address
            assert take(f"{name}@{address}".encode())
        else:
            model.pop(name, None)
            assert take(name.encode())
    assert lines() == sorted(f"{address}\t{name}" for name, address in model.items())
