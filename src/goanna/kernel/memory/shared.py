"""Shared anonymous memory: what MAP_SHARED | MAP_ANONYMOUS maps, seen alike by all who inherit the mapping."""

from goanna.kernel.base.lock import SpinLock
from goanna.kernel.memory import pages
from goanna.kernel.memory.objects import Cache
from goanna.kernel.memory.page_map import PageMap
from goanna.kernel.memory.source import NO_MEMORY, NO_PAGE, PageSource
from goanna.metal import Ptr, metal, struct, u64, unsafe

__all__ = ["SharedMemory", "create"]


@struct
class SharedMemory:
    """Pages of zeros until they are touched. A mapping that mremap makes longer finds nothing past the end."""

    source: PageSource
    size: u64  # pages
    lock: SpinLock  # protects `pages`; taken after an address space's
    pages: PageMap


memories = Cache(SharedMemory)


@metal
def create(size: u64) -> Ptr[PageSource]:
    """Shared memory of `size` pages with one reference, or None."""
    memory = memories.allocate()
    if memory is None:
        return None
    memory.size = size
    memory.source.get_page = get_page
    memory.source.has_page = has_page
    memory.source.destroy = destroy
    memory.source.references.store(1)
    return memory.source


@metal
def get_page(source: Ptr[PageSource], index: u64, writing: bool) -> u64:
    """The page at an index, made if it isn't there."""
    memory = unsafe.container(SharedMemory, "source", source)
    if index >= memory.size:
        return NO_PAGE
    with memory.lock:
        page = memory.pages.get(index)
        if page != 0:
            pages.reference(page)
            return page
    fresh = pages.allocate_for_program()
    if fresh == 0:
        return NO_MEMORY
    pages.clear(fresh)
    with memory.lock:
        page = memory.pages.get(index)
        if page == 0:
            if not memory.pages.set(index, fresh):
                pages.release(fresh)
                return NO_MEMORY
            pages.reference(fresh)
            return fresh
        pages.reference(page)
    pages.release(fresh)
    return page


@metal
def has_page(source: Ptr[PageSource], index: u64) -> bool:
    """Whether a page has been touched by anybody."""
    memory = unsafe.container(SharedMemory, "source", source)
    with memory.lock:
        return memory.pages.get(index) != 0


@metal
def destroy(source: Ptr[PageSource]) -> None:
    """Release all pages."""
    memory = unsafe.container(SharedMemory, "source", source)
    memory.pages.clear_from(0)
    memories.free(memory)
