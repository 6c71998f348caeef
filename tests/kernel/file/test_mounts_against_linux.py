"""mount and umount2: the same calls on this machine's Linux and on ours give the same answers, and the trees that
come of them look the same.
"""

import os
import re
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goanna.image.erofs import File, Folder, Link
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

AT_FDCWD = -100
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, NOSYMFOLLOW, NOATIME, NODIRATIME = 1, 2, 4, 8, 32, 256, 1024, 2048
BIND, MOVE, REC, UNBINDABLE, PRIVATE, SLAVE = 4096, 8192, 16384, 1 << 17, 1 << 18, 1 << 19
RELATIME, STRICTATIME = 1 << 21, 1 << 24
FORCE, DETACH, EXPIRE, NOFOLLOW = 1, 2, 4, 8
EPERM, EBUSY, EINVAL, ENODEV, EROFS, EXDEV, EACCES, ENOENT, ENOTDIR, ELOOP, EAGAIN = (
    -1, -16, -22, -19, -30, -18, -13, -2, -20, -40, -11,
)  # fmt: skip


def tree() -> Folder:
    root = Folder()
    for name in ("dev", "proc", "sys", "run", "tmp", "a", "b/c/d", "x/y"):
        root.add(name, Folder())
    root.add("a/file", File(data=b"below a"))
    root.add("a/sub/deep", File(data=b"deep", mode=0o755))
    root.add("b/c/d/leaf", File(data=b"leaf"))
    root.add("file", File(data=b"a file"))
    root.add("link", Link(target=b"a/sub"))
    return root


@pytest.fixture(scope="module")
def both():
    both = Both(tree())
    yield both
    both.close()


@pytest.fixture(autouse=True)
def fresh(both):
    settle(both)


def settle(both) -> None:
    """Take away what Linux has mounted, and begin again."""
    while True:
        places = [line.split()[4] for line in information(both.linux.process.pid)]
        below = [place for place in places if place not in ("/", "/tmp")]
        if not below:
            break
        both.linux.memory[:4096] = below[-1].encode().ljust(4096, b"\0")
        assert both.linux.number(166, REGION, DETACH) == 0, below
    both.reset()


def both_text(both, text: bytes) -> int:
    return both.put(0x3000, text + b"\0")


def information(pid: int) -> list[str]:
    with open(f"/proc/{pid}/mountinfo") as file:
        return file.read().splitlines()


class Side:
    """Calls that must have the same answer on both sides; texts go to user memory."""

    def __init__(self, both) -> None:
        self.both = both

    def call(self, name: str, *arguments: int | bytes | None) -> int:
        passed, place = [], 0x1000
        for each in arguments:
            if isinstance(each, bytes):
                passed.append(self.both.put(place, each + b"\0"))
                place += 0x1100
            else:
                passed.append(0 if each is None else each)
        ours, theirs = self.both.answers(name, *passed)
        assert ours == theirs, f"{name}{arguments}: {ours}, on Linux {theirs}"
        return ours

    def mount(self, source, target, kind=None, flags=0, data=None) -> int:
        return self.call("mount", source, target, kind, flags, data)

    def umount(self, target: bytes, flags: int = 0) -> int:
        return self.call("umount2", target, flags)

    def open(self, path: bytes, flags: int = 0) -> int:
        return self.call("openat", AT_FDCWD, path, flags, 0o644)

    def make(self, path: bytes) -> int:
        return self.call("mkdirat", AT_FDCWD, path, 0o755)

    def remove(self, path: bytes, directory: bool = True) -> int:
        return self.call("unlinkat", AT_FDCWD, path, 0x200 if directory else 0)

    def working_directory(self) -> bytes:
        length = self.call("getcwd", REGION, 4096)
        assert self.both.memory(0, length) == self.both.linux.memory[:length]
        return self.both.memory(0, length)[:-1]

    def names(self, path: bytes) -> set[bytes]:
        descriptor = self.open(path, 0o200000)
        assert descriptor >= 0
        found = (self.both.memory, lambda at, count: self.both.linux.memory[at : at + count])
        answers = self.both.answers("getdents64", descriptor, REGION, 1 << 12)
        listed = [listing(memory(0, count)) for memory, count in zip(found, answers, strict=True)]
        assert listed[0] == listed[1]
        self.call("close", descriptor)
        return listed[0]

    def flags(self, path: bytes) -> int:
        """f_flags of statfs, without what says that it means something."""
        assert self.call("statfs", path, REGION) == 0
        ours, theirs = (struct.unpack_from("<Q", each, 80)[0] & ~0x20 for each in self.sides(120))
        assert ours == theirs
        return ours

    def sides(self, count: int) -> tuple[bytes, bytes]:
        return self.sides_at(0, count)

    def sides_at(self, offset: int, count: int) -> tuple[bytes, bytes]:
        return self.both.memory(offset, count), self.both.linux.memory[offset : offset + count]

    def statx(self, path: bytes):
        """Mount number and whether it is the top, from both sides."""
        assert self.call("statx", AT_FDCWD, path, 0, 0xFFF | 0x1000, REGION) == 0
        return [(struct.unpack_from("<Q", each, 144)[0], each[8 + 1] & 0x20) for each in self.sides(256)]

    def table(self) -> list[str]:
        """mountinfo but for what is numbered by chance, the same on both sides."""
        ours = self.file(b"/proc/self/mountinfo").decode().splitlines()
        theirs = information(self.both.linux.process.pid)
        wanted = [comparable(ours), comparable(theirs)]
        assert wanted[0] == wanted[1]
        return wanted[0]

    def file(self, path: bytes) -> bytes:
        return self.both.machine.file(path)


def listing(data: bytes) -> set[bytes]:
    found, place = set(), 0
    while place < len(data):
        size = struct.unpack_from("H", data, place + 16)[0]
        found.add(data[place + 19 : place + size].split(b"\0")[0])
        place += size
    return found


OURS = re.compile(r"^/(dev|proc|sys|run|dev/shm|dev/pts)$")


def comparable(lines: list[str]) -> list[str]:
    """Root in the file system, place, options and kind of each mount that a test made, with its parent's place."""
    places = {line.split()[0]: line.split()[4] for line in lines}
    shown = []
    for line in lines:
        words = line.split()
        if words[4] == "/" or (words[4] == "/tmp" and words[3] == "/") or OURS.match(words[4]):
            continue
        kind = words[words.index("-") + 1 :]
        extra = words[6 : words.index("-")]
        if kind[0] == "overlay" or not words[3].startswith("/"):
            kind = ["tmpfs", "none", kind[2].split(",")[0]]
        if kind[0] == "tmpfs":
            kind[2] = re.sub(",inode64", "", kind[2])
        shown.append(f"{places.get(words[1])} {words[3]} {words[4]} {words[5]} {extra} {kind[0]} {kind[2]}")
    return shown


@pytest.fixture
def side(both):
    return Side(both)


def test_a_tree_in_memory_covers_what_is_there_and_gives_it_back(side):
    assert side.names(b"/a") == {b".", b"..", b"file", b"sub"}
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    assert side.names(b"/a") == {b".", b".."}
    assert side.make(b"/a/new") == 0
    assert side.remove(b"/a") == EBUSY
    assert side.call("renameat", AT_FDCWD, b"/a", AT_FDCWD, b"/z") == EBUSY
    assert side.umount(b"/a") == 0
    assert side.names(b"/a") == {b".", b"..", b"file", b"sub"}
    assert side.umount(b"/a") == EINVAL
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    assert side.names(b"/a") == {b".", b".."}


def test_what_is_wrong_with_a_mount(side):
    assert side.mount(b"none", b"/missing", b"tmpfs") == ENOENT
    assert side.mount(b"none", b"/file", b"tmpfs") == ENOTDIR
    assert side.mount(b"none", b"/a", b"nosuchfs") == ENODEV
    assert side.mount(b"none", b"/a") == EINVAL
    assert side.mount(b"none", b"/a", b"tmpfs", 0, b"nonsense") == EINVAL
    assert side.mount(b"none", b"/a", b"tmpfs", 0, b"size=x") == EINVAL
    assert side.mount(None, b"/a", None, BIND) == EINVAL
    assert side.mount(b"", b"/a", None, BIND) == EINVAL
    assert side.mount(b"/missing", b"/a", None, BIND) == ENOENT
    assert side.mount(b"/file", b"/a", None, BIND) == ENOTDIR
    assert side.mount(b"/a", b"/file", None, BIND) == ENOTDIR
    assert side.mount(b"none", b"/a", None, REMOUNT) == EINVAL
    assert side.mount(b"none", b"/a", None, REMOUNT | BIND) == EINVAL
    assert side.mount(b"none", b"/a", None, PRIVATE) == EINVAL
    assert side.mount(b"none", b"/", None, PRIVATE | SLAVE) == EINVAL
    assert side.mount(b"/a", b"/b", None, MOVE) == EINVAL
    assert side.mount(1, b"/a", b"tmpfs") == -14
    assert side.mount(b"none", 1, b"tmpfs") == -14
    assert side.mount(b"none", b"/a", 1) == -14
    assert side.umount(b"/missing") == ENOENT
    assert side.umount(b"/a") == EINVAL
    assert side.umount(b"/a", 16) == EINVAL
    assert side.table() == []


def test_a_bind_mount_shows_the_same_files(side):
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    assert side.names(b"/x/y") == {b".", b"..", b"file", b"sub"}
    descriptor = side.open(b"/x/y/file", 1)
    assert side.call("write", descriptor, both_text(side.both, b"BELOW"), 5) == 5
    assert side.make(b"/x/y/made") == 0
    assert b"made" in side.names(b"/a")
    assert side.remove(b"/a/made") == 0
    assert side.call("symlinkat", b"file", AT_FDCWD, b"/x/y/sub/way") == 0
    assert side.open(b"/a/sub/way") == ENOENT
    assert side.umount(b"/x/y") == EBUSY
    assert side.call("close", descriptor) == 0
    assert side.umount(b"/x/y") == 0
    descriptor = side.open(b"/a/file")
    assert side.call("read", descriptor, REGION, 100) == 7
    assert side.sides(7) == (b"BELOW a", b"BELOW a")


def test_a_file_is_bound_over_a_file(side):
    assert side.mount(b"/a/file", b"/file", None, BIND) == 0
    descriptor = side.open(b"/file")
    assert side.call("read", descriptor, REGION, 100) == 7
    assert side.remove(b"/file", False) == EBUSY
    assert side.umount(b"/file") == EBUSY
    assert side.umount(b"/file", DETACH) == 0
    assert side.call("pread64", descriptor, REGION, 100, 0) == 7
    assert side.remove(b"/file", False) == 0


def test_ways_out_of_a_bind_mount_lead_to_where_it_stands(side):
    assert side.mount(b"/b/c", b"/x/y", None, BIND) == 0
    assert side.call("chdir", b"/x/y/d") == 0
    assert side.working_directory() == b"/x/y/d"
    assert side.call("chdir", b"..") == 0
    assert side.working_directory() == b"/x/y"
    assert side.call("chdir", b"..") == 0
    assert side.working_directory() == b"/x"
    assert side.call("chdir", b"/x/y/d/../../y/d/..") == 0
    assert side.umount(b"/x/y") == EBUSY
    assert side.call("renameat", AT_FDCWD, b"/b/c/d", AT_FDCWD, b"/b/c/e") == 0
    assert side.call("chdir", b"e") == 0
    assert side.working_directory() == b"/x/y/e"
    assert side.call("renameat", AT_FDCWD, b"/x/y/e", AT_FDCWD, b"/x/y/f") == 0
    assert side.working_directory() == b"/x/y/f"
    assert side.call("chdir", b"/") == 0
    assert side.umount(b"/x/y") == 0


def test_names_do_not_move_between_mounts(side):
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    assert side.call("renameat", AT_FDCWD, b"/a/file", AT_FDCWD, b"/x/y/other") == EXDEV
    assert side.call("linkat", AT_FDCWD, b"/a/file", AT_FDCWD, b"/x/y/other", 0) == EXDEV
    assert side.call("linkat", AT_FDCWD, b"/x/y/file", AT_FDCWD, b"/x/y/other", 0) == 0
    assert side.call("renameat", AT_FDCWD, b"/x/y/other", AT_FDCWD, b"/x/y/sub/other") == 0
    assert b"other" in side.names(b"/a/sub")
    assert side.call("renameat2", AT_FDCWD, b"/x/y/sub", AT_FDCWD, b"/x/y/file", 2) == 0
    assert side.names(b"/a/file") == {b".", b"..", b"deep", b"other"}
    assert side.remove(b"/x/y/file/other", False) == 0


def test_a_mount_that_is_read_only(side):
    assert side.mount(b"/a", b"/x/y", None, BIND | RDONLY) == 0
    assert side.make(b"/x/y/one") == 0
    assert side.mount(None, b"/x/y", None, REMOUNT | BIND | RDONLY) == 0
    for path, expected in ((b"/x/y/two", EROFS), (b"/a/two", 0)):
        assert side.make(path) == expected
    assert side.make(b"/x/y/two") == -17
    assert side.remove(b"/x/y/two") == EROFS
    assert side.open(b"/x/y/file", 1) == EROFS
    assert side.open(b"/x/y/new", 0o101) == EROFS
    assert side.call("linkat", AT_FDCWD, b"/x/y/file", AT_FDCWD, b"/x/y/file", 0) == -17
    assert side.call("linkat", AT_FDCWD, b"/a/file", AT_FDCWD, b"/x/y/other", 0) == EROFS
    assert side.call("renameat", AT_FDCWD, b"/x/y/file", AT_FDCWD, b"/x/y/other") == EROFS
    assert side.call("fchmodat", AT_FDCWD, b"/x/y/file", 0o600) == EROFS
    assert side.call("truncate", b"/x/y/file", 0) == EROFS
    assert side.call("faccessat", AT_FDCWD, b"/x/y/file", 2) == EROFS
    assert side.call("setxattr", b"/x/y/file", b"user.a", b"1", 1, 0) == EROFS
    assert side.flags(b"/x/y/file") == 1 | 0x1000
    assert side.flags(b"/a/file") == 0x1000
    assert side.mount(None, b"/x/y", None, REMOUNT | BIND) == 0
    descriptor = side.open(b"/x/y/file", 2)
    assert side.mount(None, b"/x/y", None, REMOUNT | BIND | RDONLY) == EBUSY
    assert side.call("close", descriptor) == 0
    assert side.mount(None, b"/x/y", None, REMOUNT | BIND | RDONLY) == 0


def test_a_file_system_that_is_read_only_is_so_in_all_its_mounts(side):
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    assert side.make(b"/a/sub") == 0
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    descriptor = side.open(b"/x/y/file", 0o101)
    assert side.mount(None, b"/a", None, REMOUNT | RDONLY) == EBUSY
    assert side.call("close", descriptor) == 0
    assert side.mount(None, b"/a", None, REMOUNT | RDONLY) == 0
    assert side.make(b"/x/y/new") == EROFS
    assert side.flags(b"/x/y") == 1 | 0x1000
    side.table()
    assert side.mount(None, b"/x/y", None, REMOUNT) == 0
    assert side.make(b"/x/y/new") == 0
    assert side.make(b"/a/newer") == EROFS
    side.table()


@pytest.mark.parametrize("flags", [
    0, RDONLY, NOSUID, NODEV, NOEXEC, NOATIME, NODIRATIME, RELATIME, STRICTATIME, NOSYMFOLLOW, NOATIME | STRICTATIME,
    NOSUID | NODEV | NOEXEC | RELATIME, RDONLY | NODIRATIME | NOATIME, 0xC0ED0000 | NOSUID,
])  # fmt: skip
def test_flags_are_told_and_kept_by_remount(side, flags):
    assert side.mount(b"none", b"/a", b"tmpfs", flags) == 0
    side.flags(b"/a")
    side.table()
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    side.flags(b"/x/y")
    assert side.mount(None, b"/a", None, REMOUNT | BIND | NODEV) == 0
    side.flags(b"/a")
    assert side.mount(None, b"/x/y", None, REMOUNT | NOSUID) == 0
    side.flags(b"/x/y")
    side.table()


def test_what_is_not_run_or_followed(side):
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    assert side.call("symlinkat", b"sub", AT_FDCWD, b"/a/way") == 0
    assert side.call("mknodat", AT_FDCWD, b"/a/null", 0o20666, 1 << 8 | 3) == 0
    assert side.mount(None, b"/x/y", None, REMOUNT | BIND | NOEXEC | NODEV | NOSYMFOLLOW) == 0
    assert side.call("faccessat", AT_FDCWD, b"/a/sub/deep", 1) == 0
    assert side.call("faccessat", AT_FDCWD, b"/x/y/sub/deep", 1) == EACCES
    assert side.call("faccessat", AT_FDCWD, b"/x/y/sub", 1) == 0
    assert side.open(b"/x/y/way/deep") == ELOOP
    assert side.open(b"/a/way/deep") >= 0
    assert side.open(b"/x/y/null") == EACCES
    assert side.call("execve", b"/x/y/sub/deep", None, None) == EACCES
    descriptor = side.open(b"/x/y/sub/deep")
    assert side.call("mmap", 0, 4096, 5, 2, descriptor, 0) == EPERM
    place = REGION - 0x10000
    assert side.call("mmap", place, 4096, 1, 0x100002, descriptor, 0) == place
    assert side.call("mprotect", place, 4096, 5) == EACCES
    assert side.call("munmap", place, 4096) == 0


def test_binds_that_take_what_is_below_along(side):
    assert side.mount(b"none", b"/b/c", b"tmpfs", 0, b"mode=700") == 0
    assert side.make(b"/b/c/in") == 0
    assert side.mount(b"none", b"/b/c/in", b"tmpfs") == 0
    assert side.make(b"/b/c/in/side") == 0
    assert side.mount(b"/b", b"/x/y", None, BIND) == 0
    assert side.names(b"/x/y/c") == {b".", b"..", b"d"}
    assert side.umount(b"/x/y") == 0
    assert side.mount(b"/b", b"/x/y", None, BIND | REC) == 0
    assert side.names(b"/x/y/c/in") == {b".", b"..", b"side"}
    side.table()
    assert side.umount(b"/x/y") == EBUSY
    assert side.umount(b"/b/c/in") == 0
    assert side.names(b"/b/c/in") == {b".", b".."}
    assert side.names(b"/x/y/c/in") == {b".", b"..", b"side"}
    assert side.umount(b"/x/y", DETACH) == 0
    assert side.names(b"/x/y") == {b".", b".."}
    side.table()


def test_an_unbindable_mount_is_left_out(side):
    assert side.mount(b"none", b"/b/c", b"tmpfs") == 0
    assert side.mount(None, b"/b/c", None, UNBINDABLE) == 0
    assert side.mount(b"/b/c", b"/x/y", None, BIND) == EINVAL
    side.table()
    assert side.mount(b"/b", b"/x/y", None, BIND | REC) == 0
    assert side.names(b"/x/y/c") == {b".", b"..", b"d"}
    assert side.mount(None, b"/b/c", None, SLAVE) == 0
    assert side.mount(b"/b/c", b"/a", None, BIND) == EINVAL
    assert side.mount(None, b"/", None, PRIVATE | REC) == 0
    assert side.mount(b"/b/c", b"/a", None, BIND) == 0
    side.table()


def test_a_mount_is_moved(side):
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    assert side.make(b"/a/in") == 0
    assert side.mount(b"none", b"/a/in", b"tmpfs") == 0
    before = side.statx(b"/a")
    assert side.mount(b"/a", b"/x/y", None, MOVE) == 0
    assert side.statx(b"/x/y") == before
    assert side.names(b"/a") == {b".", b"..", b"file", b"sub"}
    assert side.mount(b"/x/y", b"/x/y/in", None, MOVE) == ELOOP
    assert side.mount(b"/x/y", b"/file", None, MOVE) == EINVAL
    assert side.mount(b"/x/y/in", b"/a", None, MOVE) == 0
    side.table()


def test_mounts_on_one_place_lie_one_over_the_other(side):
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    assert side.make(b"/a/first") == 0
    assert side.mount(b"none", b"/a", b"tmpfs", 0, b"size=64k,nr_inodes=7,mode=750") == 0
    side.table()
    assert side.mount(b"/b", b"/a", None, BIND) == 0
    assert side.names(b"/a") == {b".", b"..", b"c"}
    assert side.umount(b"/a") == 0
    assert side.names(b"/a") == {b".", b".."}
    assert side.umount(b"/a") == 0
    assert side.names(b"/a") == {b".", b"..", b"first"}
    assert side.umount(b"/a") == 0
    assert side.umount(b"/a") == EINVAL


def test_who_is_in_a_tree_keeps_it(side):
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    assert side.make(b"/a/in") == 0
    assert side.make(b"/a/in/deep") == 0
    descriptor = side.open(b"/a/in/file", 0o102)
    assert side.umount(b"/a") == EBUSY
    assert side.call("unlinkat", AT_FDCWD, b"/a/in/file", 0) == 0
    assert side.umount(b"/a") == EBUSY
    assert side.call("close", descriptor) == 0
    assert side.call("chdir", b"/a/in") == 0
    assert side.umount(b"/a") == EBUSY
    assert side.umount(b"/a", EXPIRE) == EBUSY
    assert side.umount(b"/a", DETACH) == 0
    assert side.names(b"/a") == {b".", b"..", b"file", b"sub"}
    assert side.working_directory() == b"(unreachable)/in"
    assert side.make(b"more") == 0
    assert side.names(b".") == {b".", b"..", b"deep", b"more"}
    assert side.call("chdir", b"..") == 0
    assert side.working_directory() == b"(unreachable)/"
    assert side.call("chdir", b"..") == 0
    assert side.working_directory() == b"(unreachable)/"
    assert side.mount(b"none", b"in", b"tmpfs") == ENOENT
    assert side.call("chdir", b"/") == 0


def test_mounts_expire(side):
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    assert side.umount(b"/a", EXPIRE | DETACH) == EINVAL
    assert side.umount(b"/a", EXPIRE) == EAGAIN
    assert side.umount(b"/a", EXPIRE) == 0
    assert side.umount(b"/a", EXPIRE) == EINVAL
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    assert side.umount(b"/x/y", EXPIRE) == EAGAIN
    assert side.open(b"/x/y/file") >= 0
    assert side.umount(b"/x/y", EXPIRE) == EBUSY


def test_links_are_followed_to_a_mount_unless_they_must_not_be(side):
    assert side.mount(b"none", b"/link", b"tmpfs") == 0
    assert side.umount(b"/link", NOFOLLOW) == EINVAL
    assert side.umount(b"/a/sub", NOFOLLOW) == 0
    assert side.mount(b"/a/sub", b"/x/y", None, BIND) == 0
    assert side.mount(b"none", b"/x/y", b"tmpfs") == 0
    assert side.umount(b"/x/y/") == 0
    assert side.umount(b"/x/y/../y") == 0


def test_room_of_its_own(side):
    assert side.mount(b"none", b"/a", b"tmpfs", 0, b"size=16k,nr_inodes=4,mode=0700,uid=5,gid=6") == 0
    assert side.call("statfs", b"/a", REGION) == 0
    assert len({each[:8] + each[16:56] for each in side.sides(120)}) == 1
    descriptor = side.open(b"/a/file", 0o102)
    assert side.call("pwrite64", descriptor, REGION, 4096 * 3, 0) == 4096 * 3
    assert side.call("pwrite64", descriptor, REGION, 4096 * 3, 4096 * 3) == 4096
    assert side.call("pwrite64", descriptor, REGION, 10, 4096 * 4) == -28
    assert side.call("statfs", b"/a", REGION) == 0
    assert len({each[:8] + each[16:56] for each in side.sides(120)}) == 1
    assert side.mount(None, b"/a", None, REMOUNT, b"size=8k") == EINVAL
    assert side.mount(None, b"/a", None, REMOUNT, b"size=20k") == 0
    assert side.call("pwrite64", descriptor, REGION, 10, 4096 * 4) == 10
    assert side.make(b"/a/one") == 0
    assert side.make(b"/a/two") == 0
    assert side.make(b"/a/three") == -28
    assert side.remove(b"/a/one") == 0
    assert side.make(b"/a/three") == 0
    side.table()


def test_a_walk_that_must_not_cross(side):
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    for path, resolve in ((b"x/y/file", 1), (b"x/y/..", 1), (b"x/y", 1), (b"x", 1), (b"x/y/file", 8),
                          (b"x/y/../..", 8)):  # fmt: skip
        how = side.both.put(0x8000, struct.pack("QQQ", 0, 0, resolve))
        folder = side.open(b"/", 0o200000)
        descriptor = side.call("openat2", folder, path, how, 24)
        for each in (folder, descriptor):
            if each >= 0:
                side.call("close", each)
    inside = side.open(b"/x/y", 0o200000)
    how = side.both.put(0x8000, struct.pack("QQQ", 0, 0, 1))
    assert side.call("openat2", inside, b"..", how, 24) == EXDEV
    assert side.call("openat2", inside, b"sub", how, 24) >= 0


def test_tops_say_so(side):
    assert side.mount(b"/a", b"/x/y", None, BIND) == 0
    for path in (b"/", b"/x", b"/x/y", b"/x/y/sub", b"/x/y/sub/.."):
        ours, theirs = side.statx(path)
        assert ours[1] == theirs[1]
    ours, theirs = side.statx(b"/a")
    inside = side.statx(b"/x/y/sub")
    assert inside[0] != ours and inside[1] != theirs


def test_a_root_inside_of_a_mount(side):
    assert side.mount(b"/b", b"/x/y", None, BIND) == 0
    root = side.open(b"/", 0o200000)
    assert side.call("chroot", b"/x/y/c") == 0
    try:
        assert side.call("chdir", b"/d") == 0
        assert side.working_directory() == b"/d"
        assert side.call("chdir", b"../../..") == 0
        assert side.working_directory() == b"/"
        assert side.names(b"/") == {b".", b"..", b"d"}
    finally:
        assert side.call("fchdir", root) == 0
        assert side.call("chroot", b".") == 0


def test_only_the_privileged_mount(side):
    assert side.mount(b"none", b"/a", b"tmpfs") == 0
    header = side.both.put(0x8000, struct.pack("<II", 0x20080522, 0))
    data = side.both.put(0x8010, bytes(24))
    assert side.call("capget", header, data) == 0
    shared = [a & b for a, b in zip(*(struct.unpack("<6I", each[0x10:0x28]) for each in side.sides_at(0x8000, 0x28)),
                                    strict=True)]  # fmt: skip
    side.both.put(0x8010, struct.pack("<6I", shared[0] & ~(1 << 21), *shared[1:]))
    assert side.call("capset", header, data) == 0
    assert side.mount(b"none", b"/x/y", b"tmpfs") == EPERM
    assert side.mount(b"none", b"/missing", b"tmpfs") == ENOENT
    assert side.umount(b"/a") == EPERM
    assert side.mount(None, b"/a", None, REMOUNT) == EPERM
    side.both.put(0x8010, struct.pack("<6I", *shared))
    assert side.call("capset", header, data) == 0
    assert side.umount(b"/a") == 0


PLACES = [b"/a", b"/a/sub", b"/b", b"/b/c", b"/b/c/d", b"/x", b"/x/y", b"/x/y/sub", b"/x/y/c", b"/a/sub/..", b"/file",
          b"/a/file", b"/link", b"/b/c/../c", b"/missing", b"/x/y/c/d", b"/a/made"]  # fmt: skip
places = st.sampled_from(PLACES)
mount_bits = st.sampled_from([0, RDONLY, NOSUID, NODEV | NOEXEC, NOATIME, STRICTATIME, RDONLY | NODIRATIME])
STEPS = st.one_of(
    st.tuples(st.just("new"), places, mount_bits, st.sampled_from([b"", b"size=8k", b"mode=711", b"size=1m"])),
    st.tuples(st.just("bind"), places, places, st.sampled_from([0, REC])),
    st.tuples(st.just("bind"), places, places, st.sampled_from([0, REC])),
    st.tuples(st.just("move"), places, places),
    st.tuples(st.just("kind"), places, st.sampled_from([PRIVATE, UNBINDABLE, SLAVE]), st.sampled_from([0, REC])),
    st.tuples(st.just("change"), places, mount_bits),
    st.tuples(st.just("remount"), places, mount_bits, st.sampled_from([b"", b"size=4k", b"mode=700"])),
    st.tuples(st.just("umount"), places, st.sampled_from([0, 0, DETACH, EXPIRE, NOFOLLOW, FORCE])),
    st.tuples(st.just("make"), places),
    st.tuples(st.just("remove"), places),
    st.tuples(st.just("rename"), places, places),
    st.tuples(st.just("open"), places, st.sampled_from([0, 2, 0o102, 0o200000, 0o10000000])),
    st.tuples(st.just("close"), st.integers(3, 6)),
    st.tuples(st.just("chdir"), st.one_of(places, st.sampled_from([b"..", b"/", b"c", b"sub"]))),
    st.tuples(st.just("list"), places),
)


def take(side: Side, step) -> None:
    """One step, with the same outcome on both sides."""
    match step:
        case "new", place, flags, data:
            side.mount(b"none", place, b"tmpfs", flags, data)
        case "bind", source, place, flags:
            side.mount(source, place, None, BIND | flags)
        case "move", source, place:
            side.mount(source, place, None, MOVE)
        case "kind", place, kind, flags:
            side.mount(None, place, None, kind | flags)
        case "change", place, flags:
            side.mount(None, place, None, REMOUNT | BIND | flags)
        case "remount", place, flags, data:
            side.mount(None, place, None, REMOUNT | flags, data)
        case "umount", place, flags:
            side.umount(place, flags)
        case "make", place:
            side.make(place)
        case "remove", place:
            side.remove(place)
        case "rename", place, other:
            side.call("renameat", AT_FDCWD, place, AT_FDCWD, other)
        case "open", place, flags:
            side.open(place, flags)
        case "close", descriptor:
            side.call("close", descriptor)
        case "chdir", place:
            if side.call("chdir", place) == 0:
                side.working_directory()
        case "list", place:
            descriptor = side.open(place, 0o200000)
            if descriptor >= 0:
                side.call("close", descriptor)
                side.names(place)
                side.flags(place)


@settings(max_examples=int(os.environ.get("GOANNA_MOUNT_EXAMPLES", "60")), deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(steps=st.lists(STEPS, min_size=3, max_size=25))
def test_any_steps_lead_to_the_same_mounts(both, steps):
    settle(both)
    side = Side(both)
    for step in steps:
        take(side, step)
        side.table()
