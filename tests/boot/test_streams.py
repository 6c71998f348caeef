"""Standard input, output and error of a program in an image: byte for byte, apart, to their end, at any speed of either
side, over every form of the virtio console and over the serial ports.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import guests
from tests.boot.running import GOANNA
from tests.boot.test_bare import EXPECTED, run

ENVIRONMENT = {"GOANNA_ACCEL": "tcg"} | dict(os.environ)
MACHINES = ["microvm", "q35", "pc"]
MEGABYTE = 1_000_000


@pytest.fixture(scope="session")
def program() -> Path:
    guest = next(guest for guest in guests() if guest.name == "streams")
    return toolchains.build_go(guest, toolchains.newest_go())


def command(program: Path, *arguments: str, machine: str = "microvm", processors: int = 1) -> list[str]:
    return [*GOANNA, "run", "--machine", machine, "-c", str(processors), str(program), "--", *arguments]


def start(program: Path, *arguments: str, **streams: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(program, *arguments), env=ENVIRONMENT, **streams)


@pytest.mark.parametrize("machine", MACHINES)
def test_both_streams_carry_every_byte_and_stay_apart(program: Path, machine: str, processors: int) -> None:
    words = ["interleaved", "100"]
    expected = subprocess.run([program, *words], capture_output=True, check=True)
    assert set(expected.stdout) == set(range(256))
    done = subprocess.run(
        command(program, *words, machine=machine, processors=processors),
        env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=240,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, expected.stdout, expected.stderr)


def test_in_one_file_both_streams_keep_their_order(program: Path, tmp_path: Path) -> None:
    words = ["interleaved", "100"]
    here, there = tmp_path / "here", tmp_path / "there"
    with here.open("wb") as file:
        subprocess.run([program, *words], stdout=file, stderr=file, check=True)
    with there.open("wb") as file:
        subprocess.run(command(program, *words), env=ENVIRONMENT, stdout=file, stderr=file, check=True, timeout=240)
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 4096, 100 * MEGABYTE])
def test_input_arrives_whole_and_to_its_end(program: Path, tmp_path: Path, size: int) -> None:
    source = tmp_path / "input"
    block = os.urandom(MEGABYTE)
    data = (block * (size // MEGABYTE + 1))[:size]
    source.write_bytes(data)
    with source.open("rb") as file:
        done = subprocess.run(
            command(program, "digest", "0"), env=ENVIRONMENT, stdin=file, capture_output=True, timeout=240, text=True
        )
    assert done.stdout.split()[:2] == [str(size), hashlib.sha256(data).hexdigest()]


def test_a_program_that_reads_late_loses_no_input_and_holds_its_writer_back(program: Path) -> None:
    with start(program, "digest", "3000", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        data = os.urandom(MEGABYTE) * 8
        sent, deadline = 0, time.monotonic() + 2
        while time.monotonic() < deadline:
            try:
                sent += os.write(process.stdin.fileno(), data[sent:])
            except BlockingIOError:
                time.sleep(0.02)
        assert sent < len(data) // 2
        os.set_blocking(process.stdin.fileno(), True)
        process.stdin.write(data[sent:])
        process.stdin.close()
        assert process.stdout.read().split()[:2] == [b"%d" % len(data), hashlib.sha256(data).hexdigest().encode()]
        assert process.wait(120) == 0


@pytest.mark.parametrize("stream", ["output", "error"])
def test_a_slow_reader_loses_nothing_and_holds_the_program_back(program: Path, stream: str) -> None:
    size = 400 * 65536
    ends = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(program, stream, str(size), **ends) as process:
        bulk, told = (process.stdout, process.stderr) if stream == "output" else (process.stderr, process.stdout)
        assert bulk is not None and told is not None
        first = bulk.read(16)
        time.sleep(3)
        assert process.poll() is None
        data = first + bulk.read()
        assert data == b"0123456789abcdef" * (size // 16)
        assert int(told.read()) >= 2000  # ms: it was held back
        assert process.wait(120) == 0


def test_the_last_bytes_reach_a_reader_that_comes_after_the_program_has_ended(program: Path) -> None:
    with start(program, "output", str(12 * 65536), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        time.sleep(6)
        assert process.stdout is not None
        assert len(process.stdout.read()) == 12 * 65536
        assert process.wait(120) == 0


def test_a_signal_ends_a_program_whose_output_nobody_reads(program: Path) -> None:
    with start(program, "output", str(100 * MEGABYTE), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.read(16)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        process.stdout.read()
        assert process.wait(120) in (2, 130)


CONSOLES = {
    "microvm, legacy": ["-machine", "microvm", "-device", "virtio-serial-device"],
    "microvm, modern": [
        "-machine", "microvm", "-global", "virtio-mmio.force-legacy=false", "-device", "virtio-serial-device",
    ],
    "q35, transitional": ["-machine", "q35", "-device", "virtio-serial-pci"],
    "pc, modern": ["-machine", "pc", "-device", "virtio-serial-pci,disable-legacy=on"],
    "pc, legacy": ["-machine", "pc", "-device", "virtio-serial-pci,disable-modern=on"],
}  # fmt: skip


@pytest.mark.parametrize("machine", CONSOLES)
def test_a_bare_machine_prints_on_a_virtio_console_if_told_to(image: Path, tmp_path: Path, machine: str) -> None:
    printed = tmp_path / "printed"
    words = ["-chardev", f"file,id=c,path={printed}", *CONSOLES[machine], "-device", "virtconsole,chardev=c"]
    serial, _ = run(image, *words, "-append", "console=virtio")
    assert (serial, printed.read_text()) == ("", EXPECTED)


@pytest.mark.parametrize("machine", CONSOLES)
def test_without_being_told_or_without_a_port_for_it_the_serial_port_is_used(image: Path, machine: str) -> None:
    words = ["-chardev", "null,id=c", *CONSOLES[machine], "-device", "virtconsole,chardev=c"]
    assert run(image, *words)[0] == EXPECTED
    assert run(image, *CONSOLES[machine], "-append", "console=virtio")[0].endswith(EXPECTED)
