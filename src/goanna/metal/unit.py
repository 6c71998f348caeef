"""A compilation unit: from its roots it finds every function and static that is reached, and writes one LLVM text."""

from __future__ import annotations

import ctypes
import gc
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from .debug import DebugInfo, stable_hash
from .errors import CompileErrors, Diagnostic, MetalError
from .function import Constant, Hook, MetalFunction, SignatureError, Static
from .identity import identity
from .initializer import Initializer
from .lower.body import lower
from .pieces import Piece, function_piece
from .source import function_tree, source_name
from .structure import StructType
from .target import Target
from .types import (
    ArrayType,
    CellType,
    FnType,
    LayoutError,
    PtrType,
    SliceType,
    TupleType,
    Type,
    TypeParameter,
    slice_of,
)

__all__ = ["Instance", "Trap", "Unit"]

PROCESSOR_BLOCK = 16384  # bytes a simulated processor has for its variables, in the host profile
PROCESSORS = 16

TRAP_NUMBERS = 1 << 30
COPIED_TABLE = 4096  # bytes of a constant table that other parts of a divided unit see the content of

_MEMORY = {
    "memcmp": "declare i32 @memcmp(ptr, ptr, i64)",
}


class Instance:
    """A function with its type variables bound."""

    def __init__(self, function: MetalFunction, bindings: dict[str, Any], symbol: str) -> None:
        self.function, self.bindings, self.symbol = function, bindings, symbol

    @property
    def title(self) -> str:
        """Name and bindings, for notes."""
        return f"{self.function.name}[{', '.join(f'{k}={v}' for k, v in self.bindings.items())}]"


class Trap(NamedTuple):
    """What a failed check says: one for each number."""

    reason: str
    function: str
    file: str
    line: int


class Unit:
    """Everything that is compiled together."""

    def __init__(
        self,
        target: Target,
        roots: Iterable[Any],
        *,
        debug: bool = False,
        is_small: Callable[[str], bool] = lambda module: False,
    ) -> None:
        """Compile `roots` (functions, structures with all their methods, statics). Raises CompileErrors.

        Code of the modules that `is_small` names is to take few bytes rather than little time.
        """
        self.is_small = is_small
        self.target = target
        self.diagnostics: list[Diagnostic] = []
        self.traps: dict[int, Trap] = {}
        self._trap_numbers: dict[Trap, int] = {}
        self.instances: dict[Any, Instance] = {}
        self.statics: dict[Static, str] = {}
        self._symbols: set[str] = set()
        self._queue: deque[Instance] = deque()
        self._signatures: dict[MetalFunction, tuple[list[tuple[str, Any]], Any]] = {}
        self._bytes: dict[bytes, str] = {}
        self.pieces: list[Piece] = []
        self.declared: dict[str, str] = {}
        self._offset = 8
        self.roots: dict[MetalFunction, None] = {}  # in their order
        self.debug = DebugInfo() if debug else None
        host = target.profile == "host"
        self.processor_space = "ptr addrspace(256)" if target.per_processor_space and not host else None
        with _uncollected():
            for root in roots:
                self._add_root(root)
            self._compile()
        if self.diagnostics:
            unique = {(each.file, each.line, each.column, each.message): each for each in self.diagnostics}
            raise CompileErrors(sorted(unique.values(), key=lambda each: (each.file, each.line, each.column)))

    def _add_root(self, root: Any) -> None:
        if isinstance(root, MetalFunction):
            self.roots[root] = None
            try:
                parameters, result = self.signature(root)
            except MetalError:
                parameters, result = [], None
            if not any(self.has_variables(each) for each in [*(t for _, t in parameters), result]):
                self.reference(root, {})
        elif isinstance(root, StructType):
            for each in root.attributes.values():
                if isinstance(each, MetalFunction):
                    self._add_root(each)
        elif isinstance(root, Static):
            try:
                self.static_symbol(root)
            except LayoutError as error:
                self.static_mistake(root, error)
        elif isinstance(root, Hook) and root.function is not None:
            self._add_root(root.function)
        else:
            raise TypeError(f"{root!r} is not a root: a metal function, a structure or a static is")

    def _compile(self) -> None:
        while self._queue:
            instance = self._queue.popleft()
            text = lower(self, instance)
            if text:
                self.pieces.append(function_piece(instance.symbol, instance.function.module, text))

    # Types.
    def signature(self, function: MetalFunction) -> tuple[list[tuple[str, Any]], Any]:
        """Parameters and result; a mistake in it is reported once, at the function."""
        if function not in self._signatures:
            try:
                parameters, result = function.signature()
                for each in [*(type_ for _, type_ in parameters), result]:
                    self.has_variables(each)  # looks into it: a mistake inside is told here, too
                self._signatures[function] = parameters, result
            except LayoutError as error:
                self.diagnostics.append(signature_mistake(function, error))
                raise MetalError(None, f"{function.name} has a signature that metal can't read: {error}") from None
        return self._signatures[function]

    def has_variables(self, type_: Any) -> bool:
        """Whether a type still holds type variables."""
        match type_:
            case TypeVar() | TypeParameter():
                return True
            case PtrType():
                return not isinstance(type_._target, (str, StructType)) and self.has_variables(type_.target)
            case ArrayType() | SliceType():
                return not isinstance(type_._element, str) and self.has_variables(type_.element)
            case CellType():
                return self.has_variables(type_.inner)
            case TupleType():
                return any(map(self.has_variables, type_.elements))
            case FnType():
                parameters, result = type_.signature
                return any(map(self.has_variables, [*parameters, result]))
        return False

    def substitute(self, type_: Any, bindings: dict[str, Any]) -> Any:
        """A type with its variables replaced as far as they are bound."""
        if not bindings or not self.has_variables(type_):
            return type_
        match type_:
            case TypeVar():
                return bindings.get(type_.__name__, type_)
            case PtrType():
                return PtrType(self.substitute(type_.target, bindings), {})
            case ArrayType():
                return ArrayType(self.substitute(type_.element, bindings), type_.length, {})
            case SliceType():
                return slice_of(self.substitute(type_.element, bindings))
            case CellType():
                return CellType(type_.kind, self.substitute(type_.inner, bindings), {})
            case TupleType():
                return TupleType([self.substitute(each, bindings) for each in type_.elements])
            case FnType():
                parameters, result = type_.signature
                return FnType(
                    [self.substitute(each, bindings) for each in parameters], self.substitute(result, bindings), {}
                )
        return type_

    # Symbols.
    def reference(self, function: MetalFunction, bindings: dict[str, Any]) -> str:
        """The symbol of a function, which is compiled if it is not yet."""
        bound = {name: type_ for name, type_ in bindings.items()}
        key = (function, tuple((name, identity(type_)) for name, type_ in sorted(bound.items())))
        if key not in self.instances:
            symbol = function.symbol
            if bound:
                symbol += "[" + ",".join(str(each) for name, each in sorted(bound.items())) + "]"
            if function.external is None and function.export is None:
                symbol = self._unique(symbol)
            instance = self.instances[key] = Instance(function, bound, symbol)
            if function.external is not None:
                parameters, result = self.signature(function)
                types = ", ".join(each.llvm for _, each in parameters)
                self.declared[symbol] = f'declare {result.llvm} @"{symbol}"({types})'
            else:
                self._queue.append(instance)
        return f'@"{self.instances[key].symbol}"'

    def _unique(self, symbol: str) -> str:
        number, made = 1, symbol
        while made in self._symbols:
            number += 1
            made = f"{symbol}.{number}"
        self._symbols.add(made)
        return made

    def linkage(self, instance: Instance) -> str:
        """Roots and exported functions are seen outside, the rest is internal."""
        outside = instance.function.export is not None or instance.function in self.roots
        return "" if outside else "internal "

    def static_symbol(self, static: Static) -> str:
        """The symbol of a static, which is defined if it is not yet."""
        if static in self.statics:
            return self.statics[static]
        name = (
            static.external
            or static.export
            or self._unique(f"{static.module.removeprefix('goanna.')}.{static.name or 'static'}")
        )
        symbol = f'@"{name}"'
        self.statics[static] = symbol
        size, align = static.type.size, max(static.type.alignment, static.align)
        host = self.target.profile == "host"
        if host and name == "metal_percpu_offset":  # the host's scheduler moves it
            self.processor_base()
            return symbol
        if static.external is not None:
            self.declared[name] = f"{symbol} = external global [{size} x i8], align {align}"
            return symbol
        if static.per_processor and host:
            self._offset = -(-self._offset // align) * align
            self.statics[static] = f"inttoptr (i64 {self._offset} to ptr)"
            self._offset += size
            if self._offset > PROCESSOR_BLOCK:
                words = f"with it the variables of a processor have more than {PROCESSOR_BLOCK} bytes"
                self.static_mistake(static, LayoutError(words))
            return self.statics[static]
        try:
            kind, text = Initializer(self).render(static.type, static.initial)
        except LayoutError as error:
            self.static_mistake(static, error)
            kind, text = f"[{size} x i8]", "zeroinitializer"
        word = "constant" if isinstance(static, Constant) else "global"
        space = f"{self.target.per_processor_space}" if static.per_processor else ""
        linkage = "" if static.export or host else "internal "
        section = ".percpu" if static.per_processor else static.section
        where = f', section "{section}"' if section else ""
        debug = self.debug.static(static, name) if self.debug else ""
        outside = f"{symbol} = external {space}{word} [{size} x i8], align {align}"
        copy = f"{symbol} = available_externally constant {kind} {text}, align {align}"
        self.pieces.append(
            Piece(
                name, static.module, f"{symbol} = {linkage}{space}{word} {kind} {text}{where}, align {align}{debug}",
                copy if word == "constant" and size <= COPIED_TABLE else outside,
            )
        )  # fmt: skip
        return symbol

    def static_mistake(self, static: Static, error: LayoutError) -> None:
        """Report what is wrong with a static, where it is declared."""
        words = f"{static.name or 'this static'}: {error}"
        self.diagnostics.append(Diagnostic(static.file, static.line, 0, 200, words, error.hint))

    def processor_base(self) -> str:
        """The instruction whose result is the address to add to a per-processor variable's."""
        if self.target.profile != "host":
            return self.target.per_processor_base
        self.declared["metal_percpu"] = (
            "@metal_percpu_offset = global i64 0\n"
            f"@metal_percpu = global [{PROCESSORS * PROCESSOR_BLOCK} x i8] zeroinitializer, align 64\n"
            "define internal i64 @metal_percpu_base() alwaysinline {\n  %o = load i64, ptr @metal_percpu_offset\n"
            "  %a = add i64 %o, ptrtoint (ptr @metal_percpu to i64)\n  ret i64 %a\n}"
        )
        return "call i64 @metal_percpu_base()"

    def processor_pointer(self, symbol: str) -> str:
        """The offset of a per-processor variable as an i64 constant expression."""
        space = "ptr addrspace(256)" if self.processor_space and not symbol.startswith("inttoptr") else "ptr"
        return f"ptrtoint ({space} {symbol} to i64)"

    def bytes_symbol(self, data: bytes) -> str:
        """The symbol of a bytes literal; equal ones are shared."""
        if data not in self._bytes:
            name = f"bytes.{hashlib.blake2b(data, digest_size=12).hexdigest()}"
            self._bytes[data] = f'@"{name}"'
            text = "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\{b:02X}" for b in data)
            definition = f'@"{name}" = private unnamed_addr constant [{len(data)} x i8] c"{text}"'
            self.pieces.append(Piece(name, "", definition, definition))
        return self._bytes[data]

    def needs_memory(self, name: str) -> None:
        """Declare one of the C library's memory functions."""
        self.declared[name] = _MEMORY[name]

    # Checks and debugging.
    def trap(self, reason: str, function: str, file: str, line: int) -> list[str]:
        """The instructions of a failed check, which must end their block (the caller adds `unreachable`)."""
        trap = Trap(reason, function, file, line)
        if trap not in self._trap_numbers:
            # Of what it says, so that it doesn't change with the checks before it.
            number = stable_hash(repr((reason, function, source_name(file), line)), TRAP_NUMBERS)
            while number in self.traps:
                number = (number + 1) % TRAP_NUMBERS
            self.traps[number] = trap
            self._trap_numbers[trap] = number
        text = self.target.failure(self._trap_numbers[trap])
        return [each.strip() for each in text.splitlines() if each.strip() != "unreachable"]

    def location(self, line: int, column: int, scope: int) -> str:
        """The suffix that ties an instruction to its line."""
        return self.debug.location(line, column + 1, scope) if self.debug and scope else ""

    def local(self, lowering: Any, name: str, type_: Type, slot: str, line: int, argument: int) -> str | None:
        """The record that tells a debugger of a local."""
        if not self.debug or not lowering.scope:
            return None
        return self.debug.local(name, type_, slot, line, argument, lowering.scope)

    def take_hint(self, lowering: Any) -> str:
        """The branch weights that likely or unlikely left behind."""
        hint, lowering.hint = lowering.hint, ""
        return str(hint)

    # Text.
    def ir(self) -> str:
        """The LLVM text of the unit, without target lines."""
        failure = ["declare void @metal_fail(i32)"] if self.target.profile == "host" else []
        return self.module([*failure, *self.declared.values(), *(each.text for each in self.pieces)])

    def module(
        self, texts: Iterable[str], functions: Iterable[str] | None = None, statics: Iterable[str] | None = None
    ) -> str:
        """A module of some of the unit's texts, with the attributes and metadata that they mention: those of the
        functions and statics named, or all."""
        attributes = f"attributes #0 = {{ {self.target.attributes} }}"
        weights = ['!1 = !{!"branch_weights", i32 2000, i32 1}', '!2 = !{!"branch_weights", i32 1, i32 2000}']
        debug = self.debug.lines(functions, statics) if self.debug else []
        return "\n".join([*texts, attributes, *weights, *debug, ""])


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for garbage in cycles: what a compilation makes is needed to its end, and to look through all
    of it again and again would take a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def ctypes_bytes(value: Any) -> bytes | None:
    """The bytes of a host structure, or None."""
    return bytes(value) if isinstance(value, (ctypes.Structure, ctypes.Union, ctypes.Array)) else None


def signature_mistake(function: MetalFunction, error: LayoutError) -> Diagnostic:
    """What is wrong in a function's head, at the parameter or the result."""
    code, tree = function.code, function_tree(function.code)
    node: Any = None
    if tree is not None and isinstance(error, SignatureError):
        arguments = tree.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        node = next((each for each in every if each is not None and each.arg == error.parameter), tree.returns)
    if node is None:
        line = tree.lineno if tree is not None else code.co_firstlineno
        return Diagnostic(code.co_filename, line, 0, 200, f"{function.name}: {error}", error.hint)
    place = (node.lineno, node.col_offset, node.end_col_offset if node.end_lineno == node.lineno else 200)
    return Diagnostic(code.co_filename, *place, f"{function.name}: {error}", error.hint)
