"""The intrusive balanced tree against a sorted list, with a summary that must hold at every node."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.tree import Node, Tree
from goanna.metal import CheckFailed, jit, metal, struct, u64


@struct
class Item:
    node: Node
    key: u64
    weight: u64
    heaviest: u64  # in the subtree


@metal
def summarise(item: Item) -> bool:
    heaviest = item.weight
    left = Items.item_of(item.node.left)
    if left is not None:
        heaviest = max(heaviest, left.heaviest)
    right = Items.item_of(item.node.right)
    if right is not None:
        heaviest = max(heaviest, right.heaviest)
    changed = heaviest != item.heaviest
    item.heaviest = heaviest
    return changed


Items = Tree(Item, "node", "key", summarise)


@metal
def check(items: Items, item: Item) -> u64:
    """Panics unless the subtree is balanced, linked and summed up; gives its height."""
    left_height: u64 = 0
    right_height: u64 = 0
    heaviest = item.weight
    left = items.left(item)
    if left is not None:
        assert left.node.parent is item.node, "parent"
        assert left.key <= item.key, "order"
        left_height = check(items, left)
        heaviest = max(heaviest, left.heaviest)
    right = items.right(item)
    if right is not None:
        assert right.node.parent is item.node, "parent"
        assert right.key >= item.key, "order"
        right_height = check(items, right)
        heaviest = max(heaviest, right.heaviest)
    assert left_height <= right_height + 1 and right_height <= left_height + 1, "balance"
    height = max(left_height, right_height) + 1
    assert u64(item.node.height) == height, "height"
    assert heaviest == item.heaviest, "summary"
    return height


unit = jit(Items, check)


def contents(items):
    found, item = [], unit.call(Items.first, items)
    while item is not None:
        found.append((item.key, unit.address(item)))
        item = unit.call(Items.after, items, item)
    return found


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 12))))
@settings(max_examples=200, deadline=None)
def test_tree_behaves_as_a_sorted_list(steps):
    items = unit.new(Items)
    pool = [unit.new(Item) for _ in range(31)]
    model = []  # (key, address), in order
    for insert, index, key in steps:
        item = pool[index]
        address = unit.address(item)
        on = any(each[1] == address for each in model)
        if insert and not on:
            item.key, item.weight = key, (index * 7 + key * 3) % 11
            unit.call(Items.insert, items, item)
            place = next((i for i, each in enumerate(model) if each[0] > key), len(model))
            model.insert(place, (key, address))
        elif not insert and on:
            unit.call(Items.remove, items, item)
            model = [each for each in model if each[1] != address]
        root = unit.call(Items.item_of, items.top.root) if items.top.root else None
        if root is not None:
            unit.call(check, items, root)
        assert contents(items) == model
    keys = [key for key, _ in model]
    for limit in range(14):
        below = unit.call(Items.at_most, items, limit)
        assert (below.key if below else None) == max((k for k in keys if k <= limit), default=None)
        above = unit.call(Items.at_least, items, limit)
        assert (above.key if above else None) == min((k for k in keys if k >= limit), default=None)
    last = unit.call(Items.last, items)
    backwards = []
    while last is not None:
        backwards.append((last.key, unit.address(last)))
        last = unit.call(Items.before, items, last)
    assert backwards == model[::-1]


def test_large_trees_stay_balanced_and_summed_up():
    items = unit.new(Items)
    pool = [unit.new(Item) for _ in range(400)]
    chosen = random.Random(11)
    inside = []
    for step in range(3000):
        if chosen.random() < (0.7 if step < 1200 else 0.35) and pool:
            item = pool.pop()
            item.key, item.weight = chosen.randrange(1000), chosen.randrange(1000)
            unit.call(Items.insert, items, item)
            inside.append(item)
        elif inside:
            item = inside.pop(chosen.randrange(len(inside)))
            unit.call(Items.remove, items, item)
            pool.append(item)
        if step % 10 == 0 and inside:
            unit.call(check, items, unit.call(Items.item_of, items.top.root))
    assert [key for key, _ in contents(items)] == sorted(each.key for each in inside)


def test_an_item_is_in_one_tree_at_a_time():
    items, item = unit.new(Items), unit.new(Item)
    unit.call(Items.insert, items, item)
    with pytest.raises(CheckFailed, match="second tree"):
        unit.call(Items.insert, items, item)
    unit.call(Items.remove, items, item)
    with pytest.raises(CheckFailed, match="not in"):
        unit.call(Items.remove, items, item)
