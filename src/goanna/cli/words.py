"""Tells apart the words of a command: Goanna's own flags, those of go build, PROGRAM, and what the program gets.

The rule: a flag of Goanna's is taken wherever it stands before `--`. Any other word that begins with `-` is handed to
go build as it stands, and so is the next word where go's flag takes a value (`-tags x`; the list is in
program/toolchain.py; `-tags=x` always works). What is left is PROGRAM. After `--`, everything is the program's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goanna.failure import CannotRun, Failure, NotFound
from goanna.program.toolchain import VALUE_FLAGS


@dataclass
class Words:
    """A command's words by what they are. `arguments` is None where there was no `--`."""

    own: list[str] = field(default_factory=list)
    go_flags: list[str] = field(default_factory=list)
    programs: list[str] = field(default_factory=list)
    arguments: list[str] | None = None

    def finished(self) -> Path | None:
        """PROGRAM as an ELF file or image that is already made; None if go build has to make it.

        Raises Failure if the words name no program, or more than one; NotFound for a path where nothing is.
        """
        if not self.programs:
            raise Failure(
                "PROGRAM is missing", "Name a package folder, an import path, .go files, an ELF file or an image."
            )
        elsewhere = any(flag.lstrip("-").partition("=")[0] == "C" for flag in self.go_flags)
        if all(word.endswith(".go") for word in self.programs):
            gone = [word for word in self.programs if _names_file(word) and not Path(word).exists()]
            if gone and not elsewhere:
                raise NotFound(f"{gone[0]}: there is no such file")
            return None
        if len(self.programs) > 1:
            unknown = [flag for flag in self.go_flags if flag.startswith("-") and "=" not in flag]
            raise Failure(
                f"there is one PROGRAM to an image, and here are {len(self.programs)}: {' '.join(self.programs)}",
                "What the program itself gets comes after `--`."
                + (f" Flags that Goanna hasn't got went to go build: {' '.join(unknown)}" if unknown else ""),
            )
        word = self.programs[0]
        if elsewhere:
            return None  # go looks for the package elsewhere
        path = Path(word)
        if path.is_file():
            if self.go_flags:
                raise Failure(
                    f"{word}: is already built, so {' '.join(self.go_flags)} can't be followed",
                    "Name its package to have it built again, or leave the flags of go build out.",
                )
            return path
        named_by_path = word in (".", "..") or word.startswith(("./", "../", "/"))
        if path.is_symlink() and not os.path.exists(path):
            raise NotFound(f"{word}: is a link that leads nowhere")
        if os.path.exists(path) and not path.is_dir():
            raise CannotRun(f"{word}: is a device, a pipe or a socket, and no program")
        if named_by_path and "..." not in word and not path.exists():
            raise NotFound(f"{word}: there is no such file or folder")
        return None


def _names_file(word: str) -> bool:
    """Whether a word that ends in .go can only be a file: an import path like example.com/nats.go may end so, too."""
    first = word.partition("/")[0]
    return first in ("", ".", "..") or "." not in first.removesuffix(".go")


def split(words: Sequence[str], own: Mapping[str, bool]) -> Words:
    """Sort words by the rule above. `own` are Goanna's flags, each with whether it takes a value."""
    found = Words()
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            found.arguments = left
            break
        if not word.startswith("-") or word == "-":
            found.programs.append(word)
            continue
        name, joined, value = word.partition("=")
        if name in own:
            found.own.append(word if joined and not own[name] else name)
            if own[name]:
                found.own += [value] if joined else left[:1]
                left = left if joined else left[1:]
            continue
        flag = [word]
        if not joined and name.lstrip("-") in VALUE_FLAGS:
            flag += left[:1]
            left = left[1:]
        # go wants its -C before all others.
        found.go_flags = flag + found.go_flags if name.lstrip("-") == "C" else found.go_flags + flag
    return found


def split_test(words: Sequence[str], own: Mapping[str, bool]) -> tuple[list[str], list[str]]:
    """Goanna's flags among the words of go test, and the others in their order. What follows -args is the tests'."""
    found: list[str] = []
    others: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        name, joined, value = word.partition("=")
        if word in ("-args", "--args"):
            return found, [*others, word, *left]
        if name not in own:
            others.append(word)
        elif not own[name]:
            found.append(word)
        else:
            found += [name, value] if joined else [name, *left[:1]]
            left = left if joined else left[1:]
    return found, others
