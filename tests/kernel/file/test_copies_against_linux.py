"""Copies inside the kernel: sendfile, copy_file_range, splice, tee, between files, pipes and devices; as on Linux."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import File, Folder
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

AT_FDCWD, NONBLOCK, APPEND = -100, 0o4000, 0o2000
BUFFER = REGION
PATTERN = bytes(index * 7 % 251 + 1 for index in range(20_000))
# 3 the file of the image, 4 the same to write, 5 another, 6 to append, 7 one in /tmp, 8 to 11 two pipes, 12 a folder
descriptors = st.one_of(st.integers(3, 12), st.sampled_from([50]))
pipes = st.integers(8, 11)
counts = st.sampled_from([0, 1, 10, 100, 4096, 5000, 12_000, 100_000])
offsets = st.sampled_from([None, None, 0, 10, 4096, 9_000, 20_000, -1])
flags = st.sampled_from([0, 0, 0, 2, 1, 16])
steps = st.one_of(
    st.tuples(st.just("sendfile"), descriptors, descriptors, offsets, counts),
    st.tuples(st.just("copy_file_range"), descriptors, offsets, descriptors, offsets, counts, flags),
    st.tuples(st.just("splice"), descriptors, offsets, descriptors, offsets, counts, flags),
    st.tuples(st.just("splice"), descriptors, offsets, pipes, st.none(), counts, flags),
    st.tuples(st.just("splice"), pipes, st.none(), descriptors, offsets, counts, flags),
    st.tuples(st.just("tee"), pipes, pipes, counts, flags),
    st.tuples(st.just("write"), st.integers(3, 11), st.sampled_from([1, 100, 5000])),
    st.tuples(st.just("read"), st.integers(3, 11), st.sampled_from([1, 100, 5000])),
    st.tuples(st.just("lseek"), st.integers(3, 7), st.sampled_from([0, 10, 10_000]), st.integers(0, 2)),
    st.tuples(st.just("ftruncate"), st.integers(3, 7), st.sampled_from([0, 50, 9_000])),
)


def tree() -> Folder:
    root = Folder()
    for name in ("dev", "proc", "sys", "run", "tmp"):
        root.add(name, Folder())
    root.add("a", File(data=PATTERN[:10_000], mode=0o644))
    return root


@pytest.fixture(scope="module")
def both():
    both = Both(tree())
    yield both
    both.close()


def begin(both):
    both.reset()
    both.put(0, bytes(0xA000))
    for path, how in [(b"a", 0), (b"a", 2), (b"b", 0o102), (b"b", 2 | APPEND), (b"/tmp/f", 0o102)]:
        both.call("openat", AT_FDCWD, both.put(0x8000, path + b"\0"), how, 0o644)
    both.call("pipe2", BUFFER, NONBLOCK)
    both.call("pipe2", BUFFER, NONBLOCK)
    both.call("openat", AT_FDCWD, both.put(0x8000, b"/tmp\0"), 0, 0)


def compare(both, step):
    """One call on both sides: the same answer, the same bytes, the same positions after it."""
    name, *rest = step
    both.put(0, bytes(6000))
    place = 0x9000

    def at(offset):
        nonlocal place
        if offset is None:
            return 0
        place += 16
        return both.put(place, struct.pack("q", offset))

    both.put(0x9000, bytes(64))
    match name:
        case "sendfile":
            rest[2] = at(rest[2])
        case "copy_file_range" | "splice":
            rest[1], rest[3] = at(rest[1]), at(rest[3])
        case "write":
            both.put(0, PATTERN[:6000])
            rest = [rest[0], BUFFER, rest[1]]
        case "read":
            rest = [rest[0], BUFFER, rest[1]]
    ours, theirs = both.answers(name, *rest)
    shown = f"{step}: {ours}, on Linux {theirs}"
    assert ours == theirs, shown
    assert both.memory(0, 6000) == both.linux.memory[:6000], shown
    assert both.memory(0x9000, 64) == both.linux.memory[0x9000:0x9040], shown
    for descriptor in range(3, 8):
        both.call("lseek", descriptor, 0, 1, compare=0)


def check_content(both):
    """All files hold the same bytes."""
    for descriptor in (3, 5, 7):
        for offset in range(0, 40_000, 20_000):
            both.call("pread64", descriptor, BUFFER, 20_000, offset, compare=20_000)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=30))
def test_copies_are_as_on_linux(both, steps):
    begin(both)
    for step in steps:
        compare(both, step)
    check_content(both)
