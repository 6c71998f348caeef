"""mount and umount2: the same calls on this machine's Linux and on ours give the same answers, and the trees that
come of them look the same.
"""

import struct

import pytest

from tests.kernel.file.mounts import (
    AT_FDCWD,
    BIND,
    DETACH,
    EACCES,
    EAGAIN,
    EBUSY,
    EINVAL,
    ELOOP,
    ENODEV,
    ENOENT,
    ENOTDIR,
    EPERM,
    EROFS,
    EXDEV,
    EXPIRE,
    MOVE,
    NOATIME,
    NODEV,
    NODIRATIME,
    NOEXEC,
    NOFOLLOW,
    NOSUID,
    NOSYMFOLLOW,
    PRIVATE,
    RDONLY,
    REC,
    RELATIME,
    REMOUNT,
    SLAVE,
    STRICTATIME,
    UNBINDABLE,
    Side,
    both_text,
    settle,
    tree,
)
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]


@pytest.fixture(scope="module")
def both():
    both = Both(tree())
    yield both
    both.close()


@pytest.fixture(autouse=True)
def fresh(both):
    settle(both)


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
