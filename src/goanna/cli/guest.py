"""The flags that say what a program finds around it: --add, -e, --env-file, --workdir, --user, --hostname, --tz and
--memory-files; the same for every verb that makes an image or boots one.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goanna.failure import Failure
from goanna.image.assembly import Assembly, clean_path
from goanna.image.erofs import File, Folder
from goanna.image.host_files import HostFiles
from goanna.image.layout import Wishes
from goanna.image.surroundings import Needs, add_surroundings, find_needs
from goanna.image.users import find_user, home_of
from goanna.kernel.shared.boot import FLAG_RESOLVER, FLAG_SOCKETS

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
# Where programs are looked for unless somebody says otherwise.
DEFAULT_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LARGEST_PROGRAM = 1 << 30  # bytes of an added program that is looked into


@dataclass(frozen=True, kw_only=True)
class Guest:
    """The flags as they were written; `memory_files` in bytes, 0: not said.

    `sockets`: another flag asks for the Internet's sockets, or lets in programs that nobody has looked into.
    """

    add: Sequence[str] = ()
    env: Sequence[str] = ()
    env_file: Sequence[str] = ()
    workdir: str | None = None
    user: str | None = None
    hostname: str | None = None
    tz: str | None = None
    memory_files: int = 0
    sockets: bool = False
    environment: dict[bytes, bytes] = field(init=False)

    def __post_init__(self) -> None:
        environment = parse_environment(self.env, self.env_file)
        if self.tz is not None:
            environment.setdefault(b"TZ", os.fsencode(self.tz))
        object.__setattr__(self, "environment", environment)
        if self.hostname is not None and not _HOSTNAME.fullmatch(self.hostname):
            raise Failure(f"--hostname {self.hostname}: a host's name has up to 64 letters, digits, dots and dashes")

    def tree(self, program: Path, path: str) -> tuple[Assembly, int]:
        """The root tree of an image: the program at a path, what was added, what every program expects; and what its
        programs need of kernel and runner, FLAG_SOCKETS and FLAG_RESOLVER.
        """
        tree = Assembly()
        for each in self.add:
            host, guest = split_added(each)
            files = HostFiles()
            tree.claim(guest, files.node(host), f"--add {each}")
            _tell_of_lists(files.lists, f"--add {each}")
        tree.claim(path, File(data=program, mode=0o755), "the program")
        if self.workdir is not None and not isinstance(tree.find(clean_path(self.workdir)), Folder):
            tree.claim(self.workdir, Folder(), f"--workdir {self.workdir}")
        needs = _needs(tree, program)
        add_surroundings(tree, needs, self.hostname, self.tz)
        tree.check_links()
        sockets = FLAG_SOCKETS if needs.sockets or self.sockets else 0
        return tree, sockets | (FLAG_RESOLVER if needs.resolver else 0)

    def wishes(self, passwd: bytes, groups: bytes) -> Wishes:
        """What boot information is to say, by the tables of the image's users."""
        return Wishes(
            directory=None if self.workdir is None else os.fsencode(clean_path(self.workdir)),
            hostname=None if self.hostname is None else self.hostname.encode(),
            user=None if self.user is None else find_user(self.user, passwd, groups),
            files_limit=self.memory_files,
        )

    def wishes_in(self, tree: Assembly) -> Wishes:
        """The same by an image's tree that is being made."""
        return self.wishes(_content(tree, "/etc/passwd"), _content(tree, "/etc/group"))

    def environment_in(self, tree: Assembly) -> dict[bytes, bytes]:
        """The variables of a program in this tree: those that were said, PATH, and the user's HOME."""
        home = home_of(self.user, _content(tree, "/etc/passwd"))
        return {b"PATH": DEFAULT_PATH, b"HOME": home, **self.environment}


def _needs(tree: Assembly, program: Path) -> Needs:
    """What the programs of an image look for."""
    needs = find_needs(program.read_bytes())
    for each in _programs(tree.root):
        if each != program:
            needs |= find_needs(each.read_bytes())
    return needs


def _tell_of_lists(paths: Sequence[str], origin: str) -> None:
    """Say of which files the access control lists are left out."""
    if paths:
        others = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        print(
            f"goanna: {origin}: the access control lists of {paths[0]}{others} are left out; modes are kept",
            file=sys.stderr,
        )


def split_added(text: str) -> tuple[Path, str]:
    """HOST and GUEST of `--add HOST[:GUEST]`. Without GUEST, it is at the root, under its own name; a folder named so
    that it has none is the root itself.
    """
    host, colon, guest = text.rpartition(":")
    if not colon or not guest.startswith("/"):
        if colon and not os.path.lexists(text):
            raise Failure(f"--add {text}: {guest!r} is no absolute path", "Write it like --add ./www:/srv/www")
        host, guest = text, ""
    if not host:
        raise Failure(f"--add {text}: names nothing of this computer", "Write it like --add ./www:/srv/www")
    if not os.path.lexists(host):
        raise Failure(f"--add {text}: there is no such file or folder", "Its path is seen from the folder you are in.")
    return Path(host), guest or f"/{Path(host).resolve().name}"


def parse_environment(settings: Sequence[str], files: Sequence[str] = ()) -> dict[bytes, bytes]:
    """`-e KEY=VALUE` gives a value, `-e KEY` takes it from this process's environment, if it is there. Files of such
    lines come first.
    """
    environment: dict[bytes, bytes] = {}
    for name in files:
        for number, line in enumerate(_lines(name), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                _set(environment, line, f"{name}:{number}: {line}")
    for setting in settings:
        _set(environment, setting, f"-e {setting}")
    return environment


def _lines(name: str) -> list[str]:
    try:
        return os.fsdecode(Path(name).read_bytes()).splitlines()
    except OSError as error:
        raise Failure(f"--env-file {name}: can't be read: {error.strerror}") from None


def _set(environment: dict[bytes, bytes], setting: str, origin: str) -> None:
    key, given, value = setting.partition("=")
    if not key:
        raise Failure(f"{origin}: there is no name before the `=`", "Write it like KEY=VALUE.")
    if "\0" in setting:
        raise Failure(f"{origin!r}: has a zero byte, which no program can receive")
    if given:
        environment[os.fsencode(key)] = os.fsencode(value)
    elif key in os.environ:
        environment[os.fsencode(key)] = os.fsencode(os.environ[key])


def _content(tree: Assembly, path: str) -> bytes:
    found = tree.find(path)
    if not isinstance(found, File):
        return b""
    return found.data if isinstance(found.data, bytes) else found.data.read_bytes()


def _programs(folder: Folder) -> list[Path]:
    """The files of this computer below a folder that look like programs."""
    found = []
    for node in folder.entries.values():
        if isinstance(node, Folder):
            found += _programs(node)
        elif isinstance(node, File) and isinstance(node.data, Path) and node.mode & 0o111:
            with node.data.open("rb") as stream:
                if stream.read(4) == b"\x7fELF" and node.size < _LARGEST_PROGRAM:
                    found.append(node.data)
    return found
