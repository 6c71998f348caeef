"""What metal says when a module is wrong: file, line, the source with a caret, what was expected, what was found."""

from __future__ import annotations

import ast
import builtins
import difflib
import linecache
import os
import traceback
from dataclasses import dataclass

__all__ = ["CheckFailed", "CompileErrors", "Diagnostic", "InternalError", "MetalError", "while_importing"]


@dataclass(frozen=True)
class Diagnostic:
    """One mistake. Lines count from 1, columns from 0; `hint` says what to write instead."""

    file: str
    line: int
    column: int
    end_column: int
    message: str
    hint: str = ""
    note: str = ""

    def __str__(self) -> str:
        source = linecache.getline(self.file, self.line).rstrip("\n")
        width = max(1, min(self.end_column, len(source)) - self.column)
        text = f"{self.file}:{self.line}:{self.column + 1}: error: {self.message}\n"
        if source:
            gutter = f"{self.line:5d} | "
            text += f"{gutter}{source}\n{' ' * (len(gutter) - 2)}| {' ' * self.column}{'^' * width}\n"
        if self.hint:
            text += f"      = help: {self.hint}\n"
        if self.note:
            text += f"      = note: {self.note}\n"
        return text


def while_importing(error: BaseException) -> Diagnostic:
    """What went wrong at the top level of a module, at its line: a mistake of Python's, or a declaration that metal
    refuses."""
    if isinstance(error, SyntaxError) and error.filename:
        column = max((error.offset or 1) - 1, 0)
        return Diagnostic(error.filename, error.lineno or 1, column, error.end_offset or column + 1, error.msg)
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not _of_the_tools(each.filename)]
    message = str(error) if isinstance(error, TypeError) else f"{type(error).__name__}: {error}"
    if not frames:
        return Diagnostic("?", 1, 0, 1, message)
    where = frames[-1]
    return Diagnostic(
        where.filename, where.lineno or 1, where.colno or 0, where.end_colno or 200, message, _import_hint(error)
    )


def _of_the_tools(file: str) -> bool:
    """Whether a file is Python's import machinery or metal's own: the mistake is in the one that called them."""
    return file.startswith("<") or os.path.dirname(os.path.abspath(file)) == os.path.dirname(os.path.abspath(__file__))


def _import_hint(error: BaseException) -> str:
    from .. import metal

    name = getattr(error, "name", None)
    if isinstance(error, NameError) and name in metal.__all__:
        return f"from goanna.metal import {name}"
    known = [*metal.__all__, *vars(builtins)]
    close = difflib.get_close_matches(name, known, 1) if isinstance(error, NameError) and name else []
    return f"did you mean {close[0]!r}?" if close else str(getattr(error, "hint", ""))


class MetalError(Exception):
    """One mistake, raised where it is found and gathered by the function being compiled."""

    def __init__(self, node: ast.AST | None, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.node, self.message, self.hint = node, message, hint


class Poisoned(Exception):
    """An expression built on one that already failed: nothing more to say."""


class CompileErrors(Exception):
    """All mistakes of a build."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = diagnostics
        count = len(diagnostics)
        super().__init__("\n".join(map(str, diagnostics)) + f"\n{count} error{'s' if count != 1 else ''}")


class InternalError(Exception):
    """metal made something that LLVM refuses: a fault of metal, not of the module."""


class CheckFailed(Exception):
    """A check failed in code under the JIT. `file` and `line` name the Python source."""

    def __init__(self, reason: str, function: str, file: str, line: int) -> None:
        super().__init__(f"{reason} in {function} ({file}:{line})")
        self.reason, self.function, self.file, self.line = reason, function, file, line
