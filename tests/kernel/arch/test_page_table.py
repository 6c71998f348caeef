"""Page tables on the host: the same code over a buffer, against a plain dictionary."""

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch.x86_64 import page_table as pt
from goanna.kernel.arch.x86_64 import table_range
from goanna.kernel.arch.x86_64.layout import USER_TOP, direct_map_base
from goanna.metal import CheckFailed, fill, jit, metal, static, u8, u64, unsafe, wrapping
from tests.kernel.hooks import filled

PAGE, HUGE = 4096, 2 << 20
PAGES = 256
NX = 1 << 63

next_page = static(u64)
pages_left = static(u64)
freed = static(u64)


@metal
def allocate() -> u64:
    """Physical pages from 1 MiB on, each once."""
    global next_page, pages_left
    if pages_left == 0:
        return 0
    pages_left -= 1
    page = next_page
    next_page = page + PAGE
    fill(unsafe.slice(u8, wrapping(page + direct_map_base), PAGE), 0)
    return page


@metal
def free(page: u64) -> None:
    """Counts."""
    global freed
    assert page != 0
    freed += 1


@pytest.fixture(scope="module")
def unit():
    with filled((pt.table_page_allocate, allocate), (pt.table_page_free, free)):
        return jit(
            pt.table_create, pt.table_destroy, pt.table_map, pt.table_map_huge, pt.table_unmap, pt.table_protect,
            pt.table_lookup, pt.table_split_huge, pt.table_next, pt.make_entry, pt.kernel_table,
            table_range.table_trim, table_range.table_take, table_range.table_share, table_range.table_drop,
            direct_map_base, next_page, pages_left, freed,
        )  # fmt: skip


class Machine:
    """An empty address space, its tables in a buffer."""

    def __init__(self, unit, pages=PAGES):
        unit.reset()
        self.unit = unit
        self.memory = ctypes.create_string_buffer((PAGES + 2) * PAGE)
        base = -(-ctypes.addressof(self.memory) // PAGE) * PAGE
        unit.set(direct_map_base, (base - (1 << 20)) % 2**64)
        unit.set(next_page, (1 << 20) + PAGE)
        unit.set(pages_left, pages)
        unit.static(pt.kernel_table).root = 1 << 20
        self.kernel = (ctypes.c_uint64 * 512).from_address(base)
        for index in range(256, 512):
            self.kernel[index] = index
        self.start = base - (1 << 20)
        self.table = unit.new(pt.PageTable)
        assert unit.call(pt.table_create, self.table)

    def word(self, page):
        """The first word of a physical page."""
        return ctypes.c_uint64.from_address(self.start + page).value

    def __getattr__(self, name):
        function = getattr(pt, f"table_{name}", None) or getattr(table_range, f"table_{name}")
        return lambda *arguments: self.unit.call(function, self.table, *arguments)

    def another(self):
        """A second table of the same machine."""
        table = self.unit.new(pt.PageTable)
        assert self.unit.call(pt.table_create, table)
        return table

    @property
    def used(self):
        return (self.unit.get(next_page) - (1 << 20)) // PAGE - 1

    @property
    def freed(self):
        return self.unit.get(freed)


def test_a_new_table_has_the_kernels_half_and_no_user_half(unit):
    machine = Machine(unit)
    base = unit.get(direct_map_base)
    top = (ctypes.c_uint64 * 512).from_address((machine.table.root + base) % 2**64)
    assert list(top) == [0] * 256 + list(range(256, 512))


@pytest.mark.parametrize(
    ("protection", "bits"),
    [(1, NX | 0x25), (3, NX | 0x27), (5, 0x25), (7, 0x27), (4, 0x25), (2, NX | 0x27), (0, NX | 0x200)],
)
def test_entry_bits_are_those_of_the_processor(unit, protection, bits):
    assert unit.call(pt.make_entry, 0x1234000, protection) == 0x1234000 | bits


def test_protection_0_keeps_the_page_but_lets_no_access_in(unit):
    machine = Machine(unit)
    machine.map(0x40000000, 0xABC000, 3)
    machine.protect(0x40000000, 0)
    entry = machine.lookup(0x40000000)
    assert entry & 1 == 0 and entry & pt.ADDRESS == 0xABC000
    machine.protect(0x40000000, 1)
    assert machine.lookup(0x40000000) & 3 == 1
    machine.protect(0x40000000, 0)
    assert machine.unmap(0x40000000) & pt.ADDRESS == 0xABC000


def test_map_without_memory_for_tables_says_so(unit):
    machine = Machine(unit, pages=3)
    assert not machine.map(0x1000, 0x5000, 3)
    assert machine.lookup(0x1000) == 0


def test_kernel_addresses_are_refused(unit):
    with pytest.raises(CheckFailed, match="not a user address"):
        Machine(unit).map(USER_TOP, 0x5000, 3)


def test_split_keeps_what_is_mapped(unit):
    machine = Machine(unit)
    assert machine.map_huge(HUGE, 8 * HUGE, 3)
    assert machine.lookup(HUGE + 0x5000) & 0x80
    assert machine.split_huge(HUGE + 0x5000)
    for page in (0, 1, 511):
        entry = machine.lookup(HUGE + page * PAGE)
        assert entry & pt.ADDRESS == 8 * HUGE + page * PAGE
        assert not entry & 0x80 and entry & 7 == 7
    assert machine.split_huge(HUGE)  # nothing left to do


def test_a_huge_page_takes_the_place_of_an_empty_table(unit):
    machine = Machine(unit)
    machine.map(HUGE, 0x5000, 1)
    machine.unmap(HUGE)
    assert machine.map_huge(HUGE, 4 * HUGE, 1)
    assert machine.freed == 1
    assert machine.lookup(HUGE) & pt.ADDRESS == 4 * HUGE


def test_destroy_frees_every_table(unit):
    machine = Machine(unit)
    for address in (0x1000, 0x40000000, 0x7FFF_FFFF_E000, 0x5000):
        assert machine.map(address, 0x9000, 1)
        machine.unmap(address)
    machine.destroy()
    assert machine.freed == machine.used


def test_trim_takes_out_the_tables_of_a_range_and_no_others(unit):
    machine = Machine(unit)

    def trim(start, end):
        page, pages = machine.trim(start, end), 0
        while page != 0:
            pages += 1
            page = machine.word(page)
        return pages

    machine.map(0x1000, 0x9000, 1)
    machine.map(1 << 39, 0x9000, 1)
    machine.map((1 << 39) + HUGE, 0x9000, 1)
    machine.unmap((1 << 39) + HUGE)
    assert trim((1 << 39) + HUGE, (1 << 39) + 2 * HUGE) == 1
    machine.unmap(1 << 39)
    assert trim(1 << 39, 1 << 40) == 3
    assert machine.lookup(0x1000) != 0
    machine.unmap(0x1000)
    assert trim(0, USER_TOP) == 3
    assert machine.used - 1 == 7  # the root stays


def entries(count):
    return (ctypes.c_uint64 * count)()


def test_take_gives_the_entries_of_a_range_in_pieces(unit):
    machine = Machine(unit)
    addresses = [0x1000, 0x3000, HUGE - PAGE, HUGE, 1 << 39, USER_TOP - PAGE]
    for index, address in enumerate(addresses):
        machine.map(address, (index + 1) * PAGE, 3)
    machine.map_huge(2 * HUGE, 8 * HUGE, 1)
    taken = entries(3)
    assert machine.take(0, USER_TOP, taken) == (3, 0x1000, HUGE)
    assert [entry & pt.ADDRESS for entry in taken] == [PAGE, 2 * PAGE, 3 * PAGE]
    assert machine.take(HUGE, USER_TOP - PAGE, taken) == (3, HUGE, (1 << 39) + PAGE)
    assert [entry & pt.ADDRESS for entry in taken] == [4 * PAGE, 8 * HUGE, 5 * PAGE]
    assert taken[1] & pt.HUGE
    assert machine.take(0, USER_TOP - PAGE, taken) == (0, USER_TOP - PAGE, USER_TOP - PAGE)
    assert machine.next(0, USER_TOP) == USER_TOP - PAGE


def test_take_of_a_part_of_a_large_page_is_an_error(unit):
    machine = Machine(unit)
    machine.map_huge(2 * HUGE, 8 * HUGE, 1)
    with pytest.raises(CheckFailed, match="a part of a large page"):
        machine.take(2 * HUGE + PAGE, 3 * HUGE, entries(1))
    with pytest.raises(CheckFailed, match="a part of a large page"):
        machine.take(2 * HUGE, 3 * HUGE - PAGE, entries(1))


def test_share_maps_pages_in_both_and_lets_neither_write(unit):
    machine = Machine(unit)
    for address, protection in ((0x1000, 3), (0x2000, 1), (0x3000, 0), (1 << 39, 7)):
        machine.map(address, address // 16 + PAGE, protection)
    other = machine.another()
    shared = entries(8)
    assert machine.share(other, 0x1000, USER_TOP, shared) == (4, USER_TOP, True)
    for address, protection in ((0x1000, 1), (0x2000, 1), (0x3000, 0), (1 << 39, 5)):
        expected = unit.call(pt.make_entry, address // 16 + PAGE, protection)
        assert machine.lookup(address) == unit.call(pt.table_lookup, other, address) == expected
        assert expected in list(shared)


def test_share_stops_at_a_large_page_and_where_memory_or_room_is_out(unit):
    machine = Machine(unit)
    machine.map(0x1000, 0x5000, 3)
    machine.map(HUGE - PAGE, 0x6000, 3)
    machine.map_huge(HUGE, 8 * HUGE, 3)
    machine.map(1 << 39, 0x7000, 3)
    other = machine.another()
    assert machine.share(other, 0, USER_TOP, entries(1)) == (1, 0x2000, True)
    assert machine.share(other, 0x2000, USER_TOP, entries(9)) == (1, HUGE, True)
    unit.set(pages_left, 2)
    assert machine.share(other, 2 * HUGE, USER_TOP, entries(9)) == (0, 1 << 39, False)


def test_drop_frees_the_tables_of_each_range_with_the_last_that_needs_them(unit):
    machine = Machine(unit)
    ranges = [
        (0x1000, 0x3000), (0x5000, 0x6000), (HUGE, 3 * HUGE), (1 << 30, (1 << 30) + PAGE),
        (1 << 39, (1 << 39) + PAGE), (3 << 39, (5 << 39) + HUGE), (USER_TOP - PAGE, USER_TOP),
    ]  # fmt: skip
    for start, end in ranges:
        for address in (start, end - PAGE):
            machine.map(address, 0x9000, 1)
            machine.unmap(address)
    assert machine.table.tables == machine.used - 1
    for (start, end), above in zip(ranges, [low for low, _ in ranges[1:]] + [2**64 - 1], strict=True):
        before = machine.freed
        machine.drop(start, end, above)
        assert (machine.freed > before) == (end != 0x3000)
    assert machine.table.tables == 0
    machine.destroy()
    assert machine.freed == machine.used


ADDRESSES = st.sampled_from([0x1000, 0x2000, 0x1FF000, HUGE, HUGE + PAGE, 1 << 30, (1 << 39) - PAGE, USER_TOP - PAGE])
STEPS = st.lists(
    st.tuples(st.sampled_from(["map", "unmap", "protect"]), ADDRESSES, st.integers(1, 1000), st.integers(0, 7)),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_tables_are_a_dictionary(unit, steps):
    machine = Machine(unit)
    model = {}
    for what, address, page, protection in steps:
        if what == "map":
            assert machine.map(address, page * PAGE, protection)
            model[address] = (page, protection)
        elif what == "unmap":
            entry = machine.unmap(address)
            old = model.pop(address, None)
            assert (entry == 0) == (old is None)
            assert old is None or entry & pt.ADDRESS == old[0] * PAGE
        else:
            machine.protect(address, protection)
            if address in model:
                model[address] = (model[address][0], protection)
        for where in (0x1000, HUGE, address):
            expected = unit.call(pt.make_entry, model[where][0] * PAGE, model[where][1]) if where in model else 0
            assert machine.lookup(where) == expected
    found, at = [], 0
    while (at := machine.next(at, USER_TOP)) < USER_TOP:
        found.append(at)
        at += PAGE
    assert found == sorted(model)
