"""A Linux of its own beside a machine: a network namespace with a tap device, whose stack the machine is tried against.

Run as a program (`python -m tests.boot.namespace ping ADDRESS`), it is what happens inside.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.kernel.net.host import ones

TAP = "tap0"
HERE = Path(__file__).resolve().parents[2]


def why_not() -> str:
    """Why this computer lets us make no namespace; empty if it does."""
    if os.geteuid() != 0:
        return "network namespaces are root's to make"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    name = f"goanna-{secrets.token_hex(4)}"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
        if made.returncode == 0:
            words = ["ip", "-n", name, "tuntap", "add", "dev", TAP, "mode", "tap"]
            made = subprocess.run(words, capture_output=True, text=True)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
    except FileNotFoundError:
        return "there is no ip(8)"
    return made.stderr.strip() if made.returncode != 0 else ""


class Namespace:
    """One namespace, with a tap device that has these addresses."""

    def __init__(self, *addresses: str, tap: str = TAP, queues: bool = False) -> None:
        self.name = f"goanna-{secrets.token_hex(4)}"
        self._ip("netns", "add", self.name)
        self.do("ip", "link", "set", "lo", "up")
        self.do("ip", "tuntap", "add", "dev", tap, "mode", "tap", *(["multi_queue"] if queues else []))
        for each in addresses:
            self.do("ip", "address", "add", each, "dev", tap, *(["nodad"] if ":" in each else []))
        self.do("ip", "link", "set", tap, "up")

    def close(self) -> None:
        """Undo it."""
        self._ip("netns", "del", self.name)

    @property
    def prefix(self) -> list[str]:
        """The words before a command that is to run inside."""
        return ["ip", "netns", "exec", self.name]

    def do(self, *words: str) -> str:
        """Run a command inside; what it printed."""
        done = subprocess.run([*self.prefix, *words], capture_output=True, text=True, cwd=HERE, timeout=120)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def peer(self, *words: str) -> str:
        """Have this file do something inside; what it printed."""
        return self.do(sys.executable, "-m", "tests.boot.namespace", *words)

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


def ping(address: str, size: int, seconds: float = 20) -> float:
    """Ask Linux's stack to carry echoes to an address until one comes back whole; how many went out."""
    six = ":" in address
    family, protocol = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.settimeout(1)
        data = os.urandom(size)
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            number += 1
            body = struct.pack(">BBHHH", 128 if six else 8, 0, 0, 77, number) + data
            if not six:
                body = body[:2] + struct.pack(">H", ones(body)) + body[4:]
            raw.sendto(body, (address, 0))
            try:
                while True:
                    answer, _ = raw.recvfrom(65536)
                    answer = answer if six else answer[(answer[0] & 15) * 4 :]
                    if answer[0] == (129 if six else 0) and answer[4:8] == body[4:8]:
                        assert answer[8:] == data
                        return number
            except TimeoutError:
                continue
    raise AssertionError(f"{address} did not answer")


def echo(address: str, port: int, size: int) -> str:
    """Send bytes to an echo server and take them back at once; how fast that was."""
    data = os.urandom(1 << 16) * (size >> 16)
    wanted = hashlib.sha256(data).digest()
    start = time.monotonic()
    with socket.create_connection((address, port), timeout=60) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        got = bytearray()
        while part := connection.recv(1 << 16):
            got += part
        sender.join()
    assert hashlib.sha256(got).digest() == wanted
    return f"{size / (time.monotonic() - start) / 1e6:.1f} MB/s each way"


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ping", address, size]:
            print(ping(address, int(size)))
        case ["echo", address, port, size]:
            print(echo(address, int(port), int(size)))
        case ["echoes", address, port, size, count]:
            with ThreadPoolExecutor(int(count)) as pool:
                print(list(pool.map(lambda _: echo(address, int(port), int(size)), range(int(count)))))
        case ["send", address, port, text]:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.sendto(text.encode(), (address, int(port)))
