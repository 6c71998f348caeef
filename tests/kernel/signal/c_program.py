"""C programs of a test, compiled by the machine's gcc: what Linux itself says."""

import functools
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

needs_linux_oracle = pytest.mark.skipif(
    shutil.which("gcc") is None or platform.system() != "Linux" or platform.machine() != "x86_64",
    reason="needs gcc on x86-64 Linux, whose answers are what is compared with",
)


@functools.cache
def built(source: str) -> Path:
    """The compiled program of a C source."""
    folder = Path(tempfile.mkdtemp(prefix="goanna-test-"))
    (folder / "program.c").write_text(source)
    command = ["gcc", "-O1", "-w", "-static-pie", "-fPIE", "-o", folder / "program", folder / "program.c"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / "program"


def output(source: str) -> str:
    """What a C program prints."""
    return subprocess.run([built(source)], check=True, capture_output=True, text=True, timeout=120).stdout
