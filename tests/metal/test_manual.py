"""Every example of docs/metal.md, in order, as one module."""

import importlib.util
import re
from pathlib import Path

MANUAL = Path(__file__).parents[2] / "docs" / "metal.md"


def test_every_example_of_the_manual_runs(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    assert len(examples) >= 10
    path = tmp_path / "manual.py"
    path.write_text("\n".join(examples))
    spec = importlib.util.spec_from_file_location("manual", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
