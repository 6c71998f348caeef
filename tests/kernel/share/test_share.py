"""Files of a share by system calls, over a server of a real folder."""

import os
import struct

import pytest

from goanna.kernel.base.errno import EBADF, EEXIST, EINVAL, ENOENT, ENOTDIR, ENOTEMPTY, EOPNOTSUPP, EROFS
from tests.kernel.share.machine import Machine, in_use
from tests.kernel.share.server import Server
from tests.kernel.syscall.bench import default_tree

AT_FDCWD = -100


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "below").mkdir()
    (tmp_path / "below/large").write_bytes(bytes(index * 7 % 251 for index in range(300_000)))
    (tmp_path / "link").symlink_to("below/large")
    return tmp_path


@pytest.fixture
def machine(folder):
    made = Machine(default_tree(), Server(str(folder)))
    assert made.mounted == 0
    return made


def test_reads_what_the_host_has(machine, folder):
    assert machine.file(b"/share/file") == b"content"
    assert machine.file(b"/share/link", 100_000) == (folder / "below/large").read_bytes()
    assert machine.open(b"/share/missing") == -ENOENT
    (folder / "file").write_bytes(b"other, and longer")
    assert machine.file(b"/share/file") == b"other, and longer"


def test_nothing_is_kept_of_what_nobody_has_open(machine):
    before = machine.unit.call(in_use)
    machine.file(b"/share/below/large", 50_000)
    machine.open(b"/share/missing")
    assert machine.unit.call(in_use) == before == 1
    assert len(machine.server.fids) == 1


def test_makes_writes_and_removes(machine, folder):
    descriptor = machine.open(b"/share/new", 0o102)
    assert machine.write(descriptor, b"abc") == 3
    assert machine.call("pwrite64", descriptor, machine.put(b"XY"), 2, 1) == 2
    assert (folder / "new").read_bytes() == b"aXY"
    assert oct((folder / "new").stat().st_mode) == "0o100644"
    assert machine.raw("close", descriptor) == 0
    assert machine.call("mkdirat", AT_FDCWD, b"/share/made", 0o750) == 0
    assert machine.call("renameat2", AT_FDCWD, b"/share/new", AT_FDCWD, b"/share/made/moved", 0) == 0
    assert (folder / "made/moved").read_bytes() == b"aXY"
    assert machine.call("unlinkat", AT_FDCWD, b"/share/made", 0x200) == -ENOTEMPTY
    assert machine.call("unlinkat", AT_FDCWD, b"/share/made/moved", 0) == 0
    assert machine.call("unlinkat", AT_FDCWD, b"/share/made", 0x200) == 0
    assert not (folder / "made").exists()
    assert len(machine.server.fids) == 1


def test_a_file_whose_mode_forbids_writing_is_written_by_whoever_makes_it(machine, folder):
    descriptor = machine.call("openat", AT_FDCWD, b"/share/locked", 0o101, 0)
    assert machine.write(descriptor, b"x") == 1
    assert (folder / "locked").read_bytes() == b"x"


def test_what_takes_the_place_of_a_file_is_seen(machine, folder):
    held = machine.open(b"/share/file")
    (folder / "other").write_bytes(b"replaced")
    os.rename(folder / "other", folder / "file")
    assert machine.file(b"/share/file") == b"replaced"
    assert machine.read(held, 100) == b"content"
    (folder / "file").unlink()
    assert machine.open(b"/share/file") == -ENOENT


def names(machine, path):
    descriptor = machine.open(path, 0o200000)
    found, buffer = [], machine.scratch + (512 << 10)
    while (count := machine.raw("getdents64", descriptor, buffer, 2000)) > 0:
        data, at = machine.get(buffer, count), 0
        while at < count:
            size, kind = struct.unpack_from("HB", data, at + 16)
            found.append((data[at + 19 : at + size].split(b"\0")[0], kind))
            at += size
    assert count == 0
    machine.raw("close", descriptor)
    return found


def test_lists_folders_of_any_size(machine, folder):
    assert names(machine, b"/share") == [(b".", 4), (b"..", 4), (b"below", 4), (b"file", 8), (b"link", 10)]
    for index in range(500):
        (folder / f"below/a rather long name, number {index:04}").touch()
    assert len(names(machine, b"/share/below")) == 503


def mapping(machine, descriptor, size, protection=3, flags=1):
    address = machine.raw("mmap", 0, size, protection, flags, descriptor, 0)
    assert address > 0
    return address


def test_what_is_written_to_a_shared_mapping_reaches_the_host(machine, folder):
    descriptor = machine.open(b"/share/below/large", 2)
    address = mapping(machine, descriptor, 300_000)
    machine.poke(address + 5000, b"hello")
    assert machine.raw("msync", address, 8192, 4) == 0
    content = (folder / "below/large").read_bytes()
    assert content[4990:5010] == bytes(index * 7 % 251 for index in range(4990, 5000)) + b"hello" + bytes(
        index * 7 % 251 for index in range(5005, 5010)
    )
    # What the host changes meanwhile beside it stays, and read shows what was written.
    with open(folder / "below/large", "r+b") as file:
        file.seek(6000)
        file.write(b"host")
    machine.poke(address + 5000, b"HELLO")
    assert machine.raw("lseek", descriptor, 5000, 0) == 5000
    assert machine.read(descriptor, 5) == b"HELLO"
    machine.poke(address + 299_999, b"end")  # two bytes past the end of the file
    machine.raw("close", descriptor)
    assert machine.raw("munmap", address, 300_000) == 0
    content = (folder / "below/large").read_bytes()
    assert content[5000:5005] == b"HELLO" and content[6000:6004] == b"host"
    assert len(content) == 300_000 and content[-1:] == b"e"
    assert len(machine.server.fids) == 1


def test_a_private_mapping_stays_here(machine, folder):
    descriptor = machine.open(b"/share/file")
    address = mapping(machine, descriptor, 4096, 3, 2)
    machine.poke(address, b"XXXX")
    assert machine.get(address, 8) == b"XXXXent\0"
    assert machine.raw("munmap", address, 4096) == 0
    assert (folder / "file").read_bytes() == b"content"


def test_writes_show_in_mappings(machine):
    descriptor = machine.open(b"/share/file", 2)
    address = mapping(machine, descriptor, 4096)
    assert machine.get(address, 7) == b"content"
    assert machine.write(descriptor, b"CON") == 3
    assert machine.get(address, 7) == b"CONtent"
    assert machine.raw("ftruncate", descriptor, 4) == 0
    assert machine.get(address, 7) == b"CONt\0\0\0"


def test_a_share_that_is_read_only(folder):
    machine = Machine(default_tree(), Server(str(folder), read_only=True), read_only=True)
    assert machine.file(b"/share/file") == b"content"
    assert machine.open(b"/share/file", 1) == -EROFS
    assert machine.open(b"/share/new", 0o101) == -EROFS
    assert machine.call("unlinkat", AT_FDCWD, b"/share/file", 0) == -EROFS
    assert machine.call("fchmodat", AT_FDCWD, b"/share/file", 0o600) == -EROFS


def test_extended_attributes(machine, folder):
    try:
        os.setxattr(folder / "file", "user.host", b"here")
    except OSError:
        pytest.skip("this folder has no extended attributes")
    buffer = machine.scratch + (512 << 10)
    assert machine.call("getxattr", b"/share/file", b"user.host", buffer, 100) == 4
    assert machine.get(buffer, 4) == b"here"
    assert machine.call("setxattr", b"/share/file", b"user.guest", machine.put(b"there"), 5, 0) == 0
    assert os.getxattr(folder / "file", "user.guest") == b"there"
    assert machine.call("setxattr", b"/share/file", b"user.guest", machine.put(b"there"), 5, 1) == -EEXIST
    assert machine.call("setxattr", b"/share/file", b"user.empty", 0, 0, 0) == -EOPNOTSUPP
    assert machine.call("listxattr", b"/share/file", buffer, 1000) == 21
    assert sorted(machine.get(buffer, 21).split(b"\0")) == [b"", b"user.guest", b"user.host"]
    assert machine.call("removexattr", b"/share/file", b"user.host") == 0
    assert os.listxattr(folder / "file") == ["user.guest"]
    assert len(machine.server.fids) == 1


def test_what_the_protocol_does_not_carry_is_refused(machine):
    descriptor = machine.open(b"/share/file", 2)
    assert machine.raw("fallocate", descriptor, 0, 0, 100) == -EOPNOTSUPP
    assert machine.call("renameat2", AT_FDCWD, b"/share/file", AT_FDCWD, b"/share/x", 1) == -EINVAL
    assert machine.call("openat", AT_FDCWD, b"/share", 0o20200002, 0o600) == -EOPNOTSUPP
    assert machine.raw("fsync", descriptor) == 0
    assert machine.raw("fsync", 77) == -EBADF


def asked(machine, *call):
    """The answer of a call, and how many requests it took, but for clunks, for which nobody waits."""
    machine.server.seen.clear()
    result = machine.call(*call)
    return result, len([each for each in machine.server.seen if each != CLUNK])


CLUNK = 120


def test_a_path_is_one_walk_however_long(machine, folder):
    (folder / "a/b/c/d").mkdir(parents=True)
    (folder / "a/b/c/d/file").write_bytes(b"deep")
    status = machine.scratch + (512 << 10)
    walk_and_look = 2
    assert asked(machine, "newfstatat", AT_FDCWD, b"/share/a/b/c/d/file", status, 0) == (0, walk_and_look + 1)
    assert asked(machine, "newfstatat", AT_FDCWD, b"/share/a/b/c/d/none", status, 0) == (-ENOENT, 2)
    assert asked(machine, "faccessat", AT_FDCWD, b"/share/file", 4) == (0, walk_and_look + 1)
    descriptor, count = asked(machine, "openat", AT_FDCWD, b"/share/a/b/c/d/file", 0)
    assert descriptor >= 0 and count == walk_and_look + 1
    assert asked(machine, "fstat", descriptor, status) == (0, 1)
    assert machine.read(descriptor, 100) == b"deep"
    assert asked(machine, "fchmod", descriptor, 0o600) == (0, 2)
    assert oct((folder / "a/b/c/d/file").stat().st_mode) == "0o100600"
    machine.raw("close", descriptor)
    descriptor, count = asked(machine, "openat", AT_FDCWD, b"/share/a/b/c/d/new", 0o102, 0o600)
    assert descriptor >= 0 and count == walk_and_look + 5
    assert machine.write(descriptor, b"new") == 3
    machine.raw("close", descriptor)
    assert asked(machine, "unlinkat", AT_FDCWD, b"/share/a/b/c/d/new", 0)[1] <= 5
    assert not (folder / "a/b/c/d/new").exists()
    assert machine.unit.call(in_use) == 1 and len(machine.server.fids) == 1


def test_folders_that_were_only_passed_are_known_when_they_are_wanted(machine, folder):
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b").chmod(0o2711)
    (folder / "a/b/file").write_bytes(b"x")
    status = machine.scratch + (512 << 10)
    assert machine.call("chdir", b"/share/a/b/c") == 0
    assert machine.call("newfstatat", AT_FDCWD, b"..", status, 0) == 0
    assert struct.unpack_from("I", machine.get(status, 144), 24)[0] == 0o42711
    assert machine.call("mkdirat", AT_FDCWD, b"../made", 0o755) == 0
    assert machine.file(b"../file") == b"x"
    assert machine.file(b"../../b/c/../file") == b"x"
    assert machine.call("chdir", b"/") == 0
    assert machine.unit.call(in_use) == 1 and len(machine.server.fids) == 1


def test_a_folder_that_was_replaced_meanwhile_is_another(machine, folder):
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b/c/file").write_bytes(b"old")
    assert machine.call("chdir", b"/share/a/b/c") == 0
    os.rename(folder / "a", folder / "gone")
    (folder / "a/b/c").mkdir(parents=True)
    (folder / "a/b/c/file").write_bytes(b"new")
    assert machine.call("mkdirat", AT_FDCWD, b"../../x", 0o755) == -ENOENT
    assert machine.file(b"/share/a/b/c/file") == b"new"
    assert machine.file(b"/share/gone/b/c/file") == b"old"


def test_paths_of_more_names_than_one_walk_takes(machine, folder):
    deep = "/".join(f"n{index}" for index in range(40))
    (folder / deep).mkdir(parents=True)
    (folder / deep / "file").write_bytes(b"deep")
    assert machine.file(f"/share/{deep}/file".encode()) == b"deep"
    assert machine.call("chdir", f"/share/{deep}".encode()) == 0
    assert machine.file(b"file") == b"deep"
    assert machine.file(b"../n39/../../n38/n39//./file") == b"deep"
    assert machine.call("renameat2", AT_FDCWD, f"/share/{deep}/file".encode(), AT_FDCWD, b"/share/n0/n1/f", 0) == 0
    assert machine.file(b"/share/n0/n1/f") == b"deep"
    assert machine.call("chdir", b"/") == 0
    assert machine.unit.call(in_use) == 1 and len(machine.server.fids) == 1


def test_links_on_the_way_are_followed(machine, folder):
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").write_bytes(b"x")
    (folder / "a/to-b").symlink_to("b")
    (folder / "a/b/up").symlink_to("../../a")
    (folder / "a/b/last").symlink_to("file")
    assert machine.file(b"/share/a/to-b/file") == b"x"
    assert machine.file(b"/share/a/b/up/b/up/to-b/last") == b"x"
    assert machine.open(b"/share/a/b/file/") == -ENOTDIR
    assert machine.open(b"/share/a/b/file/x") == -ENOTDIR
    assert machine.unit.call(in_use) == 1
