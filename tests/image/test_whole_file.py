"""A file that is written whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from goanna.image.whole_file import written_whole

_KILLED = """
import os, signal, sys
from pathlib import Path
from goanna.image.whole_file import written_whole
with written_whole(Path(sys.argv[1])) as stream:
    stream.write(bytes(100_000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["without a name", "with one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of making the file, whatever this system can do."""
    if request.param == "with one":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    return str(request.param)


def test_it_takes_the_place_of_an_older_file_with_the_rights_of_a_new_one(tmp_path: Path, way: str) -> None:
    made = tmp_path / "made"
    made.write_text("old")
    made.chmod(0o600)
    mask = os.umask(0o027)
    try:
        with written_whole(made) as stream:
            stream.write(b"new")
            assert made.read_text() == "old"
    finally:
        os.umask(mask)
    assert made.read_text() == "new" and made.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["made"]


def test_an_exception_leaves_what_was_there(tmp_path: Path, way: str) -> None:
    made = tmp_path / "made"
    made.write_text("old")
    with pytest.raises(ZeroDivisionError), written_whole(made) as stream:
        stream.write(b"new")
        raise ZeroDivisionError
    assert made.read_text() == "old" and os.listdir(tmp_path) == ["made"]


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="this system has no files without names")
def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "made"])
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, way: str) -> None:
    with pytest.raises(FileNotFoundError), written_whole(tmp_path / "gone/made"):
        pass
