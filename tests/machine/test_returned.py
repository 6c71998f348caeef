"""Files that come back are written whole, to the paths that were asked for and nowhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.kernel.shared import control
from goanna.layouts import packed
from goanna.machine.returned import Returned


def head(path: Path | str, size: int, mode: int = stat.S_IFREG | 0o640) -> bytes:
    return packed(control.ReturnFile, size=size, mode=mode) + os.fsencode(path)


def test_a_file_arrives_with_its_mode(tmp_path: Path) -> None:
    returned = Returned([os.fsencode(tmp_path / "f")])
    returned.file(head(tmp_path / "f", 6))
    returned.data(b"abc")
    assert not (tmp_path / "f").exists()
    returned.data(b"def and more")
    assert (tmp_path / "f").read_bytes() == b"abcdef" and stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["f"]


def test_a_folder_arrives_with_what_is_in_it(tmp_path: Path) -> None:
    returned = Returned([os.fsencode(tmp_path / "d")])
    returned.file(head(tmp_path / "d", 0, stat.S_IFDIR | 0o755))
    returned.file(head(tmp_path / "d/e", 0, stat.S_IFDIR | 0o755))
    returned.file(head(tmp_path / "d/e/f", 0))
    assert (tmp_path / "d/e/f").read_bytes() == b""


def test_nothing_is_written_that_was_not_asked_for(tmp_path: Path) -> None:
    returned = Returned([os.fsencode(tmp_path / "d")])
    for path in (tmp_path / "other", f"{tmp_path}/d/../other", tmp_path / "dd"):
        returned.file(head(path, 1))
        returned.data(b"x")
    assert os.listdir(tmp_path) == []


def test_a_file_that_was_cut_off_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    returned = Returned([os.fsencode(tmp_path / "f")])
    returned.file(head(tmp_path / "f", 10))
    returned.data(b"new")
    returned.forget()
    assert (tmp_path / "f").read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


def test_a_place_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    returned = Returned([os.fsencode(tmp_path / "gone/f")])
    with pytest.raises(Failure, match=r"gone/f: came back from the program and can't be written: No such file"):
        returned.file(head(tmp_path / "gone/f", 1))
