"""The entrance of lowering: one function with its types bound becomes one LLVM definition."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import Diagnostic, MetalError, Poisoned
from ..function import Hook, MetalFunction, Static
from ..source import function_tree
from ..types import LayoutError, Type, TypeParameter, VoidType
from .builtins import escape
from .statements import Statements
from .values import Value

if TYPE_CHECKING:
    from ..unit import Instance, Unit


def lower(unit: Unit, instance: Instance) -> str:
    """The LLVM text of an instance; mistakes go to the unit's diagnostics, then the text is empty."""
    function = instance.function
    tree = function_tree(function.code)
    if tree is None:
        unit.diagnostics.append(
            Diagnostic(
                function.code.co_filename,
                function.code.co_firstlineno,
                0,
                200,
                f"no `def` is found for {function!r}",
                "metal compiles a `def` in a file: no lambda, no async def, nothing made by exec",
            )
        )
        return ""
    try:
        parameters, result = unit.signature(function)
        given = [
            (name, unit.substitute(type_, instance.bindings))
            for name, type_ in parameters
            if not isinstance(type_, TypeParameter)
        ]
        result = unit.substitute(result, instance.bindings)
        for _, each in [*given, ("", result)]:
            if isinstance(each, TypeVar):
                raise LayoutError(f"the type variable {each.__name__} is not bound")
    except MetalError:  # the unit has reported it
        return ""
    except LayoutError as error:
        unit.diagnostics.append(
            Diagnostic(function.code.co_filename, tree.lineno, tree.col_offset, 200, f"{function.name}: {error}")
        )
        return ""
    if function.naked:
        return _naked(unit, instance, tree, given, result)
    return _body(unit, instance, tree, given, result)


def _header(unit: Unit, instance: Instance, given: list[tuple[str, Type]], result: Type, scope: str) -> str:
    function = instance.function
    words = ["#0"]
    if function.naked:
        words += ["naked", "noinline"]
    elif function.inline is not None:
        words.append("alwaysinline" if function.inline else "noinline")
    if function.cold:
        words += ["cold", "minsize", "optsize"]
    elif unit.is_small(function.module):
        words += ["minsize", "optsize"]
    if function.inline is None and unit.target.profile != "host":
        words.append("inlinehint")  # where its caller is compiled for speed: see backend.INLINING
    section = f' section "{function.section}"' if function.section else ""
    parameters = ", ".join(f"{type_.llvm} %arg{index}" for index, (_, type_) in enumerate(given))
    linkage = unit.linkage(instance)
    return f'define {linkage}{result.llvm} @"{instance.symbol}"({parameters}) {" ".join(words)}{section}{scope} {{'


def _body(unit: Unit, instance: Instance, tree: ast.FunctionDef, given: list[tuple[str, Type]], result: Type) -> str:
    work = Statements(unit, instance)
    work.result = result
    scope = ""
    if unit.debug is not None:
        work.scope = unit.debug.function(instance, tree.lineno, [type_ for _, type_ in given], result)
        scope = f" !dbg !{work.scope}"
    work.at(tree)
    for index, (name, type_) in enumerate(given):
        local = work.declare(name, type_, tree, index + 1)
        work.store_local(local, Value(type_, f"%arg{index}"))
        work.assigned.add(name)
    work.block(tree.body)
    if work.reachable:
        if isinstance(result, VoidType):
            work.emit("ret void")
        else:
            hint = "every way needs a return"
            if isinstance(tree.body[-1], ast.Match) and work.left_out:
                hint = f"its match says nothing of {', '.join(work.left_out)}"
            error = MetalError(tree, f"{instance.function.name} may end without giving {result}", hint)
            work.report(error, tree)
            work.emit("unreachable")
    lines = [_header(unit, instance, given, result, scope), "entry:", *work.allocas, *work.lines, *work.cold, "}", ""]
    return "\n".join(lines)


def _naked(unit: Unit, instance: Instance, tree: ast.FunctionDef, given: list[tuple[str, Type]], result: Type) -> str:
    """A function that is one text of assembly; names in braces are symbols or numbers."""
    work = Statements(unit, instance)
    statements = [
        each for each in tree.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    ]
    call = statements[0].value if len(statements) == 1 and isinstance(statements[0], ast.Expr) else None
    try:
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "unsafe.asm" or len(call.args) != 1:
            work.error(tree, 'a naked function is one unsafe.asm("...", name=...)')
        template = work.assembly_text(call.args[0]).replace("$", "$$")
        symbols: list[str] = []
        names: dict[str, str] = {}
        for keyword in call.keywords:
            value = _compile_time(work, keyword.value)
            if isinstance(value, int):
                names[str(keyword.arg)] = str(int(value))
            elif isinstance(value, (MetalFunction, Static)):
                space = "ptr"
                if isinstance(value, Static):
                    symbol = unit.static_symbol(value)
                    space = "ptr addrspace(256)" if value.per_processor and unit.processor_space else "ptr"
                else:
                    symbol = unit.reference(value, {})
                names[str(keyword.arg)] = f"${{{len(symbols)}:c}}"
                symbols.append(f"{space} {symbol}")
            else:
                work.error(keyword.value, "a name in assembly is a function, a static or a number")
        try:
            text = template.format(**names)
        except (KeyError, IndexError, ValueError) as error:
            work.error(call, f"the assembly's names don't fit: {error}", "braces are doubled: {{ }}")
    except MetalError as error:
        work.report(error, tree)
        return ""
    except Poisoned:
        return ""
    constraints = ",".join(["i"] * len(symbols))
    operands = ", ".join(symbols)
    return "\n".join(
        [
            _header(unit, instance, given, result, ""),
            f'  call void asm sideeffect "{escape(text)}", "{constraints}"({operands})',
            "  unreachable",
            "}",
            "",
        ]
    )


def _compile_time(work: Statements, node: ast.expr) -> Any:
    """What a name in assembly stands for, statics themselves and not their places."""
    text = ast.unparse(node)
    parts = text.split(".")
    try:
        value: Any = work.instance.bindings.get(parts[0]) or work.function.lookup(parts[0])
        for each in parts[1:]:
            value = getattr(value, each)
    except (KeyError, AttributeError):
        value = getattr(work.expression(node), "value", None)
    return value.function if isinstance(value, Hook) else value
