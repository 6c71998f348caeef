"""Random system calls from user mode never bring the kernel down: a few seeds here, thousands by `make fuzz`."""

from __future__ import annotations

import pytest

from tests.boot.fuzz import fuzz

# Each kind of last words once (fuzzcalls/words.go has twenty), after fewer calls than the longer form makes.
KINDS_OF_LAST_WORDS = 20


@pytest.mark.parametrize("seed", range(1, KINDS_OF_LAST_WORDS + 1))
def test_random_calls_never_panic_the_kernel(seed: int) -> None:
    verdict = fuzz(seed, calls=1500, words=seed - 1)
    assert verdict.passed, f"seed {seed} ended with status {verdict.status}:\n{verdict.output}"
