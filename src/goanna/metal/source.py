"""Finds the syntax tree of a function: each file is parsed once, functions are found by first line and name."""

from __future__ import annotations

import ast
import linecache
from functools import cache
from types import CodeType

__all__ = ["function_tree"]


# Where statements hold others. Expressions, which are most of a tree, hold no function that has a name.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@cache
def _functions(file: str) -> dict[tuple[str, int], ast.FunctionDef]:
    found: dict[tuple[str, int], ast.FunctionDef] = {}
    queue: list[ast.AST] = [ast.parse("".join(linecache.getlines(file)), file)]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name, first] = node
        for block in _BLOCKS:
            inside = getattr(node, block, None)
            if isinstance(inside, list):
                queue += inside
    return found


def function_tree(code: CodeType) -> ast.FunctionDef | None:
    """The tree of the function whose code this is, or None if its source can't be found."""
    return _functions(code.co_filename).get((code.co_name, code.co_firstlineno))
