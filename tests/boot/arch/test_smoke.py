"""The arch room alone, on the machines and processors that it is for: from PVH entry to user mode, and the end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPECTED = """context 0000000000000077
copied across: 0 left is 0000000000000000
not copied 0000000000000008
control word 000000000000027f
read back 0000123456789abc
calls 0000000000000002
works 0000000000000001
answer 000000000000002a
done"""
MACHINES = ["microvm", "microvm,acpi=off", "microvm,rtc=on,isa-serial=on", "q35", "pc"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    path = tmp_path_factory.mktemp("smoke") / "smoke.elf"
    subprocess.run(
        [sys.executable, "-m", "tests.boot.arch.smoke", path], check=True, env=os.environ | {"GOANNA_ARCH": "x86_64"},
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    return path


def boot(kernel, *arguments, expected=None):
    done = subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
         "-serial", "stdio", "-kernel", kernel, *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    if expected is not None:
        assert expected in done.stdout
        return done.returncode, {}
    assert set(EXPECTED.splitlines()) <= set(lines), done.stdout + done.stderr
    return done.returncode, dict(line.rsplit(" ", 1) if " " in line else (line, "") for line in lines)


@pytest.mark.parametrize("machine", MACHINES)
def test_it_boots_and_stops_by_the_machines_own_means(kernel, machine, processors):
    status, values = boot(kernel, "-M", machine, "-m", "8", "-smp", str(processors), "-append", "no-debug-exit")
    assert status == 0
    assert int(values["processors"], 16) == processors
    assert ("rested" in values) == (processors == 2)


@pytest.mark.parametrize("machine", MACHINES)
def test_all_features_four_processors_and_memory_above_4_gib(kernel, machine):
    status, values = boot(
        kernel, "-M", machine, "-m", "5G", "-smp", "4", "-cpu", "max", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
    )  # fmt: skip
    assert status == 1
    assert int(values["processors"], 16) == 4
    assert int(values["turns"], 16) == 4 * 2000
    assert int(values["entropy"], 16) == 1
    assert int(values["refused"], 16) == 1
    assert int(values["vector state"], 16) > 512
    assert int(values["memory"], 16) > 4.99 * 2**30


def test_the_timer_is_on_time(kernel, processors):
    # Never early; a busy computer makes it late once, but not each time.
    late = []
    while len(late) < 5 and (not late or late[-1] >= 20_000_000):
        _, values = boot(kernel, "-M", "microvm", "-m", "16", "-smp", str(processors), "-append", "no-debug-exit")
        late.append(int(values["timer ns"], 16))
        assert late[-1] >= 2_000_000
    assert min(late) < 20_000_000


@pytest.mark.parametrize(
    ("how", "vector", "address"),
    [
        ("null", 14, 8), ("write-text", 14, None), ("write-text-direct", 14, None), ("run-data", 14, None),
        ("run-direct", 14, None), ("start-code", 14, 0x100000), ("beyond", 14, None), ("overflow", 8, None),
    ],
)  # fmt: skip
def test_what_the_kernel_must_not_do_faults(kernel, how, vector, address, processors):
    text = f"KERNEL FAULT {vector:016x}\n" + ("" if address is None else f"at {address:016x}\n")
    boot(kernel, "-M", "microvm", "-m", "16", "-smp", str(processors), "-append", how, expected=text)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_lock_that_somebody_held_does_not_keep_the_machine_on(kernel, machine, processors):
    status, _ = boot(kernel, "-M", machine, "-m", "16", "-smp", str(processors), "-append", "locks", expected="locked")
    assert status == 0


def test_a_failure_reaches_an_exit_device_that_nobody_announced(kernel, processors):
    more = ("-smp", str(processors), "-device", "isa-debug-exit,iobase=0xf4,iosize=4")
    status, _ = boot(kernel, "-M", "microvm", "-m", "16", "-append", "locks", *more, expected="locked")
    assert status == 3 * 2 + 1
