"""Options of the level SOL_SOCKET, which mean the same for every protocol (socket(7), Linux net/core/sock.c)."""

from goanna.kernel.base.errno import EDOM, EINVAL, ENOPROTOOPT, EOPNOTSUPP, EPERM
from goanna.kernel.identity.credentials import CAP_NET_ADMIN, capable
from goanna.kernel.net.socket import numbers as so
from goanna.kernel.net.socket.socket import (
    LARGEST_BUFFER,
    SMALLEST_RECEIVE,
    SMALLEST_SEND,
    Socket,
)
from goanna.metal import Slice, i32, i64, metal, sizeof, struct, u8, u32, u64, unsafe

MOST = 0x7FFFFFFF  # of an int
NANOSECONDS = 1_000_000_000
LONGEST = 0x7FFFFFFFFFFFFFFF // NANOSECONDS - 1  # seconds


@struct
class Linger:
    """struct linger."""

    on: i32
    seconds: i32


@struct
class Timeout:
    """struct timeval."""

    seconds: i64
    microseconds: i64


@metal
def set_option(socket: Socket, name: u32, data: Slice[u8]) -> i64:
    """setsockopt of SOL_SOCKET. 0 or an errno."""
    if len(data) < 4:
        return -EINVAL
    value = unsafe.load(i32, unsafe.address(data), unaligned=True)
    match name:
        case so.SO_REUSEADDR | so.SO_DONTROUTE | so.SO_BROADCAST | so.SO_KEEPALIVE | so.SO_OOBINLINE | so.SO_NO_CHECK:
            socket.set(name, value != 0)
            tell_change(socket, name)
        case so.SO_DEBUG:
            if value != 0 and not capable(CAP_NET_ADMIN):
                return -EPERM
            socket.set(name, value != 0)
        case so.SO_REUSEPORT:
            if value != 0 and socket.family == so.AF_UNIX:
                return -EOPNOTSUPP
            socket.set(name, value != 0)
            tell_change(socket, name)
        case so.SO_PASSCRED:
            if socket.family != so.AF_UNIX:
                return -EOPNOTSUPP
            socket.set(name, value != 0)
        case so.SO_SNDBUF:
            set_send_buffer(socket, u64(min(u32.wrap(value), u32(LARGEST_BUFFER))))
        case so.SO_RCVBUF:
            set_receive_buffer(socket, u64(min(u32.wrap(value), u32(LARGEST_BUFFER))))
        case so.SO_SNDBUFFORCE:
            if not capable(CAP_NET_ADMIN):
                return -EPERM
            set_send_buffer(socket, u64(max(value, 0)))
        case so.SO_RCVBUFFORCE:
            if not capable(CAP_NET_ADMIN):
                return -EPERM
            set_receive_buffer(socket, u64(max(value, 0)))
        case so.SO_PRIORITY:
            if (value < 0 or value > 6) and not capable(CAP_NET_ADMIN):
                return -EPERM
            socket.priority = u32.wrap(value)
        case so.SO_LINGER:
            return set_linger(socket, data)
        case so.SO_RCVLOWAT:
            socket.low_water = u32(MOST) if value < 0 else max(u32(value), u32(1))
            tell_change(socket, so.SO_RCVLOWAT)
        case so.SO_RCVTIMEO:
            timeout, error = timeout_of(data)
            if error < 0:
                return error
            socket.receive_timeout = timeout
        case so.SO_SNDTIMEO:
            timeout, error = timeout_of(data)
            if error < 0:
                return error
            socket.send_timeout = timeout
        case so.SO_MARK:
            if not capable(CAP_NET_ADMIN):
                return -EPERM
            socket.mark = u32.wrap(value)
        case so.SO_TYPE | so.SO_ERROR | so.SO_ACCEPTCONN | so.SO_PROTOCOL | so.SO_DOMAIN:
            return -ENOPROTOOPT
        case _:
            if socket.protocol.set_option is None:
                return -ENOPROTOOPT
            return socket.protocol.set_option(socket, so.SOL_SOCKET, name, data)
    return 0


@metal
def set_send_buffer(socket: Socket, wanted: u64) -> None:
    """SO_SNDBUF: twice what was asked for, since Linux counts the overhead in."""
    socket.send_limit = u32(min(max(wanted * 2, u64(SMALLEST_SEND)), u64(MOST)))
    tell_change(socket, so.SO_SNDBUF)


@metal
def set_receive_buffer(socket: Socket, wanted: u64) -> None:
    """SO_RCVBUF."""
    socket.receive_limit = u32(min(max(wanted * 2, u64(SMALLEST_RECEIVE)), u64(MOST)))
    tell_change(socket, so.SO_RCVBUF)


@metal
def tell_change(socket: Socket, name: u32) -> None:
    """Let the protocol know that an option is another."""
    if socket.protocol.changed is not None:
        socket.protocol.changed(socket, name)


@metal
def set_linger(socket: Socket, data: Slice[u8]) -> i64:
    """SO_LINGER."""
    if len(data) < sizeof(Linger):
        return -EINVAL
    linger = Linger()
    unsafe.slice(u8, unsafe.address(linger), sizeof(Linger))[:] = data[0 : sizeof(Linger)]
    socket.set(so.SO_LINGER, linger.on != 0)
    if linger.on != 0:
        socket.linger = u32.wrap(linger.seconds)
    return 0


@metal
def timeout_of(data: Slice[u8]) -> tuple[u64, i64]:
    """Nanoseconds of a struct timeval, 0 for one that never comes; and 0, -EINVAL or -EDOM."""
    if len(data) < sizeof(Timeout):
        return 0, -EINVAL
    given = Timeout()
    unsafe.slice(u8, unsafe.address(given), sizeof(Timeout))[:] = data[0 : sizeof(Timeout)]
    if given.microseconds < 0 or given.microseconds >= 1_000_000:
        return 0, -EDOM
    if given.seconds < 0:
        return 1, 0
    if given.seconds >= LONGEST:
        return 0, 0
    return u64(given.seconds) * NANOSECONDS + u64(given.microseconds) * 1000, 0


@metal
def get_option(socket: Socket, name: u32, data: Slice[u8]) -> i64:
    """getsockopt of SOL_SOCKET: the value's length in `data`, which has room for any, or an errno."""
    value: u64 = 0
    match name:
        case so.SO_DEBUG | so.SO_REUSEADDR | so.SO_DONTROUTE | so.SO_BROADCAST | so.SO_KEEPALIVE:
            value = 1 if socket.has(name) else 0
        case so.SO_OOBINLINE | so.SO_NO_CHECK | so.SO_REUSEPORT | so.SO_PASSCRED:
            value = 1 if socket.has(name) else 0
        case so.SO_TYPE:
            value = u64(socket.kind)
        case so.SO_ERROR:
            value = u64(-socket.take_error())
        case so.SO_SNDBUF:
            value = u64(socket.send_limit)
        case so.SO_RCVBUF:
            value = u64(socket.receive_limit)
        case so.SO_PRIORITY:
            value = u64(socket.priority)
        case so.SO_LINGER:
            put_number(data, 1 if socket.has(so.SO_LINGER) else 0)
            put_number(data[4:], u64(socket.linger))
            return 8
        case so.SO_RCVLOWAT:
            value = u64(socket.low_water)
        case so.SO_SNDLOWAT:
            value = 1
        case so.SO_RCVTIMEO:
            return put_timeout(data, socket.receive_timeout)
        case so.SO_SNDTIMEO:
            return put_timeout(data, socket.send_timeout)
        case so.SO_MARK:
            value = u64(socket.mark)
        case so.SO_PROTOCOL:
            value = u64(u32.wrap(socket.number))
        case so.SO_DOMAIN:
            value = u64(socket.family)
        case so.SO_COOKIE:
            put_number(data, socket.inode & 0xFFFFFFFF)
            put_number(data[4:], socket.inode >> 32)
            return 8
        case _:
            if socket.protocol.get_option is None:
                return -ENOPROTOOPT
            return socket.protocol.get_option(socket, so.SOL_SOCKET, name, data)
    put_number(data, value)
    return 4


@metal
def put_number(data: Slice[u8], value: u64) -> None:
    """Write an int."""
    for index in range(u64(4)):
        data[index] = u8.wrap(value >> (8 * index))


@metal
def put_timeout(data: Slice[u8], timeout: u64) -> i64:
    """Write a struct timeval; 0 for one that never comes."""
    told = Timeout(seconds=i64(timeout // NANOSECONDS), microseconds=i64(timeout % NANOSECONDS // 1000))
    data[0 : sizeof(Timeout)] = unsafe.slice(u8, unsafe.address(told), sizeof(Timeout))
    return sizeof(Timeout)
