"""The socket: what all protocols' sockets have in common, and the table of what each can do (Linux struct socket).

A protocol's own structure begins with a Socket; a descriptor's description leads to it. `lock` is a spin lock that the
protocol uses for its state; whoever sleeps does so on `readers`, `writers` or a queue of the protocol's own.
"""

from goanna.kernel.arch import now
from goanna.kernel.base.errno import (
    EAGAIN,
    EBADF,
    EINTR,
    ENOTSOCK,
    ENOTTY,
    ERESTARTSYS,
)
from goanna.kernel.base.lock import SpinLock
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.description import Description, Operations, create
from goanna.kernel.file.descriptors import descriptor_limit, files, get_open_file
from goanna.kernel.file.flags import O_NONBLOCK, O_RDWR, S_IFSOCK
from goanna.kernel.file.transfer import Transfer
from goanna.kernel.file.watch import Watchers
from goanna.kernel.identity.credentials import mine
from goanna.kernel.net.socket.message import MSG_DONTWAIT, Message
from goanna.kernel.thread.wait import WaitQueue, Wake
from goanna.kernel.time.timer import NEVER
from goanna.metal import Atomic, Fn, Ptr, Slice, constant, i32, i64, metal, static, struct, u8, u32, u64, unsafe

SHUT_READ = 1  # bits of Socket.shut, and of shutdown(2)'s argument plus 1
SHUT_WRITE = 2
SHUT_BOTH = 3

SOCKET_DEVICE = 8  # 0:8, the device number of sockfs

DEFAULT_BUFFER = 212992  # bytes: net.core.wmem_default and rmem_default
LARGEST_BUFFER = 212992  # net.core.wmem_max and rmem_max; what is set counts twice
SMALLEST_SEND = 4608  # SOCK_MIN_SNDBUF
SMALLEST_RECEIVE = 2304  # SOCK_MIN_RCVBUF


@struct
class Protocol:
    """What one kind of socket can do. Functions may sleep and are called with no lock held; None: EOPNOTSUPP.

    Addresses are sockaddr structures in kernel memory, checked to be at most 128 bytes.
    """

    bind: Fn[["Socket", Slice[u8]], i64]
    connect: Fn[["Socket", Slice[u8], bool], i64]  # the last: may not wait
    listen: Fn[["Socket", u32], i64]
    accept: Fn[["Socket", bool], tuple[Ptr["Socket"], i64]]
    # Its address, or its peer's, into 128 bytes: the length, or an errno.
    name: Fn[["Socket", Slice[u8], bool], i64]
    send: Fn[["Socket", Message], i64]
    receive: Fn[["Socket", Message], i64]
    shutdown: Fn[["Socket", u32], i64]  # SHUT_ bits
    poll: Fn[["Socket"], u32]
    control: Fn[["Socket", u32, u64], i64]  # ioctl
    # Options of levels other than SOL_SOCKET, and what of those is the protocol's: level, name, value. -ENOPROTOOPT.
    set_option: Fn[["Socket", u32, u32, Slice[u8]], i64]
    get_option: Fn[["Socket", u32, u32, Slice[u8]], i64]  # the value's length
    changed: Fn[["Socket", u32], None]  # an option of SOL_SOCKET, by name; None: nobody needs to hear
    release: Fn[["Socket"], None]  # the last descriptor is gone


@struct
class Socket:
    """The common part. `lock` protects what changes, with the protocol's own state."""

    protocol: Ptr[Protocol]
    lock: SpinLock
    family: u32
    kind: u32  # SOCK_STREAM…
    number: i32  # the protocol's, as socket(2) was given it or the family chose
    user: u32  # whose it is
    inode: u64
    options: u64  # bit n: SO_ option n is on
    error: i32  # what the next call is to answer, a positive errno; 0: none
    shut: u32  # SHUT_ bits: which directions are closed
    send_limit: u32  # bytes: SO_SNDBUF as getsockopt gives it
    receive_limit: u32
    low_water: u32  # SO_RCVLOWAT
    priority: u32
    mark: u32
    receive_timeout: u64  # nanoseconds; 0: none
    send_timeout: u64
    linger: u32  # seconds
    readers: WaitQueue
    writers: WaitQueue
    watchers: Watchers

    def has(self, option: u32) -> bool:
        """Whether an SO_ option is on."""
        return (self.options >> u64(option)) & 1 != 0

    def set(self, option: u32, on: bool) -> None:
        """Turn an SO_ option on or off."""
        bit = u64(1) << u64(option)
        with self.lock:
            self.options = self.options | bit if on else self.options & ~bit

    def take_error(self) -> i64:
        """The error that waits, which is then forgotten: 0 or a negative errno."""
        with self.lock:
            return self.take_error_locked()

    def take_error_locked(self) -> i64:
        """The same with the lock held."""
        found = i64(self.error)
        self.error = 0
        return -found

    def receive_deadline(self, nonblocking: bool) -> u64:
        """Until when a receiver waits: 0 if it doesn't, NEVER if as long as it takes."""
        return deadline(self.receive_timeout, nonblocking)

    def send_deadline(self, nonblocking: bool) -> u64:
        """Until when a sender waits."""
        return deadline(self.send_timeout, nonblocking)

    def sleep(self, queue: WaitQueue, until: u64) -> i64:
        """Wait on a queue with the lock held: 0, or -EAGAIN at the deadline, -EINTR or -ERESTARTSYS for a signal."""
        return sleep_on(queue, self.lock, until)


@metal
def sleep_on(queue: WaitQueue, lock: SpinLock, until: u64) -> i64:
    """Wait on a queue with its lock held, and no other: as Socket.sleep."""
    if until == 0:
        return -EAGAIN
    wake = queue.wait(lock, until, True)
    if wake == Wake.SIGNAL:
        return interrupted(until)
    return -EAGAIN if wake == Wake.TIMEOUT else i64(0)


@metal
def interrupted(until: u64) -> i64:
    """What a call answers that a signal ended: with a timeout it is not begun again (signal(7))."""
    return -ERESTARTSYS if until == NEVER else -EINTR


@metal
def deadline(timeout: u64, nonblocking: bool) -> u64:
    """From a timeout to a moment on the monotonic clock."""
    if nonblocking:
        return 0
    return NEVER if timeout == 0 else now() + timeout


last_inode = static(Atomic[u64])


@metal
def prepare(socket: Socket, protocol: Protocol, family: u32, kind: u32, number: i32) -> None:
    """Fill in a new socket, which is zero."""
    socket.protocol = protocol
    socket.family = family
    socket.kind = kind
    socket.number = number
    socket.user = mine().file_user
    socket.inode = last_inode.add(1) + 1
    socket.send_limit = DEFAULT_BUFFER
    socket.receive_limit = DEFAULT_BUFFER
    socket.low_water = 1


@metal
def below(description: Description) -> Socket:
    """The socket below a description that has one."""
    return unsafe.at(Socket, description.object)


@metal
def read_socket(description: Description, transfer: Transfer) -> i64:
    """read: recvmsg without anything more."""
    if transfer.left == 0:
        return 0
    socket = below(description)
    message = unsafe.uninitialized(Message)
    message.plain(transfer, MSG_DONTWAIT if description.nonblocking() or transfer.nonblocking else u32(0))
    return socket.protocol.receive(socket, message)


@metal
def write_socket(description: Description, transfer: Transfer) -> i64:
    """write: sendmsg without anything more."""
    socket = below(description)
    message = unsafe.uninitialized(Message)
    message.plain(transfer, MSG_DONTWAIT if description.nonblocking() or transfer.nonblocking else u32(0))
    return socket.protocol.send(socket, message)


@metal
def poll_socket(description: Description) -> u32:
    """The events that hold."""
    socket = below(description)
    return socket.protocol.poll(socket)


@metal
def socket_watchers(description: Description) -> Ptr[Watchers]:
    """Who waits for it."""
    return below(description).watchers


@metal
def socket_attributes(description: Description, attributes: Attributes) -> i64:
    """fstat."""
    socket = below(description)
    attributes.device = SOCKET_DEVICE
    attributes.inode = socket.inode
    attributes.mode = S_IFSOCK | 0o777
    attributes.links = 1
    attributes.user = socket.user
    return 0


@metal
def control_socket(description: Description, command: u32, argument: u64) -> i64:
    """ioctl."""
    socket = below(description)
    if socket.protocol.control is None:
        return -ENOTTY
    return socket.protocol.control(socket, command, argument)


@metal
def release_socket(description: Description) -> None:
    """The last reference is gone."""
    socket = below(description)
    socket.protocol.release(socket)


SOCKET = constant(
    Operations,
    {
        "label": b"socket:",
        "read": read_socket,
        "write": write_socket,
        "poll": poll_socket,
        "watchers": socket_watchers,
        "attributes": socket_attributes,
        "control": control_socket,
        "release": release_socket,
    },
)


@metal
def describe(socket: Socket, nonblocking: bool) -> Ptr[Description]:
    """A description for a new socket, or None: memory is out, and the socket is released."""
    status: u32 = O_RDWR | O_NONBLOCK if nonblocking else O_RDWR
    description = create(SOCKET, status, unsafe.address(socket))
    if description is None:
        socket.protocol.release(socket)
    return description


@metal
def reserve_descriptor() -> i64:
    """A free number for a descriptor: -EMFILE or -ENOMEM."""
    return i64(files().reserve(0, descriptor_limit()))


@metal
def get_socket(descriptor: i32) -> tuple[Ptr[Description], Ptr[Socket], i64]:
    """The description behind a descriptor, with a reference to be dropped, and its socket; or -EBADF, -ENOTSOCK."""
    description = get_open_file(descriptor)
    if description is None:
        return None, None, -EBADF
    if description.operations is not SOCKET:
        description.drop()
        return None, None, -ENOTSOCK
    return description, unsafe.pointer(Socket, description.object), 0
