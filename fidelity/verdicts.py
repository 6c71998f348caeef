"""Reads the verdicts out of what a test binary prints with -test.v=test2json.

In this form the lines that are the test framework's begin with a SYN byte, which tells them from what tests print.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

PASS, FAIL, SKIP = "pass", "fail", "skip"
# A test that began and never came to its end: the binary crashed, hung, or was stopped.
UNFINISHED = "unfinished"
# A test that the binary never came to.
MISSING = "missing"

_VERDICT = re.compile(rb"\x16 *--- (PASS|FAIL|SKIP): (\S+) \(")
_RUN = re.compile(rb"\x16=== RUN +(\S+)")
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_END = re.compile(rb"\x16(PASS|FAIL)\r?$", re.MULTILINE)


@dataclass
class Verdicts:
    """What one run said: verdicts by names of tests, subtests included; `whole` if it came to its end."""

    of: dict[str, str] = field(default_factory=dict)
    whole: bool = False

    @property
    def unfinished(self) -> list[str]:
        """Top-level tests that began and did not end."""
        return [name for name, verdict in self.of.items() if verdict == UNFINISHED and "/" not in name]


def read_verdicts(output: bytes) -> Verdicts:
    """The verdicts in what a test binary printed. Where a name has several (-test.count), a failure counts."""
    found = Verdicts(whole=_END.search(output) is not None)
    for match in re.finditer(_RUN.pattern + b"|" + _VERDICT.pattern, output):
        started, word, name = match.groups()
        if started is not None:
            found.of.setdefault(started.decode(errors="replace"), UNFINISHED)
            continue
        text, verdict = name.decode(errors="replace"), word.decode().lower()
        if found.of.get(text) != FAIL:
            found.of[text] = verdict
    return found


def of_test(verdicts: dict[str, str], name: str) -> dict[str, str]:
    """The verdicts of a top-level test and of its subtests."""
    return {each: verdict for each, verdict in verdicts.items() if each == name or each.startswith(f"{name}/")}


def subtests(verdicts: dict[str, str]) -> Counter[tuple[str, str]]:
    """Subtests with their verdicts; addresses, which some have in their names, are all the same."""
    return Counter((_ADDRESS.sub("0x0", name), verdict) for name, verdict in verdicts.items() if "/" in name)


def differing(names: Iterable[str], linux: dict[str, str], image: dict[str, str]) -> list[str]:
    """Those top-level tests that have another verdict in the image, or a subtest with one that Linux has."""
    below, found = subtests(linux), subtests(image)
    less = {each[0].partition("/")[0] for each, count in below.items() if found[each] < count}
    return [name for name in names if name in less or linux.get(name, MISSING) != image.get(name, MISSING)]
