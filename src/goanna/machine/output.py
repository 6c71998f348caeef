"""What the guest wrote, on its way to standard output and error, in the order in which it was written.

It comes by several channels; each record that belongs among the console's bytes says how many of those stand before it.
Nothing here ever waits: who reads our output may be slow, and the machine's other affairs go on. What they do not take
is kept, up to a limit at which `full` asks the caller to read no more from the guest.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections import deque

from goanna.failure import Failure

OUTPUT, ERROR = 1, 2
_PIECE = 4096  # bytes that a pipe takes at once when poll says that it takes any (pipe(7), PIPE_BUF)
_LIMIT = 1 << 20  # bytes kept of one stream


class Output:
    """Standard output and error. `flush` may raise BrokenPipeError, and Failure where a disk is full, say."""

    def __init__(self, output: int = OUTPUT, errors: int = ERROR, terminal: int | None = None) -> None:
        self._output = _Stream(output)
        # Where both are one file, one queue keeps the order.
        self._errors = self._output if same_file(output, errors) else _Stream(errors)
        # Where the terminal is neither, its bytes go to whatever leads there: standard error, or standard input.
        self._terminal = self._errors if terminal in (None, output, errors) else _Stream(terminal)
        self._taken = 0  # bytes of the console
        self._waiting: deque[tuple[int, bytes]] = deque()

    def console(self, data: bytes) -> None:
        """Bytes of the console, in which waiting ones take their place."""
        view = memoryview(data)
        while view:
            self._let_through()
            room = self._waiting[0][0] - self._taken if self._waiting else len(view)
            part = view[:room]
            self._output.add(part)
            self._taken += len(part)
            view = view[room:]
        self._let_through()

    def error_at(self, position: int, data: bytes) -> None:
        """Bytes for standard error that stand after `position` bytes of the console."""
        self._waiting.append((position, data))
        self._let_through()

    def terminal_at(self, position: int, data: bytes) -> None:
        """Bytes for the terminal, where standard output is another file."""
        if self._terminal is self._errors:
            self.error_at(position, data)
        else:
            self._terminal.add(memoryview(data))

    def error(self, data: bytes) -> None:
        """Bytes for standard error, now."""
        self._errors.add(memoryview(data))

    def line(self, text: str) -> None:
        """A line of our own on standard error, now."""
        self.error(f"{text}\n".encode())

    def settle(self) -> None:
        """Let through what still waits: the bytes it waited for will not come."""
        while self._waiting:
            self.error(self._waiting.popleft()[1])

    @property
    def full(self) -> bool:
        """Whether so much is kept that no more is to be read from the guest."""
        return self._output.size > _LIMIT or self._errors.size > _LIMIT

    @property
    def busy(self) -> set[int]:
        """The descriptors for which something is kept: flush() is worth calling when one of them takes more."""
        return {each.descriptor for each in (self._output, self._errors, self._terminal) if each.size}

    def flush(self) -> None:
        """Write what can be written without waiting."""
        for each in (self._output, self._errors, self._terminal):
            each.flush()

    def _let_through(self) -> None:
        while self._waiting and (self._waiting[0][0] <= self._taken or self._errors is not self._output):
            self.error(self._waiting.popleft()[1])


class _Stream:
    """A descriptor, and what is kept for it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0
        self._pieces: deque[memoryview] = deque()
        self._piece = _PIECE if _may_wait(descriptor) else _LIMIT
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def add(self, data: memoryview) -> None:
        if data:
            self._pieces.append(data)
            self.size += len(data)

    def flush(self) -> None:
        while self._pieces and self._poll.poll(0):
            view = self._pieces[0]
            try:
                written = os.write(self.descriptor, view[: self._piece])
            except BlockingIOError:
                return
            except OSError as error:
                self._forget()
                if isinstance(error, BrokenPipeError):
                    raise
                if error.errno == errno.EBADF:  # it was closed before we began: nobody wants this
                    return
                name = "standard output" if self.descriptor == OUTPUT else "standard error"
                raise Failure(f"{name}: can't be written: {error.strerror}") from None
            self.size -= written
            if written == len(view):
                self._pieces.popleft()
            else:
                self._pieces[0] = view[written:]

    def _forget(self) -> None:
        self._pieces.clear()
        self.size = 0


def _may_wait(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return True
    return not (stat.S_ISREG(mode) or stat.S_ISBLK(mode))


def same_file(one: int, other: int) -> bool:
    """Whether two descriptors lead to one file, pipe or terminal."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
