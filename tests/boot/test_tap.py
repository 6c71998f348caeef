"""Linux's own stack in a network namespace speaks with a machine over a tap device, by IPv4 and IPv6: `goanna run --net
tap=`, and each form of virtio with all that it can do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.namespace import TAP, Namespace, why_not
from tests.boot.running import GOANNA
from tests.boot.test_network import program
from tests.boot.wire import Machine

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


DEVICE = "netdev=n0,mac=52:54:00:00:00:02,mq=on"
FORMS = {
    "microvm, legacy": ["-machine", "microvm", "-device", f"virtio-net-device,{DEVICE}"],
    "microvm, modern": ["-machine", "microvm", "-global", "virtio-mmio.force-legacy=false",
                        "-device", f"virtio-net-device,{DEVICE}"],
    "q35, modern": ["-machine", "q35", "-device", f"virtio-net-pci,disable-legacy=on,vectors=6,romfile=,{DEVICE}"],
    "pc, legacy": ["-machine", "pc", "-device", f"virtio-net-pci,disable-modern=on,vectors=6,romfile=,{DEVICE}"],
}  # fmt: skip


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tap") / "network.img"
    subprocess.run([*GOANNA, "build", "-o", path, program()], check=True)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_two_processors_have_queues_each_and_the_device_does_their_work(
    image: Path, tmp_path: Path, form: str
) -> None:
    namespace = Namespace(f"{LINUX}/24", f"{LINUX6}/64", queues=True)
    machine = None
    try:
        words = ["-smp", "2", "-netdev", f"tap,id=n0,ifname={TAP},script=no,downscript=no,queues=2", *FORMS[form]]
        append = f"verbose net=address={MACHINE}/24,address={MACHINE6}/64"
        machine = Machine(image, words, tmp_path, append, prefix=namespace.prefix)
        machine.wait("ready")
        said = "eth0: virtio, 2 queue pairs, checksums, segmentation, large receive, merged buffers, event index"
        assert said in machine.text
        for address in (MACHINE, MACHINE6):
            namespace.peer("ping", address, "20000")
            print(namespace.peer("echoes", address, "9000", str(1 << 20), "8"))
    finally:
        if machine is not None:
            machine.stop()
        namespace.close()


CARDS = {
    "pc, e1000": ["-machine", "pc", "-device", "e1000,romfile=,netdev=n0,mac=52:54:00:00:00:02,id=d0"],
    "pc, 82545em": ["-machine", "pc", "-device", "e1000-82545em,romfile=,netdev=n0,mac=52:54:00:00:00:02,id=d0"],
    "q35, e1000": ["-machine", "q35", "-device", "e1000,romfile=,netdev=n0,mac=52:54:00:00:00:02,id=d0"],
    "q35, e1000e": ["-machine", "q35", "-device", "e1000e,romfile=,netdev=n0,mac=52:54:00:00:00:02,id=d0"],
}


@pytest.mark.parametrize("form", CARDS)
def test_a_machine_without_virtio(image: Path, tmp_path: Path, namespace: Namespace, form: str) -> None:
    words = ["-smp", "2", "-netdev", f"tap,id=n0,ifname={TAP},script=no,downscript=no", *CARDS[form]]
    append = f"verbose net=address={MACHINE}/24,address={MACHINE6}/64"
    machine = Machine(image, words, tmp_path, append, prefix=namespace.prefix)
    try:
        machine.wait("ready")
        for address in (MACHINE, MACHINE6):
            namespace.peer("ping", address, "0")
            namespace.peer("ping", address, "20000")
            print(namespace.peer("echoes", address, "9000", str(1 << 20), "4"))
        machine.set_link("d0", False)
        time.sleep(0.5)
        machine.set_link("d0", True)
        namespace.peer("ping", MACHINE, "56")
    finally:
        machine.stop()
