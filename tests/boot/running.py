"""Runs a built guest on Linux and in a booted image, both to their end or their time limit, and gives what they said.

Standard output and error are one stream, in the order written, because the image's console is one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.cli.guest import DEFAULT_PATH
from tests.boot.catalogue import OutsideSignal, Run

# What a booted machine may take more than the program itself: QEMU's start and the kernel's, on a busy computer.
BOOT_ALLOWANCE = 150.0
GOANNA = [sys.executable, "-m", "goanna.cli.main"]


@dataclass(frozen=True)
class Outcome:
    """How a program ended: its status (128 + n for signal n, None if it had to be stopped) and what it printed."""

    status: int | None
    output: str


def may_mount() -> bool:
    """Whether this computer's Linux lets a process have mounts of its own."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def on_linux(program: Path, run: Run) -> Outcome:
    """The program as a process of this computer, with the variables of a program in an image and those of the run."""
    home = "/root" if os.getuid() == 0 and run.user is None else "/"  # the image knows no other user
    environment = {"PATH": os.fsdecode(DEFAULT_PATH), "HOME": home, **run.environment}
    if run.user is None or os.getuid() != 0:
        return outcome_of([str(program), *run.arguments], environment, run.input, run.signal, run.timeout)
    with TemporaryDirectory() as folder:  # where that user may go
        os.chmod(folder, 0o755)
        copy = shutil.copy(program, folder)
        os.chmod(copy, 0o755)
        return outcome_of([copy, *run.arguments], environment, run.input, run.signal, run.timeout, run.user)


def goanna_command(program: Path, run: Run, processors: int) -> list[str]:
    """The command line that boots the program as the run asks."""
    words = ["run", "-m", f"{run.memory}M", "-c", str(processors), "--machine", run.machine]
    if os.getuid() != 0:  # the same rights as on Linux
        words += ["--user", f"{os.getuid()}:{os.getgid()}"]
    elif run.user is not None:
        words += ["--user", f"{run.user}:{run.user}"]
    for key, value in run.environment.items():
        words += ["-e", f"{key}={value}"]
    return [*GOANNA, *words, str(program), "--", *run.arguments]


def in_image(program: Path, run: Run, processors: int) -> Outcome:
    """The program in an image of its own, booted by the real command line, under emulation unless told otherwise."""
    environment = {"GOANNA_ACCEL": "tcg"} | dict(os.environ)
    command = goanna_command(program, run, processors)
    return outcome_of(command, environment, run.input, run.signal, run.timeout + BOOT_ALLOWANCE)


def outcome_of(
    command: list[str],
    environment: dict[str, str],
    given: bytes,
    sent: OutsideSignal | None,
    limit: float,
    user: int | None = None,
) -> Outcome:
    """How a command ends that gets `given` on standard input; it is stopped after `limit` seconds. `user`: whom it runs
    as, and that user's group, if it isn't who runs the tests.
    """
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        umask=0o022,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    assert process.stdin is not None and process.stdout is not None
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        _end(process)

    def feed() -> None:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a program may end without reading it
            process.stdin.write(given)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()

    timer = threading.Timer(limit, stop)
    timer.start()
    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        output = bytearray()
        for line in process.stdout:
            output += line
            if sent is not None and sent.after.encode() in line:
                process.send_signal(signal.Signals[sent.name])
                sent = None
        process.wait()
    finally:
        timer.cancel()
        _end(process)
        feeder.join()
    text = output.decode("utf-8", "backslashreplace")
    if stopped.is_set():
        return Outcome(None, text + f"\n[stopped after {limit} s]\n")
    code = process.returncode
    return Outcome(128 - code if code < 0 else code, text)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the command and everything it started: they share a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
