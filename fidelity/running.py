"""Runs a package's tests to the last one, on Linux or in an image: where a test ends its binary, the rest runs again
without it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity import linux
from fidelity.packages import Package, Toolchain
from fidelity.verdicts import FAIL, MISSING, UNFINISHED, Verdicts, read_verdicts
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


@dataclass
class Outcome:
    """What one side said of a package; `last` are the last words of runs that broke off."""

    verdicts: dict[str, str]
    seconds: float
    last: list[str]


def image_side(processors: int) -> Side:
    """Tests in a booted image."""

    def command(package: Package, binary: Path, arguments: list[str], limit: float) -> list[str]:
        words = [sys.executable, "-m", "goanna.cli.main", "exec", "-c", str(processors), "--timeout", f"{limit:g}"]
        return [*words, str(binary), *arguments]

    return Side("image", command, _environment())


def linux_side(tools: Toolchain, files: Path, root: Path) -> Side:
    """Tests on this computer. `files` is what linux.write_files made, `root` an empty folder."""

    def command(package: Package, binary: Path, arguments: list[str], limit: float) -> list[str]:
        inside = linux.command(root, files, tools.root, package.folder, binary, arguments)
        return inside

    return Side("linux", command, _environment())


def _environment() -> dict[str, str]:
    return {**_ENVIRONMENT, **{key: os.environ[key] for key in _GOANNAS if key in os.environ}}


def test_names(side: Side, package: Package, binary: Path) -> list[str]:
    """The top-level tests, examples and fuzz tests of a binary, in order. Raises Failure if it can't be started."""
    command = side.command(package, binary, ["-test.list=."], 60)
    done = subprocess.run(command, cwd=package.folder, capture_output=True, timeout=120, env=side.environment)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise Failure(f"{package.path}: its tests can't be listed on {side.name}: {said}")
    lines = done.stdout.decode(errors="replace").splitlines()
    return [each for each in lines if re.match(r"(Test|Example|Fuzz)", each)]


def run_package(side: Side, package: Package, binary: Path, names: list[str], limit: float) -> Outcome:
    """Run all tests of a package, each of which gets a verdict; `limit` in seconds for each try."""
    found: dict[str, str] = {}
    last: list[str] = []
    begun: Counter[str] = Counter()
    started = time.monotonic()
    for attempt in range(_TRIES):
        left = [name for name in names if name not in found]
        if not left:
            break
        arguments = ["-test.short", "-test.v=test2json", "-test.paniconexit0", f"-test.timeout={limit:g}s"]
        if attempt:
            arguments.append(f"-test.run=^({'|'.join(map(re.escape, left))})$")
        output, verdicts = _run(side, package, binary, arguments, limit)
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


def _run(side: Side, package: Package, binary: Path, arguments: list[str], limit: float) -> tuple[bytes, Verdicts]:
    with TemporaryDirectory(prefix="fidelity-") as folder:
        captured = Path(folder, "output")
        command = side.command(package, binary, arguments, limit + 10)
        with captured.open("wb") as stream:
            process = subprocess.Popen(
                command, cwd=package.folder, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT,
                env=side.environment,
            )  # fmt: skip
            try:
                process.wait(limit + 60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        output = captured.read_bytes()
    return output, read_verdicts(output)
