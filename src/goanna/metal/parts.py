"""Divides a unit into modules that are optimised apart: on all processors at once, and after an edit only those that it
touches.

Each function and variable belongs to one part: that of its Python module, or the one that alone uses it. A part has,
besides its own, copies of the small functions of others that it calls, which the optimiser may put into their callers;
so the division costs next to nothing. A part's text depends on nothing else, and is the key of its object in a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .pieces import Piece
from .unit import Unit

__all__ = ["Part", "divide"]

# How large a function can be, in lines before it is optimised, that may still be worth a copy in its callers.
COPIED = 100
ROUNDS = 2  # in which pieces follow what alone uses them: with more, most of the kernel comes to one part


class Part(NamedTuple):
    """A module of a divided unit."""

    name: str
    text: str


def divide(unit: Unit, part_of: Callable[[str], str]) -> list[Part]:
    """The parts of a unit, sorted by name. `part_of` gives the part of a Python module, by its name."""
    return _Division(unit, part_of).parts()


class _Division:
    def __init__(self, unit: Unit, part_of: Callable[[str], str]) -> None:
        self.unit = unit
        self.pieces = {each.symbol: each for each in sorted(unit.pieces, key=lambda each: each.symbol)}
        self.owner = {name: part_of(each.module) for name, each in self.pieces.items() if each.module}
        self._follow()
        self.own: dict[str, list[Piece]] = {}
        for name, part in self.owner.items():
            self.own.setdefault(part, []).append(self.pieces[name])
        self.copies = {part: self._copies(part) for part in self.own}
        self.shown = set()
        for part in self.own:
            self.shown |= {name for name in self._mentioned(part) if self.owner.get(name, part) != part}

    def _follow(self) -> None:
        """Move what the functions of one part alone use to that part, where the optimiser knows all about it. What is
        in a table stays where it is declared, or all would come to the part that calls the kernel's entry points."""
        users: dict[str, set[str]] = {name: set() for name in self.owner}
        for name in self.owner:
            for each in self.pieces[name].references:
                if each in users and each != name:
                    users[each].add(name)
        for _ in range(ROUNDS):
            moved = {}
            for name, found in users.items():
                piece = self.pieces[name]
                parts = {self.owner[user] for user in found}
                if not piece.local or len(parts) != 1 or self.owner[name] in parts:
                    continue
                if not piece.function or all(self.pieces[user].function for user in found):
                    moved[name] = parts.pop()
            if not moved:
                break
            self.owner.update(moved)

    def _copies(self, part: str) -> dict[str, Piece]:
        """The functions of others that the part may put into its own, by symbol."""
        found: dict[str, Piece] = {}
        queue = [each for each in self.own[part] if each.function]
        while queue:
            for name in queue.pop().references:
                piece = self.pieces.get(name)
                if piece is None or not piece.function or name in found or self.owner[name] == part:
                    continue
                if piece.size <= COPIED and piece.copies:
                    found[name] = piece
                    queue.append(piece)
        return found

    def _mentioned(self, part: str) -> set[str]:
        """All symbols in the part's text."""
        found = {name for each in (*self.own[part], *self.copies[part].values()) for name in each.references}
        # Tables of others may be seen with their content, and mention more.
        queue = list(found)
        while queue:
            piece = self.pieces.get(queue.pop())
            if piece is None or piece.function or self.owner.get(piece.symbol, part) == part:
                continue
            if " external " not in piece.outside:
                new = set(piece.references) - found
                found |= new
                queue += new
        return found

    def parts(self) -> list[Part]:
        return [Part(part, self._text(part)) for part in sorted(self.own)]

    def _text(self, part: str) -> str:
        own, copies = self.own[part], self.copies[part]
        inside = {each.symbol for each in own}
        texts = []
        for name in sorted(self._mentioned(part) - inside - set(copies)):
            piece = self.pieces.get(name)
            declared = piece.outside if piece is not None else self.unit.declared.get(name)
            if declared is not None:
                texts.append(declared)
        texts += [each.shown() if each.symbol in self.shown else each.text for each in _variables_first(own)]
        texts += [copies[name].copied() for name in sorted(copies)]
        functions = [each.symbol for each in own if each.function] + sorted(copies)
        return self.unit.module(texts, functions, [each.symbol for each in own if not each.function])


def _variables_first(pieces: Iterable[Piece]) -> list[Piece]:
    return sorted(pieces, key=lambda each: (each.function, each.symbol))
