"""/proc/net/unix lists the sockets that Linux lists after the same calls, each with what it says."""

import struct
from pathlib import Path

import pytest

from goanna.image.erofs import Folder
from tests.kernel.net.calls import DATAGRAM, NONBLOCK, STREAM
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

UNIX, PACKETS = 1, 5

BEGINNINGS = {
    "nothing": [],
    "no names": [("socket", STREAM), ("socket", DATAGRAM), ("socket", PACKETS)],
    "names": [("socket", STREAM), ("bind", 3, b"/tmp/stream"), ("socket", DATAGRAM), ("bind", 4, b"\0ab\0c")],
    "pair": [("pair", STREAM), ("pair", DATAGRAM)],
    "connection": [("socket", PACKETS), ("bind", 3, b"\0name"), ("listen", 3), ("socket", PACKETS),
                   ("connect", 4, b"\0name"), ("accept", 3)],
    "to accept": [("socket", STREAM), ("bind", 3, b"/tmp/s"), ("listen", 3), ("socket", STREAM),
                  ("connect", 4, b"/tmp/s")],
    "no room": [("socket", STREAM), ("bind", 3, b"/tmp/s"), ("listen", 3),
                ("socket", STREAM), ("connect", 4, b"/tmp/s"),
                ("socket", STREAM), ("connect", 5, b"/tmp/s")],
    "closed": [("pair", STREAM), ("close", 3), ("socket", STREAM), ("bind", 3, b"\0x"), ("close", 3)],
    "datagrams": [("socket", DATAGRAM), ("bind", 3, b"/tmp/d"), ("socket", DATAGRAM), ("connect", 4, b"/tmp/d")],
}  # fmt: skip


@pytest.fixture(scope="module")
def both():
    tree = Folder()
    tree.add("tmp", Folder(mode=0o1777))
    both = Both(tree)
    yield both
    both.close()


def perform(both, step):
    name, first, *rest = step
    if name in ("bind", "connect"):
        both.put(0, struct.pack("<H", UNIX) + rest[0])
        both.call(name, first, REGION, 2 + len(rest[0]))
    elif name == "socket":
        both.call(name, UNIX, first | NONBLOCK, 0)
    elif name == "pair":
        both.call("socketpair", UNIX, first, 0, REGION)
    elif name == "accept":
        both.call("accept4", first, 0, 0, NONBLOCK)
    else:
        both.call(name, first, 0)


def told(line):
    """All but the address, and whether there is an inode."""
    _, references, protocol, flags, kind, state, inode, *path = line.split()
    return references, protocol, flags, kind, state, inode != "0", path


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_the_list_is_that_of_linux(both, beginning):
    both.reset()
    both.put(0, bytes(4096))
    for step in BEGINNINGS[beginning]:
        perform(both, step)
    ours = both.machine.file(b"/proc/net/unix").decode().splitlines()
    theirs = Path(f"/proc/{both.linux.process.pid}/net/unix").read_text().splitlines()
    assert ours[0] == theirs[0]
    assert sorted(map(told, ours[1:])) == sorted(map(told, theirs[1:]))
