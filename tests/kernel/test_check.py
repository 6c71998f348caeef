"""Every function of the kernel compiles, reached or not, for the host and for each machine."""

import os
import subprocess
import sys

import pytest

from goanna.kernel.check import ARCHITECTURES


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_function_of_the_kernel_compiles(architecture):
    environment = os.environ | {"GOANNA_ARCH": architecture}
    command = [sys.executable, "-m", "goanna.kernel.check"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
