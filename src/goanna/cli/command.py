"""How the verbs that take PROGRAM read their words: Goanna's flags go to typer, the rest is kept for the verb
(words.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from goanna.cli.project import find_settings, settings_by_place
from goanna.cli.words import Words, split, split_test
from goanna.failure import Failure

_KEPT = "goanna.words"


class ProgramCommand(TyperCommand):
    """A typer command whose flags may stand among those of go build."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        settings, go_settings = _settings_of(self, ctx)
        words = split(args, _flags(self))
        # They come first, so that the same flag on the command line counts.
        words.own[:0], words.go_flags[:0] = settings, go_settings
        ctx.meta[_KEPT] = words
        return super().parse_args(ctx, words.own)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", "[GO BUILD FLAGS]", "PROGRAM", "[-- ARGUMENTS]"]


class FinishedCommand(TyperCommand):
    """A typer command for a program that is there: its flags, its path, its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, [*_settings_of(self, ctx)[0], *args])


class TestCommand(TyperCommand):
    """A typer command whose flags, all with two dashes, may stand among the words of go test."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        settings, go_settings = _settings_of(self, ctx)
        own, go_words = split_test(args, _flags(self))
        ctx.meta[_KEPT] = Words(own=own, go_flags=[*go_settings, *go_words])
        return super().parse_args(ctx, [*settings, *own])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", "[GO TEST FLAGS]", "[PACKAGES]"]


def _settings_of(command: Any, ctx: Any) -> tuple[list[str], list[str]]:
    """What goanna.toml says: the command's own flags, and those of go build."""
    own = _flags(command)
    path = find_settings(Path.cwd())
    if path is None:
        return [], []
    verbs = ctx.parent.command.commands.values() if ctx.parent is not None else [command]
    known = {flag for verb in verbs for flag in _flags(verb)}
    places = settings_by_place(path, own, known)
    for place, word in places:
        _check(command, ctx, place, word)
    words = split([word for _, word in places], own)
    return words.own, words.go_flags


def _check(command: Any, ctx: Any, place: str, word: str) -> None:
    """Raise Failure for a flag's value that typer won't take, by its place in goanna.toml."""
    flag, given, value = word.partition("=")
    for parameter in command.params:
        if given and flag in parameter.opts:
            try:
                parameter.process_value(ctx, [value] if parameter.multiple else value)
            except typer.BadParameter as error:
                raise Failure(f"{place}: {error.message}") from None


def words_of(ctx: Any) -> Words:
    """The words of the running command that are not Goanna's flags."""
    words: Words = ctx.meta[_KEPT]
    return words


def _flags(command: Any) -> dict[str, bool]:
    flags = {"-h": False, "--help": False}
    for parameter in command.params:
        for name in [*parameter.opts, *parameter.secondary_opts]:
            if name.startswith("-"):
                flags[name] = not getattr(parameter, "is_flag", False)
    return flags
