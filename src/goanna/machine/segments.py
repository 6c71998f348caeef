"""Private segments: machines of one user that reach each other by name, `--net segment=NAME`.

Frames go by a multicast group of this computer's loopback, so that machines come and go as they like and none is in
charge. Who is there is kept in a folder of the segment's own: a socket for each machine, by its number, and a link that
says its name. From the number follow its link address and its addresses of both families; a socket that nobody listens
at is a machine that has gone. Each is told of the others when it starts, and by its socket when that changes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import ipaddress
import os
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from goanna.failure import Failure

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,30}")
_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FIRST, _LAST = 2, 254  # numbers of machines; 1 is left to a router
_LONGEST_PATH = 100  # of a socket, on every system


@dataclass(frozen=True)
class Segment:
    """What follows from a segment's name and its folder."""

    name: str
    folder: Path

    @property
    def _digest(self) -> bytes:
        return hashlib.sha256(os.fsencode(self.folder)).digest()

    @property
    def place(self) -> str:
        """The multicast group and port that carry its frames: RFC 2365's local scope, below the ports given out."""
        d = self._digest
        return f"239.255.{d[0]}.{1 + d[1] % 254}:{20000 + int.from_bytes(d[2:4], 'big') % 10000}"

    @property
    def network(self) -> ipaddress.IPv4Network:
        """Its addresses: a /24 of 10.128.0.0/9."""
        d = self._digest
        return ipaddress.IPv4Network(f"10.{128 | d[4] & 127}.{d[5]}.0/24")

    @property
    def network6(self) -> ipaddress.IPv6Network:
        """Its addresses: a /64 of RFC 4193."""
        return ipaddress.IPv6Network((b"\xfd" + self._digest[6:11] + bytes(10), 64))

    def addresses(self, number: int) -> tuple[str, str]:
        """Those of a machine."""
        return str(self.network[number]), str(self.network6[number])

    def words(self, number: int) -> list[tuple[str, str]]:
        """What a machine is told of its interface (kernel/net/config/setting.py)."""
        four, six = self.addresses(number)
        mac = bytes([0x52, 0x54, 0x01, *self._digest[11:13], number]).hex(":")
        return [("mac", mac), ("address", f"{four}/24"), ("address", f"{six}/64")]


def segment_of(name: str) -> Segment:
    """The segment of that name of the user that we are. Raises Failure where its folder can't be kept."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    home = Path(given) if os.path.isdir(given) else Path(tempfile.gettempdir(), f"goanna-{os.getuid()}")
    folder = home / "goanna" / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        strange = home.stat().st_uid != os.getuid()
    except OSError as error:
        raise Failure(f"--net segment={name}: {folder} can't be made: {error.strerror}") from None
    if strange:
        raise Failure(f"--net segment={name}: {home} is another user's", "Set XDG_RUNTIME_DIR to a folder of yours.")
    if len(os.fsencode(folder)) > _LONGEST_PATH:
        raise Failure(f"--net segment={name}: {folder} is too long a path", "Set XDG_RUNTIME_DIR to a shorter one.")
    return Segment(name, folder)


class Member:
    """A machine in a segment, for as long as this process lives or `leave` is called."""

    def __init__(self, segment: Segment, number: int, name: str, listener: socket.socket) -> None:
        self.segment, self.number, self.name, self.listener = segment, number, name, listener
        self._known: dict[str, int] = {}

    def news(self) -> list[str]:
        """What has changed of the others since the last time: NAME@ADDRESS, or NAME alone of who has gone."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.listener.recv(16)
        others = {name: number for number, name in _present(self.segment.folder) if number != self.number}
        said = [name for name in self._known if name not in others]
        for name, number in others.items():
            if self._known.get(name) != number:
                said += [f"{name}@{address}" for address in self.segment.addresses(number)]
        self._known = others
        return said

    def leave(self) -> None:
        """Give the number back, and tell the others."""
        self.listener.close()
        with _locked(self.segment.folder):
            _forget(self.segment.folder, self.number)
        _tell(self.segment.folder)


def join(segment: Segment, name: str, chosen: bool) -> Member:
    """Enter a segment under a name. `chosen`: by a person, so that another machine of that name is refused; else the
    name gets a number behind it. Raises Failure.
    """
    with _locked(segment.folder):
        taken = dict(_present(segment.folder))
        if chosen and name in taken.values():
            raise Failure(
                f"--hostname {name} and --net segment={segment.name} contradict each other: "
                "a machine there has that name already",
                "Give this one another name.",
            )
        number = next((each for each in range(_FIRST, _LAST + 1) if each not in taken), None)
        if number is None:
            raise Failure(f"--net segment={segment.name}: {len(taken)} machines are in it, and no more fit")
        own = name
        count = 2
        while own in taken.values():
            own = f"{name}-{count}"
            count += 1
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.setblocking(False)
        _forget(segment.folder, number)
        listener.bind(os.fspath(segment.folder / str(number)))
        os.symlink(own, segment.folder / f"{number}.name")
    _tell(segment.folder)
    return Member(segment, number, own, listener)


def host_of(program: bytes) -> str:
    """A host's name made of a program's path."""
    base = re.sub(r"[^a-z0-9]+", "-", os.fsdecode(os.path.basename(program)).lower()).strip("-")[:50].strip("-")
    return base if _HOST.fullmatch(base) else "machine"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _present(folder: Path) -> list[tuple[int, str]]:
    """The machines that are there: number and name."""
    found = []
    for each in folder.glob("*.name"):
        with contextlib.suppress(OSError, ValueError):
            number, name = int(each.stem), os.readlink(each)
            if _reaches(folder / str(number)):
                found.append((number, name))
    return sorted(found)


def _reaches(path: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _tell(folder: Path) -> None:
    """Have all look who is there."""
    for number, _ in _present(folder):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller, contextlib.suppress(OSError):
            teller.setblocking(False)
            teller.sendto(b"look", os.fspath(folder / str(number)))


def _forget(folder: Path, number: int) -> None:
    for each in (str(number), f"{number}.name"):
        (folder / each).unlink(missing_ok=True)
