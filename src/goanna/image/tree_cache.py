"""Trees of this computer that machines look at without changing them: each an EROFS file, made once for each state of
its folder, and shared by all machines.

The state is what a walk sees: names, sizes, modes, times and extended attributes. A file that is in use stays readable
when it is removed.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import xxhash

from goanna.cache import cache_folder
from goanna.failure import Failure
from goanna.image.erofs import File, FileChanged, FileSystem, Folder, Link, Node
from goanna.image.host_files import HostFiles
from goanna.image.whole_file import written_whole
from goanna.kernel.shared.tree_sums import TREE_BLOCK, TreeSums
from goanna.layouts import packed

# Raised when the same folder gives other bytes than before.
_FORMAT = 3
# Seconds after its last use that an older state of a folder is kept: another machine may be about to open it.
_KEPT = 3600.0


def read_tree(folder: Path, wanted: Callable[[str], bool]) -> Folder:
    """A folder's tree, without what is not `wanted`; not yet the contents of its files. Raises Failure."""
    top = HostFiles(wanted).node(folder)
    if not isinstance(top, Folder):
        raise Failure(f"{folder}: is not a folder")
    return top


def cached_tree(folder: Path, top: Folder, building: Callable[[], None] = lambda: None) -> Path:
    """The EROFS file with what `read_tree` read of a folder. `building` is called if it has to be made.

    Raises Failure.
    """
    place = cache_folder("trees")
    name = xxhash.xxh64_hexdigest(os.fsencode(folder))
    made = place / f"{name}-{_state(top)}.erofs"
    with _alone(place / f"{name}.lock"):
        if not made.exists():
            building()
            _write(top, made)
            _forget_others(place, name, made)
        with suppress(OSError):
            os.utime(made)
    return made


def _state(top: Folder) -> str:
    sum_ = xxhash.xxh64(f"{_FORMAT}".encode())
    for path, node in _all(top, b""):
        target = node.target if isinstance(node, Link) else b""
        origin = os.fsencode(node.data) if isinstance(node, File) and isinstance(node.data, Path) else b""
        size = node.size if isinstance(node, File) else 0
        attributes = repr(sorted(node.attributes.items())).encode() if node.attributes else b""
        status = f"{node.type | node.mode:o} {size} {node.time}\n".encode()
        sum_.update(b"\0".join((path, target, origin, attributes, status)))
    return sum_.hexdigest()


def _all(folder: Folder, path: bytes) -> Iterator[tuple[bytes, Node]]:
    yield path, folder
    for name, node in folder.entries.items():
        if isinstance(node, Folder):
            yield from _all(node, path + b"/" + name)
        else:
            yield path + b"/" + name, node


def _write(top: Folder, made: Path) -> None:
    try:
        with written_whole(made) as stream:
            write_checked(FileSystem(top).pieces(), stream)
    except FileChanged as error:
        raise Failure(f"{error.path}: changed while it was read", "Do it again.") from None
    except ValueError as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{made}: can't be written: {error.strerror}") from None


def write_checked(pieces: Iterable[bytes], stream: BinaryIO) -> None:
    """Write a tree, whole blocks in pieces, and the checksums that the kernel reads (kernel/shared/tree_sums.py)."""
    sums: list[int] = []
    rest = b""
    for piece in pieces:
        stream.write(piece)
        rest += piece
        end = len(rest) // TREE_BLOCK * TREE_BLOCK
        sums += _sums(rest[:end])
        rest = rest[end:]
    table = _table(sums)
    roots = _table(_sums(table))
    told = packed(
        TreeSums, blocks=len(sums), root_blocks=len(roots) // TREE_BLOCK, roots_sum=xxhash.xxh64_intdigest(roots)
    )[:-8]
    last = told + xxhash.xxh64_intdigest(told).to_bytes(8, "little")
    stream.write(table + roots + last.ljust(TREE_BLOCK, b"\0"))


def _sums(data: bytes) -> list[int]:
    view = memoryview(data)
    return [xxhash.xxh64_intdigest(view[at : at + TREE_BLOCK]) for at in range(0, len(view), TREE_BLOCK)]


def _table(sums: list[int]) -> bytes:
    table = b"".join(each.to_bytes(8, "little") for each in sums)
    return table + bytes(-len(table) % TREE_BLOCK)


def _forget_others(place: Path, name: str, made: Path) -> None:
    for each in place.glob(f"{name}-*.erofs"):
        with suppress(OSError):
            if each != made and each.stat().st_mtime < time.time() - _KEPT:
                each.unlink()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """While it lasts, no other process is here."""
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
