"""Every guest program prints the same and ends the same in the image as on Linux.

Each is booted on one processor and on two. The short form builds all guests with the newest Go, and with the oldest for
their first runs, or for all runs if they are among `OLD_IN_SHORT`. GOANNA_BOOT_ALL=1 is the long form: all runs of all
guests with both, on q35 as well as microvm.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import Guest, Run, guests
from tests.boot.conftest import PROCESSORS
from tests.boot.normalise import normalised
from tests.boot.running import Outcome, in_image, may_mount, on_linux

LONG = os.environ.get("GOANNA_BOOT_ALL") == "1"
OLD_IN_SHORT = {"hello", "goroutines", "garbage", "preempt", "signals", "pie"}
# In the short form, these C programs are also linked as position-independent ones.
PIE_IN_SHORT = {"c_startup"}
# In the short form, these guests are booted on q35 with four processors as well.
Q35_IN_SHORT = {"hello", "goroutines", "timers"}


def _cases() -> Iterator[object]:
    for guest in guests():
        for run in guest.runs:
            if run.long and not LONG:
                continue
            for variant in _variants(guest, run):
                for machine, processors in _machines(guest, run, variant):
                    placed = dataclasses.replace(run, machine=machine)
                    yield pytest.param(
                        guest, placed, variant, processors, id=f"{run.label}-{variant}-{machine}-{processors}"
                    )


def _variants(guest: Guest, run: Run) -> list[str]:
    if guest.language == "c":
        return ["musl", "glibc", "glibc-pie"] if LONG or guest.name in PIE_IN_SHORT else ["musl", "glibc"]
    both = LONG or guest.name in OLD_IN_SHORT or run is guest.runs[0]
    return ["newest", "oldest"] if both else ["newest"]


def _machines(guest: Guest, run: Run, variant: str) -> list[tuple[str, int]]:
    places = [(run.machine, count) for count in PROCESSORS]
    if LONG or (guest.name in Q35_IN_SHORT and not run.name and variant == "newest"):
        places.append(("q35", 4))
    return places


@pytest.mark.parametrize(("guest", "run", "variant", "processors"), list(_cases()))
def test_same_as_on_linux(guest: Guest, run: Run, variant: str, processors: int) -> None:
    if guest.mounts and not may_mount():
        pytest.skip("mounts, and this computer does not let it")
    program = _built(guest, variant)
    here = _checked(on_linux(program, run), run, "on Linux")
    there = _checked(in_image(program, run, processors), run, "in the image")
    assert normalised(there.output, run.normalise) == normalised(here.output, run.normalise)
    assert there.status == here.status


def _built(guest: Guest, variant: str) -> Path:
    try:
        if guest.language == "c":
            return toolchains.build_c(guest, variant)
        return toolchains.build_go(guest, toolchains.oldest_go() if variant == "oldest" else toolchains.newest_go())
    except toolchains.Unavailable as reason:
        pytest.skip(str(reason))


def _checked(outcome: Outcome, run: Run, where: str) -> Outcome:
    problem = ""
    if run.status is not None and outcome.status != run.status:
        problem = f"ended with status {outcome.status}, not {run.status}"
    elif run.expect not in outcome.output:
        problem = f"did not print {run.expect!r}"
    elif run.forbid and run.forbid in outcome.output:
        problem = f"printed {run.forbid!r}"
    if problem:
        pytest.fail(f"{where}, the program {problem}:\n{outcome.output}", pytrace=False)
    return outcome
