"""Open regular files whose content is in memory or in the image: read, write, lseek, truncation, space."""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.errno import EFAULT, EFBIG, ENOSPC, ENOTTY, ENXIO, EPERM
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.events import IN_ACCESS, IN_MODIFY
from goanna.kernel.file.flags import (
    FIONREAD,
    O_APPEND,
    O_NOATIME,
    SEEK_DATA,
    SEEK_HOLE,
)
from goanna.kernel.file.node import Node
from goanna.kernel.file.node_pages import (
    clear_range,
    content,
    map_source,
    next_data,
    next_hole,
    own_page,
    resize,
    write_page,
)
from goanna.kernel.file.seek import seek_file
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import attributes_by_entry, tell_both, touch
from goanna.kernel.identity.credentials import CAP_FSETID, capable
from goanna.kernel.memory import pages, user
from goanna.kernel.memory.source import PageSource
from goanna.kernel.thread.current import current_process
from goanna.metal import Fn, Ptr, constant, hook, i64, metal, u32, u64, unsafe, wrapping

__all__ = ["FILE", "allocate_space", "on_size_limit", "open_node", "truncate_node"]

RLIMIT_FSIZE = 1
LARGEST = (1 << 63) - 1  # MAX_LFS_FILESIZE
SEAL_SEAL = 1
SEAL_SHRINK = 2
SEAL_GROW = 4
SEAL_WRITE = 8
SEAL_FUTURE_WRITE = 16

on_size_limit = hook(Fn[[], None])  # a write beyond RLIMIT_FSIZE: SIGXFSZ


@metal
def node_of(description: Description) -> Node:
    """What lies below an open file."""
    return unsafe.at(Node, description.object)


@metal
def open_node(node: Node, flags: u32) -> Ptr[Description]:
    """A description of a regular file, or None. Its entry, which holds the node, is to be set."""
    description = create(FILE, flags, unsafe.address(node))
    if description is not None:
        if description.writable():
            node.writers.add(1)
        else:
            node.readers.add(1)
    return description


@metal
def release_file(description: Description) -> None:
    """The description ends."""
    node = node_of(description)
    if description.writable():
        node.writers.sub(1)
    else:
        node.readers.sub(1)


@metal
def read_file(description: Description, transfer: Transfer) -> i64:
    """Bytes, 0 at the end, -EIO or -EFAULT."""
    node = node_of(description)
    done: i64 = 0
    while transfer.left != 0 and transfer.position < node.size:
        most = min(transfer.left, node.size - min(node.size, transfer.position))
        if most == 0:
            break
        part, page, error = content(node, transfer.position, most)
        if error < 0:
            return done if done != 0 else error
        copied: u64 = 0
        wanted: u64 = len(part)
        if wanted != 0:
            copied = transfer.put(part)
        else:
            wanted = min(most, PAGE_SIZE - transfer.position % PAGE_SIZE)
            copied = transfer.put_zeros(wanted)
        if page != 0:
            pages.release(page)
        done += i64(copied)
        transfer.position += copied
        if copied < wanted:
            return done if done != 0 else -EFAULT
    if (description.status.load() & O_NOATIME) == 0:
        touch(description.entry)
    if done != 0:
        tell_both(description.entry, IN_ACCESS)
    return done


@metal
def write_file(description: Description, transfer: Transfer) -> i64:
    """Bytes, -EFAULT, -EFBIG, -ENOSPC, -EPERM (sealed) or -EIO."""
    node = node_of(description)
    if transfer.left == 0:
        return 0
    with node.mutex:
        if (description.status.load() & O_APPEND) != 0 or transfer.append:
            transfer.position = node.size
        error = check_write(node, transfer)
        if error < 0:
            return error
        drop_privilege(node)
        done: i64 = 0
        while transfer.left != 0 and error == 0:
            position = transfer.position
            count = min(transfer.left, PAGE_SIZE - position % PAGE_SIZE)
            copied, error = write_page(node, position, count, transfer)
            done += i64(copied)
            transfer.position = position + copied
            if transfer.position > node.size and copied != 0:
                with node.lock:
                    node.size = transfer.position
            if error == 0 and copied < count:
                error = -EFAULT
        if done != 0:
            node.modified()
            tell_both(description.entry, IN_MODIFY)
        return done if done != 0 else error


@metal
def check_write(node: Node, transfer: Transfer) -> i64:
    """Whether a write may begin where it is to begin; it is cut to what may be written. 0, -EFBIG, -EPERM."""
    if (node.seals & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0:
        return -EPERM
    limit = current_process().limits[RLIMIT_FSIZE].current
    if transfer.position >= limit:
        on_size_limit()
        return -EFBIG
    if transfer.position >= LARGEST:
        return -EFBIG
    transfer.left = min(transfer.left, min(limit, u64(LARGEST)) - transfer.position)
    if (node.seals & SEAL_GROW) != 0:
        if transfer.position >= node.size:
            return -EPERM
        transfer.left = min(transfer.left, node.size - transfer.position)
    return 0


@metal
def drop_privilege(node: Node) -> None:
    """Set-user-ID, and set-group-ID of what a group may execute, go with a write (file_remove_privs)."""
    if (node.mode & 0o6000) != 0 and not capable(CAP_FSETID):
        with node.lock:
            node.mode &= ~u32(0o4000)
            if (node.mode & 0o2010) == 0o2010:
                node.mode &= ~u32(0o2000)


@metal
def truncate_node(node: Node, size: u64) -> i64:
    """Set the size. 0, -EFBIG, -EPERM (sealed) or -EIO."""
    with node.mutex:
        if size > node.size:
            if size > current_process().limits[RLIMIT_FSIZE].current:
                on_size_limit()
                return -EFBIG
            if (node.seals & SEAL_GROW) != 0:
                return -EPERM
        elif size < node.size and (node.seals & SEAL_SHRINK) != 0:
            return -EPERM
        error = resize(node, size)
        if error == 0:
            drop_privilege(node)
            node.modified()
        return error


FALLOC_KEEP_SIZE = 1
FALLOC_PUNCH_HOLE = 2
FALLOC_ZERO_RANGE = 16


@metal
def allocate_space(node: Node, mode: u32, start: u64, length: u64) -> i64:
    """fallocate: pages made, or with FALLOC_PUNCH_HOLE or FALLOC_ZERO_RANGE bytes cleared. 0, -ENOSPC, -EFBIG, -EPERM
    (sealed) or -EIO. The mode is a known one."""
    end = start + length
    with node.mutex:
        if (mode & FALLOC_PUNCH_HOLE) != 0:
            if (node.seals & (SEAL_WRITE | SEAL_FUTURE_WRITE)) != 0:
                return -EPERM
            # What lies behind the end is nothing: a page that is left with no byte of the file goes as a whole.
            error = clear_range(node, start, min(end, (node.size + (PAGE_SIZE - 1)) & ~(PAGE_SIZE - 1)))
            if error == 0:
                node.modified()
            return error
        grows = end > node.size and (mode & FALLOC_KEEP_SIZE) == 0
        if grows:
            if end > current_process().limits[RLIMIT_FSIZE].current:
                on_size_limit()
                return -EFBIG
            if (node.seals & SEAL_GROW) != 0:
                return -EPERM
        if (mode & FALLOC_ZERO_RANGE) != 0 and start < node.size:
            error = clear_range(node, start, min(end, node.size))
            if error < 0:
                return error
        error = make_pages(node, start // PAGE_SIZE, (end + (PAGE_SIZE - 1)) // PAGE_SIZE)
        if error < 0:
            return error
        if grows:
            with node.lock:
                node.size = end
        node.modified()
        return 0


@metal
def make_pages(node: Node, first: u64, end: u64) -> i64:
    """Let the node have its own page at each index, or none more than before. 0, -ENOSPC or -EIO."""
    if end - first > MOST_PAGES:
        return -ENOSPC
    for index in range(first, end):
        page, error = own_page(node, index)
        if error < 0:
            return error
        pages.release(page)
    return 0


MOST_PAGES = 1 << 40


@metal
def seek_node(description: Description, offset: i64, whence: u32) -> i64:
    """lseek."""
    node = node_of(description)
    if whence not in (SEEK_DATA, SEEK_HOLE):
        return seek_file(description.position, node.size, offset, whence)
    if offset < 0 or u64(offset) >= node.size:
        return -ENXIO
    if whence == SEEK_HOLE:
        return i64(next_hole(node, u64(offset)))
    found = next_data(node, u64(offset))
    return i64(found) if found < node.size else -ENXIO


@metal
def control_file(description: Description, command: u32, argument: u64) -> i64:
    """FIONREAD: what lies after the position."""
    if command != FIONREAD:
        return -ENOTTY
    return user.put(argument, u32.wrap(wrapping(node_of(description).size - description.position)))


@metal
def file_source(description: Description) -> Ptr[PageSource]:
    """The pages of a file, for mmap, with a reference."""
    return map_source(node_of(description), description.entry)


FILE = constant(
    Operations,
    {
        "positional": True,
        "read": read_file,
        "write": write_file,
        "seek": seek_node,
        "attributes": attributes_by_entry,
        "control": control_file,
        "source": file_source,
        "release": release_file,
    },
)
