"""The intrusive pairing heap against a sorted list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.heap import Heap, HeapNode
from goanna.metal import CheckFailed, jit, struct, u64


@struct
class Item:
    before: u64  # the node is not at the item's start
    node: HeapNode
    key: u64


Items = Heap(Item, "node", "key")
unit = jit(Items)

steps = st.lists(st.one_of(st.integers(0, 20), st.just("pop"), st.tuples(st.just("remove"), st.integers(0, 50))))


@settings(max_examples=300, deadline=None)
@given(steps=steps)
def test_the_first_is_always_the_least(steps):
    heap, held = unit.new(Items), []
    for step in steps:
        if step == "pop":
            item = unit.call(Items.pop, heap)
            assert (item is None) == (not held)
            if item is not None:
                assert item.key == min(each.key for each in held)
                held = [each for each in held if unit.address(each) != unit.address(item)]
        elif isinstance(step, tuple):
            if held:
                unit.call(Items.remove, heap, held.pop(step[1] % len(held)))
        else:
            held.append(unit.new(Item, key=step))
            unit.call(Items.insert, heap, held[-1])
        first = unit.call(Items.first, heap)
        assert (first is None) == unit.call(Items.empty, heap) == (not held)
        if held:
            assert first.key == min(each.key for each in held)
    popped = [unit.call(Items.pop, heap).key for _ in held]
    assert popped == sorted(each.key for each in held)
    assert unit.call(Items.pop, heap) is None


def test_an_item_goes_into_one_heap_only():
    heap, item = unit.new(Items), unit.new(Item, key=1)
    unit.call(Items.insert, heap, item)
    with pytest.raises(CheckFailed, match="second heap"):
        unit.call(Items.insert, heap, item)
    unit.call(Items.remove, heap, item)
    with pytest.raises(CheckFailed, match="not in"):
        unit.call(Items.remove, heap, item)
