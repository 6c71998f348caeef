"""Socket calls made of Linux and of the kernel under test alike, each with a network of its own."""

import contextlib
import ctypes
import ipaddress
import struct
import threading

from goanna.image.erofs import Folder
from goanna.kernel.arch import SYSCALL_NUMBERS
from goanna.kernel.arch.host import processors
from tests.kernel.net import calls
from tests.kernel.net.calls import (
    DATAGRAM,
    HEADER,
    LENGTH,
    NAME,
    NONBLOCK,
    NOSIGNAL,
    OPTION,
    SOURCE,
    STREAM,
    TARGET,
    put_message,
)
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

needs_network = [needs_linux, needs_own_tree]

INET, INET6 = 2, 10
FIRST_EPHEMERAL = 32768
TCP = 6


def name4(text, port):
    return struct.pack("<H", INET) + struct.pack(">H", port) + ipaddress.ip_address(text).packed + bytes(8)


def name6(text, port):
    return struct.pack("<H", INET6) + struct.pack(">HI", port, 0) + ipaddress.ip_address(text).packed + bytes(4)


class BothNetworks(Both):
    """Both sides, where ports that the system chose are taken for equal, and so is what is in `masked`."""

    masked: tuple[tuple[int, int], ...] = ()  # offsets in memory: from, to

    def call(self, name, *arguments, compare=4096):
        ours, theirs = self.answers(name, *arguments)
        shown = f"{name}({', '.join(hex(each) if each > 0xFFFF else str(each) for each in arguments)})"
        assert ours == theirs, f"{shown}: {ours}, on Linux {theirs}"
        a, b = (bytearray(each) for each in (self.memory(0, compare), self.linux.memory[:compare]))
        for side in (a, b):
            if len(side) >= 0x804 and struct.unpack(">H", side[0x802:0x804])[0] >= FIRST_EPHEMERAL:
                side[0x802:0x804] = b"??"
            for begin, end in self.masked:
                side[begin:end] = bytes(end - begin)
        assert a == b, f"{shown}: other bytes in memory\n{where(a, b)}"
        self.pass_time(1_000_000)
        return ours

    def reset(self):
        """As it says; and Linux gets a fresh network, in which nothing is in TIME-WAIT."""
        super().reset()
        call = self.linux.number
        assert call(SYSCALL_NUMBERS["unshare"], 0x40000000) == 0
        self.put(0, struct.pack("16sh14x", b"lo", 0x49))
        made = call(SYSCALL_NUMBERS["socket"], INET, DATAGRAM, 0)
        assert call(SYSCALL_NUMBERS["ioctl"], made, 0x8914, REGION) == 0
        call(SYSCALL_NUMBERS["close"], made)

    def set_linux(self, name, value):
        """Set a value of /proc/sys/net in the network that Linux's side has now."""

        def write():
            with open(f"/proc/{self.linux.process.pid}/ns/net") as network:
                assert ctypes.CDLL(None).setns(network.fileno(), 0x40000000) == 0
            with open(f"/proc/sys/net/{name}", "w") as file:
                file.write(value)

        writer = threading.Thread(target=write)  # whose network alone is another then
        writer.start()
        writer.join()

    def pass_time(self, nanoseconds):
        self.machine.unit.static(processors.simulated_time).value += nanoseconds


def where(a, b):
    first = next(at for at in range(len(a)) if a[at] != b[at])
    return f"from 0x{first:x}: {a[first : first + 32].hex(' ')}, on Linux {b[first : first + 32].hex(' ')}"


@contextlib.contextmanager
def both_networks(kind=BothNetworks):
    """Both sides with an empty /tmp, for a module's tests."""
    tree = Folder()
    tree.add("tmp", Folder(mode=0o1777))
    both = kind(tree)
    yield both
    both.close()


def perform(both, step):
    """One call, with what it points to put into memory."""
    name, *rest = step
    match name:
        case "socket":
            made = both.call(name, rest[0], rest[1] | NONBLOCK, 0)
            if made >= 0 and rest[1] == STREAM:  # when Nagle's algorithm sends is a matter of time
                both.put(0xA00, struct.pack("i", 1))
                both.call("setsockopt", made, TCP, 1, OPTION, 4)
        case "sendto":
            address = rest[2] or b""
            both.put(0x800, address)
            both.call(name, rest[0], SOURCE, rest[1], NOSIGNAL, NAME if address else 0, len(address))
        case "sendmsg":
            address = rest[2] or b""
            both.put(0x800, address)
            put_message(both, rest[1], NAME if address else 0, len(address), 0)
            both.call(name, rest[0], HEADER, NOSIGNAL)
        case "getsockopt":
            both.put(0x900, struct.pack("i", rest[2]))
            both.call(name, rest[0], *rest[1], OPTION, LENGTH)
        case "setsockopt":
            both.put(0xA00, struct.pack("iiii", rest[3], 1, 0, 0))
            both.call(name, rest[0], *rest[1], OPTION, rest[2])
        case _:
            calls.perform(both, step)


def exchange(both, step):
    """The same, where what is sent is said whole."""
    name, *rest = step
    match name:
        case "send":
            data, address = rest[1], rest[2] or b""
            both.put(0x4000, data)
            both.put(0x800, address)
            both.call("sendto", rest[0], SOURCE, len(data), 0x4000, NAME if address else 0, len(address))
        case "receive":
            both.put(0x900, struct.pack("i", 128))
            both.call("recvfrom", rest[0], TARGET, rest[1], rest[2], NAME, LENGTH)
        case _:
            perform(both, step)
