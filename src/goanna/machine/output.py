"""Puts what comes by two channels, the console and the control channel, into the order in which the guest wrote it.

Each record that belongs among the console's bytes says how many of those stand before it.
"""

from __future__ import annotations

import os
import select
from collections import deque

_OUTPUT, _ERROR = 1, 2


class Output:
    """Writes to standard output and error, whole and in order. Every method may raise BrokenPipeError."""

    def __init__(self, output: int = _OUTPUT, errors: int = _ERROR) -> None:
        self._output, self._errors = output, errors
        self._written = 0
        self._waiting: deque[tuple[int, bytes]] = deque()

    def console(self, data: bytes) -> None:
        """Bytes of the console, in which waiting ones take their place."""
        view = memoryview(data)
        while view:
            self._let_through()
            room = self._waiting[0][0] - self._written if self._waiting else len(view)
            taken = min(room, len(view))
            _write(self._output, view[:taken])
            self._written += taken
            view = view[taken:]
        self._let_through()

    def error_at(self, position: int, data: bytes) -> None:
        """Bytes for standard error that stand after `position` bytes of the console."""
        self._waiting.append((position, data))
        self._let_through()

    def error(self, data: bytes) -> None:
        """Bytes for standard error, now."""
        _write(self._errors, memoryview(data))

    def line(self, text: str) -> None:
        """A line of our own on standard error, now."""
        self.error(f"{text}\n".encode())

    def finish(self) -> None:
        """Write what still waits: the bytes it waited for will not come."""
        while self._waiting:
            self.error(self._waiting.popleft()[1])

    def _let_through(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._written:
            self.error(self._waiting.popleft()[1])


def _write(descriptor: int, view: memoryview) -> None:
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
