"""What is in an image and where: the root tree with the program in it, and the order of the parts in memory.

In memory, from the kernel's load address on: the kernel with its zeroed data, the panic table, the boot information,
the checksum table, the bundle. Each begins on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goanna.image.erofs import File, Folder

PAGE = 4096

# What the kernel and the smallest program take beside the image while they run: page tables, stacks, the program's
# heap.
WORKING_MEMORY = 1 << 20

# Folders that programs expect; what is in them comes from the kernel, or from the program.
_FOLDERS = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "proc": 0o555, "root": 0o700, "sys": 0o555, "tmp": 0o1777}


@dataclass(frozen=True)
class Launch:
    """How the program is started: its path in the bundle, what follows its name, its environment."""

    path: bytes
    arguments: Sequence[bytes]
    environment: Mapping[bytes, bytes]


@dataclass(frozen=True)
class Place:
    """A part's place in physical memory, in bytes."""

    address: int
    size: int

    @property
    def end(self) -> int:
        """The first page border after it."""
        return page_end(self.address + self.size)


@dataclass(frozen=True)
class Layout:
    """The places of the parts that follow the kernel."""

    panic_table: Place
    boot: Place
    checksums: Place
    bundle: Place

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.bundle.address + self.bundle.size


def page_end(address: int) -> int:
    """The first page border at or after an address."""
    return -(-address // PAGE) * PAGE


def lay_out(kernel_end: int, panic_table: int, boot: int, checksums: int, bundle: int) -> Layout:
    """Places for the parts after the kernel, given their sizes in bytes."""
    first = Place(page_end(kernel_end), panic_table)
    second = Place(first.end, boot)
    third = Place(second.end, checksums)
    return Layout(first, second, third, Place(third.end, bundle))


def program_path(name: str) -> str:
    """Where a program of that name lies in the bundle."""
    return f"/bin/{name}"


def root_tree(program: Path, name: str) -> Folder:
    """The root file system: the folders that programs expect, and the program. All times are 0: the same bytes each
    time.
    """
    root = Folder()
    for folder, mode in _FOLDERS.items():
        root.add(folder, Folder(mode=mode))
    root.add(program_path(name), File(data=program, mode=0o755))
    return root
