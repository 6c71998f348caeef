"""Branches, loops and match, and which locals surely have a value after them."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ..errors import MetalError, Poisoned
from ..structure import StructType
from ..types import EnumType, IntType, LayoutError, bool_type, u64
from . import advice
from .calls import Calls
from .values import Const, Place, Value

T = TypeVar("T")


@dataclass
class Loop:
    """A loop being compiled: where break and continue go, and how many exits lie outside it."""

    after: str
    again: str
    depth: int
    breaks: list[set[str]] = field(default_factory=list)


class Branches(Calls):
    """Statements that choose where the program goes on."""

    def __init__(self, unit: Any, instance: Any) -> None:
        super().__init__(unit, instance)
        self.loops: list[Loop] = []
        self.exits: list[tuple[Value, Any, ast.AST]] = []
        self.left_out: list[str] = []  # members of which the last match says nothing

    def block(self, body: list[ast.stmt]) -> None:
        """Statements in order."""
        raise NotImplementedError

    def run_exits(self, depth: int) -> None:
        """Call the `__exit__`s of the with statements above `depth`, innermost first."""
        raise NotImplementedError

    def abandon(self, node: ast.AST) -> None:
        """After a mistake: the names it would have assigned exist but tell nothing more."""
        raise NotImplementedError

    def head(self, node: ast.AST, compiled: Callable[[], T]) -> T | None:
        """The head of a statement with a body. A mistake in it is reported and gives None: the body is compiled even
        so, for its own mistakes."""
        try:
            return compiled()
        except MetalError as error:
            self.report(error, node)
        except LayoutError as error:
            self.report(MetalError(node, str(error), error.hint), node)
        except Poisoned:
            pass
        self.abandon(node)
        return None

    def test(self, node: ast.expr) -> str:
        """The condition of a branch or loop."""
        return self.head(node, lambda: self.condition(node)) or "undef"

    def if_(self, node: ast.If) -> None:
        """if, elif, else; a known condition compiles one branch only."""
        condition = self.test(node.test)
        if condition in ("true", "false"):
            return self.block(node.body if condition == "true" else node.orelse)
        yes, no, end = self.new_label("then"), self.new_label("else"), self.new_label("end")
        hint = self.unit.take_hint(self)
        self.branch_if(condition, yes, no if node.orelse else end, hint)
        before = set(self.assigned)
        ends = []
        for label, body in ((yes, node.body), (no, node.orelse)):
            self.assigned = set(before)
            if body:
                self.start(label)
                self.block(body)
            if self.reachable or not body:
                ends.append(self.assigned)
            if body:
                self.branch(end)
        if ends:
            self.start(end)
            self.assigned = set.intersection(*ends)
        else:
            self.assigned = before
        return None

    def while_(self, node: ast.While) -> None:
        """while; no else."""
        if node.orelse:
            self.error(node, "metal's loops have no else")
        head, body, after = self.new_label("while"), self.new_label("body"), self.new_label("after")
        self.start(head)
        condition = self.test(node.test)
        loop = Loop(after, head, len(self.exits))
        outside = set(self.assigned)
        if condition == "true":
            self.branch(body)
        else:
            self.branch_if(condition, body, after)
            loop.breaks.append(set(outside))
        self.start(body)
        self.loops.append(loop)
        self.block(node.body)
        self.loops.pop()
        self.branch(head)
        self.end_loop(loop, outside)

    def end_loop(self, loop: Loop, outside: set[str]) -> None:
        """What follows a loop, if it can end."""
        if loop.breaks:
            self.start(loop.after)
            self.assigned = set.intersection(*loop.breaks)
        else:
            self.assigned = outside

    def for_(self, node: ast.For) -> None:
        """for over range, slices, arrays, enumerate(...)."""
        if node.orelse:
            self.error(node, "metal's loops have no else")
        if self.head(node.target, lambda: self.loop(node)) is None:
            self.loops.append(Loop(self.new_label("after"), self.new_label("next"), len(self.exits)))
            self.block(node.body)
            self.loops.pop()

    def loop(self, node: ast.For) -> bool:
        """A loop; whatever it raises, it raises before its body."""
        call = node.iter
        if isinstance(call, ast.Call):
            callee = self.expression(call.func)
            if isinstance(callee, Const) and callee.value is range:
                self.for_range(node, call)
                return True
            if isinstance(callee, Const) and callee.value is enumerate:
                if len(call.args) != 1 or not isinstance(node.target, ast.Tuple) or len(node.target.elts) != 2:
                    self.error(node.target, "write `for i, each in enumerate(sequence)`")
                self.for_each(node, call.args[0], node.target.elts[1], node.target.elts[0])
                return True
            if isinstance(callee, Const) and (own := advice.python(callee.value)):
                self.error(node.iter, own[0], own[1])
        self.for_each(node, call, node.target, None)
        return True

    def for_range(self, node: ast.For, call: ast.Call) -> None:
        """Counting. The bounds are evaluated once; the step is a constant."""
        if not isinstance(node.target, ast.Name) or call.keywords or not 1 <= len(call.args) <= 3:
            self.error(node, "write `for i in range(start, end, step)`")
        step: Any = Const(1)
        if len(call.args) == 3:
            step = self.expression(call.args[2])
            if isinstance(step, Value) and step.text.lstrip("-").isdigit():  # u64(4096)
                step = Const(int(step.text))
        if not isinstance(step, Const) or not isinstance(step.value, int) or step.value == 0:
            self.error(call.args[2], "the step of a range is a constant that is not 0", "`while` takes any step")
        known = self.locals.get(node.target.id)
        want = known.type if known is not None else None
        operands = [self.settled(self.expression(each, want), each) for each in call.args[:2]]
        if len(operands) == 1:
            operands = [Const(0), *operands]
        types = [self.rvalue(each, call).type for each in operands if not isinstance(each, Const)]
        type_ = want or (types[0] if types else u64)
        if not isinstance(type_, IntType):
            self.error(call, f"a range counts integers, not {type_}")
        nodes = [call, *call.args[:1]] if len(call.args) == 1 else call.args[:2]
        for each, place in zip(operands, nodes, strict=True):
            if isinstance(each, Const) and isinstance(each.value, int) and each.value < 0 and want is None:
                hint = f"give the loop variable a type before: {node.target.id}: i64 = 0"
                self.error(place, f"this range counts in {type_}, which has no {each.value}", hint)
        first, last = (self.coerce(each, type_, place) for each, place in zip(operands, nodes, strict=True))
        down, sign, kind = step.value < 0, "s" if type_.signed else "u", type_.llvm
        if abs(step.value) > type_.maximum:
            self.error(call, f"the step does not fit in {type_}")
        counter = self.alloca(type_)
        self.emit(f"store {kind} {first.text}, ptr {counter}")
        head, body, again, after = (self.new_label(each) for each in ("for", "body", "next", "after"))
        self.start(head)
        now = self.op(f"load {kind}, ptr {counter}")
        self.branch_if(self.op(f"icmp {sign}{'gt' if down else 'lt'} {kind} {now}, {last.text}"), body, after)
        outside = set(self.assigned)
        loop = Loop(after, again, len(self.exits), [set(outside)])
        self.start(body)
        self.assign_name(node.target, Value(type_, now), node)
        self.loops.append(loop)
        self.block(node.body)
        self.loops.pop()
        self.start(again)
        now = self.op(f"load {kind}, ptr {counter}")
        if step.value in (1, -1):
            self.emit(f"store {kind} {self.op(f'add {kind} {now}, {step.value}')}, ptr {counter}")
        else:  # stop rather than step past the end of the type
            left = self.op(f"sub {kind} {now if down else last.text}, {last.text if down else now}")
            self.emit(f"store {kind} {self.op(f'add {kind} {now}, {step.value}')}, ptr {counter}")
            self.branch_if(self.op(f"icmp ugt {kind} {left}, {abs(step.value)}"), head, after)
        self.branch(head)
        self.end_loop(loop, outside)

    def for_each(self, node: ast.For, source: ast.expr, target: ast.expr, counter_name: ast.expr | None) -> None:
        """Over the elements of an array or slice: structures by reference, scalars by copy."""
        if not isinstance(target, ast.Name) or not (counter_name is None or isinstance(counter_name, ast.Name)):
            self.error(node.target, "the loop variable is a name", "take things apart inside of the loop")
        operand = self.expression(source)
        if isinstance(operand, Const) and not isinstance(operand.value, bytes):
            if isinstance(operand.value, int):
                hint = f"`for i in range({operand.value})` counts"
                self.error(source, f"for goes through slices and arrays, not the number {operand.value}", hint)
            self.not_a_value(operand.value, source)
        value, element, address, length, _, align = self.sequence(operand, source)
        owned = self.in_frame(value) and element.aggregate
        counter = self.alloca(u64)
        self.emit(f"store i64 0, ptr {counter}")
        head, body, again, after = (self.new_label(each) for each in ("for", "body", "next", "after"))
        self.start(head)
        now = self.op(f"load i64, ptr {counter}")
        self.branch_if(self.op(f"icmp ult i64 {now}, {length}"), body, after)
        outside = set(self.assigned)
        loop = Loop(after, again, len(self.exits), [set(outside)])
        self.start(body)
        place = Place(element, self.element(address, element, now), align)
        self.assign_name(target, self.read(place), node, owned)
        if isinstance(counter_name, ast.Name):
            self.assign_name(counter_name, Value(u64, now), node)
        self.loops.append(loop)
        self.block(node.body)
        self.loops.pop()
        self.start(again)
        now = self.op(f"load i64, ptr {counter}")
        self.emit(f"store i64 {self.op(f'add i64 {now}, 1')}, ptr {counter}")
        self.branch(head)
        self.end_loop(loop, outside)

    def leave_loop(self, out: bool, node: ast.AST) -> None:
        """break and continue, through the exits in between."""
        loop = self.loops[-1]  # Python itself refuses those outside of loops
        self.run_exits(loop.depth)
        if out:
            loop.breaks.append(set(self.assigned))
        self.branch(loop.after if out else loop.again)

    def match(self, node: ast.Match) -> None:
        """match over integers, enumeration members, bools."""
        subject = self.head(node, lambda: self.subject(node))
        if subject is None:
            for case in node.cases:
                self.block(case.body)
            return
        self.cases(node, subject)

    def subject(self, node: ast.Match) -> Value:
        """What match looks at."""
        subject = self.rvalue(self.expression(node.subject), node.subject)
        if not isinstance(subject.type, IntType | EnumType | type(bool_type)):
            hint = "compare with `if`" if not isinstance(subject.type, StructType) else "match one of its fields"
            self.error(node.subject, f"match takes integers and enumeration members, not {subject.type}", hint)
        return subject

    def cases(self, node: ast.Match, subject: Value) -> None:
        """The cases of a match, in order."""
        end = self.new_label("end")
        before = set(self.assigned)
        ends: list[set[str]] = []
        exhaustive = False
        for case in node.cases:
            self.assigned = set(before)
            test = self.head(case.pattern, partial(self.pattern, case.pattern, subject)) or "undef"
            body, following = self.new_label("case"), self.new_label("next")
            if test == "true":
                self.start(body)
            else:
                self.branch_if(test, body, following)
                self.start(body)
            self.capture(case.pattern, subject)
            if case.guard is not None:
                guarded = self.new_label("guarded")
                self.branch_if(self.test(case.guard), guarded, following)
                self.start(guarded)
            elif test == "true":
                exhaustive = True
            self.block(case.body)
            if self.reachable:
                ends.append(set(self.assigned))
            self.branch(end)
            if exhaustive:
                break
            self.lines.append(f"{following}:")
            self.reachable = True
        if not exhaustive and isinstance(subject.type, EnumType) and self.covers(node, subject.type):
            self.emit("unreachable")
            self.reachable = False
        elif not exhaustive:
            if isinstance(subject.type, EnumType):
                self.left_out = self.uncovered(node, subject.type)
            ends.append(before)
            self.branch(end)
        if ends:
            self.start(end)
            self.assigned = set.intersection(*ends)
        else:
            self.reachable, self.assigned = False, before

    def covers(self, node: ast.Match, type_: EnumType) -> bool:
        """Whether the cases name every member, without guards."""
        return not self.uncovered(node, type_)

    def uncovered(self, node: ast.Match, type_: EnumType) -> list[str]:
        """The members that no case without a guard names."""
        found: set[int] = set()
        for case in node.cases:
            if case.guard is None:
                patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
                for each in patterns:
                    if isinstance(each, ast.MatchValue):
                        operand = self.expression(each.value)
                        if isinstance(operand, Const):
                            found.add(int(operand.value))
        return [name for name, each in type_.members.items() if each.value not in found]

    def pattern(self, pattern: ast.pattern, subject: Value) -> str:
        """An i1: whether the pattern fits."""
        match pattern:
            case ast.MatchValue():
                value = self.value(pattern.value, subject.type)
                return self.op(f"icmp eq {subject.type.llvm} {subject.text}, {value.text}")
            case ast.MatchSingleton() if isinstance(pattern.value, bool):
                value = self.coerce(Const(pattern.value), subject.type, pattern)
                return self.op(f"icmp eq i1 {subject.text}, {value.text}")
            case ast.MatchOr():
                tests = [self.pattern(each, subject) for each in pattern.patterns]
                result = tests[0]
                for each in tests[1:]:
                    result = self.op(f"or i1 {result}, {each}")
                return result
            case ast.MatchAs(pattern=None):
                return "true"
            case ast.MatchAs(pattern=inner) if inner is not None:
                return self.pattern(inner, subject)
        self.error(pattern, "a case is a constant, several with |, a name or _", "compare the rest with `if`")

    def capture(self, pattern: ast.pattern, subject: Value) -> None:
        """Bind the name of a capturing pattern."""
        if isinstance(pattern, ast.MatchAs) and pattern.name is not None:
            target = ast.copy_location(ast.Name(pattern.name, ast.Store()), pattern)
            self.assign_name(target, subject, pattern)
