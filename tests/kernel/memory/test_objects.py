"""Object caches: distinct zeroed objects, errors caught, slabs given back."""

import ctypes
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.memory.objects import Cache
from goanna.metal import Array, CheckFailed, jit, struct, u8, u64
from tests.kernel.memory.machine import ROOTS, Memory, hooks


@struct
class Small:
    value: u64


@struct(align=64)
class Aligned:
    data: Array[u8, 100]


@struct
class Large:
    data: Array[u8, 1500]


CACHES = [Cache(Small), Cache(Aligned), Cache(Large)]
with hooks():
    unit = jit(*ROOTS, *(each for cache in CACHES for each in (cache.allocate, cache.free, cache.in_use)))


@pytest.mark.parametrize("cache", CACHES, ids=lambda cache: cache.kind.name)
@given(st.lists(st.integers(-400, 1000), max_size=30))
@settings(max_examples=25, deadline=None)
def test_objects_are_disjoint_and_zeroed(cache, steps):
    memory = Memory(unit, 2048 * 4096)
    size, held = cache.kind.size, {}
    start = memory.free
    for step in steps:
        for _ in range(abs(step) // 10):
            if step >= 0:
                item = unit.call(cache.allocate)
                address = unit.address(item)
                assert address % cache.kind.alignment == 0
                assert bytes((ctypes.c_uint8 * size).from_address(address)) == bytes(size)
                ctypes.memset(address, 0xAA, size)
                held[address] = item
            elif held:
                unit.call(cache.free, held.popitem()[1])
        places = sorted(held)
        assert all(b - a >= size for a, b in pairwise(places))
        assert unit.call(cache.in_use) == len(held)
    while held:
        unit.call(cache.free, held.popitem()[1])
    assert start - memory.free <= 8  # one spare slab


def test_none_when_memory_is_gone():
    memory = Memory(unit, 40 * 4096)
    items = []
    while (item := unit.call(CACHES[2].allocate)) is not None:
        items.append(item)
    assert len(items) > 20
    before = memory.free
    for item in items:
        unit.call(CACHES[2].free, item)
    assert memory.free > before


def test_a_second_free_is_a_panic():
    Memory(unit, 64 * 4096)
    keep, item = unit.call(CACHES[0].allocate), unit.call(CACHES[0].allocate)
    unit.call(CACHES[0].free, item)
    with pytest.raises(CheckFailed, match="freed twice"):
        unit.call(CACHES[0].free, item)
    assert keep is not None


def test_a_free_to_another_cache_is_a_panic():
    Memory(unit, 64 * 4096)
    item = unit.call(CACHES[1].allocate)
    with pytest.raises((CheckFailed, TypeError)):
        unit.call(CACHES[0].free, unit.address(item))
