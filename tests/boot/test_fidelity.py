"""A fidelity run that was broken off goes on where it stopped, and finds what a whole one finds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fidelity import emulated, packages, running
from tests.boot.running import may_mount

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ["container/heap", "errors", "path", "unicode/utf16"]


pytestmark = pytest.mark.skipif(not may_mount(), reason="gives tests surroundings of their own: needs root, mounts")


def _words(keep: Path) -> list[str]:
    return [sys.executable, "-m", "fidelity", "--keep", os.fspath(keep), *PACKAGES]


def _kept(keep: Path) -> dict[str, dict[str, object]]:
    """What a run kept, without the times that it took."""
    found = [json.loads(path.read_text())["packages"] for path in keep.glob("*.json")]
    return {
        each["package"]: {key: value for key, value in each.items() if not key.endswith("_seconds")}
        for packages in found
        for each in packages
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda each: each.name)
def test_a_run_that_was_broken_off_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    keep = tmp_path / "kept"
    process = subprocess.Popen(_words(keep), cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        time.sleep(0.3)  # into the next package
    finally:
        process.send_signal(number)
    rest = process.communicate(timeout=600)[0]
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + signal.SIGINT)
    assert first.startswith("  1/4 container/heap: ") and "have Linux's verdict" not in rest
    begun = _kept(keep)
    assert 1 <= len(begun) < len(PACKAGES)

    done = subprocess.run(_words(keep), cwd=PROJECT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"/{len(PACKAGES) - len(begun)} unicode/utf16: " in done.stdout and "container/heap" not in done.stdout
    whole = tmp_path / "whole"
    assert subprocess.run(_words(whole), cwd=PROJECT, capture_output=True, timeout=900).returncode == 0
    assert sorted(_kept(whole)) == PACKAGES and _kept(keep) == _kept(whole)


@pytest.mark.skipif(not emulated.is_built(), reason="the Linux in QEMU isn't built: a full fidelity run does it")
def test_a_linux_in_the_same_qemu_has_the_same_surroundings(tmp_path: Path) -> None:
    tools = packages.toolchain(None)
    package = packages.Package("internal/poll", tools.root / "src" / "internal" / "poll")
    binary = packages.test_binary(tools, package, tmp_path)
    assert binary is not None
    side = running.emulated_side(tools, emulated.Machine(1, "1G"), tmp_path)
    outcome = running.run_package(
        running.Processes(), side, package, binary, ["TestReadError", "TestRead"], 60, alone=True
    )
    # It has no /dev/net/tun, as an image has none.
    assert outcome.verdicts == {
        "TestReadError": "pass", "TestReadError/ErrNotPollable": "skip", "TestRead": "pass",
        "TestRead/SpecialFile": "pass",
    }  # fmt: skip
