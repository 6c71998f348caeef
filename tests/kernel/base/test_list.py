"""The intrusive list against Python's list."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.list import Link, List
from goanna.metal import CheckFailed, jit, struct, u64


@struct
class Item:
    before: u64
    link: Link


Items = List(Item, "link")
unit = jit(Items, Link)

names = st.sampled_from(["append", "prepend", "remove", "pop"])
operations = st.lists(st.tuples(names, st.integers(0, 9)))


def contents(items):
    found, item = [], unit.call(Items.head, items)
    while item is not None:
        found.append(unit.address(item))
        item = unit.call(Items.after, items, item)
    backwards, item = [], unit.call(Items.tail, items)
    while item is not None:
        backwards.append(unit.address(item))
        item = unit.call(Items.before, items, item)
    assert found == backwards[::-1]
    return found


@given(operations)
@settings(max_examples=150, deadline=None)
def test_list_behaves_as_pythons(steps):
    items = unit.new(Items)
    pool = [unit.new(Item) for _ in range(10)]
    model = []
    for operation, which in steps:
        item = pool[which]
        address = unit.address(item)
        on = address in model
        if operation == "append" and not on:
            unit.call(Items.append, items, item)
            model.append(address)
        elif operation == "prepend" and not on:
            unit.call(Items.prepend, items, item)
            model.insert(0, address)
        elif operation == "remove" and on:
            unit.call(Items.remove, items, item)
            model.remove(address)
        elif operation == "pop":
            popped = unit.call(Items.pop, items)
            assert (popped and unit.address(popped)) == (model.pop(0) if model else None)
        assert contents(items) == model
        assert unit.call(Items.length, items) == len(model)
        assert unit.call(Items.empty, items) == (not model)
        assert unit.call(Link.linked, item.link) == (address in model)


def test_an_item_is_on_one_list_at_a_time():
    items, item = unit.new(Items), unit.new(Item)
    unit.call(Items.append, items, item)
    with pytest.raises(CheckFailed, match="second list"):
        unit.call(Items.prepend, items, item)
    unit.call(Items.remove, items, item)
    with pytest.raises(CheckFailed, match="not on"):
        unit.call(Items.remove, items, item)
