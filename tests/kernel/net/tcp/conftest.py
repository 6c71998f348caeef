"""`stack` makes a host with one connection, `bare_stack` one without: ours or Linux's (see ../conftest.py)."""

import pytest

from tests.kernel.net.linux import STACKS
from tests.kernel.net.tcp import rules


@pytest.fixture(params=STACKS)
def stack(request, makers):
    return makers(request.param, rules.Open, rules.OpenOnLinux)


@pytest.fixture(params=STACKS)
def bare_stack(request, makers):
    return makers(request.param, rules.Ours, rules.Theirs)
