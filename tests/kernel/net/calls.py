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
