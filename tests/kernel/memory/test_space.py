"""Address spaces against a model that knows each page: what is mapped, how, and what is in it."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import EACCES, EFAULT
from goanna.kernel.memory import area, fault, mapping, protect, space
from goanna.kernel.memory.area import Area, Areas
from goanna.kernel.memory.mapping import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, Request
from goanna.kernel.memory.placement import MAP_FIXED
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Ptr, jit, metal, u64
from tests.kernel.memory import machine
from tests.kernel.memory.machine import ROOTS, Memory, hooks

PAGE = 4096
BASE = 0x10_0000_0000
READ, WRITE = 1, 2


@metal
def check(space_: AddressSpace) -> None:
    """Panics unless the areas are in order, joined where they can be, counted, and their gaps are right."""
    count: u64 = 0
    mapped: u64 = 0
    end: u64 = 0
    previous: Ptr[Area] = None
    item = space_.areas.first()
    while item is not None:
        assert item.start < item.end and item.start >= end, "order"
        assert previous is None or not item.continues(previous), "joined"
        gap = item.low() - end if item.low() > end else u64(0)
        assert item.gap == gap, "gap"
        largest = item.gap
        left = space_.areas.left(item)
        if left is not None:
            largest = max(largest, left.largest_gap)
        right = space_.areas.right(item)
        if right is not None:
            largest = max(largest, right.largest_gap)
        assert item.largest_gap == largest, "largest gap"
        mapped += item.end - item.start
        count += 1
        end = item.end
        previous = item
        item = space_.areas.after(item)
    assert count == space_.count, "count"
    assert mapped == space_.mapped, "mapped"


with hooks():
    unit = jit(
        *ROOTS, check, space.create, space.release, fault.handle_fault, mapping.map_request, mapping.unmap,
        protect.protect, machine.read, machine.write, mapping.move_break, area.find, Areas,
    )  # fmt: skip


@dataclass
class Page:
    protection: int
    byte: int = 0


class Model:
    """The pages of one space, from BASE on, each as large as one byte of content says."""

    def __init__(self, memory):
        self.memory, self.pages = memory, {}
        self.space = unit.call(space.create)

    def map(self, first, count, protection, flags):
        request = unit.new(
            Request, address=BASE + first * PAGE, length=count * PAGE, protection=protection, maximum=7,
            flags=flags | MAP_ANONYMOUS | MAP_FIXED,
        )  # fmt: skip
        assert unit.call(mapping.map_request, self.space, request) == BASE + first * PAGE
        self.pages.update({first + i: Page(protection) for i in range(count)})

    def unmap(self, first, count):
        assert unit.call(mapping.unmap, self.space, BASE + first * PAGE, count * PAGE) == 0
        for i in range(first, first + count):
            self.pages.pop(i, None)

    def protect(self, first, count, protection):
        result = unit.call(protect.protect, self.space, BASE + first * PAGE, count * PAGE, protection)
        for i in range(first, first + count):
            if i not in self.pages:
                assert result == -12
                return
            self.pages[i].protection = protection
        assert result == 0

    def write(self, page, byte):
        result = unit.call(machine.write, self.space, BASE + page * PAGE + byte, bytes([byte]) * 3)
        if page in self.pages and self.pages[page].protection & WRITE:
            assert result == 0
            self.pages[page].byte = byte
        else:
            assert result == -EFAULT

    def fault(self, page, access):
        known = self.pages.get(page)
        expected = -EFAULT
        if known:
            expected = 0 if known.protection and not access & WRITE & ~known.protection else -EACCES
        assert unit.call(fault.handle_fault, self.space, BASE + page * PAGE + 7, access) == expected

    def check(self, first, count):
        unit.call(check, self.space)
        for page in range(first, first + count):
            data = bytearray(PAGE)
            result = unit.call(machine.read, self.space, data, BASE + page * PAGE)
            known = self.pages.get(page)
            if known and known.protection:
                assert result == 0
                wanted = bytearray(PAGE)
                if known.byte:
                    wanted[known.byte : known.byte + 3] = bytes([known.byte]) * 3
                    assert data[known.byte : known.byte + 3] == wanted[known.byte : known.byte + 3]
                else:
                    assert not any(data)
            else:
                assert result == -EFAULT


PAGES = st.integers(0, 23)
COUNTS = st.integers(1, 8)
PROTECTIONS = st.sampled_from([0, READ, READ | WRITE, READ | WRITE])
STEPS = st.one_of(
    st.tuples(st.just("map"), PAGES, COUNTS, PROTECTIONS, st.sampled_from([MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED])),
    st.tuples(st.just("unmap"), PAGES, COUNTS),
    st.tuples(st.just("protect"), PAGES, COUNTS, PROTECTIONS),
    st.tuples(st.just("write"), PAGES, st.integers(1, 250)),
    st.tuples(st.just("fault"), PAGES, st.sampled_from([READ, WRITE])),
)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=200, deadline=None)
def test_space_behaves_as_its_model(steps):
    memory = Memory(unit, 8 << 20)
    start = memory.free
    model = Model(memory)
    for name, *arguments in steps:
        getattr(model, name)(*arguments)
        unit.call(check, model.space)
    model.check(0, 32)
    unit.call(space.release, model.space)
    assert start - memory.free <= 40
