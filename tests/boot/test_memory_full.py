"""A machine without free memory ends the largest process and goes on; the program's own end is status 137."""

from __future__ import annotations

from tests.boot import toolchains
from tests.boot.catalogue import GUESTS, Guest, Run
from tests.boot.running import in_image

EXPECTED = """a child that takes all: 9
a child that takes all: 9
a child that takes all: 9
the larger one: 9
left behind: nothing of 1000 processes, nothing in all
"""


def test_the_largest_process_is_ended_and_the_machine_goes_on(processors: int) -> None:
    guest = Guest("memory_full", GUESTS / "memory_full", "c", (), False, ())
    outcome = in_image(toolchains.build_c(guest, "musl"), Run("memory_full", memory=128, timeout=90), processors)
    said = [line for line in outcome.output.splitlines(keepends=True) if not line.startswith("goanna: ")]
    assert "".join(said).startswith(EXPECTED)
    assert outcome.output.count("and is ended") == 4
    assert outcome.status == 137
