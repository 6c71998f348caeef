"""Finds the syntax tree of a function: each file is parsed once, functions are found by first line and name. And names
files so that what is compiled from them is the same wherever they lie."""

from __future__ import annotations

import ast
import linecache
import os
from functools import cache
from types import CodeType

__all__ = ["SOURCES", "function_tree", "source_name"]

# The folder in which the package lies that metal is a part of: what file names begin from.
SOURCES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

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


def source_name(path: str) -> str:
    """What a source file is called in what is compiled from it: in the package `goanna/kernel/memory/pages.py`, so that
    two copies of the package give the same bytes; the absolute path of any other file."""
    whole = os.path.abspath(path)
    package = os.path.join(SOURCES, "goanna", "")
    return os.path.relpath(whole, SOURCES).replace(os.sep, "/") if whole.startswith(package) else whole
