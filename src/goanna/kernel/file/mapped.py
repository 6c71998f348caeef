"""Pages that a file no longer has leave the mappings of it, so that all who map it see what the file is (SIGBUS past
its end). Whoever maps the file is found by asking every process, which only the cutting of a mapped file costs.
"""

from goanna.kernel.arch import PAGE_SIZE, entry_physical, interrupt_window, table_lookup
from goanna.kernel.file.node import Node
from goanna.kernel.file.node_pages import on_pages_gone
from goanna.kernel.file.subject import Subject, hold_space, next_id
from goanna.kernel.memory.area import Area
from goanna.kernel.memory.source import PageSource
from goanna.kernel.memory.space import PIECE, AddressSpace, discard, release
from goanna.metal import metal, u64

__all__: list[str] = []


@on_pages_gone.set
@metal
def forget_pages(node: Node, first: u64, end: u64, private: bool, page: u64) -> None:
    """Have no mapping show the pages from `first` to below `end` as they were; those of private mappings too if
    `private`, and if a page is given, only where that page is mapped and no copy of it. What the file has been made to
    be is what faults find by now."""
    if node.source.references.load() == 0:
        return
    process = next_id(1, 0)
    while process != 0:
        subject = Subject()
        if subject.find(process, 0, False):
            space = hold_space(subject.process)
            if space is not None:
                forget_in(space, node.source, first, end, private, page)
                release(space)
        subject.release()
        process = next_id(process + 1, 0)


@metal
def forget_in(space: AddressSpace, source: PageSource, first: u64, end: u64, private: bool, page: u64) -> None:
    """The same in one address space. Faults under way begin again."""
    while True:
        finished = True
        with space.lock:
            area = space.areas.first()
            while area is not None and finished:
                if area.source is source and (private or area.shared()):
                    space.generation += 1
                    finished = forget_in_area(space, area, first, end, page)
                area = space.areas.after(area)
        if finished:
            return
        interrupt_window()


@metal
def forget_in_area(space: AddressSpace, area: Area, first: u64, end: u64, page: u64) -> bool:
    """The same in one area. With the lock. False: not all is done yet."""
    low = max(first, area.offset // PAGE_SIZE)
    high = min(end, (area.offset + (area.end - area.start)) // PAGE_SIZE)
    if low >= high:
        return True
    start = area.start + (low * PAGE_SIZE - area.offset)
    stop = area.start + (high * PAGE_SIZE - area.offset)
    if page != 0 and not area.shared() and entry_physical(table_lookup(space.table, start)) != page:
        return True
    return discard(space, start, stop, PIECE) >= stop
