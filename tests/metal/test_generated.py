"""Generated programs: what the JIT computes at O0 and O2 equals a plain-Python evaluation, failing checks included."""

import ast

from hypothesis import given
from hypothesis import strategies as st

from goanna.metal import types as metal_types
from tests.metal.generated import TYPES, agrees, generated


class Failed(Exception):
    """The evaluation in Python met what a check stops."""


def literals(type_name):
    type_ = getattr(metal_types, type_name)
    edges = [0, 1, 2, type_.minimum, type_.maximum, type_.maximum - 1]
    return st.one_of(st.sampled_from(edges), st.integers(type_.minimum, type_.maximum)).map(
        lambda n: f"{type_name}({n})"
    )


@st.composite
def expressions(draw, type_name, depth=3):
    """A metal expression of that type over its variables a and b, and over others by conversion."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.one_of(st.sampled_from([f"a_{type_name}", f"b_{type_name}"]), literals(type_name)))
    kind = draw(
        st.sampled_from(["binary", "binary", "shift", "choice", "convert", "wrap", "invert", "minmax", "wrapping"])
    )
    inner = lambda: draw(expressions(type_name, depth - 1))  # noqa: E731
    match kind:
        case "binary":
            return f"({inner()} {draw(st.sampled_from(['+', '-', '*', '//', '%', '&', '|', '^']))} {inner()})"
        case "shift":
            return f"({inner()} {draw(st.sampled_from(['<<', '>>']))} {draw(expressions('u8', depth - 1))} % u8(9))"
        case "choice":
            return f"({inner()} if {draw(conditions(depth - 1))} else {inner()})"
        case "convert" | "wrap":
            other = draw(st.sampled_from(TYPES))
            call = type_name if kind == "convert" else f"{type_name}.wrap"
            return f"{call}({draw(expressions(other, depth - 1))})"
        case "invert":
            return f"(~{inner()})"
        case "minmax":
            return f"{draw(st.sampled_from(['min', 'max']))}({inner()}, {inner()})"
        case "wrapping":
            return f"wrapping({inner()} {draw(st.sampled_from('+-*'))} {inner()})"


@st.composite
def conditions(draw, depth):
    type_name = draw(st.sampled_from(TYPES))
    signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    text = f"{draw(expressions(type_name, max(depth, 0)))} {draw(signs)} {draw(expressions(type_name, 0))}"
    if depth > 0 and draw(st.booleans()):
        text = f"({text} {draw(st.sampled_from(['and', 'or']))} {draw(conditions(depth - 1))})"
    return text


class Evaluator:
    """Evaluates a metal expression as Python would, with each type's range in force."""

    def __init__(self, variables):
        self.variables, self.wraps = variables, 0

    def fit(self, type_, value):
        if self.wraps:
            return type_, type_.wrap(value)
        if not type_.holds(value):
            raise Failed
        return type_, value

    def run(self, node):
        match node:
            case ast.Name():
                return self.variables[node.id]
            case ast.Constant():
                return None, node.value
            case ast.IfExp():
                return self.run(node.body if self.run(node.test)[1] else node.orelse)
            case ast.BoolOp():
                stop = isinstance(node.op, ast.Or)
                for each in node.values:
                    if self.run(each)[1] == stop:
                        return None, stop
                return None, not stop
            case ast.Compare():
                left, right = self.run(node.left)[1], self.run(node.comparators[0])[1]
                return None, eval(f"left {SIGNS[type(node.ops[0])]} right", {"left": left, "right": right})
            case ast.UnaryOp(op=ast.Invert()):
                type_, value = self.run(node.operand)
                return type_, type_.wrap(~value)
            case ast.UnaryOp(op=ast.USub()):
                return None, -self.run(node.operand)[1]
            case ast.BinOp():
                return self.binary(node)
            case ast.Call():
                return self.call(node)
        raise AssertionError(ast.dump(node))

    def binary(self, node):
        type_, left = self.run(node.left)
        right = self.run(node.right)[1]
        if isinstance(node.op, (ast.LShift, ast.RShift)) and right >= type_.bits:
            raise Failed
        if isinstance(node.op, (ast.FloorDiv, ast.Mod)) and right == 0:
            raise Failed
        result = eval(f"left {SIGNS[type(node.op)]} right", {"left": left, "right": right})
        if isinstance(node.op, ast.FloorDiv) and not type_.holds(result):
            raise Failed
        return self.fit(type_, result)

    def call(self, node):
        name = ast.unparse(node.func)
        if name == "wrapping":
            self.wraps += 1
            try:
                return self.run(node.args[0])
            finally:
                self.wraps -= 1
        if name in ("min", "max"):
            type_, first = self.run(node.args[0])
            return type_, (min if name == "min" else max)(first, self.run(node.args[1])[1])
        type_ = getattr(metal_types, name.removesuffix(".wrap"))
        value = self.run(node.args[0])[1]
        if name.endswith(".wrap"):
            return type_, type_.wrap(value)
        if not type_.holds(value):
            raise Failed
        return type_, value


SIGNS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.LShift: "<<", ast.RShift: ">>",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


@st.composite
def programs(draw):
    """A loop over a few assignments, and the argument values."""
    type_name = draw(st.sampled_from(TYPES))
    names = [f"{side}_{each}" for each in TYPES for side in "ab"]
    steps = draw(st.lists(st.tuples(st.just(f"a_{type_name}"), expressions(type_name)), min_size=1, max_size=3))
    values = {}
    for name in names:
        type_ = getattr(metal_types, name[2:])
        values[name] = draw(
            st.one_of(st.integers(-3, 9).filter(type_.holds), st.integers(type_.minimum, type_.maximum))
        )
    return type_name, steps, values, draw(st.integers(1, 3))


@generated(120)
@given(programs())
def test_generated_programs_compute_what_python_computes(program):
    type_name, steps, values, rounds = program
    parameters = ", ".join(f"{name}: {name[2:]}" for name in values)
    body = "\n".join(f"        {name} = {text}" for name, text in steps)
    source = (
        f"from goanna.metal import *\n@metal\ndef f({parameters}) -> {type_name}:\n"
        f"    for _ in range({rounds}):\n{body}\n    return a_{type_name}\n"
    )
    variables = {name: (getattr(metal_types, name[2:]), value) for name, value in values.items()}
    try:
        for _ in range(rounds):
            for name, text in steps:
                variables[name] = Evaluator(variables).run(ast.parse(text, mode="eval").body)
        expected = variables[f"a_{type_name}"][1]
    except Failed:
        expected = None
    agrees(source, tuple(values.values()), expected)
