"""The lowest layer of lowering: instructions, blocks, checks that trap, mistakes that are gathered."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import Diagnostic, MetalError, Poisoned
from ..types import Type
from .values import Const, Local, Operand, Place, Value

if TYPE_CHECKING:
    from ..unit import Instance, Unit

LIKELY = ", !prof !1"
UNLIKELY = ", !prof !2"


class Emitter:
    """Builds the text of one function."""

    def __init__(self, unit: Unit, instance: Instance) -> None:
        self.unit, self.instance = unit, instance
        self.function = instance.function
        self.file = self.function.code.co_filename
        self.allocas: list[str] = []
        self.lines: list[str] = []
        self.cold: list[str] = []
        self.count = 0
        self.reachable = True
        self.locals: dict[str, Local] = {}
        self.assigned: set[str] = set()
        self.wrapping = 0
        self.frame_values: set[str] = set()  # operands that refer to this function's own frame
        self.scope = 0
        self.location = ""
        self.node: ast.AST | None = None

    # What upper layers provide.
    def expression(self, node: ast.expr, want: Type | None = None) -> Operand:
        """The operand an expression stands for. `want` helps a literal find its type."""
        raise NotImplementedError

    def value(self, node: ast.expr, want: Type) -> Value:
        """An expression converted to `want`."""
        raise NotImplementedError

    def rvalue(self, operand: Operand, node: ast.AST) -> Value:
        """An operand loaded into a register."""
        raise NotImplementedError

    def coerce(self, operand: Operand, want: Type, node: ast.AST) -> Value:
        """An operand converted to `want` as assignment does."""
        raise NotImplementedError

    def call(self, callee: Operand, node: ast.Call) -> Operand:
        """A call."""
        raise NotImplementedError

    # Instructions.
    def emit(self, text: str) -> None:
        """One instruction without result."""
        if self.reachable:
            self.lines.append(f"  {text}{self.location}")

    def op(self, text: str) -> str:
        """One instruction with a result, whose name is returned."""
        name = self.temporary()
        self.emit(f"{name} = {text}")
        return name

    def temporary(self) -> str:
        """A fresh register."""
        self.count += 1
        return f"%t{self.count}"

    def new_label(self, hint: str) -> str:
        """A fresh block name."""
        self.count += 1
        return f"{hint}{self.count}"

    def start(self, label: str) -> None:
        """Begin a block; falls into it if the last one is open."""
        self.branch(label)
        self.lines.append(f"{label}:")
        self.reachable = True

    def branch(self, label: str) -> None:
        """Go to a block."""
        self.emit(f"br label %{label}")
        self.reachable = False

    def branch_if(self, condition: str, yes: str, no: str, weight: str = "") -> None:
        """Go to one of two blocks."""
        if self.reachable:
            self.lines.append(f"  br i1 {condition}, label %{yes}, label %{no}{weight}{self.location}")
        self.reachable = False

    def put_after(self, start: int, end: int) -> None:
        """Move the lines from `start` to `end` behind those written since. A target is compiled before the value, for
        its type tells what the literals in the value are, but runs after it, as in Python."""
        moved = self.lines[start:end]
        del self.lines[start:end]
        self.lines += moved

    def alloca(self, type_: Type, count: str = "") -> str:
        """Memory in the frame for one `type_`."""
        name = self.temporary()
        memory = memory_type(type_)
        self.allocas.append(f"  {name} = alloca {memory}, align {max(type_.alignment, 1)}")
        return name

    def load(self, type_: Type, address: str, align: int, space: str = "ptr", volatile: bool = False) -> str:
        """Read a scalar."""
        kind = "load volatile" if volatile else "load"
        if type_.llvm == "i1":
            byte = self.op(f"{kind} i8, {space} {address}, align {align}")
            return self.op(f"trunc i8 {byte} to i1")
        return self.op(f"{kind} {type_.llvm}, {space} {address}, align {align}")

    def store(
        self, type_: Type, text: str, address: str, align: int, space: str = "ptr", volatile: bool = False
    ) -> None:
        """Write a scalar."""
        kind = "store volatile" if volatile else "store"
        if type_.llvm == "i1":
            text = self.op(f"zext i1 {text} to i8")
            self.emit(f"{kind} i8 {text}, {space} {address}, align {align}")
        else:
            self.emit(f"{kind} {type_.llvm} {text}, {space} {address}, align {align}")

    def offset(self, address: str, offset: int) -> str:
        """An address some bytes further."""
        return address if offset == 0 else self.op(f"getelementptr inbounds i8, ptr {address}, i64 {offset}")

    def copy_bytes(self, destination: str, source: str, size: int, align: int) -> None:
        """Copy a structure; the two do not overlap in part."""
        if size:
            self.emit(
                f"call void @llvm.memmove.p0.p0.i64(ptr align {align} {destination}, "
                f"ptr align {align} {source}, i64 {size}, i1 false)"
            )

    def zero_bytes(self, address: str, size: int, align: int) -> None:
        """Clear a structure."""
        if size:
            self.emit(f"call void @llvm.memset.p0.i64(ptr align {align} {address}, i8 0, i64 {size}, i1 false)")

    # Checks.
    def check(self, holds: str, reason: str, node: ast.AST) -> None:
        """Trap with `reason` unless the i1 `holds`."""
        if holds == "true" or not self.reachable:
            return
        good, bad = self.new_label("ok"), self.new_label("trap")
        self.branch_if(holds, good, bad, LIKELY)
        self.cold.append(f"{bad}:")
        self.cold.extend(f"  {line}{self.location}" for line in self.trap(reason, node))
        self.cold.append(f"  unreachable{self.location}")
        self.lines.append(f"{good}:")
        self.reachable = True

    def trap(self, reason: str, node: ast.AST) -> list[str]:
        """The instructions of a failed check."""
        return self.unit.trap(reason, self.function.name, self.file, getattr(node, "lineno", 0))

    def fail(self, reason: str, node: ast.AST) -> None:
        """Trap without a condition: the rest of the block is unreachable."""
        for line in self.trap(reason, node):
            self.emit(line)
        self.emit("unreachable")
        self.reachable = False

    # Mistakes.
    def report(self, error: MetalError, fallback: ast.AST) -> None:
        """Keep a mistake, with the source position of its node."""
        node: Any = error.node if error.node is not None and hasattr(error.node, "lineno") else fallback
        note = f"compiled as {self.instance.title}" if self.instance.bindings else ""
        self.unit.diagnostics.append(
            Diagnostic(
                self.file,
                node.lineno,
                node.col_offset,
                node.end_col_offset if node.end_lineno == node.lineno else 10_000,
                error.message,
                error.hint,
                note,
            )
        )

    def error(self, node: ast.AST, message: str, hint: str = "") -> NoReturn:
        """Give up on this statement."""
        raise MetalError(node, message, hint)

    def poisoned(self) -> NoReturn:
        """Give up silently: the cause was reported."""
        raise Poisoned

    def at(self, node: ast.AST) -> None:
        """Instructions from now on belong to this node's line."""
        if hasattr(node, "lineno"):
            self.node = node
            self.location = self.unit.location(node.lineno, node.col_offset, self.scope)  # type: ignore[attr-defined]


def memory_type(type_: Type) -> str:
    """The LLVM type that reserves memory for one `type_`."""
    if type_.aggregate:
        return f"[{type_.size} x i8]"
    return "i8" if type_.llvm == "i1" else type_.llvm


def describe(operand: Operand) -> str:
    """An operand in words, for errors."""
    if isinstance(operand, (Value, Place)):
        return repr(operand.type)
    if isinstance(operand, Const):
        return f"the constant {operand.value!r}"
    return "a method"
