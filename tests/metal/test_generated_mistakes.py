"""Texts made wrong at random: whatever they say, the compiler names mistakes or makes code that LLVM takes.

The texts are those of `mistakes/` and some right ones, with expressions replaced by others.
"""

import ast
import random
import textwrap

import llvmlite.binding as llvm
import pytest

from goanna.metal.errors import CompileErrors
from goanna.metal.target import host_target
from goanna.metal.unit import Unit
from tests.metal.generated import count_of, load
from tests.metal.test_mistakes import HEAD, INSIDE, PRELUDE

_OTHERS = """
a b i flag p q s d arr g 5 0 -1 None True b'x' 'x' LIST NAMES LIMIT State State.DONE Point T u32 Array[u8,4] q.x
q.wire q.count q.move q.state q.next q.owner ticks table lock empty two one nothing() plain(1) first(d) (a,b) range
len(d) unsafe 300 2**70 1.5 ... q.sum() d[0] d[1:] arr[1] [1] {} p.x p.next not_known wrapping(a+a) u64(a)
u8.wrap(b) a==a first made os Config.limit Lock() Point() Array[u8,4]() sizeof(Point) ticks+1 -i ~a (n:=a) lambda:1
q.count.load() pointer(q.x) q.ready.exchange(True) unsafe.address(q) unsafe.at(Point,b)
"""
RIGHT = [
    "if a == 1:\n    c = a\nelse:\n    c = a + 1\nd[0] = u8.wrap(c)",
    "while flag:\n    i -= 1\n    if i == 0:\n        break\n    continue",
    "for k, e in enumerate(d):\n    arr[k] = u16(e)",
    "with lock:\n    q.x += a\n    return",
    "match s:\n    case State.READY:\n        pass\n    case other if flag:\n        c = other",
    "match a:\n    case 1 | 2:\n        pass\n    case x:\n        c = x",
    "c, e = add_overflows(a, a)",
    "q.next = p if p is not None else None",
    "d[0:2] = d[1:3]",
    "c = unsafe.load(u32, b, volatile=True)\nunsafe.store(u32, b, c)",
    "c = max(a, min(a, q.x))\nassert a < q.x <= a, 'x'",
    "c = a in (1, 2) and not flag",
    "c = g(a) + two(b=a, a=q.x)",
    "q.owner.store(p)\ne, ok = q.count.compare_exchange(a, a)",
    "global ticks\nticks += b",
    "copy(q, Point(x=a, next=p))\nfill(d, 0)",
]
OTHERS = _OTHERS.split()
TEXTS = [source for source, _ in INSIDE] + RIGHT


class Wrong(ast.NodeTransformer):
    """Replaces expressions by others."""

    def __init__(self, draw):
        self.draw, self.chance = draw, draw.choice([0.05, 0.15, 0.3])

    def visit(self, node):
        node = super().visit(node)
        read = isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        if read and self.draw.random() < self.chance:
            return ast.parse(f"({self.draw.choice(OTHERS)})", mode="eval").body
        return node


def wrong(draw):
    """A module with one function, or None if Python has no such text."""
    tree = ast.parse("def f():\n" + textwrap.indent(draw.choice(TEXTS), "    "))
    try:
        body = ast.unparse(ast.fix_missing_locations(Wrong(draw).visit(tree))).partition("\n")[2]
        return load(PRELUDE + HEAD + body + "\n")
    except (SyntaxError, ValueError):
        return None


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_a_wrong_text_is_told_as_wrong():
    told = 0
    for seed in range(count_of(300)):
        module = wrong(random.Random(seed))
        if module is None:
            continue
        try:
            text = Unit(host_target(), [module.f]).ir()
        except CompileErrors as errors:
            told += all(each.line and each.message for each in errors.diagnostics)
        else:
            llvm.parse_assembly(host_target().header + text).verify()
    assert told > 100
