"""What build, run and inspect share: from the words of a command to a program, and from a program to an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.cli.guest import Guest
from goanna.cli.progress import Progress
from goanna.cli.words import Words
from goanna.image.assembly import Assembly
from goanna.image.layout import Launch, program_path
from goanna.kernel.shared.boot import FLAG_SOCKETS
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


def make_image(destination: Path, program: Program, words: Words, guest: Guest) -> None:
    """Put a program and the kernel into an image; the kernel is built first if it has to be."""
    path = program_path(program.path.name)
    with Progress("reading the files of the image"):
        tree, needed = guest.tree(program.path, path)
    arguments = [os.fsencode(each) for each in (path, *(words.arguments or []))]
    launch = Launch(
        path=os.fsencode(path),
        arguments=arguments,
        environment=guest.environment_in(tree),
        wishes=guest.wishes_in(tree),
        flags=needed,
    )
    put_together(destination, tree, launch)


def put_together(destination: Path, tree: Assembly, launch: Launch) -> None:
    """Write an image of a tree, with the kernel that its launch needs, which is built first if it has to be."""
    from goanna.image.elf import write_image
    from goanna.kernel.build import built_kernel

    with Progress("building the kernel, once for each state of its sources"):
        kernel = built_kernel(network=launch.flags & FLAG_SOCKETS != 0)
    with Progress(f"writing {destination}"):
        write_image(destination, kernel, tree.root, launch)


@contextmanager
def temporary_image(program: Program, words: Words, guest: Guest) -> Iterator[Path]:
    """An image that lasts as long as the context."""
    with TemporaryDirectory(prefix="goanna-") as folder:
        image = Path(folder, f"{program.path.name}.img")
        make_image(image, program, words, guest)
        yield image
