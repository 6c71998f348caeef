"""Debug information as LLVM metadata: gdb steps through the .py files of a running kernel and shows its variables.

Metadata is a graph of numbered nodes, written once each. A node's number comes from what it says, or from the function
that it belongs to, and from nothing else in the unit: so the text of a function is the same after an edit of another
(`parts`). What a metal type looks like to a debugger is in `debug_types`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .debug_types import TypeNodes
from .source import source_name
from .types import Type, VoidType

if TYPE_CHECKING:
    from .function import Static
    from .unit import Instance

__all__ = ["DebugInfo", "stable_hash"]

# Numbers of nodes: those of the unit itself (branch weights have the ones below), then nodes that functions share, then
# those of functions, in blocks.
_UNIT, _FILE, _GLOBALS, _VERSION, _FORMAT, _EXPRESSION, _SHARED = 16, 17, 18, 19, 20, 21, 32
_BLOCKS, _BLOCK = 1 << 24, 1 << 12
_LAST_BLOCK = ((1 << 32) - _BLOCKS) // _BLOCK - 1
_REFERENCE = re.compile(r"!(\d+)")


def stable_hash(text: str, limit: int) -> int:
    """A number below `limit` for a text, the same in every run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") % limit


class DebugInfo:
    """The debug information of one unit: one compile unit in each module, DWARF 5, the language C11, which gdb knows
    best.

    Each method gives the number of a node, or text that is put into the function being written.
    """

    def __init__(self, title: str = "metal") -> None:
        """`title` is the name of the compile unit; files are named as `source_name` does."""
        self._shared: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        self._functions: dict[str, dict[int, str]] = {}
        self._block: dict[int, str] = {}
        self._blocks: set[int] = set()
        self._next = self._end = 0
        self._files: dict[str, int] = {}
        self._locations: dict[tuple[int, int, int], int] = {}
        self._subprograms: dict[int, str] = {}
        self._globals: dict[str, int] = {}
        self._title = title
        self.types = TypeNodes(self)

    def reserve(self, key: str) -> int:
        """A number whose node is written later: types may contain themselves."""
        number = _SHARED + stable_hash(key, _BLOCKS - _SHARED)
        while number in self._shared:
            number = number + 1 if number + 1 < _BLOCKS else _SHARED
        self._shared[number] = ""
        return number

    def write(self, number: int, text: str) -> int:
        """Write the node of a reserved number."""
        self._shared[number] = text
        return number

    def node(self, text: str) -> int:
        """The node of a text."""
        if text not in self._numbers:
            self._numbers[text] = self.write(self.reserve(text), text)
        return self._numbers[text]

    def _own(self, text: str) -> int:
        """A new node of the function being written."""
        if self._next == self._end:
            name = f"{next(reversed(self._functions))} {len(self._block)}"
            block = stable_hash(name, _LAST_BLOCK)
            while block in self._blocks:
                block = (block + 1) % _LAST_BLOCK
            self._blocks.add(block)
            self._next = _BLOCKS + block * _BLOCK
            self._end = self._next + _BLOCK
        self._block[self._next] = text
        self._next += 1
        return self._next - 1

    def file(self, path: str) -> int:
        """The node of a source file."""
        if path not in self._files:
            folder, name = os.path.split(source_name(path))
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
        self._block = self._functions[linkage] = {}
        self._next = self._end
        number = self._own(
            f"distinct !DISubprogram(name: {quote(name)}, scope: !{file_node}, "
            f"file: !{file_node}, line: {line}, scopeLine: {line}, type: !{signature}, flags: DIFlagPrototyped, "
            f"spFlags: {flags}, unit: !{_UNIT})"
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
            self._locations[key] = self._own(f"!DILocation(line: {line}, column: {column}, scope: !{scope})")
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
        variable = self._own(
            f"!DILocalVariable(name: {quote(name)}, {number}scope: !{scope}, file: !{where}, line: {line}, "
            f"type: !{self.types.value(type_)})"
        )
        return f"#dbg_declare(ptr {slot}, !{variable}, !{_EXPRESSION}, !{self.location_id(line, 1, scope)})"

    def static(self, static: Static, symbol: str) -> str:
        """The suffix `, !dbg !N` of a static's definition."""
        type_node = self.types.memory(static.type)
        variable = self.reserve(f"{symbol} variable")
        self.write(
            variable,
            f"distinct !DIGlobalVariable(name: {quote(static.name or 'static')}, "
            f"scope: !{_UNIT}, file: !{self.file(static.file)}, line: {static.line}, type: !{type_node}, "
            "isLocal: true, isDefinition: true)",
        )
        number = self.node(f"!DIGlobalVariableExpression(var: !{variable}, expr: !{_EXPRESSION})")
        self._globals[symbol] = number
        return f", !dbg !{number}"

    def lines(self, functions: Iterable[str] | None = None, statics: Iterable[str] | None = None) -> list[str]:
        """The nodes of a module with these functions and statics, by symbol; without them of the whole unit. And the
        named metadata that makes LLVM see them."""
        names = self._functions if functions is None else functions
        blocks = [self._functions[each] for each in names if each in self._functions]
        known = self._globals if statics is None else statics
        globals_ = [self._globals[each] for each in known if each in self._globals]
        own = [f"!{number} = {text}" for block in blocks for number, text in block.items()]
        wanted = set(globals_)
        for block in blocks:
            for text in block.values():
                if not text.startswith("!DILocation("):
                    wanted.update(map(int, _REFERENCE.findall(text)))
        shared = [f"!{number} = {self._shared[number]}" for number in sorted(self._reached(wanted))]
        paths = [path for path, file in self._files.items() if file in wanted]
        first = min(map(source_name, paths), default=self._title)
        return [
            *own, *shared,
            f"!{_UNIT} = distinct !DICompileUnit(language: DW_LANG_C11, file: !{_FILE}, "
            f"producer: {quote(self._title)}, isOptimized: true, runtimeVersion: 0, emissionKind: FullDebug, "
            f"globals: !{_GLOBALS}, splitDebugInlining: false, nameTableKind: None)",
            f'!{_FILE} = !DIFile(filename: {quote(first)}, directory: "")',
            f"!{_GLOBALS} = !{{{', '.join(f'!{each}' for each in globals_)}}}",
            f'!{_VERSION} = !{{i32 7, !"Dwarf Version", i32 5}}',
            f'!{_FORMAT} = !{{i32 2, !"Debug Info Version", i32 3}}',
            f"!{_EXPRESSION} = !DIExpression()",
            f"!llvm.dbg.cu = !{{!{_UNIT}}}",
            f"!llvm.module.flags = !{{!{_VERSION}, !{_FORMAT}}}",
        ]  # fmt: skip

    def _reached(self, numbers: Iterable[int]) -> set[int]:
        """The shared nodes among some nodes and all that they mention."""
        found: set[int] = set()
        queue = list(numbers)
        while queue:
            number = queue.pop()
            if number in self._shared and number not in found:
                found.add(number)
                queue.extend(map(int, _REFERENCE.findall(self._shared[number])))
        return found


def quote(text: str) -> str:
    """A metadata string."""
    return '"' + "".join(c if " " <= c < "\x7f" and c not in '"\\' else f"\\{ord(c) & 255:02X}" for c in text) + '"'
