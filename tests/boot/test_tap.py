"""`goanna run --net tap=`: Linux's own stack in a network namespace speaks with a machine, by IPv4 and IPv6."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.namespace import TAP, Namespace, why_not
from tests.boot.running import GOANNA
from tests.boot.test_network import program

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)

LINUX, LINUX6 = "10.77.0.1", "fd77::1"
MACHINE, MACHINE6 = "10.77.0.2", "fd77::2"


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    made = Namespace(f"{LINUX}/24", f"{LINUX6}/64")
    yield made
    made.close()


def started(namespace: Namespace, *words: str, what: Path) -> subprocess.Popen[str]:
    """A machine in a namespace, once its program is ready."""
    environment = {"GOANNA_ACCEL": "tcg"} | dict(os.environ)
    process = subprocess.Popen(
        [*namespace.prefix, *GOANNA, "run", *words, str(what)], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line == "ready\n":
            return process
    raise AssertionError(said)


@pytest.mark.parametrize("kind", ["microvm", "q35", "pc"])
def test_linux_reaches_a_machine_by_a_tap_device(namespace: Namespace, kind: str, processors: int) -> None:
    net = f"tap={TAP},address={MACHINE}/24,address={MACHINE6}/64,gateway={LINUX}"
    process = started(namespace, "--machine", kind, "-c", str(processors), "--net", net, what=program())
    try:
        for address in (MACHINE, MACHINE6):
            for size in (0, 56, 1400, 20_000):
                namespace.peer("ping", address, str(size))
            print(namespace.peer("echo", address, "9000", str(4 << 20)))
        namespace.peer("send", MACHINE6, "9000", "end")
        assert process.wait(30) == 7
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
