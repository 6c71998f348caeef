"""RLIMIT_MEMLOCK binds who has no CAP_IPC_LOCK, from the moment that it has none, as on Linux."""

import struct

import pytest

from tests.kernel.syscall.bench import default_tree
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

RLIMIT_MEMLOCK = 8
LIMIT = 16 << 10
CAPSET_VERSION_3 = 0x20080522
CAP_IPC_LOCK = 14
PLACE = 0x1100_0000_0000
READ_WRITE, FIXED_ANONYMOUS, LOCKED = 3, 0x32, 0x2000
CALLS = [
    ("mlock", REGION, 2 * LIMIT), ("munlock", REGION, 2 * LIMIT), ("mlock", REGION, LIMIT), ("munlock", REGION, LIMIT),
    ("mlock", REGION, 2**64 - 4096), ("mmap", PLACE, 2 * LIMIT, READ_WRITE, FIXED_ANONYMOUS | LOCKED, -1, 0),
    ("munmap", PLACE, 2 * LIMIT), ("mmap", PLACE, LIMIT, READ_WRITE, FIXED_ANONYMOUS | LOCKED, -1, 0),
    ("mremap", PLACE, LIMIT, 2 * LIMIT, 0, 0), ("munmap", PLACE, 2 * LIMIT), ("mlockall", 1), ("munlockall",),
]  # fmt: skip


@pytest.mark.parametrize("giving_up", ["nothing", "root", "capability"])
def test_how_much_may_be_locked(giving_up):
    both = Both(default_tree())
    try:
        both.put(0, struct.pack("QQ", LIMIT, LIMIT))
        assert both.answers("prlimit64", 0, RLIMIT_MEMLOCK, REGION, 0) == (0, 0)
        if giving_up == "root":
            assert both.answers("setresuid", 5, 5, 5) == (0, 0)
        if giving_up == "capability":
            both.put(0, struct.pack("Ii", CAPSET_VERSION_3, 0))
            some = 1 << 7  # CAP_SETUID
            both.put(64, struct.pack("6I", some, some | 1 << CAP_IPC_LOCK, 0, 0, 0, 0))
            assert both.answers("capset", REGION, REGION + 64) == (0, 0)
        for call in CALLS:
            ours, theirs = both.answers(*call)
            assert ours == theirs, call
    finally:
        both.close()
