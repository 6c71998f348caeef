"""Brings what links of a test's data lead to: files and folders outside of the module, which the tree that a test looks
at has not, and which it finds where it runs without a machine.

Only links in folders called testdata count: build tools leave links to whole caches in the folders of a module.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from goanna.failure import Failure
from goanna.image.assembly import Assembly
from goanna.image.erofs import Folder, Link, Node
from goanna.image.host_files import HostFiles

# As much lies in the machine's memory at most, and as many files: more is left out, and said.
MOST_BYTES = 64 << 20
MOST_FILES = 20_000

# Machines have these of their own.
_KERNELS = ("/proc", "/sys", "/dev")


def add_links_out(tree: Assembly, folder: Path, top: Folder) -> list[str]:
    """Put what links in the testdata of `folder` lead out to into a tree, where it is here; `top` is what was read of
    the folder. Links that lead to nothing here lead to nothing there. Gives sentences about what was left out.
    """
    left_out: list[str] = []
    budget = _Budget()
    seen: set[str] = set()
    waiting = deque(_leading_out(top, os.fspath(folder), os.fspath(folder), in_testdata=False))
    while waiting:
        link, target = waiting.popleft()
        if target in seen or not os.path.lexists(target) or _is_below(target, _KERNELS):
            continue
        seen.add(target)
        if os.path.islink(target):
            further = os.path.normpath(os.path.join(os.path.dirname(target), os.readlink(target)))
            tree.offer(target, Link(target=os.fsencode(os.readlink(target)), time=os.lstat(target).st_mtime_ns))
            waiting.append((link, further))
            continue
        if _is_below(os.fspath(folder), (target,)) or not budget.has(target):
            left_out.append(
                f"{link} leads to {target}, which has more than {MOST_BYTES >> 20} MiB or {MOST_FILES:,} files, or "
                "the module itself: the machine is without it"
            )
            continue
        try:
            node = HostFiles().node(Path(target))
        except Failure as failure:
            left_out.append(f"{link} leads out of the module, and the machine is without that: {failure}")
            continue
        tree.offer(target, node)
        if isinstance(node, Folder):
            found = _leading_out(node, target, target, in_testdata=True)
            waiting.extend((at, to) for at, to in found if not _is_below(to, (os.fspath(folder),)))
    return left_out


def _leading_out(node: Folder, path: str, top: str, in_testdata: bool) -> Iterator[tuple[str, str]]:
    """The links below a path that lead out of `top`, and where to."""
    for name, below in node.entries.items():
        at = os.path.join(path, os.fsdecode(name))
        if isinstance(below, Folder):
            yield from _leading_out(below, at, top, in_testdata or name == b"testdata")
        elif in_testdata or name == b"testdata":
            target = _target(below, path)
            if target is not None and not _is_below(target, (top,)):
                yield at, target


def _target(node: Node, folder: str) -> str | None:
    if not isinstance(node, Link):
        return None
    return os.path.normpath(os.path.join(folder, os.fsdecode(node.target)))


class _Budget:
    """What may still be put in."""

    def __init__(self) -> None:
        self._bytes, self._files = MOST_BYTES, MOST_FILES

    def has(self, path: str) -> bool:
        """Whether a file or folder fits; if so it is taken off."""
        size, files = 0, 0
        for length in _lengths(path):
            size, files = size + length, files + 1
            if size > self._bytes or files > self._files:
                return False
        self._bytes, self._files = self._bytes - size, self._files - files
        return True


def _lengths(path: str) -> Iterator[int]:
    """The sizes of the files at and below a path, in bytes; those that can't be read count as empty."""
    if not os.path.isdir(path) or os.path.islink(path):
        yield os.lstat(path).st_size
        return
    for place, folders, files in os.walk(path):
        yield from (0 for _ in folders)
        for name in files:
            try:
                yield os.lstat(os.path.join(place, name)).st_size
            except OSError:
                yield 0


def _is_below(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == each or path.startswith(f"{each.rstrip('/')}/") for each in folders)
