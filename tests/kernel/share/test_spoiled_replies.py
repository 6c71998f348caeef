"""A server that answers nonsense: calls give an errno, and the kernel goes on."""

import random
import shutil
import struct
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goanna.kernel.base.errno import EIO
from goanna.kernel.file.attributes import Attributes
from goanna.kernel.memory.user import copy_in
from goanna.kernel.share.message import Packer, Qid, Unpacker, check_reply, take_attributes
from goanna.metal import Slice, i64, jit, metal, u8, u16, u32, u64
from tests.kernel.file import test_changes_against_linux as changes
from tests.kernel.share.machine import Machine
from tests.kernel.share.server import Server
from tests.kernel.share.test_share_against_linux import steps
from tests.kernel.syscall.linux import unpack

REGION = changes.REGION
AT_FDCWD = -100


class OneSide:
    """What step_arguments wants, of one machine."""

    def __init__(self, machine):
        self.machine = machine

    def put(self, offset, data):
        self.machine.used = offset
        return self.machine.put(data)


def spoiler(seed: int, rate: float):
    """Changes some replies: bytes, lengths, types, errors; now and then nothing comes at all."""
    chance = random.Random(seed)

    def spoil(reply: bytes) -> bytes:
        if chance.random() > rate:
            return reply
        data = bytearray(reply)
        match chance.randrange(6):
            case 0:
                return b""
            case 1:
                return bytes(data[: chance.randrange(len(data))])
            case 2:
                number = chance.choice([0, 1, 2, 17, 40, 133, 134, 512, 0xFFFFFFFF])
                return struct.pack("<IBHI", 11, 7, data[5] | data[6] << 8, number)
            case 3:
                place = chance.choice([0, 4, 5, 7, 8])
                data[place % len(data)] = chance.randrange(256)
            case 4:
                for _ in range(chance.randrange(1, 9)):
                    data[chance.randrange(7, max(len(data), 8)) % len(data)] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 5:
                data += bytes(chance.randrange(64))
                data[0:4] = struct.pack("<I", chance.choice([len(data), len(data) + 100, 1 << 31]))
        return bytes(data)

    return spoil


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 1 << 30), rate=st.sampled_from([0.05, 0.3, 1.0]), steps=st.lists(steps, max_size=30))
def test_no_reply_fails_the_kernel(seed, rate, steps):
    folder = tempfile.mkdtemp()
    server = Server(folder)
    try:
        unpack(changes.tree(), folder)
        machine = Machine(None, server)
        machine.call("chdir", b"/share")
        side = OneSide(machine)
        machine.spoil = spoiler(seed, rate)
        for step in [("openat", AT_FDCWD, b"d", 0, 0), ("openat", AT_FDCWD, b"d/x", 2, 0), *steps]:
            arguments = [
                each - REGION + machine.scratch if isinstance(each, int) and REGION <= each < REGION + 0x10000 else each
                for each in changes.step_arguments(side, step)
            ]
            if not any(isinstance(each, bytes) and each.startswith((b"/", b"to-d", b"..", b"d/..")) for each in step):
                try:
                    machine.raw(step[0], *arguments)
                except AssertionError as trouble:  # the server's: a fid that the client thinks is free
                    assert "fid" in str(trouble)
        address = machine.raw("mmap", 0, 20_000, 3, 1, 4, 0)
        if address > 0:
            machine.unit.call(copy_in, bytearray(20_000), address)
            machine.raw("msync", address, 20_480, 4)
    finally:
        server.close()
        shutil.rmtree(folder)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_a_server_that_answers_nonsense_at_the_start_is_no_share(seed):
    folder = tempfile.mkdtemp()
    try:
        machine = Machine(None, Server(folder), spoil=spoiler(seed, 1.0))
        assert machine.mounted <= 0
        assert machine.call("mkdirat", AT_FDCWD, b"/x", 0o755) == 0
    finally:
        shutil.rmtree(folder)


@metal
def pack_all(into: Slice[u8], a: u8, b: u16, c: u32, d: u64, text: Slice[u8]) -> u64:
    out = Packer()
    out.start(into, a, b)
    out.put32(c)
    out.put64(d)
    out.put_text(text)
    return out.finish(0)


@metal
def unpack_all(data: Slice[u8], found: Slice[u8]) -> tuple[u8, u16, u32, u64, u64, bool]:
    message = Unpacker()
    message.start(data, 4)
    kind = message.take8()
    tag = message.take16()
    c = message.take32()
    d = message.take64()
    text = message.take_text()
    count = min(len(text), len(found))
    found[0:count] = text[0:count]
    return kind, tag, c, d, len(text), message.good


@metal
def attributes_good(data: Slice[u8]) -> i64:
    message = Unpacker()
    message.start(data, 0)
    qid = Qid()
    return take_attributes(message, qid, Attributes())


@pytest.fixture(scope="module")
def codec():
    return jit(pack_all, unpack_all, attributes_good, check_reply)


@settings(deadline=None)
@given(st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.binary())
def test_what_is_packed_is_the_protocol_s_and_is_unpacked(codec, kind, tag, number, large, text):
    buffer = bytearray(4096)
    size = codec.call(pack_all, buffer, kind, tag, number, large, text)
    expected = struct.pack("<BHIQH", kind, tag, number, large, len(text)) + text
    assert bytes(buffer[:size]) == struct.pack("<I", 4 + len(expected)) + expected
    found = bytearray(len(text) + 1)
    assert codec.call(unpack_all, bytes(buffer[:size]), found) == (kind, tag, number, large, len(text), True)
    assert bytes(found[: len(text)]) == text
    assert not codec.call(unpack_all, bytes(buffer[: size - 1]), found)[-1]


@settings(max_examples=500, deadline=None)
@given(reply=st.binary(max_size=200), written=st.integers(0, 300), kind=st.sampled_from([24, 110, 116]))
def test_any_reply_is_judged(codec, reply, written, kind):
    result = codec.call(check_reply, reply, written, 8192, kind, 5)
    if result >= 0:
        assert struct.unpack_from("<IBH", reply) == (result, kind + 1, 5) and result <= written
    else:
        assert result >= -133
    assert codec.call(attributes_good, reply) in (0, -EIO)
