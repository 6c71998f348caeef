"""Calls: of metal functions (also generic), methods, hooks, function values, types, cells, Python while compiling."""

from __future__ import annotations

import ast
import sys
from typing import Any, TypeVar

from ..function import Hook, MetalFunction
from ..intrinsics import RELAXED, SEQUENTIAL, Intrinsic, Order, of_python
from ..structure import StructType
from ..types import (
    ArrayType,
    BoolType,
    CellType,
    EnumMember,
    EnumType,
    FnType,
    IntType,
    PtrType,
    TupleType,
    Type,
    TypeParameter,
    VoidType,
    alignof,
    bool_type,
    resolve,
    same,
    sizeof,
    void,
)
from . import advice
from .builtins import Builtins
from .emit import describe
from .values import Bound, Const, Operand, Place, Value

ATOMIC_OPERATIONS = {"add": "add", "sub": "sub", "and_": "and", "or_": "or", "xor": "xor", "exchange": "xchg"}


class Calls(Builtins):
    """Everything with parentheses."""

    def call(self, callee: Operand, node: ast.Call) -> Operand:
        if isinstance(callee, Bound):
            if isinstance(callee.method, str):
                return self.cell_call(callee, node)
            return self.call_method(callee.receiver, callee.method, node.args, node, node.keywords)
        if isinstance(callee, (Value, Place)):
            return self.call_value(self.rvalue(callee, node), node)
        target = callee.value
        builtin = target.name if isinstance(target, Intrinsic) else of_python(target)
        if builtin is not None:
            return self.builtin(builtin, node)
        if isinstance(target, MetalFunction):
            return self.call_function(target, [], node.args, node, node.keywords)
        if isinstance(target, Hook):
            if target.function is None:
                self.error(
                    node, f"the hook {target.name or 'called here'} has not been filled in", "hook.set(function)"
                )
            self.fits_hook(target, target.function, node)
            return self.call_function(target.function, [], node.args, node, node.keywords)
        if isinstance(target, TypeVar):
            target = self.instance.bindings.get(target.__name__, target)
        if target is bool:
            target = bool_type
        if isinstance(target, Type):
            return self.convert(target, node)
        return self.python_call(target, node)

    def fits_hook(self, hook: Hook, function: MetalFunction, node: ast.AST) -> None:
        """A hook's function has the hook's type."""
        made = self.natural_type(function)
        if made is not None and not same(made, hook.type):
            self.error(node, f"the hook {hook.name} is {hook.type}, the function {function!r} in it is {made}")

    # Functions.
    def call_method(
        self, receiver: Operand, method: Any, arguments: list[ast.expr], node: ast.AST,
        keywords: list[ast.keyword] | None = None,
    ) -> Operand:  # fmt: skip
        """A method on an object."""
        return self.call_function(method, [receiver], arguments, node, keywords or [])

    def call_function(
        self, function: MetalFunction, leading: list[Operand], arguments: list[ast.expr], node: ast.AST,
        keywords: list[ast.keyword],
    ) -> Operand:  # fmt: skip
        """A metal function; `leading` are arguments already compiled."""
        parameters, result = self.unit.signature(function)
        name = function.python.__name__
        self.plain_arguments(arguments, keywords)
        given: dict[str, Operand | ast.expr] = dict(
            zip([each for each, _ in parameters], [*leading, *arguments], strict=False)
        )
        if len(leading) + len(arguments) > len(parameters):
            takes = advice.counted(len(parameters) - len(leading), "argument")
            self.error(node, f"{name} takes {takes}, not {len(arguments)}", self.header(function, len(leading)))
        for keyword in keywords:
            if keyword.arg not in dict(parameters):
                hint = advice.like(str(keyword.arg), dict(parameters)) or self.header(function, len(leading))
                self.error(node, f"{name} has no parameter {keyword.arg!r}", hint)
            if keyword.arg in given:
                self.error(node, f"{name} gets {keyword.arg!r} twice", self.header(function, len(leading)))
            given[str(keyword.arg)] = keyword.value
        for each, default in function.defaults.items():
            given.setdefault(each, Const(default))
        missing = [each for each, _ in parameters if each not in given]
        if missing:
            needs = ", ".join(map(repr, missing))
            self.error(node, f"{name} needs {needs}", self.header(function, len(leading)))
        bindings: dict[str, Any] = {}
        texts: dict[str, str] = {}
        for parameter, template in self.in_order(parameters, given):
            argument = given[parameter]
            where = argument if isinstance(argument, ast.expr) else node
            if isinstance(template, TypeParameter):
                bindings[template.variable.__name__] = bindings[parameter] = self.type_argument(argument, where)
                continue
            want = self.unit.substitute(template, bindings)
            open_ = self.unit.has_variables(want)
            operand = self.expression(argument, None if open_ else want) if isinstance(argument, ast.expr) else argument
            if open_:
                have = self.rvalue(operand, where)
                if not unify(template, have.type, bindings):
                    name = repr(template).replace("~", "")
                    self.error(where, f"expected {name}, found {have.type}", advice.refused(want, have.type, where))
                want, operand = self.unit.substitute(template, bindings), have
            value = self.coerce(operand, want, where)
            texts[parameter] = f"{want.llvm} {value.text}"
        result = self.unit.substitute(result, bindings)
        if self.unit.has_variables(result):
            self.error(node, f"the type of the result of {name} is not known here")
        symbol = self.unit.reference(function, bindings)
        self.at(node)
        return self.finish_call(symbol, [texts[each] for each, _ in parameters if each in texts], result)

    def header(self, function: MetalFunction, leading: int) -> str:
        """How a function is declared, as a hint; `leading` parameters are not written in a call."""
        parameters, result = self.unit.signature(function)
        written = ", ".join(f"{name}: {type_}" for name, type_ in parameters[leading:])
        return f"it is {function.python.__name__}({written}) -> {result}"

    def plain_arguments(self, arguments: list[ast.expr], keywords: list[ast.keyword]) -> None:
        """Arguments are written one by one."""
        for each in arguments:
            if isinstance(each, ast.Starred):
                self.error(each, "metal has no * in calls", "write the arguments one by one")
        for keyword in keywords:
            if keyword.arg is None:
                self.error(keyword.value, "metal has no ** in calls", "write the arguments one by one")

    def in_order(
        self, parameters: list[tuple[str, Any]], given: dict[str, Operand | ast.expr]
    ) -> list[tuple[str, Any]]:
        """The parameters in the order in which their arguments are written, which is the one they are evaluated in.
        Types come first: the others' types may depend on them."""
        types = dict(parameters)
        written = [each for each in given if not isinstance(types[each], TypeParameter)]
        return [(each, types[each]) for each in [*(each for each in types if each not in written), *written]]

    def finish_call(self, symbol: str, texts: list[str], result: Type) -> Value:
        """Emit the call instruction."""
        line = f"call {result.llvm} {symbol}({', '.join(texts)})"
        if isinstance(result, VoidType):
            self.emit(line)
            return Value(void, "")
        return Value(result, self.op(line))

    def type_argument(self, argument: Operand | ast.expr, node: ast.AST) -> Type:
        """An argument that is a type."""
        operand = self.expression(argument) if isinstance(argument, ast.expr) else argument
        if isinstance(operand, Const):
            value = operand.value
            if isinstance(value, TypeVar):
                value = self.instance.bindings.get(value.__name__, value)
            if isinstance(value, Type):
                return value
            if value is bool:
                return bool_type
            if isinstance(value, type) or hasattr(value, "__origin__"):
                return resolve(value, {})  # type: ignore[no-any-return]
        hint = f"write {operand.type}" if isinstance(operand, (Value, Place)) else ""
        self.error(node, f"expected a type, found {describe(operand)}", hint)

    def call_value(self, callee: Value, node: ast.Call) -> Operand:
        """A call through a function value."""
        if not isinstance(callee.type, FnType):
            self.error(node, f"{callee.type} can't be called")
        parameters, result = callee.type.signature
        if len(parameters) != len(node.args) or node.keywords:
            takes = advice.counted(len(parameters), "argument")
            self.error(node, f"{callee.type} takes {takes}, not {len(node.args)}")
        texts = [f"{want.llvm} {self.value(each, want).text}" for want, each in zip(parameters, node.args, strict=True)]
        self.check(self.op(f"icmp ne ptr {callee.text}, null"), "call of a function that is None", node)
        return self.finish_call(callee.text, texts, result)

    def python_call(self, target: Any, node: ast.Call) -> Operand:
        """A plain Python function with constant arguments runs now."""
        if not callable(target):
            self.error(node, f"{target!r} can't be called")
        self.plain_arguments(node.args, node.keywords)
        own = advice.python(target)
        if own is not None and own[2]:
            self.error(node, own[0], own[1])
        if target in (sizeof, alignof) and len(node.args) == 1:
            return Const(target(self.type_argument(node.args[0], node.args[0])))
        arguments = [self.expression(each) for each in node.args]
        named = {each.arg: self.expression(each.value) for each in node.keywords if each.arg}
        if not all(isinstance(each, Const) for each in [*arguments, *named.values()]):
            if own is not None:
                self.error(node, own[0], own[1])
            name, module = getattr(target, "__name__", target), getattr(target, "__module__", "") or ""
            hint = "mark it @metal"
            if module.partition(".")[0] in sys.stdlib_module_names:
                hint = "Python's library runs while compiling only: use it at the top level"
            self.error(node, f"{name} is a plain Python function, and an argument is not constant", hint)
        try:
            plain = [self.bound_type(each.value) for each in arguments if isinstance(each, Const)]
            return self.known(
                target(*plain, **{k: self.bound_type(v.value) for k, v in named.items() if isinstance(v, Const)}), node
            )
        except Exception as error:
            self.error(node, f"Python says: {type(error).__name__}: {error}")

    def bound_type(self, value: Any) -> Any:
        """A type variable's binding, anything else as it is."""
        return self.instance.bindings.get(value.__name__, value) if isinstance(value, TypeVar) else value

    # Types called.
    def convert(self, type_: Type, node: ast.Call) -> Operand:
        """`u32(x)`, `State(x)`, `Point(x=1)`, `Array[u8, 4]()`."""
        if isinstance(type_, StructType):
            return self.construct(type_, node)
        if isinstance(type_, ArrayType):
            if node.args or node.keywords:
                hint = 'set its elements, or copy some: array[0:4] = b"..."'
                self.error(node, "an array starts zeroed; it takes no arguments", hint)
            address = self.frame(type_)
            self.zero_bytes(address, type_.size, type_.alignment)
            return Value(type_, address)
        if len(node.args) != 1 or node.keywords:
            self.error(node, f"{type_}(...) takes one value")
        argument = node.args[0]
        operand = self.expression(argument, type_)
        if isinstance(operand, Const) and isinstance(operand.value, (int, EnumMember)) and isinstance(type_, IntType):
            number = int(operand.value)
            if not type_.holds(number):
                self.too_large(number, type_, node)
            return Value(type_, str(number))
        if isinstance(type_, BoolType):
            self.error(node, "bool(...) hides what is compared", f"write `{advice.source(argument, 'x')} != 0`")
        if isinstance(type_, EnumType):
            return self.to_member(type_, operand, argument)
        if not isinstance(type_, IntType):
            return self.coerce(operand, type_, node)
        value = self.rvalue(operand, argument)
        if isinstance(value.type, BoolType):
            return Value(type_, self.op(f"zext i1 {value.text} to {type_.llvm}"))
        if isinstance(value.type, EnumType):
            value = Value(value.type.base, value.text)
        if not isinstance(value.type, IntType):
            self.error(node, f"{value.type} can't become {type_}", advice.refused(type_, value.type, argument))
        return self.narrow(type_, value, node)

    def narrow(self, want: IntType, value: Value, node: ast.AST) -> Value:
        """An integer to another type, checked where it may not fit."""
        have = value.type
        assert isinstance(have, IntType)
        if have is want:
            return value
        kind = have.llvm
        if want.maximum < have.maximum:
            sign = "s" if have.signed else "u"
            self.check(
                self.op(f"icmp {sign}le {kind} {value.text}, {want.maximum}"),
                f"{have} value does not fit in {want}",
                node,
            )
        if have.signed and want.minimum > have.minimum:
            self.check(
                self.op(f"icmp sge {kind} {value.text}, {want.minimum}"), f"{have} value does not fit in {want}", node
            )
        return self.resize(want, value)

    def resize(self, want: IntType, value: Value) -> Value:
        """The low bits, or the extended value."""
        have = value.type
        assert isinstance(have, IntType)
        if have.bits == want.bits:
            return Value(want, value.text)
        instruction = "trunc" if have.bits > want.bits else "sext" if have.signed else "zext"
        return Value(want, self.op(f"{instruction} {have.llvm} {value.text} to {want.llvm}"))

    def wrap(self, want: IntType, node: ast.Call) -> Operand:
        """`u32.wrap(x)`."""
        if len(node.args) != 1:
            self.error(node, "wrap takes one value")
        operand = self.expression(node.args[0])
        if isinstance(operand, Const) and isinstance(operand.value, int):
            return Value(want, str(want.wrap(operand.value)))
        value = self.rvalue(operand, node.args[0])
        if isinstance(value.type, EnumType):
            value = Value(value.type.base, value.text)
        if isinstance(value.type, BoolType):
            return Value(want, self.op(f"zext i1 {value.text} to {want.llvm}"))
        if not isinstance(value.type, IntType):
            self.error(node, f"{want}.wrap takes an integer, not {value.type}")
        return self.resize(want, value)

    def to_member(self, type_: EnumType, operand: Operand, node: ast.AST) -> Value:
        """A number as an enumeration member, checked."""
        known = operand.value if isinstance(operand, Const) else None
        if isinstance(known, int) and known not in {each.value for each in type_.members.values()}:
            members = ", ".join(f"{name} = {each.value}" for name, each in type_.members.items())
            self.error(node, f"{known} is no member of {type_}", f"it has {members}")
        value = self.coerce(operand, type_.base, node)
        found = "false"
        for number in sorted({each.value for each in type_.members.values()}):
            test = self.op(f"icmp eq {type_.llvm} {value.text}, {number}")
            found = test if found == "false" else self.op(f"or i1 {found}, {test}")
        self.check(found, f"not a member of {type_}", node)
        return Value(type_, value.text)

    def frame(self, type_: Type) -> str:
        """Memory for a structure in this frame."""
        address = self.alloca(type_)
        self.frame_values.add(address)
        return address

    def construct(self, type_: StructType, node: ast.Call) -> Operand:
        """`Point(x=1)`: zeroed, then defaults and keywords."""
        if node.args:
            fields = ", ".join(f"{name}=..." for name in list(type_.fields)[:3])
            self.error(node, f"{type_} takes its fields by name", f"{type_}({fields})")
        self.plain_arguments([], node.keywords)
        given = {each.arg: each.value for each in node.keywords if each.arg is not None}
        unknown = [each for each in given if each not in type_.fields]
        if unknown:
            hint = advice.like(unknown[0], type_.fields) or f"it has {', '.join(type_.fields)}"
            self.error(node, f"{type_} has no field {unknown[0]!r}", hint)
        if type_.is_union and len(given) > 1:
            self.error(node, f"{type_} is a union: its fields share their memory", "give one of them")
        values: list[tuple[Any, Value]] = []
        for name in [*given, *(each for each in type_.fields if each not in given)]:
            field = type_.fields[name]
            want = self.wanted_in(field.type)
            if isinstance(want, CellType):
                want = want.inner
            if name in given:
                values.append((field, self.value(given[name], want)))
            elif field.default is not None and not field.type.aggregate:
                values.append((field, self.coerce(Const(field.default), want, node)))
        address = self.frame(type_)
        self.zero_bytes(address, type_.size, type_.alignment)
        for field, value in values:
            align = 1 if type_.packed else field.type.alignment
            kind = field.type.inner if isinstance(field.type, CellType) and field.type.kind != "Big" else field.type
            self.write(Place(kind, self.offset(address, field.offset), align), value, node)
        return Value(type_, address)

    # Cells.
    def cell_call(self, bound: Bound, node: ast.Call) -> Operand:
        """Operations of Atomic[T] and Volatile[T]."""
        place = bound.receiver
        assert isinstance(place.type, CellType) and isinstance(bound.method, str)
        address = place.address if isinstance(place, Place) else place.text
        inner, name = place.type.inner, bound.method
        order = SEQUENTIAL
        for keyword in node.keywords:
            operand = self.expression(keyword.value)
            if keyword.arg != "order" or not isinstance(operand, Const) or not isinstance(operand.value, Order):
                self.error(keyword.value, "the keyword here is order=RELAXED, ACQUIRE or RELEASE")
            order = operand.value
        counts = {"load": 0, "read": 0, "compare_exchange": 2}
        if len(node.args) != counts.get(name, 1):
            takes = advice.counted(counts.get(name, 1), "value")
            self.error(node, f"{name} takes {takes}, not {len(node.args)}")
        arguments = [self.value(each, inner).text for each in node.args]
        memory = "i8" if isinstance(inner, BoolType) else inner.llvm
        if isinstance(inner, BoolType):
            arguments = [self.op(f"zext i1 {each} to i8") for each in arguments]
        if place.type.kind == "Volatile":
            if name == "read":
                return self.from_memory(
                    inner, self.op(f"load volatile {memory}, ptr {address}, align {inner.alignment}")
                )
            self.emit(f"store volatile {memory} {arguments[0]}, ptr {address}, align {inner.alignment}")
            return Value(void, "")
        return self.atomic(name, inner, memory, address, arguments, order, node)

    def from_memory(self, type_: Type, text: str) -> Value:
        """A value as it lies in memory, brought into its register form."""
        return Value(type_, self.op(f"trunc i8 {text} to i1") if isinstance(type_, BoolType) else text)

    def atomic(
        self, name: str, inner: Type, memory: str, address: str, arguments: list[str], order: Order, node: ast.AST
    ) -> Operand:
        """One atomic operation."""
        align = f"align {inner.alignment}"
        if name == "load":
            kind = "acquire" if order.llvm == "release" else order.llvm
            return self.from_memory(inner, self.op(f"load atomic {memory}, ptr {address} {kind}, {align}"))
        if name == "store":
            kind = "release" if order.llvm == "acquire" else order.llvm
            self.emit(f"store atomic {memory} {arguments[0]}, ptr {address} {kind}, {align}")
            return Value(void, "")
        if name == "compare_exchange":
            failure = "monotonic" if order is RELAXED or order.llvm == "release" else order.llvm
            pair = self.op(
                f"cmpxchg ptr {address}, {memory} {arguments[0]}, {memory} {arguments[1]} {order.llvm} {failure}, "
                f"{align}"
            )
            old = self.from_memory(inner, self.op(f"extractvalue {{{memory}, i1}} {pair}, 0"))
            done = self.op(f"extractvalue {{{memory}, i1}} {pair}, 1")
            return self.pack(TupleType([inner, bool_type]), [old.text, done])
        bitwise = isinstance(inner, BoolType) and name in ("and_", "or_", "xor")
        if not isinstance(inner, IntType) and name != "exchange" and not bitwise:
            self.error(node, f"{name} works on integers, not on {inner}")
        return self.from_memory(
            inner,
            self.op(
                f"atomicrmw {ATOMIC_OPERATIONS[name]} ptr {address}, {memory} {arguments[0]} {order.llvm}, {align}"
            ),
        )


def unify(template: Any, have: Type, bindings: dict[str, Any]) -> bool:
    """Bind the type variables of `template` so that it becomes `have`."""
    if isinstance(template, TypeVar):
        known = bindings.setdefault(template.__name__, have)
        return same(known, have)
    for kind, part in ((PtrType, "target"), (ArrayType, "element"), (CellType, "inner")):
        if isinstance(template, kind) and isinstance(have, kind):
            return unify(getattr(template, part), getattr(have, part), bindings)
    if isinstance(template, PtrType) and have.aggregate:
        return unify(template.target, have, bindings)
    if type(template).__name__ == "SliceType" and hasattr(have, "element"):
        return unify(template.element, have.element, bindings)
    if isinstance(template, FnType) and isinstance(have, FnType):
        (p, r), (q, s) = template.signature, have.signature
        return (
            len(p) == len(q) and all(unify(a, b, bindings) for a, b in zip(p, q, strict=True)) and unify(r, s, bindings)
        )
    if isinstance(template, TupleType) and isinstance(have, TupleType):
        return all(unify(a, b, bindings) for a, b in zip(template.elements, have.elements, strict=True))
    return isinstance(template, Type) and (same(template, have) or isinstance(have, PtrType))
