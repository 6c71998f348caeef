"""How fast a program's streams are: so many bytes written to standard output and error, and read from standard input,
through `goanna run` under emulation, timed in the guest by the program itself.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks import programs
from benchmarks.programs import GOANNA
from benchmarks.result import Measurement

MEGABYTES = 200
RATE = 50  # megabytes a second, the least
ROUNDS = 3
NO_PEER = "Linux not measured: linux.config has no driver of virtio consoles, and a serial port is no equal of one"


def stream_times(folder: Path) -> Iterator[Measurement]:
    """Each stream, to and from pipes."""
    image = programs.image(programs.streams(folder))
    for name, word in (("standard output", "output"), ("standard error", "error"), ("standard input", "discard")):
        samples = [_seconds(image, word) for _ in range(ROUNDS)]
        value = statistics.median(samples)
        note = f"{MEGABYTES / value:.0f} MB/s; {NO_PEER}"
        yield Measurement("streams", f"{MEGABYTES} MB of {name}", value, "s", MEGABYTES / RATE, note, samples)


def _seconds(image: Path, word: str) -> float:
    size = MEGABYTES * 1_000_000
    process = subprocess.Popen(
        [*GOANNA, "run", str(image), "--", word, str(size)],
        env={"GOANNA_ACCEL": "tcg"} | dict(os.environ),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    if word == "discard":
        block = bytes(1 << 20)
        for start in range(0, size, len(block)):
            process.stdin.write(block[: size - start])
    process.stdin.close()
    bulk, told = (process.stdout, process.stderr) if word == "output" else (process.stderr, process.stdout)
    while bulk.read(1 << 20):
        pass
    return int(told.read().split()[-1]) / 1000
