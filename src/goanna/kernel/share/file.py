"""Open files and folders of a share: read, write, lseek, getdents64, fsync. The server has all of the content."""

from goanna.kernel.arch import PAGE_SIZE
from goanna.kernel.base.errno import EFAULT, EFBIG, EINVAL, EIO, ENOMEM, ENOTTY
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description, Operations
from goanna.kernel.file.directory import DirectoryWriter
from goanna.kernel.file.events import IN_ACCESS, IN_MODIFY
from goanna.kernel.file.flags import FIONREAD, NAME_MAX, O_APPEND, SEEK_CUR, SEEK_SET
from goanna.kernel.file.memory_file import on_size_limit
from goanna.kernel.file.node import Node
from goanna.kernel.file.seek import read_directory, seek_file
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.tree import tell_both
from goanna.kernel.memory import pages, user
from goanna.kernel.memory.page_map import MAXIMUM_INDEX
from goanna.kernel.share import requests
from goanna.kernel.share.message import Qid, Unpacker
from goanna.kernel.share.node import OpenFile, describe_by
from goanna.kernel.share.pages import map_description, tell_pages, write_back
from goanna.kernel.share.session import bulk_memory, bytes_of
from goanna.kernel.thread.current import current_process
from goanna.metal import constant, i64, metal, u32, u64, unsafe

__all__ = ["DIRECTORY", "FILE"]

RLIMIT_FSIZE = 1
LARGEST = (1 << 63) - 1
LEAST_LIST = 1024  # bytes of names asked for at once: the longest fits


@metal
def opened_of(description: Description) -> OpenFile:
    """What lies below an open file."""
    return unsafe.at(OpenFile, description.object)


@metal
def read_file(description: Description, transfer: Transfer) -> i64:
    """Operations.read."""
    if transfer.left == 0:
        return 0
    node: Node = description.entry.node
    error = write_back(node, transfer.position // PAGE_SIZE, MAXIMUM_INDEX)
    if error < 0:
        return error
    opened = opened_of(description)
    memory, order = bulk_memory(transfer.left)
    if memory == 0:
        return -ENOMEM
    done: u64 = 0
    while transfer.left != 0 and transfer.position <= LARGEST:
        size = min(transfer.left, PAGE_SIZE << u64(order), opened.session.bulk)
        count, problem, ours = requests.read(opened.session, opened.fid, transfer.position, memory, order, size)
        if not ours:
            return i64(done) if done != 0 else problem
        error = problem
        if error < 0 or count == 0:
            break
        copied = transfer.put(bytes_of(memory, count))
        transfer.position += copied
        done += copied
        if copied < count:
            error = -EFAULT
        if copied < size:
            break
    pages.free_order(memory, order)
    if done != 0:
        tell_both(description.entry, IN_ACCESS)
    return i64(done) if done != 0 else error


@metal
def write_file(description: Description, transfer: Transfer) -> i64:
    """Operations.write."""
    if transfer.left == 0:
        return 0
    node: Node = description.entry.node
    with node.mutex:
        if (description.status.load() & O_APPEND) != 0 or transfer.append:
            size, error = size_of(description)
            if error < 0:
                return error
            transfer.position = size
        limit = current_process().limits[RLIMIT_FSIZE].current
        if transfer.position >= limit:
            on_size_limit()
        if transfer.position >= min(limit, u64(LARGEST)):
            return -EFBIG
        transfer.left = min(transfer.left, min(limit, u64(LARGEST)) - transfer.position)
        result = send(description, node, transfer)
    if result > 0:
        tell_both(description.entry, IN_MODIFY)
    return result


@metal
def send(description: Description, node: Node, transfer: Transfer) -> i64:
    """Write at transfer.position. With the node's mutex."""
    opened = opened_of(description)
    memory, order = bulk_memory(transfer.left)
    if memory == 0:
        return -ENOMEM
    done: u64 = 0
    error: i64 = 0
    while transfer.left != 0:
        size = min(transfer.left, PAGE_SIZE << u64(order), opened.session.bulk)
        got = transfer.take(bytes_of(memory, size))
        if got == 0:
            error = -EFAULT
            break
        count, problem, ours = requests.write(opened.session, opened.fid, transfer.position, memory, order, got)
        if not ours:
            return i64(done) if done != 0 else problem
        error = problem
        if error == 0 and count == 0:
            error = -EIO
        tell_pages(node, transfer.position, bytes_of(memory, count))
        transfer.position += count
        done += count
        if count < size:
            break
    pages.free_order(memory, order)
    with node.lock:
        node.size = max(node.size, transfer.position)
    return i64(done) if done != 0 else error


@metal
def size_of(description: Description) -> tuple[u64, i64]:
    """How long the file is now, and 0 or an errno."""
    attributes = Attributes()
    error = describe_open(description, attributes)
    return attributes.size, error


@metal
def describe_open(description: Description, attributes: Attributes) -> i64:
    """Operations.attributes: what the server says of the file by the fid that is open."""
    return describe_by(description.entry.real(), opened_of(description).fid, attributes)


@metal
def seek(description: Description, offset: i64, whence: u32) -> i64:
    """Operations.seek."""
    size: u64 = 0
    error: i64 = 0
    if whence not in (SEEK_SET, SEEK_CUR):
        size, error = size_of(description)
    return error if error < 0 else seek_file(description.position, size, offset, whence)


@metal
def control(description: Description, command: u32, argument: u64) -> i64:
    """FIONREAD: what lies after the position."""
    if command != FIONREAD:
        return -ENOTTY
    size, error = size_of(description)
    if error < 0:
        return error
    return user.put(argument, u32.wrap(size - min(description.position, size)))


@metal
def synchronise(description: Description, data_only: bool) -> i64:
    """Operations.synchronise."""
    error = write_back(description.entry.node, 0, MAXIMUM_INDEX)
    opened = opened_of(description)
    if error == 0:
        error = requests.synchronise(opened.session, opened.fid, data_only)
    return error


@metal
def synchronise_folder(description: Description, data_only: bool) -> i64:
    """Operations.synchronise of a folder."""
    opened = opened_of(description)
    return requests.synchronise(opened.session, opened.fid, data_only)


@metal
def release(description: Description) -> None:
    """The description ends."""
    opened_of(description).drop()


@metal
def release_file(description: Description) -> None:
    """The same of a file."""
    node: Node = description.entry.node
    if description.writable():
        node.writers.sub(1)
    else:
        node.readers.sub(1)
    opened_of(description).drop()


@metal
def list_folder(description: Description, writer: DirectoryWriter) -> i64:
    """Operations.list: positions are the server's."""
    opened = opened_of(description)
    memory, order = bulk_memory(max(writer.room, u64(LEAST_LIST)))
    if memory == 0:
        return -ENOMEM
    error: i64 = 0
    tell_both(description.entry, IN_ACCESS)
    while error == 0:
        size = min(max(writer.room, u64(LEAST_LIST)), PAGE_SIZE << u64(order), opened.session.bulk)
        count, problem, ours = requests.read_list(opened.session, opened.fid, description.position, memory, order, size)
        if not ours:
            return i64(writer.written) if writer.written != 0 else problem
        if problem < 0 or count == 0:
            error = problem
            break
        message = Unpacker()
        message.start(bytes_of(memory, count), 0)
        going_on = False
        while message.left() != 0 and error == 0:
            error = give_name(message, description, writer)
            going_on = True
        if not going_on or writer.room < LEAST_LIST:
            break
    pages.free_order(memory, order)
    if writer.written == 0 and error < 0 and writer.error == 0:
        return error
    return writer.result()


@metal
def give_name(message: Unpacker, description: Description, writer: DirectoryWriter) -> i64:
    """Hand the next name of a list on. 0; -EIO: it makes no sense; -EINVAL: there is no room for it."""
    qid = Qid()
    message.take_qid(qid)
    following = message.take64()
    kind = message.take8()
    name = message.take_text()
    if not message.good or len(name) == 0 or len(name) > NAME_MAX or following > LARGEST:
        return -EIO
    for byte in name:
        if byte == 0 or byte == 0x2F:
            return -EIO
    if not writer.add(name, qid.path, kind, following):
        return -EINVAL
    description.position = following
    return 0


@metal
def seek_folder(description: Description, offset: i64, whence: u32) -> i64:
    """lseek of a folder: to where getdents64 has been."""
    if whence not in (SEEK_CUR, SEEK_SET):
        return -EINVAL
    return seek_file(description.position, 0, offset, whence)


FILE = constant(
    Operations,
    {
        "positional": True,
        "read": read_file,
        "write": write_file,
        "seek": seek,
        "attributes": describe_open,
        "control": control,
        "source": map_description,
        "synchronise": synchronise,
        "release": release_file,
    },
)

DIRECTORY = constant(
    Operations,
    {
        "positional": True,
        "read": read_directory,
        "seek": seek_folder,
        "attributes": describe_open,
        "list": list_folder,
        "synchronise": synchronise_folder,
        "release": release,
    },
)
