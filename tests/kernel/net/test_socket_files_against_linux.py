"""/proc/net/tcp, tcp6, udp and udp6 list the sockets that Linux lists after the same calls, each with what it says."""

import time
from pathlib import Path

import pytest

from goanna.image.erofs import Folder
from tests.kernel.net.both import INET, INET6, BothNetworks, name4, name6, perform
from tests.kernel.net.calls import DATAGRAM, NONBLOCK, STREAM
from tests.kernel.net.test_internet_against_linux import LOCAL4, LOCAL6, joined
from tests.kernel.syscall.linux import needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

FILES = ["tcp", "tcp6", "udp", "udp6"]
EPHEMERAL = 32768
LISTENING, ESTABLISHED, CLOSE_WAIT = "0A", "01", "08"
# SYN-SENT, SYN-RECEIVED, FIN-WAIT-1, LAST-ACK, CLOSING
PASSING = ("02", "03", "04", "09", "0B")
ANY6 = name6("::", 5000)

BEGINNINGS = {
    "nothing": [],
    "unbound": [("socket", INET, STREAM), ("socket", INET6, DATAGRAM), ("bind", 3, LOCAL4)],
    "joined4": [*joined(INET, LOCAL4, LOCAL4), ("sendto", 4, 7, None)],
    "joined6": [*joined(INET6, ANY6, LOCAL6), ("sendto", 5, 19, None)],
    "mapped": joined(INET6, ANY6, LOCAL4),
    "to accept": joined(INET, LOCAL4, LOCAL4)[:-1],
    "half closed": [*joined(INET, LOCAL4, LOCAL4), ("shutdown", 4, 1)],
    "time wait": [*joined(INET6, ANY6, LOCAL6), ("close", 4), ("close", 5)],
    "datagrams": [
        ("socket", INET, DATAGRAM), ("bind", 3, LOCAL4), ("socket", INET, DATAGRAM), ("connect", 4, LOCAL4),
        ("sendto", 4, 100, None), ("socket", INET6, DATAGRAM), ("bind", 5, name6("::", 5001)),
        ("socket", INET6, DATAGRAM), ("connect", 6, name6("::ffff:127.0.0.1", 5000)),
        ("socket", INET6, DATAGRAM), ("bind", 7, name6("::1", 5002)), ("connect", 7, name6("::1", 5001)),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def both():
    both = BothNetworks(Folder())
    yield both
    both.close()


def end(text):
    """An address and a port, whichever of those that the system chooses it is."""
    address, port = text.split(":")
    return address, "chosen" if int(port, 16) >= EPHEMERAL else port


def told(line, datagrams):
    """What a line says that is not a matter of time or of memory's layout."""
    _, local, remote, state, queues, timer, again, user, timeout, inode, _, _, *rest = line.split()
    sending, receiving = queues.split(":")
    if datagrams:
        receiving = int(receiving, 16) > 0  # bytes of memory
        rest = rest[0]
    else:
        rest = None
    if state == CLOSE_WAIT:  # Linux counts the end of the stream as a byte until it is read
        receiving = int(receiving, 16) // 2
    moving = timer if state in (LISTENING, ESTABLISHED) else None
    return end(local), end(remote), state, sending, receiving, moving, again, user, timeout, inode != "0", rest


def settled(both):
    """Wait until Linux's connections are in states in which they stay: what opens and closes has been answered."""
    path = Path(f"/proc/{both.linux.process.pid}/net")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        lines = [line.split() for name in ("tcp", "tcp6") for line in (path / name).read_text().splitlines()[1:]]
        if not any(line[3] in PASSING for line in lines):
            return
        time.sleep(0.01)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_lists_are_those_of_linux(both, beginning):
    both.reset()
    both.put(0, bytes(4096))
    for step in BEGINNINGS[beginning]:
        perform(both, step)
    settled(both)
    for name in FILES:
        ours = both.machine.file(f"/proc/net/{name}".encode()).decode().splitlines()
        theirs = Path(f"/proc/{both.linux.process.pid}/net/{name}").read_text().splitlines()
        assert ours[0] == theirs[0]
        datagrams = name.startswith("udp")
        shown = [sorted(map(str, (told(each, datagrams) for each in lines[1:]))) for lines in (ours, theirs)]
        assert shown[0] == shown[1], name
        if not name.endswith("6"):
            assert {len(each) for each in ours} == {len(ours[0])}
        if not datagrams:  # udp has the number of the bucket there
            assert [int(each.split(":")[0]) for each in ours[1:]] == list(range(len(ours) - 1))


def test_a_part_of_a_list_is_a_part_of_it(both):
    both.reset()
    for port in range(6000, 6040):
        assert both.machine.call("socket", INET, STREAM | NONBLOCK, 0) >= 0
        assert both.machine.call("bind", port - 5997, name4("127.0.0.1", port), 16) == 0
        assert both.machine.call("listen", port - 5997, 1) == 0
    whole = both.machine.file(b"/proc/net/tcp")
    assert whole.count(b"\n") == 41
    for step in (1000, 149, 150):
        assert both.machine.file(b"/proc/net/tcp", step) == whole


def test_a_socket_has_the_inode_of_its_descriptor(both):
    both.reset()
    both.put(0, bytes(4096))
    for step in BEGINNINGS["joined4"]:
        perform(both, step)
    listed = {line.split()[9] for line in both.machine.file(b"/proc/net/tcp").decode().splitlines()[1:]}
    linked = set()
    for descriptor in (3, 4, 5):
        room = both.machine.room(64)
        size = both.machine.call("readlink", f"/proc/self/fd/{descriptor}".encode(), room, 64)
        linked.add(both.machine.get(room, size).decode().removeprefix("socket:[").removesuffix("]"))
    assert listed == linked and len(linked) == 3
