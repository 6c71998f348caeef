"""Linux's stack as host.Host is: one Ethernet interface, a tap device in a namespace, whose frames Python takes out and
puts in, with UDP sockets by number."""

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.kernel.net.host import arp_bytes, ether, ip6, raw, summed
from tests.kernel.net.ip import A6, B6, ME, PEER, A, B
from tests.kernel.net.linux import IFF_TAP, Linux

SIOCSIFHWADDR, ARPHRD_ETHER = 0x8924, 1
IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, WANT = 10, 23, 1
IP_MTU, IPV6_MTU = 14, 24
EVERYBODY = 0xFFFFFFFFFFFF


class LinuxIp(Linux):
    """A host with the neighbours and routes of ip.make_host."""

    me, peer, six, kind = A, B, A6, IFF_TAP
    ours = False

    def __init__(self):
        super().__init__()
        self.put(ether(EVERYBODY, PEER, 0x806, arp_bytes(1, PEER, B, 0, A)))
        body = bytes([135, 0, 0, 0, 0, 0, 0, 0]) + raw(A6) + b"\1\1" + PEER.to_bytes(6, "big")
        self.put(ether(ME, PEER, 0x86DD, ip6(B6, A6, 58, summed(B6, A6, 58, body, 2), 255)))
        self.frames()

    def set_up(self):
        super().set_up()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            subprocess.run(["ip", "link", "set", "tun0", "down"], check=True)
            fcntl.ioctl(control, SIOCSIFHWADDR,
                        struct.pack("16sH6s16x", b"tun0", ARPHRD_ETHER, ME.to_bytes(6, "big")))  # fmt: skip
        for name, value in (("ipv6/conf/tun0/router_solicitations", 0), ("ipv6/auto_flowlabels", 0),
                            ("ipv4/icmp_ratelimit", 1000)):  # fmt: skip
            Path("/proc/sys/net", name).write_text(str(value))
        for words in (["link", "set", "tun0", "up"], ["-6", "address", "add", f"{A6}/64", "dev", "tun0", "nodad"],
                      ["route", "add", "default", "via", B], ["-6", "route", "add", "default", "via", B6]):  # fmt: skip
            subprocess.run(["ip", *words], check=True)

    def put(self, frame):
        os.write(self.wire, frame)

    def frames(self):
        """What was sent, without what Linux says of itself: groups it listens to, addresses it claims."""
        found = []
        while select.select([self.wire], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                frame = os.read(self.wire, 70000)
                six, to = frame[12:14] == b"\x86\xdd", frame[38:40]
                if not six or (frame[20] != 0 and (frame[20] != 58 or to != b"\xff\2")):
                    found.append(frame)
        return found

    def frame(self):
        (only,) = self.frames()
        return only

    def pass_time(self, seconds):
        if seconds > 3 and os.environ.get("GOANNA_RULES") != "all":
            pytest.skip(f"takes {seconds} s of real time on Linux: make rules")
        time.sleep(seconds)

    def bind(self, index, local, port, options=0):
        family = socket.AF_INET6 if ":" in local else socket.AF_INET
        with self.inside():
            made = socket.socket(family, socket.SOCK_DGRAM)
        self.sockets[index] = made
        made.setblocking(False)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, options & 1)
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, WANT)
        else:
            made.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, WANT)
        try:
            made.bind((local, port))
        except OSError as problem:
            return -problem.errno
        return 0

    def send(self, index, data, target, port):
        try:
            self.sockets[index].sendto(data, (target, port))
        except OSError as problem:
            return -(problem.errno or errno.EIO)
        return 0

    def known_mtu(self, target):
        """The path MTU that was learnt of a target, 0 if none was."""
        six = ":" in target
        with self.inside(), socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.connect((target, 9))
            mtu = made.getsockopt(socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP, IPV6_MTU if six else IP_MTU)
        return mtu if mtu != 1500 else 0

    def close(self, index):
        self.sockets.pop(index).close()

    def receive(self, index):
        """(data, address, port) of the oldest datagram, or None if there is none for a moment."""
        select.select([self.sockets[index]], [], [], 0.02)  # a busy computer delivers a frame later than it takes it
        try:
            data, (address, port, *_) = self.sockets[index].recvfrom(70000)
        except BlockingIOError:
            return None
        return data, address, port
