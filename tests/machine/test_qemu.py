"""A QEMU that is missing, old or none at all is told in a sentence that says where it is and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.machine.qemu import PROGRAM, find_qemu


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("#!/bin/sh\necho QEMU emulator version 4.2.0\n", "is QEMU 4.2, and Goanna needs 6.2 or later"),
        ("#!/bin/sh\n", "doesn't say its version: it says nothing"),
        ("#!/bin/sh\necho nonsense\nexit 1\n", "doesn't say its version: nonsense"),
        ("no program", "can't be started: Exec format error"),
        ("#!/nowhere\n", "can't be started: No such file or directory"),
    ],
)
def test_a_qemu_that_will_not_do_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, sentence: str
) -> None:
    program = tmp_path / PROGRAM
    program.write_text(content)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure) as failed:
        find_qemu()
    assert str(failed.value).startswith(f"{program}") and sentence in str(failed.value)
    assert "qemu-system-x86" in failed.value.advice


def test_no_qemu_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / PROGRAM).mkdir()  # a folder of that name is none
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match=f"there is no {PROGRAM} on PATH"):
        find_qemu()
