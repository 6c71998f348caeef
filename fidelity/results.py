"""What was found, package by package: kept as it comes, so that a run can be broken off and gone on with; then compared
and written down.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fidelity.verdicts import FAIL, MISSING, UNFINISHED, subtests
from goanna.cache import write_whole

REASONS = Path(__file__).with_name("reasons.toml")
UNEXPLAINED = "not looked into yet"


@dataclass
class Difference:
    """A top-level test whose verdict is another in the image than on Linux."""

    test: str
    linux: str
    image: str
    reason: str


@dataclass
class Result:
    """A package compared. Counts of top-level tests and of subtests; `identity` says what Go and what kernel it was,
    `commit` of which state of the project. `again` are the tests that had Linux's verdict when they ran once more by
    themselves, `emulated` those that have that of a Linux in the same QEMU.
    """

    package: str
    identity: str
    commit: str = ""
    tests: int = 0
    same: int = 0
    subtests: int = 0
    same_subtests: int = 0
    linux_seconds: float = 0.0
    image_seconds: float = 0.0
    differences: list[Difference] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    emulated: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)


class Reasons:
    """Sentences that explain differences, by patterns of package and test."""

    def __init__(self, path: Path = REASONS) -> None:
        self._rules = tomllib.loads(path.read_text()).get("reason", [])

    def of(self, package: str, test: str) -> str:
        """The first sentence that fits, or UNEXPLAINED."""
        for rule in self._rules:
            if fnmatchcase(package, rule["package"]) and any(fnmatchcase(test, each) for each in rule["tests"]):
                return str(rule["because"])
        return UNEXPLAINED


def compare(result: Result, names: list[str], linux: dict[str, str], image: dict[str, str], reasons: Reasons) -> None:
    """Fill in what two sides' verdicts are to each other. Subtests count that Linux has."""
    result.tests = len(names)
    for name in names:
        here, there = linux.get(name, MISSING), image.get(name, MISSING)
        if here == there:
            result.same += 1
        else:
            result.differences.append(Difference(name, here, there, reasons.of(result.package, name)))
    expected, found = subtests(linux), subtests(image)
    result.subtests = sum(expected.values())
    result.same_subtests = sum(min(count, found[each]) for each, count in expected.items())


def load(path: Path) -> dict[str, Result]:
    """What an earlier run kept, by package."""
    if not path.exists():
        return {}
    found = {}
    for entry in json.loads(path.read_text())["packages"]:
        entry["differences"] = [Difference(**each) for each in entry["differences"]]
        found[entry["package"]] = Result(**entry)
    return found


def save(path: Path, facts: dict[str, str], results: Iterable[Result], last: bool = True) -> None:
    """Keep everything, whole; without the last words of runs that broke off if they are not wanted."""
    ordered = [asdict(each) for each in sorted(results, key=lambda each: each.package)]
    if not last:
        ordered = [each | {"last": []} for each in ordered]
    write_whole(path, (json.dumps({"facts": facts, "packages": ordered}, indent=1) + "\n").encode())


def worse(difference: Difference) -> bool:
    """Whether the image does less than Linux."""
    return difference.image in (FAIL, UNFINISHED, MISSING)
