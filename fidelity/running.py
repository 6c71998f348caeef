"""Runs a package's tests to the last one, on Linux or in an image: where a test ends its binary, the rest runs again
without it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from fidelity import emulated, linux
from fidelity.emulated import Machine
from fidelity.packages import PROJECT, Package, Toolchain
from fidelity.verdicts import FAIL, MISSING, UNFINISHED, read_verdicts
from goanna.failure import Failure

# How often a package is begun again after a test that ended the binary.
_TRIES = 8
_KEPT = 4000  # bytes of the end of the output that are kept of a run that didn't come to its end

# What the tests see, on both sides: no go command on the path. What Goanna itself is told by the environment they see
# too, on both sides.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
_GOANNAS = ("GOANNA_ACCEL", "PYTHONPATH", "XDG_CACHE_HOME")


@dataclass(frozen=True)
class Side:
    """Where tests run: gives the command for a package's binary with arguments and a time limit in seconds."""

    name: str
    command: Callable[[Package, Path, list[str], float], list[str]]
    environment: dict[str, str]


class Stopped(Exception):
    """The person who started the run has ended it."""


class Processes:
    """The processes that tests run in: in sessions of their own, out of reach of a terminal's Ctrl-C, which would
    pass for the verdict of a test.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: set[int] = set()
        self._stopped = False

    def run(
        self, side: Side, package: Package, binary: Path, arguments: list[str], limit: float
    ) -> tuple[int | None, bytes]:
        """The status (None: it had to be ended) and the output of a test binary; `limit` in seconds. Raises Stopped."""
        with TemporaryDirectory(prefix="fidelity-") as folder, Path(folder, "output").open("w+b") as stream:
            process = self._start(side.command(package, binary, arguments, limit + 10), package, side, stream)
            status: int | None = None
            try:
                status = process.wait(limit + 60)
            except subprocess.TimeoutExpired:
                _end(process.pid)
                process.wait()
            with self._lock:
                self._alive.discard(process.pid)
                if self._stopped:
                    raise Stopped
            stream.seek(0)
            return status, stream.read()

    def _start(self, command: list[str], package: Package, side: Side, stream: BinaryIO) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise Stopped
            # Where this process is killed outright, what it started ends too.
            guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
            process = subprocess.Popen(
                [*guard, *command], cwd=package.folder, env=side.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
            self._alive.add(process.pid)
            return process

    def stop(self) -> None:
        """End them all: who waits for one gets Stopped, and so does who would start one."""
        with self._lock:
            self._stopped = True
            for each in self._alive:
                _end(each)


def _end(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


@dataclass
class Outcome:
    """What one side said of a package; `last` are the last words of runs that broke off."""

    verdicts: dict[str, str]
    seconds: float
    last: list[str]


def image_side(machine: Machine) -> Side:
    """Tests in a booted image."""

    def command(package: Package, binary: Path, arguments: list[str], limit: float) -> list[str]:
        words = [sys.executable, "-m", "goanna.cli.main", "exec", "--timeout", f"{limit:g}"]
        return [*words, "-c", str(machine.processors), "-m", machine.memory, str(binary), *arguments]

    return Side("image", command, _environment())


def linux_side(tree: Path, processors: int, files: Path, root: Path) -> Side:
    """Tests on this computer. `tree` is the distribution or module that they are of, `files` what linux.write_files
    made, `root` an empty folder.
    """

    def command(package: Package, binary: Path, arguments: list[str], limit: float) -> list[str]:
        return linux.command(processors, root, files, tree, package.folder, binary, arguments)

    return Side("linux", command, _environment())


def emulated_side(tools: Toolchain, machine: Machine, folder: Path) -> Side:
    """Tests on a Linux in QEMU. Raises benchmarks.linux.PeerUnavailable."""
    kernel, init = emulated.kernel(), emulated.init(tools.go, folder)

    def command(package: Package, binary: Path, arguments: list[str], limit: float) -> list[str]:
        return emulated.command(kernel, init, machine, limit, package.folder, binary, arguments)

    own = _environment()
    return Side("emulated", command, own | {"PYTHONPATH": f"{PROJECT}:{own.get('PYTHONPATH', '')}"})


def _environment() -> dict[str, str]:
    return {**_ENVIRONMENT, **{key: os.environ[key] for key in _GOANNAS if key in os.environ}}


def test_names(processes: Processes, side: Side, package: Package, binary: Path) -> list[str]:
    """The top-level tests, examples and fuzz tests of a binary, in order. Raises Failure if it can't be started, and
    Stopped.
    """
    status, output = processes.run(side, package, binary, ["-test.list=."], 60)
    text = output.decode(errors="replace")
    if status != 0:
        raise Failure(f"its tests can't be listed on {side.name}: {text.strip() or f'status {status}'}")
    return [each for each in text.splitlines() if re.match(r"(Test|Example|Fuzz)", each)]


def run_package(
    processes: Processes,
    side: Side,
    package: Package,
    binary: Path,
    names: list[str],
    limit: float,
    alone: bool = False,
) -> Outcome:
    """Run tests of a package, each of which gets a verdict: all that it has, or these `alone`; `limit` in seconds for
    each try. Raises Stopped.
    """
    found: dict[str, str] = {}
    last: list[str] = []
    begun: Counter[str] = Counter()
    started = time.monotonic()
    for attempt in range(_TRIES):
        left = [name for name in names if name not in found]
        if not left:
            break
        arguments = ["-test.short", "-test.v=test2json", "-test.paniconexit0", f"-test.timeout={limit:g}s"]
        if attempt or alone:
            arguments.append(f"-test.run=^({'|'.join(map(re.escape, left))})$")
        output = processes.run(side, package, binary, arguments, limit)[1]
        verdicts = read_verdicts(output)
        before = len(found)
        begun.update(verdicts.unfinished)
        # A panic ends tests beside the one that it is in: who didn't end gets another chance, unless it was alone.
        failed = any(verdict == FAIL for verdict in verdicts.of.values())
        culprits = {
            name for name in verdicts.unfinished if begun[name] > 1 or (len(verdicts.unfinished) == 1 and not failed)
        }
        for name, verdict in verdicts.of.items():
            top = name.partition("/")[0]
            if top in culprits or (verdict != UNFINISHED and top not in verdicts.unfinished):
                found.setdefault(name, verdict)
        if verdicts.whole and not verdicts.unfinished:
            break
        last.append(output[-_KEPT:].decode(errors="replace"))
        if len(found) == before and not verdicts.unfinished:
            break
    for name in names:
        found.setdefault(name, MISSING)
    return Outcome(found, time.monotonic() - started, last)
