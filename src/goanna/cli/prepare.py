"""What build, run and inspect share: from the words of a command to a program, and from a program to an image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.cli.progress import Progress
from goanna.cli.words import Words
from goanna.failure import Failure
from goanna.image.layout import Launch, program_path
from goanna.program.elf import Program, read_program
from goanna.program.toolchain import built_program


@contextmanager
def program_of(words: Words) -> Iterator[Program]:
    """The checked program that the words name, built if need be; it lasts as long as the context."""
    finished = words.finished()
    if finished is not None:
        yield read_program(finished)
        return
    with (
        Progress(f"go build {' '.join(words.programs)}") as progress,
        built_program(words.programs, words.go_flags, before_output=progress.stop) as path,
    ):
        progress.stop()
        yield read_program(path)


def make_image(destination: Path, program: Program, words: Words, environment: dict[bytes, bytes]) -> None:
    """Put a program and the kernel into an image; the kernel is built first if it has to be."""
    from goanna.image.elf import write_image
    from goanna.kernel.build import built_kernel

    arguments = [os.fsencode(each) for each in words.arguments or []]
    launch = Launch(os.fsencode(program_path(program.path.name)), arguments, environment)
    with Progress("building the kernel, once for each state of its sources"):
        kernel = built_kernel()
    write_image(destination, kernel, program, launch)


@contextmanager
def temporary_image(program: Program, words: Words, environment: dict[bytes, bytes]) -> Iterator[Path]:
    """An image that lasts as long as the context."""
    with TemporaryDirectory(prefix="goanna-") as folder:
        image = Path(folder, f"{program.path.name}.img")
        make_image(image, program, words, environment)
        yield image


def parse_environment(settings: Sequence[str]) -> dict[bytes, bytes]:
    """`-e KEY=VALUE` gives a value, `-e KEY` takes it from this process's environment, if it is there."""
    environment = {}
    for setting in settings:
        key, given, value = setting.partition("=")
        if not key:
            raise Failure(f"-e {setting}: there is no name before the `=`", "Write it like -e KEY=VALUE.")
        if given:
            environment[os.fsencode(key)] = os.fsencode(value)
        elif key in os.environ:
            environment[os.fsencode(key)] = os.fsencode(os.environ[key])
    return environment
