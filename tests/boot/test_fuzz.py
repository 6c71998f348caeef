"""Random system calls from user mode never bring the kernel down: a few seeds here, thousands by `make fuzz`."""

from __future__ import annotations

import pytest

from tests.boot.fuzz import fuzz

# Each kind of last words once (fuzzcalls/words.go has twenty), after fewer calls than the longer form makes.
KINDS_OF_LAST_WORDS = 20


@pytest.mark.parametrize("seed", range(1, KINDS_OF_LAST_WORDS + 1))
def test_random_calls_never_panic_the_kernel(seed: int, processors: int) -> None:
    verdict = fuzz(seed, calls=1500, words=seed - 1, processors=processors)
    assert verdict.passed, f"seed {seed} ended with status {verdict.status}:\n{verdict.output}"


@pytest.mark.parametrize(("seed", "calls", "words"), [(505, 150, 12), (508, 150, 12), (7309, 6000, 9)])
def test_seeds_that_once_brought_it_down(seed: int, calls: int, words: int, processors: int) -> None:
    """An address at the end of the address space (timerfd_settime); memory that may only be written, read by a call."""
    verdict = fuzz(seed, calls, words, processors)
    assert verdict.passed, f"seed {seed} ended with status {verdict.status}:\n{verdict.output}"
