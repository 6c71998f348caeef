"""Descriptors and identities that travel through Unix sockets, and sockets that only their own queues know."""

import struct

import pytest

from goanna.kernel.base.errno import EBADF, EINVAL, EPERM
from goanna.kernel.memory import pages
from goanna.kernel.memory.user import copy_out
from tests.kernel.syscall.bench import Machine

STREAM, DATAGRAM, NONBLOCK = 1, 2, 0o4000
SOL_SOCKET, SO_PASSCRED, SO_PEERCRED, SCM_RIGHTS, SCM_CREDENTIALS = 1, 16, 17, 1, 2
CTRUNC, CMSG_CLOEXEC = 8, 0x40000000


class Sockets:
    """A machine, and calls on its sockets."""

    def __init__(self):
        self.machine = Machine()
        self.memory = self.machine.raw("mmap", 0, 1 << 16, 3, 0x22, -1, 0)

    def put(self, offset, data):
        assert self.machine.unit.call(copy_out, self.memory + offset, data) == 0
        return self.memory + offset

    def pair(self, kind=STREAM):
        assert self.machine.raw("socketpair", 1, kind | NONBLOCK, 0, self.put(0, bytes(8))) == 0
        return struct.unpack("ii", self.machine.get(self.memory, 8))

    def send(self, descriptor, data, *control):
        raw = b""
        for kind, value in control:
            raw += struct.pack("Qii", 16 + len(value), SOL_SOCKET, kind) + value + bytes(-len(value) % 8)
        vector = self.put(0x200, struct.pack("QQ", self.put(0x300, data), len(data)))
        header = struct.pack("QiiQQQQi", 0, 0, 0, vector, 1, self.put(0x400, raw), len(raw), 0)
        return self.machine.raw("sendmsg", descriptor, self.put(0x100, header), 0)

    def receive(self, descriptor, room=256, flags=0):
        vector = self.put(0x200, struct.pack("QQ", self.put(0x300, bytes(64)), 64))
        header = struct.pack("QiiQQQQi", 0, 0, 0, vector, 1, self.put(0x400, bytes(256)), room, 0)
        count = self.machine.raw("recvmsg", descriptor, self.put(0x100, header), flags)
        if count < 0:
            return count, {}, 0
        *_, used, told = struct.unpack("QiiQQQQi", self.machine.get(self.memory + 0x100, 52))
        raw, found = self.machine.get(self.memory + 0x400, used), {}
        while len(raw) >= 16:
            length, _, kind = struct.unpack("Qii", raw[:16])
            found[kind] = raw[16:length]
            raw = raw[length + 7 & ~7 :]
        return self.machine.get(self.memory + 0x300, count), found, told

    def close(self, *descriptors):
        for each in descriptors:
            assert self.machine.raw("close", each) == 0


def rights(*numbers):
    return SCM_RIGHTS, struct.pack(f"{len(numbers)}i", *numbers)


def claim(process, user, group):
    return SCM_CREDENTIALS, struct.pack("3i", process, user, group)


@pytest.fixture
def sockets():
    return Sockets()


@pytest.mark.parametrize("kind", [STREAM, DATAGRAM])
def test_a_descriptor_arrives_under_a_new_number(sockets, kind):
    one, other = sockets.pair(kind)
    first, second = sockets.pair()
    assert sockets.send(one, b"take", rights(first)) == 4
    sockets.close(first)
    data, control, flags = sockets.receive(other)
    (number,) = struct.unpack("i", control[SCM_RIGHTS])
    assert (data, flags) == (b"take", 0)
    assert sockets.send(number, b"through") == 7
    assert sockets.receive(second)[0] == b"through"


@pytest.mark.parametrize("kind", [STREAM, DATAGRAM])
def test_who_asks_for_descriptors_that_close_on_exec_is_told_so(sockets, kind):
    one, other = sockets.pair(kind)
    first, _ = sockets.pair()
    sockets.send(one, b"take", rights(first))
    _, control, flags = sockets.receive(other, flags=CMSG_CLOEXEC)
    (number,) = struct.unpack("i", control[SCM_RIGHTS])
    assert flags == CMSG_CLOEXEC and sockets.machine.raw("fcntl", number, 1, 0) == 1
    sockets.send(one, b"bytes")
    assert sockets.receive(other, flags=CMSG_CLOEXEC) == (b"bytes", {}, CMSG_CLOEXEC)


def test_descriptors_for_which_there_is_no_room_are_closed(sockets):
    one, other = sockets.pair()
    first, second = sockets.pair()
    assert sockets.send(one, b"x", rights(first, first)) == 1
    sockets.close(first)
    _, control, flags = sockets.receive(other, 16 + 4)
    assert flags == CTRUNC
    assert len(control[SCM_RIGHTS]) == 4
    sockets.close(*struct.unpack("i", control[SCM_RIGHTS]))
    assert sockets.receive(second)[0] == b"", "the last descriptor of the other end is gone"


def test_what_nobody_reads_is_closed_with_its_socket(sockets):
    one, other = sockets.pair()
    first, second = sockets.pair()
    sockets.send(one, b"x", rights(first))
    sockets.close(first, one, other)
    assert sockets.receive(second)[0] == b""


def test_wrong_control_messages_are_refused(sockets):
    one, _ = sockets.pair()
    assert sockets.send(one, b"x", rights(99)) == -EBADF
    assert sockets.send(one, b"x", (99, b"1234")) == -EINVAL
    assert sockets.send(one, b"x", (SCM_CREDENTIALS, b"1234")) == -EINVAL
    assert sockets.send(one, b"x", rights(*[one] * 254)) == -EINVAL


def test_a_receiver_that_asks_hears_who_sends(sockets):
    one, other = sockets.pair()
    sockets.send(one, b"before")
    sockets.machine.raw("setsockopt", other, SOL_SOCKET, SO_PASSCRED, sockets.put(0, b"\1\0\0\0"), 4)
    sockets.send(one, b"after")
    assert sockets.receive(other)[:2] == (b"before", {SCM_CREDENTIALS: struct.pack("3i", 0, 65534, 65534)})
    assert sockets.receive(other)[:2] == (b"after", {SCM_CREDENTIALS: struct.pack("3i", 1, 0, 0)})
    sockets.send(one, b"as", claim(1, 7, 8))
    sockets.send(one, b"others", claim(1, 9, 8))
    assert sockets.receive(other)[:2] == (b"as", {SCM_CREDENTIALS: struct.pack("3i", 1, 7, 8)})
    assert sockets.receive(other)[0] == b"others", "bytes of two senders are not read as one"


def test_only_root_speaks_for_others(sockets):
    one, _ = sockets.pair()
    assert sockets.machine.raw("setresuid", 5, 5, 5) == 0
    assert sockets.send(one, b"x", claim(1, 5, 0)) == 1
    assert sockets.send(one, b"x", claim(1, 6, 0)) == -EPERM
    assert sockets.send(one, b"x", claim(2, 5, 0)) == -EPERM


def test_a_pair_knows_its_partner(sockets):
    one, _ = sockets.pair()
    length = sockets.put(0x40, struct.pack("i", 12))
    assert sockets.machine.raw("getsockopt", one, SOL_SOCKET, SO_PEERCRED, sockets.put(0, bytes(12)), length) == 0
    assert struct.unpack("3i", sockets.machine.get(sockets.memory, 12)) == (1, 0, 0)


def test_sockets_that_only_their_queues_know_are_freed(sockets):
    def leave():
        a, b = sockets.pair()
        sockets.send(a, b"x", rights(a, b))
        sockets.send(b, b"x", rights(b))
        c, d = sockets.pair(DATAGRAM)
        sockets.send(c, b"x", rights(a, d))
        sockets.close(a, b, c, d)

    for _ in range(20):
        leave()
    before = sockets.machine.unit.call(pages.free_pages)
    for _ in range(300):
        leave()
    assert sockets.machine.unit.call(pages.free_pages) >= before - 4


def test_a_socket_in_the_queue_of_one_that_is_open_stays(sockets):
    one, other = sockets.pair()
    a, b = sockets.pair()
    sockets.send(b, b"x", rights(a, b))
    sockets.send(one, b"y", rights(a))
    sockets.close(a, b)
    c, d = sockets.pair()
    sockets.close(c, d)
    _, control, _ = sockets.receive(other)
    (number,) = struct.unpack("i", control[SCM_RIGHTS])
    assert sockets.send(number, b"still there") == 11


def test_a_chain_of_sockets_longer_than_a_stack_ends(sockets):
    previous = None
    for _ in range(300):
        one, other = sockets.pair()
        if previous is not None:
            sockets.send(one, b"x", rights(*previous))
            sockets.close(*previous)
        previous = one, other
    sockets.close(*previous)
    assert sockets.pair() == previous or sockets.pair()[0] < 10
