"""What several files of boot tests start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from goanna.kernel.build import built_kernel
from tests.boot import toolchains
from tests.boot.catalogue import guests
from tests.boot.running import GOANNA

PROCESSORS = (1, 2)


@pytest.fixture(scope="session", autouse=True)
def kernel_is_built() -> None:
    """The kernels are there before the first machine starts: their build would count against that machine's time."""
    for network in (True, False):
        built_kernel(network=network)


@pytest.fixture(params=PROCESSORS, ids="processors={}".format)
def processors(request: pytest.FixtureRequest) -> int:
    """How many processors the machine has: each test that takes it is run with every number."""
    return int(request.param)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image of the guest that bare machines start."""
    guest = next(guest for guest in guests() if guest.bare)
    program = toolchains.build_go(guest, toolchains.newest_go())
    path = tmp_path_factory.mktemp("bare") / "hello.img"
    subprocess.run([*GOANNA, "build", "-o", path, program], check=True)
    return path
