"""What stands around a test: the module that its folder is in, as far as tests look at it."""

from __future__ import annotations

import os
import re
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
    """What surrounds a folder: its module, and the others of its workspace; the whole distribution for the standard
    library. Of a folder in no module, its files and its testdata: it may be a home with a whole life in it.
    """
    top = next((each for each in (folder, *folder.parents) if (each / "go.mod").is_file()), None)
    if top is None:
        return Around(folder, lambda path: _is_near(path, os.fspath(folder)))
    workspace = _workspace(top)
    if workspace is not None:
        return workspace
    hidden = {os.path.join(top, each) for each in _HISTORY}
    if top.name == "src" and (top.parent / "VERSION").is_file():
        top = top.parent
        hidden = {os.path.join(top, each) for each in (*_TOOLS, *_HISTORY)}
    return Around(top, lambda path: path not in hidden)


def _workspace(module: Path) -> Around | None:
    """The workspace of a module, of which its modules are seen and the files beside go.work; None: it is in none,
    or GOWORK says otherwise.
    """
    said = os.environ.get("GOWORK", "")
    files = [Path(said)] if said else [each / "go.work" for each in (module, *module.parents)]
    file = next((each for each in files if each.is_file()), None)
    if file is None:
        return None
    top = os.path.abspath(file.parent)
    modules = [os.path.normpath(os.path.join(top, each)) for each in _used(file.read_text(errors="replace"))]
    if os.fspath(module) not in modules or top == os.fspath(module):
        return None
    hidden = {os.path.join(each, name) for each in (top, *modules) for name in _HISTORY}
    return Around(Path(top), lambda path: path not in hidden and _is_of_workspace(path, top, modules))


def _used(text: str) -> list[str]:
    """The folders that a go.work names: `use ./a`, or several in parentheses."""
    lines = re.sub(r"//.*", "", text)
    blocks = re.findall(r"^\s*use\s*\(([^)]*)\)", lines, re.MULTILINE)
    single = re.findall(r"^\s*use\s+([^(\s].*)$", lines, re.MULTILINE)
    return [word.strip().strip('"`') for block in (*blocks, *single) for word in block.splitlines() if word.strip()]


def _is_of_workspace(path: str, top: str, modules: list[str]) -> bool:
    """Whether a path is one of a module, leads to one, or is a file beside go.work."""
    if any(path == each or path.startswith(f"{each}/") or each.startswith(f"{path}/") for each in modules):
        return True
    return os.path.dirname(path) == top and (os.path.islink(path) or not os.path.isdir(path))


def _is_near(path: str, folder: str) -> bool:
    below = os.path.relpath(path, folder).split(os.sep)
    return below[0] == "testdata" or os.path.islink(path) or not os.path.isdir(path)
