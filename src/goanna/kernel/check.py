"""Compiles every function of the kernel, reached or not, and says all that is wrong. Seconds, and no LLVM.

    GOANNA_ARCH=x86_64 python -m goanna.kernel.check [module ...]

Without GOANNA_ARCH the kernel is checked for the host, as tests run it. A hook that nobody fills in is no mistake here:
which ones must be filled is known when the whole kernel is built.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from types import ModuleType
from typing import Any

import goanna.kernel as kernel
from goanna.metal.errors import CompileErrors, while_importing
from goanna.metal.function import MetalFunction, Static
from goanna.metal.structure import StructType
from goanna.metal.target import host_target, kernel_target
from goanna.metal.unit import Unit

ARCHITECTURES = ("host", "x86_64")
# Not of the kernel: they run on the host.
_TOOLS = ("goanna.kernel.build", "goanna.kernel.check")
# The start of a whole machine, which the host is not.
_START = tuple(
    f"goanna.kernel.{each}"
    for each in ("main", "boot.devices", "boot.first", "boot.ports", "boot.start", "boot.wiring")
)


def modules(architecture: str) -> list[str]:
    """The names of all kernel modules, without the other architectures' own."""
    others = tuple(f"goanna.kernel.arch.{each}." for each in ARCHITECTURES if each != architecture)
    found = [each.name for each in pkgutil.walk_packages(kernel.__path__, "goanna.kernel.")]
    left_out = _TOOLS + _START if architecture == "host" else _TOOLS
    return [each for each in found if each not in left_out and not (each + ".").startswith(others)]


def roots(module: ModuleType) -> list[Any]:
    """What a module itself declares for compilation."""
    own = []
    for value in vars(module).values():
        if getattr(value, "module", None) != module.__name__:
            continue
        if isinstance(value, (MetalFunction, StructType)) or (isinstance(value, Static) and value.external is None):
            own.append(value)
    return own


def check(names: list[str], architecture: str) -> list[str]:
    """The mistakes found, in words."""
    unimported: dict[str, None] = {}
    found: list[Any] = []
    for name in names:
        try:
            found += roots(importlib.import_module(name))
        except Exception as error:  # a module that can't be imported must not hide the others' mistakes
            unimported[str(while_importing(error))] = None  # several modules may meet the same one
    mistakes = list(unimported)
    target = host_target() if architecture == "host" else kernel_target(architecture)
    try:
        Unit(target, found)
    except CompileErrors as error:
        mistakes += [str(each) for each in error.diagnostics if not _follows(each.message, bool(unimported))]
    return mistakes


def _follows(message: str, unimported: bool) -> bool:
    """Whether a mistake is none here: a hook is filled in by a whole kernel, what can't be imported is told already."""
    return "has not been filled in" in message or (unimported and "can't be imported" in message)


def main() -> int:
    """Check the modules named, or all."""
    architecture = os.environ.get("GOANNA_ARCH", "host")
    names = sys.argv[1:] or modules(architecture)
    mistakes = check(names, architecture)
    print("\n".join(mistakes) + f"{len(names)} modules, {len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
