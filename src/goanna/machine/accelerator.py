"""Chooses what executes the guest: the processor's own virtualisation where it works, emulation (tcg) elsewhere.

/dev/kvm may exist and fail or hang, so a stub of a few instructions is started under it with a limit of one second, and
the answer is remembered for as long as QEMU, the system's kernel and the device stay what they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.cache import cache_folder, write_whole
from goanna.failure import Failure
from goanna.machine.qemu import MachineType, Qemu, machine_options, processor_model

EMULATION = "tcg"
CHOICES = ("auto", EMULATION, "kvm", "hvf")
TIME_LIMIT = 1.0

# The stub: mov al, 0x10; out 0xf4, al; then halt for good. isa-debug-exit ends QEMU with status value * 2 + 1.
_STUB_CODE = bytes.fromhex("b010e6f4faf4ebfd")
_STUB_STATUS = 0x10 * 2 + 1
_STUB_ADDRESS = 0x100000


def choose(qemu: Qemu, wanted: str = "auto") -> str:
    """QEMU's name of the accelerator to use. GOANNA_ACCEL decides where the caller leaves it at `auto`.

    Raises Failure for a name that isn't one of CHOICES.
    """
    if wanted == "auto":
        wanted = os.environ.get("GOANNA_ACCEL") or "auto"
    if wanted not in CHOICES:
        raise Failure(f"{wanted!r} is no accelerator", f"Choose one of {', '.join(CHOICES)}.")
    if wanted != "auto":
        return wanted
    hardware = "hvf" if sys.platform == "darwin" else "kvm"
    return hardware if _hardware_present() and _works(qemu, hardware) else EMULATION


def _hardware_present() -> bool:
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return sys.platform == "darwin" or os.access("/dev/kvm", os.R_OK | os.W_OK)


def _works(qemu: Qemu, accelerator: str) -> bool:
    """Whether the stub ran, now or when this was last asked of the same QEMU and system."""
    memory = cache_folder() / "accelerators.json"
    key = _circumstances(qemu, accelerator)
    known: dict[str, bool] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(memory.read_text())
    if isinstance(known, dict) and isinstance(known.get(key), bool):
        return known[key]
    answer = try_accelerator(qemu, accelerator, TIME_LIMIT)
    # Only what holds now is kept: the file would grow with each update otherwise. A full disk only costs the next try.
    with contextlib.suppress(OSError):
        write_whole(memory, json.dumps({key: answer}).encode())
    return answer


def _circumstances(qemu: Qemu, accelerator: str) -> str:
    status = qemu.path.stat()
    parts = [accelerator, str(qemu.path), qemu.version, status.st_mtime_ns, status.st_size, platform.release()]
    with contextlib.suppress(OSError):
        parts.append(os.stat("/dev/kvm").st_rdev)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def try_accelerator(qemu: Qemu, accelerator: str, limit: float) -> bool:
    """Start the stub under it and say whether it ended as it should within `limit` seconds."""
    with TemporaryDirectory(prefix="goanna-") as folder:
        stub = Path(folder, "stub.elf")
        stub.write_bytes(stub_image())
        process = subprocess.Popen(
            [
                qemu.path, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot", "-m", "16M",
                "-machine", machine_options(MachineType.MICROVM),
                "-accel", accelerator, "-cpu", processor_model(accelerator),
                "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", stub,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            return process.wait(limit) == _STUB_STATUS
        except subprocess.TimeoutExpired:
            process.kill()
            # One that hangs inside the device can't even be killed, so it isn't waited for without end.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(limit)
            return False


def stub_image() -> bytes:
    """The stub as an ELF file with a PVH note (Xen's 18: the 32-bit physical entry)."""
    header, program_header = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", _STUB_ADDRESS)
    note_at = header.size + 2 * program_header.size
    code_at = 4096
    image = header.pack(b"\x7fELF\2\1\1", 2, 62, 1, _STUB_ADDRESS, header.size, 0, 0, header.size, 56, 2, 0, 0, 0)
    image += program_header.pack(1, 5, code_at, _STUB_ADDRESS, _STUB_ADDRESS, len(_STUB_CODE), len(_STUB_CODE), 4096)
    image += program_header.pack(4, 4, note_at, 0, 0, len(note), len(note), 4)
    return (image + note).ljust(code_at, b"\0") + _STUB_CODE
