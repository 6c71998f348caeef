"""Two TCP machines over a bad wire: every byte arrives once and in order, or the connection fails as RFC 9293 says.

A failure is replayed by the arguments that hypothesis prints: all chance comes from `seed`.
"""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goanna.kernel.base import errno
from goanna.kernel.net import packet
from goanna.kernel.net.tcp import connection
from goanna.kernel.net.tcp.connection import State
from goanna.metal import jit
from tests.kernel.net.machine import Memory
from tests.kernel.net.tcp.machine import ROOTS, free, hooks
from tests.kernel.net.tcp.wire import Reader, Wire, Writer

with hooks():
    unit = jit(*ROOTS)


def transfer(wire, ab, ba, seconds=3600, pause=5, read_pause=5, most=65536):
    """Bytes in both directions at once, then both shut down. What each got."""
    writers = Writer(wire.a, ab, wire.chance, pause), Writer(wire.b, ba, wire.chance, pause)
    readers = Reader(wire.a, wire.chance, read_pause, most), Reader(wire.b, wire.chance, read_pause, most)
    wire.actors = [*writers, *readers]
    wire.connect()

    def over():
        return all(
            end.connection.state in (State.CLOSED.value, State.TIME_WAIT.value) and end.connection.events
            for end in (wire.a, wire.b)
        ) and not any(end.received_bytes for end in (wire.a, wire.b))

    wire.run(seconds, over)
    return readers[1].got, readers[0].got


def end_all(wire):
    for end in (wire.a, wire.b):
        end.call(connection.discard)
    assert free(unit) == 0
    assert unit.call(connection.flights.in_use) == 0 and unit.call(connection.runs.in_use) == 0


options = st.fixed_dictionaries(
    {},
    optional={
        "sack": st.booleans(), "stamps": st.booleans(), "scaling": st.booleans(), "no_delay": st.booleans(),
        "mtu": st.sampled_from([576, 1280, 1500, 9000]), "segment_limit": st.sampled_from([0, 16000, 65000]),
        "receive_limit": st.sampled_from([4096, 20000, 131072, 1 << 20]),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32), loss=st.sampled_from([0, 0, 0.01, 0.05, 0.2]), twice=st.sampled_from([0, 0, 0.05]),
    damage=st.sampled_from([0, 0, 0.03]), delay=st.sampled_from([0, 1, 20, 150]), jitter=st.sampled_from([0, 0, 3, 60]),
    rate=st.sampled_from([None, None, 50_000, 2_000_000]), version=st.sampled_from([4, 6]),
    sizes=st.tuples(st.sampled_from([0, 1, 3000, 60000]), st.sampled_from([0, 1, 1500, 60000])),
    ends=st.tuples(options, options), most=st.sampled_from([100, 65536]),
)  # fmt: skip
def test_every_byte_arrives_once_and_in_order(
    seed, loss, twice, damage, delay, jitter, rate, version, sizes, ends, most
):
    memory = Memory(unit, 16 << 20)
    assert memory.free
    if version == 6:
        ends = tuple({**each, "mtu": max(each.get("mtu", 1500), 1280)} for each in ends)
    wire = Wire(unit, seed, loss, twice, damage, delay, jitter, rate, version=version, ends=ends)
    source = random.Random(seed + 1)
    ab, ba = (source.randbytes(size) for size in sizes)
    got_ab, got_ba = transfer(wire, ab, ba, most=most)
    assert got_ab == ab and got_ba == ba
    assert {wire.a.error, wire.b.error} == {0}
    wire.run(61)
    assert wire.a.connection.state == State.CLOSED.value == wire.b.connection.state
    end_all(wire)


@pytest.mark.parametrize("sack", [True, False])
def test_a_clean_wire_repeats_nothing(sack):
    Memory(unit, 16 << 20)
    wire = Wire(unit, 1, ends=({"sack": sack}, {}))
    data = random.Random(5).randbytes(1_000_000)
    assert transfer(wire, data, b"", pause=1, read_pause=1)[0] == data
    assert wire.sent < 1_000_000 / 1448 * 1.6 + 60


def test_a_wire_that_is_cut_ends_by_a_timeout():
    Memory(unit, 16 << 20)
    wire = Wire(unit, 1)
    wire.open()
    wire.a.write(b"x" * 1000, wire.now)
    wire.loss = 1.1
    wire.collect(wire.a)
    start = wire.now
    wire.run(3600)
    assert wire.a.error == errno.ETIMEDOUT and wire.a.connection.state == State.CLOSED.value
    assert wire.b.connection.state == State.ESTABLISHED.value
    assert 100 < wire.sent < 200 or wire.sent < 30
    assert start
    end_all(wire)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), limit=st.sampled_from([60_000, 150_000]), loss=st.sampled_from([0, 0.02]))
@example(seed=1366262480, limit=60_000, loss=0.02)  # a send queue and text out of order held all memory
def test_memory_that_runs_out_delays_but_loses_nothing(seed, limit, loss):
    """Both ends share what there is: buffers are refused in the middle of everything."""
    Memory(unit, 16 << 20)
    unit.call(packet.set_limit, limit)
    wire = Wire(unit, seed, loss, jitter=2, ends=({"receive_limit": 40000}, {"receive_limit": 40000}))
    data = random.Random(seed).randbytes(100_000)
    got, _ = transfer(wire, data, b"", seconds=3600)
    assert got == data and {wire.a.error, wire.b.error} == {0}
    wire.run(61)
    end_all(wire)
