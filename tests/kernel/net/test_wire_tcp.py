"""TCP headers and options: what is packed is read; malformed ones end the options; the end is never overrun."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.net.wire import tcp
from goanna.metal import Array, Slice, jit, metal, u8, u32, u64
from tests.kernel.net.machine import Edge


@metal
def write_blocks(data: Slice[u8], at: u64, edges: Slice[u32]) -> u64:
    blocks = Array[tcp.Block, 4]()
    for index in range(len(edges) // 2):
        blocks[index].left = edges[index * 2]
        blocks[index].right = edges[index * 2 + 1]
    return tcp.write_sack(data, at, blocks[0 : len(edges) // 2])


unit = jit(tcp.parse, tcp.write, tcp.write_stamp, tcp.write_syn_options, write_blocks)
edge = Edge()
words, halves = st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)


def parse(data, total=None):
    found = unit.new(tcp.Segment)
    good = unit.call(tcp.parse, edge.slice(data), len(data) if total is None else total, found)
    return found if good else None


def header(flags, options, text=b""):
    options += b"\0" * (-len(options) % 4)
    return struct.pack(">HHIIBBHHH", 1, 2, 3, 4, (20 + len(options)) // 4 * 16, flags, 7, 8, 9) + options + text


@given(halves, halves, words, words, st.integers(0, 255), halves, st.binary(max_size=9))
def test_fixed_header(source, target, sequence, acknowledgment, flags, window, text):
    data = bytearray(20)
    unit.call(tcp.write, data, source, target, sequence, acknowledgment, 20, flags, window)
    assert data == struct.pack(">HHIIBBHHH", source, target, sequence, acknowledgment, 0x50, flags, window, 0, 0)
    found = parse(bytes(data) + text)
    assert (found.source, found.target, found.sequence, found.acknowledgment) == (
        source,
        target,
        sequence,
        acknowledgment,
    )
    assert (found.flags, found.window, found.length) == (flags, window, len(text))
    assert (found.stamped, found.block_count, found.mss, found.scale) == (False, 0, 0, 255)
    for cut in range(20):
        assert parse(data[:cut]) is None


@pytest.mark.parametrize("offset", range(16))
def test_data_offset_within_the_segment(offset):
    data = bytearray(header(16, b"", b"x" * 20))
    data[12] = offset << 4
    assert (parse(bytes(data)) is not None) == (5 <= offset <= 10)


@given(words, words, st.lists(words, min_size=2, max_size=6).filter(lambda each: len(each) % 2 == 0))
def test_timestamp_and_sack_written_are_read(stamp, echo, edges):
    data = bytearray(60)
    unit.call(tcp.write, data, 1, 2, 3, 4, 20, 16, 5)
    end = unit.call(tcp.write_stamp, data, 20, stamp, echo)
    assert end == 32
    end = unit.call(write_blocks, data, end, edges)
    data[12] = end // 4 * 16
    found = parse(data[:end])
    assert (found.stamped, found.stamp, found.echo, found.length) == (True, stamp, echo, 0)
    blocks = [(each.left, each.right) for each in found.blocks[: found.block_count]]
    assert [part for block in blocks for part in block] == edges


@given(halves, st.integers(0, 255), st.booleans(), st.booleans(), words, words)
def test_syn_options_written_are_read(mss, scale, sack, stamped, stamp, echo):
    data = bytearray(60)
    end = unit.call(tcp.write_syn_options, data, 20, mss, scale, sack, stamped, stamp, echo)
    unit.call(tcp.write, data, 1, 2, 3, 4, end, tcp.SYN, 5)
    found = parse(data[:end])
    assert (found.mss, found.sack_permitted, found.stamped) == (mss, sack, stamped)
    assert found.scale == (255 if scale == 255 else min(scale, 14))  # RFC 7323 2.3
    if stamped:
        assert (found.stamp, found.echo) == (stamp, echo)
    data[13] = tcp.ACK
    found = parse(data[:end])
    assert (found.mss, found.scale, found.sack_permitted) == (0, 255, False)  # they belong into a SYN


@pytest.mark.parametrize(
    ("options", "mss", "scale"),
    [
        ("020405b4", 1460, 255),
        ("0103030702 0405b4".replace(" ", ""), 1460, 7),
        ("00020405b4", 0, 255),
        ("fe04aabb020405b4", 1460, 255),  # an unknown one is passed over (RFC 9293 3.1)
        ("fe00020405b4", 0, 255),  # a length of 0 or 1 ends them
        ("fe01020405b4", 0, 255),
        ("020405b40303ff", 1460, 14),
        ("0203050000", 0, 255),
        ("01010102", 0, 255),
        ("020a05b4", 0, 255),  # longer than the header
    ],
)
def test_options_of_a_syn(options, mss, scale):
    found = parse(header(tcp.SYN, bytes.fromhex(options)))
    assert (found.mss, found.scale) == (mss, scale)


@pytest.mark.parametrize(("size", "length"), [(2, 0), (3, 255), (5, 255), (6, 4), (18, 16), (19, 255)])
def test_fast_open_cookies(size, length):
    assert parse(header(tcp.SYN, bytes([34, size]) + b"c" * (size - 2))).cookie_length == length


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 255), st.integers(0, 40))
def test_any_options_are_read_within_the_header(options, flags, cut):
    data = header(flags, options)
    found = parse(data)
    assert found is not None and found.block_count <= 4
    parse(data[: len(data) - min(cut, len(data))])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 100))
def test_any_bytes_are_read_within_the_packet(data, total):
    parse(data, total)
