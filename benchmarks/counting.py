"""What the kernel costs in guest instructions, and the clock's price beside Linux.

Under `-icount shift=0` the guest's time-stamp counter is a count of its instructions. guest/counts.c reads it around
system calls, faults and switches; guest/first.c reads it at its first instruction, and a stub like the floor at the
kernel's entry, so that the firmware's part can be taken away. Counts are the same on every run.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from pathlib import Path

from benchmarks import programs
from benchmarks.floor import entry_counter_image
from benchmarks.linux import PeerUnavailable
from benchmarks.machines import COUNTING, Machine, linux_machine, output
from benchmarks.result import Measurement

GETPPID_TARGET = 150
CLOCK_ROUNDS = 5

NAMES = {
    "getppid": ("getppid, there and back", GETPPID_TARGET),
    "futex-switch": ("futex wake and switch between two threads", None),
    "page-fault": ("fault of a 4 KiB page", None),
    "clone-exit": ("clone and exit of a thread", None),
}


def instruction_counts(folder: Path) -> Iterator[Measurement]:
    """The kernel's costs, exactly, beside those of the comparison Linux."""
    group = "guest instructions"
    entered = _counter(Machine(_stub(folder)).command("microvm", 256, *COUNTING), folder)
    first = programs.first(folder)
    at_first = _counter(Machine(programs.image(first)).command("microvm", 256, *COUNTING), folder)
    yield Measurement(
        group,
        "kernel entry to the program's first instruction",
        at_first - entered,
        "",
        note="the program is 1 KiB of code; the firmware's part is taken away",
    )
    counts = programs.counts(folder)
    ours = _counts(Machine(programs.image(counts)))
    try:
        theirs = _counts(linux_machine(counts, folder))
        missing = ""
    except PeerUnavailable as reason:
        theirs, missing = {}, f"Linux not measured: {str(reason).splitlines()[0]}"
    for name, (text, target) in NAMES.items():
        note = f"Linux: {theirs[name]:,}" if name in theirs else missing
        if name in ours:
            yield Measurement(group, text, ours[name], "", target, note)
        else:
            yield Measurement(group, text, float("nan"), "", target, "not measured: the machine did not get that far")


def _counts(machine: Machine) -> dict[str, int]:
    text = output(machine.command("microvm", 256, *COUNTING), limit=120)
    return {name: int(value) for name, value in re.findall(r"^([a-z-]+) (\d+)\r?$", text, re.MULTILINE)}


def _counter(command: list[str], folder: Path) -> int:
    """The counter that a program or stub prints in hexadecimal."""
    found = re.search(r"^([0-9a-f]{16})\r?$", output(command), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no counter was printed by {' '.join(command)}")
    return int(found.group(1), 16)


def _stub(folder: Path) -> Path:
    path = folder / "entry.elf"
    path.write_bytes(entry_counter_image())
    return path


def clock_readings(folder: Path) -> Iterator[Measurement]:
    """200,000 times time.Now under the same QEMU, here and on Linux, taken in turn."""
    group = "200,000 times time.Now"
    now = programs.now(folder)
    machines = {"Goanna": Machine(programs.image(now, "timed"))}
    note = ""
    try:
        machines["Linux"] = linux_machine(now, folder, "timed")
    except PeerUnavailable as reason:
        note = f"Linux not measured: {str(reason).splitlines()[0]}"
    times: dict[str, list[float]] = {name: [] for name in machines}
    for _ in range(CLOCK_ROUNDS):
        for name, machine in machines.items():
            found = re.search(r"microseconds (\d+)", output(machine.command()))
            if found:
                times[name].append(int(found.group(1)) / 1000)
    medians = {name: statistics.median(each) for name, each in times.items() if each}
    target = medians.get("Linux")
    yield Measurement(group, "Goanna", medians["Goanna"], "ms", target, note, times["Goanna"])
    if target is not None:
        yield Measurement(group, "Linux", target, "ms", note="its vDSO, in the same QEMU", samples=times["Linux"])
