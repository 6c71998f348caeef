"""What a benchmark gives, and the three forms it is shown in: a table, a JSON file, a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.table import Table


@dataclass
class Measurement:
    """One number. `target` is the most it may be, or with `larger` the least; None where it is only for comparison."""

    group: str
    name: str
    value: float
    unit: str
    target: float | None = None
    note: str = ""
    samples: list[float] = field(default_factory=list)
    larger: bool = False  # is better

    @property
    def verdict(self) -> str:
        """met, missed, or nothing where there is no target."""
        if self.target is None:
            return ""
        met = self.value >= self.target if self.larger else self.value <= self.target
        return "met" if met else "missed"


def number(value: float) -> str:
    """A value with three significant digits, or whole if it is large."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def print_table(measurements: Sequence[Measurement]) -> None:
    """The table for a person; missed targets stand out."""
    table = Table()
    for heading, side in (("", "left"), ("measured", "right"), ("target", "right"), ("", "left"), ("", "left")):
        table.add_column(heading, justify="right" if side == "right" else "left")
    group = ""
    for each in measurements:
        if each.group != group:
            table.add_section()
            table.add_row(f"[bold]{each.group}")
            group = each.group
        target = "" if each.target is None else f"{number(each.target)} {each.unit}"
        verdict = {"met": "[green]met", "missed": "[red]missed"}.get(each.verdict, "")
        table.add_row(f"  {each.name}", f"{number(each.value)} {each.unit}", target, verdict, each.note)
    Console().print(table)


def write_json(path: Path, facts: dict[str, str], measurements: Sequence[Measurement]) -> None:
    """All numbers with what they were measured on."""
    rows = [asdict(each) | {"verdict": each.verdict} for each in measurements]
    path.write_text(json.dumps({"measured_on": facts, "measurements": rows}, indent=2) + "\n")


_ROW, _LEFT, _BAR, _WIDTH = 22, 330, 330, 860
_COLOURS = {"met": "#2b8a3e", "missed": "#c92a2a", "": "#868e96"}


def write_picture(path: Path, facts: dict[str, str], measurements: Sequence[Measurement]) -> None:
    """A bar for each number against its target, or against the largest of its group and unit where it has none."""
    body: list[str] = []
    y = 58
    for group in dict.fromkeys(each.group for each in measurements):
        y += 14
        body.append(f'<text x="16" y="{y}" font-weight="bold">{escape(group)}</text>')
        y += 8
        members = [each for each in measurements if each.group == group]
        for each in members:
            full = each.target or max(other.value for other in members if other.unit == each.unit)
            body.append(_bar(y, each, full))
            y += _ROW
    title = escape(", ".join(facts.values()))
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{y + 24}" font-family="sans-serif" '
        f'font-size="13"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="16" y="26" font-size="17" font-weight="bold">Goanna, measured</text>'
        f'<text x="16" y="46" fill="#495057" font-size="11">{title}. The line is the target.</text>'
        + "".join(body)
        + "</svg>\n"
    )


def _bar(y: int, each: Measurement, full: float) -> str:
    # Bars end at one and a half times the target: what is farther off is farther off than the picture is wide.
    share = min(each.value / full, 1.5) / 1.5 if each.target else each.value / full
    parts = [
        f'<text x="{_LEFT - 10}" y="{y + 14}" text-anchor="end">{escape(each.name)}</text>',
        f'<rect x="{_LEFT}" y="{y + 3}" width="{max(share * _BAR, 1):.1f}" height="14" '
        f'fill="{_COLOURS[each.verdict]}"/>',
        f'<text x="{_LEFT + _BAR + 10}" y="{y + 14}">{escape(number(each.value))} {escape(each.unit)}'
        + (f" (target {escape(number(each.target))})" if each.target is not None else "")
        + "</text>",
    ]
    if each.target is not None:
        line = _LEFT + _BAR / 1.5
        parts.append(f'<path d="M{line:.1f} {y}v20" stroke="black" stroke-width="1.5"/>')
    return "".join(parts)
