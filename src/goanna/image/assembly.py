"""Puts the tree of an image together out of claims: this file, at this path, because of that.

Folders flow into each other. Two files at one path are a mistake, and a person is told of both; only what Goanna adds
by itself (`offer`) gives way.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from goanna.failure import Failure
from goanna.image.erofs import LONGEST_NAME, Folder, Link, Node

LONGEST_PATH = 4095  # PATH_MAX, less the final zero
_MOST_LINKS = 40  # as many as Linux follows


@dataclass(frozen=True)
class _Claim:
    """What a person wrote to have something, and the path where it begins."""

    origin: str
    top: str


class Assembly:
    """A tree that grows. Paths are absolute paths of the guest; `origin` is what a person wrote to have it."""

    def __init__(self) -> None:
        self.root = Folder()
        self._claims: dict[str, _Claim] = {}
        self._links: list[tuple[str, Link, _Claim]] = []

    def claim(self, path: str, node: Node, origin: str) -> None:
        """Put a node, and what is below it, at a path. Raises Failure where something else is."""
        path = clean_path(path)
        claim = _Claim(origin, path)
        if path == "/":
            if not isinstance(node, Folder):
                raise Failure(f"{origin}: is no folder, and can't be the root of an image", "Say where: HOST:GUEST.")
            _be_like(self.root, node)
            self._flow(self.root, node, "", claim)
            return
        parent, _, name = path.rpartition("/")
        self._place(self._folder_at(parent, claim), os_name(name), node, path, claim)

    def offer(self, path: str, node: Node) -> None:
        """Put a node at a path if that is free and can be."""
        parent, _, name = clean_path(path).rpartition("/")
        here = self.root
        for part in parent.split("/")[1:]:
            below = here.entries.setdefault(os_name(part), Folder())
            if not isinstance(below, Folder):
                return
            here = below
        here.entries.setdefault(os_name(name), node)

    def find(self, path: str) -> Node | None:
        """What stands at a path, links followed; None where nothing does."""
        found = self._walk(path, _MOST_LINKS)
        return None if found is None else found[0]

    def check_links(self) -> None:
        """Raise Failure for a symbolic link that leads out of what was added with it, to where nothing is."""
        for path, link, claim in self._links:
            target = link.target.decode(errors="surrogateescape")
            full = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            if not _below(full, claim.top) and self.find(full) is None:
                raise Failure(
                    f"{path}: this link leads to {target}, outside of {claim.origin}, and the image has no such file",
                    "Add that too, or leave the link out.",
                )

    def _folder_at(self, path: str, claim: _Claim) -> Folder:
        here = self.root
        walked = ""
        for part in path.split("/")[1:]:
            walked = f"{walked}/{part}"
            _check_name(os_name(part), walked, claim.origin)
            below = here.entries.setdefault(os_name(part), Folder())
            if not isinstance(below, Folder):
                raise self._conflict(walked, claim)
            here = below
        return here

    def _place(self, parent: Folder, name: bytes, node: Node, path: str, claim: _Claim) -> None:
        _check_name(name, path, claim.origin)
        there = parent.entries.get(name)
        if there is not None and not (isinstance(there, Folder) and isinstance(node, Folder)):
            raise self._conflict(path, claim)
        self._claims[path] = claim
        if isinstance(node, Folder):
            into = there if isinstance(there, Folder) else Folder()
            _be_like(into, node)
            parent.entries[name] = into
            self._flow(into, node, path, claim)
            return
        parent.entries[name] = node
        if isinstance(node, Link):
            self._links.append((path, node, claim))

    def _flow(self, into: Folder, source: Folder, path: str, claim: _Claim) -> None:
        for name, node in source.entries.items():
            self._place(into, name, node, f"{path}/{name.decode(errors='surrogateescape')}", claim)

    def _conflict(self, path: str, claim: _Claim) -> Failure:
        others = (each for at, each in self._claims.items() if at == path or at.startswith(f"{path}/"))
        other = next(others, None)
        whose = other.origin if other is not None else "what comes before it"
        return Failure(f"{path}: is claimed by {whose} and by {claim.origin}", "Give one of them another place.")

    def _walk(self, path: str, links: int) -> tuple[Node, str] | None:
        here: Node = self.root
        walked = "/"
        for part in [each for each in path.split("/") if each]:
            if not isinstance(here, Folder):
                return None
            below = here.entries.get(os_name(part))
            if below is None:
                return None
            at = posixpath.join(walked, part)
            if isinstance(below, Link):
                target = posixpath.join(walked, below.target.decode(errors="surrogateescape"))
                found = self._walk(posixpath.normpath(target), links - 1) if links else None
                if found is None:
                    return None
                below, at = found
            here, walked = below, at
        return here, walked


def clean_path(path: str) -> str:
    """An absolute path without `.`, `..` and doubled slashes. Raises Failure for one that is not absolute."""
    if not path.startswith("/"):
        raise Failure(f"{path}: is no absolute path", "A path of the guest begins with `/`.")
    return "/" + posixpath.normpath(path).lstrip("/")


def os_name(name: str) -> bytes:
    """A name as bytes, whatever they are."""
    return name.encode(errors="surrogateescape")


def _check_name(name: bytes, path: str, origin: str) -> None:
    if len(name) > LONGEST_NAME:
        text = name[:60].decode(errors="replace")
        raise Failure(f"{origin}: the name {text}… has {len(name)} bytes, and the name of a file has at most "
                      f"{LONGEST_NAME}")  # fmt: skip
    if len(os_name(path)) > LONGEST_PATH:
        raise Failure(f"{origin}: the path {path[:60]}… has {len(os_name(path)):,} bytes, and a path has at most "
                      f"{LONGEST_PATH:,}")  # fmt: skip
    if b"\0" in name:
        raise Failure(f"{origin}: the name {name!r} has a zero byte")


def _be_like(folder: Folder, source: Folder) -> None:
    folder.mode, folder.time = source.mode, source.time
    folder.attributes = {**folder.attributes, **source.attributes}


def _below(path: str, folder: str) -> bool:
    return folder == "/" or path == folder or path.startswith(f"{folder}/")
