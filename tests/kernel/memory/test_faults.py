"""What faults do: zeros, copies, 2 MiB pages, stacks that grow, and honest ends of memory."""

import pytest

from goanna.kernel.arch import PageTable, entry_huge, entry_writable, table_lookup
from goanna.kernel.base.errno import EACCES, EFAULT, ENOMEM
from goanna.kernel.memory import advise, fault, fork, mapping, pages, placement, protect, remap, space
from goanna.kernel.memory.area import AREA_GROWSDOWN, AREA_STACK
from goanna.kernel.memory.mapping import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, Request
from goanna.kernel.memory.placement import MAP_FIXED
from goanna.metal import jit, metal, u64
from tests.kernel.memory import machine
from tests.kernel.memory.machine import ROOTS, Memory, hooks
from tests.kernel.memory.test_space import check

PAGE, HUGE = 4096, 2 << 20
BASE = 0x10_0000_0000
READ, WRITE = 1, 2


@metal
def look_up(table: PageTable, address: u64) -> u64:
    return table_lookup(table, address)


@metal
def is_huge(entry: u64) -> bool:
    return entry_huge(entry)


@metal
def is_writable(entry: u64) -> bool:
    return entry_writable(entry)


with hooks():
    unit = jit(
        *ROOTS, check, look_up, is_huge, is_writable, space.create, space.release, fault.handle_fault, fault.populate,
        mapping.map_request, mapping.unmap, mapping.move_break, protect.protect, protect.lock, protect.lock_all,
        protect.unlock, remap.remap, advise.advise, fork.duplicate, machine.read, machine.write, placement.randomise,
        placement.stack_top, placement.pie_base,
    )  # fmt: skip


class Space:
    """A space in a machine of `size` bytes."""

    def __init__(self, size=16 << 20):
        self.memory = Memory(unit, size)
        self.before = self.memory.free
        self.space = unit.call(space.create)
        unit.call(placement.randomise, self.space)

    def close(self, slack=24):
        unit.call(check, self.space)
        unit.call(space.release, self.space)
        assert self.before - self.memory.free <= slack

    def map(self, address, length, protection=READ | WRITE, flags=MAP_PRIVATE | MAP_FIXED, area_flags=0):
        request = unit.new(
            Request, address=address, length=length, protection=protection, maximum=7, flags=flags | MAP_ANONYMOUS,
            area_flags=area_flags,
        )  # fmt: skip
        return unit.call(mapping.map_request, self.space, request)

    def fault(self, address, access=WRITE, space_=None):
        return unit.call(fault.handle_fault, space_ or self.space, address, access)

    def entry(self, address, space_=None):
        return unit.call(look_up, (space_ or self.space).table, address)

    def huge(self, address):
        entry = self.entry(address)
        return entry != 0 and unit.call(is_huge, entry)

    def write(self, address, data, space_=None):
        return unit.call(machine.write, space_ or self.space, address, data)

    def read(self, address, size, space_=None):
        data = bytearray(size)
        result = unit.call(machine.read, space_ or self.space, data, address)
        return bytes(data) if result == 0 else result


def test_reading_untouched_memory_costs_no_page():
    it = Space()
    it.map(BASE, 64 * PAGE)
    assert it.fault(BASE, READ) == 0
    free = it.memory.free
    for page in range(64):
        assert it.fault(BASE + page * PAGE, READ) == 0
    assert it.memory.free == free and it.space.committed == 0
    assert it.fault(BASE + PAGE, WRITE) == 0
    assert it.memory.free == free - 1 and it.space.committed == 1
    it.close()


def test_memory_that_may_only_be_written_can_be_read_too():
    it = Space()
    it.map(BASE, 4 * PAGE, WRITE)
    assert it.fault(BASE, READ) == 0
    assert it.entry(BASE) & READ  # a page of zeros
    assert it.fault(BASE + PAGE, WRITE) == 0
    child = unit.call(fork.duplicate, it.space)
    assert it.entry(BASE + PAGE) & READ and not it.entry(BASE + PAGE) & WRITE
    assert unit.call(protect.protect, it.space, BASE, 4 * PAGE, READ) == 0
    assert unit.call(protect.protect, it.space, BASE, 4 * PAGE, WRITE) == 0
    assert it.entry(BASE) & READ and it.entry(BASE + PAGE) & READ
    assert unit.call(protect.protect, it.space, BASE, 4 * PAGE, 0) == 0
    assert not it.entry(BASE) & READ and it.fault(BASE, READ) == -EACCES
    unit.call(space.release, child)
    it.close()


def test_errors_name_what_is_wrong():
    it = Space()
    it.map(BASE, PAGE, READ)
    it.map(BASE + PAGE, PAGE, 0)
    assert it.fault(BASE, WRITE) == -EACCES
    assert it.fault(BASE, 4) == -EACCES
    assert it.fault(BASE + PAGE, READ) == -EACCES
    assert it.fault(BASE + 2 * PAGE, READ) == -EFAULT
    assert it.fault(0, READ) == -EFAULT
    assert it.fault(0x7FFF_FFFF_F000, READ) == -EFAULT
    assert it.fault(2**64 - 1, WRITE) == -EFAULT
    it.close()


def huge_space():
    it = Space(96 << 20)
    it.map(BASE, 16 << 20)
    assert unit.call(advise.advise, it.space, BASE, 16 << 20, 14) == 0
    return it


def test_advised_memory_gets_2_mib_pages():
    it = huge_space()
    assert it.fault(BASE + HUGE + 5 * PAGE) == 0
    assert it.huge(BASE + HUGE) and not it.entry(BASE) and it.space.committed == 512
    assert it.write(BASE + HUGE + 100, b"inside") == 0
    assert it.read(BASE + HUGE + 100, 6) == b"inside"
    it.close()


@pytest.mark.parametrize("change", ["unmap", "protect", "discard", "remap"])
def test_a_2_mib_page_is_split_when_a_part_of_it_changes(change):
    it = huge_space()
    for at in (0, 4 * PAGE, 5 * PAGE, HUGE - PAGE):
        assert it.write(BASE + at, b"%d" % at) == 0
    assert it.huge(BASE)
    where, size = BASE + 4 * PAGE, PAGE
    free = it.memory.free
    if change == "unmap":
        assert unit.call(mapping.unmap, it.space, where, size) == 0
        assert it.read(where, 1) == -EFAULT
    elif change == "protect":
        assert unit.call(protect.protect, it.space, where, size, READ) == 0
        assert it.write(where, b"x") == -EFAULT and it.read(where, 5) == b"16384"
    elif change == "discard":
        assert unit.call(advise.advise, it.space, where, size, 4) == 0
        assert it.read(where, 5) == bytes(5)
    else:
        assert unit.call(remap.remap, it.space, where, size, size, 3, BASE - HUGE) == BASE - HUGE
        assert it.read(BASE - HUGE, 5) == b"16384" and it.read(where, 1) == -EFAULT
    assert not it.huge(BASE)
    if change in ("unmap", "discard"):
        assert it.memory.free in (free, free - 1)  # a page back, one for the table
    for at in (0, 5 * PAGE, HUGE - PAGE):
        assert it.read(BASE + at, len(str(at))) == b"%d" % at
    it.close()


def test_whole_2_mib_pages_move_and_go_whole():
    it = huge_space()
    assert it.write(BASE + HUGE + 77, b"moved") == 0
    free = it.memory.free
    to = BASE + (64 << 20)
    assert unit.call(remap.remap, it.space, BASE, 4 << 20, 4 << 20, 3, to) == to
    assert it.huge(to + HUGE) and it.read(to + HUGE + 77, 5) == b"moved"
    assert unit.call(advise.advise, it.space, to, 4 << 20, 4) == 0
    assert it.memory.free >= free + 510
    odd = BASE + (80 << 20) + PAGE
    assert it.write(to + HUGE + 77, b"again") == 0
    assert unit.call(remap.remap, it.space, to, 4 << 20, 4 << 20, 3, odd) == odd
    assert it.read(odd + HUGE + 77, 5) == b"again"
    it.close()


def test_small_pages_where_2_mib_do_not_fit_or_are_not_wanted():
    it = Space(96 << 20)
    it.map(BASE + PAGE, HUGE)
    unit.call(advise.advise, it.space, BASE + PAGE, HUGE, 14)
    assert it.fault(BASE + PAGE) == 0 and not it.huge(BASE + PAGE)
    it.map(BASE + 2 * HUGE, HUGE)
    unit.call(advise.advise, it.space, BASE + 2 * HUGE, HUGE, 15)
    assert it.fault(BASE + 2 * HUGE) == 0 and not it.huge(BASE + 2 * HUGE)
    it.close()


def test_a_program_that_uses_much_gets_2_mib_pages_unasked_and_again_small_ones_when_memory_runs_low():
    it = Space(64 << 20)
    it.map(BASE, 60 << 20)
    assert unit.call(fault.populate, it.space, BASE, BASE + (12 << 20)) == 0
    assert not it.huge(BASE) and it.huge(BASE + (10 << 20))
    assert unit.call(fault.populate, it.space, BASE + (12 << 20), BASE + (56 << 20)) == 0
    assert not it.huge(BASE + (54 << 20))
    it.close()


def test_collapse_keeps_the_contents():
    it = Space(96 << 20)
    it.map(BASE, 4 * HUGE)
    for page in range(0, 512, 37):
        assert it.write(BASE + HUGE + page * PAGE, b"%d" % page) == 0
    assert unit.call(advise.advise, it.space, BASE + HUGE, HUGE, 25) == 0
    assert it.huge(BASE + HUGE) and it.space.committed == 512
    for page in range(0, 512, 37):
        assert it.read(BASE + HUGE + page * PAGE, len(str(page))) == b"%d" % page
    assert it.read(BASE + HUGE + PAGE, 8) == bytes(8)
    it.close()


def test_much_memory_is_protected_in_pieces():
    it = Space(32 << 20)
    it.map(BASE, 20 << 20)
    assert unit.call(advise.advise, it.space, BASE, 20 << 20, 15) == 0
    assert unit.call(fault.populate, it.space, BASE, BASE + (20 << 20)) == 0
    assert unit.call(protect.protect, it.space, BASE + PAGE, (20 << 20) - 2 * PAGE, READ) == 0
    assert it.space.count == 3 and it.space.committed == 5 << 10
    assert [it.fault(BASE + each) for each in (0, PAGE)] == [0, -EACCES]
    assert [it.fault(BASE + (20 << 20) - each * PAGE) for each in (2, 1)] == [-EACCES, 0]
    assert unit.call(protect.protect, it.space, BASE, 20 << 20, READ | WRITE) == 0
    assert it.space.count == 1 and it.fault(BASE + (10 << 20)) == 0
    it.close()


def test_fork_shares_pages_until_one_writes():
    it = Space()
    it.map(BASE, 8 * PAGE)
    it.map(BASE + 8 * PAGE, 2 * PAGE, flags=MAP_SHARED | MAP_FIXED)
    for page in range(10):
        assert it.write(BASE + page * PAGE, b"parent%d" % page) == 0
    free = it.memory.free
    child = unit.call(fork.duplicate, it.space)
    assert free - it.memory.free <= 16 and child.committed == 8
    assert it.write(BASE, b"changed") == 0
    assert it.write(BASE + PAGE, b"child!!", child) == 0
    assert it.write(BASE + 8 * PAGE, b"shared!", child) == 0
    assert it.read(BASE, 7, child) == b"parent0" and it.read(BASE, 7) == b"changed"
    assert it.read(BASE + PAGE, 7) == b"parent1" and it.read(BASE + PAGE, 7, child) == b"child!!"
    assert it.read(BASE + 8 * PAGE, 7) == b"shared!"
    assert it.read(BASE + 9 * PAGE, 7, child) == b"parent9"
    unit.call(space.release, child)
    free = it.memory.free
    assert it.write(BASE + 2 * PAGE, b"mine") == 0  # the last owner writes in place
    assert it.memory.free == free
    it.close()


def test_fork_splits_2_mib_pages_and_obeys_advice():
    it = huge_space()
    assert it.write(BASE, b"huge") == 0
    it.map(BASE + (32 << 20), PAGE)
    it.map(BASE + (33 << 20), PAGE)
    it.write(BASE + (32 << 20), b"wiped")
    unit.call(advise.advise, it.space, BASE + (32 << 20), PAGE, 18)
    unit.call(advise.advise, it.space, BASE + (33 << 20), PAGE, 10)
    child = unit.call(fork.duplicate, it.space)
    assert it.read(BASE, 4, child) == b"huge" and it.read(BASE + (32 << 20), 5, child) == bytes(5)
    assert it.read(BASE + (33 << 20), 1, child) == -EFAULT
    assert it.write(BASE, b"mine", child) == 0 and it.read(BASE, 4) == b"huge"
    unit.call(space.release, child)
    it.close()


def test_stacks_grow_to_their_limit_and_not_into_others():
    it = Space()
    top = BASE + (64 << 20)
    it.map(top - 4 * PAGE, 4 * PAGE, area_flags=AREA_STACK | AREA_GROWSDOWN)
    assert it.fault(top - (1 << 20)) == 0
    assert it.fault(top - (8 << 20)) == 0
    assert it.fault(top - (8 << 20) - 1) == -EFAULT
    it.space.stack_limit = 32 << 20
    it.map(top - (16 << 20), PAGE)
    assert it.fault(top - (16 << 20) + PAGE + (1 << 20)) == 0
    assert it.fault(top - (16 << 20) + PAGE + (1 << 20) - 1) == -EFAULT
    assert it.read(top - (8 << 20), 8) == bytes(8)
    it.close()


def test_mappings_keep_away_from_stacks():
    it = Space()
    top = it.space.map_base - (1 << 20)
    it.map(top - 4 * PAGE, 4 * PAGE, area_flags=AREA_STACK | AREA_GROWSDOWN)
    for _ in range(400):
        at = it.map(0, PAGE, flags=MAP_PRIVATE)
        assert at >= top or at <= top - 4 * PAGE - (1 << 20) - PAGE
    it.close()


def test_when_memory_is_gone_a_fault_says_so_and_the_kernel_keeps_its_reserve():
    it = Space(4 << 20)
    assert it.map(BASE, 64 << 20) == BASE
    page = 0
    while (result := it.fault(BASE + page * PAGE)) == 0:
        page += 1
    assert result == -ENOMEM and page > 900 and it.memory.free >= 14
    assert unit.call(mapping.unmap, it.space, BASE, 64 << 20) == 0
    assert it.map(BASE, PAGE) == BASE and it.fault(BASE) == 0
    it.close()


@pytest.mark.parametrize("left", range(1, 12))
def test_without_pages_for_tables_nothing_is_lost(left):
    it = Space(4 << 20)
    it.map(BASE, HUGE)
    assert it.write(BASE, b"kept") == 0
    held = []
    while it.memory.free > left:
        held.append(unit.call(pages.allocate))
    it.map(BASE + (1 << 40), PAGE)
    it.fault(BASE + (1 << 40))
    unit.call(remap.remap, it.space, BASE, HUGE, HUGE, 3, BASE + (2 << 40))
    unit.call(mapping.unmap, it.space, BASE + PAGE, PAGE)
    child = unit.call(fork.duplicate, it.space)
    if child is not None:
        unit.call(space.release, child)
    found = [it.read(where, 4) for where in (BASE, BASE + (2 << 40))]
    assert b"kept" in found
    for page in held:
        unit.call(pages.release, page)
    it.close()


def test_reservations_cost_nothing_until_touched():
    it = Space()
    free = it.memory.free
    for number in range(16):
        assert it.map(0, 1 << 40, 0, MAP_PRIVATE) > 0
        assert it.space.mapped == (number + 1) << 40
    assert free - it.memory.free <= 1 and it.space.committed == 0
    assert unit.call(mapping.unmap, it.space, 0x10000, 0x7FFF_FFFE_0000) == 0
    assert it.space.mapped == 0 and it.space.count == 0
    it.close()


def test_page_tables_go_with_what_they_mapped():
    it = Space()
    it.map(BASE, PAGE)
    it.fault(BASE)
    free = it.memory.free
    for number in range(1, 200):
        address = BASE + (number << 32)
        assert it.map(address, PAGE) == address and it.fault(address) == 0
        assert unit.call(mapping.unmap, it.space, address, PAGE) == 0
    assert free - it.memory.free <= 6
    it.close()


def test_bases_are_random():
    it = Space()
    tops = {unit.call(placement.stack_top) for _ in range(50)}
    pies = {unit.call(placement.pie_base, 1 << 21) for _ in range(50)}
    bases = set()
    for _ in range(50):
        unit.call(placement.randomise, it.space)
        bases.add(it.space.map_base)
    for values in (tops, bases):
        assert len(values) == 50 and max(values) - min(values) > 1 << 38
        assert all(each % PAGE == 0 for each in values)
    assert len(pies) == 50 and all(each % (1 << 21) == 0 for each in pies)
    assert max(bases) + (128 << 20) < min(tops)
    assert max(pies) < min(bases)
    it.close()


def test_locked_memory_is_there_at_once():
    it = Space()
    it.space.lock_limit = 8 * PAGE
    it.map(BASE, 16 * PAGE)
    assert unit.call(protect.lock, it.space, BASE + 5, 4 * PAGE, False) == 0
    assert it.space.committed == 5 and it.space.locked == 5 * PAGE
    assert unit.call(protect.lock, it.space, BASE, 9 * PAGE, False) == -ENOMEM
    assert unit.call(protect.lock, it.space, BASE, 8 * PAGE, True) == 0
    assert it.space.committed == 5 and it.space.locked == 8 * PAGE
    assert unit.call(protect.unlock, it.space, BASE, 16 * PAGE) == 0
    assert it.space.locked == 0
    assert unit.call(protect.lock_all, it.space, 3) == -ENOMEM
    it.space.lock_limit = 1 << 30
    assert unit.call(protect.lock_all, it.space, 3) == 0
    assert it.space.committed == 16
    it.map(BASE + 32 * PAGE, 4 * PAGE)
    assert it.space.committed == 20 and it.space.locked == 20 * PAGE
    it.close()


def test_the_heap_grows_and_shrinks():
    it = Space()
    it.space.break_start = it.space.break_end = BASE
    brk = lambda to: unit.call(mapping.move_break, it.space, to)  # noqa: E731
    assert brk(0) == BASE
    assert brk(BASE + 10000) == BASE + 10000
    assert it.write(BASE + 9000, b"heap") == 0 and it.fault(BASE + 3 * PAGE) == -EFAULT
    assert brk(BASE + 100 * PAGE) == BASE + 100 * PAGE and it.space.count == 1
    assert brk(BASE + 100) == BASE + 100 and it.fault(BASE + PAGE) == -EFAULT
    it.map(BASE + 8 * PAGE, PAGE)
    assert brk(BASE + 8 * PAGE) == BASE + 100
    assert brk(BASE + 7 * PAGE) == BASE + 7 * PAGE
    it.close()
