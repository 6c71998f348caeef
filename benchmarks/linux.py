"""The Linux that Goanna is compared with: a kernel cut down for one program, and that program as its /init.

Built from Debian's kernel source with the fragment beside this file, once, into the user's cache. `python -m
benchmarks.linux` builds it and says where it lies; the other benchmarks take it from there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE_PACKAGE = "linux-source-6.1"
SOURCE_ARCHIVE = Path("/usr/src") / f"{SOURCE_PACKAGE}.tar.xz"
FRAGMENT = Path(__file__).with_name("linux.config")
PACKAGES = [SOURCE_PACKAGE, "gcc", "make", "flex", "bison", "bc", "libelf-dev", "libssl-dev", "xz-utils", "lz4"]

# The largest path that a newc archive member of ours needs, and the modes of what is in it (stat(2)).
_DIRECTORY, _CHARACTER_DEVICE, _FILE = 0o040755, 0o020600, 0o100755


class PeerUnavailable(Exception):
    """The comparison Linux can't be built or started here; the message says why."""


def cache_folder() -> Path:
    """Where built peers lie: outside the project, kept between runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "goanna" / "peer-linux"


def kernel_path(*more: Path) -> Path:
    """The kernel image that `build` leaves; its name carries the fragments, so an edited one builds anew."""
    mark = hashlib.sha256(b"".join(each.read_bytes() for each in (FRAGMENT, *more))).hexdigest()[:12]
    return cache_folder() / f"vmlinux-{mark}"


def build(*more: Path, jobs: int = 2, niceness: int = 10) -> Path:
    """Builds the kernel if it isn't there yet (minutes) and returns its path; PeerUnavailable if it can't. `more` are
    fragments that add to the one beside this file.
    """
    kernel = kernel_path(*more)
    if kernel.exists():
        return kernel
    _install_packages()
    tree = cache_folder() / "source"
    if not (tree / "Makefile").exists():
        tree.mkdir(parents=True, exist_ok=True)
        _run(["tar", "-xf", str(SOURCE_ARCHIVE), "--strip-components=1", "-C", str(tree)])
    _run(["make", "-s", "tinyconfig"], tree)
    _run(["sh", "scripts/kconfig/merge_config.sh", "-m", ".config", str(FRAGMENT), *map(str, more)], tree)
    _run(["make", "-s", "olddefconfig"], tree)
    _run(["nice", "-n", str(niceness), "make", "-s", f"-j{jobs}", "vmlinux"], tree)
    partial = kernel.with_suffix(".partial")
    _run(["objcopy", "--strip-debug", str(tree / "vmlinux"), str(partial)])
    partial.rename(kernel)
    return kernel


def _install_packages() -> None:
    """Installs what the kernel's build needs, if the source isn't here yet."""
    tools = ("gcc", "make", "flex", "bison", "bc", "objcopy", "lz4")
    if SOURCE_ARCHIVE.exists() and all(shutil.which(tool) for tool in tools):
        return
    if not shutil.which("apt-get"):
        raise PeerUnavailable("building the comparison Linux needs apt-get (Debian 12 or a relative of it)")
    prefix = [] if os.geteuid() == 0 else ["sudo"]
    _run([*prefix, "apt-get", "update", "-q"])
    _run([*prefix, "apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES])


def _run(command: list[str], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-12:])
        raise PeerUnavailable(f"{' '.join(command)} failed:\n{tail}")


def initramfs(program: Path) -> bytes:
    """An uncompressed newc archive with a console, the folders a program expects, and `program` as /init."""
    members = [
        ("dev", _DIRECTORY, 0, b""),
        ("dev/console", _CHARACTER_DEVICE, (5 << 8) | 1, b""),
        ("proc", _DIRECTORY, 0, b""),
        ("tmp", _DIRECTORY, 0, b""),
        ("init", _FILE, 0, program.read_bytes()),
        ("TRAILER!!!", 0, 0, b""),
    ]
    archive = bytearray()
    for inode, (name, mode, device, data) in enumerate(members, start=1):
        archive += _newc_header(inode, name, mode, device, len(data))
        archive += data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def _newc_header(inode: int, name: str, mode: int, device: int, size: int) -> bytes:
    # initramfs-buffer-format: thirteen eight-digit hexadecimal fields after the magic, then the name, padded to 4.
    fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, device >> 8, device & 0xFF, len(name) + 1, 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return header + bytes(-len(header) % 4)


def host_counter_khz() -> int:
    """The rate of this computer's time-stamp counter in kHz, which TCG shows the guest; 0 if nobody says."""
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^cpu MHz\s*:\s*([0-9.]+)", text, re.MULTILINE)
    return int(float(found.group(1)) * 1000) if found else 0


def command_line() -> str:
    """The kernel command line under TCG. With the counter's rate given, a calibration that may hang is skipped."""
    words = ["console=ttyS0", "quiet", "panic=-1", "reboot=t", "tsc=reliable", "no_timer_check", "mitigations=off"]
    rate = host_counter_khz()
    if rate:
        words.append(f"tsc_early_khz={rate}")
    return " ".join(words)


def physical_entry(kernel: Path) -> int:
    """The PVH entry of a kernel ELF, from its Xen note: proof that QEMU can start it directly."""
    data = kernel.read_bytes()
    found = data.find(struct.pack("<III4s", 4, 8, 18, b"Xen\0"))
    if found < 0:
        raise PeerUnavailable(f"{kernel} has no PVH entry")
    return int.from_bytes(data[found + 16 : found + 24], "little")


if __name__ == "__main__":
    try:
        print(build(jobs=int(sys.argv[1]) if len(sys.argv) > 1 else 2))
    except PeerUnavailable as reason:
        sys.exit(str(reason))
