"""What a unit consists of: functions and variables in LLVM text, each with what stands for it where it is only used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Piece", "function_piece"]

_HEAD = re.compile(r'define (?:internal )?(.*?@"[^"]+")\((.*?)\) (.*)')
_ARGUMENT = re.compile(r" %arg\d+")
_SYMBOL = re.compile(r'@"([^"]+)"|@([\w.$]+)')


@dataclass
class Piece:
    """A function or a variable."""

    symbol: str
    module: str  # where it is declared; "": nowhere, every module that uses it has its own
    text: str  # its definition
    outside: str  # its declaration, or a definition that only tells the optimiser what it is
    function: bool = False

    @cached_property
    def references(self) -> list[str]:
        """The symbols that it mentions, sorted; its own among them, for a function."""
        return sorted({quoted or bare for quoted, bare in _SYMBOL.findall(self.text)})

    @cached_property
    def size(self) -> int:
        """A measure of a function's work before it is optimised: lines, without those that only tell of variables."""
        return self.text.count("\n") - self.text.count("#dbg_") - self.text.count(" = alloca ")

    @property
    def local(self) -> bool:
        """Whether the unit shows it to nobody."""
        return self.text.startswith(("define internal ", f'@"{self.symbol}" = internal '))

    def shown(self) -> str:
        """The definition, seen by other modules."""
        return self.text.replace("internal ", "", 1) if self.local else self.text

    def copied(self) -> str:
        """The definition for a module that may put it into its own functions, but doesn't keep it."""
        return self.text.replace("define internal ", "define ", 1).replace("define ", "define available_externally ", 1)

    @property
    def copies(self) -> bool:
        """Whether a function may be put into others at all."""
        words = self.text[: self.text.index("\n")]
        return " noinline" not in words and " section " not in words


def function_piece(symbol: str, module: str, text: str) -> Piece:
    """The piece of a function's definition."""
    head = _HEAD.match(text)
    assert head is not None, text
    cold = " cold" if " cold " in head[3] else ""
    declaration = f"declare {head[1]}({_ARGUMENT.sub('', head[2])}) #0{cold}"
    return Piece(symbol, module, text, declaration, function=True)
