"""Debug information as LLVM metadata: gdb steps through the .py files of a running kernel and shows its variables.

Metadata is a graph of numbered nodes, written once each. The unit's own metadata (branch weights) has the numbers below
FIRST. What a metal type looks like to a debugger is in `debug_types`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .debug_types import TypeNodes
from .types import Type, VoidType

if TYPE_CHECKING:
    from .function import Static
    from .unit import Instance

__all__ = ["FIRST", "DebugInfo"]

FIRST = 16


class DebugInfo:
    """The debug information of one unit: one compile unit, DWARF 5, the language C11, which gdb knows best.

    Each method gives the number of a node, or text that is put into the function being written.
    """

    def __init__(self, title: str = "metal") -> None:
        """`title` is the name of the compile unit; files are named by their absolute paths."""
        self._lines: list[str] = []
        self._next = FIRST
        self._files: dict[str, int] = {}
        self._locations: dict[tuple[int, int, int], int] = {}
        self._subprograms: dict[int, str] = {}
        self._globals: list[int] = []
        self._unit = self.reserve()
        self._title = title
        self._expression = self.node("!DIExpression()")
        self.types = TypeNodes(self)

    def reserve(self) -> int:
        """A number whose node is written later: types may contain themselves."""
        self._next += 1
        return self._next - 1

    def write(self, number: int, text: str) -> int:
        """Write the node of a reserved number."""
        self._lines.append(f"!{number} = {text}")
        return number

    def node(self, text: str) -> int:
        """Write a new node."""
        return self.write(self.reserve(), text)

    def file(self, path: str) -> int:
        """The node of a source file."""
        if path not in self._files:
            folder, name = os.path.split(os.path.abspath(path))
            self._files[path] = self.node(f"!DIFile(filename: {quote(name)}, directory: {quote(folder)})")
        return self._files[path]

    def subprogram(
        self, name: str, linkage: str, file: str, line: int, types: Sequence[Type], local: bool = True
    ) -> int:
        """The node of a function that is defined: its `!dbg` and the scope of its locations and locals.

        `types` begins with the result's. `name` is what a person reads, `linkage` the symbol.
        """
        parts = ["null" if isinstance(each, VoidType) else f"!{self.types.value(each)}" for each in types]
        signature = self.node(f"!DISubroutineType(types: !{{{', '.join(parts)}}})")
        file_node = self.file(file)
        flags = "DISPFlagDefinition | DISPFlagOptimized" + (" | DISPFlagLocalToUnit" if local else "")
        number = self.node(
            f"distinct !DISubprogram(name: {quote(name)}, scope: !{file_node}, "
            f"file: !{file_node}, line: {line}, scopeLine: {line}, type: !{signature}, flags: DIFlagPrototyped, "
            f"spFlags: {flags}, unit: !{self._unit})"
        )
        self._subprograms[number] = file
        return number

    def function(self, instance: Instance, line: int, parameters: Sequence[Type], result: Type) -> int:
        """The node of a compiled function; `line` is that of its `def`."""
        function = instance.function
        name = function.name.replace("<locals>.", "")
        exported = function.export is not None
        return self.subprogram(
            name, instance.symbol, function.code.co_filename, line, [result, *parameters], not exported
        )

    def location_id(self, line: int, column: int, scope: int) -> int:
        """The node of a place in the source: lines and columns from 1, in a subprogram."""
        key = (line, column, scope)
        if key not in self._locations:
            self._locations[key] = self.node(f"!DILocation(line: {line}, column: {column}, scope: !{scope})")
        return self._locations[key]

    def location(self, line: int, column: int, scope: int) -> str:
        """The suffix `, !dbg !N` that ties an instruction to its place."""
        return f", !dbg !{self.location_id(line, column, scope)}"

    def local(self, name: str, type_: Type, slot: str, line: int, argument: int, scope: int) -> str:
        """The record that names a local whose memory is at `slot`: `argument` counts from 1, 0 is no parameter.

        Where the memory holds a reference to a structure or array, the debugger shows a pointer.
        """
        where = self.file(self._subprograms[scope])
        number = f"arg: {argument}, " if argument else ""
        variable = self.node(
            f"!DILocalVariable(name: {quote(name)}, {number}scope: !{scope}, file: !{where}, line: {line}, "
            f"type: !{self.types.value(type_)})"
        )
        return f"#dbg_declare(ptr {slot}, !{variable}, !{self._expression}, !{self.location_id(line, 1, scope)})"

    def static(self, static: Static, symbol: str) -> str:
        """The suffix `, !dbg !N` of a static's definition."""
        type_node = self.types.memory(static.type)
        variable = self.node(
            f"distinct !DIGlobalVariable(name: {quote(static.name or 'static')}, "
            f"scope: !{self._unit}, file: !{self.file(static.file)}, line: {static.line}, type: !{type_node}, "
            "isLocal: true, isDefinition: true)"
        )
        number = self.node(f"!DIGlobalVariableExpression(var: !{variable}, expr: !{self._expression})")
        self._globals.append(number)
        return f", !dbg !{number}"

    def lines(self) -> list[str]:
        """All nodes, and the named metadata that makes LLVM see them. To be asked for once, at the end."""
        globals_ = self.node(f"!{{{', '.join(f'!{each}' for each in self._globals)}}}")
        first = os.path.abspath(next(iter(self._files), self._title))
        file = self.node(f'!DIFile(filename: {quote(first)}, directory: "")')
        self.write(
            self._unit,
            f"distinct !DICompileUnit(language: DW_LANG_C11, file: !{file}, producer: {quote(self._title)}, "
            f"isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug, globals: !{globals_}, "
            "splitDebugInlining: false, nameTableKind: None)",
        )
        version = self.node('!{i32 7, !"Dwarf Version", i32 5}')
        format_ = self.node('!{i32 2, !"Debug Info Version", i32 3}')
        return [*self._lines, f"!llvm.dbg.cu = !{{!{self._unit}}}", f"!llvm.module.flags = !{{!{version}, !{format_}}}"]


def quote(text: str) -> str:
    """A metadata string."""
    return '"' + "".join(c if " " <= c < "\x7f" and c not in '"\\' else f"\\{ord(c) & 255:02X}" for c in text) + '"'
