"""Raw and ping sockets: how they are made and bound, what they send, their options (raw(7), RFC 3542; icmp(7)).

They are datagram sockets, but a raw socket has its protocol's number instead of a port, a ping socket's port is
the identifier of its echo requests, and what is sent has no header of UDP.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import (
    EACCES,
    EADDRNOTAVAIL,
    EAGAIN,
    EDESTADDRREQ,
    EFAULT,
    EINVAL,
    EMSGSIZE,
    ENETUNREACH,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPIPE,
)
from goanna.kernel.net import raw
from goanna.kernel.net.checksum import finish, joined, pseudo_header, summed
from goanna.kernel.net.endpoint import PING, RAW, Endpoint, Way, aim, ports_of
from goanna.kernel.net.inet import datagram_socket
from goanna.kernel.net.inet.datagram import compose, read_way
from goanna.kernel.net.inet.datagram_socket import DatagramSocket, bind_anywhere, of
from goanna.kernel.net.inet.errors import too_large
from goanna.kernel.net.inet.names import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    Name,
    family_of,
    may_bind,
    read_name,
    to_ourselves,
)
from goanna.kernel.net.inet.values import number_of, small_number_of
from goanna.kernel.net.packet import Packet, drop
from goanna.kernel.net.path import Path
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.message import MSG_MORE, MSG_OOB, Message
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.socket.socket import SHUT_WRITE, Protocol, Socket
from goanna.kernel.net.turn import end_turn
from goanna.kernel.net.wire import icmp, ip4, ip6
from goanna.kernel.net.wire.bytes import get16, get32, put16, put32, raw16
from goanna.metal import Ptr, Slice, i32, i64, metal, u8, u16, u32, u64, unsafe

LARGEST = 65535  # bytes
EXTENDED_ECHO4, EXTENDED_ECHO6 = 42, 160  # RFC 8335: may be sent
TYPES_SIZE = 32  # bytes of a filter of ICMPv6's types


@metal
def create(protocol: Protocol, family: u32, kind: u32, number: i32) -> Ptr[Socket]:
    """A new raw or ping socket, or None: memory is out."""
    made = datagram_socket.create(protocol, family, kind, number)
    if made is None:
        return None
    made.endpoint.summed = family == AF_INET6 and number == so.IPPROTO_ICMPV6
    made.checksum_at = 2
    if kind == so.SOCK_RAW:
        made.header_included = number == so.IPPROTO_RAW
    else:
        made.wishes.only6 = family == AF_INET6
    raw.begin(made.endpoint, u16(number), kind == so.SOCK_RAW)
    return made.socket


@metal
def bind_raw(socket: Socket, data: Slice[u8]) -> i64:
    """Hear only what is sent to an address. 0 or an errno."""
    self = of(socket)
    name = Name()
    if socket.family == AF_INET:
        if len(data) < 16 or self.endpoint.connected:
            return -EINVAL
        name.address.set4(get32(data, 4))
    else:
        if read_name(AF_INET6, data, name) < 0:
            return -EINVAL
        if name.address.is4():
            return -EADDRNOTAVAIL
        if self.endpoint.connected:
            return -EINVAL
    error = may_bind(name, False, self.wishes.bound, False)
    if error == 0:
        with self.changing:
            with ports_of(u16(socket.number)).lock:
                self.endpoint.local = name.address
            self.scope = name.scope
    return error


@metal
def target_of(self: DatagramSocket, message: Message, name: Name) -> i64:
    """Whom a packet is for. 0 or an errno."""
    endpoint = self.endpoint
    family = self.socket.family
    if message.address_length == 0:
        name.address = endpoint.remote
        return 0 if endpoint.connected else i64(-EDESTADDRREQ)
    peer = message.peer()
    if len(peer) >= 2 and family_of(peer) == AF_UNSPEC and endpoint.space == RAW:
        message.address[0] = u8(family)
    error = read_name(family, peer, name)
    if error < 0:
        return error
    if family == AF_INET6:
        other = name.port not in (0, u16(self.socket.number)) and self.socket.number != so.IPPROTO_RAW
        if endpoint.space == RAW and (other or name.port > 255):
            return -EINVAL
        if name.address.is4() and endpoint.space == PING:
            return -EINVAL
    to_ourselves(name)
    if not name.address.link_local() or name.address.is4():
        name.scope = 0
    elif name.scope == 0 and self.endpoint.bound == 0 and endpoint.space == PING:
        return -EINVAL
    if name.address.broadcast() and not self.socket.has(so.SO_BROADCAST):
        return -EACCES
    return 0


@metal
def send_raw(socket: Socket, message: Message) -> i64:
    """Send one packet: its length, or an errno."""
    self = of(socket)
    count = message.transfer.left
    if count > LARGEST:
        return -EMSGSIZE
    if message.has(MSG_OOB | MSG_MORE):
        return -EOPNOTSUPP
    name = Name()
    way = Way()
    error = find_way(self, message, name, way)
    if error < 0:
        return error
    looked_at: u64 = 2 if socket.number == (so.IPPROTO_ICMPV6 if socket.family == AF_INET6 else so.IPPROTO_ICMP) else 0
    if count < looked_at and not self.header_included:  # Linux reads the message's type first
        return -EFAULT
    packet, error = compose(message.transfer)
    if packet is None:
        return error
    return hand_on(self, packet, name, way)


@metal
def send_ping(socket: Socket, message: Message) -> i64:
    """Send an echo request, which has the program's sequence number and data: its length, or an errno."""
    self = of(socket)
    if bind_anywhere(self) < 0:
        return -EAGAIN
    count = message.transfer.left
    if count > LARGEST:
        return -EMSGSIZE
    if count < icmp.HEADER:
        return -EINVAL
    if message.has(MSG_OOB | MSG_MORE):
        return -EOPNOTSUPP
    packet, error = compose(message.transfer)
    if packet is None:
        return error
    head = packet.bytes()
    six = socket.family == AF_INET6
    echo = head[0] in (icmp.ECHO6, EXTENDED_ECHO6) if six else head[0] in (icmp.ECHO4, EXTENDED_ECHO4)
    if not echo or head[1] != 0:
        drop(packet)
        return -EINVAL
    name = Name()
    way = Way()
    error = find_way(self, message, name, way)
    if error < 0:
        drop(packet)
        return error
    put16(head, 4, self.endpoint.local_port)
    return hand_on(self, packet, name, way)


@metal
def find_way(self: DatagramSocket, message: Message, name: Name, way: Way) -> i64:
    """Whom a message is for and how it goes there. 0 or an errno."""
    error = target_of(self, message, name)
    if error < 0:
        return error
    way.interface = name.scope
    error = read_way(self, message, way, name.address.is4())
    if name.address.multicast() and way.interface == 0:
        way.interface = self.wishes.group_interface
    return error


@metal
def hand_on(self: DatagramSocket, packet: Packet, name: Name, way: Way) -> i64:
    """Give a packet to IP, which it is gone to: its length, or an errno."""
    endpoint = self.endpoint
    count = i64(packet.total)
    time = now()
    with endpoint.lock:
        error: i64 = -ENETUNREACH  # where an IPv6 socket would send IPv4
        if name.address.is4() == (self.socket.family == AF_INET):
            error = aim(endpoint, name.address, way, time)
        if error == 0 and self.header_included:
            error = check_size(packet, endpoint.path)
        if error == 0 and (self.header_included or endpoint.space == PING):  # others send in any case, as on Linux
            error = self.socket.take_error()
            if error == 0 and self.socket.shut & SHUT_WRITE != 0:
                error = -EPIPE
        if error == 0:
            error = complete(self, packet, endpoint.path)
        if error < 0:
            drop(packet)
        elif self.header_included:
            endpoint.path.send_made(packet, time)
        else:
            error = endpoint.path.send(packet, time)
    if error == -EMSGSIZE:
        too_large(self, name.address, 0, endpoint.path.mtu)
    end_turn()
    return count if error == 0 else error


@metal
def check_size(packet: Packet, path: Path) -> i64:
    """Whether a packet with its header can be sent: 0, -EMSGSIZE or -EINVAL."""
    if packet.total > path.mtu:
        return -EMSGSIZE
    return 0 if packet.total >= u32(ip6.HEADER if path.six else ip4.HEADER) else i64(-EINVAL)


@metal
def complete(self: DatagramSocket, packet: Packet, path: Path) -> i64:
    """Fill in what the system does of a packet: checksums, or of a header what the program left out. 0 or an errno."""
    head = packet.bytes()
    if self.header_included:
        return 0 if path.six else complete_header(packet, path)
    if self.endpoint.space == RAW and not self.endpoint.summed:
        return 0
    at = self.checksum_at if self.endpoint.space == RAW else u32(2)
    if at + 2 > packet.total or not packet.pullable(at + 2):
        return -EINVAL
    raw16(head, u64(at), 0)
    total = packet.summed(0)
    if path.six:
        a, b = path.source, path.target
        total = joined(total, pseudo_header(a.high, a.low, b.high, b.low, path.protocol, packet.total), 0)
    sum = finish(total)
    raw16(head, u64(at), 0xFFFF if sum == 0 and path.protocol == so.IPPROTO_UDP else sum)
    return 0


@metal
def complete_header(packet: Packet, path: Path) -> i64:
    """Fill in a header of IPv4 that a program wrote: length and checksum, and source and identification if they are 0.
    0 or -EINVAL."""
    size = u32(packet.bytes()[0] & 15) * 4
    if size > packet.total or size < ip4.HEADER:
        return -EINVAL
    head = packet.bytes()[0 : u64(size)]
    if get32(head, 12) == 0:
        put32(head, 12, path.source.four())
    put16(head, 2, u16(packet.total))
    if get16(head, 4) == 0:
        put16(head, 4, path.identification)
        path.identification = u16.wrap(u32(path.identification) + 1)
    raw16(head, 10, 0)
    raw16(head, 10, finish(summed(head)))
    return 0


@metal
def filter_of(endpoint: Endpoint) -> Slice[u8]:
    """The bytes of a raw socket's filter."""
    return unsafe.slice(u8, unsafe.address(endpoint.blocked), TYPES_SIZE)


@metal
def filter_size(socket: Socket, level: u32, name: u32) -> i64:
    """How many bytes a filter of types of ICMP has; 0: the option is none; or an errno."""
    if level == so.SOL_RAW and socket.family == AF_INET:
        if name != so.ICMP_FILTER:
            return -ENOPROTOOPT
        return 4 if socket.number == so.IPPROTO_ICMP else i64(-EOPNOTSUPP)
    if level == so.IPPROTO_ICMPV6 and socket.family == AF_INET6:
        if socket.number != so.IPPROTO_ICMPV6:
            return -EOPNOTSUPP
        return TYPES_SIZE if name == so.ICMP_FILTER else i64(-ENOPROTOOPT)
    return -ENOPROTOOPT if level == so.IPPROTO_IP and socket.family == AF_INET6 else i64(0)


@metal
def set_raw_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """setsockopt of a raw socket. 0 or an errno."""
    self = of(socket)
    size = filter_size(socket, level, name)
    if size < 0:
        return size
    if size != 0:
        given = min(len(data), u64(size))
        filter_of(self.endpoint)[0:given] = data[0:given]
        return 0
    if level == so.IPPROTO_IP and name == so.IP_HDRINCL:
        value, _ = small_number_of(data)  # nothing stands for 0, as on Linux
        self.header_included = value != 0
        return 0
    form = level == so.SOL_RAW or (level == so.IPPROTO_IPV6 and name in (so.IPV6_CHECKSUM, so.IPV6_HDRINCL))
    if form and socket.family == AF_INET6:
        value, error = number_of(data)
        return error if error < 0 else set_form(self, level, name, value)
    return datagram_socket.set_option(socket, level, name, data)


@metal
def set_form(self: DatagramSocket, level: u32, name: u32, value: i64) -> i64:
    """IPV6_CHECKSUM and IPV6_HDRINCL."""
    if name == so.IPV6_HDRINCL:
        self.header_included = value != 0
        return 0
    if name != so.IPV6_CHECKSUM:
        return -ENOPROTOOPT
    if self.socket.number == so.IPPROTO_ICMPV6 and level == so.IPPROTO_IPV6:
        return -EINVAL
    if value > 0 and value & 1 != 0:
        return -EINVAL
    self.endpoint.summed = value >= 0
    self.checksum_at = u32(max(value, 0))
    return 0


@metal
def get_raw_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """getsockopt of a raw socket: the value's length, or an errno."""
    self = of(socket)
    size = filter_size(socket, level, name)
    if size > 0:
        data[0 : u64(size)] = filter_of(self.endpoint)[0 : u64(size)]
    if size != 0:
        return size
    six = socket.family == AF_INET6 and level in (so.IPPROTO_IPV6, so.SOL_RAW)
    if (level == so.IPPROTO_IP and name == so.IP_HDRINCL) or (six and name == so.IPV6_HDRINCL):
        put_number(data, u64(self.header_included))
        return 4
    if six and name == so.IPV6_CHECKSUM:
        put_number(data, u64(self.checksum_at) if self.endpoint.summed else u64(0xFFFF_FFFF))
        return 4
    return datagram_socket.get_option(socket, level, name, data)


__all__ = ["bind_raw", "create", "get_raw_option", "send_ping", "send_raw", "set_raw_option"]
