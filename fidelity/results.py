"""What was found, package by package: kept as it comes, so that a run can be broken off and gone on with; then compared
and written down.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fidelity.verdicts import FAIL, MISSING, UNFINISHED
from goanna.cache import write_whole

REASONS = Path(__file__).with_name("reasons.toml")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
# As many tests are named where several differ alike.
_NAMED = 6
UNEXPLAINED = "not looked into yet"
_HEAD = """\
# Fidelity: Go's own tests in a booted image and on Linux

`make fidelity` runs the tests of the Go distribution's packages, with `-short`, as root, without cgo and without a `go`
command, on Linux and in a booted image with the same files around them, and compares the verdicts by name.

{facts}.

**{same:,} of {tests:,} top-level tests ({share}%) of the {count} packages measured that need no network have Linux's
verdict;** of their {below:,} subtests, {same_below:,}.
Most of the others are of internal/runtime/gc/scan, crypto/sha1 and crypto/sha256, which have one for each vector
extension of the processor, and QEMU's emulated one has fewer.

| package | tests | same | subtests | same | seconds on Linux | in the image |
|---|--:|--:|--:|--:|--:|--:|
"""


@dataclass
class Difference:
    """A top-level test whose verdict is another in the image than on Linux."""

    test: str
    linux: str
    image: str
    reason: str


@dataclass
class Result:
    """A package compared. Counts of top-level tests and of subtests; `identity` says what Goanna and Go it was."""

    package: str
    identity: str
    tests: int = 0
    same: int = 0
    subtests: int = 0
    same_subtests: int = 0
    linux_seconds: float = 0.0
    image_seconds: float = 0.0
    differences: list[Difference] = field(default_factory=list)
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
    expected, found = _subtests(linux), _subtests(image)
    result.subtests = sum(expected.values())
    result.same_subtests = sum(min(count, found[each]) for each, count in expected.items())


def _subtests(verdicts: dict[str, str]) -> Counter[tuple[str, str]]:
    """Subtests with their verdicts; addresses, which some have in their names, are all the same."""
    return Counter((_ADDRESS.sub("0x0", name), verdict) for name, verdict in verdicts.items() if "/" in name)


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


def table(facts: dict[str, str], results: Iterable[Result], network: Iterable[str]) -> str:
    """The page that people read."""
    ordered = sorted(results, key=lambda each: each.package)
    counted = [each for each in ordered if each.package not in set(network)]
    tests, same = sum(each.tests for each in counted), sum(each.same for each in counted)
    below, same_below = sum(each.subtests for each in counted), sum(each.same_subtests for each in counted)
    share = f"{100 * same / tests:.2f}" if tests else "0"
    lines = _HEAD.format(
        facts=", ".join(f"{key} {value}" for key, value in facts.items()), tests=tests, same=same, share=share,
        count=len(counted), below=below, same_below=same_below,
    ).splitlines()  # fmt: skip
    for each in ordered:
        lines.append(
            f"| {each.package} | {each.tests} | {each.same} | {each.subtests} | {each.same_subtests} "
            f"| {each.linux_seconds:.1f} | {each.image_seconds:.1f} |"
        )
    lines += ["", "## Differences", "", "| package | tests | Linux | image | because |", "|---|---|---|---|---|"]
    for each in ordered:
        alike: dict[tuple[str, str, str], list[str]] = {}
        for one in each.differences:
            alike.setdefault((one.linux, one.image, one.reason), []).append(one.test)
        for (here, there, reason), names in alike.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            lines.append(f"| {each.package} | {', '.join(names[:_NAMED])}{more} | {here} | {there} | {reason} |")
    return "\n".join(lines) + "\n"


def worse(difference: Difference) -> bool:
    """Whether the image does less than Linux."""
    return difference.image in (FAIL, UNFINISHED, MISSING)
