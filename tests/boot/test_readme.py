"""What the README and the manual tell a person to type works as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from goanna.cli.main import app
from tests.boot.test_bare import EXPECTED
from tests.published import publish

TOP = Path(__file__).resolve().parents[2]
PAGES = [TOP / "README.md", TOP / "docs/command-line.md"]
# Waits for a person, and is typed in test_watched.py.
WAITING = "--gdb"


def typed(page: Path, program: str) -> Iterator[str]:
    """The lines of a page's code blocks that begin with a program's name, without their comments."""
    for line in page.read_text().splitlines():
        if line.startswith(f"    {program} "):
            yield re.sub(r"\s+#.*", "", line.strip())


@pytest.fixture
def folder(tmp_path: Path, go: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module such as the README speaks of, in which a person stands who has installed Goanna."""
    server = 'package main\n\nimport (\n\t"fmt"\n\t"os"\n)\n\nfunc main() { fmt.Println("served", os.Args[1:]) }\n'
    test = 'package main\n\nimport "testing"\n\nfunc TestNothing(t *testing.T) {}\n'
    for name, text in {
        "go.mod": "module example.com/m\n\ngo 1.21\n", "main.go": server, "cmd/server/main.go": server,
        "cmd/server/main_test.go": test, "www/index.html": "hello\n",
    }.items():  # fmt: skip
        path = tmp_path / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, value in publish(tmp_path, "example.com/tool", server).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "bin").mkdir()
    goanna = tmp_path / "bin/goanna"
    goanna.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m goanna.cli.main "$@"\n')
    goanna.chmod(0o755)
    monkeypatch.setenv("PATH", f"{goanna.parent}:{Path(go).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{TOP / 'src'}:{os.environ.get('PYTHONPATH', '')}")
    return tmp_path / "m"


def test_the_readmes_commands_do_what_they_say(folder: Path) -> None:
    commands = [*typed(TOP / "README.md", "goanna"), *typed(TOP / "README.md", "go")]
    assert len(commands) >= 10
    for command in commands:
        if WAITING in command:
            continue
        done = subprocess.run(
            ["sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if " run " in command:
            assert done.stdout == f"served [{command.partition('-- ')[2]}]\n", command
    assert (folder / "server.img").exists()


def test_the_machines_without_goanna_start(image: Path) -> None:
    commands = [line for page in PAGES for line in typed(page, "qemu-system-x86_64")]
    assert len(commands) >= 2
    for command in commands:
        words = [str(image) if word.endswith(".img") else word for word in shlex.split(command)]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
        assert done.stdout.endswith(EXPECTED) and done.returncode == 0, done


def test_every_make_target_is_there() -> None:
    makefile = (TOP / "Makefile").read_text()
    readme = (TOP / "README.md").read_text()
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", readme, re.MULTILINE))
    assert len(named) >= 6
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_flag_is_one() -> None:
    verbs = typer.main.get_command(app).commands.values()
    known = {flag for verb in verbs for option in verb.params for flag in option.opts if flag[0] == "-"}
    for page in PAGES:
        text = re.sub(r"^    qemu-.*$", "", page.read_text(), flags=re.MULTILINE)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            assert flag in known | {"--help"}, f"{page.name}: {flag}"
    manual = PAGES[1].read_text()
    for flag in known:
        assert f"`{flag}" in manual, f"{flag} is not in the manual"
