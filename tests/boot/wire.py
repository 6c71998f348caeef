"""The other end of a machine's wire, in Python: a peer with raw Ethernet frames, through QEMU's sockets."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from tests.kernel.net.host import arp_bytes, ether, ip4, ip6, ones, raw, summed

ME = 0x525400000001
MACHINE = 0x525400000002
MINE, THEIRS = "10.0.0.1", "10.0.0.2"
MINE6, THEIRS6 = "fd00::1", "fd00::2"
EVERYBODY = 0xFFFFFFFFFFFF


class Wire:
    """A wire whose other end a machine is at: `address` is where it connects to (QEMU's -netdev socket,connect=)."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(240)
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.frames: queue.Queue[bytes] = queue.Queue()
        self.connection: socket.socket | None = None
        # What is done with each frame that comes, before it is queued; True: it is not queued.
        self.handlers: list[Callable[[bytes], bool]] = []

    def accept(self) -> None:
        """Wait for the machine."""
        self.connection, _ = self.listener.accept()
        threading.Thread(target=self._read, daemon=True).start()

    def close(self) -> None:
        """Cut the wire."""
        if self.connection is not None:
            self.connection.close()
        self.listener.close()

    def _read(self) -> None:
        assert self.connection is not None
        stream = self.connection.makefile("rb")
        with contextlib.suppress(OSError, ValueError):
            while head := stream.read(4):
                frame = stream.read(struct.unpack(">I", head)[0])
                if not any([handler(frame) for handler in self.handlers]):
                    self.frames.put(frame)

    def send(self, frame: bytes) -> None:
        """Send a frame, which a wire fills to its least size."""
        assert self.connection is not None
        frame = frame.ljust(60, b"\0")
        self.connection.sendall(struct.pack(">I", len(frame)) + frame)

    def wait(self, wanted: Callable[[bytes], bool], seconds: float = 120) -> bytes:
        """The next frame that is wanted; others are passed over."""
        end = time.monotonic() + seconds
        while True:
            try:
                frame = self.frames.get(timeout=max(end - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError("the frame that was waited for didn't come") from None
            if wanted(frame):
                return frame

    def none(self, wanted: Callable[[bytes], bool], seconds: float = 1) -> None:
        """Such a frame doesn't come."""
        try:
            found = self.wait(wanted, seconds)
        except AssertionError:
            return
        raise AssertionError(f"a frame came that shouldn't: {found.hex()}")

    def answer_questions(self) -> None:
        """Answer for our addresses, by ARP and neighbour discovery, from now on."""

        def answer(frame: bytes) -> bool:
            if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == raw(MINE):
                sender = int.from_bytes(frame[22:28], "big")
                self.send(ether(sender, ME, 0x806, arp_bytes(2, ME, MINE, sender, _dotted(frame[28:32]))))
                return True
            if frame[12:14] == b"\x86\xdd" and frame[54:55] == b"\x87" and frame[62:78] == raw(MINE6):
                body = bytes([136, 0, 0, 0, 0x60, 0, 0, 0]) + raw(MINE6) + b"\2\1" + ME.to_bytes(6, "big")
                source = socket.inet_ntop(socket.AF_INET6, frame[22:38])
                if source != "::":
                    packet = ip6(MINE6, source, 58, summed(MINE6, source, 58, body, 2), 255)
                    self.send(ether(int.from_bytes(frame[6:12], "big"), ME, 0x86DD, packet))
                return True
            return False

        self.handlers.append(answer)

    def ping(self, data: bytes = b"ping", number: int = 1, six: bool = False) -> bytes:
        """Ask for an echo; what came back."""
        body = struct.pack(">BBHHH", 128 if six else 8, 0, 0, 77, number) + data
        if six:
            self.send(ether(MACHINE, ME, 0x86DD, ip6(MINE6, THEIRS6, 58, summed(MINE6, THEIRS6, 58, body, 2))))
        else:
            body = body[:2] + struct.pack(">H", ones(body)) + body[4:]
            self.send(ether(MACHINE, ME, 0x800, ip4(MINE, THEIRS, 1, body, 1)))
        head = struct.pack(">HH", 77, number)
        at, kind = (54, 129) if six else (34, 0)
        frame = self.wait(lambda each: each[12:14] == (b"\x86\xdd" if six else b"\x08\x00") and each[at] == kind
                          and each[at + 4 : at + 8] == head)  # fmt: skip
        return frame[at + 8 : at + 8 + len(data)]


def _dotted(address: bytes) -> str:
    return socket.inet_ntoa(address)


class Machine:
    """A machine under QEMU, whose wires and serial port are ours."""

    def __init__(self, image: Path, words: list[str], folder: Path, append: str, memory: int = 128,
                 prefix: Sequence[str] = ()) -> None:
        self.commands = folder / "commands"
        command = [
            *prefix, "qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-nodefaults", "-no-reboot",
            "-serial", "stdio",
            "-qmp", f"unix:{self.commands},server=on,wait=off", "-m", f"{memory}M", "-kernel", os.fspath(image),
            "-append", append, *words,
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.lines: queue.Queue[str] = queue.Queue()
        self.text = ""
        assert self.process.stdout is not None
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            self.lines.put(line.decode())

    def wait(self, part: str, seconds: float = 240) -> str:
        """Wait for a line that has this in it."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(end - time.monotonic(), 0.001))
            except queue.Empty:
                raise AssertionError(f"{part!r} was not said; what was: {self.text}") from None
            self.text += line
            if part in line:
                return line

    def set_link(self, name: str, up: bool) -> None:
        """Plug a device's wire in or out."""
        with socket.socket(socket.AF_UNIX) as commands:
            commands.connect(os.fspath(self.commands))
            stream = commands.makefile("rw")
            stream.readline()
            for request in ({"execute": "qmp_capabilities"},
                            {"execute": "set_link", "arguments": {"name": name, "up": up}}):  # fmt: skip
                stream.write(json.dumps(request))
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline())):
                    assert "error" not in answer, answer

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def machine(image: Path, words: list[str], folder: Path, append: str, wire: Wire) -> Iterator[Machine]:
    """A machine that runs as long as the context, its wire joined."""
    made = Machine(image, words, folder, append)
    try:
        wire.accept()
        yield made
    finally:
        made.stop()
        wire.close()
