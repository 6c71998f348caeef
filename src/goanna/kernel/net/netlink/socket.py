"""Netlink sockets of NETLINK_ROUTE: a request is answered at once, and its answer waits to be read (netlink(7))."""

from goanna.kernel.base.errno import (
    EADDRINUSE,
    ECONNREFUSED,
    EFAULT,
    EINVAL,
    EMSGSIZE,
    ENOBUFS,
    ENOMEM,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from goanna.kernel.base.list import Link, List
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.flags import POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRBAND, POLLWRNORM
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.netlink.answer import HEADER, Answer, MessageHeader
from goanna.kernel.net.netlink.route import answer_request
from goanna.kernel.net.packet import Packet, Packets, drop
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.message import MSG_OOB, MSG_PEEK, Message
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.socket.socket import Protocol, Socket, prepare
from goanna.kernel.net.start import start_network
from goanna.kernel.thread.current import current_process
from goanna.metal import Array, Ptr, Slice, constant, fill, i32, i64, metal, static, struct, u8, u32, u64, unsafe

ROUTE = 0  # NETLINK_ROUTE
NAME_SIZE = 12  # bytes of struct sockaddr_nl
MOST_REQUEST = 1024  # bytes: no request that is answered is longer
FIRST_OTHER_PORT = 0xFFFF_F000  # ports of a process's second socket and further ones count down from here
INPUT = POLLIN | POLLRDNORM
OUTPUT = POLLOUT | POLLWRNORM | POLLWRBAND


@struct
class NetlinkSocket:
    """One netlink socket. Its socket's lock protects the queue."""

    socket: Socket
    link: Link  # of all that are bound
    port: u32  # 0: not bound
    queue: Packets


All = List(NetlinkSocket, "link")
bound_lock = static(SpinLock)  # protects the list and the ports
bound = static(All)
sockets = Cache(NetlinkSocket)


@metal
def of(socket: Socket) -> NetlinkSocket:
    """The netlink socket that begins with a socket."""
    return unsafe.at(NetlinkSocket, unsafe.address(socket))


@metal
def used(port: u32) -> bool:
    """Whether a socket has a port. With the lock."""
    each = bound.head()
    while each is not None:
        if each.port == port:
            return True
        each = bound.after(each)
    return False


@metal
def take_port(self: NetlinkSocket, wanted: u32) -> i64:
    """Take a port, for 0 the process's number, or another one if that is taken. 0, -EINVAL or -EADDRINUSE."""
    with bound_lock:
        if self.port != 0:
            return 0 if wanted in (0, self.port) else i64(-EINVAL)
        port = wanted if wanted != 0 else current_process().id
        if wanted == 0:
            other: u32 = FIRST_OTHER_PORT
            while used(port):
                port = other
                other -= 1
        elif used(port):
            return -EADDRINUSE
        self.port = port
        bound.append(self)
    return 0


@metal
def word_of(data: Slice[u8], place: u64) -> u32:
    """A number of 32 bits in a sockaddr."""
    return unsafe.load(u32, unsafe.address(data) + place, unaligned=True)


@metal
def check_name(data: Slice[u8]) -> i64:
    """Whether a sockaddr is one of netlink. 0 or an errno."""
    if len(data) < NAME_SIZE:
        return -EINVAL
    return 0 if u32(data[0]) | u32(data[1]) << 8 == so.AF_NETLINK else i64(-EINVAL)


@metal
def bind(socket: Socket, data: Slice[u8]) -> i64:
    """bind(2). Groups, whose members hear of changes, there are none: -EOPNOTSUPP."""
    error = check_name(data)
    if error < 0:
        return error
    if word_of(data, 8) != 0:
        return -EOPNOTSUPP
    return take_port(of(socket), word_of(data, 4))


@metal
def connect(socket: Socket, data: Slice[u8], nonblocking: bool) -> i64:
    """connect(2): to the kernel, which all is sent to anyway."""
    if len(data) < 2:
        return -EINVAL
    if u32(data[0]) | u32(data[1]) << 8 == 0:
        return 0
    error = check_name(data)
    if error < 0:
        return error
    if word_of(data, 4) != 0:
        return -ECONNREFUSED
    return take_port(of(socket), 0)


@metal
def name(socket: Socket, target: Slice[u8], peer: bool) -> i64:
    """getsockname and getpeername."""
    fill(target[0:NAME_SIZE], 0)
    target[0] = so.AF_NETLINK
    if not peer:
        put_number(target[4:], u64(of(socket).port))
    return NAME_SIZE


@metal
def send(socket: Socket, message: Message) -> i64:
    """Take requests, and answer them: the bytes, or an errno."""
    self = of(socket)
    if message.has(MSG_OOB):
        return -EOPNOTSUPP
    if message.address_length != 0:
        peer = message.peer()
        error = check_name(peer)
        if error < 0:
            return error
        if word_of(peer, 4) != 0:
            return -ECONNREFUSED
    count = message.transfer.left
    if count > MOST_REQUEST:
        return -EMSGSIZE
    error = take_port(self, 0)
    if error < 0:
        return error
    data = Array[u8, MOST_REQUEST]()
    if message.transfer.take(data[0:count]) != count:
        return -EFAULT
    answer_all(self, data[0:count])
    return i64(count)


@metal
def answer_all(self: NetlinkSocket, data: Slice[u8]) -> None:
    """Answer each request that was sent."""
    answer = Answer(port=self.port)
    position: u64 = 0
    while len(data) - position >= HEADER:
        header = unsafe.at(MessageHeader, unsafe.address(data) + position)
        size = u64(header.length)
        if size < HEADER or size > len(data) - position:
            break
        answer.sequence = header.sequence
        answer_request(answer, header, data[position + HEADER : position + size])
        position += min((size + 3) & ~3, len(data) - position)
    with self.socket.lock:
        while not answer.packets.empty():
            self.queue.append(answer.packets.pop())
        if answer.failed:
            self.socket.error = ENOBUFS
        self.socket.readers.wake_all()
    self.socket.watchers.notify(INPUT)


@metal
def receive(socket: Socket, message: Message) -> i64:
    """Wait for a datagram of answers, and give it: its length, or an errno."""
    self = of(socket)
    if message.has(MSG_OOB):
        return -EOPNOTSUPP
    until = socket.receive_deadline(message.nonblocking())
    packet: Ptr[Packet] = None
    with socket.lock:
        while packet is None:
            if socket.error != 0:
                return socket.take_error_locked()
            packet = self.queue.head()
            if packet is None:
                error = socket.sleep(socket.readers, until)
                if error < 0:
                    return error
        if message.has(MSG_PEEK):
            packet.references.add(1)
        else:
            self.queue.remove(packet)
    count, result = message.fit(u64(packet.length))
    if message.transfer.put(packet.bytes()[0:count]) != count:
        result = -EFAULT
    if message.wants_address:
        fill(message.address[0:NAME_SIZE], 0)
        message.address[0] = so.AF_NETLINK
        message.address_length = NAME_SIZE
    drop(packet)
    return result


@metal
def poll(socket: Socket) -> u32:
    """The events that hold."""
    events: u32 = OUTPUT
    with socket.lock:
        if not of(socket).queue.empty():
            events |= INPUT
        if socket.error != 0:
            events |= POLLERR
    return events


@metal
def get_option(socket: Socket, level: u32, option: u32, data: Slice[u8]) -> i64:
    """getsockopt beyond what all sockets have."""
    if level == so.SOL_SOCKET and option == so.SO_ACCEPTCONN:
        put_number(data, 0)
        return 4
    return -ENOPROTOOPT


@metal
def release(socket: Socket) -> None:
    """The last descriptor is gone."""
    self = of(socket)
    with bound_lock:
        if self.port != 0:
            bound.remove(self)
    while not self.queue.empty():
        drop(self.queue.pop())
    sockets.free(self)


PROTOCOL = constant(
    Protocol,
    {
        "bind": bind,
        "connect": connect,
        "name": name,
        "send": send,
        "receive": receive,
        "poll": poll,
        "get_option": get_option,
        "release": release,
    },
)


@metal
def create_socket(kind: u32, number: i32) -> tuple[Ptr[Socket], i64]:
    """A new socket, or None and -ESOCKTNOSUPPORT, -EPROTONOSUPPORT or -ENOMEM."""
    if kind not in (so.SOCK_RAW, so.SOCK_DGRAM):
        return None, -ESOCKTNOSUPPORT
    if number != ROUTE:
        return None, -EPROTONOSUPPORT
    made: Ptr[NetlinkSocket] = None
    if start_network():
        made = sockets.allocate()
    if made is None:
        return None, -ENOMEM
    prepare(made.socket, PROTOCOL, so.AF_NETLINK, kind, number)
    return made.socket, 0


__all__ = ["create_socket"]
