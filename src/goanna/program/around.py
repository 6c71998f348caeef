"""What stands around a test: the module that its folder is in, as far as tests look at it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Around:
    """A folder that a test sees, and which of the paths below it it sees."""

    top: Path
    wanted: Callable[[str], bool]


# Of a Go distribution: what only the go command uses. Tests that want that command find none anyway.
_TOOLS = ("bin", "pkg")
_HISTORY = (".git", ".hg", ".jj", ".svn")


def around(folder: Path) -> Around:
    """What surrounds a folder: its module; the whole distribution for the standard library. Of a folder in no module,
    its files and its testdata: it may be a home with a whole life in it.
    """
    top = next((each for each in (folder, *folder.parents) if (each / "go.mod").is_file()), None)
    if top is None:
        return Around(folder, lambda path: _is_near(path, os.fspath(folder)))
    hidden = {os.path.join(top, each) for each in _HISTORY}
    if top.name == "src" and (top.parent / "VERSION").is_file():
        top = top.parent
        hidden = {os.path.join(top, each) for each in (*_TOOLS, *_HISTORY)}
    return Around(top, lambda path: path not in hidden)


def _is_near(path: str, folder: str) -> bool:
    below = os.path.relpath(path, folder).split(os.sep)
    return below[0] == "testdata" or os.path.islink(path) or not os.path.isdir(path)
