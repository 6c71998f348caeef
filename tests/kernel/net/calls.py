"""What sequences of socket calls share: flags, and where in memory each argument lies that a call points to."""

import struct

from tests.kernel.syscall.linux import REGION

NONBLOCK, CLOEXEC = 0o4000, 0o2000000
STREAM, DATAGRAM = 1, 2
PEEK, TRUNC, WAITALL, NOSIGNAL = 2, 0x20, 0x100, 0x4000
# What is compared after each call is the first page.
TARGET, NAME, LENGTH, OPTION, HEADER, CONTROL = (REGION + at for at in (0, 0x800, 0x900, 0xA00, 0xB00, 0xC00))
POLLED, PAIR, VECTORS = (REGION + at for at in (0xD00, 0xE00, 0xF00))
SOURCE = REGION + 0x4000


def put_message(both, size, name_address, name_size, control):
    """Write a struct msghdr, with two ranges."""
    both.put(0xF00, struct.pack("4Q", SOURCE, size // 3, SOURCE + size // 3, size - size // 3))
    both.put(0xB00, struct.pack("QiiQQQQi", name_address, name_size, 0, VECTORS, 2, CONTROL, control, 0))


def perform(both, step):
    """One call that is the same for sockets of all families, with what it points to put into memory."""
    name, *rest = step
    match name:
        case "bind" | "connect":
            both.put(0x800, rest[1])
            both.call(name, rest[0], NAME, len(rest[1]))
        case "accept4":
            both.put(0x900, struct.pack("i", 128))
            both.call(name, rest[0], NAME, LENGTH, rest[1])
        case "getsockname" | "getpeername":
            both.put(0x900, struct.pack("i", rest[1]))
            both.call(name, rest[0], NAME, LENGTH)
        case "recvfrom":
            both.put(0x900, struct.pack("i", rest[3] or 0))
            both.call(name, rest[0], TARGET, rest[1], rest[2], *((0, 0) if rest[3] is None else (NAME, LENGTH)))
        case "write" | "read":
            both.call(name, rest[0], SOURCE if name == "write" else TARGET, rest[1])
        case "recvmsg":
            put_message(both, rest[1], 0 if rest[3] < 0 else NAME, max(rest[3], 0), rest[4])
            both.put(0xF00, struct.pack("4Q", TARGET, rest[1] // 3, TARGET + 0x300, rest[1] - rest[1] // 3))
            both.put(0xC00, bytes(64))
            both.call(name, rest[0], HEADER, rest[2])
        case _:
            both.call(name, *rest)
