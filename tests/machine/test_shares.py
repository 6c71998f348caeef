"""--share as it is written: what it means, and the sentence for what can't be shared."""

import os
from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.machine.shares import Share, check_qemu, parse_shares, share_words, told


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "odd:name").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "name", "guest", "read_only"),
    [
        ("data", "data", "/data", False),
        ("./data:/srv", "data", "/srv", False),
        ("data:/srv/x/:ro", "data", "/srv/x", True),
        ("data:rw", "data", "/data", False),
        ("data:ro", "data", "/data", True),
        ("odd:name", "odd:name", "/odd:name", False),
        ("odd:name:/x:ro", "odd:name", "/x", True),
        ("data/../data:/a//b", "data", "/a/b", False),
    ],
)
def test_shares_as_written(folder: Path, text: str, name: str, guest: str, read_only: bool) -> None:
    assert parse_shares([text]) == [Share(folder / name, guest, read_only)]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["missing:/x"], "--share missing:/x: there is no missing"),
        (["data:x"], "--share data:x: 'x' is no absolute path"),
        (["file:/x"], "--share file:/x: file is no folder"),
        ([":/x"], "--share :/x: names no folder"),
        (["data:/"], "--share data:/: a shared folder can't be the root"),
        (["data:/x", "odd:name:/x"], "/x is another folder's place already"),
        (["data:/x"] * 9, "at most 8"),
    ],
)
def test_what_cannot_be_shared(folder: Path, texts: list[str], message: str) -> None:
    with pytest.raises(Failure, match=message):
        parse_shares(texts)


def test_what_qemu_and_the_kernel_are_told(folder: Path) -> None:
    shares = [Share(Path("/a,b"), "/x", True), Share(Path("/c"), "/y", False)]
    assert told(shares) == [b"goanna0:/x:ro", b"goanna1:/y:rw"]
    assert told([]) is None
    words = list(share_words(shares, "pci"))
    assert words[1].startswith("local,id=goanna0,path=/a,,b,") and words[1].endswith(",readonly=on")
    assert words[3] == "virtio-9p-pci,fsdev=goanna0,mount_tag=goanna0"
    assert "readonly" not in words[5]


def test_a_qemu_without_shared_folders(tmp_path: Path) -> None:
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\nexit 1\n")
    os.chmod(qemu, 0o755)
    with pytest.raises(Failure, match="was built without virtfs"):
        check_qemu(qemu)
