"""How many examples hypothesis draws: `make loop` has no time for all that `make unit` tries."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

# Even a few find most of what an edit breaks.
FEWEST = 10
# Where hypothesis keeps what a test asked for with @settings, which can be given once. Its own name for it: a test
# sees to it that it still means this.
_SETTINGS = "_hypothesis_internal_use_settings"


def draw_less(test: Any, part: int) -> None:
    """Have a property drawn for one in `part` of the examples it asks for, at least FEWEST; other tests stay."""
    asked = getattr(test, _SETTINGS, None)
    if isinstance(asked, settings):
        count = min(asked.max_examples, max(FEWEST, asked.max_examples // part))
        setattr(test, _SETTINGS, settings(asked, max_examples=count))
