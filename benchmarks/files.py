"""What files, pipes and processes cost in guest instructions and in time, beside the comparison Linux.

Both run guest/files.c in the same QEMU. Instructions are counted under `-icount shift=0`, the same on every run. Time
is taken without it, in turn, and the least of all rounds stands, since what else this computer does only adds to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import programs
from benchmarks.linux import PeerUnavailable
from benchmarks.machines import COUNTING, Machine, linux_machine, output
from benchmarks.result import Measurement

MEMORY = 1024  # MiB: 100 MiB of it are a file in memory, and Linux has a file in memory for each 8 KiB at most
TIMED_RUNS = 3

NAMES = {
    "open-read-close": "open, read and close of a file of 4 KiB",
    "stat": "stat",
    "stat-missing": "stat of a name that isn't there",
    "walk-file": "a walk of 20,000 files, each",
    "make-write-remove": "make, write, close and remove a file",
    "crowd-name": "a list of a folder of 100,000 names, each",
    "crowd-stat": "stat in such a folder",
    "crowd-rename": "rename in such a folder",
    "crowd-make": "make, close and remove a file in such a folder",
    "write-page": "write of 100 MiB, each 4 KiB",
    "read-page": "read of 100 MiB, each 4 KiB",
    "pipe": "100 bytes through a pipe",
    "pipe-round-trip": "a pipe's round trip between two threads",
    "eventfd-epoll": "an eventfd's wake-up of epoll",
    "spawn": "start and end of a process (vfork, exec, wait)",
    "fork": "fork, exit and wait",
}
# The sum that is to be at most half of Linux's: how often each of these is counted.
SUMMED = {
    "open-read-close": 1, "stat": 1, "walk-file": 20_000, "write-page": 25_600, "read-page": 25_600,
    "pipe-round-trip": 1, "eventfd-epoll": 1, "spawn": 1,
}  # fmt: skip
SUM_SHARE = 0.5


@dataclass(frozen=True)
class Kind:
    """One of the two numbers that the program prints for each operation."""

    group: str
    unit: str
    column: int
    scale: float  # of what is printed


INSTRUCTIONS = Kind("guest instructions, files", "", 0, 1)
TIME = Kind("time, files", "us", 1, 1000)


def file_costs(folder: Path) -> Iterator[Measurement]:
    """Instructions and time of each operation: no more than Linux's is the target, and half of it for the sums."""
    program = programs.files(folder)
    ours = Machine(programs.image(program))
    theirs: Machine | None = None
    missing = ""
    try:
        theirs = linux_machine(program, folder)
    except PeerUnavailable as reason:
        missing = f"Linux not measured: {str(reason).splitlines()[0]}"
    machines = [each for each in (ours, theirs) if each is not None]
    counted = [_costs(each, INSTRUCTIONS, *COUNTING) for each in machines]
    yield from _compared(INSTRUCTIONS, counted, missing)
    timed: list[dict[str, float]] = [{} for _ in machines]
    for _ in range(TIMED_RUNS):
        for least, machine in zip(timed, machines, strict=True):
            for name, cost in _costs(machine, TIME).items():
                least[name] = min(cost, least.get(name, cost))
    yield from _compared(TIME, timed, missing)


def _costs(machine: Machine, kind: Kind, *more: str) -> dict[str, float]:
    """What one run of the program says of each operation."""
    text = output(machine.command("microvm", MEMORY, *more), limit=300)
    lines: list[tuple[str, ...]] = re.findall(r"^([a-z-]+) (\d+) (\d+)\r?$", text, re.MULTILINE)
    return {line[0]: int(line[1 + kind.column]) / kind.scale for line in lines}


def _compared(kind: Kind, costs: list[dict[str, float]], missing: str) -> Iterator[Measurement]:
    """A line for each operation and two sums. `costs` are ours and, where it was measured, Linux's."""
    ours, theirs = costs[0], costs[1] if len(costs) > 1 else {}
    for name, text in NAMES.items():
        note = f"Linux: {theirs[name]:,.{0 if kind.scale == 1 else 2}f}" if name in theirs else missing
        yield Measurement(kind.group, text, ours.get(name, float("nan")), kind.unit, theirs.get(name), note)
    for text, weights in (
        ("sum: walk and 100 MiB whole, the others once", SUMMED),
        ("sum: each once", dict.fromkeys(SUMMED, 1)),
    ):
        mine, linux = (
            sum(each[name] * count for name, count in weights.items()) if weights.keys() <= each.keys() else None
            for each in (ours, theirs)
        )
        note = f"Linux: {linux:,.0f}" if linux is not None else missing
        target = linux * SUM_SHARE if linux is not None else None
        yield Measurement(kind.group, text, float("nan") if mine is None else mine, kind.unit, target, note)
