"""The error queue as programs read it: recvmsg with MSG_ERRQUEUE (ip(7), IP_RECVERR; Linux ip_recv_error)."""

from goanna.kernel.base.errno import EAGAIN, EFAULT, EMSGSIZE
from goanna.kernel.net.address import Address
from goanna.kernel.net.arrival import Report
from goanna.kernel.net.endpoint import read_address
from goanna.kernel.net.error_queue import LOCAL, Described, queue_error, record_of, take_error_packet
from goanna.kernel.net.inet.datagram_socket import DatagramSocket
from goanna.kernel.net.inet.names import AF_INET6, write_name
from goanna.kernel.net.inet.tell import put, tell
from goanna.kernel.net.packet import drop
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.control import put_control
from goanna.kernel.net.socket.message import MSG_ERRQUEUE, Message
from goanna.metal import Array, fill, i32, i64, metal, sizeof, u8, u16, u32, u64, unsafe


@metal
def receive_error(self: DatagramSocket, message: Message) -> i64:
    """Give the oldest entry: how many bytes of the packet that it is about, or -EAGAIN."""
    packet, pending = take_error_packet(self.endpoint)
    if packet is None:
        return -EAGAIN
    record = record_of(packet)
    origin = record.described.origin
    if pending != 0 or origin != LOCAL:
        self.socket.error = i32(pending)
    family = self.socket.family
    six = family == AF_INET6
    count, _ = message.fit(u64(packet.total))
    result = i64(count)
    if message.wants_address:
        length = write_name(family, record.target, record.port, packet.interface, message.address[:])
        message.address_length = u32(length)
    if put(packet, count, message.transfer) < count:
        result = -EFAULT
    data = Array[u8, sizeof(Described) + 28]()
    fill(data[:], 0)
    data[0 : sizeof(Described)] = unsafe.slice(u8, unsafe.address(record.described), sizeof(Described))
    if origin != LOCAL:
        offender = Address()
        read_address(packet, offender, True)
        write_name(family, offender, 0, packet.interface, data[sizeof(Described) :])
        if self.wishes.told != 0:
            tell(self, packet, message)
    if six:
        put_control(message, so.IPPROTO_IPV6, so.IPV6_RECVERR, data[:])
    else:
        put_control(message, so.IPPROTO_IP, so.IP_RECVERR, data[0 : u64(sizeof(Described) + 16)])
    message.told |= MSG_ERRQUEUE
    drop(packet)
    return result


@metal
def too_large(self: DatagramSocket, target: Address, port: u16, mtu: u32) -> None:
    """A packet was not sent because it is larger than its way takes: who reads the queue learns of the MTU."""
    report = Report(six=not target.is4(), error=EMSGSIZE, mtu=mtu, remote=target, remote_port=port)
    if self.endpoint.wants_errors & (2 if report.six else 1) != 0:
        queue_error(self.endpoint, report, LOCAL, 0)
        self.socket.watchers.notify(0x8)


__all__ = ["receive_error", "too_large"]
