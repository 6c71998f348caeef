"""Maps the vDSO into programs: the page of data, and after it the shared object, at a random address.

All programs share the pages and none can write them. Linux names the two areas [vvar] and [vdso].
"""

from goanna.kernel.arch import EXECUTE, PAGE_SIZE, READ, virtual
from goanna.kernel.memory import pages
from goanna.kernel.memory.area import AREA_VDSO
from goanna.kernel.memory.placement import choose, stack_top
from goanna.kernel.memory.source import NO_PAGE, PageSource
from goanna.kernel.memory.space import AddressSpace, Doomed, add_area, bury
from goanna.kernel.time.vdso_data import show_clock_at
from goanna.kernel.time.vdso_image import IMAGE
from goanna.metal import Array, Ptr, constant, copy, metal, static, u8, u32, u64, unsafe

__all__ = ["map_vdso", "start_vdso"]

CODE_PAGES = -(-len(IMAGE) // PAGE_SIZE)
SIZE = (1 + CODE_PAGES) * PAGE_SIZE

_image = constant(Array[u8, len(IMAGE)], IMAGE)
_source = static(PageSource)  # page 0: data, then the code
_pages = static(Array[u64, 1 + CODE_PAGES])  # physical


@metal
def start_vdso() -> bool:
    """Take pages for the vDSO and fill them. Once, when the counter's rate is known. False: there is no memory."""
    for index in range(u64(len(_pages))):
        _pages[index] = pages.allocate_zeroed()
        if _pages[index] == 0:
            return False
    for index in range(u64(CODE_PAGES)):
        start = index * PAGE_SIZE
        part = _image[start : min(start + PAGE_SIZE, u64(len(_image)))]
        copy(unsafe.slice(u8, virtual(_pages[1 + index]), len(part)), part)
    _source.get_page = get_page
    _source.references.store(1)
    show_clock_at(virtual(_pages[0]))
    return True


@metal
def get_page(source: Ptr[PageSource], index: u64, writing: bool) -> u64:
    """A page of the vDSO."""
    if index >= len(_pages):
        return NO_PAGE
    pages.reference(_pages[index])
    return _pages[index]


@metal
def map_vdso(space: AddressSpace) -> u64:
    """Map the vDSO into a new address space: where its ELF header is, 0 if there is no memory or no room."""
    doomed = Doomed()
    code: u64 = 0
    with space.lock:
        place = choose(space, stack_top() - SIZE, SIZE, 0, PAGE_SIZE)
        if place > 0:
            data = u64(place)
            code = data + PAGE_SIZE
            if not add_shared(space, data, code, READ, 0, doomed) or not add_shared(
                space, code, data + SIZE, READ | EXECUTE, PAGE_SIZE, doomed
            ):
                code = 0
    bury(doomed)
    return code


@metal
def add_shared(space: AddressSpace, start: u64, end: u64, protection: u32, offset: u64, doomed: Doomed) -> bool:
    """Add one of the two areas. The space's lock is held."""
    _source.acquire()
    if add_area(space, start, end, protection, protection, AREA_VDSO, _source, offset, doomed):
        return True
    _source.release()
    return False
