"""The inner loop of work on the kernel: is the edit right, do the host tests of its room pass, does hello boot?

    python tools/loop.py ROOM      ROOM is a folder of tests/kernel, file or net/tcp; `make loop ROOM=file` is the same

Three steps run beside each other: a check of every function of the kernel, reached or not, which shows a mistake after
a second or two; the build of the kernel and the boot; the tests, whose properties are tried with a part of the examples
that `make unit` draws. Each says how long it took and, if it failed, all that it had to say; the first failure ends the
others. The status is 0 if all is well.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = PROJECT / "tests" / "kernel"
WORKERS = 2
# Properties are tried with one in so many of their examples; `make unit` tries all.
PART = 4
BOOT_SECONDS = 60


class Step:
    """A command that runs."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name, self._start = name, time.perf_counter()
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the step)
        # A session of its own: what it starts can be ended with it.
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=PROJECT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=self._output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def ended(self) -> bool:
        """Whether it has ended; then how it went has been said."""
        status = self._process.poll()
        if status is None:
            return False
        seconds = time.perf_counter() - self._start
        lines = self._said()
        if status != 0:
            print("\n".join(lines))
        print(f"{self.name:<8} {seconds:5.1f} s  {'failed' if status else lines[-1] if lines else ''}", flush=True)
        return True

    def _said(self) -> list[str]:
        self._output.seek(0)
        return self._output.read().decode(errors="replace").rstrip().splitlines()

    @property
    def failed(self) -> bool:
        """Whether it has ended, and not well."""
        return self._process.returncode not in (None, 0)

    def stop(self) -> None:
        """End it, and all that it started, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run(*steps: Step) -> bool:
    """Wait for steps that run beside each other. False as soon as one fails; the others are ended then."""
    left = list(steps)
    try:
        while left:
            ended = [each for each in left if each.ended()]
            if any(each.failed for each in ended):
                return False
            left = [each for each in left if each not in ended]
            time.sleep(0.01)
    finally:
        for each in left:
            each.stop()
    return True


def loop(room: str) -> bool:
    """All steps for a room of the kernel: whether they went well."""
    source = os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])
    environment = {"PYTHONPATH": source, "GOANNA_ARCH": "host", "GOANNA_EXAMPLES_PART": str(PART)}
    check = ["-m", "goanna.kernel.check"]
    spread = ["-n", str(WORKERS), "--dist", "worksteal"]
    tests = ["-m", "pytest", "-q", "-x", *spread, "-p", "no:cacheprovider", str(ROOMS / room)]
    hello = ["-m", "goanna.cli.main", "run", "--timeout", str(BOOT_SECONDS), str(PROJECT / "examples" / "hello")]
    # What only the machine has is checked by the build.
    commands = {"check": check, "hello": hello, "tests": tests}
    return run(*(Step(name, command, environment) for name, command in commands.items()))


def main() -> int:
    """The command; gives the exit status."""
    rooms = sorted({str(each.parent.relative_to(ROOMS)) for each in ROOMS.glob("*/**/test_*.py")})
    if len(sys.argv) != 2 or sys.argv[1] not in rooms:
        print(f"usage: make loop ROOM=name, one of: {' '.join(rooms)}", file=sys.stderr)
        return 2
    print(f"properties are tried with one in {PART} of the examples that make unit draws", flush=True)
    start = time.perf_counter()
    well = loop(sys.argv[1])
    print(f"{'all' if well else 'ended':<8} {time.perf_counter() - start:5.1f} s")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
