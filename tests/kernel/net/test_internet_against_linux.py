"""Sequences of calls on TCP and UDP sockets over loopback: answers, bytes, addresses and events are those of Linux."""

import ipaddress
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import Folder
from goanna.kernel.arch import SYSCALL_NUMBERS
from goanna.kernel.arch.host import processors
from tests.kernel.net.calls import (
    CLOEXEC,
    DATAGRAM,
    HEADER,
    LENGTH,
    NAME,
    NONBLOCK,
    NOSIGNAL,
    OPTION,
    PEEK,
    POLLED,
    SOURCE,
    STREAM,
    TARGET,
    TRUNC,
    WAITALL,
    put_message,
)
from tests.kernel.syscall.linux import REGION, Both, needs_linux

pytestmark = [needs_linux, pytest.mark.skipif(os.geteuid() != 0, reason="gives Linux a network of its own, as root")]

INET, INET6 = 2, 10
FIRST_EPHEMERAL = 32768


def name4(text, port):
    return struct.pack("<H", INET) + struct.pack(">H", port) + ipaddress.ip_address(text).packed + bytes(8)


def name6(text, port):
    return struct.pack("<H", INET6) + struct.pack(">HI", port, 0) + ipaddress.ip_address(text).packed + bytes(4)


ports = st.sampled_from([0, 5000, 5000, 5001])
texts4 = st.sampled_from(["127.0.0.1", "127.0.0.1", "0.0.0.0", "127.0.0.2", "10.1.2.3"])
texts6 = st.sampled_from(["::1", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "2001:db8::1"])
odd = st.sampled_from([b"", b"\2", b"\0\0", bytes(16), b"\2\0\x13\x88\x7f", name6("::1", 5000)[:24], b"\1\0/a"])
addresses = st.one_of(st.builds(name4, texts4, ports), st.builds(name6, texts6, ports), odd)
peers = st.one_of(  # on Linux a datagram socket can be connected to port 0, here it is not connected then
    st.builds(name4, texts4, ports.filter(bool)), st.builds(name6, texts6, ports.filter(bool)), odd.filter(len)
)
descriptors = st.one_of(st.integers(3, 8), st.integers(3, 12), st.just(-1))
sizes = st.one_of(st.integers(0, 20), st.sampled_from([100, 1200]))
flags = st.sampled_from([0, 0, 0, PEEK, TRUNC, PEEK | TRUNC, WAITALL])
rooms = st.sampled_from([0, 0, 16, 24, 32, 64])
SOL_SOCKET, TCP, IP, IPV6 = 1, 6, 0, 41
KNOWN = [
    (SOL_SOCKET, 2), (SOL_SOCKET, 3), (SOL_SOCKET, 4), (SOL_SOCKET, 6), (SOL_SOCKET, 9), (SOL_SOCKET, 13),
    (SOL_SOCKET, 15), (SOL_SOCKET, 18), (SOL_SOCKET, 30), (SOL_SOCKET, 38), (SOL_SOCKET, 39), (TCP, 3), (TCP, 4),
    (TCP, 5), (TCP, 6), (TCP, 18), (IP, 1), (IP, 2), (IP, 8), (IP, 10), (IP, 12), (IP, 13), (IP, 34),
    (IPV6, 16), (IPV6, 19), (IPV6, 26), (IPV6, 49), (IPV6, 51), (IPV6, 66), (IPV6, 67),
]  # fmt: skip
READ_ONLY = {(SOL_SOCKET, 3), (SOL_SOCKET, 4), (SOL_SOCKET, 30), (SOL_SOCKET, 38), (SOL_SOCKET, 39)}
options = st.sampled_from(KNOWN)
settable = st.sampled_from(KNOWN)

steps = st.one_of(
    st.tuples(st.just("socket"), st.sampled_from([INET, INET6]), st.sampled_from([STREAM, STREAM, DATAGRAM, 5])),
    st.tuples(st.just("socket"), st.sampled_from([INET, INET6]), st.sampled_from([STREAM, DATAGRAM])),
    st.tuples(st.just("bind"), descriptors, addresses),
    st.tuples(st.just("listen"), descriptors, st.integers(0, 5)),
    st.tuples(st.just("connect"), descriptors, peers),
    st.tuples(st.just("connect"), descriptors, peers),
    st.tuples(st.just("accept4"), descriptors, st.sampled_from([NONBLOCK, NONBLOCK | CLOEXEC, NONBLOCK | 1])),
    st.tuples(st.sampled_from(["getsockname", "getpeername"]), descriptors, st.sampled_from([0, 2, 5, 16, 128, -1])),
    st.tuples(st.just("sendto"), descriptors, sizes, st.one_of(st.none(), st.none(), addresses)),
    st.tuples(st.just("recvfrom"), descriptors, sizes, flags, st.one_of(st.none(), st.sampled_from([0, 8, 128]))),
    st.tuples(st.sampled_from(["write", "read"]), descriptors, sizes),
    st.tuples(st.just("sendmsg"), descriptors, sizes, st.one_of(st.none(), addresses)),
    st.tuples(st.just("recvmsg"), descriptors, sizes, flags, st.sampled_from([-1, 0, 8, 128]), rooms),
    st.tuples(st.just("shutdown"), descriptors, st.integers(-1, 3)),
    st.tuples(st.just("close"), st.integers(3, 12)),
    st.tuples(st.just("poll"), st.just(POLLED), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("getsockopt"), descriptors, options, st.sampled_from([0, 4, 8, -1])),
    st.tuples(st.just("setsockopt"), descriptors, settable, st.sampled_from([0, 4, 8]),
              st.sampled_from([0, 1, 1, 2, 64, 255, 300, -1])),
    st.tuples(st.just("ioctl"), descriptors, st.just(0x541B), st.just(OPTION)),
)  # fmt: skip




def joined(family, own, target):
    """A listener 3, and a connection to it with the ends 4 and 5."""
    other = INET6 if len(target) == 28 else INET
    return [("socket", family, STREAM), ("bind", 3, own), ("listen", 3, 3), ("socket", other, STREAM),
            ("connect", 4, target), ("accept4", 3, NONBLOCK)]  # fmt: skip


LOCAL4, LOCAL6 = name4("127.0.0.1", 5000), name6("::1", 5000)
beginnings = st.sampled_from([
    [],
    joined(INET, LOCAL4, LOCAL4),
    joined(INET6, name6("::", 5000), LOCAL6),
    joined(INET6, name6("::", 5000), LOCAL4),
    [("socket", INET, DATAGRAM), ("bind", 3, LOCAL4), ("socket", INET, DATAGRAM), ("connect", 4, LOCAL4)],
    [("socket", INET6, DATAGRAM), ("bind", 3, name6("::", 5000)), ("socket", INET, DATAGRAM), ("connect", 4, LOCAL4),
     ("bind", 4, name4("127.0.0.1", 5001)), ("socket", INET6, DATAGRAM), ("bind", 5, name6("::1", 5001))],
])  # fmt: skip


class BothNetworks(Both):
    """Both sides, where ports that the system chose are taken for equal."""

    def call(self, name, *arguments, compare=4096):
        ours, theirs = self.answers(name, *arguments)
        shown = f"{name}({', '.join(hex(each) if each > 0xFFFF else str(each) for each in arguments)})"
        assert ours == theirs, f"{shown}: {ours}, on Linux {theirs}"
        a, b = (bytearray(each) for each in (self.memory(0, compare), self.linux.memory[:compare]))
        for side in (a, b):
            if struct.unpack(">H", side[0x802:0x804])[0] >= FIRST_EPHEMERAL:
                side[0x802:0x804] = b"??"
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

    def pass_time(self, nanoseconds):
        self.machine.unit.static(processors.simulated_time).value += nanoseconds


def where(a, b):
    first = next(at for at in range(len(a)) if a[at] != b[at])
    return f"from 0x{first:x}: {a[first : first + 32].hex(' ')}, on Linux {b[first : first + 32].hex(' ')}"


@pytest.fixture(scope="module")
def both():
    tree = Folder()
    tree.add("tmp", Folder(mode=0o1777))
    both = BothNetworks(tree)
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
        case "bind" | "connect":
            both.put(0x800, rest[1])
            both.call(name, rest[0], NAME, len(rest[1]))
        case "accept4":
            both.put(0x900, struct.pack("i", 128))
            both.call(name, rest[0], NAME, LENGTH, rest[1])
        case "getsockname" | "getpeername":
            both.put(0x900, struct.pack("i", rest[1]))
            both.call(name, rest[0], NAME, LENGTH)
        case "sendto":
            address = rest[2] or b""
            both.put(0x800, address)
            both.call(name, rest[0], SOURCE, rest[1], NOSIGNAL, NAME if address else 0, len(address))
        case "recvfrom":
            both.put(0x900, struct.pack("i", rest[3] or 0))
            both.call(name, rest[0], TARGET, rest[1], rest[2], *((0, 0) if rest[3] is None else (NAME, LENGTH)))
        case "write" | "read":
            both.call(name, rest[0], SOURCE if name == "write" else TARGET, rest[1])
        case "sendmsg":
            address = rest[2] or b""
            both.put(0x800, address)
            put_message(both, rest[1], NAME if address else 0, len(address), 0)
            both.call(name, rest[0], HEADER, NOSIGNAL)
        case "recvmsg":
            put_message(both, rest[1], 0 if rest[3] < 0 else NAME, max(rest[3], 0), rest[4])
            both.put(0xF00, struct.pack("4Q", TARGET, rest[1] // 3, TARGET + 0x300, rest[1] - rest[1] // 3))
            both.put(0xC00, bytes(64))
            both.call(name, rest[0], HEADER, rest[2])
        case "getsockopt":
            both.put(0x900, struct.pack("i", rest[2]))
            both.call(name, rest[0], *rest[1], OPTION, LENGTH)
        case "setsockopt":
            both.put(0xA00, struct.pack("iiii", rest[3], 1, 0, 0))
            both.call(name, rest[0], *rest[1], OPTION, rest[2])
        case _:
            both.call(name, *rest)


@settings(max_examples=300, deadline=None)
@given(begun=beginnings, steps=st.lists(steps, min_size=1, max_size=40))
def test_any_sequence_of_calls_is_answered_as_by_linux(both, begun, steps):
    both.reset()
    both.put(0, bytes(0x1000))
    both.put(0x4000, bytes(index * 7 % 251 for index in range(0x2000)))
    both.put(0xD00, b"".join(struct.pack("iHH", number, 0x3FFF, 0) for number in (3, 4, 5, 6, 7, 8, 20, -1)))
    for step in begun + steps:
        perform(both, step)
