"""goanna doctor: what this computer has and lacks, each with the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from goanna.cache import cache_folder
from goanna.failure import Failure
from goanna.machine.accelerator import EMULATION, choose
from goanna.machine.qemu import find_qemu
from goanna.program.toolchain import HOW_TO_GET_GO, OLDEST_GO, find_go, go_version, version_pair

_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. Something required that is not there makes doctor's status 1."""

    name: str
    there: bool
    text: str
    mend: str = ""
    required: bool = True


def doctor() -> int:
    """Look, print what was found, and give the exit status: 0 if nothing required is missing, else 1."""
    findings = [look() for look in _LOOKS]
    for each in findings:
        word = "ok" if each.there else "missing" if each.required else "no"
        print(f"{word:<8} {each.name}: {each.text}")
        if each.mend and not each.there:
            print(f"{'':<8} {each.mend}")
    missing = [each.name for each in findings if each.required and not each.there]
    print("\n" + (f"Missing: {', '.join(missing)}." if missing else "Everything that Goanna needs is here."))
    return 1 if missing else 0


def _python() -> Finding:
    found = sys.version_info[:2] >= _OLDEST_PYTHON
    return Finding("Python", found, platform.python_version(), "apt-get install python3.11 python3.11-venv")


def _go() -> Finding:
    try:
        go = find_go()
        installed = go_version(go)
    except Failure as failure:
        return Finding("Go", False, failure.message, HOW_TO_GET_GO)
    pair = version_pair(installed)
    # A development build has no number, and is newer than the oldest.
    new_enough = pair == (0, 0) or pair >= OLDEST_GO
    text = f"{installed} ({go})" if new_enough else f"{installed} ({go}) is older than 1.{OLDEST_GO[1]}"
    return Finding("Go", new_enough, text, HOW_TO_GET_GO)


def _qemu() -> Finding:
    try:
        qemu = find_qemu()
    except Failure as failure:
        return Finding("QEMU", False, failure.message, failure.advice)
    return Finding("QEMU", True, f"{'.'.join(map(str, qemu.version))} ({qemu.path})")


def _compilers() -> Finding:
    texts, absent = [], []
    for name in ("llvmlite", "ziglang"):
        try:
            texts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    mend = f"{sys.executable} -m pip install {' '.join(absent)}"
    return Finding("kernel compiler", not absent, ", ".join(texts) or "neither llvmlite nor ziglang", mend)


def _cache() -> Finding:
    try:
        folder = cache_folder()
    except OSError as error:
        mend = "Name a folder that can be written: export XDG_CACHE_HOME=FOLDER"
        return Finding("cache", False, f"{error.filename}: {error.strerror}", mend)
    return Finding("cache", os.access(folder, os.W_OK), str(folder), "Name another: export XDG_CACHE_HOME=FOLDER")


def _accelerator() -> Finding:
    try:
        chosen = choose(find_qemu())
    except Failure as failure:
        return Finding("acceleration", False, failure.message, required=False)
    if chosen != EMULATION:
        return Finding("acceleration", True, chosen, required=False)
    device = "/dev/kvm is here, and no machine starts under it" if Path("/dev/kvm").exists() else "there is no /dev/kvm"
    return Finding("acceleration", False, f"{device}; machines are emulated (tcg), which is slower", required=False)


def _network_rom() -> Finding:
    try:
        qemu = find_qemu()
        done = subprocess.run([qemu.path, "-L", "help"], capture_output=True, text=True, timeout=30)
    except (Failure, OSError, subprocess.TimeoutExpired):
        return Finding("network card ROM", False, "QEMU is missing", required=False)
    found = any(Path(folder, "efi-e1000.rom").exists() for folder in done.stdout.splitlines())
    text = "there" if found else "a bare `qemu-system-x86_64 -kernel IMAGE` may want it; goanna run doesn't"
    return Finding("network card ROM", found, text, "apt-get install ipxe-qemu", required=False)


def _tool(name: str, purpose: str, package: str) -> Callable[[], Finding]:
    def look() -> Finding:
        path = shutil.which(name)
        return Finding(
            name, path is not None, path or f"not here; {purpose}", f"apt-get install {package}", required=False
        )

    return look


_LOOKS: list[Callable[[], Finding]] = [
    _python,
    _go,
    _qemu,
    _compilers,
    _cache,
    _accelerator,
    _network_rom,
    _tool("gdb", "goanna run --gdb waits for it", "gdb"),
    _tool("fsck.erofs", "some tests check bundles with it", "erofs-utils"),
]
