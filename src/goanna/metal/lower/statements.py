"""Statements: assignment, branches, loops, match, with, return; which locals surely have a value; which exits run."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from ..errors import MetalError, Poisoned
from ..function import Static
from ..structure import StructType
from ..types import (
    ArrayType,
    CellType,
    EnumType,
    IntType,
    LayoutError,
    NeverType,
    PtrType,
    SliceType,
    TupleType,
    Type,
    VoidType,
    bool_type,
    never,
    pointer_to,
    resolve,
    same,
    u64,
    void,
)
from .calls import Calls
from .values import Const, Local, Operand, Place, Value


@dataclass
class Loop:
    """A loop being compiled: where break and continue go, and how many exits lie outside it."""

    after: str
    again: str
    depth: int
    breaks: list[set[str]] = field(default_factory=list)


class Statements(Calls):
    """Compiles the body of a function."""

    def __init__(self, unit: Any, instance: Any) -> None:
        super().__init__(unit, instance)
        self.loops: list[Loop] = []
        self.exits: list[tuple[Value, Any, ast.AST]] = []
        self.failed: set[str] = set()
        self.globals: set[str] = set()
        self.result: Type = void

    def block(self, body: list[ast.stmt]) -> None:
        """Statements in order. A mistake ends its statement only."""
        for node in body:
            try:
                self.statement(node)
            except MetalError as error:
                self.report(error, node)
                self.abandon(node)
            except LayoutError as error:
                self.report(MetalError(node, str(error)), node)
                self.abandon(node)
            except Poisoned:
                self.abandon(node)

    def abandon(self, node: ast.stmt) -> None:
        """After a mistake: the names it would have assigned exist but tell nothing more."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) and each.id not in self.locals:
                self.failed.add(each.id)
                self.locals[each.id] = Local(each.id, never, "undef")
                self.assigned.add(each.id)
        if isinstance(node, (ast.Return,)):
            self.emit("unreachable")
            self.reachable = False

    def statement(self, node: ast.stmt) -> None:
        """One statement."""
        if not self.reachable:  # code after a return: compiled for its mistakes, in a block nobody enters
            self.start(self.new_label("dead"))
        self.at(node)
        match node:
            case ast.Expr(ast.Constant()) | ast.Pass():
                return
            case ast.Expr():
                self.expression_statement(node.value)
            case ast.Assign():
                self.assign(node)
            case ast.AnnAssign():
                self.annotated(node)
            case ast.AugAssign():
                self.augmented(node)
            case ast.If():
                self.if_(node)
            case ast.While():
                self.while_(node)
            case ast.For():
                self.for_(node)
            case ast.Return():
                self.return_(node)
            case ast.Break() | ast.Continue():
                self.leave_loop(isinstance(node, ast.Break), node)
            case ast.Assert():
                self.assertion(node)
            case ast.With():
                self.with_(node.items, node.body)
            case ast.Match():
                self.match(node)
            case ast.Global():
                self.globals.update(node.names)
            case _:
                names = {
                    ast.Try: "try", ast.Raise: "raise", ast.FunctionDef: "a nested function", ast.ClassDef: "a class",
                    ast.Delete: "del", ast.Import: "import", ast.ImportFrom: "import", ast.Nonlocal: "nonlocal",
                    ast.AsyncFor: "async", ast.AsyncWith: "async", ast.AsyncFunctionDef: "async",
                }  # fmt: skip
                what = names.get(type(node), type(node).__name__)
                hint = 'errors are values: return them, or panic("...")' if what in ("try", "raise") else ""
                self.error(node, f"metal has no {what}", hint)

    def expression_statement(self, node: ast.expr) -> None:
        """A call for its effect; anything else is a mistake."""
        if not isinstance(node, (ast.Call, ast.NamedExpr)):
            self.error(node, "this computes a value and drops it")
        operand = self.expression(node)
        if isinstance(operand, Place):
            self.rvalue(operand, node)

    # Assignment.
    def assign(self, node: ast.Assign) -> None:
        """`target = value`, tuples too."""
        if len(node.targets) > 1:
            self.error(node, "one target at a time", "write a second assignment")
        target = node.targets[0]
        if isinstance(target, (ast.Tuple, ast.List)):
            return self.unpack(target, self.expression(node.value), node)
        if isinstance(target, ast.Name) and target.id not in self.globals:
            known = self.locals.get(target.id)
            want = known.type if known is not None else None
            operand = self.expression(node.value, want)
            if known is None and isinstance(operand, Const) and self.natural_type(operand.value) is None:
                what = repr(operand.value)
                if operand.value is None:
                    self.error(
                        node, f"the type of {target.id!r} is not known here", f"write `{target.id}: Ptr[...] = None`"
                    )
                if not isinstance(operand.value, int):
                    self.error(node, f"{what} is not a value that exists at run time")
                self.error(
                    node, f"the type of {target.id!r} is not known here", f"write `{target.id}: u64 = {what}`, say"
                )
            owned = self.in_frame(operand)
            value = self.coerce(operand, want, node.value) if want is not None else self.rvalue(operand, node.value)
            self.assign_name(target, value, node, owned)
            return None
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
            return self.assign_slice(target, node)
        place = self.place(target)
        if isinstance(place.type, CellType) and place.type.aggregate:
            method = "store" if place.type.kind == "Atomic" else "write"
            self.error(node, f"{place.type} is written by a method", f"`.{method}(value)`")
        value = self.value(node.value, self.wanted_in(place.type))
        self.at(node)
        self.write(place, value, target)
        return None

    def in_frame(self, operand: Operand) -> bool:
        """Whether an operand is a structure of this frame."""
        return (isinstance(operand, Place) and operand.frame) or (
            isinstance(operand, Value) and operand.text in self.frame_values
        )

    def place(self, target: ast.expr) -> Place:
        """The place left of an assignment."""
        if isinstance(target, ast.Name) and target.id in self.globals:
            operand = self.known(self.function.lookup(target.id), target, target.id)
        else:
            operand = self.expression(target)
        if not isinstance(operand, Place):
            self.error(target, "this can't be assigned to")
        if isinstance(operand.type, NeverType):
            self.poisoned()
        return operand

    def assign_name(self, target: ast.Name, value: Value, node: ast.AST, owned: bool = False) -> None:
        name, type_ = target.id, value.type
        if isinstance(type_, VoidType):
            self.error(node, "this gives no value")
        if name in self.globals:
            return self.write(self.place(target), value, node)
        local = self.locals.get(name)
        if local is None:
            try:
                static = self.function.lookup(name)
            except KeyError:
                static = None
            if isinstance(static, Static):
                self.error(node, f"{name!r} is a static", f"write `global {name}` first, or take another name")
            local = self.declare(name, type_, node)
        local.owned = local.owned or owned
        value = self.coerce(value, local.type, node)
        self.store_local(local, value)
        self.assigned.add(name)
        return None

    def store_local(self, local: Local, value: Value) -> None:
        """Set a local's slot."""
        if local.type.aggregate:
            self.emit(f"store ptr {value.text}, ptr {local.slot}")
        else:
            self.store(local.type, value.text, local.slot, local.type.alignment)

    def declare(self, name: str, type_: Type, node: ast.AST, argument: int = 0) -> Local:
        """Make a local."""
        slot = self.pointer_slot() if type_.aggregate else self.alloca(type_)
        local = self.locals[name] = Local(name, type_, slot)
        record = self.unit.local(self, name, type_, slot, getattr(node, "lineno", 0), argument)
        if record:
            self.allocas.append(record)
        return local

    def annotated(self, node: ast.AnnAssign) -> None:
        """`name: type = value`."""
        if not isinstance(node.target, ast.Name):
            self.error(node, "only a local takes a type here")
        name = node.target.id
        type_ = self.annotation(node.annotation)
        known = self.locals.get(name)
        if known is not None and not same(known.type, type_):
            self.error(node, f"{name!r} is {known.type} already, it can't be {type_} too")
        if node.value is None:
            if known is None:
                self.declare(name, type_, node)
            return
        operand = self.expression(node.value, type_)
        owned = self.in_frame(operand)
        self.assign_name(node.target, self.coerce(operand, type_, node.value), node, owned)

    def annotation(self, node: ast.expr) -> Type:
        """The type an annotation in a function names."""
        scope = _Names(self)
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)
        type_ = self.unit.substitute(resolve(text, scope), self.instance.bindings)
        if not isinstance(type_, Type):
            self.error(node, f"{text} is not a type")
        return type_

    def unpack(self, target: ast.Tuple | ast.List, operand: Operand, node: ast.Assign) -> None:
        """`a, b = value`."""
        if isinstance(operand, Const) and isinstance(operand.value, tuple):
            self.error(
                node, "the types of these constants are not known here", "assign one at a time, with their types"
            )
        value = self.rvalue(operand, node.value)
        if not isinstance(value.type, TupleType):
            self.error(node, f"{value.type} can't be taken apart")
        if len(value.type.elements) != len(target.elts):
            self.error(node, f"{len(value.type.elements)} values for {len(target.elts)} names")
        for index, (type_, each) in enumerate(zip(value.type.elements, target.elts, strict=True)):
            part = Value(type_, self.op(f"extractvalue {value.type.llvm} {value.text}, {index}"))
            if isinstance(each, ast.Name) and each.id == "_":
                continue
            if isinstance(each, ast.Name):
                self.assign_name(each, part, each)
            else:
                place = self.place(each)
                self.write(place, self.coerce(part, self.wanted_in(place.type), each), each)

    def assign_slice(self, target: ast.Subscript, node: ast.Assign) -> None:
        """`destination[i:j] = source`: equal lengths, overlap allowed."""
        assert isinstance(target.slice, ast.Slice)
        base = self.expression(target.value)
        _, _, _, _, readonly, _ = self.sequence(base, target.value)
        if readonly or (isinstance(base, Const)):
            self.error(target, "this is read-only")
        destination = self.slice_range(base, target.slice, target)
        self.copy_elements(destination, node.value, node)

    def augmented(self, node: ast.AugAssign) -> None:
        """`target op= value`; the target's place is evaluated once."""
        place = self.place(node.target)
        want = self.wanted_in(place.type)
        left = self.read(place)
        right = self.expression(node.value, None if isinstance(node.op, (ast.LShift, ast.RShift)) else want)
        self.at(node)
        result = self.binary(node.op, left, right, node, want)
        self.write(place, self.coerce(result, want, node), node.target)

    # Branches.
    def if_(self, node: ast.If) -> None:
        """if, elif, else; a known condition compiles one branch only."""
        condition = self.condition(node.test)
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
        condition = self.condition(node.test)
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
        call = node.iter
        if isinstance(call, ast.Call):
            callee = self.expression(call.func)
            if isinstance(callee, Const) and callee.value is range:
                return self.for_range(node, call)
            if isinstance(callee, Const) and callee.value is enumerate:
                if len(call.args) != 1 or not isinstance(node.target, ast.Tuple) or len(node.target.elts) != 2:
                    self.error(node, "write `for i, each in enumerate(sequence)`")
                return self.for_each(node, call.args[0], node.target.elts[1], node.target.elts[0])
        return self.for_each(node, call, node.target, None)

    def for_range(self, node: ast.For, call: ast.Call) -> None:
        """Counting. The bounds are evaluated once; the step is a constant."""
        if not isinstance(node.target, ast.Name) or call.keywords or not 1 <= len(call.args) <= 3:
            self.error(node, "write `for i in range(start, end, step)`")
        step: Any = Const(1)
        if len(call.args) == 3:
            step = self.expression(call.args[2])
        if not isinstance(step, Const) or not isinstance(step.value, int) or step.value == 0:
            self.error(call, "the step of a range is a constant that is not 0")
        known = self.locals.get(node.target.id)
        want = known.type if known is not None else None
        operands = [self.expression(each, want) for each in call.args[:2]]
        if len(operands) == 1:
            operands = [Const(0), *operands]
        types = [self.rvalue(each, call).type for each in operands if not isinstance(each, Const)]
        type_ = want or (types[0] if types else u64)
        if not isinstance(type_, IntType):
            self.error(call, f"a range counts integers, not {type_}")
        first, last = (self.coerce(each, type_, call) for each in operands)
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
            self.error(node, "the loop variable is a name")
        _, element, address, length, _, align = self.sequence(self.expression(source), source)
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
        self.assign_name(target, self.read(place), node)
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
        if not self.loops:
            self.error(node, "this is outside a loop")
        loop = self.loops[-1]
        self.run_exits(loop.depth)
        if out:
            loop.breaks.append(set(self.assigned))
        self.branch(loop.after if out else loop.again)

    def match(self, node: ast.Match) -> None:
        """match over integers, enumeration members, bools."""
        subject = self.rvalue(self.expression(node.subject), node.subject)
        if not isinstance(subject.type, IntType | EnumType | type(bool_type)):
            self.error(node.subject, f"match takes integers and enumeration members, not {subject.type}")
        end = self.new_label("end")
        before = set(self.assigned)
        ends: list[set[str]] = []
        exhaustive = False
        for case in node.cases:
            self.assigned = set(before)
            test = self.pattern(case.pattern, subject)
            body, following = self.new_label("case"), self.new_label("next")
            if test == "true":
                self.start(body)
            else:
                self.branch_if(test, body, following)
                self.start(body)
            self.capture(case.pattern, subject)
            if case.guard is not None:
                guarded = self.new_label("guarded")
                self.branch_if(self.condition(case.guard), guarded, following)
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
            ends.append(before)
            self.branch(end)
        if ends:
            self.start(end)
            self.assigned = set.intersection(*ends)
        else:
            self.reachable, self.assigned = False, before

    def covers(self, node: ast.Match, type_: EnumType) -> bool:
        """Whether the cases name every member, without guards."""
        found: set[int] = set()
        for case in node.cases:
            if case.guard is None:
                patterns = case.pattern.patterns if isinstance(case.pattern, ast.MatchOr) else [case.pattern]
                for each in patterns:
                    if isinstance(each, ast.MatchValue):
                        operand = self.expression(each.value)
                        if isinstance(operand, Const):
                            found.add(int(operand.value))
        return found >= {each.value for each in type_.members.values()}

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
        self.error(pattern, "a case is a constant, several with |, a name or _")

    def capture(self, pattern: ast.pattern, subject: Value) -> None:
        """Bind the name of a capturing pattern."""
        if isinstance(pattern, ast.MatchAs) and pattern.name is not None:
            target = ast.copy_location(ast.Name(pattern.name, ast.Store()), pattern)
            self.assign_name(target, subject, pattern)

    # Leaving.
    def return_(self, node: ast.Return) -> None:
        """return: the value first, then the exits, innermost first."""
        if isinstance(self.result, VoidType):
            if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
                self.error(node, "this function gives no value", "declare its result: -> type")
            self.run_exits(0)
            self.emit("ret void")
        else:
            if node.value is None:
                self.error(node, f"this function gives {self.result}")
            operand = self.expression(node.value, self.result)
            if self.in_frame(operand) and (self.result.aggregate or isinstance(self.result, PtrType)):
                self.error(
                    node.value,
                    "this lives in the frame of the function and ends with it",
                    "fill in one that the caller has",
                )
            value = self.coerce(operand, self.result, node.value)
            self.run_exits(0)
            self.emit(f"ret {self.result.llvm} {value.text}")
        self.reachable = False

    def run_exits(self, depth: int) -> None:
        """Call the `__exit__`s of the with statements above `depth`, innermost first."""
        for manager, method, node in reversed(self.exits[depth:]):
            self.call_method(manager, method, [], node)

    def with_(self, items: list[ast.withitem], body: list[ast.stmt]) -> None:
        """with: enter, body, exit on every way out."""
        item = items[0]
        manager = self.rvalue(self.expression(item.context_expr), item.context_expr)
        if isinstance(manager.type, PtrType):
            manager = self.not_null(manager, item.context_expr)
        type_ = manager.type
        enter = type_.attributes.get("__enter__") if isinstance(type_, StructType) else None
        leave = type_.attributes.get("__exit__") if isinstance(type_, StructType) else None
        if enter is None or leave is None:
            self.error(item.context_expr, f"{type_} has no __enter__ and __exit__")
        entered = self.call_method(manager, enter, [], item.context_expr)
        if item.optional_vars is not None:
            if not isinstance(item.optional_vars, ast.Name):
                self.error(item.optional_vars, "`as` takes a name")
            self.assign_name(item.optional_vars, self.rvalue(entered, item.context_expr), item.optional_vars)
        self.exits.append((manager, leave, item.context_expr))
        if len(items) > 1:
            self.with_(items[1:], body)
        else:
            self.block(body)
        self.exits.pop()
        if self.reachable:
            self.at(item.context_expr)
            self.call_method(manager, leave, [], item.context_expr)

    def assertion(self, node: ast.Assert) -> None:
        """assert condition, "reason"."""
        reason = "assertion failed: " + ast.unparse(node.test)
        if node.msg is not None:
            if not isinstance(node.msg, ast.Constant) or not isinstance(node.msg.value, str):
                self.error(node.msg, "the reason is a text written here")
            reason = node.msg.value
        condition = self.condition(node.test)
        if condition == "false":
            self.fail(reason, node)
        else:
            self.check(condition, reason, node)


class _Names(dict[str, Any]):
    """The names an annotation inside a function may use."""

    def __init__(self, lowering: Statements) -> None:
        super().__init__()
        self.lowering = lowering

    def __missing__(self, key: str) -> Any:
        bindings = self.lowering.instance.bindings
        return bindings[key] if key in bindings else self.lowering.function.lookup(key)


__all__ = ["ArrayType", "SliceType", "Statements", "pointer_to"]
