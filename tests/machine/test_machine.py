"""The life of a machine, on real machines whose kernel is a stub: ports, records, signals, ends."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from goanna.image.elf import write_image
from goanna.image.erofs import File, Folder
from goanna.image.layout import Launch
from goanna.kernel.shared import control
from goanna.layouts import packed
from tests import programs, stub

# Runs the machine in a process of its own, as the command does: it owns the standard streams and the signals.
_RUNNER = """
import sys
from pathlib import Path
from goanna.failure import Failure
from goanna.image.reading import read_image
from goanna.machine.information import runner_information
from goanna.machine.life import Start, live
from goanna.machine.qemu import MachineType, Settings, find_qemu
image = Path(sys.argv[1])
settings = Settings(machine=MachineType(sys.argv[2]), memory=32 << 20)
timeout = float(sys.argv[3])
verbose = sys.argv[4] == "verbose"
information = runner_information(read_image(image), None, {})
try:
    start = Start(image=image, information=information, settings=settings, timeout=timeout, verbose=verbose)
    sys.exit(live(find_qemu(), start))
except Failure as failure:
    print(failure, file=sys.stderr)
    sys.exit(failure.status)
"""


def image_of(folder: Path, steps: Sequence[str]) -> Path:
    image = folder / "stub.img"
    tree = Folder()
    tree.add("/bin/program", File(data=programs.elf(), mode=0o755))
    launch = Launch(path=b"/bin/program", arguments=[b"/bin/program"], environment={})
    write_image(image, stub.build_stub(folder, steps), tree, launch)
    return image


def start(folder: Path, steps: Sequence[str], machine: str = "microvm", timeout: float = 120, verbose: str = "quiet",
          stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:  # fmt: skip
    command = [sys.executable, "-c", _RUNNER, str(image_of(folder, steps)), machine, str(timeout), verbose]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(folder: Path, steps: Sequence[str], machine: str = "microvm", timeout: float = 120, verbose: str = "quiet",
        given: bytes = b"") -> tuple[int, bytes, bytes]:  # fmt: skip
    process = start(folder, steps, machine, timeout, verbose, subprocess.PIPE)
    output, errors = process.communicate(given, timeout=240)
    return process.returncode, output, errors


@pytest.mark.parametrize("machine", ["microvm", "q35", "pc"])
def test_output_and_status_come_through(tmp_path: Path, machine: str) -> None:
    steps = [stub.listening(), stub.console(b"hello\n\x00\xff"), stub.exit_with(7)]
    assert run(tmp_path, steps, machine) == (7, b"hello\n\x00\xff", b"")


@pytest.mark.parametrize("status", [0, 1, 2, 125, 200, 255])
def test_every_status_is_the_programs(tmp_path: Path, status: int) -> None:
    assert run(tmp_path, [stub.exit_with(status)])[0] == status


def test_death_by_signal_is_128_and_the_signal(tmp_path: Path) -> None:
    steps = [stub.tell(control.DEATH, packed(control.Death, signal=11)), stub.stop()]
    assert run(tmp_path, steps) == (128 + 11, b"", b"")


def test_panic_is_printed_and_is_125(tmp_path: Path) -> None:
    steps = [stub.tell(control.PANIC, b"panic: index 5 of 5\n  file.py:3"), stub.stop()]
    assert run(tmp_path, steps) == (125, b"", b"panic: index 5 of 5\n  file.py:3\n")


def test_memory_that_ran_out_is_named(tmp_path: Path) -> None:
    told = packed(control.MemoryOut, available=64 << 20, committed=60 << 20)
    steps = [
        stub.tell(control.MEMORY_OUT, told),
        stub.tell(control.DEATH, packed(control.Death, signal=9)),
        stub.stop(),
    ]
    status, output, errors = run(tmp_path, steps)
    assert (status, output) == (137, b"")
    assert b"64M" in errors and b"60M" in errors and b"-m" in errors


def test_input_reaches_the_console_and_its_end_the_control_channel(tmp_path: Path) -> None:
    end = len(packed(control.RecordHeader)) + len(packed(control.InputEnd))
    steps = [stub.listening(), stub.echo_console(5), stub.print_control(end), stub.exit_with(0)]
    status, output, _ = run(tmp_path, steps, given=b"abcde")
    header = packed(control.RecordHeader, kind=control.INPUT_END, length=8)
    assert (status, output) == (0, b"abcde" + header + packed(control.InputEnd, count=5))


def test_error_output_keeps_its_place_among_the_consoles_bytes(tmp_path: Path) -> None:
    def error(position: int, text: bytes) -> str:
        return stub.tell(control.ERROR_OUTPUT, packed(control.Output, position=position) + text)

    steps = [error(0, b"1"), stub.console(b"2"), error(1, b"3"), stub.console(b"45"), error(3, b"6"), stub.exit_with(0)]
    image = image_of(tmp_path, steps)
    command = [sys.executable, "-c", _RUNNER, str(image), "microvm", "120", "quiet"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240
    )
    assert done.stdout == b"123456"


def test_signal_becomes_a_record(tmp_path: Path) -> None:
    size = len(packed(control.RecordHeader)) + len(packed(control.Signal))
    steps = [stub.listening(), stub.console(b"!"), stub.print_control(size), stub.exit_with(3)]
    process = start(tmp_path, steps, stdin=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.read(1) == b"!"
    process.send_signal(signal.SIGTERM)
    header = packed(control.RecordHeader, kind=control.SIGNAL, length=4)
    assert process.stdout.read(size) == header + packed(control.Signal, number=15)
    process.communicate(timeout=120)
    assert process.returncode == 3


def test_interrupt_key_of_the_terminal_becomes_a_signal(tmp_path: Path) -> None:
    size = len(packed(control.RecordHeader)) + len(packed(control.Signal))
    steps = [stub.listening(), stub.console(b"!"), stub.print_control(size), stub.exit_with(3)]
    command = [sys.executable, "-c", _RUNNER, str(image_of(tmp_path, steps)), "microvm", "120", "quiet"]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    before = termios.tcgetattr(terminal)
    shown = os.read(terminal, 1)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):  # a terminal whose last user is gone gives an error, not an end
        while data := os.read(terminal, 100):
            shown += data
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    record = packed(control.RecordHeader, kind=control.SIGNAL, length=4) + packed(control.Signal, number=2)
    assert shown.replace(b"^C", b"") == b"!" + record
    assert termios.tcgetattr(terminal) == before
    os.close(terminal)


def test_line_typed_at_the_terminal_is_input(tmp_path: Path) -> None:
    steps = [stub.listening(), stub.console(b"?"), stub.echo_console(3), stub.exit_with(0)]
    command = [sys.executable, "-c", _RUNNER, str(image_of(tmp_path, steps)), "microvm", "120", "quiet"]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    shown = os.read(terminal, 1)
    os.write(terminal, b"ab\n")
    with contextlib.suppress(OSError):
        while data := os.read(terminal, 100):
            shown += data
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shown.replace(b"\r", b"") == b"?ab\nab\n"


def test_signal_that_is_repeated_to_deaf_ears_ends_the_machine(tmp_path: Path) -> None:
    process = start(tmp_path, [stub.listening(), stub.console(b"!"), stub.hang()], timeout=120)
    assert process.stdout is not None and process.stdout.read(1) == b"!"
    # Two that come before the first is heard are one, as may be on a busy computer: then the third time isn't the last.
    for patience in (0.5, 0.5, 60, 60):
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT


def test_signal_before_the_guest_listens_ends_the_machine(tmp_path: Path) -> None:
    process = start(tmp_path, [stub.console(b"!"), stub.hang()], timeout=120)
    assert process.stdout is not None and process.stdout.read(1) == b"!"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM


def test_time_that_is_up_stops_the_machine(tmp_path: Path) -> None:
    # Time enough to come to its words on a busy computer.
    status, output, errors = run(tmp_path, [stub.console(b"so far"), stub.hang()], timeout=4)
    assert (status, output) == (124, b"so far")
    assert b"4 s" in errors


def test_verbose_timeout_says_where_the_processor_stood(tmp_path: Path) -> None:
    errors = run(tmp_path, [stub.hang()], timeout=4, verbose="verbose")[2]
    assert b"IP=" in errors and b"HLT=1" in errors


def test_kernel_that_told_the_end_and_hangs_is_ended(tmp_path: Path) -> None:
    steps = [stub.tell(control.EXIT, packed(control.Exit, status=9)), stub.hang()]
    assert run(tmp_path, steps) == (9, b"", b"")


def test_reset_without_a_word_is_goannas_failure(tmp_path: Path) -> None:
    status, output, errors = run(tmp_path, [stub.console(b"x"), stub.triple_fault()])
    assert (status, output) == (125, b"x")
    assert b"without saying" in errors


def test_record_that_is_too_short_is_goannas_failure(tmp_path: Path) -> None:
    status, _, errors = run(tmp_path, [stub.tell(control.EXIT, b"\1"), stub.stop()])
    assert status == 125 and b"too short" in errors


def test_output_that_nobody_reads_any_more_ends_the_machine(tmp_path: Path) -> None:
    steps = [stub.console(b"x" * 10), "6:", stub.console(b"y"), "    jmp 6b"]
    process = start(tmp_path, steps, timeout=120)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(120) == 128 + signal.SIGPIPE


def test_machine_goes_when_its_runner_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, [stub.console(b"!"), stub.hang()], timeout=120)
    assert process.stdout is not None and process.stdout.read(1) == b"!"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.communicate(timeout=120)
    deadline = time.monotonic() + 120
    while any(os.path.exists(f"/proc/{child}/exe") for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert children and not any(os.path.exists(f"/proc/{child}/exe") for child in children)
