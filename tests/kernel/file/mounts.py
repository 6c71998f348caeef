"""Mounts as Linux's side and ours make and tell them: the tree that the tests begin with, calls that must have the same
answer on both, and what the tables of mounts say.
"""

import re
import struct

from goanna.image.erofs import File, Folder, Link
from tests.kernel.syscall.linux import REGION

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
