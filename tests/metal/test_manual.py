"""Every example of docs/metal.md, in order, as one module whose lines have the manual's numbers, and what it prints."""

import importlib.util
import re
from pathlib import Path

MANUAL = Path(__file__).parents[2] / "docs" / "metal.md"


def test_every_example_of_the_manual_runs_and_prints_what_it_shows(tmp_path, capsys):
    text = MANUAL.read_text()
    lines = [""] * (text.count("\n") + 1)
    blocks = list(re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    assert {each[1] for each in blocks} == {"python", "text"}
    for each in blocks:
        if each[1] == "python":
            first = text.count("\n", 0, each.start(2))
            lines[first : first + each[2].count("\n")] = each[2].splitlines()
    path = tmp_path / "metal.py"
    path.write_text("\n".join(lines))
    spec = importlib.util.spec_from_file_location("metal_manual", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shown = "".join(each[2] for each in blocks if each[1] == "text")
    assert capsys.readouterr().out.replace(f"{tmp_path}/", "").strip() == shown.strip()
