"""What a person sees of a running machine: system calls in words, breakpoints in kernel and program, missed calls."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import guests
from tests.boot.running import GOANNA
from tests.boot.test_bare import EXPECTED

# What hello says on its standard output; the other two lines go to standard error.
PRINTED = EXPECTED.splitlines(keepends=True)[0]


@pytest.fixture(scope="module")
def program() -> Path:
    guest = next(guest for guest in guests() if guest.bare)
    return toolchains.build_go(guest, toolchains.newest_go())


def test_each_call_is_told_in_words(program: Path, processors: int) -> None:
    command = [*GOANNA, "run", "--trace", "-c", str(processors), "--timeout", "240", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, PRINTED)
    for call in (
        r'\d+: write\(1, "hello, standard output\\n", 23\) = 23',
        r'\d+: write\(2, "hello, runtime\\n", 15\) = 15',
        r"\d+: mmap\(NULL, 262144, PROT_READ\|PROT_WRITE, MAP_PRIVATE\|MAP_ANONYMOUS, -1, 0\) = 0x[0-9a-f]+",
        r'\d+: openat\(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", O_RDONLY\) = \d+',
        r"\d+: rt_sigaction\(SIGHUP, .*SA_RESTART.*\) = 0",
        r"\d+: clone\(.*CLONE_VM\|CLONE_FS.*\) = \d+",
        r"\d+: exit_group\(0\) = \?",
    ):
        assert re.search(f"^{call}$", done.stderr, re.MULTILINE), f"{call} is not in:\n{done.stderr}"
    told = [line for line in done.stderr.splitlines(keepends=True) if line not in EXPECTED.splitlines(keepends=True)]
    assert all(re.fullmatch(r"\d+: \w+\(.*\) = .+\n", line) for line in told)


def debugged(program: Path, processors: int, steps: list[str]) -> str:
    """What gdb says, started by the command that Goanna names, when it is told these steps."""
    # Without the signals by which Go preempts: a debugger makes all late, and where it stops should be no handler.
    words = ["run", "--gdb", "-c", str(processors), "--timeout", "480", "-e", "GODEBUG=asyncpreemptoff=1"]
    machine = subprocess.Popen([*GOANNA, *words, program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert machine.stderr is not None
        lines = iter(machine.stderr.readline, "")
        command = shlex.split(next(line for line in lines if line.startswith("  gdb ")))
        more = ["-q", "-nx", "-batch", "-iex", "set remotetimeout 120", "-ex", "set width 0"]
        more += [word for step in steps for word in ("-ex", step)]
        return subprocess.run(
            [*command, *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=450
        ).stdout
    finally:
        machine.kill()
        machine.communicate()


@pytest.fixture(scope="module")
def movable() -> Path:
    guest = next(guest for guest in guests() if guest.name == "pie")
    return toolchains.build_go(guest, toolchains.newest_go())


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_knows_where_a_movable_program_is(movable: Path, processors: int) -> None:
    steps = ["set backtrace past-main on", "hbreak main.main", "continue", "backtrace", "kill"]
    said = debugged(movable, processors, steps)
    assert re.search(r"#0 +main\.main \(\) at .*tests/guest/pie/main\.go:\d+", said), said
    assert re.search(r"#1 .* in runtime\.main \(\) at .*/runtime/proc\.go:\d+", said), said


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_stops_in_the_program_and_in_the_kernel(program: Path, processors: int) -> None:
    steps = ["set backtrace past-main on", "hbreak main.main", "continue", "backtrace"]
    steps += ["hbreak sys_write", "continue", "backtrace", "list", "kill"]
    said = debugged(program, processors, steps)
    assert re.search(r"#0 +main\.main \(\) at .*tests/guest/hello/main\.go:\d+", said), said
    assert re.search(r"#1 .* in runtime\.main \(\) at .*/runtime/proc\.go:\d+", said), said
    assert re.search(r"#0 +sys_write \(descriptor=1, .*count=23\) at .*/kernel/file/\w+\.py:\d+", said), said
    assert re.search(r"#\d .* in dispatch \(.*\) at .*/kernel/syscall/dispatch\.py:\d+", said), said
    call = said.partition("#0  sys_write")[2]
    assert re.search(r"#\d +<signal handler called>\n#\d+ .*internal/runtime/syscall.*Syscall6", call), said
    assert re.search(r"#\d+ .*main\.main \(\) at .*tests/guest/hello/main\.go:\d+", call), said
    assert re.search(r"#\d+ .*runtime\.goexit .*\n(#\d+ +0x0000000000000000 in \?\? \(\)\n)?(?!Backtrace)", call), said
    assert re.search(r"^\d+\tdef sys_write\(", said, re.MULTILINE), said


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose `step` hears how often it was called, while timers fire as fast as they can."""
    folder = tmp_path_factory.mktemp("counter")
    (folder / "main.go").write_text(
        "package main\n\nimport \"time\"\n\n//go:noinline\nfunc step(calls int) int { return calls + 1 }\n\n"
        "func main() {\n\tgo func() {\n\t\tfor range time.NewTicker(50 * time.Microsecond).C {\n\t\t}\n\t}()\n"
        "\tfor calls := 0; ; {\n\t\tcalls = step(calls)\n\t\tfor i := 0; i < 30000; i++ {\n\t\t}\n\t}\n}\n"
    )
    environment = {**os.environ, "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": "amd64", "GO111MODULE": "off"}
    command = [toolchains.newest_go(), "build", "-o", "counter", "main.go"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return folder / "counter"


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_goes_on_from_a_breakpoint_without_stopping_there_again(counter: Path, processors: int) -> None:
    steps = ["hbreak *&'main.step'", "continue", "print calls", "ignore 1 1500", "continue", "print calls", "kill"]
    said = debugged(counter, processors, steps)
    before, after = map(int, re.findall(r"\$\d = (\d+)\n", said))
    assert after - before == 1501, said


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_goes_from_a_page_fault_into_the_program_that_made_it(program: Path, processors: int) -> None:
    user = "hbreak handle_trap if frame.cs == 0x23 && frame.vector == 14"
    steps = ["set backtrace past-main on", "hbreak main.main", "continue", "delete", user, "continue"]
    said = debugged(program, processors, [*steps, "backtrace", "print *frame", "kill"])
    trace = said.partition("#0  handle_trap")[2]
    assert re.search(r"^#1 +<signal handler called>\n#2 .* at .*/\w+\.(go|s):\d+$", trace, re.MULTILINE), said
    assert "#3 " in trace and "Backtrace stopped" not in trace, said
    assert re.search(r"\$1 = \{r15 = \d+, .*vector = 14, code = \d+, rip = \d+, cs = 35, ", trace), said


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_shows_the_start_of_the_kernel_whole_and_steps_by_python_lines(program: Path, processors: int) -> None:
    steps = ["hbreak load_program", "continue", "backtrace", "print *space", "print space->lock.owner", "next", "next"]
    said = debugged(program, processors, [*steps, "step", "step", "info locals", "kill"])
    assert re.search(r"#0 +load_program \(space=0x[0-9a-f]+, .*\) at .*/kernel/exec/load\.py:\d+", said), said
    assert re.search(r"#\d+ .*\bboot_start \(info=.*\) at .*/kernel/arch/x86_64/start\.py:\d+", said), said
    assert re.search(r"#\d+ .*\bfirst_boot_start \(\)\n(?!Backtrace stopped)", said), said
    assert re.search(r"\$1 = \{lock = \{owner = \d+\}, areas = \{.*references = 1\}", said), said
    assert re.search(r"\$2 = \d+\n", said), said
    after = said.partition("$2 = ")[2]
    assert len(set(re.findall(r"^(\d+)\t\s*\S", after, re.MULTILINE))) >= 3, said
    assert re.search(r"^\w+ = ", after, re.MULTILINE), said


def test_calls_that_are_not_there_are_named(tmp_path: Path, processors: int) -> None:
    (tmp_path / "main.go").write_text(
        "package main\n\nimport (\n\t\"fmt\"\n\t\"syscall\"\n)\n\nfunc main() {\n"
        "\tfor _, number := range []uintptr{425, 425, 1 << 20} {\n"
        "\t\t_, _, err := syscall.Syscall(number, 0, 0, 0)\n\t\tfmt.Println(err)\n\t}\n}\n"
    )
    command = [*GOANNA, "run", "-v", "-c", str(processors), "--timeout", "240", tmp_path / "main.go"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "function not implemented\n" * 3)
    assert "not provided: io_uring_setup, asked for 2 times\n" in done.stderr
    assert "not provided: numbers that Linux does not have, asked for 1 times\n" in done.stderr
