"""How the verbs that take PROGRAM read their words: Goanna's flags go to typer, the rest is kept for the verb
(words.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from goanna.cli.project import find_settings, settings_words
from goanna.cli.words import Words, split

_KEPT = "goanna.words"


class ProgramCommand(TyperCommand):
    """A typer command whose flags may stand among those of go build."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = _flags(self)
        settings = find_settings(Path.cwd())
        if settings is not None:
            verbs = ctx.parent.command.commands.values() if ctx.parent is not None else [self]
            known = {flag for verb in verbs for flag in _flags(verb)}
            # They come first, so that the same flag on the command line counts.
            args = settings_words(settings, own, known) + args
        words = split(args, own)
        ctx.meta[_KEPT] = words
        return super().parse_args(ctx, words.own)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", "[GO BUILD FLAGS]", "PROGRAM", "[-- ARGUMENTS]"]


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
