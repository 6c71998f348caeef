"""`goanna test` in modules as people have them: many packages, vendored ones, workspaces, links, odd names, the race
detector. What go test does on this computer is what has to come out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.boot.test_exec import goanna_test

PACKAGES = 10
_SOURCE = """package p

import "example.com/dep"

func Over(n int) string {
	if n > LIMIT {
		return dep.Word()
	}
	return ""
}
"""
_TEST = """package p

import (
	"flag"
	"os"
	"testing"
)

var word = flag.String("word", "", "a flag of the test's own")

func TestOver(t *testing.T) {
	t.Parallel()
	if Over(LIMIT) != "" || Over(100) != "vendored" {
		t.Error("not over")
	}
}

func TestData(t *testing.T) {
	for _, name := range []string{"testdata/file", "testdata/link", "testdata/folder/file", "testdata/up"} {
		if data, err := os.ReadFile(name); err != nil || string(data) != "data LIMIT" {
			t.Errorf("%s: %q %v", name, data, err)
		}
	}
	if target, err := os.Readlink("testdata/link"); err != nil || target != "file" {
		t.Error(target, err)
	}
	if err := os.WriteFile("testdata/golden", nil, 0o644); err != nil {
		t.Error(err)
	}
	t.Logf("%q", *word)
}

func TestLong(t *testing.T) {
	if testing.Short() {
		t.Skip()
	}
}
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def module(tmp_path: Path, go: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of ten packages, in whose folder the test stands."""
    top = tmp_path / "it's a place"
    write(top / "go.mod", "module example.com/m\n\ngo 1.21\n\nrequire example.com/dep v1.0.0\n")
    write(top / "vendor/modules.txt", "# example.com/dep v1.0.0\n## explicit; go 1.21\nexample.com/dep\n")
    write(top / "vendor/example.com/dep/dep.go", 'package dep\n\nfunc Word() string { return "vendored" }\n')
    for number in range(PACKAGES):
        package = top / f"p{number}"
        write(package / "p.go", _SOURCE.replace("LIMIT", str(number)))
        write(package / "p_test.go", _TEST.replace("LIMIT", str(number)))
        for name in ("testdata/file", "testdata/real/file", "../shared/p"):
            write(package / (name + (str(number) if name.endswith("p") else "")), f"data {number}")
        (package / "testdata/link").symlink_to("file")
        (package / "testdata/folder").symlink_to("real")
        (package / "testdata/up").symlink_to(f"../../shared/p{number}")
    monkeypatch.chdir(top)
    monkeypatch.setenv("PATH", f"{Path(go).parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CGO_ENABLED", raising=False)
    return top


def test_ten_packages_side_by_side(module: Path) -> None:
    status, output = goanna_test(1, "-p", "4", "-count=1", "./...")
    assert status == 0 and output.count("ok  \texample.com/m/p") == PACKAGES, output
    assert not (module / "p0/testdata/golden").exists()


def test_flags_of_go_test_and_of_the_test_itself(module: Path) -> None:
    words = ["-v", "-short", "-count=2", "-run", "TestData|TestLong", "./p1", "-args", "-word", "two words"]
    status, output = goanna_test(1, *words)
    assert status == 0 and output.count('"two words"') == 2 and output.count("--- SKIP: TestLong") == 2, output
    assert "TestOver" not in output


def test_coverage_of_other_packages(module: Path, go: str) -> None:
    words = ["-coverpkg=./...", "-count=1", "./p1", "./p2"]
    status, output = goanna_test(1, "-coverprofile=there", *words)
    assert status == 0 and "coverage: " in output, output
    subprocess.run([go, "test", "-coverprofile=here", *words], check=True)
    assert sorted((module / "there").read_text().split("\n")) == sorted((module / "here").read_text().split("\n"))


def test_files_that_flags_name_elsewhere(module: Path, tmp_path: Path) -> None:
    words = ["-count=1", f"-outputdir={tmp_path}", "-blockprofile=b", "-mutexprofile=m", "-o", f"{tmp_path}/made it"]
    status, output = goanna_test(1, *words, "./p1")
    assert status == 0 and all((tmp_path / name).stat().st_size for name in ("b", "m", "made it")), output


def test_modules_of_a_workspace_see_each_other(tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "work"
    write(top / "go.work", "go 1.21\n\nuse (\n\t./one\n\t./two\n)\n")
    write(top / "one/go.mod", "module example.com/one\n\ngo 1.21\n")
    write(top / "two/go.mod", "module example.com/two\n\ngo 1.21\n")
    write(top / "two/two.go", 'package two\n\nconst Name = "two"\n')
    write(
        top / "one/one_test.go",
        """package one

import (
	"os"
	"testing"

	"example.com/two"
)

func TestTwo(t *testing.T) {
	if _, err := os.Stat("../" + two.Name + "/two.go"); err != nil {
		t.Error(err)
	}
}
""",
    )
    monkeypatch.chdir(top / "one")
    status, output = goanna_test(1, "-count=1", "./...")
    assert status == 0, output


def test_the_race_detector_is_refused_without_c_and_detects_with_it(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, output = goanna_test(1, "-race", "./p1")
    assert status == 125 and "-race" in output and "CGO_ENABLED=1" in output, output
    if shutil.which("gcc") is None:
        pytest.skip("the race detector needs gcc")
    write(
        module / "race/race_test.go",
        """package race

import "testing"

func TestRace(t *testing.T) {
	n, done := 0, make(chan bool)
	for i := 0; i < 2; i++ {
		go func() { n++; done <- true }()
	}
	<-done
	<-done
}
""",
    )
    monkeypatch.setenv("CGO_ENABLED", "1")
    status, output = goanna_test(1, "-race", "-ldflags=-linkmode external -extldflags -static", "./race")
    assert status == 1 and "WARNING: DATA RACE" in output, output
