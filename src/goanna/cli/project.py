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

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from goanna.failure import Failure
from goanna.program.toolchain import SWITCHES, VALUE_FLAGS

NAME = "goanna.toml"
# Keys whose values begin with a path of this computer.
_PATHS = ("add", "share", "env-file", "pcap")
# Flags that may be given several times: as a table, whose names and values this joins, and as a list.
_TABLES = {"add": ":", "share": ":", "env": "="}
_LISTS = ("env-file", "net", "publish", *VALUE_FLAGS)
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
    return [word for _, word in settings_by_place(path, own, known)]


def settings_by_place(path: Path, own: Mapping[str, bool], known: Collection[str]) -> list[tuple[str, str]]:
    """The same, each word with the place in the file that it comes from: `path:line: key`."""
    try:
        text = path.read_text()
        settings = tomllib.loads(text)
    except OSError as error:
        raise Failure(f"{path}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"{path}: is not TOML: {error}") from None
    found: list[tuple[str, str]] = []
    for key, value in settings.items():
        flag = f"--{key}"
        place = f"{path}{_line_of(text, key)}: {key}"
        words: list[str] = []
        if flag in own:
            words = _own_words(path, place, flag, value, own[flag])
        elif flag not in known and (key in VALUE_FLAGS or key in SWITCHES):
            words = _go_words(place, key, value)
        elif flag not in known:
            raise Failure(
                f"{place} is no flag of goanna, nor of go build",
                "`goanna run --help` lists them; a key has no dashes.",
            )
        found += [(place, word) for word in words]
    return found


def _line_of(text: str, key: str) -> str:
    """`:line` of a key at the top level of a file, or of its table; empty where that is not to be seen."""
    beginning = re.compile(rf"""\s*\[?\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    lines = (number for number, line in enumerate(text.splitlines(), 1) if beginning.match(line))
    return next((f":{number}" for number in lines), "")


def _own_words(path: Path, place: str, flag: str, value: Any, takes_value: bool) -> list[str]:
    if not takes_value:
        if not isinstance(value, bool):
            raise Failure(f"{place} is true or false, not {_shown(value)}")
        return [flag] if value else []
    return [f"{flag}={_seen_from(path, flag[2:], each)}" for each in _values(place, flag[2:], value)]


def _seen_from(path: Path, key: str, value: str) -> str:
    """A value with its path of this computer, if it has one, made independent of where the command runs."""
    if key not in _PATHS or value.startswith("/"):
        return value
    return f"{path.parent}/{value}"


def _go_words(place: str, key: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"-{key}={str(value).lower()}"]
    return [f"-{key}={each}" for each in _values(place, key, value)]


def _values(place: str, key: str, value: Any) -> list[str]:
    """The texts of a value: one, or several where a flag may be given several times."""
    if isinstance(value, dict) and key in _TABLES:
        items = list(value.values())
        texts = [f"{name}{_TABLES[key]}{each}" for name, each in value.items()]
    else:
        several = key in _TABLES or key in _LISTS
        items = value if isinstance(value, list) and several else [value]
        texts = [str(each) for each in items]
    for each in items:
        if isinstance(each, bool) or not isinstance(each, str | int | float):
            kinds = "a text, a list or a table of them" if key in _TABLES else "a text or a number"
            raise Failure(f"{place} is {kinds}, not {_shown(each)}")
    return texts


def _shown(value: Any) -> str:
    """A value as the file has it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)
