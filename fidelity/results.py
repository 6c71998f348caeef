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
from typing import Any

from fidelity.packages import Census
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
    found = [_result(each) for each in json.loads(path.read_text())["packages"]]
    return {each.package: each for each in found}


def _result(entry: dict[str, Any]) -> Result:
    return Result(**entry | {"differences": [Difference(**each) for each in entry["differences"]]})


def save(path: Path, facts: dict[str, str], results: Iterable[Result]) -> None:
    """Keep everything, whole."""
    _write(path, {"facts": facts, "packages": _told(results)})


def publish(path: Path, facts: dict[str, str], results: Iterable[Result], census: Census) -> None:
    """Write a full run down for programs: without the last words of runs that broke off."""
    told = [each | {"last": []} for each in _told(results)]
    _write(path, {"facts": facts, "std": asdict(census), "packages": told})


@dataclass
class Run:
    """A run of something else than this Go's whole library: a module, or `standard` packages of some Go."""

    title: str
    standard: bool
    facts: dict[str, str]
    results: list[Result]


def record(path: Path, run: Run) -> list[Run]:
    """Put a run to the others in a file, in the place of an earlier one of the same title. Gives all, by title."""
    kept = json.loads(path.read_text())["runs"] if path.exists() else []
    told = [each | {"last": []} for each in _told(run.results)]
    runs = [each for each in kept if each["title"] != run.title]
    runs.append({"title": run.title, "standard": run.standard, "facts": run.facts, "packages": told})
    runs.sort(key=lambda each: str(each["title"]))
    _write(path, {"runs": runs})
    return [_run(each) for each in runs]


def _run(entry: dict[str, Any]) -> Run:
    results = [_result(each) for each in entry["packages"]]
    return Run(entry["title"], entry["standard"], entry["facts"], results)


def _told(results: Iterable[Result]) -> list[dict[str, Any]]:
    return [asdict(each) for each in sorted(results, key=lambda each: each.package)]


def _write(path: Path, what: dict[str, Any]) -> None:
    write_whole(path, (json.dumps(what, indent=1) + "\n").encode())


def worse(difference: Difference) -> bool:
    """Whether the image does less than Linux."""
    return difference.image in (FAIL, UNFINISHED, MISSING)
