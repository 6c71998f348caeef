"""What the runner does with the terminal it was started from, as far as no terminal is needed."""

from __future__ import annotations

from collections.abc import Iterator

from goanna.machine.terminal import Terminal


class _Unlooked(bytes):
    """Bytes that nobody may go through one by one."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("each byte was looked at")


def test_input_that_comes_from_no_terminal_is_not_searched_for_keys() -> None:
    assert not Terminal().asks_for_end(_Unlooked(b"\x1d\x1d\x1d"))
