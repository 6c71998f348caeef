"""Builds the kernel on the host: once for each state of its sources, kept in the user's cache.

Whether a built kernel can be reused is decided by a hash of all sources of metal and of the kernel and of the
versions of what compiles them, so that neither LLVM nor the kernel's modules are loaded when it can. The build itself
runs in a process of its own, because an architecture is chosen once a process, by GOANNA_ARCH.

    python -m goanna.kernel.build --arch x86_64 --out FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from goanna.cache import cache_folder, write_whole
from goanna.failure import Failure
from goanna.kernel.variant import NETWORK_VARIABLE

ARCHITECTURES = ("x86_64",)

_SOURCES = Path(__file__).resolve().parent.parent
_ROOMS = ("metal", "kernel")
_COMPILERS = ("llvmlite", "ziglang")
# What a build leaves in its folder; the last is written when all is there.
_ELF, _PANIC_TABLE, _FACTS = "kernel.elf", "panic.table", "kernel.json"
# How many built kernels stay in the cache: enough to go back and forth between a few states of the sources.
_KEPT = 8


@dataclass(frozen=True)
class BuiltKernel:
    """A linked kernel with its symbols; `header_address` is the physical address of its `image_header`."""

    elf: Path
    panic_table: Path
    header_address: int


def fingerprint(architecture: str, network: bool = True) -> str:
    """What a built kernel depends on, as a short hash."""
    facts = (architecture, network, sys.version_info[:2], [version(name) for name in _COMPILERS])
    digest = hashlib.sha256(repr(facts).encode())
    for room in _ROOMS:
        for path in sorted(_SOURCES.joinpath(room).rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(_SOURCES)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def find_kernel(architecture: str = "x86_64", network: bool = True) -> BuiltKernel | None:
    """The kernel of the present sources, if it is built. `network`: with sockets of the Internet's families, and with
    the drivers that they need (kernel/variant.py).
    """
    return _read(_folder(architecture, network))


def built_kernel(architecture: str = "x86_64", network: bool = True) -> BuiltKernel:
    """The same, built now if it isn't yet. Raises Failure after the compiler's own words."""
    folder = _folder(architecture, network)
    with _lock(folder):
        found = _read(folder)
        if found is None:
            _build_in_child(architecture, network, folder)
            found = _read(folder)
        if found is None:
            raise Failure(f"{folder}: the kernel was built, and is not there", f"Remove {folder} and try again.")
    os.utime(folder)
    _forget_old(folder.parent)
    return found


def _folder(architecture: str, network: bool) -> Path:
    return cache_folder("kernels", f"{architecture}-{fingerprint(architecture, network)}")


def _read(folder: Path) -> BuiltKernel | None:
    try:
        facts = json.loads((folder / _FACTS).read_text())
        return BuiltKernel(folder / _ELF, folder / _PANIC_TABLE, int(facts["image_header"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Two commands at once: one builds, the other waits and finds it built."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget_old(kernels: Path) -> None:
    folders = sorted(kernels.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
    for folder in folders[_KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)


def _build_in_child(architecture: str, network: bool, folder: Path) -> None:
    command = [sys.executable, "-m", "goanna.kernel.build", "--arch", architecture, "--out", str(folder)]
    environment = os.environ | {"GOANNA_ARCH": architecture, NETWORK_VARIABLE: "yes" if network else "no"}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failure("the kernel can't be built; its compiler says above why")


def build(architecture: str, folder: Path) -> BuiltKernel:
    """Compile and link into a folder. This process must have been started with GOANNA_ARCH set to the architecture.

    Raises CompileErrors with every mistake in the kernel's sources.
    """
    # Only a build needs LLVM, and the kernel's modules: both take longer to load than everything else here.
    from goanna.image.panic_table import panic_table
    from goanna.kernel.arch import ASSEMBLY
    from goanna.kernel.main import ROOTS
    from goanna.kernel.parts import is_small, part_of
    from goanna.metal.backend import assemble
    from goanna.metal.compile import compile_parts
    from goanna.metal.link import kernel_script, link
    from goanna.metal.runtime import runtime_object
    from goanna.metal.target import kernel_target

    layout = import_module(f"goanna.kernel.arch.{architecture}.layout")
    target = kernel_target(architecture)
    elf = folder / _ELF
    with TemporaryDirectory(prefix="goanna-") as name:
        start, runtime = Path(name, "start"), Path(name, "runtime")
        assemble(ASSEMBLY, target, start)
        parts, traps = compile_parts(ROOTS, target, Path(name), part_of, is_small)
        runtime_object(target, runtime)
        link([start, *parts, runtime], kernel_script(target, layout.KERNEL_VIRTUAL, layout.KERNEL_PHYSICAL), elf)
    (folder / _PANIC_TABLE).write_bytes(panic_table(elf, traps))
    return record(folder)


def record(folder: Path) -> BuiltKernel:
    """Note what a folder with a linked kernel and its panic table holds; from then on the kernel counts as built."""
    facts = {"image_header": physical_address(folder / _ELF, "image_header")}
    write_whole(folder / _FACTS, json.dumps(facts).encode())
    return BuiltKernel(folder / _ELF, folder / _PANIC_TABLE, facts["image_header"])


def physical_address(elf: Path, symbol: str) -> int:
    """Where a symbol of a linked kernel is loaded. Raises Failure if there is none of that name."""
    from elftools.elf.elffile import ELFFile

    with elf.open("rb") as stream:
        file = ELFFile(stream)
        symbols = file.get_section_by_name(".symtab")
        found = symbols.get_symbol_by_name(symbol) if symbols is not None else None
        if not found:
            raise Failure(f"{elf}: the kernel has no symbol {symbol}")
        address = int(found[0]["st_value"])
        for segment in file.iter_segments("PT_LOAD"):
            if segment["p_vaddr"] <= address < segment["p_vaddr"] + segment["p_filesz"]:
                return int(address - segment["p_vaddr"] + segment["p_paddr"])
    raise Failure(f"{elf}: the kernel's symbol {symbol} is in no part that is loaded from the file")


def main() -> int:
    """The command that builds; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m goanna.kernel.build", description="Build the kernel.")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="x86_64", help="the architecture")
    parser.add_argument("--out", type=Path, required=True, help="the folder for what is built")
    words = parser.parse_args()
    if os.environ.get("GOANNA_ARCH") != words.arch:
        # The kernel's modules look at it when they are imported, so it has to be there from the start.
        command = [sys.executable, "-m", "goanna.kernel.build", *sys.argv[1:]]
        os.execve(sys.executable, command, os.environ | {"GOANNA_ARCH": words.arch})
    from goanna.metal.errors import CompileErrors, InternalError

    words.out.mkdir(parents=True, exist_ok=True)
    try:
        built = build(words.arch, words.out)
    except (CompileErrors, InternalError, Failure) as error:
        print(error, file=sys.stderr)
        return 1
    print(built.elf)
    return 0


if __name__ == "__main__":
    sys.exit(main())
