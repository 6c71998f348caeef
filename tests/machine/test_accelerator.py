"""The choice of accelerator: tried once, bounded, remembered, and the person's word counts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.machine import accelerator
from goanna.machine.qemu import Qemu, find_qemu


def fake_qemu(folder: Path, script: str) -> Qemu:
    """A QEMU that leaves a line in `starts` each time, and then does what the script says."""
    path = folder / "qemu"
    path.write_text(f"#!/bin/sh\necho started >> {folder}/starts\n{script}\n")
    os.chmod(path, 0o755)
    return Qemu(path, (9, 0, 0))


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GOANNA_ACCEL", raising=False)
    monkeypatch.setattr(accelerator, "_hardware_present", lambda: True)
    monkeypatch.setattr(accelerator.sys, "platform", "linux")
    monkeypatch.setattr(accelerator, "TIME_LIMIT", 60.0)  # a busy computer is no hang


def starts(folder: Path) -> int:
    return len((folder / "starts").read_text().splitlines()) if (folder / "starts").exists() else 0


def test_stub_that_ends_as_it_should_means_hardware(tmp_path: Path) -> None:
    qemu = fake_qemu(tmp_path, "exit 33")
    assert [accelerator.choose(qemu) for _ in range(3)] == ["kvm"] * 3
    assert starts(tmp_path) == 1


def test_stub_that_fails_means_emulation(tmp_path: Path) -> None:
    qemu = fake_qemu(tmp_path, "exit 1")
    assert [accelerator.choose(qemu) for _ in range(3)] == ["tcg"] * 3
    assert starts(tmp_path) == 1


def test_stub_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "TIME_LIMIT", 3.0)
    qemu = fake_qemu(tmp_path, "exec sleep 600")
    began = time.monotonic()
    assert [accelerator.choose(qemu) for _ in range(3)] == ["tcg"] * 3
    assert time.monotonic() - began < 300
    assert starts(tmp_path) == 1


def test_another_qemu_is_tried_again(tmp_path: Path) -> None:
    assert accelerator.choose(fake_qemu(tmp_path, "exit 1")) == "tcg"
    assert accelerator.choose(fake_qemu(tmp_path, "exit 33 # mended")) == "kvm"


def test_damaged_memory_is_no_trouble(tmp_path: Path) -> None:
    for text in ("[]", "not json", '{"x": 5}'):
        (tmp_path / "cache" / "goanna").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / "goanna" / "accelerators.json").write_text(text)
        assert accelerator.choose(fake_qemu(tmp_path, "exit 33")) == "kvm"


def test_the_persons_word_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu = fake_qemu(tmp_path, "exit 33")
    monkeypatch.setenv("GOANNA_ACCEL", "tcg")
    assert accelerator.choose(qemu) == "tcg"
    assert accelerator.choose(qemu, "kvm") == "kvm"
    monkeypatch.setenv("GOANNA_ACCEL", "steam")
    with pytest.raises(Failure, match="steam"):
        accelerator.choose(qemu)
    assert starts(tmp_path) == 0


def test_stub_runs_under_emulation() -> None:
    assert accelerator.try_accelerator(find_qemu(), "tcg", limit=120)


def test_without_the_device_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "_hardware_present", lambda: False)
    assert accelerator.choose(fake_qemu(tmp_path, "exit 33")) == "tcg"
    assert starts(tmp_path) == 0
