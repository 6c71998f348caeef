"""goanna run: a program or an image is booted; its output, input, signals and exit status are this process's."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from goanna.cli.guest import Guest
from goanna.cli.prepare import program_of, temporary_image
from goanna.cli.words import Words
from goanna.failure import Failure
from goanna.image.layout import PAGE, Wishes
from goanna.image.reading import Image, is_image, read_image
from goanna.image.tree import content, entries
from goanna.image.users import home_of
from goanna.kernel.shared.boot import FLAG_RESOLVER, FLAG_SOCKETS
from goanna.machine.accelerator import choose
from goanna.machine.forwards import settled
from goanna.machine.forwards import told as forwards_told
from goanna.machine.information import runner_information
from goanna.machine.life import Start, live
from goanna.machine.networks import Networks, parse_networks
from goanna.machine.qemu import MachineType, Settings, find_qemu, memory_text
from goanna.machine.segments import host_of
from goanna.machine.shares import check_qemu, parse_shares, told
from goanna.program.elf import Program, is_elf


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags of run; `memory` in bytes, `timeout` in seconds."""

    memory: int
    cpus: int
    timeout: float | None
    trace: bool
    gdb: bool
    guest: Guest
    verbose: bool
    machine: MachineType
    accel: str
    share: Sequence[str] = ()
    net: Sequence[str] = ()
    publish: Sequence[str] = ()
    pcap: str | None = None


def run(words: Words, options: Options) -> int:
    """Boot and follow to the end; gives the exit status. Raises Failure."""
    qemu = find_qemu()
    shares = parse_shares(options.share)
    if shares:
        check_qemu(qemu.path)
    with _image_of(words, options.guest) as (image, symbols):
        check_memory(image, options.memory)
        wishes, environment = told_of_user(image, options.guest)
        networks = connected(
            options.net, options.publish, options.pcap, "user" if image.flags & FLAG_RESOLVER else "none"
        )
        check_sockets(image, networks)
        networks = in_segments(networks, image, options.guest.hostname)
        if networks.hostname is not None:
            wishes = replace(wishes, hostname=networks.hostname.encode())
        information = runner_information(
            image, words.arguments, environment, wishes,
            trace=options.trace, verbose=options.verbose, settled=options.gdb, shares=told(shares),
            networks=networks.told(),
        )  # fmt: skip
        settings = Settings(
            machine=options.machine,
            memory=options.memory,
            processors=options.cpus,
            accelerator=choose(qemu, options.accel),
            shares=shares,
            networks=networks,
            gdb_port=_free_port() if options.gdb else None,
        )
        if settings.gdb_port is not None:
            network = image.flags & FLAG_SOCKETS != 0
            print(_gdb_text(settings.gdb_port, symbols, network), file=sys.stderr, flush=True)
        trace = None
        if options.trace:
            from goanna.observe.trace import line_of

            trace = line_of
        start = Start(
            image=image.path,
            information=information,
            settings=settings,
            timeout=options.timeout,
            verbose=options.verbose,
            trace=trace,
        )
        return live(qemu, start)


@contextmanager
def _image_of(words: Words, guest: Guest) -> Iterator[tuple[Image, Program | None]]:
    """The image to start, and the program with its symbols where there is one."""
    finished = words.finished()
    if finished is not None and is_elf(finished) and is_image(finished):
        if guest.add:
            raise Failure(
                f"{finished}: is made already, so --add {guest.add[0]} can't be followed",
                "Build it again with --add, or name its program.",
            )
        yield read_image(finished), None
        return
    with program_of(words) as program, temporary_image(program, words, guest) as path:
        yield read_image(path), program


def connected(nets: Sequence[str], ports: Sequence[str], pcap: str | None, unasked: str) -> Networks:
    """What the flags say of networks, with ports of this computer that were free just now."""
    networks = parse_networks(nets, ports, pcap, unasked)
    forwards = settled(networks.forwards)
    print(forwards_told(forwards, networks.forwards), end="", file=sys.stderr, flush=True)
    return replace(networks, forwards=forwards)


def in_segments(networks: Networks, image: Image, hostname: str | None) -> Networks:
    """The networks as a machine of their segments, under its host's name or its program's. Raises Failure."""
    chosen = hostname or os.fsdecode(image.hostname)
    return networks.joined(chosen or host_of(image.program), bool(chosen))


def check_sockets(image: Image, networks: Networks) -> None:
    """Raise Failure if a machine is to be connected whose image has the kernel without the Internet's sockets."""
    if networks.nets and not image.flags & FLAG_SOCKETS:
        raise Failure(
            f"{image.path}: its kernel has no sockets of the Internet's families, for its program opens none: "
            "it can't be connected",
            "Leave out -p, --net and --pcap, or name its program instead of the image.",
        )


def check_memory(image: Image, memory: int) -> None:
    """Raise Failure if a machine with `memory` bytes is too small for an image."""
    if image.memory > memory:
        needed = memory_text(-(-image.memory // (1 << 20)) << 20)
        raise Failure(
            f"{image.path.name} needs at least {needed} of memory, and the machine would have {memory_text(memory)}",
            f"Give it more: -m {needed}",
        )


def told_of_user(image: Image, guest: Guest) -> tuple[Wishes, dict[bytes, bytes]]:
    """What a run says of surroundings and variables, users by the image's own tables."""
    if guest.user is None:
        return guest.wishes(b"", b""), guest.environment
    tables = dict.fromkeys(("/etc/passwd", "/etc/group"), b"")
    tables |= {each.path: content(image.bundle, each) for each in entries(image.bundle) if each.path in tables}
    passwd = tables["/etc/passwd"]
    return guest.wishes(passwd, tables["/etc/group"]), {b"HOME": home_of(guest.user, passwd), **guest.environment}


def _offset(program: Program) -> int:
    """How far from its own addresses the kernel puts a position-independent program if none are random."""
    from goanna.kernel.memory.placement import PIE_BASE

    alignment = max(PAGE, *(each.alignment for each in program.loads))
    low = min(each.address for each in program.loads)
    return int(PIE_BASE & -alignment) - (low & -alignment)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _gdb_text(port: int, program: Program | None, network: bool) -> str:
    from goanna.kernel.build import find_kernel
    from goanna.metal.source import SOURCES

    command = ["gdb"]
    kernel = find_kernel(network=network)
    if kernel is not None:
        # Its sources are named from the package on: they are those of this installation, wherever it was built.
        command += [str(kernel.elf), "-ex", f"directory {shlex.quote(SOURCES)}"]
    if program is not None:
        offset = f" -o 0x{_offset(program):x}" if program.position_independent else ""
        file = shlex.quote(str(program.path.resolve()))
        command += ["-ex", "set confirm off", "-ex", f"add-symbol-file {file}{offset}"]
    command += ["-ex", f"target remote 127.0.0.1:{port}"]
    return (
        f"goanna: the machine waits for gdb, started in another terminal by:\n  {shlex.join(command)}\n"
        "Set breakpoints with `hbreak`: the program's pages are not there before they are used."
    )
