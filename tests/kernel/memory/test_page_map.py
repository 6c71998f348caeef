"""Pages by index against a dictionary: what is put is found, and all goes again, nodes too."""

from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.memory import pages
from goanna.kernel.memory.page_map import MAXIMUM_INDEX, PageMap
from goanna.metal import jit
from tests.kernel.memory.machine import ROOTS, Memory, hooks

with hooks():
    unit = jit(*ROOTS, PageMap)

indexes = st.one_of(st.integers(0, 20), st.integers(500, 530), st.integers(0, MAXIMUM_INDEX - 1), st.sampled_from([
    511, 512, 513, (1 << 18) - 1, 1 << 18, (1 << 27) - 1, MAXIMUM_INDEX - 1,
]))  # fmt: skip


@given(st.lists(st.one_of(indexes, indexes, st.tuples(indexes)), max_size=60))
@settings(max_examples=120, deadline=None)
def test_pages_are_found_where_they_were_put(steps):
    memory = Memory(unit, 4 << 20)
    start = memory.free
    map_ = unit.new(PageMap)
    model = {}
    for step in steps:
        if isinstance(step, tuple):
            unit.call(PageMap.clear_from, map_, step[0])
            model = {index: page for index, page in model.items() if index < step[0]}
        elif step not in model:
            page = unit.call(pages.allocate)
            assert unit.call(PageMap.set, map_, step, page)
            model[step] = page
        assert map_.count == len(model)
        for index in {*model, 0, 511, 512, 1 << 27}:
            assert unit.call(PageMap.get, map_, index) == model.get(index, 0)
    unit.call(PageMap.clear_from, map_, 0)
    assert memory.free == start and map_.height == 0


def test_indexes_have_an_end_and_memory_too():
    memory = Memory(unit, 40 * 4096)
    map_ = unit.new(PageMap)
    page = unit.call(pages.allocate)
    assert not unit.call(PageMap.set, map_, MAXIMUM_INDEX, page)
    assert unit.call(PageMap.get, map_, 2**64 - 1) == 0
    before = memory.free
    held = [unit.call(pages.allocate) for _ in range(memory.free - 2)]
    assert not unit.call(PageMap.set, map_, MAXIMUM_INDEX - 1, page)
    for each in held:
        unit.call(pages.release, each)
    unit.call(PageMap.clear_from, map_, 0)
    assert memory.free == before
