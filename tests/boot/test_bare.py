"""An image is all that QEMU needs: it starts on every machine type without any of our tools, and stops the machine.

What is printed is what the program printed. That a program failed can be seen from QEMU's status where the machine has
an isa-debug-exit device.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from goanna.image.reading import read_image
from tests.boot import toolchains
from tests.boot.catalogue import guests

EXPECTED = "hello, standard output\nhello, standard error\nhello, runtime\n"
MACHINES = ["pc", "q35", "microvm", "microvm,acpi=off"]
PROCESSORS = {"default": [], "max": ["-cpu", "max"]}
EXITS = {"plain": [], "debug-exit": ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]}


def start(image: Path, *words: str, limit: float = 240) -> str:
    """What a bare QEMU prints until it ends by itself."""
    return run(image, *words, limit=limit)[0]


def run(image: Path, *words: str, limit: float = 240) -> tuple[str, int]:
    """The same, and its status. -no-reboot: a machine without ACPI can only reset itself."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-no-reboot", "-serial", "stdio"]
    done = subprocess.run(
        [*command, *words, "-kernel", image], capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL
    )
    assert not done.stderr or "warning" in done.stderr
    return done.stdout, done.returncode


@pytest.mark.parametrize("exit_device", EXITS)
@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("machine", MACHINES)
def test_bare_qemu_starts_the_image(
    image: Path, machine: str, processor: str, exit_device: str, processors: int
) -> None:
    words = ["-machine", machine, *PROCESSORS[processor], "-smp", str(processors), *EXITS[exit_device]]
    assert start(image, *words) == EXPECTED


def test_the_kernels_part_of_an_image_is_small(image: Path) -> None:
    assert read_image(image).kernel_size <= 512 << 10


def test_every_processor_model_of_a_decade_starts_it(image: Path, processors: int) -> None:
    for model in ("qemu64", "Nehalem", "SandyBridge", "Haswell", "EPYC"):
        assert start(image, "-machine", "q35", "-smp", str(processors), "-cpu", model) == EXPECTED


# On pc and q35 the firmware works in the memory's end before the kernel runs: in 2 MiB, where the kernel's data lie.
@pytest.mark.parametrize(
    ("machine", "mebibytes"),
    [(machine, size) for machine in MACHINES for size in (2, 3, 4) if size > 2 or machine.startswith("microvm")],
)
def test_too_little_memory_is_named(image: Path, machine: str, mebibytes: int, processors: int) -> None:
    words = ("-machine", machine, "-smp", str(processors), *EXITS["debug-exit"])
    text, status = run(image, *words, "-m", f"{mebibytes}M")
    said = re.search(r"too little memory: the image needs at least (\d+) MiB, the machine has (\d+) MiB", text)
    assert said is not None and int(said[2]) == mebibytes
    assert status == 2 * 125 + 1
    assert run(image, *words, "-m", f"{said[1]}M") == (EXPECTED, 0)


def test_machine_with_much_memory_starts_it(image: Path, processors: int) -> None:
    assert start(image, "-machine", "q35", "-smp", str(processors), "-m", "5G") == EXPECTED


@pytest.mark.parametrize("machine", ["microvm", "q35"])
def test_as_many_processors_as_the_kernel_knows_and_more(image: Path, machine: str) -> None:
    assert start(image, "-machine", machine, "-smp", "16") == EXPECTED
    assert start(image, "-machine", machine, "-smp", "20") == EXPECTED


@pytest.mark.parametrize(("start_part", "end_part"), [(0.01, 0.3), (0.6, 1.0)])
def test_damaged_image_is_told(
    image: Path, tmp_path: Path, start_part: float, end_part: float, processors: int
) -> None:
    """Pages of the program that it touches while it starts, altered: the kernel says so and stops there."""
    data = bytearray(image.read_bytes())
    guest = next(guest for guest in guests() if guest.bare)
    program = toolchains.build_go(guest, toolchains.newest_go()).read_bytes()
    begin = data.find(program[:4096])
    for offset in range(int(len(program) * start_part), int(len(program) * end_part), 4096):
        data[begin + offset] ^= 0x55
    damaged = tmp_path / "damaged.img"
    damaged.write_bytes(data)
    text = start(damaged, "-machine", "microvm", "-smp", str(processors))
    assert "goanna: the image is damaged" in text and EXPECTED.splitlines()[0] not in text
