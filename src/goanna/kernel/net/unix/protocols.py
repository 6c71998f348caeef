"""What streams, datagrams and sequenced packets of Unix sockets can do, and how such a socket is made."""

from goanna.kernel.base.errno import EINVAL, ENOMEM, ENOPROTOOPT, ENOTTY, EPROTONOSUPPORT, ESOCKTNOSUPPORT
from goanna.kernel.file.flags import FIONREAD
from goanna.kernel.file.transfer import put_count
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.options import put_number
from goanna.kernel.net.socket.socket import Protocol, Socket, prepare
from goanna.kernel.net.unix import datagram, endpoint, join, names, stream
from goanna.kernel.net.unix.endpoint import DATAGRAMS, NOT_KNOWN, State, endpoints, of
from goanna.metal import Ptr, Slice, constant, i32, i64, metal, u8, u32, u64


@metal
def control(socket: Socket, command: u32, argument: u64) -> i64:
    """ioctl: how much waits to be read, and how much was sent that nobody has read."""
    self = of(socket)
    if command == so.SIOCOUTQ:
        return put_count(argument, self.sent.load())
    if command != FIONREAD:
        return -ENOTTY
    if self.state == State.LISTENING:
        return -EINVAL
    waiting: u64 = 0
    with socket.lock:
        waiting = self.bytes
        if socket.kind == so.SOCK_DGRAM and not self.letters.empty():
            waiting = self.letters.head().length()
    return put_count(argument, waiting)


@metal
def get_option(socket: Socket, level: u32, name: u32, data: Slice[u8]) -> i64:
    """SO_PEERCRED and SO_ACCEPTCONN: the value's length, or -ENOPROTOOPT."""
    self = of(socket)
    if level != so.SOL_SOCKET:
        return -ENOPROTOOPT
    if name == so.SO_ACCEPTCONN:
        put_number(data, 1 if self.state == State.LISTENING else 0)
        return 4
    if name != so.SO_PEERCRED:
        return -ENOPROTOOPT
    with socket.lock:
        known = self.has_partner
        put_number(data, u64(self.partner.process))
        put_number(data[4:], u64(self.partner.user if known else u32(NOT_KNOWN)))
        put_number(data[8:], u64(self.partner.group if known else u32(NOT_KNOWN)))
    return 12


@metal
def changed(socket: Socket, name: u32) -> None:
    """An option is another: there may be more room to send."""
    with socket.lock:
        socket.writers.wake_all()


COMMON = {
    "bind": names.bind,
    "listen": join.listen,
    "accept": join.accept,
    "name": join.name,
    "shutdown": join.shutdown,
    "poll": endpoint.poll,
    "control": control,
    "get_option": get_option,
    "changed": changed,
    "release": join.release,
}
STREAM = constant(Protocol, {**COMMON, "connect": join.connect, "send": stream.send, "receive": stream.receive})
SEQUENCED = constant(Protocol, {**COMMON, "connect": join.connect, "send": datagram.send, "receive": datagram.receive})
DATAGRAM = constant(Protocol, {**COMMON, "connect": datagram.connect, "send": datagram.send,
                               "receive": datagram.receive})  # fmt: skip


@metal
def create_socket(kind: u32, number: i32) -> tuple[Ptr[Socket], i64]:
    """A new socket, or None and -EPROTONOSUPPORT, -ESOCKTNOSUPPORT or -ENOMEM."""
    if number not in (0, i32(so.AF_UNIX)):
        return None, -EPROTONOSUPPORT
    protocol: Ptr[Protocol] = None
    match kind:
        case so.SOCK_STREAM:
            protocol = STREAM
        case so.SOCK_DGRAM | so.SOCK_RAW:
            protocol = DATAGRAM
        case so.SOCK_SEQPACKET:
            protocol = SEQUENCED
        case _:
            return None, -ESOCKTNOSUPPORT
    made = endpoints.allocate()
    if made is None:
        return None, -ENOMEM
    made.references.store(1)
    made.backlog = DATAGRAMS
    prepare(made.socket, protocol, so.AF_UNIX, so.SOCK_DGRAM if kind == so.SOCK_RAW else kind, 0)
    names.enter(made)
    return made.socket, 0
