"""Standard input on its way to the guest's console: read only as fast as the guest takes it, counted to its end."""

from __future__ import annotations

import contextlib
import os
import socket

from goanna.machine.terminal import in_front

_SOURCE = 0
_ROOM = 1 << 16


class Input:
    """The bytes between a descriptor and the console's socket, which doesn't block."""

    def __init__(self, console: socket.socket, source: int = _SOURCE) -> None:
        self.console = console
        self.source: int | None = source if _is_open(source) else None
        self.pending: bytes | memoryview = b""
        self.count = 0
        self._end_told = False

    def wants_more(self) -> bool:
        """Whether the source is to be read now. A job in the background leaves the terminal to the one in front."""
        return self.source is not None and not self.pending and (not os.isatty(self.source) or in_front(self.source))

    def take(self) -> None:
        """Read what there is; at the end of the source, forget it."""
        assert self.source is not None
        data = b""
        with contextlib.suppress(OSError):  # a terminal that went away is an end too
            data = os.read(self.source, _ROOM)
        if not data:
            self.source = None
        self.pending = data
        self.count += len(data)

    def send(self) -> None:
        """Hand on what the console takes now."""
        try:
            self.pending = memoryview(self.pending)[self.console.send(self.pending) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.pending, self.source = b"", None

    def ended(self) -> bool:
        """True once: when the source has ended and all of it was handed on."""
        if self._end_told or self.source is not None or self.pending:
            return False
        self._end_told = True
        return True


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
