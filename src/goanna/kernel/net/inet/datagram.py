"""Datagrams sent and received by UDP sockets, with what goes beside them (Linux udp_sendmsg, udp_recvmsg; ip(7))."""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import EAGAIN, EDESTADDRREQ, EFAULT, EINVAL, EMSGSIZE, ENOBUFS, EOPNOTSUPP, EPIPE
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.net import udp
from goanna.kernel.net.address import Address
from goanna.kernel.net.endpoint import Way, read_address
from goanna.kernel.net.inet.datagram_socket import DatagramSocket, bind_anywhere, of, read_target
from goanna.kernel.net.inet.errors import receive_error, too_large
from goanna.kernel.net.inet.names import AF_INET, AF_INET6, AF_UNSPEC, Name, family_of, write_name
from goanna.kernel.net.inet.tell import put, tell
from goanna.kernel.net.inet.values import number_of, small_number_of
from goanna.kernel.net.packet import BUFFER, BUFFER_ROOM, CHUNK, HEADROOM, Packet, allocate_for_program, drop
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.control import HEADER, ControlHeader
from goanna.kernel.net.socket.message import (
    MSG_ERRQUEUE,
    MSG_MORE,
    MSG_OOB,
    MSG_PEEK,
    Message,
)
from goanna.kernel.net.socket.socket import SHUT_READ, SHUT_WRITE, Socket, sleep_on
from goanna.kernel.net.turn import end_turn
from goanna.kernel.net.wire.bytes import get32
from goanna.metal import Ptr, Slice, i64, metal, u8, u16, u32, u64, unsafe

LARGEST = 65535  # bytes; what IP can't carry is found later
SMALL = BUFFER_ROOM - HEADROOM


@metal
def send(socket: Socket, message: Message) -> i64:
    """Send one datagram: its length, or an errno."""
    self = of(socket)
    count = message.transfer.left
    error = bind_anywhere(self)
    if error < 0:
        return -EAGAIN
    if count > LARGEST:
        return -EMSGSIZE
    if message.has(MSG_OOB | MSG_MORE):
        return -EOPNOTSUPP
    name = Name()
    error = target_of(self, message, name)
    if error < 0:
        return error
    way = Way(interface=name.scope)
    error = read_way(self, message, way, name.address.is4())
    if error == 0:
        error = socket.take_error()
    if error == 0 and socket.shut & SHUT_WRITE != 0:
        error = -EPIPE
    if error < 0:
        return error
    if name.address.multicast() and way.interface == 0:
        way.interface = self.wishes.group_interface
    packet, error = compose(message.transfer)
    if packet is None:
        return error
    error = udp.send_by(self.endpoint, packet, name.address, name.port, way, now())
    if error == -EMSGSIZE:
        too_large(self, name.address, name.port, self.endpoint.path.mtu)
    end_turn()
    return i64(count) if error == 0 else error


@metal
def target_of(self: DatagramSocket, message: Message, name: Name) -> i64:
    """Whom a datagram is for. 0 or an errno."""
    endpoint = self.endpoint
    if message.address_length != 0:
        peer = message.peer()
        if len(peer) < 2:
            return -EINVAL
        if self.socket.family == AF_INET and family_of(peer) == AF_UNSPEC:
            message.address[0] = AF_INET  # which some programs leave out
        if self.socket.family == AF_INET or family_of(peer) != AF_UNSPEC:
            error = read_target(self, peer, name, True)
            if error < 0:
                return error
            if not name.address.link_local() or name.address.is4():
                name.scope = 0
            return 0
    if not endpoint.connected:
        return -EDESTADDRREQ
    name.address = endpoint.remote
    name.port = endpoint.remote_port
    # Linux looks for a port only here: an AF_INET6 socket that speaks IPv4.
    no_port = name.port == 0 and name.address.is4() and self.socket.family == AF_INET6
    return -EINVAL if no_port else i64(0)


@metal
def read_way(self: DatagramSocket, message: Message, way: Way, four: bool) -> i64:
    """Look at the control messages that say how to send, by IPv4 or IPv6. 0 or -EINVAL."""
    six = self.socket.family == AF_INET6
    position: u64 = 0
    while message.sent_control_length - position >= HEADER:
        header = unsafe.at(ControlHeader, message.sent_control + position)
        if header.length < HEADER or header.length > message.sent_control_length - position:
            return -EINVAL
        data = unsafe.slice(u8, message.sent_control + position + HEADER, header.length - HEADER)
        if four and header.level == so.IPPROTO_IP and header.type == so.IP_PKTINFO:
            if len(data) != 12:
                return -EINVAL
            way.interface = unsafe.load(u32, unsafe.address(data), unaligned=True)
            if get32(data, 4) != 0:
                way.source.set4(get32(data, 4))
        elif six and header.level == so.IPPROTO_IPV6 and header.type == so.IPV6_PKTINFO:
            if len(data) < 20:
                return -EINVAL
            way.source.load(data[0:16])
            way.interface = unsafe.load(u32, unsafe.address(data) + 16, unaligned=True)
        elif header.level == (so.IPPROTO_IP if four else so.IPPROTO_IPV6):
            error = read_header_wish(header, data, way)
            if error < 0:
                return error
        position += min((header.length + 7) & ~7, message.sent_control_length - position)
    return 0


@metal
def read_header_wish(header: ControlHeader, data: Slice[u8], way: Way) -> i64:
    """A control message about the TTL or the traffic class of one datagram. 0 or -EINVAL."""
    four = header.level == so.IPPROTO_IP
    value, error = small_number_of(data) if four and header.type == so.IP_TOS else number_of(data)
    if error < 0:
        return error
    if header.type == (so.IP_TTL if four else so.IPV6_HOPLIMIT):
        if value < (1 if four else -1) or value > 255:
            return -EINVAL
        way.hops = 0 if value < 0 else u8(value)
    elif header.type == (so.IP_TOS if four else so.IPV6_TCLASS):
        if value < (0 if four else -1) or value > 255:
            return -EINVAL
        way.has_traffic = value >= 0
        way.traffic = u8(max(value, 0))
    else:
        return -EINVAL
    return 0


@metal
def compose(transfer: Transfer) -> tuple[Ptr[Packet], i64]:
    """A packet of all the bytes, with room for headers in front; or None and -ENOBUFS or -EFAULT."""
    first: Ptr[Packet] = None
    while first is None or transfer.left != 0:
        made = allocate_for_program(CHUNK if transfer.left > SMALL else BUFFER, HEADROOM if first is None else 0)
        if made is None:
            if first is not None:
                drop(first)
            return None, -ENOBUFS
        count = min(transfer.left, u64(made.room()))
        came = transfer.take(made.extend(u32(count)))
        if first is None:
            first = made
        else:
            first.append(made)
        if came < count:
            drop(first)
            return None, -EFAULT
    return first, 0


@metal
def receive(socket: Socket, message: Message) -> i64:
    """Wait for a datagram, and give it: its length, cut to the room that there is; 0 when no more will be read; or an
    errno."""
    self = of(socket)
    if message.has(MSG_ERRQUEUE):
        return receive_error(self, message)
    if message.has(MSG_OOB):
        return -EOPNOTSUPP
    packet, error = wait_for_datagram(self, message)
    if packet is None:
        return error
    count, result = message.fit(u64(packet.total))
    if message.wants_address:
        source = Address()
        read_address(packet, source, True)
        port = udp.source_port(packet) if self.endpoint.space == 0 else u16(0)
        length = write_name(socket.family, source, port, packet.interface, message.address[:])
        message.address_length = u32(length)
    if put(packet, count, message.transfer) < count:
        result = -EFAULT
    elif self.wishes.told != 0 and message.control != 0:
        tell(self, packet, message)
    drop(packet)
    return result


@metal
def wait_for_datagram(self: DatagramSocket, message: Message) -> tuple[Ptr[Packet], i64]:
    """The next datagram with a reference; one that is only peeked at stays on the queue. Or None and 0 or an errno."""
    socket = self.socket
    endpoint = self.endpoint
    until = socket.receive_deadline(message.nonblocking())
    with endpoint.lock:
        while True:
            if socket.error != 0:
                return None, socket.take_error()
            packet = endpoint.queue.head()
            if packet is not None:
                if message.has(MSG_PEEK):
                    packet.references.add(1)
                else:
                    endpoint.queue.remove(packet)
                    endpoint.queued -= packet.base
                return packet, 0
            if socket.shut & SHUT_READ != 0 and until != 0:
                return None, 0
            error = sleep_on(socket.readers, endpoint.lock, until)
            if error < 0:
                return None, error
