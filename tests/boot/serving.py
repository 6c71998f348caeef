"""A program under `goanna run` that serves: its ports lead to free ones of this computer."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.boot.running import GOANNA


@contextlib.contextmanager
def goanna_run(
    *words: str, ready: str, environment: dict[str, str] | None = None, folder: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, int]]]:
    """`goanna run` with these words, once a line that begins with `ready` was printed; and the ports of this computer
    by what they lead to ("8080/tcp"), for each -p that names none."""
    variables = {"GOANNA_ACCEL": "tcg"} | dict(os.environ) | (environment or {})
    process = subprocess.Popen(
        [*GOANNA, "run", *words], env=variables, cwd=folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    ports = {}
    said = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            found = re.fullmatch(r"goanna: [\d.]+:(\d+) leads to port (\S+)\n", line)
            if found is not None:
                ports[found[2]] = int(found[1])
            if line.startswith(ready):
                break
        else:
            raise AssertionError(f"the program ended with {process.wait()}:\n{said}")
        yield process, ports
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
