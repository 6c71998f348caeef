"""A bad link between a machine and the Linux of this computer: frames are lost, delayed, doubled and overtaken as one
seed says, whatever traffic control this kernel has.

Run as a program it is the long form of test_lossy.py: `python -m tests.boot.lossy --loss 0.05 --megabytes 64`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import heapq
import os
import random
import select
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.boot.running import GOANNA
from tests.boot.test_network import FORMS, STATIC, program
from tests.boot.wire import MINE, MINE6, THEIRS, THEIRS6, Machine, Wire, machine
from tests.kernel.net.linux import IFF_TAP, Linux

TCP_INFO_RETRANSMITS = 100  # offset of tcpi_total_retrans in Linux's tcp_info


class Neighbour(Linux):
    """Linux's stack behind a tap device."""

    me, six, kind = MINE, MINE6, IFF_TAP


class LossyLink(Wire):
    """A wire that is joined with Linux's tap device. Chances are of each frame; times are seconds."""

    def __init__(self, linux: Neighbour, seed: int, loss: float, twice: float, late: float, delay: float) -> None:
        super().__init__()
        self.linux, self.chance = linux, random.Random(seed)
        self.loss, self.twice, self.late, self.delay = loss, twice, late, delay
        self.held: list[tuple[float, int, bool, bytes]] = []
        self.lock = threading.Condition()  # protects `held`, `number` and `over`
        self.number = self.lost = 0
        self.over = False
        self.handlers.append(lambda frame: self.take(frame, False) or True)

    def accept(self) -> None:
        super().accept()
        for each in (self.read_tap, self.deliver):
            threading.Thread(target=each, daemon=True).start()

    def take(self, frame: bytes, inward: bool) -> None:
        """A frame enters the link, on its way to the machine or from it."""
        with self.lock:
            for _ in range(1 + (self.chance.random() < self.twice)):
                self.number += 1
                if self.chance.random() < self.loss:
                    self.lost += 1
                    continue
                extra = self.delay if self.chance.random() < self.late else 0.0
                heapq.heappush(self.held, (time.monotonic() + self.delay + extra, self.number, inward, frame))
            self.lock.notify()

    def read_tap(self) -> None:
        while not self.over:
            if select.select([self.linux.wire], [], [], 0.2)[0]:
                with contextlib.suppress(BlockingIOError):
                    self.take(os.read(self.linux.wire, 70000), True)

    def deliver(self) -> None:
        """Let out what has been in the link for long enough."""
        while True:
            with self.lock:
                while not self.over and (not self.held or self.held[0][0] > time.monotonic()):
                    self.lock.wait(max(self.held[0][0] - time.monotonic(), 0) if self.held else None)
                if self.over:
                    return
                _, _, inward, frame = heapq.heappop(self.held)
            with contextlib.suppress(OSError):
                if inward:
                    self.send(frame)
                else:
                    os.write(self.linux.wire, frame)

    def close(self) -> None:
        with self.lock:
            self.over = True
            self.lock.notify()
        super().close()


@contextlib.contextmanager
def linked(image: Path, folder: Path, seed: int, **how: float) -> Iterator[tuple[Machine, LossyLink]]:
    """A machine whose program echoes at port 9000, at the other end of a bad link."""
    linux = Neighbour()
    link = LossyLink(linux, seed, **how)
    words = ["-netdev", f"socket,id=n0,connect={link.address}", *FORMS["microvm, modern"]]
    try:
        with machine(image, words, folder, STATIC, link) as made:
            made.wait("ready", 60)
            yield made, link
    finally:
        time.sleep(0.3)  # the reader of the tap sees that it is over
        linux.end()


def echo(link: LossyLink, six: bool, size: int, seconds: float) -> tuple[float, int]:
    """Have the machine give back bytes that it is sent, both ways at once: how long that took, and how many segments
    Linux sent again."""
    data = random.Random(size).randbytes(size)
    with link.linux.inside():
        made = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
    start = time.monotonic()
    with made:
        made.settimeout(seconds)
        made.connect((THEIRS6 if six else THEIRS, 9000))

        def give() -> None:
            made.sendall(data)
            made.shutdown(socket.SHUT_WR)

        giver = threading.Thread(target=give)
        giver.start()
        got = hashlib.sha256()
        count = 0
        while part := made.recv(1 << 16):
            got.update(part)
            count += len(part)
        giver.join()
        again = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)[TCP_INFO_RETRANSMITS:][:4]
    assert count == size and got.digest() == hashlib.sha256(data).digest(), f"{count} of {size} bytes, or others, came"
    return time.monotonic() - start, int.from_bytes(again, "little")


def build(folder: Path) -> Path:
    """The image of the machine's program."""
    path = folder / "network.img"
    subprocess.run([*GOANNA, "build", "-o", path, program()], check=True)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("loss", 0.02), ("twice", 0.01), ("late", 0.05), ("delay", 20.0), ("megabytes", 16.0)):
        parser.add_argument(f"--{name}", type=float, default=value)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        image = build(Path(folder))
        with linked(image, Path(folder), said.seed, loss=said.loss, twice=said.twice, late=said.late,
                    delay=said.delay / 1000) as (_, link):  # fmt: skip
            for six in (False, True):
                took, again = echo(link, six, int(said.megabytes * (1 << 20)), 3600)
                print(f"IPv{6 if six else 4}: {said.megabytes / took:.2f} MiB/s each way, {link.number} frames, "
                      f"{link.lost} lost, {again} segments sent again by Linux")  # fmt: skip


if __name__ == "__main__":
    main()
