"""The terminal that we were started from, while it is the program's: raw, so that each key is the guest's to interpret,
and as it was before whenever we stop or end.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from goanna.kernel.shared.boot import (
    FLAG_TERMINAL_ERROR,
    FLAG_TERMINAL_INPUT,
    FLAG_TERMINAL_OUTPUT,
    FLAG_TERMINAL_PLAIN,
)

_INPUT, _OUTPUT, _ERROR = 0, 1, 2
_FLAGS = {_INPUT: FLAG_TERMINAL_INPUT, _OUTPUT: FLAG_TERMINAL_OUTPUT, _ERROR: FLAG_TERMINAL_ERROR}
_ESCAPE = 0x1D  # Ctrl-]
_ESCAPES = 3  # of them, one after another, end the machine


class Terminal:
    """Which of the three streams are terminals, and their one's settings."""

    def __init__(self) -> None:
        self.streams = [each for each in _FLAGS if _is_terminal(each)]
        # Without the keyboard, or in the background, it stays as the others that use it expect it.
        self._ours = _INPUT in self.streams and in_front(_INPUT)
        self._before: list[Any] | None = None
        self._escapes = 0

    @property
    def descriptor(self) -> int | None:
        """One that leads to it."""
        return self.streams[-1] if self.streams else None

    @property
    def flags(self) -> int:
        """What the kernel is to know of it: FLAG_TERMINAL_*."""
        found = sum(_FLAGS[each] for each in self.streams)
        return found | FLAG_TERMINAL_PLAIN if found and not self._ours else found

    def environment(self, said: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """What a program is to know of it: TERM, unless somebody has said it."""
        kind = os.environb.get(b"TERM")
        return {b"TERM": kind} if self.streams and kind and b"TERM" not in said else {}

    @property
    def window(self) -> list[int]:
        """Its size: rows, columns, pixels across and down; zeros if nobody knows."""
        if self.descriptor is None:
            return [0, 0, 0, 0]
        import fcntl
        import termios

        try:
            return list(struct.unpack("HHHH", fcntl.ioctl(self.descriptor, termios.TIOCGWINSZ, bytes(8))))
        except OSError:
            return [0, 0, 0, 0]

    def take(self) -> None:
        """Make it raw, if it is ours alone."""
        if not self._ours or self._before is not None:
            return
        import termios

        with suppress(termios.error):
            before = termios.tcgetattr(_INPUT)
            raw = termios.tcgetattr(_INPUT)
            raw[0] &= ~(
                termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
                | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
            )  # fmt: skip
            raw[1] &= ~termios.OPOST
            raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
            raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
            raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
            termios.tcsetattr(_INPUT, termios.TCSADRAIN, raw)
            self._before = before

    def give_back(self) -> None:
        """Make it what it was."""
        if self._before is None:
            return
        import termios

        # A background job that sets a terminal would be stopped by it.
        old = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with suppress(termios.error):
            termios.tcsetattr(_INPUT, termios.TCSADRAIN, self._before)
        signal.signal(signal.SIGTTOU, old)
        self._before = None

    def suspend(self) -> None:
        """Stop this process as SIGTSTP would have, the terminal as it was meanwhile."""
        self.give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.take()

    def asks_for_end(self, typed: bytes | memoryview) -> bool:
        """Whether somebody typed Ctrl-] three times, one after another: a raw terminal has no other way out."""
        if self._before is None:
            return False
        for byte in typed:
            self._escapes = self._escapes + 1 if byte == _ESCAPE else 0
            if self._escapes == _ESCAPES:
                return True
        return False


def in_front(descriptor: int) -> bool:
    """Whether this process's job is the one in front of a terminal."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
