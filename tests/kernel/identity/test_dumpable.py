"""Who changes identity is closed to who looked into it before: no dump, no signal at its parent's end; as on Linux.

And what stands in /proc about a process belongs to whom it acts as, or to root if it is closed.
"""

import struct

import pytest

from goanna.kernel.base.errno import EACCES
from tests.kernel.syscall.bench import AT_FDCWD, Machine, default_tree
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

SET_DEATH_SIGNAL, GET_DEATH_SIGNAL, GET_DUMPABLE, SET_DUMPABLE = 1, 2, 3, 4


@needs_linux
@needs_own_tree
@pytest.mark.parametrize("change", [
    ("setresuid", -1, -1, -1), ("setresuid", 0, 0, 0), ("setresuid", 5, -1, -1), ("setresuid", -1, -1, 5),
    ("setresuid", -1, 5, -1), ("setuid", 5), ("setreuid", 5, -1), ("setreuid", -1, 5), ("setgid", 5),
    ("setresgid", -1, 5, -1), ("setresgid", 5, -1, -1), ("setregid", -1, 0), ("setfsuid", 5), ("setfsuid", 0),
    ("setfsgid", 5), ("setfsgid", 0), ("setgroups", 0, 0),
])  # fmt: skip
def test_a_change_of_identity_closes_a_process(change):
    both = Both(default_tree())
    try:
        for call in (
            ("prctl", SET_DUMPABLE, 1), ("prctl", SET_DEATH_SIGNAL, 10), change, ("prctl", GET_DUMPABLE),
            ("prctl", GET_DEATH_SIGNAL, REGION), ("prctl", SET_DUMPABLE, 1), ("prctl", GET_DUMPABLE),
        ):  # fmt: skip
            ours, theirs = both.answers(*call)
            assert ours == theirs, call
        assert both.memory(0, 4) == both.linux.memory[:4]
    finally:
        both.close()


def owner(machine, path: bytes) -> tuple[int, int]:
    place = machine.scratch + (512 << 10)
    assert machine.call("newfstatat", AT_FDCWD, path, place, 0x100) == 0
    return struct.unpack_from("II", machine.get(place, 144), 28)


def test_a_processs_files_belong_to_whom_it_acts_as():
    machine = Machine()
    assert owner(machine, b"/proc/self/fd") == (0, 0)
    assert machine.raw("setresgid", 8, 9, 8) == machine.raw("setresuid", 5, 7, 5) == 0
    assert owner(machine, b"/proc/1") == (7, 9)
    assert owner(machine, b"/proc/1/auxv") == (0, 0), "who changed identity is closed to itself, too"
    assert machine.open(b"/proc/self/auxv") == machine.open(b"/proc/self/fd", 0o200000) == -EACCES
    assert machine.raw("prctl", 4, 1) == 0
    for name in (b"auxv", b"fd", b"fd/0", b"task/1/auxv", b"status"):
        assert owner(machine, b"/proc/1/" + name) == (7, 9), name
    assert machine.open(b"/proc/self/auxv") > 0 and machine.open(b"/proc/self/fd", 0o200000) > 0
    assert owner(machine, b"/proc/cpuinfo") == owner(machine, b"/proc/self") == (0, 0)
