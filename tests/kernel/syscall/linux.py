"""The same system calls made of this machine's Linux and of the kernel under test, answers and memory compared.

The Linux side is a child process with the descriptors that our first process has: 0 the read end of a pipe, 1 and 2
write ends. Both sides have user memory at the same address, so a call's arguments are the same numbers for both.
"""

import mmap
import os
import platform
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

import pytest

from goanna.image.erofs import Folder, Link, Node
from goanna.kernel.arch import SYSCALL_NUMBERS
from goanna.kernel.memory.user import copy_out
from goanna.kernel.time.wall import set_wall_offset
from tests.kernel.syscall.bench import Machine

RELEASE = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
needs_linux = pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64" or RELEASE < (6, 12),
    reason="compares with the answers of Linux 6.12 or later on x86-64",
)



def _may_unshare() -> bool:
    """Whether this process is root, and not one in a container that leaves root few rights."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True).returncode == 0


needs_own_tree = pytest.mark.skipif(
    not _may_unshare(), reason="gives Linux a tree and a network of its own: takes root, and unshare(2) and mount(2)"
)

REGION = 0x1000_0000_0000  # user memory that both sides have
SIZE = 64 << 10
LIMIT = 64  # descriptors: the child's own link lies above
LINK = 100

_SERVER = f"""
import ctypes, mmap, os, socket, struct, resource
link = socket.socket(fileno={LINK})
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.syscall.restype = ctypes.c_long
memory, = struct.unpack("i", link.recv(4))
assert libc.mmap({REGION}, {SIZE}, 3, 0x100001, memory, 0) == {REGION}
os.close(memory)
for number in range(3, 64):
    try:
        os.close(number)
    except OSError:
        pass
{{enter}}
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, 4096))
link.send(b"k")
while request := link.recv(56):
    arguments = [ctypes.c_ulong(each) for each in struct.unpack("7Q", request)]
    ctypes.set_errno(0)
    result = libc.syscall(*arguments)
    link.send(struct.pack("q", -ctypes.get_errno() if result == -1 and ctypes.get_errno() else result))
"""


# The child's root becomes a file system in memory, with another at /tmp, in a mount namespace of its own; its network
# has nothing but a loopback interface.
_ENTER = """
import fcntl, tempfile
libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
assert libc.unshare(0x40020000) == 0
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x49))
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
root = tempfile.mkdtemp()
assert libc.mount(b"none", root.encode(), b"tmpfs", 0, None) == 0
os.mkdir(root + "/tmp")
assert libc.mount(b"none", (root + "/tmp").encode(), b"tmpfs", 0, None) == 0
os.chroot(root)
os.umask(0o022)
os.chdir("/")
"""


def unpack(folder: Folder, path: str, made: dict[int, str] | None = None) -> None:
    """Make a tree on disk; one node at two names is a hard link."""
    made = {} if made is None else made
    os.makedirs(path, exist_ok=True)
    for name, node in folder.entries.items():
        place = os.path.join(path, name.decode())
        if isinstance(node, Folder):
            unpack(node, place, made)
        elif id(node) in made:
            os.link(made[id(node)], place, follow_symlinks=False)
            continue
        elif isinstance(node, Link):
            os.symlink(node.target, place)
        else:
            with open(place, "wb") as file:
                file.write(node.data)
            os.chmod(place, node.mode)
        if not isinstance(node, Folder):
            set_attributes(place, node)
            made[id(node)] = place
        os.utime(place, ns=(node.time, node.time), follow_symlinks=False)
    os.chmod(path, folder.mode)
    set_attributes(path, folder)
    os.utime(path, ns=(folder.time, folder.time))


def set_attributes(path: str, node: Node) -> None:
    """Give a file its extended attributes."""
    for name, value in node.attributes.items():
        os.setxattr(path, name, value, follow_symlinks=False)


def remove(path: str) -> None:
    """Remove a file or a whole folder."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


class Linux:
    """A process whose calls a test decides; in a tree of its own if one is given (needs root)."""

    def __init__(self, tree: Folder | None = None) -> None:
        descriptor = os.memfd_create("region")
        os.ftruncate(descriptor, SIZE)
        self.memory = mmap.mmap(descriptor, SIZE)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.input, self.output = os.pipe(), os.pipe()
        os.set_inheritable(descriptor, True)

        server = _SERVER.replace("{enter}", "" if tree is None else _ENTER)

        def prepare() -> None:
            os.dup2(theirs.fileno(), LINK)

        self.process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", server],
            stdin=self.input[0], stdout=self.output[1], stderr=self.output[1],
            preexec_fn=prepare, close_fds=False, env={},
        )  # fmt: skip
        theirs.close()
        os.close(self.input[0])
        os.close(self.output[1])
        self.link = ours
        self.link.settimeout(120)
        self.link.send(struct.pack("i", descriptor))
        assert self.link.recv(1) == b"k"
        os.close(descriptor)
        if tree is not None:
            self.fill(tree)

    def fill(self, tree: Folder) -> None:
        """Let its root, and what is mounted there, hold a tree and nothing else."""
        root = f"/proc/{self.process.pid}/root"
        for name in os.listdir(f"{root}/tmp"):
            remove(f"{root}/tmp/{name}")
        for name in os.listdir(root):
            if name != "tmp":
                remove(f"{root}/{name}")
        unpack(tree, root)
        for place in (root, f"{root}/tmp"):
            os.chown(place, 0, 0)
            for name in os.listxattr(place):
                os.removexattr(place, name)
        os.chmod(f"{root}/tmp", 0o1777)

    def number(self, number: int, *arguments: int) -> int:
        """A call by number."""
        padded = [each & 0xFFFF_FFFF_FFFF_FFFF for each in (*arguments, *[0] * (6 - len(arguments)))]
        self.link.send(struct.pack("7Q", number, *padded))
        return int(struct.unpack("q", self.link.recv(8))[0])

    def close(self) -> None:
        """End the process."""
        self.link.close()
        os.close(self.input[1])
        os.close(self.output[0])
        self.process.wait(120)


class Both:
    """Both sides. `call` asserts that they agree."""

    def __init__(self, tree: Folder | None = None) -> None:
        self.tree = tree
        self.linux = Linux(tree)
        self.start()

    def reset(self) -> None:
        """Begin again: fresh trees, no descriptors but the first three, root and working directory /, root's rights."""
        self.linux.number(SYSCALL_NUMBERS["setfsuid"], 0)
        self.linux.number(SYSCALL_NUMBERS["setfsgid"], 0)
        self.linux.number(SYSCALL_NUMBERS["close_range"], 3, LINK - 1, 0)
        self.linux.number(SYSCALL_NUMBERS["umask"], 0o022)
        self.linux.fill(self.tree or Folder())
        self.start()
        self.put(0, b"/\0")
        self.linux.number(SYSCALL_NUMBERS["chdir"], REGION)

    def start(self) -> None:
        """A fresh machine."""
        self.machine = self.made_machine()
        self.machine.unit.call(set_wall_offset, time.time_ns())
        assert self.machine.raw("mmap", REGION, SIZE, 3, 0x100022, -1, 0) == REGION
        self.put(0, struct.pack("QQ", LIMIT, 4096))
        assert self.machine.raw("setrlimit", 7, REGION) == 0
        self.put(0, bytes(16))

    def made_machine(self) -> Machine:
        """Our side, fresh."""
        return Machine(self.tree)

    def put(self, offset: int, data: bytes) -> int:
        """Write to both memories: the address."""
        self.linux.memory[offset : offset + len(data)] = data
        assert self.machine.unit.call(copy_out, REGION + offset, data) == 0
        return REGION + offset

    def memory(self, offset: int = 0, count: int = 4096) -> bytes:
        """What the machine's memory holds."""
        return self.machine.get(REGION + offset, count)

    def answers(self, name: str, *arguments: int) -> tuple[int, int]:
        """Make a call on both sides: the machine's answer and Linux's."""
        number = SYSCALL_NUMBERS[name]
        return self.machine.number(number, *arguments), self.linux.number(number, *arguments)

    def call(self, name: str, *arguments: int, compare: int = 4096) -> int:
        """Make a call on both sides; results, and the first `compare` bytes of memory, must be the same."""
        ours, theirs = self.answers(name, *arguments)
        shown = f"{name}({', '.join(hex(each) if each > 0xFFFF else str(each) for each in arguments)})"
        assert ours == theirs, f"{shown}: {ours}, on Linux {theirs}"
        assert self.memory(0, compare) == self.linux.memory[:compare], f"{shown}: other bytes in memory"
        return ours

    def close(self) -> None:
        """End the Linux side."""
        self.linux.close()

