"""What one send or receive is about: bytes, an address, what goes beside them, flags (recvmsg(2), struct msghdr)."""

from goanna.kernel.base.errno import EFAULT, EINVAL, EMSGSIZE
from goanna.kernel.file.transfer import MAXIMUM_SEGMENTS, Transfer, Vector
from goanna.kernel.memory import user
from goanna.kernel.net.socket.passed import Passed
from goanna.metal import Array, Ptr, Slice, i32, i64, metal, struct, u8, u32, u64

ADDRESS_SIZE = 128  # bytes: struct sockaddr_storage
CONTROL_MOST = 0x7FFFFFFF

MSG_OOB = 0x1
MSG_PEEK = 0x2
MSG_DONTROUTE = 0x4
MSG_CTRUNC = 0x8
MSG_TRUNC = 0x20
MSG_DONTWAIT = 0x40
MSG_EOR = 0x80
MSG_WAITALL = 0x100
MSG_CONFIRM = 0x800
MSG_ERRQUEUE = 0x2000
MSG_NOSIGNAL = 0x4000
MSG_MORE = 0x8000
MSG_WAITFORONE = 0x10000
MSG_FASTOPEN = 0x20000000
MSG_CMSG_CLOEXEC = 0x40000000


@struct
class Header:
    """struct msghdr (user_msghdr)."""

    name: u64
    name_length: i32
    vectors: u64
    vector_count: u64
    control: u64
    control_length: u64
    flags: u32


@struct
class Message:
    """One message on its way between a program and a protocol."""

    transfer: Ptr[Transfer]
    flags: u32  # MSG_, as the call was given them
    told: u32  # received: MSG_ flags for the program
    address_length: u32  # bytes of the address; received: 0 for none
    address: Array[u8, ADDRESS_SIZE]
    wants_address: bool  # received: somebody asked for it
    control: u64  # received: user address of the room for control messages
    control_left: u64  # bytes of it
    control_used: u64
    sent_control: u64  # sent: kernel address of the program's control messages
    sent_control_length: u64
    passed: Ptr[Passed]  # sent: descriptors that go along
    process: u32  # sent: who says to send it, if `told_identity`
    user: u32
    group: u32
    told_identity: bool

    def plain(self, transfer: Transfer, flags: u32) -> None:
        """Fill in a message of fresh memory that is bytes and no more. Its address, most of it, stays as it is: reads
        and writes come often."""
        self.transfer = transfer
        self.flags = flags
        self.told = 0
        self.address_length = 0
        self.wants_address = False
        self.control = 0
        self.control_left = 0
        self.control_used = 0
        self.sent_control = 0
        self.sent_control_length = 0
        self.passed = None
        self.told_identity = False

    def nonblocking(self) -> bool:
        """Whether it may not wait."""
        return (self.flags & MSG_DONTWAIT) != 0

    def has(self, flag: u32) -> bool:
        """Whether a MSG_ flag was given."""
        return (self.flags & flag) != 0

    def peer(self) -> Slice[u8]:
        """The address it carries."""
        return self.address[0 : u64(self.address_length)]

    def fit(self, size: u64) -> tuple[u64, i64]:
        """How many bytes of a record the program gets, the rest being lost, and what the call answers (MSG_TRUNC)."""
        count = min(size, self.transfer.left)
        if count == size:
            return count, i64(count)
        self.told |= MSG_TRUNC
        return count, i64(size if self.has(MSG_TRUNC) else count)

    def set_peer(self, address: Slice[u8]) -> None:
        """Say whom it came from."""
        self.address_length = u32(len(address))
        self.address[0 : len(address)] = address


@metal
def get_address(target: Slice[u8], address: u64, length: i32) -> i64:
    """Fetch a sockaddr: its length, -EINVAL or -EFAULT."""
    if length < 0 or length > ADDRESS_SIZE:
        return -EINVAL
    if user.copy_in(target[0 : u64(length)], address) < 0:
        return -EFAULT
    return i64(length)


@metal
def put_address(found: Slice[u8], address: u64, length_address: u64) -> i64:
    """Give a program an address, cut to the room that it says it has, and its true length. 0, -EFAULT or -EINVAL."""
    room, error = user.get(i32, length_address)
    if error < 0:
        return error
    if room < 0:
        return -EINVAL
    if user.copy_out(address, found[0 : min(len(found), u64(room))]) < 0:
        return -EFAULT
    return user.put(length_address, u32(len(found)))


@metal
def load_header(header: Header, address: u64) -> i64:
    """Fetch a struct msghdr. 0, -EFAULT, -EINVAL, -EMSGSIZE or -ENOBUFS."""
    if user.get_struct(header, address) < 0:
        return -EFAULT
    if header.name == 0:
        header.name_length = 0
    if header.name_length < 0:
        return -EINVAL
    header.name_length = min(header.name_length, ADDRESS_SIZE)
    if header.vector_count > MAXIMUM_SEGMENTS:
        return -EMSGSIZE
    return 0


@metal
def load_vectors(vector: Vector, transfer: Transfer, header: Header) -> i64:
    """Fetch the ranges of a message. 0 or an errno."""
    if header.vector_count == 0:
        return 0
    return vector.load(transfer, header.vectors, header.vector_count)
