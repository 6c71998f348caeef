"""Each mistake metal reports: the message, the line, and that one mistake does not hide the next."""

import importlib.util
import textwrap

import pytest

from goanna.metal import CompileErrors, jit

PRELUDE = """\
from goanna.metal import *
@struct
class Point:
    x: u32
    y: u32
    count: Atomic[u32]
    wire: Big[u16]
@enumeration(u8)
class State:
    READY = 0
    DONE = 1
ticks = static(u64)
table = constant(Array[u8, 3], [1, 2, 3])
LIST = [1, 2, 3]
empty = hook(Fn[[u32], u32])
def plain(x):
    return x
T = TypeVar("T")
@metal
def two(a: u32, b: u32 = 4) -> u32:
    return a + b
"""

COUNT = 0


def diagnostics(tmp_path, source):
    """The mistakes in `source`, a function f."""
    global COUNT
    COUNT += 1
    path = tmp_path / f"module{COUNT}.py"
    path.write_text(PRELUDE + textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(CompileErrors) as caught:
        jit(module.f)
    return caught.value.diagnostics


def function(body, parameters="a: u32, b: u64, p: Ptr[Point], q: Point, s: State, d: Slice[u8]", result="None"):
    return f"@metal\ndef f({parameters}) -> {result}:\n" + textwrap.indent(textwrap.dedent(body), "    ")


CASES = {
    "c = a + b": "both sides of one type, not u32 and u64",
    "c: u8 = 256": "256 does not fit in u8",
    "c: u32 = b": "expected u32, found u64",
    "c = 5": "the type of 'c' is not known here",
    "c = None": "the type of 'c' is not known here",
    "c = unknown": "'unknown' is not known here",
    "c = q.z": "Point has no 'z'",
    "c = a.x": "u32 has no attribute 'x'",
    "if a:\n    pass": "a condition is a bool, this is u32",
    "if p:\n    pass": "a condition is a bool, this is Ptr[Point]",
    "while b:\n    pass": "a condition is a bool",
    "c = not a": "a condition is a bool",
    "c = a / a": "/ is for constants only",
    "c = a ** a": "** is for constants only",
    "c = -a": "- needs a signed integer",
    "c = a < b": "< needs both sides of one type",
    "c = p == p": "== does not compare",
    "c = q is None": "is never None",
    "c = a is a": "`is` compares pointers",
    "c = s < s": "State has no order",
    "c = s == a": "both sides of one type",
    "c: u8 = s": "expected u8, found State",
    "c = State.LATE": "has no 'LATE'",
    "c = bool(a)": "bool(...) hides",
    "c = u32(p)": "can't become u32",
    "c = q.count + 1": "on Atomic[u32]",
    "q.count = 5": "written by a method",
    "ticks = b": "'ticks' is a static",
    "global nowhere\nnowhere = b": "'nowhere' is not known here",
    "table[0] = 4": "read-only",
    "c = table[3]": "past the end of 3",
    "c = d[-1]": "does not fit in u64|indexes count from 0",
    "c = LIST[a]": "a Python object can't be indexed",
    "c = LIST": "not a value that exists at run time",
    "c = plain(a)": "plain Python function",
    "c = plain()": "Python says",
    "c = two()": "needs 'a'",
    "c = two(a, a, a)": "takes 2 arguments, not 3",
    "c = two(a, z=a)": "has no parameter 'z'",
    "c = empty(a)": "has not been filled in",
    "c = a()": "u32 can't be called",
    "c = q.count.load": "a method is not a value",
    "c = q.count.load(1)": "load takes 0 values",
    "c, e = a": "can't be taken apart",
    "c = e = a": "one target at a time",
    "a": "computes a value and drops it",
    "return a": "gives no value",
    "for i in a:\n    pass": "can't be indexed",
    "for i in range(0, 3, a):\n    pass": "step of a range is a constant",
    "for i in d:\n    pass\nelse:\n    pass": "loops have no else",
    "with q:\n    pass": "has no __enter__",
    "match d:\n    case 1:\n        pass": "match takes integers",
    "try:\n    pass\nfinally:\n    pass": "metal has no try",
    "raise ValueError": "metal has no raise",
    "def g():\n    pass": "metal has no nested functions",
    "c = lambda: 1": "metal has no lambdas",
    "c = [x for x in d]": "metal has no comprehensions",
    "c = f'{a}'": "metal has no f-strings",
    "c = 1.5": "metal has no floating point, so no 1.5",
    "c = 'text'": "exists at run time",
    "c = d[0:1:2]": "a slice has no step",
    "c = b'abc'[b:c]": "'c' has no value here",
    "if a == 1:\n    c = a\nd2 = c": "'c' may have no value here",
    "while a == 1:\n    c = a\nd2 = c": "'c' may have no value here",
    "c = unsafe.lood(u8, b)": "unsafe has no 'lood'",
    "unsafe.load(Point, b)": "reached by unsafe.at",
    "c = unsafe.container(Point, 'z', q)": "has no field 'z'",
    "c = Point(1)": "takes its fields by name",
    "c = Point(z=1)": "has no field 'z'",
    "copy(q, a)": "expected Point, found u32",
    "fill(d, a)": "expected u8, found u32",
    "c: Nothing = a": "names nothing that is known",
    "c = a\nc: u64 = b": "it can't be u64 too",
    "panic(d)": "the reason is a text",
    "c = int(a)": "metal has no int",
    "c = min(a)": "two values or more",
    "c = d == a": "does not compare",
    "c = a in LIST and b in plain": "`in` takes a tuple",
}


def test_an_unknown_field_and_a_list_say_what_there_is_instead(tmp_path):
    first, second = diagnostics(tmp_path, function("c = q.elsewhere\ne = [a, a, a]"))
    assert first.message == "Point has no 'elsewhere'" and first.hint == "it has x, y, count, wire"
    assert "Array[u64, 3]()" in second.hint


@pytest.mark.parametrize("body", CASES)
def test_each_mistake_is_named_at_its_line(tmp_path, body):
    import re

    found = diagnostics(tmp_path, function(body))
    assert len(found) == 1, [each.message for each in found]
    assert any(part in found[0].message for part in CASES[body].split("|")) or re.search(CASES[body], found[0].message)
    first = PRELUDE.count("\n") + 3
    assert first <= found[0].line < first + body.count("\n") + 1
    rendered = str(found[0])
    assert "error:" in rendered and "^" in rendered and f":{found[0].line}:" in rendered


def test_all_mistakes_of_a_build_are_reported(tmp_path):
    found = diagnostics(tmp_path, function("c = a + b\ne = c + 1\ng: u8 = 300\nh = nothing"))
    assert [each.line - found[0].line for each in found] == [0, 2, 3]


def test_a_mistake_in_the_head_of_a_statement_does_not_hide_those_in_its_body(tmp_path):
    heads = ["if a:", "while a:", "for each in q:", "with q as held:", "match q:\n    case 1:"]
    for head in heads:
        inside = "        " if "case" in head else "    "
        found = diagnostics(tmp_path, function(f"{head}\n{inside}c = nothing\n{inside}c = q.z\ne = elsewhere"))
        last = head.count("\n")
        assert [each.line - found[0].line for each in found] == [0, last + 1, last + 2, last + 3], head
    found = diagnostics(tmp_path, function("if a == b:\n    c = nothing\nelse:\n    c = q.z\nwhile p:\n    break"))
    assert [each.line - found[0].line for each in found] == [0, 1, 3, 4]
    found = diagnostics(
        tmp_path, function("match a:\n    case 'x':\n        c = nothing\n    case 1:\n        c = q.z")
    )
    assert [each.line - found[0].line for each in found] == [0, 1, 3]


def test_a_missing_return_is_reported(tmp_path):
    (found,) = diagnostics(tmp_path, function("if a == 1:\n    return a", result="u32"))
    assert "may end without giving u32" in found.message


def test_returning_what_lives_in_the_frame_is_refused(tmp_path):
    (found,) = diagnostics(tmp_path, function("point = Point(x=1)\nreturn point", result="Point"))
    assert "lives in the frame" in found.message


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("scratch = Array[u8, 4]()\nreturn scratch[1:2]", "Slice[u8]"),
        ("scratch = Array[u8, 4]()\nreturn scratch", "Slice[u8]"),
        ("part = Array[u8, 4]()[0:2]\nreturn part", "Slice[u8]"),
        ("each: Ptr[Point] = Point(x=1)\nreturn each", "Ptr[Point]"),
        ("return q if a == 1 else Point(x=1)", "Point"),
        ("point = Point(x=1)\nreturn pointer(point.x)", "Ptr[u32]"),
        ("return a, Array[u8, 4]()[0:2]", "tuple[u32, Slice[u8]]"),
        ("return (last := Point(x=1))", "Point"),
        ("for each in Array[Point, 2]():\n    return each\nreturn q", "Point"),
    ],
)
def test_nothing_that_refers_to_the_frame_is_returned(tmp_path, body, result):
    (found,) = diagnostics(tmp_path, function(body, result=result))
    assert "lives in the frame" in found.message


def test_a_parameter_without_type_is_reported(tmp_path):
    (found,) = diagnostics(tmp_path, "@metal\ndef f(a) -> None:\n    pass\n")
    assert "parameter 'a' has no type" in found.message


def test_int_is_not_a_type(tmp_path):
    (found,) = diagnostics(tmp_path, "@metal\ndef f(a: int) -> None:\n    pass\n")
    assert "int has no size" in found.message


def test_the_caret_is_under_the_mistake(tmp_path):
    (found,) = diagnostics(tmp_path, function("c = two(a, b)"))
    line, caret = str(found).splitlines()[1:3]
    assert line[caret.index("^") : caret.rindex("^") + 1] == "b"
