"""The same scripts against the Linux of this computer: a host whose stack is the kernel's, in a network namespace of
its own, with a tun device as its wire, so that segments are written and read as bytes. Time is real.

It has the methods of rules.Open that scripts use. Nothing but system calls is needed, and the right to make namespaces.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import time
from pathlib import Path

from tests.kernel.net.host import ip4, ip6, ones, summed
from tests.kernel.net.tcp.machine import ACK, SYN, parse

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_TAP, IFF_NO_PI = 0x400454CA, 1, 2, 0x1000
SIOCGIFINDEX, SIOCSIFADDR, SIOCSIFNETMASK, SIOCSIFFLAGS = 0x8933, 0x8916, 0x891C, 0x8914
IFF_UP, IFF_RUNNING = 1, 0x40
SO_SNDBUFFORCE, TCP_USER_TIMEOUT, SO_LINGER_NOW = 32, 18, struct.pack("ii", 1, 0)
STACKS = ["goanna", "linux"]  # that a script is played on
libc = ctypes.CDLL(None, use_errno=True)

# What differs from the RFCs by setting alone, so that scripts needn't know: SYNs are sent again after the same time
# four times, SACKs are compressed, round trips are remembered between connections; and the congestion control may be
# one that paces, or knows nothing of a threshold. RFC 1337 is Linux's by setting only.
SETTINGS = [
    ("tcp_syn_linear_timeouts", 0), ("tcp_comp_sack_nr", 0), ("tcp_no_metrics_save", 1), ("tcp_ecn", 0),
    ("tcp_retries2", 15), ("icmp_ratelimit", 0), ("tcp_rfc1337", 1), ("tcp_congestion_control", "reno"),
    ("tcp_congestion_control", "cubic"),
]  # fmt: skip


def system(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def why_not():
    """Why this computer lets us make no such host; empty if it does."""
    try:
        Linux().end()
    except OSError as problem:
        return f"no network namespace with a tun device can be made here: {problem}"
    return ""


class Linux:
    """A namespace with the addresses of the host that scripts speak with."""

    me, peer, six = "10.0.0.1", "10.0.0.2", "2001:db8::1"
    kind = IFF_TUN

    def __init__(self):
        self.sockets, self.listeners, self.kept = {}, {}, []
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            system("unshare", CLONE_NEWNET)
            try:
                self.space = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
                self.set_up()
            finally:
                system("setns", self.home, CLONE_NEWNET)
        except OSError:
            os.close(self.home)
            raise

    def set_up(self):
        self.wire = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.wire, TUNSETIFF, struct.pack("16sH22x", b"tun0", self.kind | IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for name, address, mask in ((b"lo", "127.0.0.1", "255.0.0.0"), (b"tun0", self.me, "255.255.255.0")):
                for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, mask)):
                    fcntl.ioctl(control, request, struct.pack("16sHH4s16x", name, socket.AF_INET, 0,
                                                              socket.inet_aton(value)))  # fmt: skip
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH22x", name, IFF_UP | IFF_RUNNING))
            (index,) = struct.unpack("16xi20x", fcntl.ioctl(control, SIOCGIFINDEX, struct.pack("16s24x", b"tun0")))
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            Path("/proc/sys/net/ipv6/conf/tun0/accept_dad").write_text("0")
            six = socket.inet_pton(socket.AF_INET6, self.six)
            fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16sIi", six, 64, index))
        for name, value in SETTINGS:
            with contextlib.suppress(OSError):  # an older kernel hasn't got all of them
                Path("/proc/sys/net/ipv4", name).write_text(str(value))

    def end(self):
        for each in (*self.sockets.values(), *self.listeners.values()):
            each.close()
        for each in (self.wire, self.space, self.home):
            os.close(each)

    @contextlib.contextmanager
    def inside(self):
        system("setns", self.space, CLONE_NEWNET)
        try:
            yield
        finally:
            system("setns", self.home, CLONE_NEWNET)

    # Time

    @property
    def now(self):
        return time.monotonic_ns()

    @now.setter
    def now(self, value):
        time.sleep(max(value - time.monotonic_ns(), 0) / 1e9)

    def let(self, seconds):
        time.sleep(seconds)

    # The wire

    def segment(self, source, target, sequence, acknowledgment, flags, text=b"", window=65535, options=b"", peer=None):
        peer = peer or self.peer
        size = 20 + len(options)
        data = struct.pack(">HHIIBBHHH", source, target, sequence % 2**32, acknowledgment % 2**32, size // 4 << 4,
                           flags, window, 0, 0) + options + text  # fmt: skip
        data = summed(peer, self.me, 6, data, 16)
        os.write(self.wire, ip4(peer, self.me, 6, data) if "." in peer else ip6(peer, self.me, 6, data))

    def icmp(self, kind, code, rest, quoted):
        data = struct.pack(">BBHI", kind, code, 0, rest) + quoted
        data = data[:2] + struct.pack(">H", ones(data)) + data[4:]
        os.write(self.wire, ip4(self.peer, self.me, 1, data))

    def got(self):
        """The segments that came out until now."""
        found = []
        while select.select([self.wire], [], [], 0)[0]:
            packet = os.read(self.wire, 70000)
            if packet[0] >> 4 == 4 and packet[9] == 6:
                data = packet[20:]
                assert ones(packet[12:20] + struct.pack(">BBH", 0, 6, len(data)) + data) == 0
                found.append(parse(data))
        return found

    frames = got

    def one(self):
        (only,) = self.got()
        return only

    def none(self):
        assert self.got() == []

    def greet(self):
        """A tun device has no link addresses."""

    def check(self, number=0):
        """Linux's counts are its own."""

    # Sockets

    def listen(self, port=80, backlog=16, index=0):
        with self.inside():
            made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((self.me, port))
        made.listen(backlog)
        made.setblocking(False)
        self.listeners[index] = made

    def accept(self, number=0, index=0):
        try:
            made, _ = self.listeners[index].accept()
        except BlockingIOError:
            return False
        self.prepare(number, made)
        return True

    def prepare(self, number, made):
        if number in self.sockets:
            self.sockets[number].close()
        self.sockets[number] = made
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 1 << 20)  # room for what scripts write at once

    def open_to(self, number, port):
        with self.inside():
            made = socket.socket()
        self.prepare(number, made)
        assert made.connect_ex((self.peer, port)) == errno.EINPROGRESS

    def write(self, number, data):
        try:
            return self.sockets[number].send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0

    def read(self, number, count=65536):
        found = b""
        with contextlib.suppress(BlockingIOError, ConnectionError, TimeoutError):
            while len(found) < count and (part := self.sockets[number].recv(count - len(found))):
                found += part
        return found

    def shut(self, number):
        self.sockets[number].shutdown(socket.SHUT_WR)

    def close(self, number, abort=False):
        made = self.sockets.pop(number)
        if abort:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SO_LINGER_NOW)
        made.close()

    def close_listener(self, index=0):
        self.listeners.pop(index).close()

    def set(self, which, value):
        made = self.sockets[0]
        match which:
            case 0 | 3:
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY if which == 0 else socket.TCP_CORK, value)
            case 1:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, number in ((socket.TCP_KEEPIDLE, value // 10**9), (socket.TCP_KEEPINTVL, value // 10**9),
                                     (socket.TCP_KEEPCNT, 3)):  # fmt: skip
                    made.setsockopt(socket.IPPROTO_TCP, name, number)
            case 2:
                made.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, value // 10**6)

    def information(self, number):
        return self.sockets[number].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)

    def state(self, number):
        return self.information(number)[0]

    def error(self, number):
        """SO_ERROR, which is gone then."""
        return self.sockets[number].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def segment_size(self, number):
        return struct.unpack_from("I", self.information(number), 16)[0]

    def round_trip(self, number):
        """The smoothed round trip, in ns."""
        return struct.unpack_from("I", self.information(number), 68)[0] * 1000

    def table(self):
        """The states of all sockets, as netstat has them."""
        with self.inside():
            lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
        return [int(line.split()[3], 16) for line in lines]

    def time_waits(self):
        return self.table().count(6)

    def half_opens(self):
        return self.table().count(3)

    def gone(self):
        """Whether no connection is left, but perhaps in TIME-WAIT."""
        return not [state for state in self.table() if state not in (6, 10)]


__all__ = ["ACK", "IFF_TAP", "STACKS", "SYN", "Linux", "why_not"]
