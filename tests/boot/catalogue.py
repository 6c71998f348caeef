"""The guest programs and what each is run with: read from the guest.toml beside each program in tests/guest.

Fields of a guest.toml:

    bare = true          the guest that the bare-QEMU tests boot, too
    build = ["-flag"]    further flags of go build
    mounts = true        it mounts: it is skipped where this computer's Linux does not let it
    language = "c"       the program is main.c, built by zig (musl) and, where there is one, by gcc (glibc, fixed and as
                         a position-independent program)

    [[run]]              once for each way to run it:
    name = "self"        what the test is called; "" if there is but one
    arguments = []       a { repeat = "x", times = 3000 } stands for a long one
    environment = {}
    memory = 256         MiB of the machine
    machine = "microvm"  or "q35", "pc"
    timeout = 45         seconds, for either side
    status = 0           what it must end with, 128 + n for death by signal n; unset: whatever Linux gives
    expect = "text"      what it must print, beyond being the same on both sides
    forbid = "text"      what it must not print: guests that give verdicts say "false" or the like
    normalise = []       names of normalise.py's functions, for output that can't be equal byte for byte
    signal = { after = "ready", name = "SIGTERM" }   sent from outside once that line is there
    input = "text"       its standard input, which ends after it; { random = 1000 } stands for that many bytes
    user = 1000          whom it runs as, user and group, on both sides; else who runs the tests
    long = true          only in the long form (GOANNA_BOOT_ALL=1)
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GUESTS = Path(__file__).resolve().parents[1] / "guest"


@dataclass(frozen=True)
class OutsideSignal:
    """A signal that the test sends once the program has printed a line that contains `after`."""

    after: str
    name: str


@dataclass(frozen=True)
class Run:
    """One way to run a guest; the fields are those of guest.toml."""

    guest: str
    name: str = ""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    memory: int = 256
    machine: str = "microvm"
    timeout: float = 45
    status: int | None = None
    expect: str = ""
    forbid: str = ""
    normalise: tuple[str, ...] = ()
    signal: OutsideSignal | None = None
    input: bytes = b""
    user: int | None = None
    long: bool = False

    @property
    def label(self) -> str:
        """The run's name in test ids."""
        return f"{self.guest}-{self.name}" if self.name else self.guest


@dataclass(frozen=True)
class Guest:
    """A guest program and its runs."""

    name: str
    folder: Path
    language: str
    build: tuple[str, ...]
    bare: bool
    runs: tuple[Run, ...]
    mounts: bool = False


def guests() -> list[Guest]:
    """Every guest in tests/guest, by name."""
    return [_read(path) for path in sorted(GUESTS.glob("*/guest.toml"))]


def _read(path: Path) -> Guest:
    data = tomllib.loads(path.read_text())
    name = path.parent.name
    runs = tuple(_run(name, entry) for entry in data.pop("run", []))
    known = {"language", "build", "bare", "mounts"}
    if unknown := data.keys() - known:
        raise ValueError(f"{path}: no such field: {', '.join(sorted(unknown))}")
    return Guest(
        name,
        path.parent,
        data.get("language", "go"),
        tuple(data.get("build", ())),
        data.get("bare", False),
        runs,
        data.get("mounts", False),
    )


def _run(guest: str, entry: dict[str, Any]) -> Run:
    if "signal" in entry:
        entry["signal"] = OutsideSignal(**entry["signal"])
    entry["normalise"] = tuple(entry.get("normalise", ()))
    entry["input"] = _input(entry.get("input", ""))
    entry["arguments"] = tuple(_arguments(entry.get("arguments", [])))
    return Run(guest, **entry)


def _arguments(words: list[Any]) -> Iterator[str]:
    for word in words:
        yield word["repeat"] * word["times"] if isinstance(word, dict) else word


def _input(value: str | dict[str, int]) -> bytes:
    return value.encode() if isinstance(value, str) else random.Random(0).randbytes(value["random"])
