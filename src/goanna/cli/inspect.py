"""goanna inspect: what is in a program or an image, and what it will ask of the kernel and the machine."""

from __future__ import annotations

import stat

from goanna.cli.prepare import program_of
from goanna.cli.words import Words
from goanna.image.reading import Image, is_image, read_image
from goanna.image.tree import entries
from goanna.machine.qemu import memory_text
from goanna.program.elf import PT_LOAD, Program, Segment, is_elf


def inspect(words: Words) -> int:
    """Print it; gives the exit status. Raises Failure."""
    finished = words.finished()
    if finished is not None and is_elf(finished) and is_image(finished):
        print(describe_image(read_image(finished)))
        return 0
    with program_of(words) as program:
        print(describe_program(program))
    return 0


def describe_program(program: Program) -> str:
    """A program in words."""
    place = "at any address" if program.position_independent else "at a fixed address"
    lines = [
        f"{program.path.name}: a program for linux/{program.architecture}, static, {place}",
        _line("size", f"{program.size:,} bytes"),
        _line("starts at", f"0x{program.entry:x}"),
    ]
    if program.interpreter:
        lines.append(_line("note", f"names {program.interpreter}, and needs no library of it"))
    lines += _go_lines(program)
    lines.append(_line("in memory", f"{program.mapped:,} bytes mapped, {program.written:,} of them writable"))
    lines += _segment_lines(program.loads)
    return "\n".join(lines)


def _go_lines(program: Program) -> list[str]:
    go = program.go
    if go is None:
        return [_line("Go", "no build information: another language, or an old Go")]
    lines = [_line("Go", go.version)]
    if go.path:
        lines.append(_line("package", f"{go.path}{f' of {go.module}' if go.module else ''}"))
    if go.settings:
        lines.append(_line("built with", " ".join(f"{key}={value}" for key, value in sorted(go.settings.items()))))
    return lines


def describe_image(image: Image) -> str:
    """An image in words, with the list of its files."""
    arguments = " ".join(each.decode(errors="replace") for each in image.arguments)
    environment = " ".join(
        f"{key.decode(errors='replace')}={value.decode(errors='replace')}" for key, value in image.environment.items()
    )
    lines = [
        f"{image.path.name}: an image for x86_64",
        _line(
            "size",
            f"{image.size:,} bytes, of them {image.kernel_size:,} the kernel's, {len(image.bundle):,} the bundle's",
        ),
        _line("memory", f"at least {memory_text(image.memory)}"),
        _line("starts", arguments),
        _line("environment", environment or "empty"),
    ]
    lines += _segment_lines([each for each in image.segments if each.kind == PT_LOAD])
    lines.append("  bundle")
    for entry in entries(image.bundle):
        target = f" -> {entry.target}" if entry.target else ""
        lines.append(f"    {stat.filemode(entry.mode)} {entry.size:>12,}  {entry.path}{target}")
    return "\n".join(lines)


def _segment_lines(segments: list[Segment]) -> list[str]:
    lines = ["  segments    address             in the file     in memory"]
    for each in segments:
        lines.append(f"    {each.access}       0x{each.address:016x} {each.file_size:>12,}  {each.memory_size:>12,}")
    return lines


def _line(name: str, text: str) -> str:
    return f"  {name:<11} {text}"
