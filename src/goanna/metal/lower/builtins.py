"""The functions that metal itself knows: Python's few, metal's own, and everything under `unsafe`."""

from __future__ import annotations

import ast
from typing import Any

from ..function import Hook, MetalFunction, Static
from ..structure import StructType
from ..types import (
    ArrayType,
    BoolType,
    EnumType,
    FnType,
    IntType,
    PtrType,
    SliceType,
    TupleType,
    Type,
    VoidType,
    bool_type,
    i8,
    i64,
    pointer_to,
    same,
    slice_of,
    u8,
    u64,
    void,
)
from . import advice
from .emit import LIKELY, UNLIKELY
from .places import Places
from .values import Const, Operand, Place, Value

INTEGER_INTRINSICS = {
    "count_leading_zeros": "ctlz", "count_trailing_zeros": "cttz", "population_count": "ctpop", "byte_swap": "bswap",
}  # fmt: skip


class Builtins(Places):
    """One method a builtin, found by its name."""

    hint: str = ""

    def type_argument(self, argument: Operand | ast.expr, node: ast.AST) -> Type:
        """An argument that is a type."""
        raise NotImplementedError

    def wrap(self, want: IntType, node: ast.Call) -> Operand:
        """`u32.wrap(x)`."""
        raise NotImplementedError

    def frame(self, type_: Type) -> str:
        """Memory for a structure in this frame."""
        raise NotImplementedError

    def builtin(self, name: str, node: ast.Call) -> Operand:
        """A call of the builtin `name`."""
        if name.startswith("wrap "):
            from .. import types

            return self.wrap(getattr(types, name[5:]), node)
        if name in INTEGER_INTRINSICS:
            return self.integer_intrinsic(name, node)
        if name.endswith("_overflows"):
            return self.overflowing(name, node)
        method = getattr(self, "do_" + name.replace(".", "_"), None)
        if method is None:
            self.error(node, f"{name}(...) is no value", f"it stands in a loop: for i in {name}(...)")
        return method(node)  # type: ignore[no-any-return]

    def arguments(self, node: ast.Call, least: int, most: int | None = None) -> list[ast.expr]:
        """The positional arguments, counted."""
        most = least if most is None else most
        if not least <= len(node.args) <= most:
            name = ast.unparse(node.func)
            wanted = advice.counted(least, "argument") if least == most else f"{least} to {most} arguments"
            hint = f"it is called {advice.SIGNATURES[name]}" if name in advice.SIGNATURES else ""
            self.error(node, f"{name} takes {wanted}, not {len(node.args)}", hint)
        return node.args

    def integer_operand(self, node: ast.expr, want: Type | None = None) -> Value:
        """An argument that must be an integer."""
        value = self.rvalue(self.expression(node, want), node)
        if not isinstance(value.type, IntType):
            self.error(node, f"an integer is expected here, this is {value.type}")
        return value

    # Python's.
    def do_len(self, node: ast.Call) -> Operand:
        (argument,) = self.arguments(node, 1)
        operand = self.expression(argument)
        if isinstance(operand, Const):
            if not hasattr(operand.value, "__len__"):
                self.error(node, f"{operand.value!r} has no length")
            return Const(len(operand.value))
        value = self.rvalue(operand, argument)
        if isinstance(value.type, PtrType) and isinstance(value.type.target, ArrayType):
            return Const(value.type.target.length)
        if isinstance(value.type, ArrayType):
            return Value(u64, str(value.type.length))
        if not isinstance(value.type, SliceType):
            kind = value.type.target if isinstance(value.type, PtrType) else value.type
            hint = f"sizeof({kind}) is its size in bytes" if kind.aggregate else ""
            self.error(node, f"{value.type} has no length", hint)
        return Value(u64, self.slice_parts(value)[1])

    def extreme(self, node: ast.Call, least: bool) -> Operand:
        """min and max of two or more."""
        if len(node.args) < 2:
            self.error(node, "two values or more are needed here", "of a slice, a loop finds it")
        operands = [self.settled(self.expression(each), each) for each in node.args]
        if all(isinstance(each, Const) for each in operands):
            return Const((min if least else max)(each.value for each in operands if isinstance(each, Const)))
        type_ = next(self.rvalue(each, node).type for each in operands if not isinstance(each, Const))
        if not isinstance(type_, IntType):
            self.error(node, f"min and max compare integers, not {type_}")
        values = [self.coerce(each, type_, where) for each, where in zip(operands, node.args, strict=True)]
        name = f"llvm.{'s' if type_.signed else 'u'}{'min' if least else 'max'}.{type_.llvm}"
        text = values[0].text
        for each in values[1:]:
            text = self.op(f"call {type_.llvm} @{name}({type_.llvm} {text}, {type_.llvm} {each.text})")
        return Value(type_, text)

    def do_min(self, node: ast.Call) -> Operand:
        return self.extreme(node, True)

    def do_max(self, node: ast.Call) -> Operand:
        return self.extreme(node, False)

    def do_abs(self, node: ast.Call) -> Operand:
        value = self.integer_operand(self.arguments(node, 1)[0])
        assert isinstance(value.type, IntType)
        kind = value.type.llvm
        if not value.type.signed:
            return value
        fits = self.op(f"icmp ne {kind} {value.text}, {value.type.minimum}")
        self.check(fits, f"overflow: abs on {value.type}", node)
        return Value(value.type, self.op(f"call {kind} @llvm.abs.{kind}({kind} {value.text}, i1 false)"))

    # metal's.
    def do_wrapping(self, node: ast.Call) -> Operand:
        (argument,) = self.arguments(node, 1)
        self.wrapping += 1
        try:
            return self.expression(argument)
        finally:
            self.wrapping -= 1

    def text_argument(self, node: ast.Call) -> str:
        """A reason, written as a text."""
        (argument,) = self.arguments(node, 1)
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return argument.value
        self.error(argument, "the reason is a text written here", advice.REASON)

    def do_panic(self, node: ast.Call) -> Operand:
        self.fail(self.text_argument(node), node)
        return Value(void, "")

    def do_unreachable(self, node: ast.Call) -> Operand:
        self.fail("reached what can't be reached: " + self.text_argument(node), node)
        return Value(void, "")

    def expected(self, node: ast.Call, weight: str) -> Operand:
        """likely and unlikely: the branch weights follow the condition."""
        text = self.condition(self.arguments(node, 1)[0])
        if text not in ("true", "false"):
            self.hint = weight
            text = self.op(f"call i1 @llvm.expect.i1(i1 {text}, i1 {'true' if weight == LIKELY else 'false'})")
            return Value(bool_type, text)
        return Const(text == "true")

    def do_likely(self, node: ast.Call) -> Operand:
        return self.expected(node, LIKELY)

    def do_unlikely(self, node: ast.Call) -> Operand:
        return self.expected(node, UNLIKELY)

    def integer_intrinsic(self, name: str, node: ast.Call) -> Operand:
        """Counting and swapping bits."""
        value = self.integer_operand(self.arguments(node, 1)[0])
        if name == "byte_swap" and value.type.size == 1:
            return value
        kind, extra = value.type.llvm, ", i1 false" if name.endswith("zeros") else ""
        return Value(
            value.type, self.op(f"call {kind} @llvm.{INTEGER_INTRINSICS[name]}.{kind}({kind} {value.text}{extra})")
        )

    def do_rotate_left(self, node: ast.Call) -> Operand:
        first, second = self.arguments(node, 2)
        value = self.integer_operand(first)
        count = self.coerce(self.expression(second, value.type), value.type, second)
        kind = value.type.llvm
        return Value(
            value.type,
            self.op(f"call {kind} @llvm.fshl.{kind}({kind} {value.text}, {kind} {value.text}, {kind} {count.text})"),
        )

    def do_multiply_high(self, node: ast.Call) -> Operand:
        first, second = (self.value(each, u64).text for each in self.arguments(node, 2))
        a, b = self.op(f"zext i64 {first} to i128"), self.op(f"zext i64 {second} to i128")
        product = self.op(f"mul i128 {a}, {b}")
        return Value(u64, self.op(f"trunc i128 {self.op(f'lshr i128 {product}, 64')} to i64"))

    def overflowing(self, name: str, node: ast.Call) -> Operand:
        """add_overflows and its kin: the wrapped result and whether it wrapped."""
        first, second = self.arguments(node, 2)
        operand = self.settled(self.expression(first), first)
        right = self.expression(second, getattr(operand, "type", None))
        if isinstance(operand, Const):
            b = self.rvalue(right, second)
            a = self.coerce(operand, b.type, first)
        else:
            a = self.rvalue(operand, first)
            b = self.coerce(right, a.type, second)
        if not isinstance(a.type, IntType):
            self.error(node, f"integers are expected here, not {a.type}")
        kind = a.type.llvm
        function = f"llvm.{'s' if a.type.signed else 'u'}{name[:3]}.with.overflow.{kind}"
        pair = self.op(f"call {{{kind}, i1}} @{function}({kind} {a.text}, {kind} {b.text})")
        return Value(TupleType([a.type, bool_type]), pair)

    def do_fill(self, node: ast.Call) -> Operand:
        target, what = self.arguments(node, 2)
        operand = self.expression(target)
        if isinstance(operand, (Value, Place)) and isinstance(operand.type, StructType):
            hint = f"copy({advice.source(target)}, {operand.type}()) clears it"
            self.error(target, f"fill takes a slice or array, not a {operand.type}", hint)
        _, element, address, length, readonly, _ = self.sequence(operand, target)
        if readonly:
            self.error(target, "this is read-only")
        if element not in (u8, i8) and not (isinstance(what, ast.Constant) and what.value == 0):
            hint = "set them in a loop"
            self.error(node, f"fill writes bytes, or 0 to anything; the elements are {element}", hint)
        byte = "0" if element not in (u8, i8) else self.value(what, element).text
        size = self.op(f"mul i64 {length}, {element.size}")
        self.emit(f"call void @llvm.memset.p0.i64(ptr {address}, i8 {byte}, i64 {size}, i1 false)")
        return Value(void, "")

    def do_copy(self, node: ast.Call) -> Operand:
        first, second = self.arguments(node, 2)
        operand = self.expression(first)
        if isinstance(operand, (Value, Place)) and isinstance(operand.type, SliceType):
            destination = self.rvalue(operand, first)
            self.copy_elements(destination, self.rvalue(self.expression(second), second), second, node)
            return Value(void, "")
        target = self.reference(first)
        source = self.value(second, target.type)
        self.copy_bytes(target.text, source.text, target.type.size, target.type.alignment)
        return Value(void, "")

    def copy_elements(self, destination: Value, origin: Value, source: ast.expr, node: ast.AST) -> None:
        """Copy between slices of one length; they may overlap."""
        element = getattr(destination.type, "element", u8)
        other = getattr(origin.type, "element", None)
        if other is None or not same(other, element):
            self.error(source, f"expected {destination.type}, found {origin.type}")
        (to, length), (address, count) = self.slice_parts(destination), self.slice_parts(origin)
        self.check(self.op(f"icmp eq i64 {length}, {count}"), "slices of different lengths", node)
        size = self.op(f"mul i64 {length}, {element.size}")
        self.emit(f"call void @llvm.memmove.p0.p0.i64(ptr {to}, ptr {address}, i64 {size}, i1 false)")

    def reference(self, node: ast.expr) -> Value:
        """An argument that is a structure or array."""
        operand = self.expression(node)
        if isinstance(operand, Place) and operand.readonly:
            self.error(node, "this is read-only")
        value = self.rvalue(operand, node)
        if isinstance(value.type, PtrType):
            value = self.not_null(value, node)
        if not value.type.aggregate:
            self.error(node, f"a structure or array is expected here, this is {value.type}")
        return value

    def do_pointer(self, node: ast.Call) -> Operand:
        (argument,) = self.arguments(node, 1)
        operand = self.expression(argument)
        if isinstance(operand, Place) and operand.frame:
            self.frame_values.add(operand.address)
        if isinstance(operand, Value) and operand.type.aggregate:
            return Value(pointer_to(operand.type), operand.text)
        if not isinstance(operand, Place) or operand.space != "ptr" or isinstance(argument, ast.Name):
            if isinstance(operand, Place) and operand.space == "ptr" and argument.id not in self.locals:  # type: ignore[attr-defined]
                return Value(pointer_to(operand.type), operand.address)
            if isinstance(operand, Place) and operand.type.aggregate:
                return Value(pointer_to(operand.type), operand.address)
            hint = "a local has no address: make it a field of a structure" if isinstance(argument, ast.Name) else ""
            self.error(node, "pointer(...) takes a field, an element or a static", hint)
        if operand.readonly:
            self.error(node, "this is read-only")
        return Value(pointer_to(operand.type), operand.address)

    def do_fence(self, node: ast.Call) -> Operand:
        self.arguments(node, 0)
        self.emit("fence seq_cst")
        return Value(void, "")

    def do_compiler_barrier(self, node: ast.Call) -> Operand:
        self.arguments(node, 0)
        self.emit('call void asm sideeffect "", "~{memory}"()')
        return Value(void, "")

    def do_return_address(self, node: ast.Call) -> Operand:
        self.arguments(node, 0)
        return Value(u64, self.op(f"ptrtoint ptr {self.op('call ptr @llvm.returnaddress(i32 0)')} to i64"))

    # unsafe.
    def keywords(self, node: ast.Call, *names: str) -> dict[str, Any]:
        """Constant keywords of a call."""
        found = {}
        for each in node.keywords:
            operand = self.expression(each.value)
            if each.arg not in names or not isinstance(operand, Const):
                self.error(node, f"{ast.unparse(node.func)} has no keyword {each.arg!r}")
            found[each.arg] = operand.value
        return found

    def address_operand(self, node: ast.expr) -> str:
        """A u64 as an LLVM pointer."""
        return self.op(f"inttoptr i64 {self.value(node, u64).text} to ptr")

    def do_unsafe_load(self, node: ast.Call) -> Operand:
        kind, where = self.arguments(node, 2)
        options = self.keywords(node, "volatile", "unaligned")
        type_ = self.type_argument(kind, kind)
        address = self.address_operand(where)
        if type_.aggregate:
            self.error(node, f"{type_} is reached by unsafe.at", "unsafe.load reads scalars")
        align = 1 if options.get("unaligned") else type_.alignment
        if options.get("volatile"):
            return Value(type_, self.load(type_, address, align, volatile=True))
        return self.read(Place(type_, address, align))

    def do_unsafe_store(self, node: ast.Call) -> Operand:
        kind, where, what = self.arguments(node, 3)
        options = self.keywords(node, "volatile", "unaligned")
        type_ = self.type_argument(kind, kind)
        address = self.address_operand(where)
        value = self.value(what, self.wanted_in(type_))
        align = 1 if options.get("unaligned") else type_.alignment
        if options.get("volatile"):
            self.store(type_, value.text, address, align, volatile=True)
        else:
            self.write(Place(type_, address, align), value, node)
        return Value(void, "")

    def do_unsafe_at(self, node: ast.Call) -> Operand:
        kind, where = self.arguments(node, 2)
        type_ = self.type_argument(kind, kind)
        if not type_.aggregate:
            self.error(
                node,
                f"{type_} is a scalar",
                "unsafe.load and unsafe.store reach scalars, unsafe.pointer points to them",
            )
        return Value(type_, self.address_operand(where))

    def do_unsafe_pointer(self, node: ast.Call) -> Operand:
        kind, where = self.arguments(node, 2)
        return Value(pointer_to(self.type_argument(kind, kind)), self.address_operand(where))

    def do_unsafe_slice(self, node: ast.Call) -> Operand:
        kind, where, count = self.arguments(node, 3)
        type_ = self.type_argument(kind, kind)
        address = self.address_operand(where)
        return self.make_slice(slice_of(type_), address, self.value(count, u64).text)

    def do_unsafe_address(self, node: ast.Call) -> Operand:
        (argument,) = self.arguments(node, 1)
        operand = self.expression(argument)
        if isinstance(operand, Const) and isinstance(operand.value, (MetalFunction, Hook)):
            target = operand.value.function if isinstance(operand.value, Hook) else operand.value
            if target is None:
                self.error(node, "this hook has not been filled in")
            text = self.unit.reference(target, {})
        elif (
            isinstance(operand, Place)
            and operand.space == "ptr"
            and not isinstance(operand.type, (PtrType, SliceType, FnType))
        ):
            if isinstance(argument, ast.Name) and argument.id in self.locals and not operand.type.aggregate:
                self.error(node, f"{argument.id!r} is a local without an address of its own")
            text = operand.address
        else:
            value = self.rvalue(operand, argument)
            if isinstance(value.type, SliceType):
                text = self.slice_parts(value)[0]
            elif isinstance(value.type, (PtrType, FnType)) or value.type.aggregate:
                text = value.text
            else:
                self.error(node, f"{value.type} has no address")
        return Value(u64, self.op(f"ptrtoint ptr {text} to i64"))

    def do_unsafe_cast(self, node: ast.Call) -> Operand:
        kind, what = self.arguments(node, 2)
        type_ = self.type_argument(kind, kind)
        value = self.rvalue(self.expression(what), what)
        if not (isinstance(value.type, PtrType) or value.type.aggregate):
            self.error(node, f"a reference or pointer is expected here, this is {value.type}")
        if isinstance(type_, PtrType):
            return Value(type_, value.text)
        if not type_.aggregate:
            return Value(pointer_to(type_), value.text)
        if isinstance(value.type, PtrType):
            self.check(self.op(f"icmp ne ptr {value.text}, null"), f"None where a {type_} is needed", node)
        return Value(type_, value.text)

    def do_unsafe_container(self, node: ast.Call) -> Operand:
        kind, name, what = self.arguments(node, 3)
        type_ = self.type_argument(kind, kind)
        label = name.value if isinstance(name, ast.Constant) else getattr(self.expression(name), "value", None)
        if not isinstance(type_, StructType) or label not in type_.fields:
            self.error(node, f"{type_} has no field {label!r}")
        value = self.rvalue(self.expression(what), what)
        if isinstance(value.type, PtrType):
            value = self.not_null(value, what)
        if not same(value.type, type_.fields[label].type):
            self.error(what, f"expected {type_.fields[label].type}, found {value.type}")
        return Value(type_, self.op(f"getelementptr i8, ptr {value.text}, i64 {-type_.fields[label].offset}"))

    def do_unsafe_function(self, node: ast.Call) -> Operand:
        kind, where = self.arguments(node, 2)
        return Value(self.type_argument(kind, kind), self.address_operand(where))

    def do_unsafe_index(self, node: ast.Call) -> Operand:
        sequence, index = self.arguments(node, 2)
        _, element, address, _, readonly, align = self.sequence(self.expression(sequence), sequence)
        where = self.index_value(self.expression(index, u64), index)
        return Place(element, self.element(address, element, where), align, readonly)

    def do_unsafe_uninitialized(self, node: ast.Call) -> Operand:
        (kind,) = self.arguments(node, 1)
        type_ = self.type_argument(kind, kind)
        if not type_.aggregate:
            self.error(node, f"{type_} is a scalar", "unsafe.uninitialized makes structures and arrays")
        return Value(type_, self.frame(type_))

    def do_unsafe_asm(self, node: ast.Call) -> Operand:
        """Inline assembly, LLVM's constraint syntax."""
        if not len(node.args) >= 1:
            self.error(node, "unsafe.asm takes a template and constraints", 'unsafe.asm("rdtsc", "={eax},={edx}", ...)')
        template, constraints = self.assembly_text(node.args[0]), ""
        if len(node.args) > 1:
            constraints = self.assembly_text(node.args[1])
        result: Type = void
        for each in node.keywords:
            if each.arg != "result":
                self.error(node, f"unsafe.asm has no keyword {each.arg!r}", "names in the text are for naked functions")
            result = self.type_argument(each.value, each.value)
        operands = []
        for argument in node.args[2:]:
            operand = self.expression(argument)
            number = isinstance(operand, Const) and isinstance(operand.value, int)
            value = self.coerce(operand, u64, argument) if number else self.rvalue(operand, argument)
            operands.append(f"{value.type.llvm} {value.text}")
        kind = result.llvm
        line = f'call {kind} asm sideeffect "{escape(template)}", "{constraints}"({", ".join(operands)})'
        if isinstance(result, VoidType):
            self.emit(line)
            return Value(void, "")
        return Value(result, self.op(line))

    def assembly_text(self, node: ast.expr) -> str:
        """A text for assembly: a literal, or a constant from the top level."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        operand = self.expression(node)
        if isinstance(operand, Const) and isinstance(operand.value, str):
            return operand.value
        self.error(node, "assembly is a text known when compiling")


def escape(text: str) -> str:
    """A text inside an LLVM string."""
    return "".join(
        chr(each) if 32 <= each < 127 and each not in (34, 92) else f"\\{each:02X}" for each in text.encode()
    )


__all__ = ["BoolType", "Builtins", "EnumType", "Static", "escape", "i64"]
