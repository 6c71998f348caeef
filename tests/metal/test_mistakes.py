"""What those write who know Python and not metal: each mistake, the message at its line and column, and the help.

The files of `mistakes/` hold one after the other: the text (for `values`, `statements` and `builtins` the body of a
function, for `modules` and `generics` what follows the prelude), then for each mistake a line with dashes, its line and
column and the message, with the help below it. A mistake that is found while Python imports the module has no line
there, for Python shows where it is.
"""

import importlib.util
import textwrap
import warnings
from pathlib import Path

import pytest

from goanna.metal import CompileErrors, jit

FOLDER = Path(__file__).parent / "mistakes"
PRELUDE = (FOLDER / "prelude.txt").read_text()
HEAD = """\
@metal
def f(
    a: u32, b: u64, i: i32, flag: bool, p: Ptr[Point], q: Point, s: State, d: Slice[u8], arr: Array[u16, 4],
    g: Fn[[u32], u32],
) -> None:
"""


def cases(name):
    """The texts of a file with what metal says of each."""
    found, source, said = [], [], []
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        if line.startswith("--- "):
            said.append(line)
        elif said and len(said[-1].splitlines()) == 1 and line.startswith("    "):
            said[-1] += "\n" + line
        else:
            if said:
                found.append(("\n".join(source), said))
                source, said = [], []
            source.append(line)
    return [*found, ("\n".join(source), said)]


INSIDE = cases("values") + cases("statements") + cases("builtins")
MODULES = cases("modules") + cases("generics")


def messages(tmp_path, source, first, indent):
    """What is said of a module, in the form of the files."""
    path = tmp_path / "module.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("module", path)
    module = importlib.util.module_from_spec(spec)
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            spec.loader.exec_module(module)
        jit(module.f)
    except CompileErrors as errors:
        for each in errors.diagnostics:
            assert "^" in str(each) and f":{each.line}:{each.column + 1}: error: {each.message}" in str(each)
        return [
            f"--- {each.line - first}:{each.column + 1 - indent} {each.message}"
            + f"\n    {each.hint}" * bool(each.hint)
            for each in errors.diagnostics
        ]
    except TypeError as error:
        return [f"--- {error}"]
    return []


@pytest.mark.parametrize(("source", "said"), INSIDE, ids=[source for source, _ in INSIDE])
def test_a_mistake_in_a_function(tmp_path, source, said):
    first = (PRELUDE + HEAD).count("\n")
    assert messages(tmp_path, PRELUDE + HEAD + textwrap.indent(source, "    ") + "\n", first, 4) == said


@pytest.mark.parametrize(("source", "said"), MODULES, ids=[source.replace("\n", "|") for source, _ in MODULES])
def test_a_mistake_in_a_module(tmp_path, source, said):
    assert messages(tmp_path, PRELUDE + source + "\n", PRELUDE.count("\n"), 0) == said
