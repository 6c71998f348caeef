"""The Unix socket's own state: one end of a connection, a listener, or where datagrams come (Linux struct unix_sock).

An endpoint lives while somebody refers to it: its descriptor, whoever is connected to it, letters that it sent and
nobody has read. Locks, in the order in which they are taken: `passing_lock` of collect.py, an endpoint's lock (never
two), the lock of names.
"""

from goanna.kernel.base.list import Link, List
from goanna.kernel.file.description import Description
from goanna.kernel.file.flags import (
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
)
from goanna.kernel.file.tree import Entry
from goanna.kernel.identity.credentials import mine
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.socket.numbers import SOCK_DGRAM, SOCK_STREAM
from goanna.kernel.net.socket.socket import SHUT_BOTH, SHUT_READ, Socket
from goanna.kernel.net.unix.letter import Letters
from goanna.kernel.thread.current import current_process
from goanna.kernel.thread.mutex import Mutex
from goanna.kernel.thread.wait import WaitQueue
from goanna.metal import Array, Atomic, Ptr, Slice, enumeration, metal, struct, u8, u32, u64, unsafe

PATH_SIZE = 108  # bytes of sun_path
HEAD = 2  # bytes of sun_family
DATAGRAMS = 10  # net.unix.max_dgram_qlen: letters that may wait for a socket that is no stream
READABLE = POLLIN | POLLRDNORM
WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND
NOT_KNOWN = 0xFFFFFFFF  # user and group of a peer that there is not


@enumeration(u32)
class State:
    """What has become of an endpoint."""

    OPEN = 0  # not connected
    CONNECTING = 1
    LISTENING = 2
    CONNECTED = 3
    DEAD = 4  # its descriptor is gone


@struct
class Identity:
    """Who somebody is or was (struct ucred)."""

    process: u32
    user: u32
    group: u32

    def fill(self) -> None:
        """The running process."""
        me = mine()
        self.process = current_process().id
        self.user = me.effective_user
        self.group = me.effective_group


@struct
class Endpoint:
    """One end. Its socket's lock protects what changes."""

    socket: Socket
    references: Atomic[u32]
    state: State
    peer: Ptr["Endpoint"]  # referenced; where what is sent goes to
    name_size: u32  # bytes of the name; 0: it has none
    name: Array[u8, PATH_SIZE + 1]  # a path with a zero byte, or what begins with one
    entry: Ptr[Entry]  # the path that it is bound to, referenced
    name_link: Link  # among the abstract names
    all_link: Link  # among all that are not dead, as the name under the lock of names
    letters: Letters  # what came and was not read
    queued: u32  # letters
    bytes: u64  # in them
    backlog: u32  # letters, or connections, that may wait
    pending: "Pending"  # connections that were not accepted yet, each with a reference
    pending_link: Link
    waiting: u32  # how many
    senders: WaitQueue  # who waits for room in this queue
    friends: "Friends"  # datagram endpoints whose peer this is
    friend_link: Link  # protected by that one's lock
    sent: Atomic[u64]  # bytes of memory in letters of ours that were not read
    busy: Mutex  # held by a reader while it looks at letters, and while the peer of a datagram socket changes
    me: Identity  # who listened, connected or made the pair
    partner: Identity  # who the peer was at that time
    has_partner: bool
    # Of collect.py, under its lock:
    flight_link: Link
    in_flight: u32  # how often it is among what letters carry
    counted: u32
    mark: u32
    description: Ptr[Description]

    def stream(self) -> bool:
        """Whether it is a stream."""
        return self.socket.kind == SOCK_STREAM

    def connects(self) -> bool:
        """Whether it has connections: all but SOCK_DGRAM."""
        return self.socket.kind != SOCK_DGRAM

    def full(self) -> bool:
        """Whether no more may wait here: letters, or connections of one that listens."""
        count = self.waiting if self.state == State.LISTENING else self.queued
        return count > self.backlog

    def has_room(self) -> bool:
        """Whether poll calls it writable: at most a quarter of the send buffer is in use (unix_writable)."""
        return self.state != State.LISTENING and self.sent.load() * 4 <= u64(self.socket.send_limit)

    def address(self) -> Slice[u8]:
        """Its name, as it follows the family in a sockaddr."""
        return self.name[0 : u64(self.name_size)]

    def hold(self) -> None:
        """One reference more. The caller has one, or a lock that keeps one."""
        self.references.add(1)

    def drop(self) -> None:
        """One reference less; the last one frees the memory."""
        if self.references.sub(1) == 1:
            endpoints.free(self)


Pending = List(Endpoint, "pending_link")
Friends = List(Endpoint, "friend_link")
endpoints = Cache(Endpoint)


@metal
def of(socket: Socket) -> Endpoint:
    """The endpoint of a Unix socket."""
    return unsafe.at(Endpoint, unsafe.address(socket))


@metal
def poll(socket: Socket) -> u32:
    """The events that hold (unix_poll, unix_dgram_poll)."""
    self = of(socket)
    events: u32 = 0
    peer: Ptr[Endpoint] = None
    with socket.lock:
        if socket.error != 0:
            events |= POLLERR
        if socket.shut == SHUT_BOTH:
            events |= POLLHUP
        if (socket.shut & SHUT_READ) != 0:
            events |= POLLRDHUP | READABLE
        if not self.letters.empty() or not self.pending.empty():
            events |= READABLE
        if self.connects() and self.state in (State.OPEN, State.CONNECTING):
            events |= POLLHUP
        if self.has_room():
            events |= WRITABLE
        if not self.stream() and self.peer is not None and self.peer is not self:
            peer = self.peer
            peer.hold()
    if peer is not None:
        with peer.socket.lock:
            if peer.peer is not self and peer.full():
                events &= ~u32(WRITABLE)
        peer.drop()
    return events
