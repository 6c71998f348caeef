"""The commands from their words to their effects. The kernel is a stub that prints a line and ends with status 42."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from goanna.cli.main import main
from goanna.failure import CannotRun, Failure
from goanna.image.reading import read_image
from goanna.kernel.build import BuiltKernel
from goanna.kernel.shared.boot import FLAG_SOCKETS
from goanna.machine import qemu
from tests import programs, stub

Goanna = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> BuiltKernel:
    steps = [stub.listening(), stub.console(b"booted\n"), stub.exit_with(42)]
    return stub.build_stub(tmp_path_factory.mktemp("kernel"), steps)


@pytest.fixture
def goanna(
    kernel: BuiltKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Goanna:
    """Runs the command in this process, in an empty folder; gives status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOANNA_ACCEL", "tcg")
    monkeypatch.setattr("goanna.kernel.build.built_kernel", lambda *_, **__: kernel)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["goanna", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


def program(data: bytes | None = None, name: str = "program") -> str:
    programs.write(Path.cwd(), programs.elf() if data is None else data, name)
    return name


def test_run_is_the_program(goanna: Goanna) -> None:
    assert goanna("run", program(), "--timeout", "120") == (42, "booted\n", "")


def test_image_of_a_program_without_sockets_is_not_connected(goanna: Goanna, hello_package: Path) -> None:
    assert goanna("build", "-C", str(hello_package), "-o", "small.img", ".")[0] == 0
    assert goanna("build", "-o", "whole.img", program())[0] == 0
    assert read_image(Path("small.img")).flags & FLAG_SOCKETS == 0
    assert read_image(Path("whole.img")).flags & FLAG_SOCKETS != 0
    for flags in (["-p", "127.0.0.1::80"], ["--net", "user"]):
        status, output, errors = goanna("run", "small.img", *flags)
        assert (status, output) == (125, "") and "no sockets of the Internet" in errors, errors
        assert goanna("run", "whole.img", "--timeout", "120", *flags)[:2] == (42, "booted\n")
    assert goanna("run", "small.img", "--net", "none", "--timeout", "120")[:2] == (42, "booted\n")


def test_run_of_a_package(goanna: Goanna, hello_package: Path) -> None:
    assert goanna("run", str(hello_package), "-C", str(hello_package), "--timeout", "240")[:2] == (42, "booted\n")


def test_build_then_run_the_image(goanna: Goanna) -> None:
    assert goanna("build", program(), "-o", "x.img", "-e", "A=b", "--", "one", "two") == (0, "", "")
    image = read_image(Path("x.img"))
    assert image.arguments == [b"/bin/program", b"one", b"two"] and image.environment[b"A"] == b"b"
    assert goanna("run", "x.img", "--timeout", "120") == (42, "booted\n", "")


def test_image_is_named_after_the_program_and_built_again_the_same(goanna: Goanna) -> None:
    goanna("build", program())
    first = Path("program.img").read_bytes()
    goanna("build", "program")
    assert Path("program.img").read_bytes() == first
    assert sorted(os.listdir()) == ["program", "program.img"]


def test_output_may_be_a_folder(goanna: Goanna) -> None:
    Path("out").mkdir()
    assert goanna("build", program(), "-o", "out")[0] == 0
    assert Path("out/program.img").exists()


def test_image_starts_without_goanna(goanna: Goanna) -> None:
    goanna("build", program())
    for machine in ("pc", "q35", "microvm", "microvm,acpi=off"):
        command = [
            qemu.PROGRAM,
            "-machine",
            machine,
            "-accel",
            "tcg",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ]
        exits = ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        done = subprocess.run(
            [*command, *exits, "-kernel", "program.img"], stdin=subprocess.DEVNULL, capture_output=True, timeout=240
        )
        assert done.stdout.endswith(b"booted\n"), (machine, done)


def test_path_that_can_not_be_written_leaves_nothing(goanna: Goanna) -> None:
    status, _, errors = goanna("build", program(), "-o", "nowhere/x.img")
    assert status == 125 and "nowhere/x.img" in errors and "-o" in errors
    assert sorted(os.listdir()) == ["program"]


def test_full_disk_leaves_the_old_image(goanna: Goanna, monkeypatch: pytest.MonkeyPatch) -> None:
    goanna("build", program())
    before = Path("program.img").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("goanna.image.elf._Image.write", full)
    status, _, errors = goanna("build", "program")
    assert status == 125 and "No space left" in errors
    assert Path("program.img").read_bytes() == before
    assert sorted(os.listdir()) == ["program", "program.img"]


def test_image_never_takes_the_place_of_a_device_or_pipe(goanna: Goanna) -> None:
    """Root would replace /dev/null by a file, for everybody."""
    os.mkfifo("pipe")
    os.symlink("pipe", "link")
    for name in ("pipe", "link"):
        status, _, errors = goanna("build", program(), "-o", name)
        assert status == 125 and f"{name}: the image can't be written: it is a device" in errors
    assert Path("pipe").is_fifo() and Path("link").is_symlink()


def test_image_goes_where_a_link_points(goanna: Goanna) -> None:
    os.mkdir("elsewhere")
    os.symlink("elsewhere/x.img", "link")
    assert goanna("build", program(), "-o", "link") == (0, "", "")
    assert Path("link").is_symlink() and Path("elsewhere/x.img").stat().st_size > 0
    os.symlink("loop", "loop")
    status, _, errors = goanna("build", "program", "-o", "loop")
    assert status == 125 and "loop: the image can't be written: Too many levels" in errors


def test_output_name_may_be_long_and_not_too_long(goanna: Goanna) -> None:
    assert goanna("build", program(), "-o", "a" * 255) == (0, "", "")
    status, _, errors = goanna("build", "program", "-o", "a" * 256)
    assert status == 125 and "the image can't be written: File name too long" in errors


@pytest.mark.parametrize("verb", ["build", "run", "inspect"])
def test_program_that_is_no_file_is_told(goanna: Goanna, verb: str) -> None:
    os.mkfifo("pipe")
    os.symlink("nothing", "link")
    os.symlink("loop", "loop")
    status, _, errors = goanna(verb, "pipe")
    assert status == 126 and "pipe: is a device, a pipe or a socket, and no program" in errors
    for name in ("link", "./loop"):
        status, _, errors = goanna(verb, name)
        assert status == 127 and f"{name}: is a link that leads nowhere" in errors


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
@pytest.mark.parametrize("verb", ["build", "run", "inspect"])
def test_program_that_may_not_be_read_is_told(goanna: Goanna, verb: str) -> None:
    os.chmod(program(), 0)
    status, _, errors = goanna(verb, "program")
    assert status == 126 and errors == "goanna: program: can't be read: Permission denied\n"


def test_program_whose_reading_fails_is_told(goanna: Goanna) -> None:
    status, _, errors = goanna("run", "/proc/self/mem")  # nothing is mapped at its beginning
    assert status == 126 and errors == "goanna: /proc/self/mem: can't be read: Input/output error\n"


def test_folder_without_dot_is_an_import_path_to_go(goanna: Goanna) -> None:
    os.mkdir("server")
    status, _, errors = goanna("build", "server")
    assert status == 125 and "If that is meant, write ./server" in errors


def test_program_is_not_overwritten_by_its_image(goanna: Goanna) -> None:
    assert goanna("build", program(), "-o", "program")[0] == 125
    assert Path("program").read_bytes() == programs.elf()


def test_failing_go_build_is_go_s_message_alone(goanna: Goanna) -> None:
    Path("bad.go").write_text("package main\n\nfunc main() { nothing }\n")
    status, _, errors = goanna("run", "bad.go")
    assert status == 125 and "undefined: nothing" in errors and "goanna:" not in errors


@pytest.mark.parametrize("verb", ["build", "run", "inspect"])
def test_statuses_of_what_can_not_be_run(goanna: Goanna, verb: str) -> None:
    assert goanna(verb, "./nothing")[0] == 127
    status, _, errors = goanna(verb, program(b"text\n"))
    assert status == 126 and "not an ELF file" in errors
    status, _, errors = goanna(verb, program(programs.dynamic_elf(["libc.so.6"])))
    assert status == 126 and "libc.so.6" in errors and "CGO_ENABLED=0" in errors


def test_wrong_flags_are_125(goanna: Goanna) -> None:
    assert goanna("run", program(), "-m", "much")[0] == 125
    assert goanna("run", "program", "-c", "0")[0] == 125
    assert goanna("run")[0] == 125
    assert goanna("walk")[0] == 125
    assert goanna("run", "program", "--machine", "pdp11")[0] == 125
    assert goanna("run", "program", "--accel", "steam")[0] == 125
    assert goanna("run", "program", "-e", "=x")[0] == 125


def test_too_little_memory_names_what_is_needed(goanna: Goanna) -> None:
    status, output, errors = goanna("run", program(programs.elf(code=b"\xf4" * (9 << 20))), "-m", "8M")
    assert (status, output) == (125, "")
    assert "at least 13M" in errors and "-m 13M" in errors
    assert goanna("run", "program", "-m", "13M", "--timeout", "120")[0] == 42


def test_image_cut_short_or_altered_is_refused(goanna: Goanna) -> None:
    goanna("build", program(programs.elf(code=b"\xf4" * 300_000)))
    whole = Path("program.img").read_bytes()
    Path("cut.img").write_bytes(whole[:-5000])
    status, _, errors = goanna("run", "cut.img")
    assert status == 126 and "cut short" in errors
    Path("longer.img").write_bytes(whole + b"x")
    status, _, errors = goanna("run", "longer.img")
    assert status == 126 and "altered: there is more behind its end" in errors
    for at in (len(whole) - 100_000, len(whole) - 350_000):
        Path("altered.img").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        status, _, errors = goanna("run", "altered.img")
        assert status == 126 and "altered" in errors and "bundle" in errors


def test_no_byte_of_an_image_changes_unseen(goanna: Goanna) -> None:
    goanna("build", program(programs.elf(code=b"\xf4" * 20_000)))
    whole = Path("program.img").read_bytes()
    covered = bytearray(len(whole))
    for each in read_image(Path("program.img")).segments:
        covered[each.offset : each.offset + each.file_size] = b"\1" * each.file_size
    covered[:0x40] = b"\1" * 0x40  # the ELF header
    changed = Path("changed.img")
    for at in range(0, len(whole), 61):
        if not covered[at]:
            continue  # between the parts, nobody looks
        changed.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(CannotRun, match=r"altered|no ELF|not an ELF|cut short|corrupt|image of|no image"):
            read_image(changed)


def test_image_is_not_built_into_an_image(goanna: Goanna) -> None:
    goanna("build", program())
    status, _, errors = goanna("build", "program.img")
    assert status == 125 and "goanna run program.img" in errors


def test_settings_of_the_project_count_and_the_command_line_wins(goanna: Goanna) -> None:
    program()
    Path("goanna.toml").write_text('output = "named.img"\nenv = { A = "file", B = "b" }\nmemory = "64M"\n')
    goanna("build", "program", "-e", "A=line")
    assert {b"A": b"line", b"B": b"b"}.items() <= read_image(Path("named.img")).environment.items()
    Path("goanna.toml").write_text("mistake = 1\n")
    status, _, errors = goanna("run", "named.img")
    assert status == 125 and "mistake" in errors


def test_variable_by_name_alone_comes_from_here(goanna: Goanna, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "x=y")
    goanna("build", program(), "-e", "FROM_HERE", "-e", "NOT_HERE_AT_ALL")
    assert {b"FROM_HERE": b"x=y"}.items() <= read_image(Path("program.img")).environment.items()


def test_inspect_program_and_image(goanna: Goanna, build_hello: Callable[..., Path]) -> None:
    status, output, _ = goanna("inspect", str(build_hello()))
    assert status == 0
    for text in ("linux/amd64", "fixed address", "go1.", "example.com/hello", "CGO_ENABLED=0", "r-x"):
        assert text in output
    goanna("build", str(build_hello()), "-e", "A=b", "--", "x")
    output = goanna("inspect", "hello.img")[1]
    for text in ("an image", "the kernel's", "at least", "/bin/hello x", "A=b", "-rwxr-xr-x", "drwxrwxrwt"):
        assert text in output


def test_missing_or_old_qemu_says_what_to_install(
    goanna: Goanna, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program()
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    status, _, errors = goanna("run", "program")
    assert status == 125 and "apt-get install qemu-system-x86" in errors
    (folder / qemu.PROGRAM).write_text("#!/bin/sh\necho QEMU emulator version 5.2.0\n")
    os.chmod(folder / qemu.PROGRAM, 0o755)
    status, _, errors = goanna("run", "program")
    assert status == 125 and "5.2" in errors and "6.2" in errors


def test_doctor_names_what_is_missing(goanna: Goanna, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert goanna("doctor")[0] == 0
    monkeypatch.setenv("PATH", str(tmp_path))
    status, output, _ = goanna("doctor")
    assert status == 1 and "Missing: " in output and "QEMU" in output and "apt-get install qemu-system-x86" in output


def told(errors: str) -> list[str]:
    """The words of the command that starts gdb."""
    return shlex.split(next(line for line in errors.splitlines() if line.startswith("  gdb ")))


def test_gdb_is_waited_for_and_told_how(goanna: Goanna, kernel: BuiltKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("goanna.kernel.build.find_kernel", lambda *_, **__: kernel)
    status, output, errors = goanna("run", program(), "--gdb", "--timeout", "1")
    assert (status, output) == (124, "")
    words, here = told(errors), shlex.quote(str(Path.cwd() / "program"))
    assert words[:2] == ["gdb", str(kernel.elf)] and words[-1].startswith("target remote 127.0.0.1:")
    assert f"add-symbol-file {here}" in words
    errors = goanna("run", program(programs.elf(kind=3, entry=programs.BASE + 0x1000)), "--gdb", "--timeout", "1")[2]
    assert f"add-symbol-file {here} -o 0x{0x555555554000 - programs.BASE - 0x1000:x}" in told(errors)


def test_memory_in_words() -> None:
    assert qemu.parse_memory("64M") == qemu.parse_memory("64MiB") == qemu.parse_memory("64") == 64 << 20
    assert qemu.parse_memory("1g") == 1 << 30 and qemu.parse_memory("512K") == 512 << 10
    for text in ("", "M", "0M", "-1", "1.5G", "64X", "5b"):
        with pytest.raises(ValueError, match="amount of memory"):
            qemu.parse_memory(text)
    for text in ("1T", "1024G", "100T", "99999999999999999999G"):
        with pytest.raises(ValueError, match="write less than 1T"):
            qemu.parse_memory(text)


def test_help_and_version(goanna: Goanna) -> None:
    assert goanna("--version")[1].startswith("goanna ")
    status, output, _ = goanna("run", "--help")
    assert status == 0 and "--timeout" in output and "PROGRAM" in output
    assert "--publish" in output
    assert "--arch" not in output


def test_mistake_of_goannas_own_is_125(goanna: Goanna, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("goanna.cli.doctor.doctor", break_down)
    status, _, errors = goanna("doctor")
    assert status == 125 and "ZeroDivisionError" in errors and "report it" in errors


def test_reader_that_goes_early_is_no_mistake(tmp_path: Path, build_hello: Callable[..., Path]) -> None:
    words = [sys.executable, "-m", "goanna.cli.main", "inspect", build_hello()]
    done = subprocess.run(["sh", "-c", '"$@" | true', "sh", *words], capture_output=True, text=True)
    assert done.stderr == ""


def test_failure_has_a_text_and_an_advice() -> None:
    assert str(Failure("what", "do this")) == "what\ndo this"
