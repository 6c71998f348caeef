"""Paths: what open, stat, access, readlink, chdir, getcwd and getdents64 say of the same tree on Linux."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import File, Folder, Link
from tests.kernel.syscall.bench import default_tree
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

AT_FDCWD = -100
PATH, BUFFER = REGION + 0x4000, REGION
NAMES = [
    b"etc", b"hosts", b"secret", b"bin", b"program", b"links", b"folder", b"absolute", b"loop", b"nowhere", b"many",
    b"name-000", b"name-199", b"large", b".", b"..", b"missing", b"deep", b"x" * 255, b"x" * 256, b"chain",
]  # fmt: skip
GOOD = [
    b"/etc/hosts", b"etc/hosts", b"hosts", b"/etc", b"/links/hosts", b"/links/folder", b"/links/absolute", b"/chain",
    b"/links/loop", b"/links/nowhere", b"/links/step-12", b"/many", b"/large", b"/", b".", b"..", b"/bin/program",
    b"/deep/a/b/c", b"/deep/../etc/./hosts", b"../../etc", b"/etc/secret", b"",
]  # fmt: skip
paths = st.one_of(
    st.sampled_from(GOOD),
    st.builds(lambda path, end: path + end, st.sampled_from(GOOD),
              st.sampled_from([b"/", b"/.", b"/..", b"//x", b"/hosts"])),
    st.builds(lambda parts, start: start + b"/".join(parts), st.lists(st.sampled_from(NAMES), max_size=5),
              st.sampled_from([b"", b"/"])),
    st.just(b"a/" * 2047 + b"a"),
    st.just(b"a/" * 2048),
)  # fmt: skip
DIRECTORY, NOFOLLOW, CREAT, EXCL, TRUNC, PATH_ONLY = 0o200000, 0o400000, 0o100, 0o200, 0o1000, 0o10000000
open_flags = st.builds(
    lambda access, *extra: access | sum(set(extra)),
    st.integers(0, 3),
    *[st.sampled_from([0, 0, DIRECTORY, NOFOLLOW, CREAT, EXCL, TRUNC, PATH_ONLY, 0o2000, 0o4000, 0o2000000])] * 3,
)
START = [(b"/etc", 0), (b"/large", 0), (b"/many", 0), (b"/links/loop", PATH_ONLY | NOFOLLOW), (b"/etc", PATH_ONLY)]
FILES = [3, 4, 5, 6, 7, 8]
folders = st.sampled_from([AT_FDCWD, AT_FDCWD, AT_FDCWD, *FILES, 0, 50])
steps = st.one_of(
    st.tuples(st.just("openat"), folders, paths, open_flags),
    st.tuples(st.just("openat2"), folders, paths, open_flags),
    st.tuples(st.just("newfstatat"), folders, paths, st.sampled_from([0, 0x100, 0x1000, 0x800, 4])),
    st.tuples(st.just("statx"), folders, paths, st.sampled_from([0, 0x100, 0x1000, 0x6000, 4])),
    st.tuples(st.just("faccessat2"), folders, paths, st.integers(0, 8), st.sampled_from([0, 0x100, 0x200, 0x300])),
    st.tuples(st.just("readlinkat"), folders, paths, st.sampled_from([0, -1, 1, 5, 300])),
    st.tuples(st.just("chdir"), paths),
    st.tuples(st.just("getcwd"), st.sampled_from([0, 1, 2, 10, 300])),
    st.tuples(st.just("fchdir"), folders),
    st.tuples(st.just("read"), st.sampled_from(FILES), st.sampled_from([0, 1, 100, 4000])),
    st.tuples(st.just("pread64"), st.sampled_from(FILES), st.sampled_from([1, 100, 4000]),
              st.sampled_from([0, 5, 4095, 290_000, 299_999, 300_000, 400_000, -1])),
    st.tuples(st.just("lseek"), st.sampled_from(FILES), st.sampled_from([0, 1, -1, 4096, 299_990, 1 << 40]),
              st.integers(0, 5)),
    st.tuples(st.just("getdents64"), st.sampled_from(FILES), st.just(1 << 15)),
    st.tuples(st.just("ioctl"), st.sampled_from(FILES)),
    st.tuples(st.just("close"), st.sampled_from(FILES)),
    st.tuples(st.just("fcntl"), st.sampled_from(FILES)),
)  # fmt: skip


def tree() -> Folder:
    root = default_tree()
    for name in ("dev", "proc", "sys", "run", "tmp"):
        root.add(name, Folder())
    for index in range(20, 200):
        del root.entries[b"many"].entries[b"name-%03d" % index]
    root.add("deep/a/b/c", File(data=b"c", mode=0o640))
    root.add("chain", Link(target=b"links/folder/../links/absolute"))
    for number in range(50):
        root.add(f"links/step-{number}", Link(target=f"step-{number + 1}".encode()))
    root.add("links/step-50", File(data=b"end"))
    return root


@pytest.fixture(scope="module")
def both():
    both = Both(tree())
    yield both
    both.close()


def names(data: bytes) -> list[tuple[bytes, int]]:
    """Names and types of getdents64."""
    found, place = [], 0
    while place < len(data):
        size, kind = struct.unpack_from("HB", data, place + 16)
        found.append((data[place + 19 : place + size].split(b"\0")[0], kind))
        place += size
    return sorted(found)


def compare(both, step):
    """One call on both sides, and what is comparable of what it gave."""
    name, *arguments = step
    both.put(0, bytes(1 << 15))
    if name in ("openat", "openat2", "newfstatat", "statx", "faccessat2", "readlinkat", "chdir"):
        place = 0 if name == "chdir" else 1
        arguments[place] = both.put(0x8000 + 0x1000, arguments[place] + b"\0")
    compared = slice(0, 0)
    match name:
        case "openat":
            arguments.append(0o644)
        case "openat2":
            both.put(0x8000, struct.pack("QQQ", arguments[2], 0o644 if arguments[2] & CREAT else 0, 0))
            arguments[2:] = [REGION + 0x8000, 24]
        case "newfstatat":
            arguments = [arguments[0], arguments[1], BUFFER, arguments[2]]
            compared = slice(24, 36)  # mode, user, group
        case "statx":
            arguments = [arguments[0], arguments[1], arguments[2], 0x7FF, BUFFER]
            compared = slice(20, 30)  # user, group, mode
        case "readlinkat":
            arguments = [arguments[0], arguments[1], BUFFER, arguments[2]]
            compared = slice(0, 300)
        case "getcwd":
            arguments = [BUFFER, arguments[0]]
            compared = slice(0, 300)
        case "read" | "getdents64":
            arguments = [arguments[0], BUFFER, arguments[1]]
            compared = slice(0, 4000)
        case "pread64":
            arguments = [arguments[0], BUFFER, *arguments[1:]]
            compared = slice(0, 4000)
        case "ioctl":
            arguments = [arguments[0], 0x541B, BUFFER]
            compared = slice(0, 4)
        case "fcntl":
            arguments = [arguments[0], 3, 0]
    if name == "lseek" and is_folder(both, arguments[0]):
        arguments[1:] = [0, 0]  # other positions in a directory are the file system's own
    ours, theirs = both.answers(name, *arguments)
    shown = f"{step}: {ours}, on Linux {theirs}"
    if name == "getdents64" and ours > 0 and theirs > 0:
        assert names(both.memory(0, ours)) == names(both.linux.memory[:theirs]), shown
        return
    assert ours == theirs, shown
    if ours >= 0:
        assert both.memory(compared.start, compared.stop - compared.start) == both.linux.memory[compared], shown


def is_folder(both, descriptor: int) -> bool:
    both.machine.raw("fstat", descriptor, REGION + 0x8000)
    return struct.unpack("I", both.memory(0x8000 + 24, 4))[0] & 0o170000 == 0o040000


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=30))
def test_any_walk_through_the_tree_is_as_on_linux(both, steps):
    both.reset()
    both.put(0, bytes(0x1000))
    compare(both, ("chdir", b"/"))
    for path, flags in START:
        compare(both, ("openat", AT_FDCWD, path, flags))
    for step in steps:
        compare(both, step)


def test_forty_links_are_followed_and_no_more(both):
    for number in range(51):
        compare(both, ("openat", AT_FDCWD, f"/links/step-{number}".encode(), 0))


def test_a_working_directory_whose_path_is_too_long(both):
    both.reset()
    compare(both, ("chdir", b"/tmp"))
    name = both.put(0x8000 + 0x1000, b"n" * 250 + b"\0")
    for _ in range(18):
        for call in (("mkdir", name, 0o755), ("chdir", name)):
            ours, theirs = both.answers(*call)
            assert ours == theirs == 0
        ours, theirs = both.answers("getcwd", BUFFER, 8192)
        assert ours == theirs
