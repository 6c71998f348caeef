"""What the scripts of TCP's rules share: a host with one connection, whose peer is written in Python.

A script that takes the fixture `stack` is played on our stack and on Linux's (conftest.py).
"""

import struct

from goanna.kernel.net.tcp import calls, connection, listener, time_wait
from goanna.metal import i64, jit, metal, u32, u64
from tests.kernel.net import host as hosts
from tests.kernel.net.host import ether, ip4, ones
from tests.kernel.net.linux import Linux
from tests.kernel.net.tcp import host as tcp
from tests.kernel.net.tcp.host import ACK, PSH, SYN, TCP_ROOTS, State, TcpHost, tcp_hooks

SECOND = 1_000_000_000


@metal
def option(number: u64, which: u32, value: u64, now: u64) -> i64:
    """Set an option of a connection."""
    c = tcp.held[number]
    match which:
        case 0:
            c.no_delay = value != 0
        case 1:
            c.keep_idle = value
            c.keep_interval = value
            c.keep_count = 3
            calls.set_keep_alive(c, True, now)
        case 2:
            c.user_timeout = value
        case 3:
            c.corked = value != 0
        case _:
            return -1
    return 0


with tcp_hooks():
    unit = jit(*TCP_ROOTS, option)

PEER = 4000
MSS = b"\2\4\x05\xb4"


def stamp(value, echo):
    return b"\1\1\x08\x0a" + struct.pack(">II", value % 2**32, echo % 2**32)


class Ours(TcpHost):
    """A host with our stack, ready for its peer."""

    ours = True

    def __init__(self, **more):
        super().__init__(unit, **more)
        self.add("10.0.0.1/24")
        self.let(5)
        self.greet()

    def listen(self, port=80, backlog=16, index=0):
        assert self.call(tcp.listen, index, "0.0.0.0", port, backlog) == 0

    def accept(self, number=0, index=0):
        return self.unit.call(tcp.accept, index, number)

    def open_to(self, number, port):
        assert self.call(tcp.open_to, number, self.peer, port, self.now) == 0

    def shut(self, number):
        self.unit.call(tcp.shut, number, self.now)

    def close(self, number, abort=False):
        self.unit.call(tcp.close, number, abort, self.now)

    def close_listener(self, index=0):
        self.unit.call(tcp.close_listener, index, self.now)

    def check(self, number=0):
        """Whether the counts of a connection agree."""
        self.unit.call(tcp.check, number)

    def set(self, which, value):
        assert self.unit.call(option, 0, which, value, self.now) == 0

    def error(self, number):
        """The errno with which it ended, 0 if there is none."""
        return self.connection(number).error

    def segment_size(self, number):
        return self.connection(number).mss

    def round_trip(self, number):
        """The smoothed round trip, in ns."""
        return self.connection(number).srtt

    def time_waits(self):
        return self.unit.call(time_wait.time_wait_count)

    def half_opens(self):
        return self.unit.call(listener.half_opens.in_use)

    def gone(self):
        """Whether no connection is left, but perhaps in TIME-WAIT."""
        return self.unit.call(connection.connections.in_use) == 0

    def icmp(self, kind, code, rest, quoted):
        """The peer sends an ICMP message that quotes a packet."""
        data = struct.pack(">BBHI", kind, code, 0, rest) + quoted
        data = data[:2] + struct.pack(">H", ones(data)) + data[4:]
        self.put(ether(self.mac, 0x020000000002, 0x800, ip4(self.peer, self.me, 1, data)))


class Theirs(Linux):
    """The same with Linux's stack."""

    ours = False


class Script:
    """One connection, number 0; `at` and `mine` are the next sequence numbers of the peer and of the host."""

    def __init__(self, options=MSS + b"\1\1\4\2", window=65535, active=False, **more):
        super().__init__(**more)
        self.stamps, self.echo, self.window = b"\x08\x0a" in options, 0, window
        if active:
            self.open_to(0, PEER)
            syn = self.one()
            self.port, self.at, self.mine = syn["source"], 5001, syn["sequence"] + 1
            self.segment(PEER, self.port, 5000, self.mine, SYN | ACK, options=options, window=window)
            assert self.one()["flags"] == ACK
        else:
            self.listen()
            self.port = 80
            self.segment(PEER, 80, 5000, 0, SYN, options=options, window=window)
            answer = self.one()
            if self.stamps:
                self.echo = struct.unpack(">II", answer["options"][8])[0]
            self.at, self.mine = 5001, answer["sequence"] + 1
            self.now += 20_000_000  # a round trip
            self.say(ACK)
            assert self.accept()
        assert self.state(0) == State.ESTABLISHED.value
        self.none()

    def say(self, flags=ACK, text=b"", at=None, ack=None, sack=(), value=1001, **more):
        """The peer sends; `at` and `ack` are relative to what is next."""
        options = stamp(value, self.echo) if self.stamps else b""
        if sack:
            edges = [self.mine + edge for block in sack for edge in block]
            options += bytes([1, 1, 5, 2 + 8 * len(sack)]) + b"".join(struct.pack(">I", e % 2**32) for e in edges)
        self.segment(PEER, self.port, self.at + (at or 0), self.mine + (ack or 0), flags, text,
                     more.pop("window", self.window), options + more.pop("options", b""))  # fmt: skip

    def hear(self, text):
        """The peer sends text that is next."""
        self.say(ACK | PSH, text)
        self.at += len(text)

    def texts(self):
        """(offset, length) of what the host sends."""
        return [((each["sequence"] - self.mine) % 2**32, len(each["text"])) for each in self.got()]


class Open(Script, Ours):
    """A script on our stack; `c` is its connection."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.c = self.connection(0)


class OpenOnLinux(Script, Theirs):
    """A script on Linux's."""


def talk(host):
    """Past the quick acknowledgments of the beginning."""
    host.hear(b"?")
    host.got()
    host.read(0)
    host.write(0, b"!")
    host.got()
    host.mine += 1
    host.say()
    host.none()


__all__ = ["MSS", "PEER", "SECOND", "Open", "OpenOnLinux", "Ours", "Theirs", "hosts", "stamp", "talk", "unit"]
