"""Statements: assignment, branches, loops, match, with, return; which locals surely have a value; which exits run."""

from __future__ import annotations

import ast
from typing import Any, TypeVar

from ..errors import InternalError, MetalError, Poisoned
from ..function import Constant, Static
from ..structure import StructType
from ..types import (
    ArrayType,
    CellType,
    LayoutError,
    NeverType,
    PtrType,
    SliceType,
    TupleType,
    Type,
    VoidType,
    never,
    pointer_to,
    resolve,
    same,
    void,
)
from . import advice
from .branches import Branches
from .values import Const, Local, Operand, Place, Value


class Statements(Branches):
    """Compiles the body of a function."""

    def __init__(self, unit: Any, instance: Any) -> None:
        super().__init__(unit, instance)
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
                self.report(MetalError(node, str(error), error.hint), node)
                self.abandon(node)
            except Poisoned:
                self.abandon(node)
            except (InternalError, RecursionError):
                raise
            except Exception as error:
                words = f"{self.file}:{node.lineno}: metal fails at this statement: {type(error).__name__}: {error}"
                raise InternalError(words) from error

    def abandon(self, node: ast.AST) -> None:
        """After a mistake: the names it would have assigned exist but tell nothing more."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                if each.id not in self.locals:
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
                what, hint = advice.STATEMENTS.get(type(node), (type(node).__name__, ""))
                self.error(node, f"metal has no {what}", hint)

    def expression_statement(self, node: ast.expr) -> None:
        """A call for its effect; anything else is a mistake."""
        if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)):
            self.expression(node)  # reports it
        if not isinstance(node, (ast.Call, ast.NamedExpr)):
            called = isinstance(node, (ast.Name, ast.Attribute)) and not isinstance(
                self.expression(node), (Value, Place)
            )
            hint = f"a call has parentheses: {advice.source(node)}()" if called else "assign it, or leave it out"
            self.error(node, "this computes a value and drops it", hint)
        operand = self.expression(node)
        if isinstance(operand, Const):
            self.error(
                node, "this runs while compiling, and what it gives is dropped", "only @metal functions run later"
            )
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
                self.no_static(target.id, node)
                if operand.value is None:
                    self.error(
                        node, f"the type of {target.id!r} is not known here", f"write `{target.id}: Ptr[...] = None`"
                    )
                if not isinstance(operand.value, int):
                    self.not_a_value(operand.value, node.value)
                self.error(
                    node, f"the type of {target.id!r} is not known here", f"write `{target.id}: u64 = {what}`, say"
                )
            owned = self.in_frame(operand)
            value = self.coerce(operand, want, node.value) if want is not None else self.rvalue(operand, node.value)
            self.assign_name(target, value, node, owned)
            return None
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
            return self.assign_slice(target, node)
        start = len(self.lines)
        place = self.place(target)
        end = len(self.lines)
        if isinstance(place.type, CellType) and place.type.aggregate:
            method = "store" if place.type.kind == "Atomic" else "write"
            self.error(node, f"{place.type} is written by a method", f"`.{method}(value)`")
        value = self.value(node.value, self.wanted_in(place.type))
        self.put_after(start, end)
        self.at(node)
        self.write(place, value, target)
        return None

    def place(self, target: ast.expr) -> Place:
        """The place left of an assignment."""
        if isinstance(target, ast.Name) and target.id in self.globals:
            operand = self.known(self.static_named(target), target, target.id)
        else:
            operand = self.expression(target)
        if not isinstance(operand, Place):
            hint = ""
            if isinstance(target, ast.Name):
                hint = f"a number of Python's is fixed when compiled; a variable is one by {target.id} = static(u64)"
            self.error(target, "this can't be assigned to", hint)
        if isinstance(operand.type, NeverType):
            self.poisoned()
        return operand

    def static_named(self, target: ast.Name) -> Any:
        """What a name that was declared global stands for."""
        try:
            return self.function.lookup(target.id)
        except KeyError:
            self.error(
                target, f"{target.id!r} is not known here", f"declare it at the top level: {target.id} = static(u64)"
            )

    def no_static(self, name: str, node: ast.AST) -> None:
        """A static is assigned to only after `global`."""
        try:
            static = self.function.lookup(name)
        except KeyError:
            return
        if isinstance(static, Constant):
            self.error(node, f"{name!r} is a constant", "take another name; a static() can be written")
        if isinstance(static, Static):
            self.error(node, f"{name!r} is a static", f"write `global {name}` first, or take another name")

    def assign_name(self, target: ast.Name, value: Value, node: ast.AST, owned: bool = False) -> None:
        name, type_ = target.id, value.type
        if isinstance(type_, VoidType):
            self.error(node, "this gives no value", "the function is declared -> None")
        if name in self.globals:
            return self.write(self.place(target), value, node)
        local = self.locals.get(name)
        if local is None:
            self.no_static(name, node)
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
        try:
            type_ = self.unit.substitute(resolve(text, scope), self.instance.bindings)
        except LayoutError as error:
            self.error(node, str(error), error.hint)
        if not isinstance(type_, Type):
            self.error(node, f"{text} is not a type", "no parameter says what it is" * isinstance(type_, TypeVar))
        return type_

    def unpack(self, target: ast.Tuple | ast.List, operand: Operand, node: ast.Assign) -> None:
        """`a, b = value`."""
        if isinstance(operand, Const) and isinstance(operand.value, tuple):
            self.error(
                node,
                "the types of these constants are not known here",
                "assign one at a time, with their types: a: u64 = 1",
            )
        value = self.rvalue(operand, node.value)
        if not isinstance(value.type, TupleType):
            self.error(
                node, f"{value.type} can't be taken apart", "only several results of a function can, and a, b = x, y"
            )
        if len(value.type.elements) != len(target.elts):
            values, names = len(value.type.elements), len(target.elts)
            self.error(
                node, f"{advice.counted(values, 'value')} for {advice.counted(names, 'name')}", "`_` leaves one out"
            )
        for index, (type_, each) in enumerate(zip(value.type.elements, target.elts, strict=True)):
            part = Value(type_, self.op(f"extractvalue {value.type.llvm} {value.text}, {index}"))
            self.mark_frame(part, value.text in self.frame_values)
            if isinstance(each, ast.Name) and each.id == "_":
                continue
            if isinstance(each, ast.Name):
                self.assign_name(each, part, each, self.in_frame(part))
            else:
                place = self.place(each)
                self.write(place, self.coerce(part, self.wanted_in(place.type), each), each)

    def assign_slice(self, target: ast.Subscript, node: ast.Assign) -> None:
        """`destination[i:j] = source`: equal lengths, overlap allowed."""
        assert isinstance(target.slice, ast.Slice)
        start = len(self.lines)
        if isinstance(node.value, (ast.List, ast.Constant)) and not isinstance(
            getattr(node.value, "value", None), bytes
        ):
            self.error(node.value, "elements are copied from a slice or array", advice.FILLING)
        base = self.expression(target.value)
        _, _, _, _, readonly, _ = self.sequence(base, target.value)
        if readonly or (isinstance(base, Const)):
            self.error(target, "this is read-only")
        destination = self.slice_range(base, target.slice, target)
        end = len(self.lines)
        source = self.rvalue(self.expression(node.value), node.value)
        self.put_after(start, end)
        self.copy_elements(destination, source, node.value, node)

    def augmented(self, node: ast.AugAssign) -> None:
        """`target op= value`; the target's place is evaluated once."""
        place = self.place(node.target)
        want = self.wanted_in(place.type)
        left = self.read(place)
        right = self.expression(node.value, None if isinstance(node.op, (ast.LShift, ast.RShift)) else want)
        self.at(node)
        result = self.binary(node.op, left, right, node, want)
        self.write(place, self.coerce(result, want, node), node.target)

    # Leaving.
    def return_(self, node: ast.Return) -> None:
        """return: the value first, then the exits, innermost first."""
        if isinstance(self.result, VoidType):
            if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
                operand = self.expression(node.value)
                type_ = operand.type if isinstance(operand, (Value, Place)) else "u64"
                self.error(node, "this function gives no value", f"declare its result: -> {type_}")
            self.run_exits(0)
            self.emit("ret void")
        else:
            if node.value is None:
                self.error(node, f"this function gives {self.result}", "write the value behind return")
            operand = self.expression(node.value, self.result)
            if self.in_frame(operand):
                self.error(
                    node.value,
                    "this lives in the frame of the function and ends with it",
                    "fill in one of the caller's; if it refers to something else by now, give that a name of its own",
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
        entered = self.head(item.context_expr, lambda: self.enter(item))
        if entered is None:
            self.abandon(item)
            return self.with_(items[1:], body) if len(items) > 1 else self.block(body)
        manager, leave = entered
        self.exits.append((manager, leave, item.context_expr))
        if len(items) > 1:
            self.with_(items[1:], body)
        else:
            self.block(body)
        self.exits.pop()
        if self.reachable:
            self.at(item.context_expr)
            self.call_method(manager, leave, [], item.context_expr)
        return None

    def enter(self, item: ast.withitem) -> tuple[Value, Any]:
        """What is entered, its `__enter__` called, and its `__exit__`."""
        manager = self.rvalue(self.expression(item.context_expr), item.context_expr)
        if isinstance(manager.type, PtrType):
            manager = self.not_null(manager, item.context_expr)
        type_ = manager.type
        enter = type_.attributes.get("__enter__") if isinstance(type_, StructType) else None
        leave = type_.attributes.get("__exit__") if isinstance(type_, StructType) else None
        if enter is None or leave is None:
            hint = (
                f"write both in {type_}"
                if isinstance(type_, StructType)
                else "a structure that has both is wanted here"
            )
            self.error(item.context_expr, f"{type_} has no __enter__ and __exit__", hint)
        entered = self.call_method(manager, enter, [], item.context_expr)
        if item.optional_vars is not None:
            if not isinstance(item.optional_vars, ast.Name):
                self.error(item.optional_vars, "`as` takes a name")
            self.assign_name(item.optional_vars, self.rvalue(entered, item.context_expr), item.optional_vars)
        return manager, leave

    def assertion(self, node: ast.Assert) -> None:
        """assert condition, "reason"."""
        if isinstance(node.test, ast.Tuple):
            self.error(node.test, "a tuple is no condition", 'without the parentheses: assert condition, "reason"')
        reason = "assertion failed: " + ast.unparse(node.test)
        if node.msg is not None:
            if not isinstance(node.msg, ast.Constant) or not isinstance(node.msg.value, str):
                self.error(node.msg, "the reason is a text written here", advice.REASON)
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
