"""One address space on several processors: calls and faults at once, in an order that a seed chooses."""

import pytest

from goanna.kernel.arch import processor_count, stop
from goanna.kernel.arch.host.processors import preemption_point, random, simulate
from goanna.kernel.memory import advise, fault, fork, mapping, pages, protect, remap, space
from goanna.kernel.memory.mapping import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, Request, map_request
from goanna.kernel.memory.placement import MAP_FIXED
from goanna.kernel.memory.space import AddressSpace
from goanna.metal import Array, Atomic, Ptr, jit, metal, static, u8, u32, u64
from tests.kernel.memory import machine
from tests.kernel.memory.machine import ROOTS, Memory, hooks
from tests.kernel.memory.test_space import check

PAGE = 4096
BASE = 0x10_0000_0000
OWN = 0x20_0000_0000  # each processor's own pages
STEPS = 150
WINDOW = 24  # pages that all fight for
OWN_PAGES = 4

common = static(Ptr[AddressSpace])
finished = static(Atomic[u32])


@metal
def map_fixed(address: u64, length: u64, protection: u32, shared: bool) -> None:
    request = Request(address=address, length=length, protection=protection, maximum=7)
    request.flags = (MAP_SHARED if shared else u32(MAP_PRIVATE)) | MAP_ANONYMOUS | MAP_FIXED
    assert map_request(common, request) >= 0, "there is memory for this"


@metal
def step() -> None:
    """One call or fault in the window."""
    address = BASE + random() % WINDOW * PAGE
    length = (1 + random() % 6) * PAGE
    match random() % 10:
        case 0:
            map_fixed(address, length, 3, random() % 2 == 0)
        case 1:
            mapping.unmap(common, address, length)
        case 2:
            protect.protect(common, address, length, u32(random() % 4))
        case 3:
            advise.advise(common, address, length, 4)
        case 4:
            remap.remap(common, address, length, length, 3, BASE + random() % WINDOW * PAGE)
        case 5:
            child = fork.duplicate(common)
            if child is not None:
                preemption_point()
                fault.handle_fault(child, address, 2)
                space.release(child)
        case _:
            fault.handle_fault(common, address, 1 + u32(random() % 2))


@metal
def write_own(index: u64, value: u8) -> None:
    """Fill the processor's own pages, by way of faults."""
    data = Array[u8, 64]()
    for i in range(u64(64)):
        data[i] = value
    for page in range(u64(OWN_PAGES)):
        address = OWN + (index * OWN_PAGES + page) * PAGE
        assert machine.write(common, address, data[:]) == 0, "own pages can be written"


@metal
def check_own(index: u64, value: u8) -> None:
    """Whether the processor's own pages hold what it wrote."""
    data = Array[u8, 64]()
    for page in range(u64(OWN_PAGES)):
        address = OWN + (index * OWN_PAGES + page) * PAGE
        assert machine.read(common, data[:], address) == 0, "own pages can be read"
        for byte in data:
            assert byte == value, "own pages keep their contents"


@metal
def worker(index: u32) -> None:
    mine = u64(index)
    for number in range(u64(STEPS)):
        value = u8(1 + number % 250)
        if number % 8 == 0:
            write_own(mine, value)
        step()
        if number % 8 == 0:
            check_own(mine, value)
    if finished.add(1) + 1 == processor_count():
        stop(0)
    while True:
        preemption_point()


@metal
def run(processors: u32, seed: u64) -> u32:
    global common
    common = space.create()
    map_fixed(OWN, 16 * OWN_PAGES * PAGE, 3, False)
    result = simulate(worker, processors, seed, 50_000_000)
    check(common)
    space.release(common)
    return result


with hooks():
    unit = jit(*ROOTS, run, pages.free_pages)


@pytest.mark.parametrize("processors", [1, 2, 4])
@pytest.mark.parametrize("seed", range(1, 6))
def test_calls_and_faults_at_once(processors, seed):
    memory = Memory(unit, 16 << 20)
    before = memory.free
    assert unit.call(run, processors, seed) == 0
    assert before - memory.free <= 24  # spare slabs
