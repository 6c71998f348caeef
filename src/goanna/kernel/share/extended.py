"""Extended attributes of files of a share: the server has them, as files of their own."""

from goanna.kernel.base.errno import EIO, ENOMEM, EOPNOTSUPP, ERANGE
from goanna.kernel.file.tree import Entry
from goanna.kernel.memory import pages
from goanna.kernel.share import requests
from goanna.kernel.share.node import share_of
from goanna.kernel.share.session import Session, bulk_memory, bytes_of
from goanna.kernel.share.walk import fid_for
from goanna.metal import Slice, i64, metal, u8, u32, u64

__all__ = ["get_attribute", "list_attributes", "remove_attribute", "set_attribute"]

LARGEST_VALUE = 65536
XATTR_REPLACE = 2


@metal
def get_attribute(entry: Entry, name: Slice[u8], buffer: Slice[u8]) -> i64:
    """Elsewhere.get_attribute."""
    session = share_of(entry).session
    of, error = fid_for(entry)
    if error < 0:
        return error
    fid, size, error = requests.walk_attribute(session, of, name)
    if error < 0:
        return error
    result: i64 = -EIO
    if size <= LARGEST_VALUE:
        result = i64(size)
        if len(buffer) != 0:
            result = read_value(session, fid, buffer[0:size]) if size <= len(buffer) else -i64(ERANGE)
    session.clunk(fid)
    return result


@metal
def list_attributes(entry: Entry, buffer: Slice[u8]) -> i64:
    """Elsewhere.list_attributes."""
    return get_attribute(entry, b"", buffer)


@metal
def read_value(session: Session, fid: u32, buffer: Slice[u8]) -> i64:
    """All of a value of known size: that, or an errno."""
    done: u64 = 0
    memory, order = bulk_memory(max(len(buffer), u64(1)))
    if memory == 0:
        return -ENOMEM
    while done < len(buffer):
        size = min(len(buffer) - done, u64(4096) << u64(order), session.bulk)
        count, error, ours = requests.read(session, fid, done, memory, order, size)
        if not ours:
            return error
        if error == 0 and count == 0:
            error = -EIO
        if error < 0:
            pages.free_order(memory, order)
            return error
        buffer[done : done + count] = bytes_of(memory, count)
        done += count
    pages.free_order(memory, order)
    return i64(done)


@metal
def set_attribute(entry: Entry, name: Slice[u8], value: Slice[u8], flags: u32) -> i64:
    """Elsewhere.set_attribute. The protocol can't say that a value is empty: -EOPNOTSUPP."""
    if len(value) == 0:
        return -EOPNOTSUPP
    of, error = fid_for(entry)
    return error if error < 0 else put_value(share_of(entry).session, of, name, value, flags)


@metal
def remove_attribute(entry: Entry, name: Slice[u8]) -> i64:
    """Elsewhere.remove_attribute."""
    session = share_of(entry).session
    of, error = fid_for(entry)
    if error < 0:
        return error
    fid, _, error = requests.walk_attribute(session, of, name)
    if error < 0:
        return error
    session.clunk(fid)
    return put_value(session, of, name, b"", XATTR_REPLACE)


@metal
def put_value(session: Session, of: u32, name: Slice[u8], value: Slice[u8], flags: u32) -> i64:
    """Write a value, or with an empty one take the attribute away: the server does it when the fid is given back."""
    fid, error = requests.clone(session, of)
    if error < 0:
        return error
    error = requests.create_attribute(session, fid, name, len(value), flags)
    memory, order = bulk_memory(max(len(value), u64(1)))
    if memory == 0 and error == 0:
        error = -ENOMEM
    done: u64 = 0
    while done < len(value) and error == 0:
        size = min(len(value) - done, u64(4096) << u64(order), session.bulk)
        bytes_of(memory, size)[:] = value[done : done + size]
        count, problem, ours = requests.write(session, fid, done, memory, order, size)
        if not ours:
            return problem
        error = -EIO if problem == 0 and count == 0 else problem
        done += count
    if memory != 0:
        pages.free_order(memory, order)
    finished = requests.clunk_now(session, fid)
    return error if error < 0 else finished
