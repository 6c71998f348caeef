"""What TCP, UDP, ping and raw sockets can do, and how one is made (socket(2), ip(7), ipv6(7))."""

from goanna.kernel.base.errno import (
    EINVAL,
    ENOMEM,
    ENOPROTOOPT,
    ENOTTY,
    EPERM,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from goanna.kernel.file.flags import FIONREAD
from goanna.kernel.file.transfer import put_count
from goanna.kernel.identity.credentials import CAP_NET_RAW, capable
from goanna.kernel.net.inet import (
    datagram,
    datagram_socket,
    raw_socket,
    stream,
    stream_join,
    stream_options,
    stream_socket,
)
from goanna.kernel.net.inet.stream_socket import Phase, of
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.socket.socket import Protocol, Socket
from goanna.kernel.net.start import start_network
from goanna.kernel.net.tcp.connection import Connection, State
from goanna.kernel.net.tcp.sequence import less
from goanna.metal import Ptr, Slice, constant, i32, i64, metal, u8, u32, u64

SIOCOUTQNSD = 0x894B  # bytes that were not sent yet


@metal
def control(socket: Socket, command: u32, argument: u64) -> i64:
    """ioctl of a stream: how much waits to be read, and how much was not acknowledged, or not sent."""
    self = of(socket)
    if command not in (FIONREAD, so.SIOCOUTQ, SIOCOUTQNSD):
        return -ENOTTY
    if self.phase == Phase.LISTENING:
        return -EINVAL
    c: Connection = self.connection
    count: u32 = 0
    with c.lock:
        if command == FIONREAD:
            count = c.received_bytes
        elif c.state not in (State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED):
            count = less(c.write_end, c.send_una if command == so.SIOCOUTQ else c.send_next)
            if count > 0x7FFF_FFFF:  # the FIN behind the last byte has been acknowledged, or sent
                count = 0
    return put_count(argument, u64(count))


@metal
def set_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """setsockopt of a stream beyond what all sockets have. 0 or an errno."""
    if level == so.IPPROTO_TCP:
        return stream_options.set_tcp_option(socket, name, data)
    return stream_options.set_stream_option(socket, level, name, data)


@metal
def get_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """getsockopt of a stream beyond what all sockets have: the value's length, or an errno."""
    if level == so.IPPROTO_TCP:
        return stream_options.get_tcp_option(socket, name, data)
    if level == so.SOL_SOCKET:
        if name != so.SO_ACCEPTCONN:
            return -ENOPROTOOPT
        put_number(data, u64(of(socket).phase == Phase.LISTENING))
        return 4
    return stream_options.get_stream_option(socket, level, name, data)


STREAM = constant(
    Protocol,
    {
        "bind": stream_join.bind,
        "connect": stream_join.connect,
        "listen": stream_join.listen,
        "accept": stream_join.accept,
        "name": stream_join.name,
        "shutdown": stream_join.shutdown,
        "release": stream_join.release,
        "send": stream.send,
        "receive": stream.receive,
        "poll": stream_socket.poll,
        "control": control,
        "set_option": set_option,
        "get_option": get_option,
        "changed": stream_options.changed,
    },
)
DATAGRAM = constant(
    Protocol,
    {
        "bind": datagram_socket.bind,
        "connect": datagram_socket.connect,
        "name": datagram_socket.name,
        "shutdown": datagram_socket.shutdown,
        "release": datagram_socket.release,
        "send": datagram.send,
        "receive": datagram.receive,
        "poll": datagram_socket.poll,
        "control": datagram_socket.control,
        "set_option": datagram_socket.set_option,
        "get_option": datagram_socket.get_option,
        "changed": datagram_socket.changed,
    },
)
PING = constant(
    Protocol,
    {
        "bind": datagram_socket.bind,
        "connect": datagram_socket.connect,
        "name": datagram_socket.name,
        "shutdown": datagram_socket.shutdown,
        "release": datagram_socket.release,
        "send": raw_socket.send_ping,
        "receive": datagram.receive,
        "poll": datagram_socket.poll,
        "set_option": datagram_socket.set_option,
        "get_option": datagram_socket.get_option,
        "changed": datagram_socket.changed,
    },
)
RAW = constant(
    Protocol,
    {
        "bind": raw_socket.bind_raw,
        "connect": datagram_socket.connect,
        "name": datagram_socket.name,
        "shutdown": datagram_socket.shutdown,
        "release": datagram_socket.release,
        "send": raw_socket.send_raw,
        "receive": datagram.receive,
        "poll": datagram_socket.poll,
        "control": datagram_socket.control,
        "set_option": raw_socket.set_raw_option,
        "get_option": raw_socket.get_raw_option,
        "changed": datagram_socket.changed,
    },
)


@metal
def create_socket(family: u32, kind: u32, number: i32) -> tuple[Ptr[Socket], i64]:
    """A new socket, or None and -EINVAL, -EPROTONOSUPPORT, -ESOCKTNOSUPPORT, -EPERM or -ENOMEM."""
    if number < 0 or number >= 256:
        return None, -EINVAL
    made: Ptr[Socket] = None
    if not start_network():
        return None, -ENOMEM
    match kind:
        case so.SOCK_STREAM:
            if number not in (0, i32(so.IPPROTO_TCP)):
                return None, -EPROTONOSUPPORT
            made = stream_join.create(STREAM, family, so.IPPROTO_TCP)
        case so.SOCK_DGRAM:
            if number == (so.IPPROTO_ICMPV6 if family == so.AF_INET6 else so.IPPROTO_ICMP):
                made = raw_socket.create(PING, family, kind, number)
            elif number not in (0, i32(so.IPPROTO_UDP)):
                return None, -EPROTONOSUPPORT
            else:
                datagrams = datagram_socket.create(DATAGRAM, family, kind, so.IPPROTO_UDP)
                if datagrams is not None:
                    made = datagrams.socket
        case so.SOCK_RAW:
            if number == 0:
                return None, -EPROTONOSUPPORT
            if not capable(CAP_NET_RAW):
                return None, -EPERM
            made = raw_socket.create(RAW, family, kind, number)
        case _:
            return None, -ESOCKTNOSUPPORT
    return made, 0 if made is not None else i64(-ENOMEM)


__all__ = ["DATAGRAM", "PING", "RAW", "STREAM", "create_socket"]
