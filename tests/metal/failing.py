"""A call whose check must fail."""

import pytest

from goanna.metal import CheckFailed


def fails(run, reason, function, *arguments):
    """Run a function that must fail for a reason (a regular expression), in its own file: the failure."""
    with pytest.raises(CheckFailed, match=reason) as caught:
        run(function, *arguments)
    assert caught.value.file == function.code.co_filename
    return caught.value
