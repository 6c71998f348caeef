"""Files that come back from a guest: written to the paths that were asked for and to no others, each whole."""

from __future__ import annotations

import os
import posixpath
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from goanna.failure import Failure
from goanna.kernel.shared import control
from goanna.layouts import size_of, unpacked

_PERMISSIONS = 0o777


class Returned:
    """Takes RETURN_FILE and RETURN_DATA records. `asked` are the paths, the same here and in the guest; a folder's
    files come with it. What a guest sends beyond them is left.
    """

    def __init__(self, asked: Sequence[bytes]) -> None:
        self._asked = tuple(asked)
        self._stream: BinaryIO | None = None
        self._temporary = ""
        self._path = b""
        self._mode = self._left = 0

    def file(self, payload: bytes) -> None:
        """A file or folder begins. Raises Failure if it can't be written here; ValueError for a record cut short."""
        head = unpacked(control.ReturnFile, payload)
        path = payload[size_of(control.ReturnFile) :]
        self.forget()
        if not self._was_asked(path):
            return
        try:
            if stat.S_ISDIR(head.mode):
                os.makedirs(path, exist_ok=True)
                return
            descriptor, self._temporary = tempfile.mkstemp(dir=os.fsdecode(posixpath.dirname(path)), prefix=".goanna.")
            self._stream = os.fdopen(descriptor, "wb")
            self._path, self._mode, self._left = path, head.mode & _PERMISSIONS, head.size
            if not self._left:
                self._finish()
        except OSError as error:
            raise _unwritable(path, error) from None

    def data(self, payload: bytes) -> None:
        """The next bytes of the file. Raises Failure if they can't be written here."""
        if self._stream is None:
            return
        try:
            self._stream.write(payload[: self._left])
            self._left -= min(self._left, len(payload))
            if not self._left:
                self._finish()
        except OSError as error:
            raise _unwritable(self._path, error) from None

    def forget(self) -> None:
        """Leave nothing behind of a file that did not come to its end."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
            with suppress(OSError):
                os.unlink(self._temporary)

    def _finish(self) -> None:
        assert self._stream is not None
        self._stream.close()
        self._stream = None
        os.chmod(self._temporary, self._mode)
        os.replace(self._temporary, self._path)

    def _was_asked(self, path: bytes) -> bool:
        if path != posixpath.normpath(path):
            return False
        return any(path == each or path.startswith(each.rstrip(b"/") + b"/") for each in self._asked)


def _unwritable(path: bytes, error: OSError) -> Failure:
    return Failure(f"{os.fsdecode(path)}: came back from the program and can't be written: {error.strerror}")
