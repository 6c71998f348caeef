"""Where Goanna keeps what it made and can make again: built kernels, what it learnt of this computer."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder(*names: str) -> Path:
    """A folder under the user's cache (XDG Base Directory), made if it isn't there."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    folder = root.joinpath("goanna", *names)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, finds the old content or the new, never a part. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
