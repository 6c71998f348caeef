"""Starts a machine under bare QEMU, the same way for Goanna, Linux and the floor, and times its first line."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import linux

# Emulation on one host thread a processor, and the exit port that ends QEMU with the program.
COMMON = [
    "qemu-system-x86_64", "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
    "-accel", "tcg", "-cpu", "max", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
]  # fmt: skip
MACHINES = {"microvm": "microvm,rtc=on,isa-serial=on", "q35": "q35"}
LINUX_MACHINES = {"microvm": "microvm,rtc=on,isa-serial=on,pit=on,pic=on", "q35": "q35"}
# With this the guest's clock is a count of its instructions, the same on every run.
COUNTING = ["-icount", "shift=0,sleep=off", "-seed", "1", "-rtc", "clock=vm"]


@dataclass(frozen=True)
class Machine:
    """A kernel that QEMU starts, and what else it is started with."""

    kernel: Path
    extra: tuple[str, ...] = ()
    machines: tuple[tuple[str, str], ...] = tuple(MACHINES.items())

    def command(self, machine: str = "microvm", mebibytes: int = 256, *more: str) -> list[str]:
        """The command line that starts it."""
        kind = dict(self.machines)[machine]
        return [*COMMON, "-M", kind, "-m", f"{mebibytes}M", "-kernel", str(self.kernel), *self.extra, *more]


def linux_machine(program: Path, folder: Path, arguments: str = "", boot: str = "") -> Machine:
    """The comparison Linux with a program as its init; the initial RAM disk is written to `folder`. `boot` is said to
    the kernel beside what is always said."""
    archive = folder / f"{program.name}.cpio"
    archive.write_bytes(linux.initramfs(program))
    words = linux.command_line() + (f" {boot}" if boot else "") + (f" -- {arguments}" if arguments else "")
    extra = ("-initrd", str(archive), "-append", words)
    return Machine(linux.build(), extra, tuple(LINUX_MACHINES.items()))


def seconds_to_line(command: list[str], wanted: bytes, limit: float = 30) -> float | None:
    """From the start of QEMU to the moment `wanted` stands in its output; None if it never does."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    seen = b""
    try:
        while time.perf_counter() - start < limit:
            try:
                data = os.read(descriptor, 65536)
            except BlockingIOError:
                time.sleep(0.0002)
                continue
            seen += data
            if wanted in seen:
                return time.perf_counter() - start
            if not data:
                return None
        return None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def output(command: list[str], limit: float = 60) -> str:
    """Everything a machine prints until it stops by itself or its time is up."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        text, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
    return text.decode("utf-8", "replace")
