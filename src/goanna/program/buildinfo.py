"""Reads what the Go linker notes in each program: the version of Go, the module, the settings of the build.

The format is that of Go 1.18 and later, as debug/buildinfo reads it: a 32-byte header aligned to 16, then two strings
with their lengths before them.
"""

from __future__ import annotations

from dataclasses import dataclass

_MAGIC = b"\xff Go buildinf:"
_HEADER_SIZE = 32
_ALIGNMENT = 16
_INLINE_STRINGS = 2
# debug/buildinfo: the module text stands between two marks of 16 bytes.
_MARK_SIZE = 16


@dataclass(frozen=True)
class BuildInformation:
    """`version` as in `go1.26.1`; `path` of the main package; `settings` as in CGO_ENABLED, GOARCH, -buildmode."""

    version: str
    path: str
    module: str
    settings: dict[str, str]


def find_build_information(data: bytes) -> BuildInformation | None:
    """What a program's bytes say, or None where there is nothing that can be read."""
    position = data.find(_MAGIC)
    while position >= 0:
        if position % _ALIGNMENT == 0:
            found = _parse(data, position)
            if found is not None:
                return found
        position = data.find(_MAGIC, position + 1)
    return None


def _parse(data: bytes, position: int) -> BuildInformation | None:
    if position + _HEADER_SIZE > len(data) or not data[position + 15] & _INLINE_STRINGS:
        return None
    version, after = _string(data, position + _HEADER_SIZE)
    text, _ = _string(data, after)
    if not version.startswith(b"go") and not version.startswith(b"devel"):
        return None
    lines = text[_MARK_SIZE:-_MARK_SIZE].decode(errors="replace").splitlines()
    fields = [line.split("\t") for line in lines]
    settings = dict(field[1].partition("=")[::2] for field in fields if field[0] == "build" and len(field) > 1)
    return BuildInformation(
        version=version.decode(errors="replace"),
        path=next((field[1] for field in fields if field[0] == "path" and len(field) > 1), ""),
        module=next((" ".join(field[1:3]) for field in fields if field[0] == "mod"), "").strip(),
        settings=settings,
    )


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    """The string whose length stands at `position` as a varint, and the place after it; empty where that is no
    string.
    """
    length = shift = 0
    for index in range(position, min(position + 5, len(data))):
        length |= (data[index] & 0x7F) << shift
        shift += 7
        if data[index] < 0x80:
            start = index + 1
            end = start + length
            return (data[start:end], end) if end <= len(data) else (b"", len(data))
    return b"", len(data)
