"""What an image says of its program, and where its parts lie.

In memory, from the kernel's load address on: the kernel with its zeroed data, the panic table, the boot information,
the checksum table and its own checksums, the bundle. Each begins on a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from goanna.image.users import User
from goanna.kernel.shared.boot import FLAG_USER, boot_information

PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What image and runner may both say of the program's surroundings. None and 0: nothing is said. `files_limit` in
    bytes.
    """

    directory: bytes | None = None
    hostname: bytes | None = None
    user: User | None = None
    files_limit: int = 0

    def standing_in(self, directory: bytes) -> Wishes:
        """The same with another working directory."""
        return replace(self, directory=directory)

    def packed(self, flags: int = 0, **more: Any) -> bytes:
        """Boot information with these wishes and what else is to be said. Raises ValueError for a zero byte."""
        numbers: dict[str, Any] = {"user": self.user.user, "group": self.user.group} if self.user is not None else {}
        return boot_information(
            directory=self.directory, hostname=self.hostname, files_limit=self.files_limit,
            flags=flags | (FLAG_USER if self.user is not None else 0),
            groups=self.user.further if self.user is not None else None, **numbers, **more,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the program is started: its path in the bundle, its arguments from argv[0] on, its environment. `flags` are
    FLAG_SOCKETS and FLAG_RESOLVER.
    """

    path: bytes
    arguments: Sequence[bytes]
    environment: Mapping[bytes, bytes]
    wishes: Wishes = Wishes()
    flags: int = 0


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
    roots: Place
    bundle: Place

    @property
    def end(self) -> int:
        """The address after the last byte."""
        return self.bundle.address + self.bundle.size


def page_end(address: int) -> int:
    """The first page border at or after an address."""
    return -(-address // PAGE) * PAGE


def lay_out(kernel_end: int, panic_table: int, boot: int, checksums: int, roots: int, bundle: int) -> Layout:
    """Places for the parts after the kernel, given their sizes in bytes."""
    first = Place(page_end(kernel_end), panic_table)
    second = Place(first.end, boot)
    third = Place(second.end, checksums)
    fourth = Place(third.end, roots)
    return Layout(first, second, third, fourth, Place(fourth.end, bundle))


def program_path(name: str) -> str:
    """Where a program of that name lies in the bundle."""
    return f"/bin/{name}"
