"""The vDSO as the kernel holds it: built when the kernel is, for its own architecture."""

import os

from goanna.kernel.arch import VDSO_VERSION
from goanna.kernel.time.vdso import FUNCTIONS
from goanna.metal.vdso import vdso_image

__all__ = ["IMAGE", "build_vdso"]


def build_vdso(architecture: str) -> bytes:
    """The shared object, to be mapped a page after the page of data."""
    return vdso_image(FUNCTIONS.values(), architecture, {VDSO_VERSION: list(FUNCTIONS)})


_architecture = os.environ.get("GOANNA_ARCH", "host")
IMAGE = b"\x7fELF" if _architecture == "host" else build_vdso(_architecture)
