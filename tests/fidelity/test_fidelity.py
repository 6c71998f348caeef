"""Verdicts are read as the test framework means them, compared by name, and kept over runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fidelity.packages import Package
from fidelity.results import UNEXPLAINED, Reasons, Result, compare, load, save, table
from fidelity.running import Side, run_package
from fidelity.verdicts import read_verdicts

OUTPUT = b"""\
\x16=== RUN   TestA
\x16=== PAUSE TestA
\x16=== RUN   TestB
\x16=== RUN   TestB/one
text --- FAIL: TestC (0.00s)
--- FAIL: TestC (0.00s)
no newline at the end\x16    --- SKIP: TestB/one (0.00s)
\x16--- PASS: TestB (0.10s)
\x16=== CONT  TestA
\x16--- FAIL: TestA (0.00s)
"""


def test_only_the_frameworks_own_lines_count() -> None:
    found = read_verdicts(OUTPUT + b"\x16FAIL\n")
    assert found.of == {"TestA": "fail", "TestB": "pass", "TestB/one": "skip"} and found.whole
    broken = read_verdicts(OUTPUT[:30])
    assert broken.of == {"TestA": "unfinished"} and broken.unfinished == ["TestA"] and not broken.whole


# A test binary in Python: TestCrash ends it, TestPanic fails and ends it beside a test that waits.
_BINARY = r"""
import re, sys
asked = next((word.partition("=")[2] for word in sys.argv if word.startswith("-test.run=")), ".")
for name in ["TestA", "TestCrash", "TestWaits", "TestPanic", "TestB"]:
    if not re.search(asked, name):
        continue
    print(f"\x16=== RUN   {name}", flush=True)
    if name == "TestCrash":
        sys.exit(2)
    if name == "TestPanic":
        print(f"\x16--- FAIL: {name} (0.00s)\npanic: so", flush=True)
        sys.exit(2)
    if name == "TestWaits" and re.search(asked, "TestPanic"):
        continue
    print(f"\x16--- PASS: {name} (0.00s)", flush=True)
print("\x16PASS")
"""


def test_what_comes_after_a_test_that_ends_the_binary_is_run_too(tmp_path: Path) -> None:
    side = Side("here", lambda package, binary, arguments, limit: [sys.executable, "-c", _BINARY, *arguments], {})
    names = ["TestA", "TestCrash", "TestWaits", "TestPanic", "TestB", "TestGone"]
    outcome = run_package(side, Package("p", tmp_path), tmp_path, names, 20)
    assert outcome.verdicts == {
        "TestA": "pass", "TestCrash": "unfinished", "TestWaits": "pass", "TestPanic": "fail", "TestB": "pass",
        "TestGone": "missing",
    }  # fmt: skip
    assert any("panic: so" in each for each in outcome.last)


@pytest.fixture
def reasons(tmp_path: Path) -> Reasons:
    path = tmp_path / "reasons.toml"
    path.write_text('[[reason]]\npackage = "net/*"\ntests = ["TestDial*"]\nbecause = "No network."\n')
    return Reasons(path)


def test_differences_are_counted_explained_and_kept(tmp_path: Path, reasons: Reasons) -> None:
    linux = {"TestA": "pass", "TestA/0xc000012345": "pass", "TestA/y": "fail", "TestDialer": "pass", "TestZ": "skip"}
    image = {"TestA": "pass", "TestA/0xc000054321": "pass", "TestDialer": "fail"}
    result = Result("net/http", "id")
    compare(result, ["TestA", "TestDialer", "TestZ"], linux, image, reasons)
    assert (result.tests, result.same, result.subtests, result.same_subtests) == (3, 1, 2, 1)
    assert [(each.test, each.image, each.reason) for each in result.differences] == [
        ("TestDialer", "fail", "No network."),
        ("TestZ", "missing", UNEXPLAINED),
    ]
    save(tmp_path / "kept.json", {"Go": "go1"}, [result])
    assert load(tmp_path / "kept.json") == {"net/http": result} and load(tmp_path / "none.json") == {}
    page = table({"Go": "go1"}, [result], [])
    assert (
        "**1 of 3 top-level tests (33.33%)" in page and "| net/http | TestDialer | pass | fail | No network. |" in page
    )
    assert "**0 of 0 top-level tests (0%)" in table({"Go": "go1"}, [result], ["net/http"])


def test_the_projects_reasons_are_sentences() -> None:
    reasons = Reasons()
    assert reasons.of("os", "TestSendFile").endswith(".") and reasons.of("os", "TestOther") == UNEXPLAINED
