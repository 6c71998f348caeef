"""A file that appears whole or not at all, however its writer ends: by an error, by a signal, by SIGKILL."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def written_whole(destination: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes are the file at `destination` once the context has ended without an exception.

    Its rights are those of any new file. Until then what is written has no name where the system can do that (open(2),
    O_TMPFILE), so that nothing is left behind by a process that is killed. Raises OSError.
    """
    descriptor, temporary = _new_file(destination)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            if temporary is None:
                temporary = destination.parent / f".{destination.name[:32]}.{secrets.token_hex(8)}"
                # With a descriptor of a folder, which an absolute path makes no use of, Python follows links here.
                os.link(f"/proc/self/fd/{descriptor}", temporary, src_dir_fd=descriptor)
        os.replace(temporary, destination)
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise


def _new_file(destination: Path) -> tuple[int, Path | None]:
    """A descriptor to write to, and its name if it has one."""
    if hasattr(os, "O_TMPFILE") and os.path.exists("/proc/self/fd"):
        try:
            return os.open(destination.parent, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666), None
        except OSError:
            pass  # not every file system has files without names; where nothing can be made, the next one says so
    descriptor, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name[:32]}.")
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(descriptor, 0o666 & ~mask)
    return descriptor, Path(name)
