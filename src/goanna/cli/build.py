"""goanna build: a program becomes an image."""

from __future__ import annotations

import os
from pathlib import Path

from goanna.cli.guest import Guest
from goanna.cli.prepare import make_image, program_of
from goanna.cli.words import Words
from goanna.failure import Failure
from goanna.image.reading import is_image
from goanna.program.elf import is_elf


def build(words: Words, output: str | None, guest: Guest) -> int:
    """Build and write the image; gives the exit status. Raises Failure."""
    finished = words.finished()
    if finished is not None and is_elf(finished) and is_image(finished):
        raise Failure(f"{finished}: is an image already", f"Start it with: goanna run {finished}")
    with program_of(words) as program:
        destination = Path(output) if output is not None else Path(f"{program.path.name}.img")
        if output is not None and (output.endswith("/") or os.path.isdir(destination)):
            destination = destination / f"{program.path.name}.img"
        if os.path.exists(destination) and destination.samefile(program.path):
            raise Failure(f"{destination}: is the program itself", "Name another place with -o.")
        make_image(destination, program, words, guest)
    return 0
