"""The loader's memory map: whatever it says, only whole pages that are RAM and nothing else come out."""

import ctypes
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64 import pvh
from goanna.metal import jit

PAGE = 4096
unit = jit(pvh.usable_ranges)


def usable(entries, room=32):
    array = (pvh.MemoryEntry.ctype * max(len(entries), 1))()
    for target, (start, size, kind) in zip(array, entries, strict=False):
        target.start, target.size, target.kind = start, size, kind
    ranges = (pvh.Range.ctype * room)()
    count = unit.call(pvh.usable_ranges, (ctypes.addressof(array), len(entries)), ranges)
    return [(each.start, each.end) for each in ranges[:count]]


def test_a_microvms_map():
    entries = [(0, 0x9FC00, 1), (0x9FC00, 0x400, 2), (0xF0000, 0x10000, 2), (0x100000, 0x700000, 1)]
    assert usable(entries) == [(0, 0x9F000), (0x100000, 0x800000)]


def test_reserved_pages_cut_a_hole_into_ram():
    assert usable([(0, 0x10000, 1), (0x4800, 0x100, 2)]) == [(0, 0x4000), (0x5000, 0x10000)]


def test_ranges_that_touch_become_one():
    assert usable([(0x3000, 0x1000, 1), (0, 0x1000, 1), (0x1000, 0x2000, 1)]) == [(0, 0x4000)]


def test_sizes_past_the_end_of_addresses_are_cut():
    assert usable([(0x1000, 2**64 - 1, 1)]) == [(0x1000, pvh.HIGHEST)]


def test_an_unfinished_map_gives_no_more_than_there_is_room_for():
    assert usable([(index * 0x2000, 0x1000, 1) for index in range(8)], room=3) == [
        (0, 0x1000), (0x2000, 0x3000), (0x4000, 0x5000),
    ]


ENTRY = st.tuples(st.integers(0, 40 * PAGE), st.integers(0, 12 * PAGE), st.sampled_from([1, 1, 1, 2, 3]))


@settings(max_examples=300, deadline=None)
@given(st.lists(ENTRY, max_size=12))
def test_each_page_is_in_a_range_if_ram_covers_it_and_nothing_else_touches_it(entries):
    ranges = usable(entries)
    assert ranges == sorted(ranges)
    assert all(a[1] < b[0] for a, b in pairwise(ranges))
    # A page is RAM if whole pages of entries cover it; entries are cut to pages one by one.
    for page in range(60):
        start, end = page * PAGE, page * PAGE + PAGE
        whole = [(-(-s // PAGE) * PAGE, (s + n) // PAGE * PAGE) for s, n, kind in entries if kind == 1]
        ram = any(low <= start and end <= high for low, high in whole)
        claimed = any(kind != 1 and n and s < end and start < s + n for s, n, kind in entries)
        assert any(low <= start and end <= high for low, high in ranges) == (ram and not claimed)
