"""The programs that are measured, and their images: built once a run."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from goanna.program.toolchain import find_go

PROJECT = Path(__file__).resolve().parents[1]
GUEST = Path(__file__).with_name("guest")
GOANNA = [sys.executable, "-m", "goanna.cli.main"]
_ZIG = [
    sys.executable,
    "-m",
    "ziglang",
    "cc",
    "-target",
    "x86_64-linux-musl",
    "-static",
    "-fno-sanitize=all",
    "-O2",
    "-s",
]


@cache
def hello(folder: Path) -> Path:
    """examples/hello, as go build makes it."""
    return _go(PROJECT / "examples" / "hello", folder / "hello")


@cache
def httpd(folder: Path) -> Path:
    """examples/httpd, which opens sockets."""
    return _go(PROJECT / "examples" / "httpd", folder / "httpd")


@cache
def network(folder: Path) -> Path:
    """guest/network: a web server and other ends of loads."""
    return _go(GUEST / "network", folder / "network")


@cache
def now(folder: Path) -> Path:
    """tests/guest/now: 200,000 readings of the clock."""
    return _go(PROJECT / "tests" / "guest" / "now", folder / "now")


@cache
def streams(folder: Path) -> Path:
    """tests/guest/streams: much to and from the standard streams."""
    return _go(PROJECT / "tests" / "guest" / "streams", folder / "streams")


def _go(package: Path, target: Path) -> Path:
    environment = os.environ | {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64"}
    subprocess.run([str(find_go()), "build", "-o", target, "."], cwd=package, env=environment, check=True)
    return target


@cache
def counts(folder: Path) -> Path:
    """guest/counts.c."""
    subprocess.run([*_ZIG, "-pthread", "-o", folder / "counts", GUEST / "counts.c"], check=True)
    return folder / "counts"


@cache
def files(folder: Path) -> Path:
    """guest/files.c."""
    subprocess.run([*_ZIG, "-pthread", "-o", folder / "files", GUEST / "files.c"], check=True)
    return folder / "files"


@cache
def first(folder: Path) -> Path:
    """guest/first.c."""
    subprocess.run([*_ZIG, "-nostdlib", "-o", folder / "first", GUEST / "first.c"], check=True)
    return folder / "first"


@cache
def image(program: Path, *arguments: str) -> Path:
    """An image of a program, built by the command line."""
    target = program.with_name(f"{program.name}{len(arguments)}.img")
    subprocess.run([*GOANNA, "build", "-o", target, program, "--", *arguments], check=True)
    return target


@cache
def large_image(program: Path, megabytes: int) -> Path:
    """An image of a program that is as large as said, for a file that it carries."""
    data = program.with_name("data")
    data.write_bytes(os.urandom(megabytes * 1_000_000 - image(program).stat().st_size))
    target = program.with_name(f"{program.name}-large.img")
    subprocess.run([*GOANNA, "build", "-o", target, "--add", f"{data}:/data", program], check=True)
    return target


@cache
def crowded_image(program: Path, files: int) -> Path:
    """An image of a program and of many small files, a hundred in a folder."""
    folder = program.with_name("many")
    for number in range(files):
        file = folder / f"{number // 100}" / f"{number}"
        if number % 100 == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(b"%d" % number * 40)
    target = program.with_name(f"{program.name}-many.img")
    subprocess.run([*GOANNA, "build", "-o", target, "--add", f"{folder}:/many", program], check=True)
    return target
