"""A booted machine against Linux's stack over a bad link: loss, delay, frames that come twice or are overtaken."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.boot.lossy import build, echo, linked
from tests.kernel.net.linux import why_not

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("lossy"))


@pytest.mark.parametrize(
    ("loss", "twice", "late", "delay"),
    [(0.0, 0.0, 0.0, 0.0), (0.03, 0.0, 0.0, 0.005), (0.0, 0.05, 0.2, 0.01), (0.02, 0.02, 0.1, 0.02)],
    ids=["clean", "loss", "reordering and duplication", "all of it"],
)
def test_bytes_go_both_ways_over_a_bad_link(
    image: Path, tmp_path: Path, loss: float, twice: float, late: float, delay: float
) -> None:
    with linked(image, tmp_path, 7, loss=loss, twice=twice, late=late, delay=delay) as (made, link):
        for six in (False, True):
            took, again = echo(link, six, 1 << 20, 120)
            print(f"IPv{6 if six else 4}: {took:.2f} s, {again} segments sent again, {link.lost} frames lost")
        assert made.process.poll() is None
