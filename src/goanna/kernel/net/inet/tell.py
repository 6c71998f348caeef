"""What a receiver of a datagram is given: its bytes, and beside them what it wants to know of its way (ip(7))."""

from goanna.kernel.file.transfer import Transfer
from goanna.kernel.net.address import Address
from goanna.kernel.net.endpoint import read_address
from goanna.kernel.net.inet.datagram_socket import DatagramSocket
from goanna.kernel.net.inet.ip_options import HOPS, PACKET_INFORMATION, TRAFFIC
from goanna.kernel.net.inet.names import AF_INET6
from goanna.kernel.net.packet import Packet
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.control import put_control
from goanna.kernel.net.socket.message import Message
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.wire.bytes import put32
from goanna.metal import Array, Ptr, Slice, metal, u8, u32, u64, unsafe


@metal
def put(packet: Packet, count: u64, transfer: Transfer) -> u64:
    """Copy the first bytes of a packet out; how many went."""
    done: u64 = 0
    each: Ptr[Packet] = packet
    while done < count:
        part = min(u64(each.length), count - done)
        copied = transfer.put(each.bytes()[0:part])
        done += copied
        if copied < part:
            break
        each = each.more
    return done


@metal
def tell(self: DatagramSocket, packet: Packet, message: Message) -> None:
    """Give the receiver what it wants to know of a datagram."""
    told = self.wishes.told
    six = self.socket.family == AF_INET6
    data = Array[u8, 20]()
    if told & PACKET_INFORMATION != 0:
        target = Address()
        read_address(packet, target, False)
        if six:
            target.store(data[0:16])
            unsafe.store(u32, unsafe.address(data) + 16, packet.interface, unaligned=True)
            put_control(message, so.IPPROTO_IPV6, so.IPV6_PKTINFO, data[:])
        else:
            unsafe.store(u32, unsafe.address(data), packet.interface, unaligned=True)
            put32(data[:], 4, target.four())
            put32(data[:], 8, target.four())
            put_control(message, so.IPPROTO_IP, so.IP_PKTINFO, data[0:12])
    if told & HOPS != 0:
        put_number(data[:], u64(packet.hops))
        put_of(message, packet, so.IP_TTL, so.IPV6_HOPLIMIT, data[0:4])
    if told & TRAFFIC != 0:
        put_number(data[:], u64(packet.traffic))
        put_of(message, packet, so.IP_TOS, so.IPV6_TCLASS, data[0 : u64(4 if packet.six else 1)])


@metal
def put_of(message: Message, packet: Packet, four: u32, six: u32, data: Slice[u8]) -> None:
    """A control message of the datagram's version of IP."""
    if packet.six:
        put_control(message, so.IPPROTO_IPV6, six, data)
    else:
        put_control(message, so.IPPROTO_IP, four, data)


__all__ = ["put", "tell"]
