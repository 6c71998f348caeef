"""Reads files and whole folders of this computer as nodes of an image's tree: contents later, all else now.

Modes, times and links are kept, hard links among the files that one reader saw included. Everything belongs to root,
whoever owns it here, so that the same files make the same image for everyone.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from goanna.failure import Failure
from goanna.image.erofs import Device, File, Folder, Link, Node

_PERMISSIONS = 0o7777


def _everything(path: str) -> bool:
    return True


class HostFiles:
    """Reads trees. `wanted` says of each path below the first whether it is to be taken."""

    def __init__(self, wanted: Callable[[str], bool] = _everything) -> None:
        self._wanted = wanted
        self._linked: dict[tuple[int, int], Node] = {}

    def node(self, path: Path) -> Node:
        """The file or folder at a path; a symbolic link there is followed, those below are kept. Raises Failure."""
        return self._node(os.fspath(path), os.stat) if path.exists() else self._node(os.fspath(path), os.lstat)

    def _node(self, path: str, look: Callable[[str], os.stat_result] = os.lstat) -> Node:
        try:
            return self._made(path, look(path))
        except FileNotFoundError:
            raise Failure(f"{path}: there is no such file or folder") from None
        except OSError as error:
            raise Failure(f"{path}: can't be read: {error.strerror}") from None

    def _made(self, path: str, status: os.stat_result) -> Node:
        key = (status.st_dev, status.st_ino)
        several = status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode)
        if several and key in self._linked:
            return self._linked[key]
        made = self._new(path, status)
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

    def _folder(self, path: str, mode: int, time: int) -> Folder:
        with os.scandir(path) as found:
            names = sorted(each.name for each in found)
        below = [(name, os.path.join(path, name)) for name in names]
        entries = {os.fsencode(name): self._node(here) for name, here in below if self._wanted(here)}
        return Folder(mode=mode, time=time, entries=entries)
