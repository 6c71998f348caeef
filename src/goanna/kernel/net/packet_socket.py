"""Packet sockets, AF_PACKET: whole frames in and out (packet(7), Linux net/packet/af_packet.c).

SOCK_RAW frames have their link header, SOCK_DGRAM frames come without it and get one. What is not there: rings in
shared memory, fanout and auxiliary data (ENOPROTOOPT), the outdated SOCK_PACKET (ESOCKTNOSUPPORT).
"""

from goanna.kernel.arch import processor_index
from goanna.kernel.base.errno import (
    EAGAIN,
    EFAULT,
    EINVAL,
    EMSGSIZE,
    ENETDOWN,
    ENODEV,
    ENOMEM,
    ENOPROTOOPT,
    ENXIO,
    EOPNOTSUPP,
    EPERM,
    ESOCKTNOSUPPORT,
)
from goanna.kernel.identity.credentials import CAP_NET_RAW, capable
from goanna.kernel.memory.objects import Cache
from goanna.kernel.net.endpoint import unbind
from goanna.kernel.net.inet import datagram_socket
from goanna.kernel.net.inet.datagram import compose, wait_for_datagram
from goanna.kernel.net.inet.datagram_socket import DatagramSocket
from goanna.kernel.net.inet.tell import put
from goanna.kernel.net.inet.values import number_of
from goanna.kernel.net.interface import FRAME, Kind, interface_by_index, sending_taps
from goanna.kernel.net.packet import drop
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.message import MSG_DONTWAIT, MSG_ERRQUEUE, MSG_PEEK, MSG_TRUNC, Message
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.socket.socket import Protocol, Socket, prepare
from goanna.kernel.net.start import start_network
from goanna.kernel.net.tap import Tap, close_tap, open_tap, taps_lock
from goanna.kernel.net.turn import end_turn
from goanna.kernel.net.wire import ethernet
from goanna.kernel.net.wire.bytes import get16, put16
from goanna.metal import (
    Array,
    Ptr,
    Slice,
    byte_swap,
    constant,
    fill,
    i32,
    i64,
    metal,
    struct,
    u8,
    u16,
    u32,
    u64,
    unsafe,
)

NAME_SIZE = 20  # bytes of struct sockaddr_ll
ADDRESS_AT = 12  # where the link address is in it
ETHERNET_TYPE, LOOPBACK_TYPE = 1, 772  # ARPHRD_
SOL_PACKET = 263
ADD_MEMBERSHIP, DROP_MEMBERSHIP, STATISTICS, IGNORE_OUTGOING = 1, 2, 6, 23
MEMBERSHIP_SIZE = 16  # bytes of struct packet_mreq
GROUP, PROMISCUOUS, UNICAST = 0, 1, 3  # PACKET_MR_
MOST_MEMBERSHIPS = 8
MSG_CMSG_COMPAT = 0x8000_0000
KNOWN_FLAGS = MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_ERRQUEUE | MSG_CMSG_COMPAT


@struct
class PacketMembership:
    """What struct packet_mreq says, and how often it was added; 0: the entry is free."""

    interface: u32
    type: u16
    length: u16
    address: u64
    count: u32


@struct
class PacketSocket:
    """One packet socket."""

    datagram: DatagramSocket
    tap: Tap
    memberships: Array[PacketMembership, MOST_MEMBERSHIPS]


sockets = Cache(PacketSocket)


@metal
def of(socket: Socket) -> PacketSocket:
    """The packet socket that begins with a socket."""
    return unsafe.at(PacketSocket, unsafe.address(socket))


@metal
def create_socket(kind: u32, number: i32) -> tuple[Ptr[Socket], i64]:
    """A new socket, or None and -EPERM, -ESOCKTNOSUPPORT or -ENOMEM."""
    if not capable(CAP_NET_RAW):
        return None, -EPERM
    if kind not in (so.SOCK_RAW, so.SOCK_DGRAM):
        return None, -ESOCKTNOSUPPORT
    made: Ptr[PacketSocket] = None
    if start_network():
        made = sockets.allocate()
    if made is None:
        return None, -ENOMEM
    socket = made.datagram.socket
    prepare(socket, PROTOCOL, so.AF_PACKET, kind, number)
    endpoint = made.datagram.endpoint
    endpoint.limit = socket.receive_limit
    endpoint.notify = datagram_socket.hear
    endpoint.owner_object = unsafe.address(made)
    made.tap.endpoint = endpoint
    made.tap.cooked = kind == so.SOCK_DGRAM
    made.tap.protocol = byte_swap(u16.wrap(number))
    if made.tap.protocol != 0:
        open_tap(made.tap)
    return socket, 0


@metal
def word_of(data: Slice[u8], place: u64) -> u32:
    """A number of 32 bits in a structure."""
    return unsafe.load(u32, unsafe.address(data) + place, unaligned=True)


@metal
def bind(socket: Socket, data: Slice[u8]) -> i64:
    """See only an interface, or only a protocol. 0 or an errno."""
    self = of(socket)
    if len(data) < NAME_SIZE or u32(data[0]) | u32(data[1]) << 8 != so.AF_PACKET:
        return -EINVAL
    index = word_of(data, 4)
    interface = interface_by_index(index)
    if index != 0 and interface is None:
        return -ENODEV
    with self.datagram.changing:
        with taps_lock:
            self.tap.interface = index
            if get16(data, 2) != 0:
                self.tap.protocol = get16(data, 2)
        if self.tap.protocol == 0:
            return 0
        if interface is None or interface.up:
            open_tap(self.tap)
        else:
            close_tap(self.tap)
            socket.error = ENETDOWN
    return 0


@metal
def name(socket: Socket, target: Slice[u8], peer: bool) -> i64:
    """getsockname: struct sockaddr_ll as far as the link address goes."""
    if peer:
        return -EOPNOTSUPP
    tap = of(socket).tap
    write_name(target, tap.interface, tap.protocol, 0)
    return ADDRESS_AT + i64(target[11])


@metal
def write_name(target: Slice[u8], index: u32, protocol: u16, way: u8) -> None:
    """Write a struct sockaddr_ll with an interface's own link address."""
    fill(target[0:NAME_SIZE], 0)
    target[0] = so.AF_PACKET
    put16(target, 2, protocol)
    put_number(target[4:], u64(index))
    interface = interface_by_index(index)
    if interface is not None:
        type: u32 = ETHERNET_TYPE if interface.kind == Kind.ETHERNET else LOOPBACK_TYPE
        target[8] = u8.wrap(type)
        target[9] = u8(type >> 8)
        target[11] = 6
        ethernet.store_mac(target, ADDRESS_AT, interface.mac)
    target[10] = way


@metal
def send(socket: Socket, message: Message) -> i64:
    """Send a frame: its length, or an errno."""
    self = of(socket)
    index = self.tap.interface
    protocol = self.tap.protocol
    target: u64 = 0
    if message.address_length != 0:
        peer = message.peer()
        if len(peer) < NAME_SIZE or len(peer) < u64(ADDRESS_AT) + u64(peer[11]):
            return -EINVAL
        index = word_of(peer, 4)
        protocol = get16(peer, 2)
        target = ethernet.load_mac(peer, ADDRESS_AT)
    interface = interface_by_index(index)
    if interface is None:
        return -ENXIO
    if not interface.up:
        return -ENETDOWN
    count = message.transfer.left
    header: u64 = 0 if self.tap.cooked else ethernet.HEADER
    if count > u64(interface.mtu) + header + (0 if self.tap.cooked else ethernet.TAG):
        return -EMSGSIZE
    error = socket.take_error()
    if error < 0:
        return error
    if count < header:
        return -EINVAL
    packet, error = compose(message.transfer)
    if packet is None:
        return error
    if self.tap.cooked:
        ethernet.write(packet.push(ethernet.HEADER), target, interface.mac, protocol, 0)
    if interface.kind == Kind.LOOPBACK:
        packet.flags |= FRAME
    here = sending_taps[u64(processor_index())]
    self.tap.sending = protocol
    here.tap = unsafe.address(self.tap)
    interface.send(packet)
    here.tap = 0
    end_turn()
    return i64(count)


@metal
def receive(socket: Socket, message: Message) -> i64:
    """Wait for a frame, and give it: its length, cut to the room that there is, or an errno."""
    if message.flags & ~u32(KNOWN_FLAGS) != 0:
        return -EINVAL
    if message.has(MSG_ERRQUEUE):
        return -EAGAIN
    self = of(socket)
    packet, error = wait_for_datagram(self.datagram, message)
    if packet is None:
        return error
    count, result = message.fit(u64(packet.total))
    if message.wants_address:
        write_name(message.address[:], packet.interface, u16(packet.sequence), packet.hops)
        head = unsafe.slice(u8, packet.at(u32(packet.network)), ethernet.HEADER)
        message.address[ADDRESS_AT : ADDRESS_AT + 6] = head[6:12]
        message.address_length = NAME_SIZE
    if put(packet, count, message.transfer) < count:
        result = -EFAULT
    drop(packet)
    return result


@metal
def set_option(socket: Socket, level: u32, option: u32, data: Slice[u8]) -> i64:
    """setsockopt beyond what all sockets have. 0 or an errno."""
    self = of(socket)
    if level != SOL_PACKET:
        return -ENOPROTOOPT
    if option == IGNORE_OUTGOING:
        value, error = number_of(data)
        if error == 0 and value not in (0, 1):
            error = -EINVAL
        if error == 0:
            self.tap.ignores_sent = value != 0
        return error
    if option not in (ADD_MEMBERSHIP, DROP_MEMBERSHIP):
        return -ENOPROTOOPT
    if len(data) < MEMBERSHIP_SIZE or len(data) < 8 + u64(data[6]):
        return -EINVAL
    wanted = PacketMembership(interface=word_of(data, 0), type=u16(data[4]) | u16(data[5]) << 8)
    wanted.length = u16(data[6]) | u16(data[7]) << 8
    wanted.address = unsafe.load(u64, unsafe.address(data) + 8, unaligned=True)
    with self.datagram.changing:
        return add_member(self, wanted) if option == ADD_MEMBERSHIP else drop_member(self, wanted)


@metal
def find_member(self: PacketSocket, wanted: PacketMembership) -> Ptr[PacketMembership]:
    """The entry that says the same, or None."""
    for each in self.memberships:
        same = each.interface == wanted.interface and each.type == wanted.type and each.length == wanted.length
        if each.count != 0 and same and each.address == wanted.address:
            return each
    return None


@metal
def add_member(self: PacketSocket, wanted: PacketMembership) -> i64:
    """PACKET_ADD_MEMBERSHIP. 0, -ENODEV, -EINVAL or -ENOMEM."""
    interface = interface_by_index(wanted.interface)
    if interface is None:
        return -ENODEV
    if wanted.length > 6:
        return -EINVAL
    found = find_member(self, wanted)
    if found is None:
        for each in self.memberships:
            if each.count == 0 and found is None:
                found = each
        if found is None:
            return -ENOMEM
        if wanted.type in (GROUP, UNICAST) and wanted.length != 6:
            return -EINVAL
        found.interface = wanted.interface
        found.type = wanted.type
        found.length = wanted.length
        found.address = wanted.address
    found.count += 1
    look_further(self)
    return 0


@metal
def drop_member(self: PacketSocket, wanted: PacketMembership) -> i64:
    """PACKET_DROP_MEMBERSHIP: 0, also if there is none, as on Linux."""
    found = find_member(self, wanted)
    if found is not None:
        found.count -= 1
    look_further(self)
    return 0


@metal
def look_further(self: PacketSocket) -> None:
    """See what is for others if there is a membership that asks for it."""
    others = False
    for each in self.memberships:
        if each.count != 0 and each.type == PROMISCUOUS:
            others = True
    self.tap.sees_others = others


@metal
def get_option(socket: Socket, level: u32, option: u32, data: Slice[u8]) -> i64:
    """getsockopt beyond what all sockets have: the value's length, or an errno."""
    self = of(socket)
    if level == so.SOL_SOCKET and option == so.SO_ACCEPTCONN:
        put_number(data, 0)
        return 4
    if level != SOL_PACKET:
        return -ENOPROTOOPT
    if option == IGNORE_OUTGOING:
        put_number(data, u64(self.tap.ignores_sent))
        return 4
    if option != STATISTICS:
        return -ENOPROTOOPT
    with taps_lock:
        put_number(data, u64(self.tap.seen))
        put_number(data[4:], self.datagram.endpoint.dropped)
        self.tap.seen = 0
        self.datagram.endpoint.dropped = 0
    return 8


@metal
def release(socket: Socket) -> None:
    """The last descriptor is gone."""
    self = of(socket)
    close_tap(self.tap)
    unbind(self.datagram.endpoint)
    sockets.free(self)


PROTOCOL = constant(
    Protocol,
    {
        "bind": bind,
        "name": name,
        "send": send,
        "receive": receive,
        "poll": datagram_socket.poll,
        "control": datagram_socket.control,
        "set_option": set_option,
        "get_option": get_option,
        "changed": datagram_socket.changed,
        "release": release,
    },
)


__all__ = ["create_socket"]
