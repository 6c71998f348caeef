"""Linux as the judge: sequences of system calls, run by oracle.c on this machine."""

import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.kernel.signal.c_program import built

MEMORY = 0x10000  # user memory that calls work on, 16 pages
MEMORY_SIZE = 0x10000
HANDLER = 0x50000
RESTORER = 0x50100
SELF = 0x5E1F5E1F5E1F5E1F  # an argument that stands for the process's own number
SHOWN = 1024  # bytes of the memory that are compared
SOURCE = Path(__file__).with_name("oracle.c")


@dataclass
class Call:
    """One system call, and what is written to memory before it: offset and bytes."""

    name: str
    arguments: list[int]
    writes: list[tuple[int, bytes]] = field(default_factory=list)

    def packed(self, numbers):
        """As oracle.c reads it."""
        parts = [struct.pack("<I", len(self.writes))]
        parts += [struct.pack("<II", offset, len(data)) + data for offset, data in self.writes]
        words = [numbers[self.name], *self.arguments, 0, 0, 0, 0, 0, 0][:7]
        return b"".join(parts) + struct.pack("<7Q", *(word & (2**64 - 1) for word in words))


@dataclass
class Outcome:
    """What a call did: its result, the handlers that ran (siginfo, whether on the alternate stack), the memory then."""

    result: int
    handled: list[tuple[bytes, bool]]
    memory: bytes


@dataclass
class Run:
    """A whole sequence: the process's number, the signal that ended it or 0, and the calls that came to their end."""

    process: int
    death: int
    outcomes: list[Outcome]


class Oracle:
    """The running C program."""

    def __init__(self, numbers):
        self.numbers = numbers
        self.program = subprocess.Popen([built(SOURCE.read_text())], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self):
        """End it."""
        self.program.stdin.close()
        self.program.wait(10)
        self.program.stdout.close()

    def run(self, calls):
        """Make the calls in a new process."""
        data = b"".join(each.packed(self.numbers) for each in calls)
        self.program.stdin.write(struct.pack("<I", len(data)) + data)
        self.program.stdin.flush()
        process, status, length = struct.unpack("<III", self.program.stdout.read(12))
        data, at, outcomes = self.program.stdout.read(length), 0, []
        while at < length:
            result, count = struct.unpack_from("<qI", data, at)
            at += 12
            handled = [(data[at + i * 56 : at + i * 56 + 48], data[at + i * 56 + 48] != 0) for i in range(count)]
            at += count * 56
            outcomes.append(Outcome(result, handled, data[at : at + SHOWN]))
            at += SHOWN
        return Run(process, status & 0x7F, outcomes)
