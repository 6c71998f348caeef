"""Packet buffers against bytes: what is pulled, trimmed, skipped and shared, and that all memory comes back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.net import packet as packets
from goanna.kernel.net.packet import Packet
from goanna.metal import CheckFailed, jit
from tests.kernel.net.machine import ROOTS, Memory, content, free, hooks, make

with hooks():
    unit = jit(*ROOTS)

steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.binary(max_size=40)),
        st.tuples(st.just("view"), st.integers(0, 200), st.integers(1, 200)),
        st.tuples(st.just("skip"), st.integers(1, 100)),
        st.tuples(st.just("trim"), st.integers(0, 300)),
        st.tuples(st.just("gather"), st.integers(0, 100)),
        st.tuples(st.just("push"), st.binary(min_size=1, max_size=20)),
    ),
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(start=st.binary(min_size=1, max_size=60), steps=steps)
def test_a_packet_is_the_bytes_of_its_parts(start, steps):
    Memory(unit, 1 << 20)
    source = make(unit, bytes(range(200)))
    packet, model = make(unit, start), start
    for step in steps:
        if step[0] == "append":
            unit.call(Packet.append, packet, make(unit, step[1], packets.SHORT, 0))
            model += step[1]
        elif step[0] == "view":
            offset, count = step[1], min(step[2], 200 - step[1])
            if count > 0:
                part = unit.call(packets.view, source, packets.HEADROOM + offset, count)
                unit.call(Packet.append, packet, unit.address(part))
                model += bytes(range(200))[offset : offset + count]
        elif step[0] == "skip" and step[1] < len(model):
            packet = unit.address(unit.call(Packet.skip, packet, step[1]))
            model = model[step[1] :]
        elif step[0] == "trim" and step[1] <= len(model):
            unit.call(Packet.trim, packet, step[1])
            model = model[: step[1]]
            if not model:
                break
        elif step[0] == "gather":
            if unit.call(Packet.pullable, packet, step[1]):
                assert unit.at(Packet, packet).length >= step[1]
            elif step[1] <= len(model):
                assert unit.at(Packet, packet).owner  # a view has no room of its own
        elif step[0] == "push" and len(step[1]) <= unit.at(Packet, packet).start and not unit.at(Packet, packet).owner:
            unit.call(Packet.push, packet, len(step[1]))[:] = step[1]
            model = step[1] + model
        assert content(unit, packet) == model
    assert unit.call(Packet.footprint, packet) >= len(model)
    unit.call(packets.drop, source)
    unit.call(packets.drop, packet)
    assert free(unit) == 0


@pytest.mark.parametrize("size", [packets.SHORT, packets.BUFFER, packets.CHUNK])
def test_buffers_are_distinct_limited_and_come_back(size):
    memory = Memory(unit, 4 << 20)
    before = memory.free
    limit = 1 << 20
    unit.call(packets.set_limit, limit)
    most = limit if size == packets.SHORT else limit // 16 * packets.RECEIVED
    held = []
    while packet := make(unit, b"x", size, 0):
        held.append(packet)
    bytes_each = (320, 2048, 16384)[size]
    assert len(held) == len(set(held)) == most // bytes_each
    for packet in held:
        unit.call(packets.drop, packet)
    assert free(unit) == 0
    assert unit.get(packets.in_use) <= 128 * bytes_each
    assert before - memory.free <= 8 + unit.get(packets.in_use) // 4096 * 9 // 8 + 8


def test_none_when_memory_is_out():
    Memory(unit, 32 * 4096)
    held = []
    while packet := make(unit, b"x", packets.CHUNK):
        held.append(packet)
    assert 4 <= len(held) <= 8
    for packet in held:
        unit.call(packets.drop, packet)


def test_a_view_keeps_the_memory_until_the_last_is_gone():
    Memory(unit, 1 << 20)
    packet = make(unit, b"abcdef")
    part = unit.call(packets.view, packet, packets.HEADROOM + 2, 3)
    again = unit.call(packets.view, part, packets.HEADROOM + 3, 1)
    unit.call(packets.drop, packet)
    assert content(unit, part) == b"cde"
    unit.call(packets.drop, part)
    assert content(unit, again) == b"d" and free(unit) != 0
    unit.call(packets.drop, again)
    assert free(unit) == 0


def test_dropping_twice_is_caught():
    Memory(unit, 1 << 20)
    packet = make(unit, b"abc")
    unit.call(packets.drop, packet)
    with pytest.raises(CheckFailed, match="too often"):
        unit.call(packets.drop, packet)
