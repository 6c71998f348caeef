"""The flags of a test binary that name files: what has to come back from where it ran, and what it looks for there."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# `go help testflag`; each as the binary has it. These files stand in -test.outputdir.
_OUTPUTS = ("blockprofile", "coverprofile", "cpuprofile", "memprofile", "mutexprofile", "trace")
_FOLDERS = ("fuzzcachedir", "gocoverdir")
# Those that no other word belongs to.
_WITHOUT_VALUE = ("artifacts", "benchmem", "failfast", "fullpath", "paniconexit0", "short", "v")
# Where tests keep files for a person to look at, if they are told to.
_ARTIFACTS = "_artifacts"
# Where inputs that fail are kept.
_CORPUS = os.path.join("testdata", "fuzz")


# In the folder of -test.gocoverdir: which packages without tests -coverpkg names, and where their descriptions lie
# (internal/coverage, MetaFileCollection).
_DESCRIPTIONS = "metafiles.txt"


@dataclass(frozen=True)
class Written:
    """Absolute paths of what a test binary writes, and of what it reads beside these folders."""

    files: list[str]
    folders: list[str]
    read: list[str]


def written_by(arguments: Sequence[str], here: str) -> Written:
    """What these arguments make a test binary write that stands in the folder `here`."""
    flags = _flags(arguments)
    outputs = os.path.join(here, flags.get("outputdir", ""))
    files = [os.path.join(outputs, flags[name]) for name in _OUTPUTS if flags.get(name)]
    if flags.get("testlogfile"):
        files.append(os.path.join(here, flags["testlogfile"]))
    folders = [os.path.join(here, flags[name]) for name in _FOLDERS if flags.get(name)]
    if flags.get("artifacts", "false") not in ("false", "0", "f"):
        folders.append(os.path.join(outputs, _ARTIFACTS))
    if flags.get("fuzz"):
        folders.append(os.path.join(here, _CORPUS))
    read = _descriptions(os.path.join(here, flags["gocoverdir"])) if flags.get("gocoverdir") else []
    return Written([os.path.normpath(each) for each in files], [os.path.normpath(each) for each in folders], read)


def _descriptions(folder: str) -> list[str]:
    """The files that go's list in this folder names, as far as they are here."""
    try:
        said = json.loads(Path(folder, _DESCRIPTIONS).read_text())
    except (OSError, ValueError):
        return []
    names = said.get("MetaFileFragments") if isinstance(said, dict) else None
    return [each for each in names or [] if isinstance(each, str) and os.path.isabs(each) and os.path.isfile(each)]


def _flags(arguments: Sequence[str]) -> dict[str, str]:
    """The -test flags by name. `go test` joins their values by `=`; a person may not, and may have flags of the test's
    own among them, of which nobody knows whether the next word belongs to them.
    """
    found = {}
    words = iter(arguments)
    unknown = False  # whether the word before was such a flag
    for word in words:
        if word == "--" or not (word.startswith("-") or unknown):
            break
        name, joined, value = word.lstrip("-").partition("=")
        test, _, known = name.partition("test.")
        unknown = word.startswith("-") and not joined and (test != "" or not known)
        if word.startswith("-") and not test and known:
            found[known] = value if joined or known in _WITHOUT_VALUE else next(words, "")
    return found
