"""What hangs on files: locks, extended attributes, seals of memory files, mappings; compared with Linux."""

import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goanna.image.erofs import File, Folder, Link
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

AT_FDCWD = -100
BUFFER = REGION
files = st.integers(3, 8)
offsets = st.sampled_from([0, 1, 9, 10, 11, 20, 50, 100, -1, -10, (1 << 63) - 1, 1 << 62])
NAMES = [b"user.a", b"user.b", b"user.", b"trusted.t", b"security.s", b"system.x", b"other", b"", b"user." + b"n" * 251]
paths = st.sampled_from([b"f", b"/tmp/f", b"link", b"d", b"sticky", b"missing", b"pipe", b"/tmp/g", b"owned", b"",
                         b"marked", b"shared", b"marked-folder", b"marked", b"same", b"marked-link"])
names = st.sampled_from(NAMES[:2] * 3 + NAMES)
values = st.sampled_from([0, 1, 10, 100, 5000, 65536, 65537])
rooms = st.sampled_from([0, 1, 10, 100, 5000])
lock_steps = st.one_of(
    st.tuples(st.just("flock"), files, st.sampled_from([8, 5, 6, 12, 0, 3, 16])),
    st.tuples(st.just("fcntl"), files, st.sampled_from([5, 6, 36, 37]), st.sampled_from([0, 1, 2, 0, 1, 2, 3]),
              st.sampled_from([0, 0, 0, 1, 2, 5]), offsets, offsets, st.sampled_from([0, 0, 0, 7])),
    st.tuples(st.just("lseek"), files, offsets, st.integers(0, 2)),
    st.tuples(st.just("close"), files),
    st.tuples(st.just("dup"), files),
    st.tuples(st.just("dup2"), files, files),
    st.tuples(st.just("openat"), st.just(AT_FDCWD), st.sampled_from([b"f", b"/tmp/f"]), st.integers(0, 2)),
)  # fmt: skip
extended_steps = st.one_of(
    st.tuples(st.sampled_from(["setxattr", "lsetxattr"]), paths, names, values, st.integers(0, 3)),
    st.tuples(st.just("fsetxattr"), files, names, values, st.integers(0, 3)),
    st.tuples(st.sampled_from(["getxattr", "lgetxattr"]), paths, names, rooms),
    st.tuples(st.just("fgetxattr"), files, names, rooms),
    st.tuples(st.sampled_from(["listxattr", "llistxattr"]), paths, rooms),
    st.tuples(st.just("flistxattr"), files, rooms),
    st.tuples(st.sampled_from(["removexattr", "lremovexattr"]), paths, names),
    st.tuples(st.just("setfsuid"), st.sampled_from([0, 1000])),
)
memory_steps = st.one_of(
    st.tuples(st.just("memfd_create"), st.sampled_from([b"name", b"", b"n" * 249, b"n" * 250]),
              st.sampled_from([0, 1, 2, 3, 8, 16, 24, 32])),
    st.tuples(st.just("fcntl2"), files, st.sampled_from([1033, 1034]), st.sampled_from([1, 2, 4, 8, 16, 32, 15, 64])),
    st.tuples(st.just("ftruncate"), files, st.sampled_from([0, 100, 5000, 10_000])),
    st.tuples(st.just("write"), files, st.sampled_from([1, 100, 5000])),
    st.tuples(st.just("pwrite64"), files, st.sampled_from([1, 100, 5000]), st.sampled_from([0, 10, 4096])),
    st.tuples(st.just("fallocate"), files, st.sampled_from([0, 1, 3]), st.sampled_from([0, 10, 4096]), st.just(4096)),
    st.tuples(st.just("mmap"), files, st.sampled_from([1, 3]), st.sampled_from([1, 2])),
    st.tuples(st.just("fstat"), files),
    st.tuples(st.just("close"), files),
)  # fmt: skip


def tree() -> Folder:
    root = Folder()
    for name in ("dev", "proc", "sys", "run", "tmp", "d"):
        root.add(name, Folder())
    root.add("f", File(data=bytes(100), mode=0o644))
    root.add("link", Link(target=b"f"))
    root.add("sticky", Folder(mode=0o1777))
    common = {b"user.a": b"of several files", b"trusted.t": b"", b"security.s": b"0123456789"}
    marked = File(data=b"x" * 100, attributes={**common, b"user.b": bytes(range(256)) * 19})
    root.add("marked", marked)
    root.add("same", marked)
    root.add("shared", File(attributes={**common, b"user." + b"n" * 250: b"long"}))
    root.add("marked-folder", Folder(attributes=common))
    root.add("marked-link", Link(target=b"marked", attributes={b"trusted.t": b"of a link"}))
    return root


@pytest.fixture(scope="module")
def both():
    both = Both(tree())
    yield both
    both.close()


def begin(both, first=b"f"):
    both.reset()
    both.put(0, bytes(0x2000))
    for path, flags in [(first, 0o102), (b"/tmp/f", 0o102), (first, 0), (b"/tmp/f", 2), (b"/tmp", 0)]:
        compare(both, ("openat", AT_FDCWD, path, flags))
    both.call("mknodat", AT_FDCWD, both.put(0x8000, b"pipe\0"), 0o10666, 0)


def compare(both, step):
    """One call on both sides: the same answer, the same memory."""
    name, *rest = step
    text = lambda value: both.put(0x8000, value + b"\0")  # noqa: E731
    second = lambda value: both.put(0x9000, value + b"\0")  # noqa: E731
    both.put(0, bytes(0x2000))
    filled = 0x2000
    match name:
        case "openat":
            rest = [rest[0], text(rest[1]), rest[2], 0o644]
        case "fcntl":
            data = struct.pack("hhIqqiI", rest[2], rest[3], 0, rest[4], rest[5], rest[6], 0)
            rest = [rest[0], rest[1], both.put(0, data)]
        case "fcntl2":
            name = "fcntl"
        case "setxattr" | "lsetxattr" | "fsetxattr" | "getxattr" | "lgetxattr" | "fgetxattr":
            place = rest[0] if name[0] == "f" else text(rest[0])
            rest = [place, second(rest[1]), BUFFER, *rest[2:]]
        case "listxattr" | "llistxattr":
            rest = [text(rest[0]), BUFFER, rest[1]]
            filled = 0
        case "flistxattr":
            rest = [rest[0], BUFFER, rest[1]]
            filled = 0
        case "removexattr" | "lremovexattr":
            rest = [text(rest[0]), second(rest[1])]
        case "memfd_create":
            rest = [text(rest[0]), rest[1]]
        case "write" | "pwrite64":
            rest = [rest[0], BUFFER, *rest[1:]]
        case "mmap":
            check_mapping(both, *rest)
            return
        case "fstat":
            rest = [rest[0], BUFFER]
            filled = 0
    ours, theirs = both.answers(name, *rest)
    shown = f"{step}: {ours}, on Linux {theirs}"
    assert ours == theirs, shown
    assert both.memory(0, filled) == both.linux.memory[:filled], shown
    if "listxattr" in name and ours > 0:
        listed = [sorted(side.split(b"\0")) for side in (both.memory(0, ours), both.linux.memory[:ours])]
        assert listed[0] == listed[1], shown


def check_mapping(both, descriptor, protection, flags):
    """mmap and munmap; the address is each side's own."""
    ours, theirs = both.answers("mmap", 0, 4096, protection, flags, descriptor, 0)
    assert min(ours, 0) == min(theirs, 0), f"mmap({descriptor}, {protection}, {flags}): {ours}, on Linux {theirs}"
    if ours > 0:
        both.machine.raw("munmap", ours, 4096)
        both.linux.number(11, theirs, 4096)


def run(both, steps, first=b"f"):
    begin(both, first)
    for step in steps:
        compare(both, step)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(lock_steps, min_size=1, max_size=40))
def test_locks_are_as_on_linux(both, steps):
    run(both, steps)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(extended_steps, min_size=1, max_size=30))
def test_extended_attributes_are_as_on_linux(both, steps):
    run(both, steps)


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(memory_steps, min_size=1, max_size=30))
def test_memory_files_and_seals_are_as_on_linux(both, steps):
    run(both, steps, b"/tmp/g")


MAPPED = REGION + 0x1000_0000
PIPE = 20  # read end; 21 the write end, which takes a byte of mapped memory if it is there
mapping_steps = st.one_of(
    st.tuples(st.just("map"), st.sampled_from([3, 4, 4, 6]), st.sampled_from([1, 3]), st.sampled_from([1, 2]),
              st.integers(0, 2)),
    st.tuples(st.just("ftruncate"), st.sampled_from([3, 4]), st.sampled_from([0, 1, 100, 4096, 5000, 9000, 12_288])),
    st.tuples(st.just("pwrite64"), st.sampled_from([3, 4]), st.just(50), st.sampled_from([0, 90, 4090, 8192, 12_000])),
    st.tuples(st.just("probe"), st.integers(0, 3)),
    st.tuples(st.just("change"), st.integers(0, 3)),
    st.tuples(st.just("fallocate"), st.sampled_from([3, 4]), st.just(3), st.sampled_from([0, 4096]), st.just(4096)),
)  # fmt: skip


def map_step(both, step):
    """One step of a sequence with a mapping of up to three pages at one place."""
    name, *rest = step
    match name:
        case "map":
            flags = rest[2] | 0x10
            both.call("mmap", MAPPED, 3 * 4096, rest[1], flags, rest[0], rest[3] * 4096)
        case "probe":
            both.put(0, bytes(64))
            both.call("pwrite64", PIPE, MAPPED + rest[0] * 4096 + 10, 100, 0)
            both.call("pread64", PIPE, BUFFER, 100, 0)
        case "change":
            both.put(0, bytes(64))
            both.call("pread64", PIPE + 1, MAPPED + rest[0] * 4096 + 10, 30, 0)
        case "pwrite64":
            both.put(0, b"w" * 64)
            both.call("pwrite64", rest[0], BUFFER, rest[1], rest[2])
        case _:
            both.call(name, *rest)


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(mapping_steps, min_size=8, max_size=40))
@example(steps=[("map", 4, 3, 2, 0), ("change", 1), ("fallocate", 4, 3, 4096, 4096), ("probe", 1)])
def test_mappings_show_what_the_file_is(both, steps):
    begin(both)
    both.call("munmap", MAPPED, 4 * 4096)
    for number, path in ((PIPE, b"/tmp/probe"), (PIPE + 1, b"/tmp/source")):
        both.put(0, b"s" * 64)
        opened = both.call("openat", AT_FDCWD, both.put(0x8000, path + b"\0"), 0o102, 0o644)
        both.call("write", opened, BUFFER, 64)
        both.call("dup2", opened, number)
        both.call("close", opened)
    both.call("ftruncate", 4, 9000)
    for step in [("map", 4, 3, 1, 0), ("probe", 0), ("probe", 1), *steps]:
        map_step(both, step)
