"""The page allocator against a model: no page twice, none lost, blocks aligned and whole again in the end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.memory import pages
from goanna.metal import CheckFailed, jit
from tests.kernel.memory.machine import ROOTS, Memory, hooks

PAGE = 4096

with hooks():
    unit = jit(*ROOTS)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10), st.integers(0, 50)), max_size=60), st.integers(1, 1500))
@settings(max_examples=60, deadline=None)
def test_blocks_are_disjoint_aligned_and_come_back(steps, count):
    memory = Memory(unit, 2048 * PAGE, [(PAGE * 3 + 5, PAGE * (3 + count)), (1700 * PAGE, 2048 * PAGE)])
    start = memory.free
    held = {}
    for allocate, order, which in steps:
        if allocate:
            block = unit.call(pages.allocate_order, order)
            if block == 0:
                continue
            assert block % (PAGE << order) == 0
            mine = set(range(block, block + (PAGE << order), PAGE))
            assert not any(mine & set(range(b, b + (PAGE << o), PAGE)) for b, o in held.items())
            assert all(PAGE * 4 <= page < PAGE * (3 + count) or 1700 * PAGE <= page < 2048 * PAGE for page in mine)
            held[block] = order
        elif held:
            block = sorted(held)[which % len(held)]
            unit.call(pages.free_order, block, held.pop(block))
        assert memory.free == start - sum(1 << order for order in held.values())
    for block, order in held.items():
        unit.call(pages.free_order, block, order)
    assert memory.free == start
    largest = 0
    while unit.call(pages.allocate_order, 10):
        largest += 1
    again = Memory(unit, 2048 * PAGE, [(PAGE * 3 + 5, PAGE * (3 + count)), (1700 * PAGE, 2048 * PAGE)])
    assert again.free == start
    for _ in range(largest):
        assert unit.call(pages.allocate_order, 10)
    assert not unit.call(pages.allocate_order, 10)


def test_every_page_can_be_had_but_programs_leave_a_reserve():
    memory = Memory(unit, 512 * PAGE)
    while unit.call(pages.allocate_for_program):
        pass
    left = memory.free
    assert left == 16
    for _ in range(left):
        assert unit.call(pages.allocate)
    assert memory.free == 0
    assert unit.call(pages.allocate) == 0


def test_metadata_is_counted_for_8_mib():
    memory = Memory(unit, 8 << 20)
    assert memory.free >= 2048 - 1 - 8 - 1


def test_memory_is_looked_at_4_mib_at_a_time():
    """So that a start takes no longer in a large machine."""
    memory = Memory(unit, 32 << 20)
    first = unit.static(pages.regions)[0]
    assert first.unlisted - first.first <= 1024
    before = memory.free
    assert unit.call(pages.allocate_order, 10) and unit.call(pages.allocate_order, 10)
    assert first.unlisted - first.first > 2048
    assert memory.free == before - 2048


def test_references_free_the_page_with_the_last():
    memory = Memory(unit, 64 * PAGE)
    page, before = unit.call(pages.allocate), memory.free
    assert unit.call(pages.exclusive, page)
    unit.call(pages.reference, page)
    assert unit.call(pages.references, page) == 2 and not unit.call(pages.exclusive, page)
    unit.call(pages.release, page)
    assert memory.free == before
    unit.call(pages.release, page)
    assert memory.free == before + 1
    with pytest.raises(CheckFailed, match="too often"):
        unit.call(pages.release, page)


def test_pages_outside_ram_are_not_counted():
    Memory(unit, 64 * PAGE, [(0, 32 * PAGE)])
    unit.call(pages.reference, 40 * PAGE)
    unit.call(pages.release, 40 * PAGE)
    unit.call(pages.release, 40 * PAGE)
    assert not unit.call(pages.exclusive, 40 * PAGE)


def test_the_page_of_zeros_is_never_freed():
    memory = Memory(unit, 64 * PAGE)
    zeros, before = unit.call(pages.zero_page), memory.free
    for _ in range(3):
        unit.call(pages.release, zeros)
    assert memory.free == before and not unit.call(pages.exclusive, zeros)
    assert bytes(memory.bytes(zeros, PAGE)) == bytes(PAGE)


def test_a_split_block_is_freed_page_by_page():
    memory = Memory(unit, 1200 * PAGE)
    before = memory.free
    block = unit.call(pages.allocate_order, 9)
    unit.call(pages.split, block)
    for page in range(block, block + 512 * PAGE, PAGE):
        assert unit.call(pages.exclusive, page)
        unit.call(pages.release, page)
    assert memory.free == before
    assert unit.call(pages.allocate_order, 9)


def test_2_mib_only_while_memory_is_plentiful():
    memory = Memory(unit, 48 << 20)
    given_out = 0
    while unit.call(pages.allocate_huge_for_program):
        given_out += 1
    assert given_out >= 10
    assert memory.free >= 4096


def test_zeroed_pages_are_zero():
    memory = Memory(unit, 64 * PAGE)
    page = unit.call(pages.allocate)
    memory.bytes(page, PAGE)[:] = b"\xff" * PAGE
    unit.call(pages.release, page)
    for _ in range(40):
        page = unit.call(pages.allocate_zeroed)
        assert bytes(memory.bytes(page, PAGE)) == bytes(PAGE)


@pytest.mark.parametrize("orders", [(0,), (1, 1)], ids=["another size", "twice"])
def test_freeing_what_is_no_block_in_use_is_a_panic(orders):
    Memory(unit, 64 * PAGE)
    page = unit.call(pages.allocate_order, 1)
    for order in orders[:-1]:
        unit.call(pages.free_order, page, order)
    with pytest.raises(CheckFailed, match="not a block in use"):
        unit.call(pages.free_order, page, orders[-1])
