"""9P2000.L messages: bytes from values and back, and nothing else.

A message is its size, its type, a tag, and fields: little-endian numbers, texts behind their 16-bit length (Linux
include/net/9p/9p.h; https://github.com/chaos/diod/blob/master/protocol.md). What is read was written by the host, which
is not trusted: beyond the end of a message all is zero, and `good` says so.
"""

from goanna.kernel.base.errno import EIO
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.file.flags import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK
from goanna.metal import Slice, i64, metal, struct, u8, u16, u32, u64

__all__ = [
    "ANY_GROUP",
    "BULK_HEADER",
    "HEADER",
    "LONGEST_MESSAGE",
    "NO_FID",
    "NO_TAG",
    "Packer",
    "Qid",
    "Unpacker",
    "check_reply",
    "take_attributes",
]

# Types of requests; a reply has the one after.
RLERROR = 7
TSTATFS = 8
TLOPEN = 12
TLCREATE = 14
TSYMLINK = 16
TMKNOD = 18
TREADLINK = 22
TGETATTR = 24
TSETATTR = 26
TXATTRWALK = 30
TXATTRCREATE = 32
TREADDIR = 40
TFSYNC = 50
TLINK = 70
TMKDIR = 72
TRENAMEAT = 74
TUNLINKAT = 76
TVERSION = 100
TATTACH = 104
TFLUSH = 108
TWALK = 110
TREAD = 116
TWRITE = 118
TCLUNK = 120

HEADER = 7  # bytes: size, type, tag
BULK_HEADER = 11  # bytes before the data of Rread and Rreaddir; an Rlerror is as long
LONGEST_MESSAGE = 8192  # bytes, without the data of Tread, Treaddir and Twrite: two paths fit
NO_TAG = 0xFFFF
NO_FID = 0xFFFFFFFF
ANY_GROUP = 0xFFFFFFFF  # as a user or group: whoever the server makes files as
LARGEST_ERRNO = 133

GETATTR_BASIC = 0x7FF
SETATTR_MODE = 1
SETATTR_USER = 2
SETATTR_GROUP = 4
SETATTR_SIZE = 8
SETATTR_ACCESS_TIME = 0x90  # and it is given
SETATTR_MODIFY_TIME = 0x120

KINDS = (S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK)
LARGEST_SIZE = (1 << 63) - 1
LAST_SECOND = 9_223_372_035  # that fits into 64 bits of nanoseconds
NANOSECONDS = 1_000_000_000


@struct
class Packer:
    """A message that is being written. The caller sees to it that it fits."""

    bytes: Slice[u8]
    at: u64

    def start(self, bytes: Slice[u8], kind: u8, tag: u16) -> None:
        """Begin a message."""
        self.bytes = bytes
        self.at = 4
        self.put8(kind)
        self.put16(tag)

    def put8(self, value: u8) -> None:
        """A byte."""
        self.bytes[self.at] = value
        self.at += 1

    def put16(self, value: u16) -> None:
        """Two bytes."""
        self.put8(u8.wrap(value))
        self.put8(u8(value >> 8))

    def put32(self, value: u32) -> None:
        """Four bytes."""
        self.put16(u16.wrap(value))
        self.put16(u16(value >> 16))

    def put64(self, value: u64) -> None:
        """Eight bytes."""
        self.put32(u32.wrap(value))
        self.put32(u32(value >> 32))

    def put_text(self, text: Slice[u8]) -> None:
        """A text of at most 65535 bytes."""
        self.put16(u16(len(text)))
        self.bytes[self.at : self.at + len(text)] = text
        self.at += len(text)

    def finish(self, data: u64) -> u64:
        """Write the size into a message that `data` more bytes follow: its bytes without those."""
        total = self.at + data
        for index in range(u64(4)):
            self.bytes[index] = u8.wrap(total >> (index * 8))
        return self.at


@struct
class Qid:
    """What a server says a file is. Two with the same path are the same file."""

    kind: u8
    version: u32
    path: u64


@struct
class Unpacker:
    """A message that is being read."""

    bytes: Slice[u8]
    at: u64
    good: bool  # all that was read was there

    def start(self, bytes: Slice[u8], at: u64) -> None:
        """Begin to read at an offset."""
        self.bytes = bytes
        self.at = at
        self.good = at <= len(bytes)

    def take(self, count: u64) -> u64:
        """A little-endian number of so many bytes."""
        if not self.good or len(self.bytes) - self.at < count:
            self.good = False
            return 0
        value: u64 = 0
        for index in range(count):
            value |= u64(self.bytes[self.at + index]) << (index * 8)
        self.at += count
        return value

    def take8(self) -> u8:
        """A byte."""
        return u8(self.take(1))

    def take16(self) -> u16:
        """Two bytes."""
        return u16(self.take(2))

    def take32(self) -> u32:
        """Four bytes."""
        return u32(self.take(4))

    def take64(self) -> u64:
        """Eight bytes."""
        return self.take(8)

    def take_text(self) -> Slice[u8]:
        """A text, where it lies."""
        length = self.take(2)
        if not self.good or len(self.bytes) - self.at < length:
            self.good = False
            return self.bytes[0:0]
        start = self.at
        self.at += length
        return self.bytes[start : self.at]

    def take_qid(self, qid: Qid) -> None:
        """A qid."""
        qid.kind = self.take8()
        qid.version = self.take32()
        qid.path = self.take64()

    def left(self) -> u64:
        """How many bytes there are still."""
        return len(self.bytes) - self.at if self.good else u64(0)


@metal
def check_reply(reply: Slice[u8], written: u64, room: u64, kind: u8, tag: u16) -> i64:
    """Whether a reply, of which `written` bytes came and of which `reply` holds the first, answers a request of that
    type. Its size, an errno that the server gave, or -EIO where it makes no sense. `room`: the longest one wanted."""
    head = Unpacker()
    head.start(reply, 0)
    size = u64(head.take32())
    type = head.take8()
    told = head.take16()
    if not head.good or size < HEADER or size > written or size > room or told != tag:
        return -EIO
    if type == RLERROR:
        number = head.take32()
        if size < BULK_HEADER or not head.good or number == 0 or number > LARGEST_ERRNO:
            return -EIO
        return -i64(number)
    return i64(size) if type == kind + 1 else -EIO


@metal
def take_time(message: Unpacker) -> i64:
    """Seconds and nanoseconds as nanoseconds, within what 64 bits hold."""
    seconds = i64.wrap(message.take64())
    nanoseconds = i64(min(message.take64(), u64(NANOSECONDS - 1)))
    return min(max(seconds, -LAST_SECOND), LAST_SECOND) * NANOSECONDS + nanoseconds


@metal
def take_attributes(message: Unpacker, qid: Qid, attributes: Attributes) -> i64:
    """The body of Rgetattr. 0, or -EIO for what no file can be."""
    message.take64()  # which of them count: the basic ones always do
    message.take_qid(qid)
    attributes.mode = message.take32() & (S_IFMT | 0o7777)
    attributes.user = message.take32()
    attributes.group = message.take32()
    attributes.links = u32(min(message.take64(), u64(0xFFFFFFFF)))
    attributes.special_device = message.take64()
    attributes.size = message.take64()
    attributes.block_size = u32(min(max(message.take64(), u64(512)), u64(1 << 20)))
    attributes.blocks = message.take64()
    attributes.has_blocks = True
    attributes.access_time = take_time(message)
    attributes.modify_time = take_time(message)
    attributes.change_time = take_time(message)
    attributes.inode = qid.path
    if not message.good or attributes.mode & S_IFMT not in KINDS or attributes.size > LARGEST_SIZE:
        return -EIO
    attributes.blocks = min(attributes.blocks, u64(LARGEST_SIZE // 512))
    return 0
