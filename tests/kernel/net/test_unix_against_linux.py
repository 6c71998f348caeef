"""Sequences of calls on Unix sockets: the same answers, bytes, addresses and descriptors as from Linux."""

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.image.erofs import File, Folder
from tests.kernel.net import calls
from tests.kernel.net.calls import (
    CLOEXEC,
    DATAGRAM,
    HEADER,
    LENGTH,
    NAME,
    NONBLOCK,
    NOSIGNAL,
    OPTION,
    PAIR,
    PEEK,
    POLLED,
    SOURCE,
    STREAM,
    TRUNC,
    WAITALL,
    put_message,
)
from tests.kernel.syscall.linux import Both, needs_linux, needs_own_tree

pytestmark = [needs_linux, needs_own_tree]

SEQUENCED = 5
CMSG_CLOEXEC = 0x40000000

descriptors = st.one_of(st.integers(3, 8), st.integers(3, 20), st.just(-1))
kinds = st.sampled_from([STREAM, STREAM, DATAGRAM, SEQUENCED])
# An address: a path, an abstract name, or something that is neither.
PREFIX = b"\0goanna-%d-" % os.getpid()
addresses = st.one_of(
    st.sampled_from([PREFIX + b"a", PREFIX + b"b", PREFIX + b"c", b"/a", b"/b", b"/tmp/c", b"b"]).map(
        lambda name: struct.pack("H", 1) + name
    ),
    st.sampled_from([b"", b"\1\0", b"\1", b"\2\0/a", b"\0\0", b"\1\0/a\0more", b"\1\0/no/x", b"\1\0/a/", b"\1\0/",
                     b"\1\0/folder", b"\1\0/file", b"\1\0" + b"x" * 108, b"\1\0/" + b"x" * 107, b"\1\0" + b"x" * 109]),
)  # fmt: skip
sizes = st.one_of(st.integers(0, 20), st.sampled_from([100, 200, 1900, 4096, 6000]))
flags = st.sampled_from([0, 0, 0, PEEK, TRUNC, PEEK | TRUNC, WAITALL, CMSG_CLOEXEC])  # no MSG_OOB: streams have none
rooms = st.sampled_from([0, 0, 8, 16, 20, 24, 32, 64])
passing = st.lists(st.integers(2, 9), max_size=3)

steps = st.one_of(
    st.tuples(st.just("socket"), st.sampled_from([1, 1, 1, 0, 46, -1]), kinds, st.sampled_from([0, 0, 1, 2])),
    st.tuples(st.just("socketpair"), kinds),
    st.tuples(st.just("socketpair"), kinds),
    st.tuples(st.just("bind"), descriptors, addresses),
    st.tuples(st.just("listen"), descriptors, st.integers(-1, 2)),
    st.tuples(st.just("connect"), descriptors, addresses),
    st.tuples(st.just("accept4"), descriptors, st.sampled_from([NONBLOCK, NONBLOCK | CLOEXEC, NONBLOCK | 1])),
    st.tuples(st.sampled_from(["getsockname", "getpeername"]), descriptors, st.sampled_from([0, 1, 2, 5, 128, -1])),
    st.tuples(st.just("sendto"), descriptors, sizes, flags, st.one_of(st.none(), st.none(), addresses)),
    st.tuples(st.just("recvfrom"), descriptors, sizes, flags, st.one_of(st.none(), st.sampled_from([0, 4, 128]))),
    st.tuples(st.just("write"), descriptors, sizes),
    st.tuples(st.just("read"), descriptors, sizes),
    st.tuples(st.just("sendmsg"), descriptors, sizes, flags, st.one_of(st.none(), st.none(), addresses), passing),
    st.tuples(st.just("recvmsg"), descriptors, sizes, flags, st.sampled_from([-1, 0, 4, 128]), rooms),
    st.tuples(st.just("shutdown"), descriptors, st.integers(-1, 3)),
    st.tuples(st.just("close"), st.integers(3, 20)),
    st.tuples(st.just("dup"), descriptors),
    st.tuples(st.just("poll"), st.just(POLLED), st.integers(1, 8), st.just(0)),
    st.tuples(st.just("getsockopt"), descriptors, st.sampled_from([3, 4, 16, 30, 38, 39, 2, 7, 13, 18, 99]),
              st.sampled_from([0, 3, 4, 8, 64, -1])),
    st.tuples(st.just("setsockopt"), descriptors, st.sampled_from([2, 7, 9, 13, 15, 18, 20, 99, 3]),
              st.sampled_from([0, 3, 4, 8, 16]), st.sampled_from([0, 1, 3000, -1])),
    st.tuples(st.just("ioctl"), descriptors, st.just(0x541B), st.just(OPTION)),
    st.tuples(st.just("unlink"), st.sampled_from([b"/a", b"/b", b"/tmp/c"])),
)  # fmt: skip


@pytest.fixture(scope="module")
def both():
    tree = Folder()
    tree.add("tmp", Folder(mode=0o1777))
    tree.add("folder", Folder())
    tree.add("file", File(data=b"text"))
    both = Both(tree)
    yield both
    both.close()


def perform(both, step):
    """One call, with what it points to put into memory."""
    name, *rest = step
    match name:
        case "socket":
            both.call(name, rest[0], rest[1] | NONBLOCK, rest[2])
        case "socketpair":
            both.call(name, 1, rest[0] | NONBLOCK, 0, PAIR)
        case "sendto":
            address = rest[3] or b""
            both.put(0x800, address)
            both.call(name, rest[0], SOURCE, rest[1], rest[2] | NOSIGNAL, NAME if address else 0, len(address))
        case "sendmsg":
            address = rest[3] or b""
            both.put(0x800, address)
            control = struct.pack(f"Qii{len(rest[4])}i", 16 + 4 * len(rest[4]), 1, 1, *rest[4]) if rest[4] else b""
            both.put(0xC00, control)
            put_message(both, rest[1], NAME if address else 0, len(address), len(control))
            both.call(name, rest[0], HEADER, rest[2] | NOSIGNAL)
        case "getsockopt":
            both.put(0x900, struct.pack("i", rest[2]))
            both.call(name, rest[0], 1, rest[1], OPTION, LENGTH)
        case "setsockopt":
            both.put(0xA00, struct.pack("iiii", rest[3], 1, 0, 0))
            both.call(name, rest[0], 1, rest[1], OPTION, rest[2])
        case "unlink":
            both.put(0x800, rest[0] + b"\0")
            both.call(name, NAME)
        case _:
            calls.perform(both, step)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=40))
def test_any_sequence_of_calls_is_answered_as_by_linux(both, steps):
    both.reset()
    both.put(0, bytes(0x1000))
    both.put(0x4000, bytes(index * 7 % 251 for index in range(0x2000)))
    both.put(0xD00, b"".join(struct.pack("iHH", number, 0x3FFF, 0) for number in (3, 4, 5, 6, 7, 8, 20, -1)))
    for step in steps:
        perform(both, step)
