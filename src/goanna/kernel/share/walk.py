"""From names to fids: as many names of a path in one request as the protocol allows (Twalk, 16).

A folder that a path only leads through is known by its qid alone. Its entry has no fid before somebody wants something
of it, and then is walked to from the nearest folder above that has one; nor are its attributes asked for (`vague`) as
long as nobody needs them.
"""

from goanna.kernel.base.errno import EIO, ENFILE, ENOENT, ENOMEM
from goanna.kernel.file.flags import S_IFDIR
from goanna.kernel.file.tree import (
    DEAD,
    Entry,
    detach,
    entries_lock,
    find_entry,
    hash_of,
    new_entry,
    settle,
    take,
)
from goanna.kernel.share.message import NO_FID, TWALK, Qid
from goanna.kernel.share.node import Share, share_of, shared_of, vague_node
from goanna.kernel.share.session import Exchange
from goanna.metal import Array, Ptr, Slice, i64, metal, struct, u8, u16, u32, u64

__all__ = ["NOT_WALKED", "fid_for", "find_folders", "give_fid", "next_name", "take_fid", "walk_below"]

NOT_WALKED = 1 << 32  # Entry.number of one that has no fid
MOST_NAMES = 16  # of one request (P9_MAXWELEM)
QID_FOLDER = 0x80
SLASH = 0x2F


@struct
class Way:
    """What a walk passed: a qid a name."""

    qids: Array[Qid, MOST_NAMES]
    above: u64  # names that are before those that were asked for: of folders without a fid
    passed: u64  # of those that were asked for
    whole: bool  # all names were passed, so the server knows the fid


@metal
def next_name(text: Slice[u8], from_: u64) -> tuple[u64, u64]:
    """Where the name that begins at an offset ends, and where the next one begins."""
    end = from_
    while end < len(text) and text[end] != SLASH:
        end += 1
    following = end
    while following < len(text) and text[following] == SLASH:
        following += 1
    return end, following


@metal
def names_above(entry: Entry) -> u64:
    """How many names an entry is away from one that has a fid. With entries_lock."""
    count: u64 = 0
    at = entry
    while at.number == NOT_WALKED:
        count += 1
        at = at.parent
    return count


@metal
def ask(parent: Entry, text: Slice[u8], count: u64, way: Way) -> tuple[u32, i64]:
    """Walk from a folder over the first `count` names of a path: a fid for the last one, and 0. NO_FID and an errno;
    -ENOENT also if only some were passed, of which `way` says how many, or the folder is no longer where it was."""
    share = share_of(parent)
    session = share.session
    way.passed = 0
    way.whole = False
    made = session.new_fid()
    if made == NO_FID:
        return made, -ENFILE
    exchange: Ptr[Exchange] = session.begin(TWALK)
    if exchange is None:
        session.free_fid(made)
        return NO_FID, -ENOMEM
    chain = Array[Ptr[Entry], MOST_NAMES]()
    top = parent
    out = exchange.out
    with entries_lock:
        above = names_above(parent)
        if above + count <= MOST_NAMES:
            for index in range(above):
                chain[index] = top
                top = top.parent
            out.put32(u32(top.number))
            out.put32(made)
            out.put16(u16(above + count))
            for index in range(above):
                out.put_text(chain[above - 1 - index].text())
        top.hold()
    way.above = above
    if above + count > MOST_NAMES:
        top.drop()
        session.release(session.object, exchange)
        session.free_fid(made)
        return NO_FID, -ENOENT
    start: u64 = 0
    for _ in range(count):
        end, following = next_name(text, start)
        out.put_text(text[start:end])
        start = following
    error, ours = session.finish(exchange)
    top.drop()
    if not ours:
        return NO_FID, error  # whether the server has the number now nobody knows: it stays in use
    if error == 0:
        error = take_way(exchange, parent, count, way)
    session.release(session.object, exchange)
    if error == 0:
        return made, 0
    if way.whole:
        session.clunk(made)
    else:
        session.free_fid(made)
    return NO_FID, error


@metal
def take_way(exchange: Exchange, parent: Entry, count: u64, way: Way) -> i64:
    """Read what a walk passed. 0: all; else -ENOENT, or -EIO for a reply that makes no sense."""
    passed = u64(exchange.reply.take16())
    if passed > way.above + count:
        return -EIO
    way.whole = passed == way.above + count
    for index in range(passed):
        exchange.reply.take_qid(way.qids[index])
    if not exchange.reply.good:
        return -EIO
    if passed < way.above:
        return -ENOENT
    # The folders that were passed without a fid have to be those that were meant.
    if way.above != 0 and way.qids[way.above - 1].path != shared_of(parent.node).path:
        return -ENOENT
    way.passed = passed - way.above
    return 0 if way.passed == count else -i64(ENOENT)


@metal
def walk_below(parent: Entry, name: Slice[u8]) -> tuple[u32, i64]:
    """A new fid for a name in a folder, or for the folder itself if the name is empty; and 0 or an errno."""
    count: u64 = 0 if len(name) == 0 else 1
    with entries_lock:
        far = names_above(parent) + count > MOST_NAMES
    if far:
        _, error = fid_for(parent)
        if error < 0:
            return NO_FID, error
    way = Way()
    fid, error = ask(parent, name, count, way)
    return fid, error


@metal
def fid_for(entry: Entry) -> tuple[u32, i64]:
    """The fid of an entry, which is walked to if it has none yet. NO_FID and an errno: it is no longer there."""
    way = Way()
    while True:
        # A folder that was moved may be farther away than one request leads: then one on the way to it comes first.
        target = entry
        with entries_lock:
            if entry.number != NOT_WALKED:
                return u32(entry.number), 0
            for _ in range(names_above(entry) - min(names_above(entry), u64(MOST_NAMES))):
                target = target.parent
            target.hold()
        fid, error = ask(target, b"", 0, way)
        if error == 0:
            give_fid(target, fid)
        target.drop()
        if error < 0:
            return NO_FID, error


@metal
def give_fid(entry: Entry, fid: u32) -> None:
    """Let an entry have a fid of its file; it is given back if it has one by now."""
    with entries_lock:
        wanted = entry.number == NOT_WALKED
        if wanted:
            entry.number = u64(fid)
    if not wanted:
        share_of(entry).session.clunk(fid)


@metal
def take_fid(entry: Entry) -> u32:
    """Take the fid from an entry that nobody else has, which then has none. NO_FID: others may just be using it."""
    with entries_lock:
        if entry.references.load() != 1 or entry.number == NOT_WALKED or entry.number == 0:
            return NO_FID
        fid = u32(entry.number)
        entry.number = NOT_WALKED
        return fid


@metal
def find_folders(parent: Entry, text: Slice[u8]) -> tuple[Ptr[Entry], u64, u32]:
    """Walk as far ahead on a path, which begins with a name, as one request leads. The last folder that it leads
    through, with a reference; how many bytes of the path lead there; and a fid for the next name, if there is one of
    that name. None: go name by name."""
    with entries_lock:
        count, end = names_ahead(parent, text, MOST_NAMES - min(names_above(parent), u64(MOST_NAMES)))
    if count < 2:
        return None, 0, NO_FID
    way = Way()
    fid, error = ask(parent, text[0:end], count, way)
    share = share_of(parent)
    folders = way.passed if error < 0 else count - 1
    at = parent
    at.hold()
    done: u64 = 0
    for index in range(folders):
        qid = way.qids[way.above + index]
        name_end, following = next_name(text, done)
        below: Ptr[Entry] = None
        if qid.kind & QID_FOLDER != 0:
            below = settle_folder(share, at, text[done:name_end], qid)
        if below is None:
            break
        at.drop()
        at = below
        done = following
    last, _ = next_name(text, done)
    if fid != NO_FID and last != end:
        share.session.clunk(fid)
        fid = NO_FID
    if done == 0:
        at.drop()
        return None, 0, NO_FID
    return at, done, fid


@metal
def names_ahead(parent: Entry, text: Slice[u8], most: u64) -> tuple[u64, u64]:
    """How many names of a path can be asked for at once, and where the last of them ends: as far as nothing else is
    mounted over them. With entries_lock."""
    count: u64 = 0
    last: u64 = 0
    start: u64 = 0
    at: Ptr[Entry] = parent
    while count < most and start < len(text):
        end, following = next_name(text, start)
        if at is not None:
            at = find_entry(at, text[start:end], hash_of(at, text[start:end]))
            if at is not None and at.over is not None:
                break
        count += 1
        last = end
        start = following
    return count, last


@metal
def settle_folder(share: Share, parent: Entry, name: Slice[u8], qid: Qid) -> Ptr[Entry]:
    """The entry of a folder that a walk led through, with a reference; None: memory is out."""
    hash = hash_of(parent, name)
    with entries_lock:
        known = find_entry(parent, name, hash)
        if known is not None:
            take(known)
    if known is not None:
        if known.over is not None:
            known.drop()
            return None
        if known.is_directory() and known.node is not None and shared_of(known.node).path == qid.path:
            return known
        with entries_lock:
            if not known.has(DEAD):
                detach(known)
        known.drop()
    child = new_entry(parent.tree, name)
    if child is None:
        return None
    child.number = NOT_WALKED
    child.mode = S_IFDIR
    child.node = vague_node(share, qid)
    if child.node is None:
        child.drop()
        return None
    child.hash = hash
    found, _ = settle(parent, child)
    return found
