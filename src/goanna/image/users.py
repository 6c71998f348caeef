"""Whom a program runs as: NAME or NUMBER, with :GROUP or without, by the image's own /etc/passwd and /etc/group."""

from __future__ import annotations

from dataclasses import dataclass

from goanna.failure import Failure

_MOST = 0xFFFF_FFFE
_MOST_GROUPS = 32  # that a process of the kernel's has (identity/credentials.py)


@dataclass(frozen=True)
class User:
    """A user and group by number."""

    user: int
    group: int
    further: tuple[int, ...] = ()  # groups that the user is in besides


def find_user(text: str, passwd: bytes, groups: bytes) -> User:
    """The numbers of `--user text`. A number needs no line in `passwd`; its group is 0 where it has none. Who says no
    group is in all those besides that list the user.

    Raises Failure for a name that isn't there, and for a number that no user can have.
    """
    name, given, group_name = text.partition(":")
    lines = _lines(passwd)
    fields = next((each for each in lines if name in (each[0], each[2])), None) if name else None
    if fields is not None:
        user, group = int(fields[2]), int(fields[3])
    else:
        user, group = _number(text, name, "user", "/etc/passwd"), 0
    if given:
        found = next((each for each in _lines(groups) if each[0] == group_name), None)
        group = int(found[2]) if found is not None else _number(text, group_name, "group", "/etc/group")
    return User(user, group, () if given else _memberships(fields[0] if fields else name, groups, group))


def home_of(text: str | None, passwd: bytes) -> bytes:
    """The home of `--user text`, or of root: what its line in the table says, and the root folder where it has none."""
    name = "0" if text is None else text.partition(":")[0]
    fields = next((each for each in _lines(passwd) if name in (each[0], each[2])), [])
    return fields[5].encode(errors="surrogateescape") if len(fields) > 5 and fields[5] else b"/"


def _memberships(name: str, groups: bytes, first: int) -> tuple[int, ...]:
    """The groups whose line in the table lists a user."""
    found = [int(each[2]) for each in _lines(groups) if name in each[3].split(",") and int(each[2]) <= _MOST]
    return tuple(dict.fromkeys(each for each in found if each != first))[:_MOST_GROUPS]


def _lines(table: bytes) -> list[list[str]]:
    """The lines of a table that have a name and numbers where users and groups have them."""
    lines = [line.split(":") for line in table.decode(errors="surrogateescape").splitlines()]
    return [each for each in lines if len(each) >= 4 and each[2].isdecimal() and (len(each) < 7 or each[3].isdecimal())]


def _number(text: str, name: str, what: str, table: str) -> int:
    if name.isdecimal() and int(name) <= _MOST:
        return int(name)
    raise Failure(
        f"--user {text}: {name!r} is no {what} in the image's {table}, and no number",
        "Write it like root, 1000 or 1000:100, or add a table of your own: --add passwd:/etc/passwd",
    )
