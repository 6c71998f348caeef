"""Mappings of files of a share: pages that are read when they are first touched, and written back.

The pages are here from the first mapping of a file to the end of the last. Of each that a program may write to through
a mapping there is a copy of what the server has; what differs from it is written back by msync, fsync and the end of
the last mapping, so that no byte that was not changed here takes the place of one that the host changed. read and write
go to the server, and keep the pages true to it.
"""

from goanna.kernel.arch import PAGE_SIZE, virtual
from goanna.kernel.base.errno import EIO, ENOMEM
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description
from goanna.kernel.file.node import Node
from goanna.kernel.file.node_pages import on_pages_gone
from goanna.kernel.memory import pages
from goanna.kernel.memory.page_map import MAXIMUM_INDEX, PageMap
from goanna.kernel.memory.source import NO_MEMORY, NO_PAGE, PageSource
from goanna.kernel.share import requests
from goanna.kernel.share.message import Qid
from goanna.kernel.share.node import OpenFile, Shared, shared_of
from goanna.kernel.thread.current import count_fetch
from goanna.metal import Ptr, Slice, copy, fill, i64, metal, u8, u64, unsafe

__all__ = ["cut", "map_description", "tell_pages", "write_back"]


@metal
def bytes_of(page: u64) -> Slice[u8]:
    """The bytes of a page."""
    return unsafe.slice(u8, virtual(page), PAGE_SIZE)


@metal
def map_description(description: Description) -> Ptr[PageSource]:
    """Operations.source."""
    node: Node = description.entry.node
    shared = shared_of(node)
    opened = unsafe.at(OpenFile, description.object)
    source = node.source
    with shared.mutex:
        if source.references.add(1) == 0:
            source.get_page = get_page
            source.has_page = has_page
            source.synchronise = synchronise
            source.leave = leave
            source.entry = description.entry.real()
            source.entry.hold()
            opened.hold()
            shared.reader = opened
        if description.writable() and shared.writer is None:
            opened.hold()
            shared.writer = opened
    return source


@metal
def fetch(shared: Shared, index: u64) -> tuple[u64, i64]:
    """A page as the server has it, with a reference, and 0; NO_PAGE past the end. -ENOMEM, -EIO or what the server
    says."""
    page = pages.allocate_for_program()
    if page == 0:
        return NO_PAGE, -ENOMEM
    opened: OpenFile = shared.reader
    done, error, ours = requests.read(opened.session, opened.fid, index * PAGE_SIZE, page, 0, PAGE_SIZE)
    if ours and (error < 0 or done == 0):
        pages.release(page)
    if error < 0 or done == 0:
        return NO_PAGE, error
    fill(bytes_of(page)[done:PAGE_SIZE], 0)
    count_fetch(done)
    return page, 0


@metal
def get_page(source: Ptr[PageSource], index: u64, writing: bool) -> u64:
    """PageSource.get_page."""
    node = unsafe.container(Node, "source", source)
    shared = shared_of(node)
    if index >= MAXIMUM_INDEX - 1:
        return NO_PAGE
    with shared.mutex:
        with node.lock:
            page = node.pages.get(index)
            if page != 0:
                pages.reference(page)
        if page == 0:
            page, error = fetch(shared, index)
            if page == NO_PAGE:
                return NO_MEMORY if error == -ENOMEM else u64(NO_PAGE)
            with node.lock:
                pages.reference(page)
                kept = node.pages.set(index, page)
            if not kept:
                pages.release(page)
                pages.release(page)
                return NO_MEMORY
        if shared.writer is not None and shared.sent.get(index) == 0 and not remember(shared, index, page):
            pages.release(page)
            return NO_MEMORY
        return page


@metal
def remember(shared: Shared, index: u64, page: u64) -> bool:
    """Keep a copy of a page that may be written to from now on. With the mutex. False: memory is out."""
    made = pages.allocate_for_program()
    if made == 0:
        return False
    copy(bytes_of(made), bytes_of(page))
    if shared.sent.set(index, made):
        return True
    pages.release(made)
    return False


@metal
def has_page(source: Ptr[PageSource], index: u64) -> bool:
    """PageSource.has_page."""
    node = unsafe.container(Node, "source", source)
    with node.lock:
        return node.pages.get(index) != 0


@metal
def synchronise(source: Ptr[PageSource], first: u64, end: u64) -> i64:
    """PageSource.synchronise."""
    return write_back(unsafe.container(Node, "source", source), first, end)


@metal
def write_back(node: Node, first: u64, end: u64) -> i64:
    """Have the server get what programs wrote to the pages from `first` to below `end`. 0, or why it did not, once."""
    shared = shared_of(node)
    if node.source.references.load() == 0 and shared.failure == 0:
        return 0
    with shared.mutex:
        send_pages(shared, first, end)
        error = shared.failure
        shared.failure = 0
        return error


@metal
def send_pages(shared: Shared, first: u64, end: u64) -> None:
    """The same with the mutex; a failure is kept."""
    if shared.writer is None or shared.sent.count == 0:
        return
    look_at_size(shared)
    spare = pages.allocate()
    if spare == 0:
        shared.failure = -ENOMEM
        return
    index = shared.sent.next(first)
    while index < end and index != MAXIMUM_INDEX and spare != 0:
        with shared.node.lock:
            page = shared.node.pages.get(index)
        if page != 0:
            copy(bytes_of(spare), bytes_of(page))
            if not send_page(shared, index, spare):
                spare = 0
        index = shared.sent.next(index + 1)
    if spare != 0:
        pages.release(spare)


@metal
def look_at_size(shared: Shared) -> None:
    """Ask the server how long the file is now, lest what is past its end be written."""
    qid = Qid()
    attributes = Attributes()
    if requests.describe(shared.share.session, shared.writer.fid, qid, attributes) == 0 and qid.path == shared.path:
        with shared.node.lock:
            shared.node.size = attributes.size


@metal
def send_page(shared: Shared, index: u64, now: u64) -> bool:
    """Write to the server what is other in a page than it was. False: the page `now` is no longer the caller's."""
    node: Node = shared.node
    before = bytes_of(shared.sent.get(index))
    after = bytes_of(now)
    start = index * PAGE_SIZE
    limit = min(node.size - min(node.size, start), PAGE_SIZE)  # what lies past the end of a file is nobody's
    low: u64 = 0
    while low < limit and before[low] == after[low]:
        low += 1
    while low < limit:
        high = low
        same: u64 = 0
        at = low
        while at < limit and same < 64:  # a gap of less is not worth a request
            if before[at] == after[at]:
                same += 1
            else:
                same = 0
                high = at + 1
            at += 1
        opened: OpenFile = shared.writer
        count, error, ours = requests.write(opened.session, opened.fid, start + low, now + low, 0, high - low)
        if not ours:
            shared.failure = error
            return False
        if error < 0 or count == 0:
            shared.failure = error if error < 0 else -i64(EIO)
            return True
        before[low : low + count] = after[low : low + count]
        low += count
        while low < limit and before[low] == after[low]:
            low += 1
    return True


@metal
def leave(source: Ptr[PageSource]) -> None:
    """PageSource.leave: after the last mapping nothing of the file is here."""
    node = unsafe.container(Node, "source", source)
    shared = shared_of(node)
    entry = source.entry
    with shared.mutex:
        if source.references.sub(1) != 1:
            return
        send_pages(shared, 0, MAXIMUM_INDEX)
        with node.lock:
            node.pages.clear_from(0)
        shared.sent.clear_from(0)
        reader = shared.reader
        writer = shared.writer
        shared.reader = None
        shared.writer = None
        entry = source.entry
        source.entry = None
    if reader is not None:
        reader.drop()
    if writer is not None:
        writer.drop()
    if entry is not None:
        entry.drop()


@metal
def tell_pages(node: Node, position: u64, data: Slice[u8]) -> None:
    """Bytes were written to the server: mapped pages get them too."""
    if node.source.references.load() == 0:
        return
    shared = shared_of(node)
    with shared.mutex:
        done: u64 = 0
        while done < len(data):
            index = (position + done) // PAGE_SIZE
            offset = (position + done) % PAGE_SIZE
            count = min(len(data) - done, PAGE_SIZE - offset)
            put_into(shared.sent, index, offset, data[done : done + count])
            with node.lock:
                put_into(node.pages, index, offset, data[done : done + count])
            done += count


@metal
def put_into(map: PageMap, index: u64, offset: u64, data: Slice[u8]) -> None:
    """Write into a page of a map, if it has it."""
    page = map.get(index)
    if page != 0:
        bytes_of(page)[offset : offset + len(data)] = data


@metal
def cut(node: Node, size: u64) -> None:
    """The file was cut at a size: no mapping shows what lay beyond."""
    if node.source.references.load() == 0:
        return
    shared = shared_of(node)
    first = (size + (PAGE_SIZE - 1)) // PAGE_SIZE
    with shared.mutex:
        with node.lock:
            node.pages.clear_from(first)
            clear_tail(node.pages, size)
        shared.sent.clear_from(first)
        clear_tail(shared.sent, size)
    on_pages_gone(node, first, MAXIMUM_INDEX, True, 0)


@metal
def clear_tail(map: PageMap, size: u64) -> None:
    """Clear what lies past the end of a file in its last page."""
    page = map.get(size // PAGE_SIZE)
    if page != 0 and size % PAGE_SIZE != 0:
        fill(bytes_of(page)[size % PAGE_SIZE : PAGE_SIZE], 0)
