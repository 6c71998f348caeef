"""Names and attributes: any sequence of calls that make, move, remove and change files, compared with Linux.

Linux's side is a tmpfs with a copy of the tree that here lies in the image, so whatever shows that a file was in the
image is a difference. A second tmpfs is at /tmp on both sides.
"""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import File, Folder, Link
from goanna.kernel.arch import SYSCALL_NUMBERS
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

AT_FDCWD = -100
BUFFER, PATH, OTHER = REGION, REGION + 0x8000, REGION + 0xA000
PLACES = [
    b"a", b"b", b"d", b"d/x", b"d/y", b"e", b"e/x", b"e/s", b"d/s", b"link", b"loop", b"gone", b"d/e", b"d/e/z", b"a/x",
    b"d/", b"a/", b"d/.", b"d/..", b".", b"..", b"/", b"", b"d/new/", b"link/", b"x" * 256, b"d/" + b"y" * 255, b"f",
    b"/tmp/a", b"/tmp/d", b"/tmp/d/x", b"/tmp/b", b"/tmp/f", b"/tmp/", b"/tmp", b"/tmp/link", b"to-d", b"to-d/x",
    b"to-d/", b"sticky", b"sticky/a", b"sticky/b", b"open", b"open/a", b"open/b", b"group", b"group/a", b"deep/1/2/3",
    b"deep/1", b"deep/1/2", b"deep",
]  # fmt: skip
paths = st.one_of(st.sampled_from(PLACES), st.sampled_from(PLACES[:13]))
FOLDERS = [AT_FDCWD, AT_FDCWD, AT_FDCWD, AT_FDCWD, 3, 4, 5, 77]
folders = st.sampled_from(FOLDERS)
files = st.integers(3, 8)
modes = st.sampled_from([0o644, 0o600, 0o777, 0o755, 0o4755, 0o2755, 0o1777, 0o2777, 0, 0o200, 0o400, 0o111])
DIRECTORY, NOFOLLOW, CREAT, EXCL, TRUNC, APPEND = 0o200000, 0o400000, 0o100, 0o200, 0o1000, 0o2000
TEMPORARY = 0o20200000
open_flags = st.builds(
    lambda access, *extra: access | sum(set(extra)),
    st.integers(0, 2),
    *[st.sampled_from([0, 0, CREAT, CREAT, EXCL, TRUNC, APPEND, DIRECTORY, NOFOLLOW])] * 3,
)
sizes = st.sampled_from([0, 1, 5, 100, 4095, 4096, 4097, 8192, 12_000, 20_000])
offsets = st.one_of(sizes, st.sampled_from([-1, 50_000, 1 << 40]))
times = st.sampled_from([0, 1, 999_999_999, 1_000_000_000, -1, 0x3FFFFFFF, 0x3FFFFFFE])
steps = st.one_of(
    st.tuples(st.just("openat"), folders, paths, open_flags, modes),
    st.tuples(st.just("openat"), folders, paths, open_flags, modes),
    st.tuples(st.just("openat"), folders, paths, st.sampled_from([TEMPORARY | 2, TEMPORARY, TEMPORARY | 0o201]), modes),
    st.tuples(st.just("mkdirat"), folders, paths, modes),
    st.tuples(st.just("unlinkat"), folders, paths, st.sampled_from([0, 0, 0x200, 0x200, 1])),
    st.tuples(st.just("renameat2"), folders, paths, folders, paths, st.sampled_from([0, 0, 0, 1, 2, 4, 3, 8])),
    st.tuples(st.just("renameat2"), folders, paths, folders, paths, st.sampled_from([0, 0, 0, 1, 2, 4, 3, 8])),
    st.tuples(st.just("linkat"), folders, paths, folders, paths, st.sampled_from([0, 0, 0x400, 0x1000])),
    st.tuples(st.just("symlinkat"), st.sampled_from([b"a", b"d", b"/d/x", b"nowhere", b"", b"z" * 100, b"q" * 300]),
              folders, paths),
    st.tuples(st.just("mknodat"), folders, paths,
              st.sampled_from([0o100644, 0o10644, 0o140600, 0o20600, 0o644, 0o40755]), st.sampled_from([0, 0x103])),
    st.tuples(st.just("fchmodat2"), folders, paths, modes, st.sampled_from([0, 0, 0x100, 0x1000])),
    st.tuples(st.just("fchmod"), files, modes),
    st.tuples(st.just("fchownat"), folders, paths, st.sampled_from([0, 1000, 1001, -1]), st.sampled_from([0, 1000, -1]),
              st.sampled_from([0, 0, 0x100, 0x1000])),
    st.tuples(st.just("fchown"), files, st.sampled_from([0, 1000, -1]), st.sampled_from([0, 1000, -1])),
    st.tuples(st.just("utimensat"), folders, paths, st.sampled_from([0, 5, 1_000_000_000]), times, times,
              st.sampled_from([0, 0, 0x100])),
    st.tuples(st.just("truncate"), paths, offsets),
    st.tuples(st.just("ftruncate"), files, offsets),
    st.tuples(st.just("fallocate"), files, st.sampled_from([0, 1, 3, 2, 8]), offsets, sizes),
    st.tuples(st.just("write"), files, sizes),
    st.tuples(st.just("pwrite64"), files, sizes, offsets),
    st.tuples(st.just("read"), files, sizes),
    st.tuples(st.just("pread64"), files, sizes, offsets),
    st.tuples(st.just("lseek"), files, offsets, st.integers(0, 4)),
    st.tuples(st.just("getdents64"), files),
    st.tuples(st.just("close"), files),
    st.tuples(st.just("fstat"), files),
    st.tuples(st.just("faccessat2"), folders, paths, st.integers(0, 7), st.sampled_from([0, 0x200])),
    st.tuples(st.just("chdir"), paths),
    st.tuples(st.just("getcwd")),
    st.tuples(st.just("umask"), st.sampled_from([0, 0o22, 0o77])),
    st.tuples(st.just("setfsuid"), st.sampled_from([0, 1000, 1001])),
    st.tuples(st.just("setfsgid"), st.sampled_from([0, 1000])),
    st.tuples(st.just("fsync"), files),
    st.tuples(st.just("readlinkat"), folders, paths),
)  # fmt: skip
PATTERN = bytes(index * 7 % 251 + 1 for index in range(20_000))


def tree() -> Folder:
    root = Folder()
    for name in ("dev", "proc", "sys", "run", "tmp"):
        root.add(name, Folder())
    root.add("a", File(data=b"content of a", mode=0o644))
    root.add("d/x", File(data=PATTERN[:10_000], mode=0o600))
    root.add("d/y", File(data=PATTERN[:4096], mode=0o755))
    root.add("d/e/z", File(data=b"", mode=0o644))
    root.add("e/s", Link(target=b"../d/x"))
    root.add("link", Link(target=b"a"))
    root.add("loop", Link(target=b"loop"))
    root.add("to-d", Link(target=b"/d"))
    root.add("gone", Link(target=b"d/new"))
    root.add("sticky/a", File(data=b"a"))
    root.entries[b"sticky"].mode = 0o1777
    root.add("open/a", File(data=b"a", mode=0o666))
    root.entries[b"open"].mode = 0o777
    root.add("group", Folder(mode=0o2777))
    root.add("deep/1/2/3", File(data=b"3"))
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


def told(data: bytes) -> tuple:
    """What is comparable of struct stat: links, mode, user, group, device; and the size, but of directories."""
    links, mode, user, group = struct.unpack_from("QIII", data, 16)
    device, size = struct.unpack_from("Qq", data, 40)
    folder = mode & 0o170000 == 0o040000
    return links, oct(mode), user, group, device, None if folder else size


def step_arguments(both, step):
    """The call's arguments, and how many bytes of the buffer it fills."""
    name, *rest = step
    path = lambda text: both.put(0x8000, text + b"\0")  # noqa: E731
    other = lambda text: both.put(0xA000, text + b"\0")  # noqa: E731
    match name:
        case "openat" | "mkdirat" | "unlinkat" | "mknodat" | "fchmodat2" | "fchownat" | "faccessat2":
            return [rest[0], path(rest[1]), *rest[2:]]
        case "renameat2" | "linkat":
            return [rest[0], path(rest[1]), rest[2], other(rest[3]), rest[4]]
        case "symlinkat":
            return [other(rest[0]), rest[1], path(rest[2])]
        case "utimensat":
            data = struct.pack("qqqq", rest[2], rest[3], rest[2] + 7, rest[4])
            return [rest[0], path(rest[1]), both.put(0xA000, data), rest[5]]
        case "truncate":
            return [path(rest[0]), rest[1]]
        case "chdir":
            return [path(rest[0])]
        case "write" | "pwrite64":
            both.put(0, PATTERN)
            return [rest[0], BUFFER, *rest[1:]]
        case "read" | "pread64":
            return [rest[0], BUFFER, *rest[1:]]
        case "readlinkat":
            return [rest[0], path(rest[1]), BUFFER, 4096]
        case "getdents64":
            return [rest[0], BUFFER, 1 << 14]
        case "getcwd":
            return [BUFFER, 4096]
        case "fstat":
            return [rest[0], BUFFER]
        case _:
            return rest


def compare(both, step):
    """One call on both sides, and what is comparable of what it gave."""
    name, *_ = step
    if name in ("read", "pread64", "readlinkat", "getcwd", "getdents64", "fstat"):
        both.put(0, bytes(20_100))
    if name == "lseek" and is_folder(both, step[1]):
        step = ("lseek", step[1], 0, 0)
    arguments = step_arguments(both, step)
    ours, theirs = both.answers(name, *arguments)
    shown = f"{step}: {ours}, on Linux {theirs}"
    if name == "getdents64" and ours > 0 and theirs > 0:
        assert names(both.memory(0, ours)) == names(both.linux.memory[:theirs]), shown
        return ours
    assert ours == theirs, shown
    if ours >= 0:
        if name == "fstat":
            assert told(both.memory(0, 144)) == told(both.linux.memory[:144]), shown
        elif name in ("read", "pread64", "readlinkat", "getcwd"):
            assert both.memory(0, 20_100) == both.linux.memory[:20_100], shown
    return ours


def is_folder(both, descriptor: int) -> bool:
    if both.machine.raw("fstat", descriptor, REGION + 0x7000) != 0:
        return False
    return struct.unpack("I", both.memory(0x7000 + 24, 4))[0] & 0o170000 == 0o040000


def snapshot(call, get, put, path: bytes) -> dict:
    """All that one side says of a tree."""
    found = {}
    assert call("newfstatat", AT_FDCWD, put(path), BUFFER, 0x100) == 0, path
    data = get(144)
    mode = struct.unpack_from("I", data, 24)[0]
    times = struct.unpack_from("qqqq", data, 72) if mode & 0o170000 != 0o120000 else ()
    blocks = struct.unpack_from("q", data, 64)[0]
    recent = [second if second < 1_500_000_000 else "now" for second in times[::2]]
    found[path] = (told(data), recent[1:] if path != b"/tmp" else [])
    if mode & 0o170000 == 0o040000:
        folder = call("openat", AT_FDCWD, put(path), DIRECTORY)
        assert folder >= 0
        inside, size = [], 1
        while size > 0:
            size = call("getdents64", folder, BUFFER, 600)
            assert size >= 0
            inside += names(get(size)) if size else []
        call("close", folder)
        assert len(inside) == len(set(inside)), "a name twice"
        for name, _ in inside:
            if name not in (b".", b"..") and path + name not in (b"/dev", b"/proc", b"/sys", b"/run"):
                found |= snapshot(call, get, put, path.rstrip(b"/") + b"/" + name)
    elif mode & 0o170000 == 0o100000:
        file = call("openat", AT_FDCWD, put(path), 0)
        size = call("read", file, BUFFER, 30_000)
        found[path] += (get(max(size, 0)), blocks if path.startswith(b"/tmp") else 0)
        call("close", file)
    return found


def check_trees(both):
    """Both trees, compared whole."""
    for step in (("setfsuid", 0), ("setfsgid", 0)):
        compare(both, step)

    def linux_call(name, *arguments):
        return both.linux.number(SYSCALL_NUMBERS[name], *arguments)

    put = lambda path: both.put(0x8000, path + b"\0")  # noqa: E731
    ours = snapshot(both.machine.raw, lambda count: both.memory(0, count), put, b"/")
    theirs = snapshot(linux_call, lambda count: bytes(both.linux.memory[:count]), put, b"/")
    assert sorted(ours) == sorted(theirs)
    for path in ours:
        for mine, other in zip(ours[path], theirs[path], strict=True):
            assert mine == other, f"{path}: {mine}, on Linux {other}"


def begin(both):
    both.reset()
    both.put(0, bytes(0x1000))
    for path in (b"/d", b"/e", b"/tmp"):
        compare(both, ("openat", AT_FDCWD, path, 0, 0))
    compare(both, ("openat", AT_FDCWD, b"/d/x", 2, 0))
    compare(both, ("openat", AT_FDCWD, b"/tmp/f", 0o102, 0o666))


WATCHER = 60
WATCHED = [(b"/d", 0xFFF), (b"/tmp", 0xFFF), (b"/a", 0xFFF), (b"/", 0xFC6), (b"/d/x", 0x400), (b"/sticky", 0x80000FFF)]


def begin_watching(both):
    begin(both)
    descriptor = both.call("inotify_init1", 0o4000)
    assert both.call("dup2", descriptor, WATCHER) == WATCHER
    both.call("close", descriptor)
    for path, mask in WATCHED:
        both.call("inotify_add_watch", WATCHER, both.put(0x8000, path + b"\0"), mask)


def told_events(data: bytes) -> list[tuple]:
    """Events as read: watch, mask, whether there is a cookie, name. Linux tells of files without a name too."""
    found, place = [], 0
    while place < len(data):
        watch, mask, cookie, length = struct.unpack_from("iIII", data, place)
        name = data[place + 16 : place + 16 + length].rstrip(b"\0")
        if not name.startswith(b"#"):
            found.append((watch, hex(mask), cookie != 0, name))
        place += 16 + length
    return found


def compare_events(both, step):
    """What both sides tell of a call."""
    both.put(0, bytes(5000))
    ours, theirs = both.answers("read", WATCHER, BUFFER, 5000)
    mine = told_events(both.memory(0, max(ours, 0)))
    other = told_events(both.linux.memory[: max(theirs, 0)])
    assert mine == other, f"events of {step}: {mine}, on Linux {other}"


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=25))
def test_events_of_any_change_are_as_on_linux(both, steps):
    begin_watching(both)
    for step in steps:
        compare(both, step)
        compare_events(both, step)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=40))
def test_any_change_of_the_tree_is_as_on_linux(both, steps):
    begin(both)
    for step in steps:
        compare(both, step)
    check_trees(both)
