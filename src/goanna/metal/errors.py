"""What metal says when a module is wrong: file, line, the source with a caret, what was expected, what was found."""

from __future__ import annotations

import ast
import linecache
from dataclasses import dataclass

__all__ = ["CheckFailed", "CompileErrors", "Diagnostic", "InternalError", "MetalError"]


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
