"""What a person is told when something can't be done: what happened, to which thing, what to do; and the exit status.

The statuses are those of `docker run`: 125 for a failure of the tool itself, 126 for a program that can't be started,
127 for one that isn't there.
"""

from __future__ import annotations


class Failure(Exception):
    """A failure whose text is all that a person needs. `advice`, where given, is what to do, on a line of its own."""

    status = 125

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message, self.advice = message, advice

    def __str__(self) -> str:
        return f"{self.message}\n{self.advice}" if self.advice else self.message


class CannotRun(Failure):
    """PROGRAM is there and is nothing that Goanna can boot."""

    status = 126


class NotFound(Failure):
    """PROGRAM is not there."""

    status = 127
