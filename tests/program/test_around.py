"""What stands around a test, and what its flags make it write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goanna.program.around import around
from goanna.program.test_flags import written_by


def test_the_module_is_around_a_package(tmp_path: Path) -> None:
    (tmp_path / "m/p/testdata").mkdir(parents=True)
    (tmp_path / "m/go.mod").write_text("module m\n")
    found = around(tmp_path / "m/p")
    assert found.top == tmp_path / "m"
    assert found.wanted(f"{tmp_path}/m/p/x.go") and not found.wanted(f"{tmp_path}/m/.git")


@pytest.mark.parametrize(
    "text", ['use ./a\nuse "./b" // and this\n', "go 1.21\n\nuse (\n\t./a\n\tb\n)\n", "use ./a\n\nuse (\n./b // x\n)\n"]
)
def test_the_modules_of_a_workspace_are_around_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.delenv("GOWORK", raising=False)
    (tmp_path / "go.work").write_text(text)
    for name in ("a", "b", "c"):
        (tmp_path / name / "p").mkdir(parents=True)
        (tmp_path / name / "go.mod").write_text(f"module {name}\n")
    found = around(tmp_path / "a/p")
    assert found.top == tmp_path
    assert all(found.wanted(f"{tmp_path}/{name}") for name in ("go.work", "a", "b", "b/p", "b/p/x.go"))
    (tmp_path / "photos").mkdir()
    assert not any(found.wanted(f"{tmp_path}/{name}") for name in ("c", "photos", "a/.git"))
    assert around(tmp_path / "c/p").top == tmp_path / "c"
    monkeypatch.setenv("GOWORK", "off")
    assert around(tmp_path / "a/p").top == tmp_path / "a"


def test_of_a_folder_in_no_module_only_the_files_are_around(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "testdata/below").mkdir(parents=True)
    (tmp_path / "x.go").write_text("package main\n")
    found = around(tmp_path)
    assert found.top == tmp_path and found.wanted(f"{tmp_path}/x.go") and not found.wanted(f"{tmp_path}/photos")
    assert found.wanted(f"{tmp_path}/testdata") and found.wanted(f"{tmp_path}/testdata/below")


def test_the_distribution_is_around_the_standard_library(tmp_path: Path) -> None:
    (tmp_path / "go/src/strings").mkdir(parents=True)
    (tmp_path / "go/src/go.mod").write_text("module std\n")
    (tmp_path / "go/VERSION").write_text("go1.26\n")
    found = around(tmp_path / "go/src/strings")
    assert found.top == tmp_path / "go"
    assert not found.wanted(f"{tmp_path}/go/bin") and not found.wanted(f"{tmp_path}/go/pkg")
    assert found.wanted(f"{tmp_path}/go/lib") and found.wanted(f"{tmp_path}/go/src/go/pkg")


@pytest.mark.parametrize(
    ("words", "files", "folders"),
    [
        (["-test.v=true", "-test.timeout=10m0s"], [], []),
        (["-test.coverprofile=/w/c.out", "-test.gocoverdir=/w/d"], ["/w/c.out"], ["/w/d"]),
        (["-test.cpuprofile=cpu.out", "-test.outputdir=/out", "-test.trace=/t"], ["/out/cpu.out", "/t"], []),
        (["-test.memprofile=m", "-test.testlogfile=log"], ["/here/log", "/here/m"], []),
        (["-test.fuzz=FuzzX", "-test.fuzzcachedir=/cache"], [], ["/cache", "/here/testdata/fuzz"]),
        (["--", "-test.trace=/t"], [], []),
        (["word", "-test.trace=/t"], [], []),
        (["-trace=/t"], [], []),
    ],
)
def test_paths_that_a_test_writes(words: list[str], files: list[str], folders: list[str]) -> None:
    found = written_by(words, "/here")
    assert (sorted(found.files), sorted(found.folders)) == (files, folders)
    assert all(os.path.isabs(each) for each in (*found.files, *found.folders))
