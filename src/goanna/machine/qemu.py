"""Finds QEMU and writes its command line: the machine, its ports, what the runner tells the kernel.

Starting and watching the process is life.py's.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from goanna.failure import Failure
from goanna.kernel.shared.boot import CONSOLE_PORT, CONTROL_PORT, ERROR_PORT, TREE_DISK
from goanna.machine.networks import Networks, network_words
from goanna.machine.shares import Share, share_words

PROGRAM = "qemu-system-x86_64"
# The first release whose microvm has what the kernel uses (ACPI, 7.2 of Debian 12 and 6.2 of Ubuntu 22.04 are tested
# for).
OLDEST = (6, 2)
HOW_TO_GET_QEMU = "Install it with: apt-get install qemu-system-x86 ipxe-qemu"

# The machine's serial ports, as on every PC: COM1 is the console, COM2 the control channel, until the kernel has
# started the ports of the virtio console that take their place.
_CONTROL_PORT = "iobase=0x2f8,irq=3,index=1"
_EXIT_PORT = "isa-debug-exit,iobase=0xf4,iosize=0x04"
# The name under which the kernel finds the runner's boot information (fw_cfg: opt/ is the user's part of the names).
BOOT_FILE = "opt/goanna/boot"

MEBIBYTE = 1 << 20


class MachineType(StrEnum):
    """The machines that QEMU can make; microvm starts fastest."""

    MICROVM = "microvm"
    Q35 = "q35"
    PC = "pc"


@dataclass(frozen=True)
class Qemu:
    """A QEMU that is there and new enough."""

    path: Path
    version: tuple[int, int, int]


def find_qemu() -> Qemu:
    """The system's QEMU for x86-64. Raises Failure where there is none, or an old one."""
    found = shutil.which(PROGRAM)
    if found is None:
        raise Failure(f"QEMU is missing: there is no {PROGRAM} on PATH", HOW_TO_GET_QEMU)
    try:
        done = subprocess.run(
            [found, "--version"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        raise Failure(f"{found}: can't be started: {error.strerror}", HOW_TO_GET_QEMU) from None
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{found}: didn't say its version within {error.timeout:.0f} s", HOW_TO_GET_QEMU) from None
    version = re.search(r"version (\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    if version is None:
        said = (done.stderr or done.stdout).strip() or "it says nothing"
        raise Failure(f"{found}: doesn't say its version: {said}", HOW_TO_GET_QEMU)
    numbers = (int(version[1]), int(version[2]), int(version[3] or 0))
    if numbers[:2] < OLDEST:
        raise Failure(
            f"{found} is QEMU {version[1]}.{version[2]}, and Goanna needs {OLDEST[0]}.{OLDEST[1]} or later",
            HOW_TO_GET_QEMU,
        )
    return Qemu(Path(found), numbers)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A machine to be made: `memory` in bytes, `accelerator` as QEMU names it (tcg, kvm, hvf); `tree` is an EROFS file
    that it gets as a disk beside the image.
    """

    machine: MachineType = MachineType.MICROVM
    memory: int = 256 * MEBIBYTE
    processors: int = 1
    accelerator: str = "tcg"
    gdb_port: int | None = None
    tree: Path | None = None
    shares: Sequence[Share] = ()
    networks: Networks | None = None


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Descriptors that QEMU inherits: its ends of both serial ports, of its own command socket, and of the virtio
    console's ports.
    """

    serial_console: int
    serial_control: int
    commands: int
    console: int
    errors: int
    control: int

    @property
    def all(self) -> tuple[int, ...]:
        """All of them, for subprocess's pass_fds."""
        serial = (self.serial_console, self.serial_control)
        return (*serial, self.commands, self.console, self.errors, self.control)


def processor_model(accelerator: str) -> str:
    """Everything the accelerator can do: the host's own processor, or all that emulation has."""
    return "max" if accelerator == "tcg" else "host"


def _accelerator(settings: Settings) -> str:
    """QEMU's -accel. With a debugger, emulation has one thread: only then does its clock stand still during a step. A
    timer that fires in one ends it before the instruction (seen in QEMU 7.2), so the debugger, when it goes on from a
    breakpoint, stops there a second time."""
    single = settings.gdb_port is not None and settings.accelerator == "tcg"
    return "tcg,thread=single" if single else settings.accelerator


def machine_options(machine: MachineType) -> str:
    """QEMU's -machine. (x-option-roms=off saves nothing measurable, and SeaBIOS 1.16.3 of QEMU 8.2 hangs with it.)"""
    return "microvm,rtc=on,isa-serial=on" if machine is MachineType.MICROVM else machine.value


def command_line(qemu: Qemu, image: Path, boot_information: Path, settings: Settings, ports: Ports) -> list[str]:
    """The command that starts `image`, its words."""
    words = [
        str(qemu.path), "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
        "-machine", machine_options(settings.machine),
        "-accel", _accelerator(settings),
        "-cpu", processor_model(settings.accelerator),
        "-m", f"{settings.memory // 1024}k",
        "-smp", str(settings.processors),
        "-chardev", f"socket,id=com1,fd={ports.serial_console}", "-serial", "chardev:com1",
        "-chardev", f"socket,id=com2,fd={ports.serial_control}", "-device", f"isa-serial,chardev=com2,{_CONTROL_PORT}",
        *_virtio_console(ports, settings.machine),
        "-chardev", f"socket,id=commands,fd={ports.commands}", "-mon", "chardev=commands,mode=control",
        "-device", _EXIT_PORT,
        "-fw_cfg", f"name={BOOT_FILE},file={_escaped(boot_information)}",
        "-kernel", str(image),
    ]  # fmt: skip
    if settings.tree is not None:
        words += _disk(settings.tree, TREE_DISK.decode(), settings.machine)
    words += share_words(settings.shares, _bus(settings.machine))
    if settings.networks is not None:
        words += network_words(settings.networks, _bus(settings.machine), settings.processors)
    if settings.gdb_port is not None:
        words += ["-gdb", f"tcp:127.0.0.1:{settings.gdb_port}", "-S"]
    return words


def _virtio_console(ports: Ports, machine: MachineType) -> list[str]:
    named = [(CONSOLE_PORT, ports.console), (ERROR_PORT, ports.errors), (CONTROL_PORT, ports.control)]
    words = ["-device", f"virtio-serial-{_bus(machine)},max_ports={len(named) + 1}"]
    for number, (name, descriptor) in enumerate(named, 1):
        words += [
            "-chardev", f"socket,id=port{number},fd={descriptor}",
            "-device", f"virtserialport,chardev=port{number},name={name.decode()},nr={number}",
        ]  # fmt: skip
    return words


def _bus(machine: MachineType) -> str:
    return "device" if machine is MachineType.MICROVM else "pci"


def _disk(path: Path, serial: str, machine: MachineType) -> list[str]:
    # A read-only virtio disk that many machines may share, hence no lock on the file.
    return [
        "-drive", f"if=none,id={serial},format=raw,readonly=on,file.locking=off,file={_escaped(path)}",
        "-device", f"virtio-blk-{_bus(machine)},drive={serial},serial={serial}",
    ]  # fmt: skip


def _escaped(path: Path) -> str:
    # In QEMU's option lists a comma ends a value unless it is doubled.
    return str(path).replace(",", ",,")


_MEMORY_UNITS = {"": MEBIBYTE, "k": 1 << 10, "m": MEBIBYTE, "g": 1 << 30, "t": 1 << 40}
_MOST_MEMORY = 1 << 40  # bytes that the 40 address bits of QEMU's emulated processors reach


def parse_memory(text: str) -> int:
    """Bytes from `64M`, `1G`, `512MiB`; a bare number is MiB, as in QEMU. Raises ValueError."""
    found = re.fullmatch(r"(\d{1,20})\s*([kmgt]?)(i?b)?", text.strip().lower())
    if found is None or (found[3] and not found[2]) or int(found[1]) == 0:
        raise ValueError(f"{text!r} is no amount of memory: write it like 64M or 1G")
    size = int(found[1]) * _MEMORY_UNITS[found[2]]
    if size >= _MOST_MEMORY:
        raise ValueError(f"{text!r} is more memory than an emulated machine can have: write less than 1T")
    return size


def memory_text(size: int) -> str:
    """An amount of memory as a person writes it, rounded up."""
    if size % (1 << 30) == 0 and size:
        return f"{size >> 30}G"
    return f"{-(-size // MEBIBYTE)}M" if size >= MEBIBYTE else f"{-(-size // 1024)}K"
