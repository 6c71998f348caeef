"""goanna run from a terminal: the program's streams are one, with its settings, its keys and its size; afterwards the
terminal is as before. From no terminal, or in part from one, each stream is what it is here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import guests
from tests.boot.running import GOANNA

ENVIRONMENT = {"GOANNA_ACCEL": "tcg"} | dict(os.environ) | {"TERM": "xterm-test"}
LIMIT = 240.0


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image: what building one says on a terminal is another test's affair."""
    guest = next(guest for guest in guests() if guest.name == "console")
    path = tmp_path_factory.mktemp("console") / "console.img"
    subprocess.run([*GOANNA, "build", "-o", path, toolchains.build_go(guest, toolchains.newest_go())], check=True)
    return path


class Session:
    """A command on a terminal of its own, and what that shows."""

    def __init__(self, command: list[str], replaced: dict[int, int]) -> None:
        self.master, slave = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(slave)
        self.shown = b""
        self.slave = slave

        def lead() -> None:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        streams = {number: replaced.get(number, slave) for number in range(3)}
        self.process = subprocess.Popen(
            command, env=ENVIRONMENT, stdin=streams[0], stdout=streams[1], stderr=streams[2], preexec_fn=lead
        )

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def until(self, text: bytes) -> bytes:
        """What is shown until this text is there."""
        self.wait(lambda: text in self.shown)
        at = self.shown.index(text) + len(text)
        found, self.shown = self.shown[:at], self.shown[at:]
        return found

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, self.shown
            if select.select([self.master], [], [], 0.1)[0]:
                self.shown += os.read(self.master, 4096)

    def end(self) -> int:
        """The status, once all is shown."""
        self.wait(lambda: self.process.poll() is not None)
        while select.select([self.master], [], [], 0)[0]:
            self.shown += os.read(self.master, 4096)
        assert termios.tcgetattr(self.slave) == self.before
        return self.process.returncode


@contextlib.contextmanager
def session(program: Path, *arguments: str, replaced: dict[int, int] | None = None) -> Iterator[Session]:
    made = Session([*GOANNA, "run", str(program), "--", *arguments], replaced or {})
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        os.close(made.master)
        os.close(made.slave)


def test_the_programs_streams_are_a_terminal_with_the_windows_size(program: Path) -> None:
    with session(program, "describe") as terminal:
        told = terminal.until(b"end\r\n")
        assert told.count(b"terminal /dev/hvc0\r\n") == 3
        assert b"24 80 xterm-test\r\n" in told
        assert terminal.end() == 0


def test_lines_are_edited_and_echoed_and_ctrl_d_is_their_end(program: Path) -> None:
    with session(program, "lines") as terminal:
        terminal.until(b"ready\r\n")
        terminal.type(b"helo\x7flo\r")
        assert terminal.until(b'"hello"\r\n') == b'helo\x08 \x08lo\r\n"hello"\r\n'
        terminal.type(b"\x04")
        assert terminal.until(b"end\r\n") == b"end\r\n"
        assert terminal.end() == 0


def test_keys_are_signals_for_the_program(program: Path) -> None:
    with session(program, "signals") as terminal:
        terminal.until(b"ready\r\n")
        for key, name in ((b"\x03", b"interrupt"), (b"\x1c", b"quit"), (b"\x1a", b"stopped")):
            terminal.type(key)
            terminal.until(name + b"\r\n")
        terminal.resize(50, 132)
        terminal.until(b"window changed 50 132\r\n")
        terminal.process.send_signal(signal.SIGTERM)
        terminal.until(b"terminated\r\n")
        assert terminal.end() == 7


def test_ctrl_c_ends_a_program_that_does_not_care(program: Path) -> None:
    with session(program, "lines") as terminal:
        terminal.until(b"ready\r\n")
        terminal.type(b"\x03")
        assert terminal.end() in (2, 130)
        assert terminal.shown == b"^C"


def test_in_raw_mode_every_key_is_the_programs(program: Path) -> None:
    with session(program, "raw") as terminal:
        terminal.until(b"ready")
        keys = bytes(range(256))
        terminal.type(keys)
        assert terminal.until(b"end").startswith(keys)
        assert terminal.end() == 0


def test_ctrl_bracket_three_times_ends_a_machine_that_hears_nothing(program: Path) -> None:
    with session(program, "deaf") as terminal:
        terminal.until(b"ready")
        terminal.type(b"\x1d\x1d\x1d")
        assert terminal.end() == 130


@pytest.mark.parametrize("ours", [0, 1, 2])
def test_a_stream_that_is_no_terminal_here_is_none_there(program: Path, tmp_path: Path, ours: int) -> None:
    path = tmp_path / "stream"
    path.write_bytes(b"")
    with path.open("r+b") as file, session(program, "describe", replaced={ours: file.fileno()}) as terminal:
        assert terminal.end() == 0
        told = terminal.shown + path.read_bytes()
        assert told.count(b"terminal /dev/hvc0") == 2
        assert b"%d no terminal" % ours in told
    if ours == 1:
        assert b"\r" not in path.read_bytes()


def test_when_the_terminal_goes_the_program_hears_of_it(program: Path, tmp_path: Path) -> None:
    path = tmp_path / "told"
    with path.open("wb") as file:
        terminal = Session([*GOANNA, "run", str(program), "--", "hangup"], {1: file.fileno(), 2: file.fileno()})
        terminal.wait(lambda: b"ready" in path.read_bytes())
        os.close(terminal.slave)
        os.close(terminal.master)
        assert terminal.process.wait(LIMIT) == 0
    assert b"hangup" in path.read_bytes()


def test_while_goanna_is_stopped_the_terminal_is_as_it_was(program: Path) -> None:
    with session(program, "lines") as terminal:
        terminal.until(b"ready\r\n")
        terminal.wait(lambda: termios.tcgetattr(terminal.slave) != terminal.before)
        terminal.process.send_signal(signal.SIGTSTP)
        status = Path(f"/proc/{terminal.process.pid}/stat")
        terminal.wait(lambda: status.read_text().split()[2] == "T")
        assert termios.tcgetattr(terminal.slave) == terminal.before
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait(lambda: termios.tcgetattr(terminal.slave) != terminal.before)
        terminal.type(b"on\r\x04")
        assert terminal.until(b"end\r\n") == b'on\r\n"on"\r\nend\r\n'
        assert terminal.end() == 0


def test_output_arrives_whole_on_a_slow_terminal(program: Path) -> None:
    with session(program, "much") as terminal:
        time.sleep(5)
        shown = b""
        while not shown.endswith(b"end\r\n"):
            assert select.select([terminal.master], [], [], LIMIT)[0], shown[-100:]
            shown += os.read(terminal.master, 4096)
        assert shown == b"".join(b"%d\r\n" % number for number in range(400_000)) + b"end\r\n"
        assert terminal.end() == 0
