"""Ports of this computer that lead to ports of a machine: -p [HOSTIP:]HOSTPORT:PORT[/udp], as docker writes it."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from goanna.failure import Failure

_EXAMPLE = "Write it like -p 8080:80, -p 127.0.0.1:8080:80 or -p 5353:53/udp."
_ANYWHERE = "0.0.0.0"
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True)
class Forward:
    """One port. `host_port` 0: any that is free."""

    host: str  # an IPv4 address of this computer, or 0.0.0.0
    host_port: int
    port: int
    protocol: str  # tcp, udp
    text: str  # as it was written

    def rule(self) -> str:
        """What QEMU's hostfwd= says of it."""
        return f"{self.protocol}:{'' if self.host == _ANYWHERE else self.host}:{self.host_port}-:{self.port}"


def parse_forwards(texts: Sequence[str]) -> list[Forward]:
    """Ports as they are written. Raises Failure for what is no port, and for one that is used twice."""
    forwards: list[Forward] = []
    for text in texts:
        for each in _parse(text):
            for other in forwards:
                if each.host_port != 0 and _collide(each, other):
                    raise Failure(f"-p {text}: port {each.host_port} of this computer is -p {other.text}'s already")
            forwards.append(each)
    return forwards


def _collide(a: Forward, b: Forward) -> bool:
    hosts = a.host == b.host or _ANYWHERE in (a.host, b.host)
    return hosts and a.host_port == b.host_port and a.protocol == b.protocol


def _parse(text: str) -> Iterator[Forward]:
    ports, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if protocol not in _KINDS:
        raise Failure(f"-p {text}: {protocol or 'nothing'} is neither tcp nor udp", _EXAMPLE)
    rest, _, inner = ports.rpartition(":")
    host, colon, outer = rest.rpartition(":")
    if not colon:
        host, outer = _ANYWHERE, rest
    _check_host(text, host)
    guest = _port_range(text, inner)
    here = [0] * len(guest) if outer == "" else _port_range(text, outer)
    if len(here) != len(guest):
        raise Failure(f"-p {text}: {outer} and {inner} are not equally many ports", _EXAMPLE)
    for number, port in zip(here, guest, strict=True):
        yield Forward(host, number, port, protocol, text)


def _check_host(text: str, host: str) -> None:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        if host.startswith("["):
            raise Failure(
                f"-p {text}: QEMU forwards ports of IPv4 addresses only, and {host} is none",
                "0.0.0.0 or 127.0.0.1 serve programs that ask for localhost, too.",
            ) from None
        raise Failure(f"-p {text}: {host!r} is no IPv4 address", _EXAMPLE) from None


def _port_range(text: str, part: str) -> list[int]:
    found = _RANGE.fullmatch(part)
    if found is None:
        raise Failure(f"-p {text}: {part!r} is no port", _EXAMPLE)
    first = int(found[1])
    last = int(found[2] or first)
    if not 1 <= first <= last <= 65535:
        raise Failure(f"-p {text}: ports are 1 to 65535, and {part!r} is not", _EXAMPLE)
    return list(range(first, last + 1))


def settled(forwards: Sequence[Forward]) -> list[Forward]:
    """The same, each with a port of this computer that was free just now. Raises Failure for one that isn't to be had:
    QEMU would say less.
    """
    return [_settle(each) for each in forwards]


def _settle(forward: Forward) -> Forward:
    with closing(socket.socket(socket.AF_INET, _KINDS[forward.protocol])) as probe:
        if forward.protocol == "tcp":
            # As QEMU does: a port whose last connection has just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((forward.host, forward.host_port))
            if forward.protocol == "tcp":
                probe.listen(1)
        except OSError as error:
            raise _refusal(forward, error) from None
        return replace(forward, host_port=probe.getsockname()[1])


def _refusal(forward: Forward, error: OSError) -> Failure:
    port = f"{forward.protocol} port {forward.host_port} of this computer"
    match error.errno:
        case errno.EADDRINUSE:
            return Failure(f"-p {forward.text}: {port} is in use", "Take another port, or end what uses it.")
        case errno.EACCES:
            return Failure(f"-p {forward.text}: {port} is not for you", "Take one from 1024 on.")
        case errno.EADDRNOTAVAIL:
            return Failure(f"-p {forward.text}: {forward.host} is no address of this computer")
        case _:
            return Failure(f"-p {forward.text}: {port} can't be used: {error.strerror}")


def told(forwards: Sequence[Forward], before: Sequence[Forward]) -> str:
    """Lines for a person about ports that nobody chose; `before` is as they were written."""
    return "".join(
        f"goanna: {each.host}:{each.host_port} leads to port {each.port}/{each.protocol}\n"
        for each, was in zip(forwards, before, strict=True)
        if was.host_port == 0
    )
