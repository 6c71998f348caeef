"""The calls that move messages: sendto, recvfrom, sendmsg, recvmsg and the forms for many (Linux net/socket.c)."""

from goanna.kernel.arch import now, virtual
from goanna.kernel.base.errno import EAGAIN, EFAULT, EINVAL, ENOBUFS, EOPNOTSUPP
from goanna.kernel.file.deadline import deadline_of_timespec, put_remaining
from goanna.kernel.file.transfer import Transfer, Vector
from goanna.kernel.memory import pages, user
from goanna.kernel.net.socket.message import (
    CONTROL_MOST,
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_ERRQUEUE,
    MSG_WAITFORONE,
    Header,
    Message,
    get_address,
    load_header,
    load_vectors,
    put_address,
)
from goanna.kernel.net.socket.passed import discard
from goanna.kernel.net.socket.socket import Socket, get_socket
from goanna.metal import i32, i64, metal, offsetof, sizeof, u8, u32, u64, unsafe

MSG_CMSG_COMPAT = 0x80000000
MOST_MESSAGES = 1024  # UIO_MAXIOV
CONTROL_PAGES = 3  # an order: what goes beside the bytes is at most 32 KiB (net.core.optmem_max, rounded)
CONTROL_SIZE = 20480  # bytes
EACH = 64  # bytes of a struct mmsghdr


@metal
def send_message(socket: Socket, message: Message) -> i64:
    """Hand a message to the protocol."""
    if socket.protocol.send is None:
        return -EOPNOTSUPP
    return socket.protocol.send(socket, message)


@metal
def receive_message(socket: Socket, message: Message) -> i64:
    """Have the protocol fill a message."""
    if socket.protocol.receive is None:
        return -EOPNOTSUPP
    return socket.protocol.receive(socket, message)


@metal
def sys_sendto(descriptor: i32, buffer: u64, count: u64, flags: u32, address: u64, length: i32) -> i64:
    """sendto(2)."""
    transfer = Transfer()
    if transfer.start(buffer, count) < 0:
        return -EFAULT
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    message = Message(transfer=transfer, flags=flags)
    result: i64 = 0
    if address != 0:
        result = get_address(message.address[:], address, length)
        message.address_length = u32(max(result, 0))
    if result >= 0:
        if description.nonblocking():
            message.flags |= MSG_DONTWAIT
        result = send_message(socket, message)
    description.drop()
    return result


@metal
def sys_recvfrom(descriptor: i32, buffer: u64, count: u64, flags: u32, address: u64, length: u64) -> i64:
    """recvfrom(2)."""
    transfer = Transfer()
    if transfer.start(buffer, count) < 0:
        return -EFAULT
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    message = Message(transfer=transfer, flags=flags, wants_address=address != 0)
    if description.nonblocking():
        message.flags |= MSG_DONTWAIT
    result = receive_message(socket, message)
    if result >= 0 and address != 0:
        error = put_address(message.peer(), address, length)
        result = error if error < 0 else result
    description.drop()
    return result


@metal
def send_at(socket: Socket, address: u64, flags: u32) -> i64:
    """Send the message whose struct msghdr is at an address."""
    header = Header()
    transfer = Transfer()
    vector = Vector()
    message = Message(transfer=transfer, flags=flags)
    result = load_header(header, address)
    if result == 0 and header.name_length != 0:
        result = get_address(message.address[:], header.name, header.name_length)
        message.address_length = u32(max(result, 0))
    if result >= 0:
        result = load_vectors(vector, transfer, header)
    if result >= 0:
        result = send_with_control(socket, message, header)
    vector.release()
    return result


@metal
def send_with_control(socket: Socket, message: Message, header: Header) -> i64:
    """Fetch what goes beside the bytes, and send."""
    if header.control_length == 0:
        return send_message(socket, message)
    if header.control_length > CONTROL_SIZE:
        return -ENOBUFS
    block = pages.allocate_order(CONTROL_PAGES)
    if block == 0:
        return -ENOBUFS
    message.sent_control = virtual(block)
    message.sent_control_length = header.control_length
    result = user.copy_in(unsafe.slice(u8, message.sent_control, header.control_length), header.control)
    if result == 0:
        result = send_message(socket, message)
    if message.passed is not None:
        discard(message.passed)
    pages.free_order(block, CONTROL_PAGES)
    return result


@metal
def receive_at(socket: Socket, address: u64, flags: u32) -> i64:
    """Receive a message for the struct msghdr at an address."""
    header = Header()
    transfer = Transfer()
    vector = Vector()
    result = load_header(header, address)
    if result == 0:
        result = load_vectors(vector, transfer, header)
    if result >= 0:
        message = Message(transfer=transfer, flags=flags, wants_address=header.name != 0)
        message.told = flags & MSG_CMSG_CLOEXEC  # which Linux tells back
        message.control = header.control
        message.control_left = min(header.control_length, u64(CONTROL_MOST))
        result = receive_message(socket, message)
        if result >= 0:
            error = tell_header(message, header, address)
            result = error if error < 0 else result
    vector.release()
    return result


@metal
def tell_header(message: Message, header: Header, address: u64) -> i64:
    """Write what a receiver is told into its struct msghdr. 0 or -EFAULT."""
    if header.name != 0:
        found = message.peer()
        room = min(len(found), u64(header.name_length))
        if user.copy_out(header.name, found[0:room]) < 0:
            return -EFAULT
        if user.put(address + NAME_LENGTH_AT, u32(len(found))) < 0:
            return -EFAULT
    if user.put(address + FLAGS_AT, message.told) < 0:
        return -EFAULT
    return user.put(address + CONTROL_LENGTH_AT, message.control_used)


NAME_LENGTH_AT = offsetof(Header, "name_length")
FLAGS_AT = offsetof(Header, "flags")
CONTROL_LENGTH_AT = offsetof(Header, "control_length")


@metal
def one_message(descriptor: i32, address: u64, flags: u32, sending: bool) -> i64:
    """sendmsg and recvmsg."""
    if (flags & MSG_CMSG_COMPAT) != 0:
        return -EINVAL
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    if description.nonblocking():
        flags |= MSG_DONTWAIT
    result = send_at(socket, address, flags) if sending else receive_at(socket, address, flags)
    description.drop()
    return result


@metal
def sys_sendmsg(descriptor: i32, address: u64, flags: u32) -> i64:
    """sendmsg(2)."""
    return one_message(descriptor, address, flags, True)


@metal
def sys_recvmsg(descriptor: i32, address: u64, flags: u32) -> i64:
    """recvmsg(2)."""
    return one_message(descriptor, address, flags, False)


@metal
def sys_sendmmsg(descriptor: i32, address: u64, count: u32, flags: u32) -> i64:
    """sendmmsg(2)."""
    if (flags & MSG_CMSG_COMPAT) != 0:
        return -EINVAL
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    if description.nonblocking():
        flags |= MSG_DONTWAIT
    done: u32 = 0
    result: i64 = 0
    while done < min(count, u32(MOST_MESSAGES)) and result >= 0:
        at = address + u64(done) * EACH
        result = send_at(socket, at, flags)
        if result >= 0 and user.put(at + sizeof(Header), u32(result)) < 0:
            result = -EFAULT
        if result >= 0:
            done += 1
    description.drop()
    return result if done == 0 and result < 0 else i64(done)


@metal
def sys_recvmmsg(descriptor: i32, address: u64, count: u32, flags: u32, timeout: u64) -> i64:
    """recvmmsg(2). As on Linux the timeout is looked at after each message, and does not end the wait for one."""
    if (flags & MSG_CMSG_COMPAT) != 0:
        return -EINVAL
    until, error = deadline_of_timespec(timeout)
    if error < 0:
        return error
    description, socket, error = get_socket(descriptor)
    if error < 0:
        return error
    result = socket.take_error() if (flags & MSG_ERRQUEUE) == 0 else i64(0)
    if description.nonblocking():
        flags |= MSG_DONTWAIT
    done: u32 = 0
    while done < min(count, u32(MOST_MESSAGES)) and result >= 0:
        at = address + u64(done) * EACH
        result = receive_at(socket, at, flags & ~u32(MSG_WAITFORONE))
        if result < 0:
            break
        if user.put(at + sizeof(Header), u32(result)) < 0:
            result = -EFAULT
            break
        done += 1
        if (flags & MSG_WAITFORONE) != 0:
            flags |= MSG_DONTWAIT
        if timeout != 0 and now() >= until:
            break
    if done != 0 and result < 0 and result != -EAGAIN:
        with socket.lock:
            socket.error = i32(-result)
    if done != 0:
        put_remaining(timeout, until, False)
    description.drop()
    return result if done == 0 and result < 0 else i64(done)
