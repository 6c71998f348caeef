"""The flags of a test binary that name files it writes: what has to come back from where it ran."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

# `go help testflag`; each as the binary has it. These files stand in -test.outputdir.
_OUTPUTS = ("blockprofile", "coverprofile", "cpuprofile", "memprofile", "mutexprofile", "trace")
_FOLDERS = ("fuzzcachedir", "gocoverdir")
# Where inputs that fail are kept.
_CORPUS = os.path.join("testdata", "fuzz")


@dataclass(frozen=True)
class Written:
    """Absolute paths of what a test binary writes."""

    files: list[str]
    folders: list[str]


def written_by(arguments: Sequence[str], here: str) -> Written:
    """What these arguments make a test binary write that stands in the folder `here`."""
    flags = _flags(arguments)
    outputs = os.path.join(here, flags.get("outputdir", ""))
    files = [os.path.join(outputs, flags[name]) for name in _OUTPUTS if flags.get(name)]
    if flags.get("testlogfile"):
        files.append(os.path.join(here, flags["testlogfile"]))
    folders = [os.path.join(here, flags[name]) for name in _FOLDERS if flags.get(name)]
    if flags.get("fuzz"):
        folders.append(os.path.join(here, _CORPUS))
    return Written([os.path.normpath(each) for each in files], [os.path.normpath(each) for each in folders])


def _flags(arguments: Sequence[str]) -> dict[str, str]:
    """The -test flags by name; `go test` joins their values by `=`."""
    found = {}
    for word in arguments:
        name, joined, value = word.lstrip("-").partition("=")
        if word == "--" or not word.startswith("-"):
            break
        if name.startswith("test.") and joined:
            found[name.removeprefix("test.")] = value
    return found
