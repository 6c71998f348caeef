"""Names, attributes and content in a share: any sequence of calls, compared with Linux on a file system of its own.

Our side's root is the share (chroot), whose server has a copy of the tree that Linux has. What 9P2000.L does not carry
is left out: rename's flags, files without names, fallocate, and files that are open but have no name any more, which
QEMU's server can't find again.
"""

import os
import shutil
import stat
import struct
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.arch import SYSCALL_NUMBERS
from tests.kernel.file import test_changes_against_linux as changes
from tests.kernel.share.machine import Machine
from tests.kernel.share.server import Server
from tests.kernel.syscall.linux import Both, needs_linux, needs_own_tree, unpack

MEMORY = "/dev/shm"
pytestmark = [
    needs_linux, needs_own_tree, pytest.mark.skipif(not os.path.isdir(MEMORY), reason=f"needs {MEMORY}")
]  # fmt: skip
AT_FDCWD = -100


def carried(step) -> bool:
    """Whether the protocol carries a call, and Linux's side has what it is about."""
    name, *rest = step
    if any(isinstance(each, bytes) and each.startswith(b"/tmp") for each in rest):
        return False
    if name == "renameat2":
        return rest[4] == 0
    if name == "openat":
        return rest[2] & 0o20000000 == 0
    if name == "mknodat":
        return rest[2] & 0o170000 != stat.S_IFIFO
    return name != "fallocate"


steps = changes.steps.filter(carried)


class Sides(Both):
    def made_machine(self):
        self.folder = tempfile.mkdtemp(dir=MEMORY)
        unpack(self.tree, self.folder)
        os.chown(self.folder, 0, 0)
        self.server = Server(self.folder)
        machine = Machine(None, self.server)
        assert machine.mounted == 0
        assert machine.call("chroot", b"/share") == 0
        assert machine.call("chdir", b"/") == 0
        return machine

    def done(self):
        self.server.close()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def both():
    tree = changes.tree()
    made = Sides(tree)
    made.done()
    yield made
    made.close()


def told(data: bytes) -> tuple:
    links, mode, user, group, _, size = changes.told(data)
    return links, mode, user, group, size


def orphan(both, descriptor: int) -> bool:
    """Whether Linux says that an open file has no name any more."""
    number = SYSCALL_NUMBERS["fstat"]
    if both.linux.number(number, descriptor, changes.BUFFER) != 0:
        return False
    return struct.unpack_from("Q", both.linux.memory[:144], 16)[0] == 0


def compare(both, step):
    name, *rest = step
    at_descriptor = name in ("write", "pwrite64", "read", "pread64", "lseek", "getdents64", "fstat", "fchmod", "fchown",
                             "ftruncate", "fsync")  # fmt: skip
    if (at_descriptor or (rest and isinstance(rest[0], int) and rest[0] >= 3)) and orphan(both, rest[0]):
        return
    if name in ("linkat", "renameat2") and orphan(both, rest[2]):
        return
    if name in ("read", "pread64", "readlinkat", "getcwd", "getdents64", "fstat"):
        both.put(0, bytes(20_100))
    if name == "lseek" and changes.is_folder(both, rest[0]):
        step = ("lseek", rest[0], 0, 0)
    ours, theirs = both.answers(name, *changes.step_arguments(both, step))
    shown = f"{step}: {ours}, on Linux {theirs}"
    if name == "getdents64" and ours > 0 and theirs > 0:
        assert changes.names(both.memory(0, ours)) == changes.names(both.linux.memory[:theirs]), shown
        return
    assert ours == theirs, shown
    if ours >= 0 and name == "fstat":
        assert told(both.memory(0, 144)) == told(both.linux.memory[:144]), shown
    elif ours >= 0 and name in ("read", "pread64", "readlinkat", "getcwd"):
        assert both.memory(0, 20_100) == both.linux.memory[:20_100], shown


def everything(root: str) -> dict[str, tuple]:
    """All files below a folder, as the host has them."""
    found = {}
    for folder, below, names in os.walk(root):
        for name in (*below, *names, "."):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content: object = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:  # it may have been made very long
                    first = file.read(1 << 20)
                    file.seek(max(status.st_size - (1 << 16), 0))
                    content = status.st_size, first, file.read()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            found[os.path.relpath(path, root)] = (
                oct(status.st_mode), status.st_uid, status.st_gid, status.st_nlink, content
            )  # fmt: skip
    return found


def begin(both):
    both.reset()
    both.put(0, bytes(0x1000))
    for path in (b"/d", b"/e", b"/deep"):
        compare(both, ("openat", AT_FDCWD, path, 0, 0))
    compare(both, ("openat", AT_FDCWD, b"/d/x", 2, 0))


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=40))
def test_any_change_of_a_share_is_as_on_linux(both, steps):
    begin(both)
    try:
        for step in steps:
            compare(both, step)
        theirs = everything(f"/proc/{both.linux.process.pid}/root")
        ours = everything(both.folder)
        for path in [each for each in theirs if each == "tmp" or each.startswith("tmp/")]:
            del theirs[path]
        for path in [each for each in ours if each == "tmp" or each.startswith("tmp/")]:
            del ours[path]
        assert sorted(ours) == sorted(theirs)
        for path, mine in ours.items():
            assert mine == theirs[path] or path == ".", f"{path}: {mine}, on Linux {theirs[path]}"
    finally:
        both.done()
