"""TIME-WAIT: what is kept of a connection that is over, until its last segments can't come any more (RFC 9293 3.4.2).

An entry takes some 120 bytes, all wait in one queue by age, and past a limit the oldest
goes first, so that ten thousand closed connections a second cost what they may.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.network import SECOND, look_by
from goanna.kernel.net.tcp.connection import Connection, Entry, EntryKind
from goanna.kernel.net.tcp.sequence import before
from goanna.kernel.net.tcp.table import enter, leave, table_lock
from goanna.kernel.net.wire import tcp
from goanna.kernel.time.timer import NEVER
from goanna.metal import metal, static, struct, u32, u64

__all__ = [
    "TimeWait", "forget", "keep", "may_begin_anew", "set_limit", "time_wait_count", "time_wait_deadline",
    "time_wait_timer",
]  # fmt: skip

LENGTH = 60 * SECOND  # as Linux
MOST = 65536  # entries; in a small machine one for each page of its memory


@struct
class TimeWait:
    """What is left of a connection. The table's lock."""

    entry: Entry
    link: Link  # of the queue, the oldest first
    expires: u64
    send_next: u32
    receive_next: u32
    window: u32  # as it stood in our last segments, not scaled
    stamp_recent: u32
    stamp_offset: u32
    stamps: bool


Waiting = List(TimeWait, "link")
queue = static(Waiting)
count = static(u64)
limit = static(u64, MOST)
entries = Cache(TimeWait)


@metal
def set_limit(pages: u64) -> None:
    """Say how many pages of memory the machine has. At start."""
    global limit
    limit = min(limit, max(pages, u64(1024)))


@metal
def keep(c: Connection, now: u64) -> None:
    """Put what must be kept of a connection in TIME-WAIT into its place in the table. With the table's lock. If memory
    is out nothing is kept: then only luck keeps old segments from a new connection."""
    global count
    leave(c.entry)
    if count >= limit:
        forget(queue.head())
    made = entries.allocate()
    if made is None:
        return
    made.entry.local = c.local
    made.entry.remote = c.remote
    made.entry.local_port = c.local_port
    made.entry.remote_port = c.remote_port
    made.entry.reuse_address = c.entry.reuse_address
    made.entry.reuse_port = c.entry.reuse_port
    made.expires = now + LENGTH
    made.send_next = c.send_next
    made.receive_next = c.receive_next
    made.window = min((c.receive_limit // 2) >> c.receive_scale, u32(0xFFFF))
    made.stamps = c.stamps
    made.stamp_recent = c.stamp_recent
    made.stamp_offset = c.stamp_offset
    enter(made.entry, EntryKind.TIME_WAIT)
    queue.append(made)
    count += 1
    look_by(made.expires)


@metal
def forget(waiting: TimeWait) -> None:
    """Remove an entry. With the table's lock."""
    global count
    leave(waiting.entry)
    queue.remove(waiting)
    count -= 1
    entries.free(waiting)


@metal
def refresh(waiting: TimeWait, now: u64) -> None:
    """The other side sent its FIN again: it did not hear us, so the time begins anew. With the table's lock."""
    queue.remove(waiting)
    waiting.expires = now + LENGTH
    queue.append(waiting)


@metal
def may_begin_anew(waiting: TimeWait, segment: tcp.Segment) -> bool:
    """Whether a SYN is surely of a new connection: by its timestamp, or its sequence number (RFC 6191 2, RFC 9293
    3.10.7.4)."""
    if waiting.stamps and segment.stamped:
        return before(waiting.stamp_recent, segment.stamp) or (
            waiting.stamp_recent == segment.stamp and before(waiting.receive_next, segment.sequence)
        )
    return before(waiting.receive_next, segment.sequence)


@metal
def time_wait_deadline() -> u64:
    """When time_wait_timer must be called next, NEVER if it need not."""
    with table_lock:
        first = queue.head()
        return first.expires if first is not None else u64(NEVER)


@metal
def time_wait_timer(now: u64) -> None:
    """Forget what is over, a hundred entries at a hold of the lock."""
    again = True
    while again:
        again = False
        with table_lock:
            for _ in range(100):
                first = queue.head()
                if first is None or first.expires > now:
                    return
                forget(first)
        again = True


@metal
def time_wait_count() -> u64:
    """How many entries there are."""
    return count
