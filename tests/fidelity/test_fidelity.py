"""Verdicts are read as the test framework means them, compared by name, and kept over runs."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fidelity.measuring import examine
from fidelity.packages import Census, Package
from fidelity.page import others_page, page
from fidelity.results import UNEXPLAINED, Difference, Reasons, Result, Run, compare, load, record, save
from fidelity.running import Outcome, Processes, Side, Stopped, run_package
from fidelity.verdicts import read_verdicts

CENSUS = Census(all=10, tested=3, vendored=2, otherwise=1, without=4)
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
    outcome = run_package(Processes(), side, Package("p", tmp_path), tmp_path, names, 20)
    assert outcome.verdicts == {
        "TestA": "pass", "TestCrash": "unfinished", "TestWaits": "pass", "TestPanic": "fail", "TestB": "pass",
        "TestGone": "missing",
    }  # fmt: skip
    assert any("panic: so" in each for each in outcome.last)


def test_a_run_that_is_stopped_ends_its_processes(tmp_path: Path) -> None:
    began = tmp_path / "began"
    sleeper = f"import pathlib, time; pathlib.Path({str(began)!r}).touch(); time.sleep(60)"
    side = Side("here", lambda package, binary, arguments, limit: [sys.executable, "-c", sleeper], {})
    processes = Processes()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(processes.run, side, Package("p", tmp_path), tmp_path, [], 50)
        while not began.exists() and not run.done():
            time.sleep(0.01)
        processes.stop()
        assert isinstance(run.exception(20), Stopped)
    with pytest.raises(Stopped):
        processes.run(side, Package("p", tmp_path), tmp_path, [], 50)


class _Computers:
    """Runs for `examine` that tell of each side what it says the first time, and then of tests alone."""

    def __init__(self, **verdicts: list[dict[str, str]]) -> None:
        self.verdicts, self.asked = verdicts, []

    def __call__(self, side: Side, names: list[str], alone: bool) -> Outcome:
        if not names:
            return Outcome({}, 0, [])
        self.asked.append((side.name, *names))
        return Outcome(dict(self.verdicts[side.name].pop(0)), 1, [])


def test_who_differs_runs_again_alone_and_then_on_a_linux_in_qemu(reasons: Reasons) -> None:
    here, image, emulated = (Side(name, lambda *_: [], {}) for name in ("linux", "image", "emulated"))
    run = _Computers(
        linux=[
            {"Same": "pass", "Slow": "pass", "Cpu": "pass", "Cpu/wide": "pass", "Wrong": "pass", "Gone": "pass"},
            {"Slow": "pass", "Cpu": "pass", "Cpu/wide": "pass", "Wrong": "pass", "Gone": "pass"},
        ],
        image=[
            {"Same": "pass", "Slow": "fail", "Cpu": "pass", "Wrong": "fail", "Gone": "missing"},
            {"Slow": "pass", "Cpu": "pass", "Wrong": "skip", "Gone": "missing"},
        ],
        emulated=[{"Cpu": "pass", "Wrong": "pass", "Gone": "missing"}],
    )
    result = Result("p", "id")
    examine(result, ["Same", "Slow", "Cpu", "Wrong", "Gone"], run, here, image, emulated, reasons)
    assert run.asked == [
        ("linux", "Same", "Slow", "Cpu", "Wrong", "Gone"), ("image", "Same", "Slow", "Cpu", "Wrong", "Gone"),
        ("linux", "Slow", "Cpu", "Wrong", "Gone"), ("image", "Slow", "Cpu", "Wrong", "Gone"),
        ("emulated", "Cpu", "Wrong", "Gone"),
    ]  # fmt: skip
    assert (result.again, result.emulated) == (["Slow"], ["Cpu"])
    assert (result.tests, result.same, result.subtests) == (5, 3, 0)
    assert [(each.test, each.linux, each.image) for each in result.differences] == [
        ("Wrong", "pass", "skip"), ("Gone", "pass", "missing"),
    ]  # fmt: skip
    text = page({}, [result], CENSUS)
    assert "| p | Slow |" in text and "| p | Cpu |" in text


def test_the_page_tells_which_kernel_ran_what() -> None:
    one, two, other = Result("a", "go1 x-1", "c1"), Result("b", "go1 x-1", "c1"), Result("c", "go1 x-2", "c2")
    assert "Kernel x-1 (commit c1) ran all of them." in page({}, [one, two], CENSUS)
    text = page({}, [one, two, other], CENSUS)
    assert "Kernel x-1 (commit c1) ran all that no other is named for." in text
    assert "Kernel x-2 (commit c2) ran c." in text
    assert "Not measured: net." in page({}, [one], CENSUS, ["net"]) and "Not measured" not in text


def test_the_page_tells_why_packages_are_not_measured() -> None:
    text = page({}, [Result("a", "go1 x-1", "c1", tests=1), Result("b", "go1 x-1", "c1")], CENSUS)
    assert "10 packages without cgo (`go list std`). The 3 with test files are measured; 1 of these have" in text
    assert "Of the other 7, 2 are taken over" in text and "1 has tests for other settings only" in text
    assert "and 4 have no test file." in text


def test_runs_of_other_things_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "others.json"
    one = Result("m/p", "go1 x-1", "c1", 3, 2, 1, 1, differences=[Difference("TestX", "pass", "fail", "So.")])
    record(path, Run("m v1", False, {"Go": "go1"}, [Result("m/old", "go1 x-1", "c1")]))
    record(
        path, Run("quick choice of go2", True, {"Go": "go2"}, [Result("io", "go2 x-1", "c1", 4, 4, again=["TestY"])])
    )
    runs = record(path, Run("m v1", False, {"Go": "go1"}, [one]))
    assert [each.title for each in runs] == ["m v1", "quick choice of go2"] and runs[0].results == [one]
    text = others_page(runs)
    assert "| m v1 | go1 | 1 | 3 | 2 | 1 | 1 |" in text and "| quick choice of go2 | go2 | 1 | 4 | 4 | 0 | 0 |" in text
    assert "| m/p | TestX | pass | fail | So. |" in text and "| io (go2) | TestY |" in text and "m/old" not in text


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
    text = page({"Go": "go1"}, [result], CENSUS)
    assert (
        "**1 of 3 top-level tests (33.33%)" in text and "| net/http | TestDialer | pass | fail | No network. |" in text
    )
    assert "**0 of 0 top-level tests (0%)" in page({"Go": "go1"}, [], CENSUS)


def test_the_projects_reasons_are_sentences() -> None:
    reasons = Reasons()
    assert reasons.of("syscall", "TestUnshare").endswith(".") and reasons.of("os", "TestOther") == UNEXPLAINED
