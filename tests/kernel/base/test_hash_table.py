"""The growing hash table against Python's dict, and its hash."""

import ctypes
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.hash_table import FIRST, SEGMENT, SEGMENT_SIZE, HashTable, hash_bytes
from goanna.kernel.base.list import Link
from goanna.metal import CheckFailed, jit, struct, u32, u64


@struct
class Item:
    before: u64
    link: Link
    hash: u32


Items = HashTable(Item, "link", "hash")
unit = jit(Items, Link, hash_bytes)


class Table:
    """A table, and the memory of its buckets."""

    def __init__(self):
        self.table = unit.new(Items)
        self.memory = []
        self.items = {}

    def give_room(self):
        self.memory.append(ctypes.create_string_buffer(SEGMENT_SIZE))
        unit.call(Items.extend, self.table, ctypes.addressof(self.memory[-1]))

    def insert(self, value):
        item = unit.new(Item, hash=value)
        unit.call(Items.insert, self.table, item)
        self.items.setdefault(value, []).append(item)

    def remove(self, value):
        unit.call(Items.remove, self.table, self.items[value].pop())

    def bucket(self, value):
        item = unit.call(Items.head, self.table, value)
        while item is not None:
            yield item
            item = unit.call(Items.after, self.table, item)

    def check(self, value):
        found = [unit.address(item) for item in self.bucket(value) if item.hash == value]
        assert sorted(found) == sorted(unit.address(item) for item in self.items.get(value, []))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=40), st.randoms())
@settings(max_examples=40, deadline=None)
def test_all_that_was_put_in_and_not_taken_out_is_found(values, chance):
    table = Table()
    for value in values:
        table.insert(value)
    for value in chance.sample(values, len(values) // 2):
        table.remove(value)
    for value in values:
        table.check(value)


def test_a_table_with_room_grows_until_few_items_share_a_bucket():
    table, chance = Table(), random.Random(7)
    values = [chance.getrandbits(32) for _ in range(4 * FIRST)]
    for value in values:
        table.insert(value)
        if unit.call(Items.wants_room, table.table):
            table.give_room()
    assert unit.call(Items.buckets, table.table) >= len(values) - 1
    assert len(table.memory) == -(-3 * FIRST // SEGMENT)
    for value in values:
        table.check(value)
    assert max(len(list(table.bucket(value))) for value in values) < 12
    for value in values:
        table.remove(value)
    assert table.table.count == 0


def test_a_table_without_room_finds_everything_as_well():
    table, chance = Table(), random.Random(8)
    values = [chance.getrandbits(32) for _ in range(2 * FIRST)]
    for value in values:
        table.insert(value)
    assert unit.call(Items.wants_room, table.table) and unit.call(Items.buckets, table.table) == FIRST
    table.give_room()
    table.insert(1)
    for value in [*values, 1]:
        table.check(value)


def test_room_that_is_not_wanted_is_refused():
    with pytest.raises(CheckFailed, match="has enough"):
        Table().give_room()


@given(st.binary(max_size=40), st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_the_hash_depends_on_the_bytes_and_not_on_where_they_lie(data, offset):
    moved = ctypes.create_string_buffer(b"x" * offset + data)
    here = (ctypes.c_uint8 * len(data)).from_buffer(moved, offset)
    assert unit.call(hash_bytes, 5, here) == unit.call(hash_bytes, 5, data)


def test_names_that_differ_little_spread_over_the_buckets():
    hashes = [unit.call(hash_bytes, 0xFFFF8000123450, f"name-{number}".encode()) for number in range(4096)]
    filled = {value % 4096 for value in hashes}
    assert len(set(hashes)) == 4096 and len(filled) > 2400  # 63% of 4096 by chance
    assert len({unit.call(hash_bytes, 0, bytes(length)) for length in range(32)}) == 32
