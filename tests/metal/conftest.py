"""What the tests of single constructs share: the JIT at both ends of its levels."""

import pytest

from goanna.metal import jit


@pytest.fixture(params=[0, 2], ids=["O0", "O2"])
def run(request):
    """Compile the function and call it."""
    return lambda function, *arguments: jit(function, optimize=request.param).call(function, *arguments)
