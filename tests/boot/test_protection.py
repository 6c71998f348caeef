"""What keeps an attacker out, in a running machine: nothing writable can be run, the processor guards the kernel's own
accesses, and a program's parts lie elsewhere in each run.

QEMU's monitor says what the processor's registers and page tables hold while a program rests.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import GUESTS, Guest
from tests.boot.running import GOANNA

WP, UMIP, SMEP, SMAP, NXE = 1 << 16, 1 << 11, 1 << 20, 1 << 21, 1 << 11
PROMPT = b"(qemu) "
# A line of `info tlb`: virtual and physical address, flags of which the first is X for no-execute and the last W.
MAPPING = re.compile(r"^([0-9a-f]{16}): [0-9a-f]{16} ([-X])[-\w]{7}([-W])\r?$", re.MULTILINE)
KERNEL = 1 << 63


class Monitor:
    """A bare machine whose program rests, and QEMU's monitor."""

    def __init__(self, image: Path, printed: Path, processors: int) -> None:
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-machine", "microvm", "-nodefaults",
            "-display", "none", "-smp", str(processors), "-serial", f"file:{printed}", "-monitor", "stdio",
            "-kernel", image,
        ]  # fmt: skip
        self.machine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 240
        while not (printed.exists() and b"ready\n" in printed.read_bytes()):
            assert time.monotonic() < deadline and self.machine.poll() is None
            time.sleep(0.05)
        self.answer()

    def answer(self) -> str:
        """What the monitor says until it asks again."""
        assert self.machine.stdout is not None
        said = b""
        while not said.endswith(PROMPT):
            byte = self.machine.stdout.read1(1 << 16)
            assert byte, said
            said += byte
        return said.decode(errors="replace")

    def ask(self, command: str) -> str:
        """The answer to a command."""
        assert self.machine.stdin is not None
        self.machine.stdin.write(f"{command}\n".encode())
        self.machine.stdin.flush()
        return self.answer()

    def end(self) -> None:
        self.machine.kill()
        self.machine.communicate()


@pytest.fixture
def monitor(tmp_path: Path, processors: int):
    guest = Guest("resting", GUESTS / "resting", "go", (), False, ())
    program = toolchains.build_go(guest, toolchains.newest_go())
    subprocess.run([*GOANNA, "build", "-o", tmp_path / "resting.img", program], check=True)
    machine = Monitor(tmp_path / "resting.img", tmp_path / "printed", processors)
    yield machine
    machine.end()


def test_the_processors_guards_are_on(monitor: Monitor, processors: int) -> None:
    said = monitor.ask("info registers -a")
    for register, bits in (("CR0", WP), ("CR4", UMIP | SMEP | SMAP), ("EFER", NXE)):
        values = [int(value, 16) for value in re.findall(rf"{register}=([0-9a-f]+)", said)]
        assert len(values) == processors and all(value & bits == bits for value in values), (register, values)


def test_nothing_writable_can_be_run(monitor: Monitor) -> None:
    said = monitor.ask("info tlb")
    mappings = [(int(address, 16), execute, write) for address, execute, write in MAPPING.findall(said)]
    for half in (True, False):
        part = [each for each in mappings if (each[0] >= KERNEL) == half]
        assert {(execute, write) for _, execute, write in part} == {("-", "-"), ("X", "-"), ("X", "W")}
    assert min(address for address, _, _ in mappings) >= 65536, "the null page and its neighbours"


def test_a_programs_parts_lie_elsewhere_in_each_run(tmp_path: Path, processors: int) -> None:
    (tmp_path / "main.go").write_text(
        'package main\n\nimport "os"\n\nfunc main() {\n\tdata, _ := os.ReadFile("/proc/self/maps")\n'
        "\tos.Stdout.Write(data)\n}\n"
    )
    subprocess.run([*GOANNA, "build", "-buildmode=pie", "-o", "maps.img", "main.go"], cwd=tmp_path, check=True)
    runs = 4
    places: dict[str, list[int]] = {"program": [], "mapping": [], "vdso": [], "stack": []}
    for _ in range(runs):
        command = [*GOANNA, "run", "-c", str(processors), "--timeout", "240", "maps.img"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        lines = [line.split() for line in said.splitlines()]
        starts = [(int(words[0].partition("-")[0], 16), words[5] if len(words) > 5 else "") for words in lines]
        places["program"].append(min(start for start, name in starts if name == "/bin/main"))
        places["mapping"].append(max(start for start, name in starts if name == ""))
        for name in ("vdso", "stack"):
            places[name].append(next(start for start, each in starts if each == f"[{name}]"))
    for name, starts_ in places.items():
        # By many bits: four at random within 1 TiB lie in one GiB once in 10**9 times.
        assert len(set(starts_)) == runs and max(starts_) - min(starts_) > 1 << 30, (name, [*map(hex, starts_)])
