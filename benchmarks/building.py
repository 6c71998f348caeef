"""How long a person waits: for the kernel, for an image, and from an edit to the next boot."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import programs
from benchmarks.programs import GOANNA, PROJECT
from benchmarks.result import Measurement
from goanna.program.toolchain import find_go

KERNEL_SECONDS = 30
OVERHEAD_SECONDS = 1
LOOP_SECONDS = 15
ROUNDS = 5
# The room whose tests take longest, the file of it that the inner loop edits, and the line in it. The new line is one
# that was never compiled before, on any run: a comment, or a line of the run before, would be found compiled.
ROOM = "file"
EDITED = f"src/goanna/kernel/{ROOM}/pipe.py"
LINE = "next_number = static(Atomic[u64], {})"


def build_times(folder: Path) -> Iterator[Measurement]:
    """The kernel from nothing, `goanna build` beside `go build`, and the inner loop in a copy of the project."""
    group = "building"
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "GOANNA_ARCH": "x86_64"}
    target = folder / "kernel"
    target.mkdir()
    command = [sys.executable, "-m", "goanna.kernel.build", "--arch", "x86_64", "--out", str(target)]
    yield Measurement(group, "kernel from nothing", _seconds(command, PROJECT, environment), "s", KERNEL_SECONDS)
    yield from _overhead(folder, group)
    yield _inner_loop(folder, group)


def _overhead(folder: Path, group: str) -> Iterator[Measurement]:
    package = PROJECT / "examples" / "hello"
    programs.image(programs.hello(folder))  # the kernel is in the cache after this
    go = os.environ | {"CGO_ENABLED": "0"}
    plain, ours = [], []
    for _ in range(ROUNDS):
        plain.append(_seconds([str(find_go()), "build", "-o", str(folder / "plain"), "."], package, go))
        ours.append(_seconds([*GOANNA, "build", "-o", str(folder / "timed.img"), "."], package, dict(os.environ)))
    extra = statistics.median(ours) - statistics.median(plain)
    note = f"go build {statistics.median(plain):.2f} s, goanna build {statistics.median(ours):.2f} s"
    yield Measurement(group, "goanna build beyond go build", extra, "s", OVERHEAD_SECONDS, note)


def _inner_loop(folder: Path, group: str) -> Measurement:
    """One kernel file is edited, and `make loop` checks it, runs its room's host tests and boots hello."""
    copy = folder / "copy"
    copy.mkdir()
    for name in ("src", "tests", "tools", "examples"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", copy)
    environment = os.environ | {"GOANNA_ACCEL": "tcg"}
    command = [sys.executable, "tools/loop.py", ROOM]
    _seconds(command, copy, environment)  # who edits has built, tested and booted before
    edited = copy / EDITED
    text = edited.read_text()
    if LINE.format(4) not in text:
        raise RuntimeError(f"{EDITED} has no line {LINE.format(4)} any more: choose another to edit")
    edited.write_text(text.replace(LINE.format(4), LINE.format(4 + time.time_ns() % 2**40)))
    seconds = _seconds(command, copy, environment)
    note = f"make loop ROOM={ROOM} after an edit of {Path(EDITED).name}"
    return Measurement(group, "edit, host tests of the room, hello boots", seconds, "s", LOOP_SECONDS, note)


def _seconds(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - start
