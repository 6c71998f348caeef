"""Runs a test binary on a Linux in the same QEMU: for tests that measure time, or look at what the processor has, this
computer's own Linux is no measure of what an emulated machine can do.

Its kernel is the one that the benchmarks compare with, and what a distribution's has besides (linux.config); the files
are those of the other sides.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.linux import build, command_line, initramfs, kernel_path
from benchmarks.machines import COMMON, LINUX_MACHINES
from fidelity.packages import environment
from goanna.image.assembly import Assembly
from goanna.image.erofs import File, FileSystem
from goanna.image.links_out import add_links_out
from goanna.image.surroundings import Needs, add_surroundings
from goanna.image.tree_cache import cached_tree, read_tree
from goanna.program.around import around

FRAGMENT = Path(__file__).with_name("linux.config")
INIT = Path(__file__).with_name("guest") / "init.go"


@dataclass(frozen=True)
class Machine:
    """How large machines are; `memory` as QEMU and goanna read it, like 1G."""

    processors: int
    memory: str


def is_built() -> bool:
    """Whether its kernel is there already: to build it takes minutes."""
    return kernel_path(FRAGMENT).exists()


def kernel() -> Path:
    """Its kernel, built if it isn't there. Raises benchmarks.linux.PeerUnavailable."""
    return build(FRAGMENT)


@cache
def init(go: Path, folder: Path) -> Path:
    """The first process, built into a folder. Raises subprocess.CalledProcessError."""
    made = folder / "init"
    subprocess.run([go, "build", "-o", made, INIT.name], cwd=INIT.parent, env=environment(), check=True)
    return made


def command(
    kernel: Path, init: Path, machine: Machine, limit: float, folder: Path, program: Path, arguments: list[str]
) -> list[str]:
    """The command that runs a program there, in a folder, with its own environment; `limit` in seconds."""
    words = [str(kernel), str(init), str(machine.processors), machine.memory, f"{limit:g}", str(folder), str(program)]
    words += arguments
    return [sys.executable, "-m", "fidelity.emulated", *words]


def run(kernel: Path, init: Path, size: Machine, limit: float, folder: Path, words: list[str]) -> None:
    """Boot Linux with a program, and write what that writes. `words` are the program and its arguments."""
    surroundings = around(folder)
    top = read_tree(surroundings.top, surroundings.wanted)
    with TemporaryDirectory(prefix="fidelity-") as name:
        place = Path(name)
        wanted = {
            "Tree": str(surroundings.top), "Folder": str(folder), "Program": words[0], "Arguments": words,
            "Environment": [f"{key}={value}" for key, value in os.environ.items()],
        }  # fmt: skip
        tree = Assembly()
        tree.claim("/.run.json", File(data=json.dumps(wanted).encode()), "the run")
        tree.claim(words[0], File(data=Path(words[0]), mode=0o755), "the program")
        add_surroundings(tree, Needs(certificates=True, zones=True))
        add_links_out(tree, surroundings.top, top)
        with (place / "files").open("wb") as stream:
            stream.writelines(FileSystem(tree.root).pieces())
        (place / "initrd").write_bytes(initramfs(init))
        drives = {"files": place / "files", "tree": cached_tree(surroundings.top, top)}
        machine = [*COMMON, "-M", LINUX_MACHINES["microvm"], "-m", size.memory, "-smp", str(size.processors)]
        for serial, path in drives.items():
            machine += [
                "-drive", f"if=none,id={serial},format=raw,readonly=on,file.locking=off,file={path}",
                "-device", f"virtio-blk-device,drive={serial},serial={serial}",
            ]  # fmt: skip
        started = ["-kernel", str(kernel), "-initrd", str(place / "initrd"), "-append", command_line()]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run([*machine, *started], stdin=subprocess.DEVNULL, timeout=limit, check=False)


if __name__ == "__main__":
    _kernel, _init, _processors, _memory, _limit, _folder, *_words = sys.argv[1:]
    run(Path(_kernel), Path(_init), Machine(int(_processors), _memory), float(_limit), Path(_folder), _words)
