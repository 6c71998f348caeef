"""What several rooms' tests need: a Go program, built once a test run; the signals as a person's shell has them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.examples import draw_less

# How long an example takes says how busy the computer is.
settings.register_profile("any computer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any computer")

# With this set, hypothesis draws the same examples in every run of the same tests: a change is then judged by what it
# changed. Without it each run looks further.
if os.environ.get("GOANNA_REPEATABLE"):
    settings.register_profile("repeatable", settings.get_profile("any computer"), derandomize=True)
    settings.load_profile("repeatable")

# With this set to a number, properties are tried with that part of their examples, 4: a quarter.
_PART = int(os.environ.get("GOANNA_EXAMPLES_PART") or "1")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Each test function, when it is found."""
    if _PART > 1:
        draw_less(getattr(item, "obj", None), _PART)


# nohup and background jobs of a shell start the tests with these ignored, and every program that a test starts and then
# interrupts would inherit that.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

HELLO = """package main

import "fmt"

func main() { fmt.Println("hello from go") }
"""


@pytest.fixture(scope="session")
def go() -> str:
    """The Go toolchain."""
    from goanna.program.toolchain import find_go

    return str(find_go())


@pytest.fixture(scope="session")
def hello_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that prints a line."""
    folder = tmp_path_factory.mktemp("hello")
    (folder / "go.mod").write_text("module example.com/hello\n\ngo 1.21\n")
    (folder / "main.go").write_text(HELLO)
    return folder


@pytest.fixture(scope="session")
def build_hello(go: str, hello_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds it with flags of go build and an environment, each combination once."""
    made: dict[object, Path] = {}

    def build(*flags: str, **environment: str) -> Path:
        key = (flags, tuple(environment.items()))
        if key not in made:
            path = tmp_path_factory.mktemp("built") / "hello"
            settings = {"CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64"} | environment
            subprocess.run(
                [go, "build", *flags, "-o", path, "."], cwd=hello_package, env=os.environ | settings, check=True
            )
            made[key] = path
        return made[key]

    return build


def pytest_report_header() -> str:
    """What decides which tests can run."""
    return f"go: {shutil.which('go')}  qemu: {shutil.which('qemu-system-x86_64')}"
