"""The content of a node by the page: what read, write, mmap and truncate share, so that all see the same bytes.

A page that was never written is a hole, or the image's page where the node lies over a file of the image; the first
write to it makes a page of the node's own. Mappings hold on to the pages they have.
"""

from goanna.kernel.arch import PAGE_SIZE, physical, virtual
from goanna.kernel.base.errno import EFBIG, ENOMEM, ENOSPC
from goanna.kernel.file.node import Node, cut_pages, now
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.memory import pages
from goanna.kernel.memory.page_map import MAXIMUM_INDEX
from goanna.kernel.memory.source import NO_MEMORY, NO_PAGE, PageSource
from goanna.metal import Fn, Ptr, Slice, fill, hook, i64, metal, u8, u64, unsafe

__all__ = [
    "clear_range",
    "content",
    "map_source",
    "next_data",
    "next_hole",
    "own_page",
    "resize",
    "write_page",
]

# Pages of a node, from an index to below another, are no longer what mappings show; private copies too (the bool).
on_pages_gone = hook(Fn[[Node, u64, u64, bool, u64], None])

MAXIMUM_SIZE = (1 << 63) - 1  # MAX_LFS_FILESIZE
AT_ONCE = 65536  # bytes of the image given at once


@metal
def page_bytes(page: u64) -> Slice[u8]:
    """The bytes of a page, by its physical address."""
    return unsafe.slice(u8, virtual(page), PAGE_SIZE)


@metal
def content(node: Node, position: u64, most: u64) -> tuple[Slice[u8], u64, i64]:
    """The bytes at a position before the end of the file, at most `most`, where they lie together; the page that the
    caller then releases (0: none); and 0 or -EIO. An empty slice: zeros, up to the end of the page."""
    nothing = unsafe.slice(u8, virtual(0), 0)
    offset = position % PAGE_SIZE
    page: u64 = 0
    with node.lock:
        page = node.pages.get(position // PAGE_SIZE)
        if page != 0:
            pages.reference(page)
    if page != 0:
        return page_bytes(page)[offset : offset + min(most, PAGE_SIZE - offset)], page, 0
    if node.image is None or position >= node.image_end:
        return nothing, 0, 0
    count = min(most, node.image_end - position, PAGE_SIZE - offset)
    if node.pages.count == 0:
        count = min(most, node.image_end - position, AT_ONCE)
    part, error = node.image.view(node.inode, position, count)
    if node.image.drive is not None and error == 0:
        page = physical(unsafe.address(part)) & ~u64(PAGE_SIZE - 1)
    return part, page, error


@metal
def fresh_page(node: Node, index: u64, keep_start: u64, keep_end: u64) -> tuple[u64, i64]:
    """A page for an index that has none, not in the node yet: with what the file holds there, except from byte
    keep_start to keep_end, which the caller writes. -ENOSPC, -ENOMEM, -EIO."""
    if not node.charge(PAGE_SIZE):
        return 0, -ENOSPC
    page = pages.allocate_for_program()
    if page == 0:
        node.uncharge(PAGE_SIZE)
        return 0, -ENOMEM
    data = page_bytes(page)
    start = index * PAGE_SIZE
    if node.image is None or start >= node.image_end:
        fill(data[0:keep_start], 0)
        fill(data[keep_end:PAGE_SIZE], 0)
        return page, 0
    count = min(node.image_end - start, PAGE_SIZE)
    read = node.image.read(node.inode, start, data[0:count])
    if read < 0:
        discard(node, page)
        return 0, read
    fill(data[count:PAGE_SIZE], 0)
    return page, 0


@metal
def discard(node: Node, page: u64) -> None:
    """Give back a page that did not get into its node."""
    pages.release(page)
    node.uncharge(PAGE_SIZE)


@metal
def insert(node: Node, index: u64, page: u64) -> tuple[u64, bool]:
    """Put a page into the node: it, with a reference for the caller, and True. The one that another thread was quicker
    to put there, and False; 0: memory is out."""
    with node.lock:
        found = node.pages.get(index)
        if found != 0:
            pages.reference(found)
            return found, False
        pages.reference(page)
        if node.pages.set(index, page):
            return page, True
    pages.release(page)
    return 0, False


@metal
def own_page(node: Node, index: u64) -> tuple[u64, i64]:
    """The node's own page at an index, made if it isn't there, with a reference. -ENOSPC, -ENOMEM, -EIO."""
    with node.lock:
        found = node.pages.get(index)
        if found != 0:
            pages.reference(found)
            return found, 0
    made, error = fresh_page(node, index, 0, 0)
    if error < 0:
        return 0, error
    found, inserted = insert(node, index, made)
    if not inserted:
        discard(node, made)
    elif node.image is not None:
        on_pages_gone(node, index, index + 1, False, 0)
    return found, 0 if found != 0 else -ENOMEM


@metal
def write_page(node: Node, position: u64, count: u64, transfer: Transfer) -> tuple[u64, i64]:
    """Write bytes that lie in one page: how many came before user memory faulted, and 0, -ENOSPC or -EIO. With the
    mutex. The size is the caller's to move."""
    index = position // PAGE_SIZE
    offset = position % PAGE_SIZE
    page: u64 = 0
    with node.lock:
        page = node.pages.get(index)
        if page != 0:
            pages.reference(page)
    if page != 0:
        copied = transfer.take(page_bytes(page)[offset : offset + count])
        pages.release(page)
        return copied, 0
    made, error = fresh_page(node, index, offset, offset + count)
    if error < 0:
        return 0, error
    data = page_bytes(made)
    over_image = node.image is not None and index * PAGE_SIZE < node.image_end
    copied = transfer.take(data[offset : offset + count])
    if copied < count and not over_image:
        fill(data[offset + copied : offset + count], 0)
    if copied == 0:
        discard(node, made)
        return 0, 0
    page, inserted = insert(node, index, made)
    if page == 0:
        discard(node, made)
        return 0, -ENOMEM
    if not inserted:
        page_bytes(page)[offset : offset + copied] = data[offset : offset + copied]
        discard(node, made)
    elif over_image:
        on_pages_gone(node, index, index + 1, False, 0)
    pages.release(page)
    return copied, 0


@metal
def resize(node: Node, size: u64) -> i64:
    """Cut the content off, or let zeros follow it. With the mutex. 0, -EFBIG or -EIO."""
    if size > MAXIMUM_SIZE:
        return -EFBIG
    old = node.size
    if size < old:
        with node.lock:
            node.size = size
            node.image_end = min(node.image_end, size)
            page = node.pages.get(size // PAGE_SIZE)
            if page != 0 and size % PAGE_SIZE != 0:
                fill(page_bytes(page)[size % PAGE_SIZE : PAGE_SIZE], 0)
        first = (size + (PAGE_SIZE - 1)) // PAGE_SIZE
        cut_pages(node, first)
        on_pages_gone(node, first, MAXIMUM_INDEX, True, 0)
        return 0
    with node.lock:
        node.size = size
    return 0


@metal
def clear_range(node: Node, start: u64, end: u64) -> i64:
    """Make zeros of [start, end), giving back whole pages (a hole). With the mutex. 0, -ENOSPC or -EIO."""
    at = start
    while at < end:
        index = at // PAGE_SIZE
        stop = min(end, (index + 1) * PAGE_SIZE)
        under = node.image is not None and index * PAGE_SIZE < node.image_end
        whole = stop - at == PAGE_SIZE
        if not under:
            with node.lock:
                following = node.pages.next(index)
            if following >= (end + (PAGE_SIZE - 1)) // PAGE_SIZE:
                return 0
            if following != index:
                at = following * PAGE_SIZE
                continue
        if whole and not under:
            with node.lock:
                page = node.pages.take(index)
            if page != 0:
                on_pages_gone(node, index, index + 1, True, page)
                pages.release(page)
                node.uncharge(PAGE_SIZE)
        else:
            page, error = own_page(node, index)
            if error < 0:
                return error
            fill(page_bytes(page)[at % PAGE_SIZE : at % PAGE_SIZE + (stop - at)], 0)
            pages.release(page)
        at = stop
    return 0


@metal
def next_data(node: Node, position: u64) -> u64:
    """The first byte from a position on that is no hole; the size if there is none."""
    if node.image is not None and position < node.image_end:
        return position
    with node.lock:
        index = node.pages.next(position // PAGE_SIZE)
        if index == MAXIMUM_INDEX or index * PAGE_SIZE >= node.size:
            return node.size
        return max(position, index * PAGE_SIZE)


@metal
def next_hole(node: Node, position: u64) -> u64:
    """The first byte from a position on that is in a hole; the end of the file is one."""
    at = position
    if node.image is not None and at < node.image_end:
        at = (node.image_end + (PAGE_SIZE - 1)) // PAGE_SIZE * PAGE_SIZE
    with node.lock:
        while at < node.size and node.pages.get(at // PAGE_SIZE) != 0:
            at = (at // PAGE_SIZE + 1) * PAGE_SIZE
        return min(at, node.size)


@metal
def get_page(source: Ptr[PageSource], index: u64, writing: bool) -> u64:
    """PageSource.get_page."""
    node = unsafe.container(Node, "source", source)
    with node.lock:
        if index >= (node.size + (PAGE_SIZE - 1)) // PAGE_SIZE:
            return NO_PAGE
        page = node.pages.get(index)
        if page != 0:
            pages.reference(page)
            if writing:
                node.modify_time = now()
                node.change_time = node.modify_time
            return page
    start = index * PAGE_SIZE
    if node.image is not None and not writing and start + PAGE_SIZE <= min(node.image_end, node.inode.flat):
        part, error = node.image.view(node.inode, start, PAGE_SIZE)
        if error < 0:
            return NO_PAGE
        return physical(unsafe.address(part))
    page, error = own_page(node, index)
    if error == -ENOMEM:
        return NO_MEMORY
    if error < 0:
        return NO_PAGE
    with node.lock:
        if index * PAGE_SIZE < node.size:
            return page
        stale = node.pages.take(index)
    if stale != 0:
        discard(node, stale)
    pages.release(page)
    return NO_PAGE


@metal
def has_page(source: Ptr[PageSource], index: u64) -> bool:
    """PageSource.has_page."""
    node = unsafe.container(Node, "source", source)
    with node.lock:
        return node.pages.get(index) != 0 or index * PAGE_SIZE < node.image_end


@metal
def leave_source(source: Ptr[PageSource]) -> None:
    """PageSource.leave: the last mapping gives back the name that the first one took, and with it the node."""
    node = unsafe.container(Node, "source", source)
    entry = source.entry
    with node.lock:
        if source.references.sub(1) != 1:
            return
        entry = source.entry
        source.entry = None
    if entry is not None:
        entry.drop()


@metal
def map_source(node: Node, entry: Ptr["goanna.kernel.file.tree.Entry"]) -> Ptr[PageSource]:
    """The node's pages for a mapping, with a reference. While any is mapped, the entry is held, and holds the node."""
    source = node.source
    with node.lock:
        if source.references.add(1) == 0:
            source.get_page = get_page
            source.has_page = has_page
            source.leave = leave_source
            source.entry = entry
            entry.hold()
    return source
