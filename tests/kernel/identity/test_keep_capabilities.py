"""Who gives up being root keeps what is permitted if it asked for that (prctl PR_SET_KEEPCAPS), as on Linux."""

import struct

import pytest

from tests.kernel.syscall.bench import default_tree
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

SET, GET = 8, 7
CAPGET_VERSION_3 = 0x20080522


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("users", [(5, 5, 5), (0, 5, 5), (0, 5, 0), (-1, 5, -1)])
def test_capabilities_after_setresuid(keep, users):
    both = Both(default_tree())
    try:
        for call in (("prctl", GET), ("prctl", SET, 2), ("prctl", SET, keep), ("prctl", GET), ("setresuid", *users)):
            ours, theirs = both.answers(*call)
            assert ours == theirs, call
        both.put(0, struct.pack("Ii", CAPGET_VERSION_3, 0))
        ours, theirs = both.answers("capget", REGION, REGION + 64)
        assert ours == theirs == 0
        mine, linux = struct.unpack("6I", both.memory(64, 24)), struct.unpack("6I", both.linux.memory[64:88])
        assert [bool(each) for each in mine] == [bool(each) for each in linux]
    finally:
        both.close()
