"""goanna test: `go test` as it is, with `-exec` set so that every package's tests run in a booted image."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from goanna.failure import Failure
from goanna.program.toolchain import HOW_TO_GET_GO, build_environment, check_sanitizers, find_go

# Flags whose values begin with a path of this computer.
_PATHS = ("--add", "--share", "--env-file", "--pcap")


def test(go_words: Sequence[str], own: Sequence[str]) -> int:
    """Run go test with these words, and `goanna exec` with our own; gives go's exit status. Raises Failure."""
    if any(word.lstrip("-").partition("=")[0] == "exec" for word in _before_arguments(go_words)):
        raise Failure("-exec is what goanna test sets by itself", "Use `go test` with an -exec of your own.")
    check_sanitizers(_before_arguments(go_words))
    runner = [sys.executable, "-m", "goanna.cli.main", "exec", *_seen_from(os.getcwd(), own)]
    command = [str(find_go()), "test", f"-exec={' '.join(map(_quoted, runner))}", *go_words]
    try:
        # go gets the terminal's signals as this process does, and ends in its own way.
        with subprocess.Popen(command, env=build_environment("amd64")) as process:
            while True:
                try:
                    status = process.wait()
                    break
                except KeyboardInterrupt:
                    continue
    except OSError as error:
        raise Failure(f"{command[0]}: can't be started: {error.strerror}", HOW_TO_GET_GO) from None
    return status if status >= 0 else 128 - status


def _seen_from(folder: str, own: Sequence[str]) -> list[str]:
    """Goanna's flags with paths of this computer that hold wherever go starts a package's tests."""
    found = list(own)
    for index, word in enumerate(own[:-1]):
        if word in _PATHS and not own[index + 1].startswith("/"):
            found[index + 1] = os.path.join(folder, own[index + 1])
    return found


def _before_arguments(words: Sequence[str]) -> list[str]:
    found = []
    for word in words:
        if word in ("-args", "--args"):
            break
        if word.startswith("-"):
            found.append(word)
    return found


def _quoted(word: str) -> str:
    """A word of -exec, as go reads it: quotes of one kind around it, and nothing that escapes (cmd/internal/quoted)."""
    if not word or any(character in " \t\n\"'" for character in word):
        if "'" in word and '"' in word:
            raise Failure(f"{word}: go can't be told a word with quotes of both kinds", "Use a file: --env-file.")
        quote = '"' if "'" in word else "'"
        return f"{quote}{word}{quote}"
    return word
