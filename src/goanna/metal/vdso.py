"""Makes a vDSO of metal functions: the small shared object that a kernel maps into every program."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .compile import compile_object
from .link import link_vdso
from .runtime import runtime_object
from .target import vdso_target

__all__ = ["vdso_image"]


def vdso_image(
    roots: Iterable[Any], architecture: str, versions: Mapping[str, Sequence[str]], data_size: int = 4096
) -> bytes:
    """The bytes of a shared object with the `roots`, functions whose `export` names are symbols in `versions`.

    It has no variables: `extern_static("__vdso_data", T)` is what the kernel maps `data_size` bytes (whole pages)
    before its first byte. Raises CompileErrors for mistakes in the functions, InternalError if it can't be linked.
    """
    target = vdso_target(architecture)
    with tempfile.TemporaryDirectory(prefix="goanna-") as name:
        folder = Path(name)
        compile_object(roots, target, folder / "vdso.o", debug=False)
        runtime_object(target, folder / "runtime.o")
        link_vdso([folder / "vdso.o", folder / "runtime.o"], folder / "vdso.so", versions, data_size)
        return (folder / "vdso.so").read_bytes()
