"""What netlink tells of a machine that has nothing but loopback is what Linux tells there."""

import struct

import pytest

from goanna.image.erofs import Folder
from goanna.kernel.arch import SYSCALL_NUMBERS
from tests.kernel.syscall.linux import REGION, Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

NETLINK, RAW, NONBLOCK, ROUTE = 16, 3, 0o4000, 0
DUMP, ACK, REQUEST = 0x300, 4, 1
GET_LINK, GET_ADDRESS, GET_ROUTE = 18, 22, 26
NAME, DATA, TARGET = REGION + 0x800, REGION + 0x1000, REGION + 0x2000
# The attributes that are compared; Linux has more.
LINK = {1: "address", 2: "broadcast", 3: "name", 4: "mtu", 16: "state"}
ADDRESS = {1: "address", 2: "local", 3: "label", 4: "broadcast", 8: "flags"}


@pytest.fixture(scope="module")
def both():
    tree = Folder()
    tree.add("tmp", Folder(mode=0o1777))
    both = Both(tree)
    yield both
    both.close()


def ask(both, request):
    """The bytes that each side answers to a request, on a socket of its own."""
    both.reset()
    both.put(0x800, struct.pack("HHII", NETLINK, 0, 0, 0))
    both.put(0x1000, request)
    answers = []
    for number, memory in (
        (both.machine.number, lambda size: both.memory(0x2000, size)),
        (both.linux.number, lambda size: bytes(both.linux.memory[0x2000 : 0x2000 + size])),
    ):
        made = number(SYSCALL_NUMBERS["socket"], NETLINK, RAW | NONBLOCK, ROUTE)
        assert number(SYSCALL_NUMBERS["bind"], made, NAME, 12) == 0
        assert number(SYSCALL_NUMBERS["sendto"], made, DATA, len(request), 0, NAME, 12) == len(request)
        got = b""
        while (size := number(SYSCALL_NUMBERS["recvfrom"], made, TARGET, 4096, 0, 0, 0)) >= 0:
            got += memory(size)
        answers.append(got)
    return answers


def messages(data, head, known):
    """(type, flags, the structure's bytes, attributes that are known) of each message."""
    found = []
    while data:
        length, kind, flags, sequence, _ = struct.unpack_from("IHHII", data)
        assert length >= 16 and sequence == 7
        body, data = data[16:length], data[(length + 3) & ~3 :]
        if kind in (2, 3):
            found.append((kind, flags, body[:4], {}))
            continue
        attributes, rest = {}, body[head:]
        while rest:
            size, name = struct.unpack_from("HH", rest)
            if name in known:
                attributes[known[name]] = rest[4:size]
            rest = rest[(size + 3) & ~3 :]
        found.append((kind, flags, body[:head], attributes))
    return found


def request(kind, flags, body):
    return struct.pack("IHHII", 16 + len(body), kind, flags | REQUEST, 7, 0) + body


def test_all_interfaces(both):
    ours, theirs = ask(both, request(GET_LINK, DUMP, b"\0"))
    assert messages(ours, 16, LINK) == messages(theirs, 16, LINK)


@pytest.mark.parametrize("index", [1, 7])
def test_one_interface(both, index):
    ours, theirs = ask(both, request(GET_LINK, 0, struct.pack("BBHiII", 0, 0, 0, index, 0, 0)))
    assert messages(ours, 16, LINK) == messages(theirs, 16, LINK)


@pytest.mark.parametrize("family", [0, 2, 10])
def test_all_addresses(both, family):
    ours, theirs = ask(both, request(GET_ADDRESS, DUMP, bytes([family])))
    assert messages(ours, 8, ADDRESS) == messages(theirs, 8, ADDRESS)


def test_no_routes_beside_those_of_linux_local_table(both):
    ours, theirs = ask(both, request(GET_ROUTE, DUMP, b"\2"))
    local = 255
    assert messages(ours, 12, {}) == [each for each in messages(theirs, 12, {}) if each[0] == 3 or each[2][4] != local]


def test_what_is_not_provided_is_said(both):
    ours, _ = ask(both, request(44, ACK, b"\0"))
    assert messages(ours, 0, {}) == [(2, 0, struct.pack("i", -95), {})]
