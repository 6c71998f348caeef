"""Finds the syntax tree of a function: each file is parsed once, functions are found by first line and name."""

from __future__ import annotations

import ast
import linecache
from functools import cache
from types import CodeType

__all__ = ["function_tree"]


@cache
def _functions(file: str) -> dict[tuple[str, int], ast.FunctionDef]:
    tree = ast.parse("".join(linecache.getlines(file)), file)
    found: dict[tuple[str, int], ast.FunctionDef] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name, first] = node
    return found


def function_tree(code: CodeType) -> ast.FunctionDef | None:
    """The tree of the function whose code this is, or None if its source can't be found."""
    return _functions(code.co_filename).get((code.co_name, code.co_firstlineno))
