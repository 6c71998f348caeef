"""What of a program's output can't be equal in two runs, and how it is made so; every use stands in a guest.toml."""

from __future__ import annotations

import re
from collections.abc import Callable

# A hexadecimal number that isn't an offset into a function (`+0x1b`): pointers, stack arguments, registers.
_NUMBER = re.compile(r"(?<!\+)\b0x[0-9a-f]+\??")
_GOROUTINE = re.compile(r"(goroutine |\bm=)\d+")


def trace(text: str) -> str:
    """A Go crash: the first goroutine's traceback with every address masked. The runtime's own goroutines come after it
    in a number and state that differ from run to run."""
    kept = []
    in_first = False
    for line in text.splitlines(keepends=True):
        if line.startswith("goroutine "):
            in_first = True
        elif in_first and not line.strip():
            break
        kept.append(line)
    return _GOROUTINE.sub(r"\1N", _NUMBER.sub("0xN", "".join(kept))).rstrip("\n")


def headline(text: str) -> str:
    """A Go crash report with all threads: what comes before the first register or goroutine, addresses masked."""
    kept = []
    for line in text.splitlines(keepends=True):
        if "goroutine " in line or "PC=" in line:
            break
        kept.append(line)
    return _NUMBER.sub("0xN", "".join(kept))


NORMALISERS: dict[str, Callable[[str], str]] = {"trace": trace, "headline": headline}


def normalised(text: str, names: tuple[str, ...]) -> str:
    """`text` after the named normalisers, in order."""
    for name in names:
        text = NORMALISERS[name](text)
    return text
