"""Reads goanna.toml, in which a project keeps settings: every key is a flag, of Goanna or of go build, without its
dashes.

    memory = "64M"
    env = { GREETING = "hello" }
    add = { "./www" = "/srv/www" }
    trimpath = true
    ldflags = "-s -w"

A path of this computer is seen from the file's folder. The file is looked for in the current folder and those above it,
up to the one that holds go.mod or .git.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from goanna.failure import Failure
from goanna.program.toolchain import SWITCHES, VALUE_FLAGS

NAME = "goanna.toml"
# Keys whose values begin with a path of this computer.
_PATHS = ("add", "share", "env-file")
_ENDS = ("go.mod", ".git")


def find_settings(start: Path) -> Path | None:
    """The nearest goanna.toml at or above a folder, within its project."""
    for folder in (start, *start.parents):
        if (folder / NAME).is_file():
            return folder / NAME
        if any((folder / each).exists() for each in _ENDS):
            return None
    return None


def settings_words(path: Path, own: Mapping[str, bool], known: Collection[str]) -> list[str]:
    """The file's settings as the words of a command line.

    `own` are the flags of the verb that runs, each with whether it takes a value; `known` those of all verbs: settings
    for another verb are left out. Raises Failure for a file that can't be read, and for a key that is no flag.
    """
    try:
        settings = tomllib.loads(path.read_text())
    except OSError as error:
        raise Failure(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: is not TOML: {error}") from None
    words: list[str] = []
    for key, value in settings.items():
        flag = f"--{key}"
        if flag in own:
            words += _own_words(path, flag, value, own[flag])
        elif flag not in known and (key in VALUE_FLAGS or key in SWITCHES):
            words += _go_words(path, key, value)
        elif flag not in known:
            raise Failure(
                f"{path}: {key} is no flag of goanna, nor of go build",
                "`goanna run --help` lists them; a key has no dashes.",
            )
    return words


def _own_words(path: Path, flag: str, value: Any, takes_value: bool) -> list[str]:
    if not takes_value:
        if not isinstance(value, bool):
            raise Failure(f"{path}: {flag[2:]} is true or false, not {value!r}")
        return [flag] if value else []
    return [f"{flag}={_seen_from(path, flag[2:], each)}" for each in _values(path, flag[2:], value)]


def _seen_from(path: Path, key: str, value: str) -> str:
    """A value with its path of this computer, if it has one, made independent of where the command runs."""
    if key not in _PATHS or value.startswith("/"):
        return value
    return f"{path.parent}/{value}"


def _go_words(path: Path, key: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"-{key}={str(value).lower()}"]
    return [f"-{key}={each}" for each in _values(path, key, value)]


def _values(path: Path, key: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}{':' if key in ('add', 'share') else '='}{each}" for name, each in value.items()]
    items = value if isinstance(value, list) else [value]
    for each in items:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            raise Failure(f"{path}: {key} is a text, a number or a list of them, not {value!r}")
    return [str(each) for each in items]
