"""UDP sockets: binding, connecting, options, poll (Linux net/ipv4/udp.c). What they send and receive is in datagram.py.
Ping and raw sockets share most of it (raw_socket.py).

The endpoint's lock protects what who waits looks at; who sleeps does so under it.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import (
    EACCES,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EINVAL,
    ENETUNREACH,
    ENOPROTOOPT,
    ENOTCONN,
    ENOTTY,
)
from goanna.kernel.file.flags import (
    FIONREAD,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRBAND,
    POLLWRNORM,
)
from goanna.kernel.file.transfer import put_count
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net import raw, udp
from goanna.kernel.net.address import Address
from goanna.kernel.net.endpoint import RAW, drop_queue, leave
from goanna.kernel.net.inet.ip_options import Wishes, bind_to_device, get_ip_option, leave_all, set_ip_option
from goanna.kernel.net.inet.names import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    Name,
    any_address,
    family_of,
    may_bind,
    only_six,
    read_name,
    read_own,
    to_ourselves,
    write_name,
)
from goanna.kernel.net.inet.values import number_of
from goanna.kernel.net.path import Discover
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.socket.socket import SHUT_BOTH, SHUT_READ, Protocol, Socket, prepare
from goanna.kernel.net.turn import end_turn
from goanna.kernel.thread.mutex import Mutex
from goanna.metal import Ptr, Slice, i32, i64, metal, struct, u8, u16, u32, u64, unsafe

INPUT = POLLIN | POLLRDNORM
OUTPUT = POLLOUT | POLLWRNORM | POLLWRBAND
LARGEST_LIMIT = 1 << 30


@struct
class DatagramSocket:
    """One UDP, ping or raw socket."""

    socket: Socket
    endpoint: udp.Endpoint
    wishes: Wishes
    own: Address  # what it was bound to by hand, or the any-address
    own_port: bool  # the port was chosen by hand
    scope: u32
    header_included: bool  # a raw socket's: the program writes the header of IP (IP_HDRINCL)
    checksum_at: u32  # a raw socket's of IPv6, if its endpoint is `summed`: where the checksum is (RFC 3542 3.1)
    changing: Mutex  # held while it is bound or connected


sockets = Cache(DatagramSocket)


@metal
def of(socket: Socket) -> DatagramSocket:
    """The datagram socket that begins with a socket."""
    return unsafe.at(DatagramSocket, unsafe.address(socket))


@metal
def create(protocol: Protocol, family: u32, kind: u32, number: i32) -> Ptr[DatagramSocket]:
    """A new socket, or None: memory is out."""
    made = sockets.allocate()
    if made is None:
        return None
    prepare(made.socket, protocol, family, kind, number)
    any_address(family, made.own)
    made.wishes.discover = Discover.WANT
    made.endpoint.local = made.own
    made.endpoint.limit = made.socket.receive_limit
    made.endpoint.notify = hear
    made.endpoint.owner_object = unsafe.address(made)
    made.endpoint.owner = made.socket.user
    apply(made)
    return made


@metal
def apply(self: DatagramSocket) -> None:
    """Let the endpoint send as the options say."""
    endpoint = self.endpoint
    wishes = self.wishes
    with endpoint.lock:
        endpoint.hops = wishes.hops
        endpoint.group_hops = wishes.group_hops if wishes.group_hops != 0 else u8(1)
        endpoint.traffic = wishes.traffic
        endpoint.discover = wishes.discover
        endpoint.quiet = wishes.quiet
        endpoint.wants_errors = wishes.errors
        endpoint.bound = wishes.bound
        endpoint.path.generation = 0


@metal
def hear(endpoint: udp.Endpoint) -> None:
    """Endpoint.notify: a datagram or an error came. With the bucket's lock."""
    self = unsafe.at(DatagramSocket, endpoint.owner_object)
    socket = self.socket
    events: u32 = INPUT
    with endpoint.lock:
        if endpoint.error != 0:
            with socket.lock:
                socket.error = i32(endpoint.error)
            endpoint.error = 0
            events |= POLLERR
        socket.readers.wake_all()
    socket.watchers.notify(events)


@metal
def poll(socket: Socket) -> u32:
    """The events that hold (datagram_poll)."""
    self = of(socket)
    events: u32 = OUTPUT
    with self.endpoint.lock:
        if socket.error != 0 or not self.endpoint.errors.empty():
            events |= POLLERR
        if socket.shut & SHUT_READ != 0:
            events |= INPUT | POLLRDHUP
        if socket.shut == SHUT_BOTH:
            events |= POLLHUP
        if not self.endpoint.queue.empty():
            events |= INPUT
    return events


@metal
def bind(socket: Socket, data: Slice[u8]) -> i64:
    """Take an address and port. 0 or an errno."""
    self = of(socket)
    name = Name()
    error = read_own(socket.family, data, name)
    if error < 0:
        return error
    if socket.family == AF_INET6 and self.endpoint.local_port != 0 and self.endpoint.space == 0:
        return -EINVAL
    error = may_bind(name, self.wishes.only6, self.wishes.bound, self.endpoint.space == 0)
    if self.endpoint.space != 0 and name.address.is4() and (name.address.multicast() or name.address.broadcast()):
        error = -EADDRNOTAVAIL
    if error < 0:
        return error
    with self.changing:
        if self.endpoint.local_port != 0:
            return -EINVAL
        error = take_port(self, name.address, name.port)
        if error == 0:
            self.own = name.address
            if only_six(name.address):
                self.wishes.only6 = True
            self.own_port = name.port != 0
            self.scope = name.scope
        return error


@metal
def take_port(self: DatagramSocket, address: Address, port: u16) -> i64:
    """Bind the endpoint. With `changing`. 0 or -EADDRINUSE."""
    endpoint = self.endpoint
    endpoint.local = address
    endpoint.only6 = self.wishes.only6
    endpoint.reuse_address = self.socket.has(so.SO_REUSEADDR)
    endpoint.reuse_port = self.socket.has(so.SO_REUSEPORT)
    error = udp.bind(endpoint, port)
    if error < 0:
        endpoint.local = self.own
    return error


@metal
def bind_anywhere(self: DatagramSocket) -> i64:
    """Have a port to send from. 0 or -EADDRINUSE."""
    if self.endpoint.local_port != 0 or self.endpoint.space == RAW:
        return 0
    with self.changing:
        if self.endpoint.local_port != 0:
            return 0
        return take_port(self, self.own, 0)


@metal
def connect(socket: Socket, data: Slice[u8], nonblocking: bool) -> i64:
    """Say whom to send to and hear from, or with AF_UNSPEC that it is anybody. 0 or an errno."""
    self = of(socket)
    if len(data) < 2:
        return -EINVAL
    if family_of(data) == AF_UNSPEC:
        with self.changing:
            disconnect(self)
        return 0
    name = Name()
    only6 = self.wishes.only6 or (socket.family == AF_INET6 and self.endpoint.space != 0)
    if only6 and family_of(data) == AF_INET:
        return -EAFNOSUPPORT
    error = read_target(self, data, name, False)
    if error < 0:
        return error
    error = bind_anywhere(self)
    if error < 0:
        return error
    with self.changing:
        if name.address.link_local() and not name.address.is4() and self.wishes.bound == 0:
            if name.scope == 0:
                return -EINVAL
            self.endpoint.bound = name.scope
            self.scope = name.scope
        error = udp.connect(self.endpoint, name.address, name.port, now())
    end_turn()
    return error


@metal
def read_target(self: DatagramSocket, data: Slice[u8], name: Name, port_wanted: bool) -> i64:
    """The address that something is to be sent to, and with `port_wanted` a port. 0 or an errno."""
    family = self.socket.family
    if family == AF_INET6 and len(data) >= 2 and family_of(data) == AF_INET:
        family = AF_INET
        if self.wishes.only6:
            return -ENETUNREACH
    error = read_name(family, data, name)
    if error < 0:
        return error
    to_ourselves(name)
    if name.address.is4() and self.wishes.only6:
        return -ENETUNREACH
    if port_wanted and name.port == 0:
        return -EINVAL
    local = self.endpoint.local
    if not name.address.is4() and local.is4() and not local.unspecified():
        return -EAFNOSUPPORT
    if name.address.broadcast() and not self.socket.has(so.SO_BROADCAST):
        return -EACCES
    return 0


@metal
def disconnect(self: DatagramSocket) -> None:
    """Hear from anybody again, at the address bound by hand. With `changing`."""
    endpoint = self.endpoint
    if endpoint.local_port == 0:
        return
    udp.disconnect(endpoint, self.own)
    if not self.own_port:
        leave(endpoint)
    apply(self)


@metal
def name(socket: Socket, target: Slice[u8], peer: bool) -> i64:
    """getsockname and getpeername: the address's length, or -ENOTCONN."""
    self = of(socket)
    endpoint = self.endpoint
    if peer:
        if endpoint.remote_port == 0:
            return -ENOTCONN
        return write_name(socket.family, endpoint.remote, endpoint.remote_port, self.scope, target)
    return write_name(socket.family, endpoint.local, endpoint.local_port, self.scope, target)


@metal
def shutdown(socket: Socket, how: u32) -> i64:
    """Close one direction or both. 0, or -ENOTCONN, which closes them all the same, as on Linux."""
    self = of(socket)
    with self.endpoint.lock:
        socket.shut |= how
        socket.readers.wake_all()
    socket.watchers.notify(0xFFFF)
    return 0 if self.endpoint.connected else i64(-ENOTCONN)


@metal
def control(socket: Socket, command: u32, argument: u64) -> i64:
    """ioctl: the bytes of the first datagram."""
    self = of(socket)
    if command == so.SIOCOUTQ:
        return put_count(argument, 0)
    if command != FIONREAD:
        return -ENOTTY
    waiting: u64 = 0
    with self.endpoint.lock:
        first = self.endpoint.queue.head()
        if first is not None:
            waiting = u64(first.total)
    return put_count(argument, waiting)


@metal
def changed(socket: Socket, name: u32) -> None:
    """An option of SOL_SOCKET is another."""
    self = of(socket)
    self.endpoint.limit = min(socket.receive_limit, u32(LARGEST_LIMIT))
    self.endpoint.reuse_address = socket.has(so.SO_REUSEADDR)
    self.endpoint.reuse_port = socket.has(so.SO_REUSEPORT)


@metal
def set_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """setsockopt beyond what all sockets have. 0 or an errno."""
    self = of(socket)
    error: i64 = -ENOPROTOOPT
    with self.changing:
        if level == so.SOL_SOCKET and name == so.SO_BINDTODEVICE:
            index, error = bind_to_device(data)
            if error == 0:
                self.wishes.bound = index
        elif level == so.IPPROTO_IPV6 and name == so.IPV6_V6ONLY and socket.family == AF_INET6:
            value, error = number_of(data)
            if error == 0 and self.endpoint.local_port != 0:
                error = -EINVAL
            if error == 0:
                self.wishes.only6 = value != 0
        else:
            error = set_ip_option(self.wishes, socket.family, level, name, data)
        if error == 0:
            apply(self)
            if self.wishes.errors == 0:
                drop_queue(self.endpoint, self.endpoint.errors)
    return error


@metal
def get_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """getsockopt beyond what all sockets have: the value's length, or an errno."""
    self = of(socket)
    if level == so.SOL_SOCKET:
        if name != so.SO_ACCEPTCONN:
            return -ENOPROTOOPT
        put_number(data, 0)
        return 4
    return get_ip_option(self.wishes, self.endpoint.path, socket.family, level, name, data)


@metal
def release(socket: Socket) -> None:
    """The last descriptor is gone."""
    self = of(socket)
    raw.end(self.endpoint)
    udp.unbind(self.endpoint)
    leave_all(self.wishes)
    sockets.free(self)
