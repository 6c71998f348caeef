"""Virtqueues against a device that finishes chains in any order, asks for notifications at any time, and lies."""

import ctypes
import mmap
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.device.virtio.queue import Part, Queue
from goanna.kernel.memory import placement
from goanna.metal import Array, CheckFailed, jit, metal, static, u16, u32, u64
from tests.kernel.device.virtio import model as device
from tests.kernel.hooks import filled
from tests.kernel.memory.machine import random_u64

ROOM = 1 << 20
queue = static(Queue)


@metal
def start(address: u64, size: u64, count: u16, event_index: bool) -> bool:
    device.start_memory(address, size)
    return queue.start(0, count, event_index)


@metal
def add(first: u64, count: u32, readable: u64, token: u64) -> bool:
    parts = Array[Part, 8]()
    for index in range(u64(count)):
        parts[index].address = first + index * 0x100
        parts[index].length = u32(index) + 1
    return queue.add(parts[0 : u64(count)], readable, token)


@metal
def publish() -> bool:
    return queue.publish()


@metal
def take() -> tuple[u64, u32]:
    return queue.take()


@metal
def take_sound() -> tuple[u64, u32]:
    return queue.take_sound()


@metal
def listen() -> bool:
    return queue.listen()


@metal
def rest() -> None:
    queue.rest()


class Device:
    """The other side, in Python."""

    def __init__(self, unit, count, event_index):
        unit.reset()
        self.unit, self.count, self.event_index = unit, count, event_index
        self.memory = mmap.mmap(-1, ROOM)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        assert unit.call(start, self.base, ROOM - 0x1000, count, event_index)
        state = unit.get(queue)
        self.descriptors, self.available, self.used = (
            each - self.base for each in (state.descriptors, state.available, state.used)
        )
        assert self.available == self.descriptors + 16 * count and self.used % 4096 == 0
        self.seen = self.done = 0
        self.held = []

    def word(self, offset):
        return struct.unpack_from("<H", self.memory, offset)[0]

    def look(self):
        """Take what is available: lists of (address, length, writable)."""
        while self.seen != self.word(self.available + 2):
            head = self.word(self.available + 4 + self.seen % self.count * 2)
            chain, at = [], head
            while True:
                address, length, flags, following = struct.unpack_from("<QIHH", self.memory, self.descriptors + at * 16)
                chain.append((address, length, bool(flags & 2)))
                if not flags & 1:
                    break
                at = following
            self.held.append((head, chain))
            self.seen = (self.seen + 1) & 0xFFFF
        return self.held

    def finish(self, index, length):
        head, chain = self.held.pop(index)
        self.give(head, length)
        return chain

    def give(self, head, length):
        struct.pack_into("<II", self.memory, self.used + 4 + self.done % self.count * 8, head, length)
        self.done = (self.done + 1) & 0xFFFF
        struct.pack_into("<H", self.memory, self.used + 2, self.done)

    def ask(self, wanted, event=None):
        """Whether, or from which chain on, the device wants to be notified."""
        if self.event_index:
            struct.pack_into("<H", self.memory, self.used + 4 + self.count * 8, event)
        else:
            struct.pack_into("<H", self.memory, self.used, 0 if wanted else 1)


@pytest.fixture(scope="module")
def unit():
    with filled((placement.random_u64, random_u64)):
        return jit(start, add, publish, take, take_sound, listen, rest)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 8), st.integers(0, 8)),
        st.tuples(st.just("finish"), st.integers(0, 7), st.integers(0, 1000)),
        st.tuples(st.just("take")),
        st.tuples(st.just("ask"), st.booleans(), st.integers(0, 3)),
    ),
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@given(count=st.sampled_from([1, 2, 8, 64]), event_index=st.booleans(), turns=st.integers(0, 2), steps=steps)
def test_every_chain_arrives_whole_and_comes_back_once(unit, count, event_index, turns, steps):
    device = Device(unit, count, event_index)
    token = 0
    for _ in range(turns * 1000):  # ring indexes far from 0
        token += 1
        assert unit.call(add, 0, 1, 0, token) and unit.call(publish) in (True, False)
        device.look()
        device.finish(0, 0)
        assert unit.call(take)[0] == token
    used, waiting, finished, event, wanted = 0, {}, [], 0, True
    for step in steps:
        if step[0] == "add":
            _, parts, readable = step
            token += 1
            fits = used + parts <= count
            assert unit.call(add, token << 12, parts, readable, token) == fits
            if fits:
                used += parts
                old = device.seen
                notify = unit.call(publish)
                if event_index:
                    assert notify == (event == old)
                else:
                    assert notify == wanted
                head, chain = device.look()[-1]
                assert chain == [((token << 12) + i * 0x100, i + 1, i >= readable) for i in range(parts)]
                waiting[head] = (token, parts)
        elif step[0] == "finish" and device.held:
            index = step[1] % len(device.held)
            head = device.held[index][0]
            device.finish(index, step[2])
            finished.append((*waiting.pop(head), step[2]))
        elif step[0] == "take":
            got, length = unit.call(take)
            if finished:
                expected, parts, written = finished.pop(0)
                assert (got, length) == (expected, written)
                used -= parts
            else:
                assert got == 0
            assert unit.call(listen) == (not finished)
        elif step[0] == "ask":
            wanted, event = step[1], (device.seen + step[2]) & 0xFFFF
            device.ask(wanted, event)


@pytest.mark.parametrize("event_index", [False, True])
def test_who_listens_hears_of_what_came_before(unit, event_index):
    device = Device(unit, 8, event_index)
    unit.call(rest)
    assert unit.call(add, 0, 1, 0, 7)
    unit.call(publish)
    device.look()
    device.finish(0, 1)
    assert not unit.call(listen)
    assert unit.call(take) == (7, 1)
    assert unit.call(listen)


def test_a_buffer_that_no_queue_has_is_a_panic(unit):
    device = Device(unit, 8, False)
    device.give(8, 0)
    with pytest.raises(CheckFailed, match="did not have"):
        unit.call(take)


def test_a_buffer_given_back_twice_is_a_panic(unit):
    device = Device(unit, 8, False)
    assert unit.call(add, 0, 1, 0, 7)
    unit.call(publish)
    device.give(0, 0)
    device.give(0, 0)
    assert unit.call(take)[0] == 7
    with pytest.raises(CheckFailed, match="did not have"):
        unit.call(take)


@pytest.mark.parametrize("head", [0, 7, 8, 2**32 - 1])
def test_a_driver_may_go_on_without_a_device_that_lies(unit, head):
    device = Device(unit, 8, False)
    device.give(head, 0)
    assert unit.call(take_sound) == (0, 0) and unit.get(queue).broken
    device.give(0, 0)
    assert unit.call(take_sound) == (0, 0)
