"""Arithmetic, comparison and logic: checked by default, folded exactly when both sides are known."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from ..types import (
    BoolType,
    CellType,
    EnumMember,
    EnumType,
    FnType,
    IntType,
    NeverType,
    PtrType,
    SliceType,
    TupleType,
    Type,
    bool_type,
    same,
)
from . import advice
from .convert import Converter
from .emit import UNLIKELY, describe
from .values import Const, Operand, Place, Value

FOLD: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod, ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.Pow: operator.pow, ast.Div: operator.truediv,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
SIGN = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//", ast.Mod: "%", ast.LShift: "<<", ast.RShift: ">>",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Pow: "**", ast.Div: "/", ast.MatMult: "@", ast.Eq: "==",
    ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
CHECKED = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul"}
BITWISE = {ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor"}
COMPARE = {ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge"}


class Operators(Converter):
    """Binary, unary and comparing operators."""

    def binary(self, op: ast.operator, left: Operand, right: Operand, node: ast.AST, want: Type | None) -> Operand:
        """`left op right`."""
        if isinstance(left, Const) and isinstance(right, Const):
            return self.fold(op, left, right, node)
        sign, shift = SIGN[type(op)], isinstance(op, (ast.LShift, ast.RShift))
        for each in (left, right):
            if not isinstance(each, Const):
                self.number(self.rvalue(each, node) if not isinstance(each, Place) else each, op, node)
            elif isinstance(each.value, str):
                self.error(node, f"{sign} works on integers, not on texts", 'texts are bytes, b"...", in a Slice[u8]')
        if isinstance(left, Const):
            b = self.rvalue(right, node)
            a = self.coerce(left, want if shift and isinstance(want, IntType) else b.type, node)
        else:
            a = self.rvalue(left, node)
            b = self.coerce(right, a.type, node) if isinstance(right, Const) else self.rvalue(right, node)
        if isinstance(a.type, BoolType) and isinstance(b.type, BoolType) and type(op) in BITWISE:
            return Value(bool_type, self.op(f"{BITWISE[type(op)]} i1 {a.text}, {b.text}"))
        if not isinstance(a.type, IntType) or not isinstance(b.type, IntType):
            hint = advice.converting(a.type, b.type, *self.sides(node))
            self.error(node, f"{sign} works on integers, not on {a.type} and {b.type}", hint)
        if isinstance(op, (ast.Div, ast.Pow, ast.MatMult)):
            text = advice.source(self.sides(node)[0], "x")
            if sign == "@":
                self.error(node, "metal has no @")
            hints = {"/": "write // for division", "**": f"multiply: {text} * {text}; a power of two is 1 << n"}
            self.error(node, f"{sign} is for constants only", hints.get(sign, ""))
        if not same(a.type, b.type) and not shift:
            self.error(
                node,
                f"{sign} needs both sides of one type, not {a.type} and {b.type}",
                advice.converting(a.type, b.type, *self.sides(node)),
            )
        return self.arithmetic(op, a, b, node)

    def sides(self, node: ast.AST) -> tuple[ast.AST | None, ast.AST | None]:
        """What is written left and right of the operator."""
        match node:
            case ast.BinOp():
                return node.left, node.right
            case ast.AugAssign():
                return node.target, node.value
            case ast.Compare() if len(node.comparators) == 1:
                return node.left, node.comparators[0]
        return None, None

    def number(self, operand: Value | Place, op: ast.operator, node: ast.AST) -> None:
        """An operand of arithmetic is an integer or, for & | ^, a bool."""
        type_ = self.wanted_in(operand.type)
        if isinstance(type_, NeverType):
            self.poisoned()
        if not isinstance(type_, IntType) and not (isinstance(type_, BoolType) and type(op) in BITWISE):
            sign = SIGN[type(op)]
            self.error(node, f"{sign} works on integers, not on {type_}", advice.arithmetic(sign, type_, node))

    def fold(self, op: ast.AST, left: Const, right: Const, node: ast.AST) -> Operand:
        """Both sides are known: Python computes."""
        try:
            return Const(FOLD[type(op)](left.value, right.value))
        except (TypeError, ValueError, ArithmeticError, KeyError) as error:
            self.error(node, f"this constant can't be computed: {error}")

    def arithmetic(self, op: ast.operator, a: Value, b: Value, node: ast.AST) -> Value:
        """An integer operation on registers."""
        type_ = a.type
        assert isinstance(type_, IntType)
        kind, sign = type_.llvm, "s" if type_.signed else "u"
        if type(op) in BITWISE:
            return Value(type_, self.op(f"{BITWISE[type(op)]} {kind} {a.text}, {b.text}"))
        if type(op) in CHECKED:
            name = CHECKED[type(op)]
            if self.wrapping:
                return Value(type_, self.op(f"{name} {kind} {a.text}, {b.text}"))
            both = self.op(
                f"call {{{kind}, i1}} @llvm.{sign}{name}.with.overflow.{kind}({kind} {a.text}, {kind} {b.text})"
            )
            result = self.op(f"extractvalue {{{kind}, i1}} {both}, 0")
            over = self.op(f"extractvalue {{{kind}, i1}} {both}, 1")
            self.check(self.op(f"xor i1 {over}, true"), f"overflow: {SIGN[type(op)]} on {type_}", node)
            return Value(type_, result)
        if isinstance(op, (ast.LShift, ast.RShift)):
            return self.shift(isinstance(op, ast.LShift), a, b, node)
        return self.divide(isinstance(op, ast.Mod), a, b, node)

    def shift(self, left: bool, a: Value, b: Value, node: ast.AST) -> Value:
        """<< and >>: the count is checked, and that << loses no bit."""
        type_, count_type = a.type, b.type
        assert isinstance(type_, IntType) and isinstance(count_type, IntType)
        kind = type_.llvm
        if not b.text.isdigit() or int(b.text) >= type_.bits:
            limit = self.op(f"icmp ult {count_type.llvm} {b.text}, {type_.bits}")
            self.check(limit, f"shift count not below {type_.bits}", node)
        count = b.text
        if count_type.bits != type_.bits and not count.isdigit():
            count = self.op(
                f"{'zext' if count_type.bits < type_.bits else 'trunc'} {count_type.llvm} {count} to {kind}"
            )
        back = "ashr" if type_.signed else "lshr"
        if not left:
            return Value(type_, self.op(f"{back} {kind} {a.text}, {count}"))
        result = self.op(f"shl {kind} {a.text}, {count}")
        if not self.wrapping:
            again = self.op(f"{back} {kind} {result}, {count}")
            self.check(self.op(f"icmp eq {kind} {again}, {a.text}"), f"overflow: << on {type_} loses bits", node)
        return Value(type_, result)

    def divide(self, modulo: bool, a: Value, b: Value, node: ast.AST) -> Value:
        """// and %: floors, as Python does."""
        type_ = a.type
        assert isinstance(type_, IntType)
        kind = type_.llvm
        if not b.text.lstrip("-").isdigit() or int(b.text) == 0:
            self.check(self.op(f"icmp ne {kind} {b.text}, 0"), "division by zero", node)
        if not type_.signed:
            return Value(type_, self.op(f"{'urem' if modulo else 'udiv'} {kind} {a.text}, {b.text}"))
        if not (b.text.lstrip("-").isdigit() and int(b.text) != -1):
            least = self.op(f"icmp eq {kind} {a.text}, {type_.minimum}")
            minus = self.op(f"icmp eq {kind} {b.text}, -1")
            bad = self.op(f"and i1 {least}, {minus}")
            if modulo:  # the result is 0, but the machine's instruction traps
                b = Value(type_, self.op(f"select i1 {bad}, {kind} 1, {kind} {b.text}"))
            else:
                self.check(self.op(f"xor i1 {bad}, true"), f"overflow: // on {type_}", node)
        rest = self.op(f"srem {kind} {a.text}, {b.text}")
        signs = self.op(f"icmp slt {kind} {self.op(f'xor {kind} {rest}, {b.text}')}, 0")
        adjust = self.op(f"and i1 {signs}, {self.op(f'icmp ne {kind} {rest}, 0')}")
        if modulo:
            return Value(
                type_, self.op(f"select i1 {adjust}, {kind} {self.op(f'add {kind} {rest}, {b.text}')}, {kind} {rest}")
            )
        quotient = self.op(f"sdiv {kind} {a.text}, {b.text}")
        return Value(type_, self.op(f"sub {kind} {quotient}, {self.op(f'zext i1 {adjust} to {kind}')}"))

    def unary(self, op: ast.unaryop, node: ast.UnaryOp, want: Type | None) -> Operand:
        """not, -, ~ and +."""
        if isinstance(op, ast.Not):
            condition = self.condition(node.operand)
            if condition in ("true", "false"):
                return Const(condition == "false")
            return Value(bool_type, self.op(f"xor i1 {condition}, true"))
        operand = self.expression(node.operand, want)
        if isinstance(operand, Const):
            if isinstance(op, ast.Invert) and isinstance(want, IntType) and not want.signed:
                return Const(~operand.value & want.maximum)
            try:
                folds: dict[type, Any] = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.inv}
                return Const(folds[type(op)](operand.value))
            except TypeError as error:
                self.error(node, f"this constant can't be computed: {error}")
        value = self.rvalue(operand, node)
        type_ = value.type
        if not isinstance(type_, IntType):
            sign = {ast.Invert: "~", ast.USub: "-", ast.UAdd: "+"}[type(op)]
            flag = f"write `not {advice.source(node.operand, 'x')}`" if isinstance(type_, BoolType) else ""
            self.error(node, f"{sign} works on integers, not on {type_}", flag or advice.arithmetic(sign, type_, node))
        if isinstance(op, ast.Invert):
            return Value(type_, self.op(f"xor {type_.llvm} {value.text}, -1"))
        if isinstance(op, ast.UAdd):
            return value
        if not type_.signed:
            self.error(node, f"- needs a signed integer, this is {type_}", "wrapping(0 - x) takes the two's complement")
        return self.arithmetic(ast.Sub(), Value(type_, "0"), value, node)

    def compare(self, node: ast.Compare) -> Operand:
        """Comparisons, chained ones too; each operand is evaluated once, in order, as far as needed."""
        left = self.settled(self.expression(node.left), node.left)
        if len(node.ops) == 1:
            return self.compare_two(node.ops[0], left, node.comparators[0], node)[0]
        slot, end = self.temporary(), self.new_label("chain")
        self.allocas.append(f"  {slot} = alloca i1")
        self.emit(f"store i1 false, ptr {slot}")
        for index, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            result, left = self.compare_two(op, left, right, node)
            text = self.coerce(result, bool_type, node).text
            if index == len(node.ops) - 1:
                self.emit(f"store i1 {text}, ptr {slot}")
            else:
                more = self.new_label("chain")
                self.branch_if(text, more, end)
                self.start(more)
        self.start(end)
        return Value(bool_type, self.op(f"load i1, ptr {slot}"))

    def compare_two(self, op: ast.cmpop, left: Operand, node: ast.expr, whole: ast.AST) -> tuple[Operand, Operand]:
        """One comparison; also gives the right side back, for chains."""
        if isinstance(op, (ast.In, ast.NotIn)):
            return self.member(op, left, node, whole), left
        want = left.type if isinstance(left, Value) else getattr(left, "type", None)
        right = self.settled(self.expression(node, want), node)
        if isinstance(op, (ast.Is, ast.IsNot)):
            return self.identity(isinstance(op, ast.Is), left, right, whole), right
        if isinstance(left, Const) and isinstance(right, Const):
            return self.fold(op, left, right, whole), right
        for each in (left, right):
            if isinstance(each, Value) and isinstance(each.type, CellType):
                hint = advice.refused(each.type, each.type, None)
                self.error(whole, f"{SIGN[type(op)]} does not compare {each.type}", hint)
        if isinstance(left, Const):
            b = self.rvalue(right, node)
            a = self.coerce(left, b.type, whole)
        else:
            a = self.rvalue(left, whole)
            b = self.coerce(right, a.type, node) if isinstance(right, Const) else self.rvalue(right, node)
        equality = isinstance(op, (ast.Eq, ast.NotEq))
        if isinstance(a.type, (SliceType,)) or getattr(a.type, "length", None) is not None:
            return self.compare_slices(op, a, b, whole), b
        if isinstance(a.type, TupleType):
            self.error(whole, f"{SIGN[type(op)]} does not compare {a.type}", "take both apart and compare the parts")
        if isinstance(a.type, (PtrType, FnType)) or a.type.aggregate:
            hint = "compare their fields; `is` asks whether they are one and the same"
            if isinstance(a.type, (PtrType, FnType)):
                test = "is" if isinstance(op, ast.Eq) else "is not"
                first, second = (advice.source(each) for each in self.sides(whole))
                hint = f"write `{first} {test} {second}`" if equality else "pointers have no order"
            self.error(whole, f"{SIGN[type(op)]} does not compare {a.type}", hint)
        if not same(a.type, b.type):
            self.error(
                whole,
                f"{SIGN[type(op)]} needs both sides of one type, not {a.type} and {b.type}",
                advice.converting(a.type, b.type, *self.sides(whole)),
            )
        if isinstance(a.type, (BoolType, EnumType)) and not equality:
            text = advice.source(self.sides(whole)[0])
            self.error(whole, f"{a.type} has no order", f"compare its number: u32({text})")
        signed = "s" if isinstance(a.type, IntType) and a.type.signed else "u"
        name = COMPARE[type(op)] if equality else signed + COMPARE[type(op)]
        return Value(bool_type, self.op(f"icmp {name} {a.type.llvm} {a.text}, {b.text}")), b

    def compare_slices(self, op: ast.cmpop, a: Value, b: Value, node: ast.AST) -> Value:
        """== and != of slices of integers: lengths, then bytes."""
        element = getattr(a.type, "element", None)
        other = getattr(b.type, "element", None)
        if not isinstance(op, (ast.Eq, ast.NotEq)) or other is None or not isinstance(element, IntType):
            self.error(node, f"{SIGN[type(op)]} does not compare {a.type} and {b.type}")
        if not same(element, other):
            self.error(node, f"{SIGN[type(op)]} needs elements of one type, not {element} and {other}")
        (p, n), (q, m) = self.slice_parts(a), self.slice_parts(b)
        slot, long, end = self.temporary(), self.new_label("equal"), self.new_label("equal")
        self.allocas.append(f"  {slot} = alloca i1")
        same_length = self.op(f"icmp eq i64 {n}, {m}")
        self.emit(f"store i1 {same_length}, ptr {slot}")
        self.branch_if(same_length, long, end)
        self.start(long)
        size = self.op(f"mul i64 {n}, {element.size}")
        order = self.op(f"call i32 @memcmp(ptr {p}, ptr {q}, i64 {size})")
        self.unit.needs_memory("memcmp")
        self.emit(f"store i1 {self.op(f'icmp eq i32 {order}, 0')}, ptr {slot}")
        self.start(end)
        result = self.op(f"load i1, ptr {slot}")
        return Value(bool_type, result if isinstance(op, ast.Eq) else self.op(f"xor i1 {result}, true"))

    def identity(self, positive: bool, left: Operand, right: Operand, node: ast.AST) -> Operand:
        """`is` and `is not`: of pointers, references, functions and None."""
        if isinstance(left, Const) and isinstance(right, Const):
            return Const((left.value is right.value) == positive)
        if isinstance(left, Const) and left.value is None:
            left, right = right, left
        a = self.rvalue(left, node)
        scalar = not (isinstance(a.type, (PtrType, FnType)) or a.type.aggregate)
        if scalar and isinstance(right, Const) and right.value is None:
            self.error(node, *advice.is_none(a.type))
        if not (isinstance(a.type, (PtrType, FnType)) or a.type.aggregate):
            self.error(node, f"`is` compares pointers and references, not {a.type}", "write ==")
        if isinstance(right, Const) and right.value is None:
            if a.type.aggregate:
                self.error(node, f"a {a.type} reference is never None", "declare it Ptr[...] if it may be")
            other = "null"
        else:
            b = self.rvalue(right, node)
            target = a.type.target if isinstance(a.type, PtrType) else a.type
            target2 = b.type.target if isinstance(b.type, PtrType) else b.type
            if not same(target, target2):
                self.error(node, f"`is` needs both sides to refer to one type, not {describe(a)} and {describe(b)}")
            other = b.text
        return Value(bool_type, self.op(f"icmp {'eq' if positive else 'ne'} ptr {a.text}, {other}"))

    def member(self, op: ast.cmpop, left: Operand, node: ast.expr, whole: ast.AST) -> Operand:
        """`x in (A, B)`: a comparison with each."""
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            hint = getattr(left, "type", None)
            options: list[Operand] = [self.settled(self.expression(each, hint), each) for each in node.elts]
        else:
            constant = self.expression(node)
            if not isinstance(constant, Const) or not isinstance(constant.value, (tuple, list, set, frozenset, range)):
                hint = "" if isinstance(constant, Const) else "a loop finds it: for each in ...: if each == x: ..."
                self.error(node, "`in` takes a tuple of values written here, or a constant one", hint)
            options = [Const(each) for each in constant.value]
        if isinstance(left, Const) and all(isinstance(each, Const) for each in options):
            found = any(isinstance(each, Const) and each.value == left.value for each in options)
            return Const(found == isinstance(op, ast.In))
        value = (
            self.rvalue(left, whole)
            if not isinstance(left, Const)
            else self.coerce(left, self.rvalue(options[0], node).type, whole)
        )
        if not isinstance(value.type, (IntType, EnumType, BoolType)):
            self.error(whole, f"`in` compares integers and enumeration members, not {value.type}")
        result = "false"
        for each in options:
            other = self.coerce(each, value.type, node)
            test = self.op(f"icmp eq {value.type.llvm} {value.text}, {other.text}")
            result = test if result == "false" else self.op(f"or i1 {result}, {test}")
        if isinstance(op, ast.NotIn):
            result = self.op(f"xor i1 {result}, true")
        return Value(bool_type, result)

    def boolean(self, node: ast.BoolOp) -> Operand:
        """and, or: the right side runs only if it matters."""
        stop_at = isinstance(node.op, ast.Or)
        slot, end, constant = self.temporary(), self.new_label("logic"), True
        self.allocas.append(f"  {slot} = alloca i1")
        before = set(self.assigned)
        for index, each in enumerate(node.values):
            text = self.condition(each)
            if index == 0:
                before = set(self.assigned)
            if constant and text in ("true", "false"):
                if (text == "true") == stop_at:
                    return Const(stop_at)
                if index == len(node.values) - 1:
                    return Const(not stop_at)
                continue
            constant = False
            self.emit(f"store i1 {text}, ptr {slot}")
            if index < len(node.values) - 1:
                more = self.new_label("logic")
                self.branch_if(text, end if stop_at else more, more if stop_at else end)
                self.start(more)
        self.assigned = before
        self.start(end)
        return Value(bool_type, self.op(f"load i1, ptr {slot}"))

    def select(self, node: ast.IfExp, want: Type | None) -> Operand:
        """`a if condition else b`."""
        condition = self.condition(node.test)
        if condition in ("true", "false"):
            return self.expression(node.body if condition == "true" else node.orelse, want)
        yes, no, end = self.new_label("then"), self.new_label("else"), self.new_label("end")
        self.branch_if(condition, yes, no)
        before = set(self.assigned)
        self.start(yes)
        first = self.expression(node.body, want)
        if isinstance(first, Const):
            type_ = want or self.natural_type(first.value) or self.peek_type(node.orelse, want)
            if type_ is None:
                self.error(node.body, "the type of this constant is not known here", "write u64(...), say")
            value = self.coerce(first, type_, node.body)
        else:
            value = self.rvalue(first, node.body)
        slot = self.alloca(value.type) if not value.type.aggregate else self.pointer_slot()
        self.emit(f"store {value.type.llvm} {value.text}, ptr {slot}")
        self.branch(end)
        self.start(no)
        other = self.value(node.orelse, value.type)
        self.emit(f"store {value.type.llvm} {other.text}, ptr {slot}")
        self.start(end)
        self.assigned = before
        owned = self.in_frame(value) or self.in_frame(other)
        return self.mark_frame(Value(value.type, self.op(f"load {value.type.llvm}, ptr {slot}")), owned)

    def pointer_slot(self) -> str:
        """Memory in the frame for one address."""
        name = self.temporary()
        self.allocas.append(f"  {name} = alloca ptr")
        return name

    def peek_type(self, node: ast.expr, want: Type | None) -> Type | None:
        """The type of an expression, compiled and thrown away."""
        saved = (list(self.lines), list(self.cold), self.count, self.reachable, set(self.assigned))
        try:
            operand = self.expression(node, want)
            return (
                operand.type
                if isinstance(operand, Value)
                else self.wanted_in(operand.type)
                if hasattr(operand, "type")
                else None
            )
        finally:
            self.lines, self.cold, self.count, self.reachable, self.assigned = saved


__all__ = ["UNLIKELY", "EnumMember", "Operators"]
