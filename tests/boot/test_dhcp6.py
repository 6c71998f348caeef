"""A machine whose router says that addresses are managed asks a DHCPv6 server for one, keeps it, and answers by it."""

from __future__ import annotations

import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.boot.running import GOANNA
from tests.boot.test_network import FORMS, program
from tests.boot.wire import EVERYBODY, ME, THEIRS6, Wire, machine
from tests.kernel.net.config.test_dhcp6 import (
    ADVERTISE,
    ASK,
    NAME_OPTIONS,
    RENEW,
    REPLY,
    REQUEST,
    SOLICIT,
    answer,
    association,
    fields,
    option,
)
from tests.kernel.net.host import ether, ip6, raw, summed, udp_bytes

ROUTER, ALL_NODES = "fe80::1", "ff02::1"
MAC = 0x525400000002
OURS = b"\0\3\0\1" + MAC.to_bytes(6, "big")


class Router:
    """Answers solicitations of routers and of DHCPv6 servers; keeps what was asked."""

    def __init__(self, wire: Wire, flags: int) -> None:
        self.wire, self.flags, self.kinds = wire, flags, list[int]()
        wire.handlers.append(self.hear)

    def hear(self, frame: bytes) -> bool:
        if frame[12:14] != b"\x86\xdd":
            return False
        source = frame[22:38]
        if frame[20] == 58 and frame[54] == 133:
            body = struct.pack(">BBHBBHII", 134, 0, 0, 64, self.flags, 1800, 0, 0) + b"\1\1" + ME.to_bytes(6, "big")
            packet = ip6(ROUTER, ALL_NODES, 58, summed(ROUTER, ALL_NODES, 58, body, 2), 255)
            self.wire.send(ether(EVERYBODY, ME, 0x86DD, packet))
            return True
        if frame[20] == 17 and frame[56:58] == struct.pack(">H", 547):
            kind, transaction, said = fields(frame[62 : 54 + struct.unpack(">H", frame[58:60])[0]])
            assert said[1] == OURS and source[:2] == b"\xfe\x80" and frame[38:54] == raw("ff02::1:2")
            self.kinds.append(kind)
            more = [association(THEIRS6, t1=2, t2=100, mac=MAC), NAME_OPTIONS] if kind != ASK else [NAME_OPTIONS]
            message = answer(ADVERTISE if kind == SOLICIT else REPLY, transaction, *more, option(7, b"\xff"), who=OURS)
            target = ":".join(source[at : at + 2].hex() for at in range(0, 16, 2))
            packet = ip6(ROUTER, target, 17, udp_bytes(ROUTER, target, 547, 546, message))
            self.wire.send(ether(MAC, ME, 0x86DD, packet))
            return True
        return False

    def wait(self, count: int) -> list[int]:
        """The kinds of the first messages."""
        end = time.monotonic() + 60
        while len(self.kinds) < count and time.monotonic() < end:
            time.sleep(0.05)
        return self.kinds[:count]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dhcp6") / "network.img"
    subprocess.run([*GOANNA, "build", "-o", path, program(), "--", "quiet"], check=True)
    return path


@pytest.mark.parametrize(("flags", "kinds"), [(0x80, [SOLICIT, REQUEST, RENEW, RENEW]), (0x40, [ASK])])
def test_a_server_is_asked_as_the_router_says(image: Path, tmp_path: Path, flags: int, kinds: list[int]) -> None:
    wire = Wire()
    router = Router(wire, flags)
    wire.answer_questions()
    words = ["-netdev", f"socket,id=n0,connect={wire.address}", *FORMS["microvm, legacy"]]
    with machine(image, words, tmp_path, "net=auto", wire) as made:
        made.wait("goanna <nil>")
        assert router.wait(len(kinds)) == kinds
        if flags == 0x80:
            assert wire.ping(b"by the address of a lease", 1, True) == b"by the address of a lease"
