"""What can be asked of a 9P server, a function a request: fids and values in, values or an errno out.

Every function may sleep. -EIO stands for a reply that makes no sense, -ENOMEM for memory that is out here.
"""

from goanna.kernel.base.errno import EIO, ENFILE, ENOMEM
from goanna.kernel.file.attributes import (
    CHANGE_ACCESS_TIME,
    CHANGE_GROUP,
    CHANGE_MODE,
    CHANGE_MODIFY_TIME,
    CHANGE_SIZE,
    CHANGE_USER,
    NANOSECONDS,
    Attributes,
    Change,
    Space,
    device_major,
    device_minor,
)
from goanna.kernel.share.message import (
    ANY_GROUP,
    GETATTR_BASIC,
    NO_FID,
    SETATTR_ACCESS_TIME,
    SETATTR_GROUP,
    SETATTR_MODE,
    SETATTR_MODIFY_TIME,
    SETATTR_SIZE,
    SETATTR_USER,
    TCLUNK,
    TFSYNC,
    TGETATTR,
    TLCREATE,
    TLINK,
    TLOPEN,
    TMKDIR,
    TMKNOD,
    TREAD,
    TREADDIR,
    TREADLINK,
    TRENAMEAT,
    TSETATTR,
    TSTATFS,
    TSYMLINK,
    TUNLINKAT,
    TWALK,
    TWRITE,
    TXATTRCREATE,
    TXATTRWALK,
    Packer,
    Qid,
    take_attributes,
)
from goanna.kernel.share.session import Exchange, Session
from goanna.metal import Ptr, Slice, i64, metal, u8, u32, u64

__all__ = [
    "change",
    "clone",
    "clunk_now",
    "create",
    "create_attribute",
    "describe",
    "link",
    "make_folder",
    "make_link",
    "make_node",
    "open_fid",
    "read",
    "read_link",
    "read_list",
    "remove",
    "rename",
    "space",
    "synchronise",
    "walk_attribute",
    "write",
]


@metal
def clone(session: Session, fid: u32) -> tuple[u32, i64]:
    """Another fid for the same file, and 0 or an errno."""
    made = session.new_fid()
    if made == NO_FID:
        return made, -ENFILE
    exchange = session.begin(TWALK)
    if exchange is None:
        session.free_fid(made)
        return NO_FID, -ENOMEM
    exchange.out.put32(fid)
    exchange.out.put32(made)
    exchange.out.put16(0)
    error, ours = session.finish(exchange)
    if not ours:
        return NO_FID, error  # whether the server has the number now nobody knows: it stays in use
    session.release(session.object, exchange)
    if error < 0:
        session.free_fid(made)
        return NO_FID, error
    return made, 0


@metal
def clunk_now(session: Session, fid: u32) -> i64:
    """Give a fid back and wait for what the server says: 0 or an errno."""
    exchange = session.begin(TCLUNK)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(fid)
    error, ours = session.finish(exchange)
    if ours:
        session.free_fid(fid)
        session.release(session.object, exchange)
    return error


@metal
def describe(session: Session, fid: u32, qid: Qid, attributes: Attributes) -> i64:
    """What is known of a file. 0 or an errno."""
    exchange = session.begin(TGETATTR)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(fid)
    exchange.out.put64(GETATTR_BASIC)
    error, ours = session.finish(exchange)
    if error == 0:
        error = take_attributes(exchange.reply, qid, attributes)
    if ours:
        session.release(session.object, exchange)
    return error


@metal
def put_time(out: Packer, time: i64) -> None:
    """A time in nanoseconds as seconds and nanoseconds."""
    out.put64(u64.wrap(time // NANOSECONDS))
    out.put64(u64(time % NANOSECONDS))


@metal
def change(session: Session, fid: u32, wish: Change) -> i64:
    """Change attributes. 0 or an errno."""
    exchange = session.begin(TSETATTR)
    if exchange is None:
        return -ENOMEM
    what: u32 = 0
    if wish.wants(CHANGE_MODE):
        what |= SETATTR_MODE
    if wish.wants(CHANGE_USER):
        what |= SETATTR_USER
    if wish.wants(CHANGE_GROUP):
        what |= SETATTR_GROUP
    if wish.wants(CHANGE_SIZE):
        what |= SETATTR_SIZE
    if wish.wants(CHANGE_ACCESS_TIME):
        what |= SETATTR_ACCESS_TIME
    if wish.wants(CHANGE_MODIFY_TIME):
        what |= SETATTR_MODIFY_TIME
    out = exchange.out
    out.put32(fid)
    out.put32(what)
    out.put32(wish.mode)
    out.put32(wish.user)
    out.put32(wish.group)
    out.put64(wish.size)
    put_time(out, wish.access_time)
    put_time(out, wish.modify_time)
    return session.simply(exchange)


@metal
def open_fid(session: Session, fid: u32, flags: u32) -> i64:
    """Open a fid, with Linux's flags as on x86. 0 or an errno."""
    exchange = session.begin(TLOPEN)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(fid)
    exchange.out.put32(flags)
    return session.simply(exchange)


@metal
def create(session: Session, fid: u32, name: Slice[u8], flags: u32, mode: u32) -> i64:
    """Make a file in the folder `fid`, which becomes the fid of the open file. 0 or an errno."""
    exchange = session.begin(TLCREATE)
    if exchange is None:
        return -ENOMEM
    out = exchange.out
    out.put32(fid)
    out.put_text(name)
    out.put32(flags)
    out.put32(mode)
    out.put32(ANY_GROUP)
    return session.simply(exchange)


@metal
def make_folder(session: Session, fid: u32, name: Slice[u8], mode: u32) -> i64:
    """Make a folder in the folder `fid`. 0 or an errno."""
    exchange = session.begin(TMKDIR)
    if exchange is None:
        return -ENOMEM
    out = exchange.out
    out.put32(fid)
    out.put_text(name)
    out.put32(mode)
    out.put32(ANY_GROUP)
    return session.simply(exchange)


@metal
def make_link(session: Session, fid: u32, name: Slice[u8], target: Slice[u8]) -> i64:
    """Make a symbolic link in the folder `fid`. 0 or an errno."""
    exchange = session.begin(TSYMLINK)
    if exchange is None:
        return -ENOMEM
    out = exchange.out
    out.put32(fid)
    out.put_text(name)
    out.put_text(target)
    out.put32(ANY_GROUP)
    return session.simply(exchange)


@metal
def make_node(session: Session, fid: u32, name: Slice[u8], mode: u32, device: u64) -> i64:
    """Make a pipe, socket or device in the folder `fid`. 0 or an errno."""
    exchange = session.begin(TMKNOD)
    if exchange is None:
        return -ENOMEM
    out = exchange.out
    out.put32(fid)
    out.put_text(name)
    out.put32(mode)
    out.put32(device_major(device))
    out.put32(device_minor(device))
    out.put32(ANY_GROUP)
    return session.simply(exchange)


@metal
def link(session: Session, folder: u32, fid: u32, name: Slice[u8]) -> i64:
    """Give the file `fid` one more name. 0 or an errno."""
    exchange = session.begin(TLINK)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(folder)
    exchange.out.put32(fid)
    exchange.out.put_text(name)
    return session.simply(exchange)


@metal
def rename(session: Session, folder: u32, name: Slice[u8], to: u32, new_name: Slice[u8]) -> i64:
    """Move a name, over another if there is one. 0 or an errno."""
    exchange = session.begin(TRENAMEAT)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(folder)
    exchange.out.put_text(name)
    exchange.out.put32(to)
    exchange.out.put_text(new_name)
    return session.simply(exchange)


@metal
def remove(session: Session, folder: u32, name: Slice[u8], flags: u32) -> i64:
    """unlinkat. 0 or an errno."""
    exchange = session.begin(TUNLINKAT)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(folder)
    exchange.out.put_text(name)
    exchange.out.put32(flags)
    return session.simply(exchange)


@metal
def synchronise(session: Session, fid: u32, data_only: bool) -> i64:
    """fsync of an open file. 0 or an errno."""
    exchange = session.begin(TFSYNC)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(fid)
    exchange.out.put32(u32(data_only))
    return session.simply(exchange)


@metal
def read_link(session: Session, fid: u32, buffer: Slice[u8]) -> i64:
    """The text of a symbolic link: its length, cut to fit and at a zero byte, or an errno."""
    exchange = session.begin(TREADLINK)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(fid)
    error, ours = session.finish(exchange)
    if error == 0:
        text = exchange.reply.take_text()
        most = min(len(text), len(buffer))
        count: u64 = 0
        while count < most and text[count] != 0:
            count += 1
        buffer[0:count] = text[0:count]
        error = i64(count) if exchange.reply.good else -i64(EIO)
    if ours:
        session.release(session.object, exchange)
    return error


@metal
def space(session: Session, fid: u32, answer: Space) -> i64:
    """How much room there is. 0 or an errno."""
    exchange = session.begin(TSTATFS)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(fid)
    error, ours = session.finish(exchange)
    if error == 0:
        reply = exchange.reply
        reply.take32()
        block = min(max(u64(reply.take32()), u64(1)), u64(1 << 20))
        most = ((1 << 63) - 1) // block
        answer.total = min(reply.take64(), most) * block
        answer.free = min(reply.take64(), most) * block
        reply.take64()
        answer.files = reply.take64()
        answer.files_free = reply.take64()
        error = 0 if reply.good else -i64(EIO)
    if ours:
        session.release(session.object, exchange)
    return error


@metal
def bulk(session: Session, exchange: Exchange, data: u64, order: u32, size: u64, comes: bool) -> tuple[u64, i64, bool]:
    """Send a request with data: how many bytes of it moved, 0 or an errno, and whether the data's memory is still the
    caller's. The exchange is given back."""
    session.carry(exchange, data, order, size, comes)
    error, ours = session.finish(exchange)
    count: u64 = 0
    if error == 0:
        count = u64(exchange.reply.take32())
        came = exchange.written - min(exchange.written, u64(11))
        if not exchange.reply.good or count > size or (comes and count > came):
            error = -EIO
            count = 0
    if ours:
        session.release(session.object, exchange)
    return count, error, ours


@metal
def bulk_at(
    session: Session, type: u8, fid: u32, offset: u64, data: u64, order: u32, size: u64
) -> tuple[u64, i64, bool]:
    """The same for the three requests that say file, offset and size before their data."""
    exchange = session.begin(type)
    if exchange is None:
        return 0, -ENOMEM, True
    exchange.out.put32(fid)
    exchange.out.put64(offset)
    exchange.out.put32(u32(size))
    return bulk(session, exchange, data, order, size, type != TWRITE)


@metal
def read(session: Session, fid: u32, offset: u64, data: u64, order: u32, size: u64) -> tuple[u64, i64, bool]:
    """Read from an open file into memory at physical `data`, at most session.bulk bytes: how many, 0 or an errno, and
    whether that memory is still the caller's."""
    return bulk_at(session, TREAD, fid, offset, data, order, size)


@metal
def read_list(session: Session, fid: u32, offset: u64, data: u64, order: u32, size: u64) -> tuple[u64, i64, bool]:
    """The same of the names in an open folder, from a position on."""
    return bulk_at(session, TREADDIR, fid, offset, data, order, size)


@metal
def write(session: Session, fid: u32, offset: u64, data: u64, order: u32, size: u64) -> tuple[u64, i64, bool]:
    """Write to an open file from memory at physical `data`."""
    return bulk_at(session, TWRITE, fid, offset, data, order, size)


@metal
def walk_attribute(session: Session, fid: u32, name: Slice[u8]) -> tuple[u32, u64, i64]:
    """A fid from which an extended attribute of a file is read, or with no name the names of all; its size; and 0 or an
    errno."""
    made = session.new_fid()
    if made == NO_FID:
        return made, 0, -ENFILE
    exchange: Ptr[Exchange] = session.begin(TXATTRWALK)
    if exchange is None:
        session.free_fid(made)
        return NO_FID, 0, -ENOMEM
    exchange.out.put32(fid)
    exchange.out.put32(made)
    exchange.out.put_text(name)
    error, ours = session.finish(exchange)
    if not ours:
        return NO_FID, 0, error
    size = exchange.reply.take64() if error == 0 else u64(0)
    if error == 0 and not exchange.reply.good:
        error = -EIO
    session.release(session.object, exchange)
    if error < 0:
        session.free_fid(made)
        return NO_FID, 0, error
    return made, size, 0


@metal
def create_attribute(session: Session, fid: u32, name: Slice[u8], size: u64, flags: u32) -> i64:
    """Let a fid take the value of an extended attribute of its file by writes, until it is given back. Of size 0: the
    attribute goes. 0 or an errno."""
    exchange = session.begin(TXATTRCREATE)
    if exchange is None:
        return -ENOMEM
    exchange.out.put32(fid)
    exchange.out.put_text(name)
    exchange.out.put64(size)
    exchange.out.put32(flags)
    return session.simply(exchange)
