"""The life of one machine: starts QEMU, carries bytes and signals in and out, and tells how the program ended.

QEMU runs in a session of its own, so that the terminal's Ctrl-C reaches the program as a signal and not the emulator.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.failure import Failure
from goanna.kernel.shared import control
from goanna.layouts import size_of, unpacked
from goanna.machine.control import (
    Record,
    RecordReader,
    host_record,
    input_end_record,
    signal_record,
    window_record,
)
from goanna.machine.output import Output
from goanna.machine.qemu import Ports, Qemu, Settings, command_line, memory_text
from goanna.machine.returned import Returned
from goanna.machine.streams import Input
from goanna.machine.terminal import Terminal

# What a person or another program sends to stop or steer a program. The rest concerns this process.
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# What concerns the terminal, if we were started from one.
_OF_TERMINALS = (signal.SIGWINCH, signal.SIGTSTP)
# A person who sends the same signal so often means it.
_PATIENCE = 3
# Seconds for QEMU to go once it should: after the program's end was told, after `quit`, after SIGKILL.
_GRACE = 2.0
_CHUNK = 1 << 16
# So many chunks a socket never holds.
_DEPTH = 64
_STDERR_KEPT = 1 << 16

# What connects us with QEMU: the fields of qemu.Ports.
_PORTS = ("serial_console", "serial_control", "commands", "console", "errors", "control")

# timeout(1)'s status for a program that was stopped because its time was up.
TIMEOUT_STATUS = 124
_BROKEN_OUTPUT_STATUS = 128 + signal.SIGPIPE


@dataclass(frozen=True, kw_only=True)
class Start:
    """What to start and how to follow it. `information` is packed boot information; `timeout` in seconds;
    `returns` are the paths of what comes back.
    """

    image: Path
    information: bytes
    settings: Settings
    timeout: float | None = None
    verbose: bool = False
    trace: Callable[[bytes], str] | None = None
    returns: Sequence[bytes] = ()


@dataclass
class Road:
    """Our ends of a way by which console and control channel come: the serial ports, or those of the virtio console.
    Without a port for errors, they are records of the control channel.
    """

    console: socket.socket
    control: socket.socket
    errors: socket.socket | None
    records: RecordReader = field(default_factory=RecordReader)
    error_records: RecordReader = field(default_factory=RecordReader)

    @property
    def ends(self) -> list[socket.socket]:
        """All ends."""
        return [end for end in (self.console, self.errors, self.control) if end is not None]


@dataclass
class _Told:
    """What the guest said about its end."""

    status: int | None = None
    listening: bool = False
    stopped: str = ""
    lines: list[str] = field(default_factory=list)


def live(qemu: Qemu, start: Start) -> int:
    """Start a machine, follow it to its end and give the exit status. Raises Failure if the end is nobody's word.

    Standard input, output and error are this process's. Must be called in the main thread, which gets the signals.
    """
    return _Life(qemu, start).run()


class _Life:
    def __init__(self, qemu: Qemu, start: Start) -> None:
        self.qemu, self.start = qemu, start
        self.told = _Told()
        self.terminal = Terminal()
        self.output = Output(terminal=self.terminal.descriptor)
        self.returned = Returned(start.returns)
        self.messages = bytearray()  # QEMU's own standard error
        self.signals_seen: Counter[int] = Counter()
        self.deadline: float | None = None
        self.members = () if start.settings.networks is None else start.settings.networks.members
        self.input: Input | None = None  # once the guest listens
        self.control: socket.socket | None = None
        self.watched: dict[int, tuple[int, Callable[[], None]]] = {}  # what the selector has: events, and what to do
        self.selector = selectors.PollSelector()  # epoll refuses regular files, which standard input may be

    def run(self) -> int:
        with TemporaryDirectory(prefix="goanna-") as folder, contextlib.ExitStack() as stack:
            information = Path(folder, "boot")
            information.write_bytes(self.start.information)
            stack.callback(self.terminal.give_back)
            for member in self.members:
                stack.callback(member.leave)
            heard = _FORWARDED + (_OF_TERMINALS if self.terminal.streams else ())
            wakeups = stack.enter_context(_caught_signals(heard))
            pairs = {each: socket.socketpair() for each in _PORTS}
            for ours, theirs in pairs.values():
                stack.callback(ours.close)
                stack.callback(theirs.close)
            self.commands = pairs["commands"][0]
            serial = Road(console=pairs["serial_console"][0], control=pairs["serial_control"][0], errors=None)
            virtio = Road(console=pairs["console"][0], control=pairs["control"][0], errors=pairs["errors"][0])
            self.roads = (serial, virtio)
            ports = Ports(**{each: theirs.fileno() for each, (_, theirs) in pairs.items()})
            self.process = self.spawn(information, ports)
            stack.callback(self.returned.forget)
            stack.callback(self.make_sure_it_ended)
            for _, theirs in pairs.values():
                theirs.close()
            self.follow(wakeups)
            return self.verdict()

    def spawn(self, information: Path, ports: Ports) -> subprocess.Popen[bytes]:
        command = command_line(self.qemu, self.start.image, information, self.start.settings, ports)
        # If this process is killed outright, its machine goes with it.
        guard = shutil.which("setpriv")
        if guard:
            command = [guard, "--pdeathsig", "KILL", "--", *command]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                pass_fds=ports.all, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Failure(f"{self.qemu.path}: can't be started: {error.strerror}") from None

    def follow(self, wakeups: int) -> None:
        """Carry everything until QEMU has closed its ends and what it said has been written."""
        assert self.process.stderr is not None
        messages = self.process.stderr.fileno()
        os.set_blocking(messages, False)
        self.ends = {messages: self.read_messages}
        for road in self.roads:
            for end in road.ends:
                end.setblocking(False)
                self.ends[end.fileno()] = self.read_roads
        if self.start.timeout is not None:
            self.deadline = time.monotonic() + self.start.timeout
        while self.goes_on():
            self.watch({wakeups: (selectors.EVENT_READ, lambda: self.take_signals(wakeups)), **self.wishes()})
            left = None if self.deadline is None else self.deadline - time.monotonic()
            if left is not None and left <= 0:
                self.out_of_time()
                continue
            for key, _ in self.selector.select(left):
                if key.fd in self.watched:
                    self.watched[key.fd][1]()

    def goes_on(self) -> bool:
        """Whether anything may still come, or is still to be written. Who stopped the machine doesn't wait for a reader
        that takes nothing.
        """
        if not self.ends:
            self.output.settle()
            self.flush()
        return bool(self.ends or (self.output.busy and not self.told.stopped))

    def wishes(self) -> dict[int, tuple[int, Callable[[], None]]]:
        """What to wait for now. While much is kept for a slow reader of our output, the guest's is left to wait."""
        read, write = selectors.EVENT_READ, selectors.EVENT_WRITE
        found: dict[int, tuple[int, Callable[[], None]]] = {each: (write, self.flush) for each in self.output.busy}
        full = self.output.full
        found |= {end: (read, action) for end, action in self.ends.items() if not (full and end in self.bulk)}
        if self.control is not None:
            found |= {each.listener.fileno(): (read, self.tell_hosts) for each in self.members}
        if self.input is None or self.input.console.fileno() not in self.ends:
            return found
        if self.input.ended():
            self.send(input_end_record(self.input.count))
        if self.input.pending:
            console = self.input.console.fileno()
            reading = found.get(console, (0, self.read_roads))
            found[console] = (reading[0] | write, self.move_input)
        elif self.input.wants_more():
            assert self.input.source is not None
            found[self.input.source] = (read, self.take_input)
        return found

    def watch(self, wanted: dict[int, tuple[int, Callable[[], None]]]) -> None:
        """Have the selector wait for this."""
        for descriptor in self.watched.keys() - wanted.keys():
            self.selector.unregister(descriptor)
        for descriptor, (events, _) in wanted.items():
            if descriptor not in self.watched:
                self.selector.register(descriptor, events)
            elif self.watched[descriptor][0] != events:
                self.selector.modify(descriptor, events)
        self.watched = wanted

    @property
    def bulk(self) -> set[int]:
        """The ends by which the program's output comes."""
        return {end.fileno() for road in self.roads for end in (road.console, road.errors) if end is not None}

    def take_input(self) -> None:
        """Standard input has something."""
        assert self.input is not None
        self.input.take()
        if self.terminal.asks_for_end(self.input.pending):
            self.stop("", 128 + signal.SIGINT)

    def move_input(self) -> None:
        """The console takes input, or gives output."""
        assert self.input is not None
        self.input.send()
        self.read_roads()

    def read_roads(self) -> None:
        """Read what there is. Of each way the console first: a record that the guest sent before these bytes is then
        there to be read, so that Output can put what both channels carry into the guest's order.
        """
        full = self.output.full
        for road in self.roads:
            printed = b"" if full else self.receive(road.console)
            if road.errors is not None and not full:
                self.read_errors(road, road.errors)
            for record in road.records.feed(self.receive(road.control)):
                self.heed(record, road)
            self.output.console(printed)
        self.flush()

    def read_errors(self, road: Road, channel: socket.socket) -> None:
        """Read all that was sent before the bytes of the console that were just read."""
        for _ in range(_DEPTH):
            data = self.receive(channel)
            if not data:
                return
            for record in road.error_records.feed(data):
                self.heed(record, road)

    def receive(self, channel: socket.socket) -> bytes:
        if channel.fileno() not in self.ends:
            return b""
        try:
            data = channel.recv(_CHUNK)
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            data = b""
        if not data:
            del self.ends[channel.fileno()]
        return data

    def flush(self) -> None:
        try:
            self.output.flush()
        except BrokenPipeError:
            self.stop("", _BROKEN_OUTPUT_STATUS)

    def read_messages(self) -> None:
        assert self.process.stderr is not None
        data = os.read(self.process.stderr.fileno(), _CHUNK)
        if not data:
            del self.ends[self.process.stderr.fileno()]
        if len(self.messages) < _STDERR_KEPT:
            self.messages += data
        if self.start.verbose:
            self.output.error(data)

    def heed(self, record: Record, road: Road) -> None:
        """Do what a record of the guest says. Unknown kinds are of a later kernel, and left alone."""
        payload = record.payload
        try:
            if record.kind == control.LISTENING:
                self.listen(road)
            elif record.kind == control.EXIT:
                self.ended(unpacked(control.Exit, payload).status & 0xFF)
            elif record.kind == control.DEATH:
                self.ended(128 + unpacked(control.Death, payload).signal)
            elif record.kind == control.PANIC:
                self.output.line(payload.decode(errors="replace").rstrip("\n"))
                self.ended(control.FAILURE_STATUS)
            elif record.kind == control.LOG:
                self.output.line(payload.decode(errors="replace"))
            elif record.kind == control.MEMORY_OUT:
                told = unpacked(control.MemoryOut, payload)
                self.output.line(
                    f"goanna: out of memory: the machine has {memory_text(told.available)}, and the program holds "
                    f"{memory_text(told.committed)} of it\nGive it more with -m."
                )
            elif record.kind == control.ERROR_OUTPUT:
                head = unpacked(control.Output, payload)
                self.output.error_at(head.position, payload[size_of(control.Output) :])
            elif record.kind == control.TERMINAL_OUTPUT:
                head = unpacked(control.Output, payload)
                self.output.terminal_at(head.position, payload[size_of(control.Output) :])
            elif record.kind == control.RETURN_FILE:
                self.returned.file(payload)
            elif record.kind == control.RETURN_DATA:
                self.returned.data(payload)
            elif record.kind == control.TRACE and self.start.trace is not None:
                head = unpacked(control.Trace, payload)
                self.output.error_at(head.position, f"{self.start.trace(payload)}\n".encode())
        except ValueError:
            raise Failure(f"the kernel sent a record of kind {record.kind} that is too short", "") from None

    def listen(self, road: Road) -> None:
        """The guest takes input from now on, and records, by the road on which it said so."""
        self.told.listening = True
        self.control = road.control
        self.input = Input(road.console)
        if road.errors is not None:
            self.terminal.take()

    def ended(self, status: int) -> None:
        self.told.status = status
        self.hurry(_GRACE)

    def hurry(self, seconds: float) -> None:
        """Whatever the deadline was, it is not later than this now."""
        soon = time.monotonic() + seconds
        self.deadline = soon if self.deadline is None else min(self.deadline, soon)

    def send(self, data: bytes) -> None:
        # A full socket means a guest that stopped listening long ago.
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            if self.control is not None:
                self.control.send(data)

    def tell_hosts(self) -> None:
        """Machines of our segments have come or gone."""
        for member in self.members:
            for said in member.news():
                self.send(host_record(said))

    def take_signals(self, wakeups: int) -> None:
        for number in os.read(wakeups, _CHUNK):
            if number in _OF_TERMINALS:
                self.heed_terminal(number)
                continue
            self.signals_seen[number] += 1
            if self.told.listening and self.signals_seen[number] < _PATIENCE:
                self.send(signal_record(_LINUX_NUMBERS[number]))
            else:
                self.stop("", 128 + _LINUX_NUMBERS[number])

    def heed_terminal(self, number: int) -> None:
        """The terminal's window has another size, or somebody asked us to pause."""
        if number == signal.SIGTSTP:
            self.terminal.suspend()
        self.send(window_record(self.terminal.window))

    def out_of_time(self) -> None:
        if self.told.status is not None or self.told.stopped:
            # It was told to go, or said that it would.
            self.kill()
            return
        assert self.start.timeout is not None
        self.output.line(f"goanna: the program did not end within {self.start.timeout:g} s, so its machine was stopped")
        self.stop("timeout", TIMEOUT_STATUS)

    def stop(self, reason: str, status: int) -> None:
        """End QEMU in order, by its command socket."""
        from goanna.machine import commands

        self.told.stopped = reason or "asked"
        self.told.status = status
        state = commands.quit_machine(self.commands, describe=self.start.verbose, limit=_GRACE)
        if state:
            self.output.line(state)
        self.deadline = time.monotonic() + _GRACE

    def kill(self) -> None:
        self.process.kill()
        self.deadline = None

    def make_sure_it_ended(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
            return
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)

    def verdict(self) -> int:
        if self.told.status is not None:
            return self.told.status
        said = self.messages.decode(errors="replace").strip()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        if self.process.returncode not in (0, None) and said:
            raise Failure(f"QEMU could not run the machine:\n{said}", "See what this computer has with: goanna doctor")
        if self.process.returncode is not None and self.process.returncode < 0:
            killer = signal.strsignal(-self.process.returncode)
            raise Failure(f"QEMU was ended from outside before the program had ended: {killer}")
        raise Failure(
            "the machine stopped without saying how the program ended",
            "Run it with -v to see what the kernel says, or look into it with --gdb.",
        )


# This system's numbers of signals to Linux's, which the guest has (macOS numbers SIGUSR1 and SIGUSR2 differently).
_LINUX_NUMBERS: dict[int, int] = {
    signal.SIGHUP: 1, signal.SIGINT: 2, signal.SIGQUIT: 3, signal.SIGUSR1: 10, signal.SIGUSR2: 12, signal.SIGTERM: 15,
}  # fmt: skip


@contextlib.contextmanager
def _caught_signals(numbers: Sequence[signal.Signals]) -> Iterator[int]:
    """While it lasts, signals become bytes that the descriptor gives: their numbers."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers if not _ignored(number)}
    descriptor = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _ignored(number: int) -> bool:
    # nohup and background jobs start programs with signals ignored, and mean it.
    return signal.getsignal(number) is signal.SIG_IGN


def seed() -> bytes:
    """32 random bytes for one boot."""
    return os.urandom(32)
