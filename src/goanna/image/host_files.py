"""Reads files and whole folders of this computer as nodes of an image's tree: contents later, all else now.

Modes, times and links are kept, hard links among the files that one reader saw included, and of the extended attributes
those that are the file's own: `user.` and the capabilities of programs. Everything belongs to root, whoever owns it
here, so that the same files make the same image for everyone; access control lists, which name users, are left out.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from goanna.failure import Failure
from goanna.image.attributes import LARGEST_VALUE, MOST_BYTES
from goanna.image.erofs import Device, File, Folder, Link, Node

_PERMISSIONS = 0o7777
_LISTS = ("system.posix_acl_access", "system.posix_acl_default")


def _everything(path: str) -> bool:
    return True


class HostFiles:
    """Reads trees. `wanted` says of each path below the first whether it is to be taken.

    `lists` are the paths whose access control lists were left out.
    """

    def __init__(self, wanted: Callable[[str], bool] = _everything) -> None:
        self.lists: list[str] = []
        self._wanted = wanted
        self._linked: dict[tuple[int, int], Node] = {}

    def node(self, path: Path) -> Node:
        """The file or folder at a path; a symbolic link there is followed, those below are kept. Raises Failure."""
        return self._node(os.fspath(path), os.stat) if path.exists() else self._node(os.fspath(path), os.lstat)

    def _node(self, path: str, look: Callable[[str], os.stat_result] = os.lstat) -> Node:
        try:
            return self._made(path, look(path), look is not os.lstat)
        except FileNotFoundError:
            raise Failure(f"{path}: there is no such file or folder") from None
        except OSError as error:
            raise Failure(f"{path}: can't be read: {error.strerror}") from None

    def _made(self, path: str, status: os.stat_result, follow: bool) -> Node:
        key = (status.st_dev, status.st_ino)
        several = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        if several and key in self._linked:
            return self._linked[key]
        made = self._new(path, status)
        made.attributes = self._attributes(path, follow)
        if several:
            self._linked[key] = made
        return made

    def _new(self, path: str, status: os.stat_result) -> Node:
        mode, time = status.st_mode & _PERMISSIONS, status.st_mtime_ns
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            if not os.access(path, os.R_OK):
                raise PermissionError(13, "Permission denied")
            return File(data=Path(path), length=status.st_size, mode=mode, time=time)
        if kind == stat.S_IFLNK:
            return Link(target=os.fsencode(os.readlink(path)), time=time)
        if kind == stat.S_IFDIR:
            return self._folder(path, mode, time)
        number = status.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
        return Device(type=kind, major=os.major(number), minor=os.minor(number), mode=mode, time=time)

    def _attributes(self, path: str, follow: bool) -> dict[bytes, bytes]:
        if sys.platform != "linux":
            return {}
        try:
            names = os.listxattr(path, follow_symlinks=follow)
        except OSError:  # of a file system that has none
            return {}
        kept: dict[bytes, bytes] = {}
        for name in names:
            if name.startswith("user.") or name == "security.capability":
                kept[os.fsencode(name)] = value = os.getxattr(path, name, follow_symlinks=follow)
                if len(value) > LARGEST_VALUE:
                    raise Failure(f"{path}: its attribute {name} has {len(value):,} bytes, and in an image it has "
                                  f"at most {LARGEST_VALUE:,}")  # fmt: skip
            elif name in _LISTS and (not self.lists or self.lists[-1] != path):
                self.lists.append(path)
        size = sum(len(name) + len(value) + 8 for name, value in kept.items())
        if size > MOST_BYTES:
            raise Failure(f"{path}: its extended attributes have {size:,} bytes, and in an image they have at most "
                          f"{MOST_BYTES:,}")  # fmt: skip
        return kept

    def _folder(self, path: str, mode: int, time: int) -> Folder:
        with os.scandir(path) as found:
            names = sorted(each.name for each in found)
        below = [(name, os.path.join(path, name)) for name in names]
        entries = {os.fsencode(name): self._node(here) for name, here in below if self._wanted(here)}
        return Folder(mode=mode, time=time, entries=entries)
