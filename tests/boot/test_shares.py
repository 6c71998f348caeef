"""A folder of the host in a machine: programs find in it what they find on Linux, and leave the same files behind."""

from __future__ import annotations

import dataclasses
import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import Run, guests
from tests.boot.running import GOANNA, Outcome, goanna_command, on_linux, outcome_of


def program() -> Path:
    guest = next(guest for guest in guests() if guest.name == "folder")
    return toolchains.build_go(guest, toolchains.newest_go())


def booted(run: Run, processors: int, *words: str) -> Outcome:
    """The guest in an image, with further words on the command line."""
    command = goanna_command(program(), run, processors)
    at = command.index("run") + 1
    environment = {"GOANNA_ACCEL": "tcg"} | dict(os.environ)
    return outcome_of([*command[:at], *words, *command[at:]], environment, b"", None, run.timeout + 60)


def everything(folder: Path) -> dict[str, tuple[str, int, object]]:
    found: dict[str, tuple[str, int, object]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[os.fspath(path.relative_to(folder))] = (oct(status.st_mode), status.st_nlink, content)
    return found


@pytest.mark.parametrize("machine", ["microvm", "q35"])
def test_a_shared_folder_is_as_on_linux(tmp_path: Path, machine: str, processors: int) -> None:
    theirs, ours = tmp_path / "linux", tmp_path / "share"
    theirs.mkdir()
    ours.mkdir()
    run = Run("folder", arguments=(os.fspath(theirs),), timeout=120, machine=machine)
    expected = on_linux(program(), run)
    place = "/srv/a place"
    got = booted(dataclasses.replace(run, arguments=(place,)), processors, "--share", f"{ours}:{place}")
    assert got == expected
    assert everything(ours) == everything(theirs)


def test_a_folder_to_be_read_only(tmp_path: Path) -> None:
    (tmp_path / "small").write_text("text")
    (tmp_path / "small").chmod(0o644)
    done = booted(Run("folder", arguments=("/data",)), 1, "--share", f"{tmp_path}:/data:ro")
    assert "write read-only file system" in done.output and "append" in done.output
    assert everything(tmp_path) == {"small": (oct(stat.S_IFREG | 0o644), 1, b"text")}


def test_what_cannot_be_shared_is_said_by_the_kernel(tmp_path: Path) -> None:
    done = booted(Run("folder"), 1, "--share", f"{tmp_path}:/etc/passwd/data")
    assert done.status == 125
    assert "a folder can't be shared as goanna0:/etc/passwd/data:rw: it is no folder" in done.output


def test_an_image_started_by_hand_mounts_what_its_command_line_says(tmp_path: Path) -> None:
    image = tmp_path / "image"
    subprocess.run([*GOANNA, "build", "-o", image, program()], check=True)
    shared = tmp_path / "shared"
    shared.mkdir()
    subprocess.run(
        ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-nographic", "-no-reboot", "-m", "256M",
         "-kernel", image, "-fsdev", f"local,id=a,path={shared},security_model=none",
         "-device", "virtio-9p-pci,fsdev=a,mount_tag=files",
         "-append", "share=files:/files -- /files"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=240, check=False,
    )  # fmt: skip
    assert (shared / "copy").read_bytes() == b"some\0\0\0\0"
