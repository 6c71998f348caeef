"""Netlink messages written one after the other into datagrams that small receive buffers hold (netlink(7))."""

from goanna.kernel.net.packet import CHUNK, Packet, Packets, allocate
from goanna.metal import Ptr, Slice, fill, sizeof, struct, u8, u16, u32, u64, unsafe

LARGEST = 3776  # bytes of one datagram, as on Linux while nobody has shown a larger buffer
MULTI = 2  # NLM_F_MULTI


@struct
class MessageHeader:
    """struct nlmsghdr."""

    length: u32
    type: u16
    flags: u16
    sequence: u32
    port: u32


HEADER = sizeof(MessageHeader)
MOST_MESSAGE = 512  # bytes: no message of ours is longer


@struct
class Answer:
    """What is being written: datagrams, and in the last one a message."""

    packets: Packets
    current: Ptr[Packet]
    message: u64  # address of its header
    sequence: u32  # of the request
    port: u32  # who asked
    failed: bool  # memory is out

    def begin(self, type: u16, flags: u16) -> bool:
        """Begin a message. False: memory is out."""
        if self.current is None or self.current.length + MOST_MESSAGE > LARGEST:
            made = allocate(CHUNK, 0)
            if made is None:
                self.failed = True
                return False
            self.packets.append(made)
            self.current = made
        data = self.current.extend(HEADER)
        self.message = unsafe.address(data)
        header = unsafe.at(MessageHeader, self.message)
        header.type = type
        header.flags = flags
        header.sequence = self.sequence
        header.port = self.port
        header.length = HEADER
        return True

    def put(self, data: Slice[u8]) -> None:
        """Add bytes to the message, and zeros up to a multiple of 4."""
        header = unsafe.at(MessageHeader, self.message)
        size = (len(data) + 3) & ~3
        place = self.current.extend(u32(size))
        fill(place, 0)
        place[0 : len(data)] = data
        header.length += u32(size)

    def number_alone(self, value: u32) -> None:
        """Add a number of 32 bits to the message."""
        word = Word(value=value)
        self.put(unsafe.slice(u8, unsafe.address(word), 4))

    def attribute(self, type: u16, data: Slice[u8]) -> None:
        """Add an attribute (struct rtattr)."""
        head = AttributeHeader(length=u16(4 + len(data)), type=type)
        self.put(unsafe.slice(u8, unsafe.address(head), 4))
        if len(data) != 0:
            self.put(data)

    def number(self, type: u16, value: u32) -> None:
        """Add an attribute that is a number of 32 bits."""
        word = Word(value=value)
        self.attribute(type, unsafe.slice(u8, unsafe.address(word), 4))


@struct
class AttributeHeader:
    """struct rtattr."""

    length: u16
    type: u16


@struct
class Word:
    """A number in memory."""

    value: u32


__all__ = ["HEADER", "MULTI", "Answer", "MessageHeader"]
