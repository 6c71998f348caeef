"""The system-call fuzzer from outside: boots tests/guest/fuzzcalls with one seed after another and judges each end.

    python -m tests.boot.fuzz --seeds 1000 [--first 1] [--calls 20000] [--jobs 2]

A seed passes if the machine's end was the program's own: any status, any signal, but no kernel panic, no machine that
had to be stopped, no end without a word, and no program that blocked for ever before it had damaged itself. A seed
that fails is printed with what the kernel said, and `--first SEED --seeds 1` repeats it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from goanna.kernel.build import built_kernel
from goanna.kernel.shared.control import FAILURE_STATUS
from goanna.machine.life import TIMEOUT_STATUS
from tests.boot.catalogue import Run, guests
from tests.boot.running import in_image
from tests.boot.toolchains import build_go, newest_go

# As many calls as a run makes within a few seconds under emulation.
DEFAULT_CALLS = 6000
# The guest's own watchdog had to end it before its last words (tests/guest/fuzzcalls/main.go).
BLOCKED_STATUS = 205


@dataclass(frozen=True)
class Verdict:
    """How one seed ended; `passed` is the kernel's, not the program's."""

    seed: int
    passed: bool
    status: int | None
    output: str


def fuzz(
    seed: int, calls: int = DEFAULT_CALLS, words: int | None = None, processors: int | None = None
) -> Verdict:
    """Boots the fuzzer with one seed; with much or little memory, as the seed says.

    `words` chooses the last words by their index, `processors` is one or two; what is unset, the seed decides.
    """
    guest = next(guest for guest in guests() if guest.name == "fuzzcalls")
    arguments = (str(seed), str(calls)) if words is None else (str(seed), str(calls), str(words))
    run = Run("fuzzcalls", arguments=arguments, memory=(96, 256)[seed // 2 % 2], timeout=60)
    outcome = in_image(build_go(guest, newest_go()), run, processors or 1 + seed % 2)
    bad_status = outcome.status in (None, FAILURE_STATUS, TIMEOUT_STATUS, BLOCKED_STATUS)
    failed = bad_status or "panic:" in outcome.output.replace("\npanic: ", "")
    return Verdict(seed, not failed, outcome.status, outcome.output)


def fuzz_all(seeds: Iterable[int], calls: int, jobs: int) -> Iterator[Verdict]:
    """The verdicts of many seeds, in order, `jobs` machines at a time."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda seed: fuzz(seed, calls), seeds)


def main() -> int:
    """The command; its status is 1 if any seed failed."""
    parser = argparse.ArgumentParser(description="Throws random system calls at the booted kernel.")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--first", type=int, default=1, help="the first seed (default 1)")
    parser.add_argument("--calls", type=int, default=DEFAULT_CALLS, help=f"calls a seed (default {DEFAULT_CALLS})")
    parser.add_argument("--jobs", type=int, default=2, help="machines at a time (default 2)")
    options = parser.parse_args()
    built_kernel()  # whose time is no machine's
    failures = 0
    for verdict in fuzz_all(range(options.first, options.first + options.seeds), options.calls, options.jobs):
        last = verdict.output.strip().splitlines()[-1:] or [""]
        print(f"seed {verdict.seed}: {'ok' if verdict.passed else 'FAILED'}, status {verdict.status}: {last[0][:150]}")
        if not verdict.passed:
            failures += 1
            print(verdict.output, flush=True)
    print(f"{options.seeds - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
