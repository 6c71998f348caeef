"""The calls that make, name and join sockets (Linux net/socket.c). Those that move messages are in message_calls.py."""

from goanna.kernel.base.errno import EBADF, ECONNABORTED, EINVAL, ENOMEM, EOPNOTSUPP
from goanna.kernel.base.setting import Setting
from goanna.kernel.file.description import Description
from goanna.kernel.file.descriptors import add_descriptor, files
from goanna.kernel.file.flags import O_CLOEXEC, O_NONBLOCK
from goanna.kernel.file.pipe_calls import install_pair
from goanna.kernel.memory import user
from goanna.kernel.net.families import create, create_pair
from goanna.kernel.net.socket import options
from goanna.kernel.net.socket.message import ADDRESS_SIZE, get_address, put_address
from goanna.kernel.net.socket.numbers import IPPROTO_IP, IPPROTO_TCP, SOCK_STREAM, SOL_SOCKET
from goanna.kernel.net.socket.socket import SHUT_BOTH, Socket, describe, get_socket, reserve_descriptor
from goanna.metal import Array, Ptr, i32, i64, metal, static, u8, u32, u64

TYPE_MASK = 0xF
most_backlog = static(Setting, {"value": 4096, "least": 0, "most": 0x7FFF_FFFF})  # net.core.somaxconn
OPTION_SIZE = 512  # bytes: no option's value is longer


@metal
def sys_socket(family: u32, kind: u32, number: i32) -> i64:
    """socket(2)."""
    if (kind & ~u32(TYPE_MASK | O_CLOEXEC | O_NONBLOCK)) != 0:
        return -EINVAL
    socket, error = create(family, kind & TYPE_MASK, number)
    if socket is None:
        return error
    description = describe(socket, (kind & O_NONBLOCK) != 0)
    if description is None:
        return -ENOMEM
    return add_descriptor(description, (kind & O_CLOEXEC) != 0)


@metal
def sys_socketpair(family: u32, kind: u32, number: i32, address: u64) -> i64:
    """socketpair(2)."""
    if (kind & ~u32(TYPE_MASK | O_CLOEXEC | O_NONBLOCK)) != 0:
        return -EINVAL
    one, other, error = create_pair(family, kind & TYPE_MASK, number)
    if error < 0:
        return error
    nonblocking = (kind & O_NONBLOCK) != 0
    first = describe(one, nonblocking)
    second = describe(other, nonblocking)
    error = -ENOMEM
    if first is not None and second is not None:
        error = install_pair(first, second, address, (kind & O_CLOEXEC) != 0)
    if error < 0:
        if first is not None:
            first.drop()
        if second is not None:
            second.drop()
    return error


@metal
def with_address(descriptor: i32, address: u64, length: i32, connecting: bool) -> i64:
    """bind and connect."""
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    name = Array[u8, ADDRESS_SIZE]()
    result = get_address(name[:], address, length)
    if result >= 0:
        given = name[0 : u64(result)]
        result = -EOPNOTSUPP
        if connecting and socket.protocol.connect is not None:
            result = socket.protocol.connect(socket, given, description.nonblocking())
        elif not connecting and socket.protocol.bind is not None:
            result = socket.protocol.bind(socket, given)
    description.drop()
    return result


@metal
def sys_bind(descriptor: i32, address: u64, length: i32) -> i64:
    """bind(2)."""
    return with_address(descriptor, address, length, False)


@metal
def sys_connect(descriptor: i32, address: u64, length: i32) -> i64:
    """connect(2)."""
    return with_address(descriptor, address, length, True)


@metal
def sys_listen(descriptor: i32, backlog: u32) -> i64:
    """listen(2)."""
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    result: i64 = -EOPNOTSUPP
    if socket.protocol.listen is not None:
        result = socket.protocol.listen(socket, min(backlog, u32(most_backlog.value)))
    description.drop()
    return result


@metal
def sys_accept(descriptor: i32, address: u64, length: u64) -> i64:
    """accept(2)."""
    return sys_accept4(descriptor, address, length, 0)


@metal
def sys_accept4(descriptor: i32, address: u64, length: u64, flags: u32) -> i64:
    """accept4(2)."""
    description, socket, error = get_socket(descriptor)
    wrong = (flags & ~u32(O_CLOEXEC | O_NONBLOCK)) != 0
    if error < 0:
        return -EINVAL if wrong and error != -EBADF else error
    if wrong:
        description.drop()
        return -EINVAL
    result = reserve_descriptor()
    if result >= 0:
        accepted, error = accept_one(description, socket, address, length, (flags & O_NONBLOCK) != 0)
        if accepted is None:
            files().cancel(i32(result))
            result = error
        else:
            files().install(i32(result), accepted, (flags & O_CLOEXEC) != 0)
    description.drop()
    return result


@metal
def accept_one(
    description: Description, socket: Socket, address: u64, length: u64, nonblocking: bool
) -> tuple[Ptr[Description], i64]:
    """A description of the next connection, after its peer's address was told; or None and an errno."""
    if socket.protocol.accept is None:
        return None, -EOPNOTSUPP
    made, error = socket.protocol.accept(socket, description.nonblocking())
    if made is None:
        return None, error
    accepted = describe(made, nonblocking)
    if accepted is None:
        return None, -ENOMEM
    if address != 0:
        name = Array[u8, ADDRESS_SIZE]()
        size = made.protocol.name(made, name[:], True)
        error = -ECONNABORTED if size < 0 else put_address(name[0 : u64(size)], address, length)
        if error < 0:
            accepted.drop()
            return None, error
    return accepted, 0


@metal
def tell_name(descriptor: i32, address: u64, length: u64, peer: bool) -> i64:
    """getsockname and getpeername."""
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    name = Array[u8, ADDRESS_SIZE]()
    result = socket.protocol.name(socket, name[:], peer)
    if result >= 0:
        result = put_address(name[0 : u64(result)], address, length)
    description.drop()
    return result


@metal
def sys_getsockname(descriptor: i32, address: u64, length: u64) -> i64:
    """getsockname(2)."""
    return tell_name(descriptor, address, length, False)


@metal
def sys_getpeername(descriptor: i32, address: u64, length: u64) -> i64:
    """getpeername(2)."""
    return tell_name(descriptor, address, length, True)


@metal
def sys_shutdown(descriptor: i32, how: u32) -> i64:
    """shutdown(2)."""
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    result: i64 = -EINVAL
    if how < SHUT_BOTH:
        result = -EOPNOTSUPP
        if socket.protocol.shutdown is not None:
            result = socket.protocol.shutdown(socket, how + 1)
    description.drop()
    return result


@metal
def sys_setsockopt(descriptor: i32, level: u32, name: u32, address: u64, length: i32) -> i64:
    """setsockopt(2)."""
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    result: i64 = -EINVAL
    if length >= 0:
        value = Array[u8, OPTION_SIZE]()
        given = value[0 : min(u64(length), u64(OPTION_SIZE))]
        result = user.copy_in(given, address)
        if result == 0 and level == SOL_SOCKET:
            result = options.set_option(socket, name, given)
        elif result == 0:
            result = -EOPNOTSUPP
            if socket.protocol.set_option is not None:
                result = socket.protocol.set_option(socket, level, name, given)
    description.drop()
    return result


@metal
def sys_getsockopt(descriptor: i32, level: u32, name: u32, address: u64, length_address: u64) -> i64:
    """getsockopt(2)."""
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    result = tell_option(socket, level, name, address, length_address)
    description.drop()
    return result


@metal
def tell_option(socket: Socket, level: u32, name: u32, address: u64, length_address: u64) -> i64:
    """The value of an option, cut to the room that there is, and its length."""
    room, error = user.get(i32, length_address)
    if error < 0:
        return error
    streams = level == IPPROTO_TCP and socket.kind == SOCK_STREAM
    if room < 0 and (level in (SOL_SOCKET, IPPROTO_IP) or streams):  # IPv6 takes it for very much
        return -EINVAL
    value = Array[u8, OPTION_SIZE]()
    found: i64 = -EOPNOTSUPP
    if level == SOL_SOCKET:
        found = options.get_option(socket, name, value[:])
    elif socket.protocol.get_option is not None:
        found = socket.protocol.get_option(socket, level, name, value[:])
    if found < 0:
        return found
    size = u64(found) if room < 0 else min(u64(found), u64(room))
    if level == IPPROTO_IP and found == 4 and 0 < size < 4 and value[1:4] == b"\0\0\0":
        size = 1  # as older programs want it
    error = user.copy_out(address, value[0:size])
    return error if error < 0 else user.put(length_address, u32(size))
