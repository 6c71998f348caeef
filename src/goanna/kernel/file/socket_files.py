"""/proc/net/tcp, tcp6, udp and udp6: the sockets of each kind with their ends, states and inodes (proc_pid_net(5)).

Lines have one length, as Linux's have. A text is made anew for every part of it that is read, so lines that the part
has nothing of are only counted: thousands of connections are listed in a time that grows with their number.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.text import Text
from goanna.kernel.file.declare import Generated
from goanna.kernel.file.network_files import upper
from goanna.kernel.file.subject import Subject
from goanna.kernel.net import endpoint
from goanna.kernel.net.address import Address
from goanna.kernel.net.network import MILLISECOND
from goanna.kernel.net.socket.numbers import AF_INET6
from goanna.kernel.net.socket.socket import Socket
from goanna.kernel.net.tcp import table
from goanna.kernel.net.tcp.connection import Connection, Entry, EntryKind, State, Waiting
from goanna.kernel.net.tcp.listener import HalfOpen, Listener
from goanna.kernel.net.tcp.sequence import less
from goanna.kernel.net.tcp.time_wait import TimeWait
from goanna.kernel.time.timer import NEVER
from goanna.kernel.variant import NETWORK
from goanna.metal import Ptr, byte_swap, i64, metal, sizeof, struct, u16, u32, u64, unsafe

__all__ = ["FILES"]

TCP_WIDTH, UDP_WIDTH = 149, 127  # characters of a line without its end; of IPv6 the longer ones grow past it
CLOCK_TICK = 10 * MILLISECOND  # USER_HZ
RETRANSMISSION, KEEP_ALIVE, TIME_WAIT, PROBE = 1, 2, 3, 4  # what a socket's timer is for


@struct
class Line:
    """What a line tells. Zeroed, with both ends set, it is one of a socket that nobody has any more."""

    local: Address
    remote: Address
    local_port: u16
    remote_port: u16
    state: State
    sending: u32  # bytes that were not acknowledged
    receiving: u32  # bytes that were not read; of a listener: connections to be accepted
    timer: u32
    deadline: u64
    again: u32  # timeouts in a row
    user: u32
    inode: u64
    drops: u64

    def own(self, address: u64) -> None:
        """Whose it is, by the socket's address; 0: nobody's."""
        if address != 0:
            socket = unsafe.at(Socket, address)
            self.user = socket.user
            self.inode = socket.inode


@struct
class Listing:
    """A list under way."""

    text: Ptr[Text]
    six: bool
    datagrams: bool
    count: u64

    def wants(self, owner: u64, local: Address) -> bool:
        """Whether a socket is of the family: a dual-stack one is of IPv6, whoever it talks to."""
        six = not local.is4() if owner == 0 else unsafe.at(Socket, owner).family == AF_INET6
        return six == self.six

    def add(self, line: Line) -> None:
        """Write a line."""
        text: Text = self.text
        width: u64 = TCP_WIDTH + 1
        if self.datagrams:
            width = UDP_WIDTH + 1
        begun = text.position
        number = self.count
        self.count += 1
        if not self.six and (begun + width <= text.start or begun >= text.start + len(text.window)):
            text.position += width
            return
        text.padded(number, 5 if self.datagrams else 4)
        text.put(b": ")
        self.end(line.local, line.local_port)
        self.end(line.remote, line.remote_port)
        upper(text, u64(line.state), 2)
        text.byte(0x20)
        upper(text, u64(line.sending), 8)
        text.byte(0x3A)
        upper(text, u64(line.receiving), 8)
        text.byte(0x20)
        upper(text, u64(line.timer), 2)
        text.byte(0x3A)
        time = now()
        upper(text, (line.deadline - time) // CLOCK_TICK if line.timer != 0 and line.deadline > time else u64(0), 8)
        text.byte(0x20)
        upper(text, u64(line.again), 8)
        text.byte(0x20)
        text.padded(u64(line.user), 5)
        text.put(b"        0 ")
        text.number(line.inode)
        text.put(b" 2 0000000000000000 " if self.datagrams else b" 1 0000000000000000")
        if self.datagrams:
            text.number(line.drops)
        if not self.six:
            text.pad_to(width - 1, begun)
        text.byte(0x0A)

    def end(self, address: Address, port: u16) -> None:
        """Write an address and a port, and a space: 32 bits at a time as they lie in the memory of this machine."""
        text: Text = self.text
        if self.six:
            upper(text, u64(byte_swap(u32.wrap(address.high >> 32))), 8)
            upper(text, u64(byte_swap(u32.wrap(address.high))), 8)
            middle = u32.wrap(address.low >> 32)
            upper(text, u64(byte_swap(middle if not address.unspecified() else u32(0))), 8)
        upper(text, u64(byte_swap(u32.wrap(address.low))), 8)
        text.byte(0x3A)
        upper(text, u64(port), 4)
        text.byte(0x20)


@metal
def list_tcp(text: Text, six: bool) -> i64:
    """All listeners, then all connections."""
    text.put(b"  sl  local_address ")
    if six:
        text.put(b"                        remote_address                        ")
    else:
        text.put(b"rem_address   ")
    text.put(b"st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode")
    if not six:
        text.pad_to(TCP_WIDTH, 0)
    text.byte(0x0A)
    listing = Listing(text=text, six=six)
    with table.table_lock:
        for port in range(u64(table.PORT_BUCKETS)):
            bindings = table.bindings[port]
            binding = bindings.head()
            while binding is not None:
                listener = unsafe.at(Listener, unsafe.address(binding))
                if binding.listening and listing.wants(listener.owner, binding.local):
                    line = Line(local=binding.local, local_port=binding.port, state=State.LISTEN)
                    line.receiving = listener.accepted_count
                    line.own(listener.owner)
                    listing.add(line)
                binding = bindings.after(binding)
        for index in range(table.bucket_mask + 1 if table.buckets != 0 else u64(0)):
            bucket = unsafe.at(table.Bucket, table.buckets + index * sizeof(table.Bucket))
            entry = bucket.head()
            while entry is not None:
                add_entry(listing, entry)
                entry = bucket.after(entry)
    return 0


@metal
def add_entry(listing: Listing, entry: Entry) -> None:
    """Write the line of a connection, or of what is to be one or was. With the table's lock."""
    line = Line(local=entry.local, remote=entry.remote, local_port=entry.local_port, remote_port=entry.remote_port)
    if entry.kind == EntryKind.CONNECTION:
        c = unsafe.at(Connection, unsafe.address(entry))
        with c.lock:
            if listing.wants(c.owner, entry.local):
                describe(line, c)
                listing.add(line)
        return
    if not listing.wants(0, entry.local):
        return
    if entry.kind == EntryKind.HALF_OPEN:
        half = unsafe.at(HalfOpen, unsafe.address(entry))
        line.state = State.SYN_RECEIVED
        line.timer = RETRANSMISSION
        line.deadline = half.deadline
        line.again = half.retries
    else:
        line.state = State.TIME_WAIT
        line.timer = TIME_WAIT
        line.deadline = unsafe.at(TimeWait, unsafe.address(entry)).expires
    listing.add(line)


@metal
def describe(line: Line, c: Connection) -> None:
    """Fill in a connection's. With its lock."""
    line.state = c.state
    waiting = less(c.write_end, c.send_una)
    if c.state != State.SYN_SENT and waiting <= 0x7FFF_FFFF:  # more: the FIN behind the last byte was acknowledged
        line.sending = waiting
    line.receiving = c.received_bytes
    line.deadline = c.transmit_deadline
    if c.waiting != Waiting.NOTHING:
        line.timer = PROBE if c.waiting == Waiting.WINDOW else RETRANSMISSION
    elif c.life_deadline != NEVER:
        line.timer = KEEP_ALIVE
        line.deadline = c.life_deadline
    line.again = c.backoff
    line.own(c.owner)


@metal
def list_udp(text: Text, six: bool) -> i64:
    """All that are bound."""
    if six:
        text.put(b"  sl  local_address                         remote_address                        st")
    else:
        text.put(b"   sl  local_address rem_address   st")
    text.put(b" tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops")
    if not six:
        text.pad_to(UDP_WIDTH, 0)
    text.byte(0x0A)
    listing = Listing(text=text, six=six, datagrams=True)
    for index in range(u64(endpoint.BUCKETS)):
        ports = endpoint.table[index]
        with ports.lock:
            each = ports.endpoints.head()
            while each is not None:
                if each.space == 0 and listing.wants(each.owner_object, each.local):
                    line = Line(local=each.local, remote=each.remote, local_port=each.local_port)
                    line.remote_port = each.remote_port
                    line.state = State.ESTABLISHED if each.connected else State.CLOSED
                    line.receiving = each.queued
                    line.drops = each.dropped
                    line.own(each.owner_object)
                    listing.add(line)
                each = ports.endpoints.after(each)
    return 0


@metal
def write_tcp4(text: Text, subject: Subject) -> i64:
    """/proc/net/tcp."""
    return list_tcp(text, False)


@metal
def write_tcp6(text: Text, subject: Subject) -> i64:
    """/proc/net/tcp6."""
    return list_tcp(text, True)


@metal
def write_udp4(text: Text, subject: Subject) -> i64:
    """/proc/net/udp."""
    return list_udp(text, False)


@metal
def write_udp6(text: Text, subject: Subject) -> i64:
    """/proc/net/udp6."""
    return list_udp(text, True)


FILES = (
    []
    if not NETWORK
    else [
        Generated("/proc/{pid}/net/tcp", 0o444, text=write_tcp4),
        Generated("/proc/{pid}/net/tcp6", 0o444, text=write_tcp6),
        Generated("/proc/{pid}/net/udp", 0o444, text=write_udp4),
        Generated("/proc/{pid}/net/udp6", 0o444, text=write_udp6),
    ]
)
