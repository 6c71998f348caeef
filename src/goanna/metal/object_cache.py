"""Objects that were made before, by a hash of what they were made of: an edit compiles only what it changes.

They are units of tests, which the JIT loads, and parts of the kernel: megabytes of IR, and most of it is the same from
one build to the next. A file is checked before its use, for a crash of the computer can leave part of one behind; if
anything is wrong with it, what it holds is compiled again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from goanna.cache import cache_folder, write_whole

__all__ = ["CompiledModule", "alone", "find", "keep", "key"]

# Past this size, in bytes, the objects that were not used for longest go: some hundred units and kernels.
LIMIT = 256 << 20
_DIGEST = 32


class CompiledModule(NamedTuple):
    """An object file, and the symbols it defines for others if the JIT is to find them."""

    code: bytes
    names: list[str]


def key(ir_text: str, compiler: object) -> str:
    """What names a module: its text, and all that decides what LLVM makes of it, by its `repr`."""
    digest = hashlib.sha256(repr(compiler).encode())
    digest.update(ir_text.encode())
    return digest.hexdigest()


def _folder() -> Path:
    return cache_folder("units")


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Two processes that want the same module: one makes it, the other waits and finds it. Workers of a test run want
    the same units at the same moment. Not for several threads of a process."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            file = stack.enter_context((cache_folder("locks") / "units").open("w"))
            # A byte of the file for each module, or nearly so: other modules can be made meanwhile.
            fcntl.lockf(file, fcntl.LOCK_EX, 1, int(name[:8], 16))
        yield


def find(name: str) -> CompiledModule | None:
    """What was kept under a key, or None."""
    try:
        path = _folder() / name
        data = path.read_bytes()
        path.touch()  # the order in which they go
    except OSError:
        return None
    content = data[_DIGEST:]
    if hashlib.sha256(content).digest() != data[:_DIGEST]:
        return None
    names, _, code = content.partition(b"\n")
    return CompiledModule(code, json.loads(names))


def keep(name: str, module: CompiledModule) -> None:
    """Keep a module under a key, if the disk lets us: a test must not fail because its cache is full."""
    content = json.dumps(module.names).encode() + b"\n" + module.code
    with contextlib.suppress(OSError):
        write_whole(_folder() / name, hashlib.sha256(content).digest() + content)
        _forget_old()


def _forget_old() -> None:
    """Other processes may remove the same files meanwhile, and one that is in use was read whole."""
    files = []
    for path in _folder().iterdir():
        with contextlib.suppress(OSError):
            facts = path.stat()
            files.append((facts.st_mtime, facts.st_size, path))
    room = LIMIT
    for _, size, path in sorted(files, reverse=True):
        room -= size
        if room < 0:
            path.unlink(missing_ok=True)
