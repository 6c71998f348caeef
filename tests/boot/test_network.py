"""Machines on a wire: what they answer, how they are configured, and that no frame brings them down."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot import toolchains
from tests.boot.catalogue import guests
from tests.boot.running import GOANNA
from tests.boot.serving import goanna_run
from tests.boot.wire import (
    EVERYBODY,
    MACHINE,
    ME,
    MINE,
    MINE6,
    THEIRS,
    THEIRS6,
    Machine,
    Wire,
    machine,
)
from tests.kernel.net.config.test_dhcp import fields, reply
from tests.kernel.net.host import arp_bytes, ether, ip4, ip6, ones, raw, udp_bytes

DEVICE = "netdev=n0,mac=52:54:00:00:00:02,id=d0"
FORMS = {
    "microvm, legacy": ["-machine", "microvm", "-device", f"virtio-net-device,{DEVICE}"],
    "microvm, modern": ["-machine", "microvm", "-global", "virtio-mmio.force-legacy=false",
                        "-device", f"virtio-net-device,{DEVICE}"],
    "q35, modern": ["-machine", "q35", "-device", f"virtio-net-pci,disable-legacy=on,romfile=,{DEVICE}"],
    "pc, legacy": ["-machine", "pc", "-device", f"virtio-net-pci,disable-modern=on,romfile=,{DEVICE}"],
    "microvm, plain": ["-machine", "microvm", "-device",
                       f"virtio-net-device,mrg_rxbuf=off,event_idx=off,any_layout=off,status=off,{DEVICE}"],
}  # fmt: skip
STATIC = f"net=address={THEIRS}/24,address={THEIRS6}/64,gateway={MINE},dns=10.0.0.3,search=example.org"


def program() -> Path:
    guest = next(guest for guest in guests() if guest.name == "network")
    return toolchains.build_go(guest, toolchains.newest_go())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "network.img"
    subprocess.run([*GOANNA, "build", "-o", path, program(), "--", "quiet"], check=True)
    return path


@contextlib.contextmanager
def on_wire(image: Path, folder: Path, form: str, append: str, processors: int = 1) -> Iterator[tuple[Machine, Wire]]:
    wire = Wire()
    words = ["-smp", str(processors), "-netdev", f"socket,id=n0,connect={wire.address}", *FORMS[form]]
    with machine(image, words, folder, append, wire) as made:
        yield made, wire


def settled(wire: Wire) -> None:
    """Wait until the machine's IPv6 address has been probed, and answer it from then on."""
    wire.answer_questions()
    wire.wait(lambda frame: frame[12:14] == b"\x86\xdd" and frame[54] == 136 and frame[62:78] == raw(THEIRS6))


@pytest.mark.parametrize("form", FORMS)
def test_a_machine_answers(image: Path, tmp_path: Path, form: str, processors: int) -> None:
    with on_wire(image, tmp_path, form, STATIC, processors) as (made, wire):
        made.wait("goanna <nil>")
        assert "#MANUAL\n" in made.text
        assert "search example.org\nnameserver 10.0.0.3\n" in made.text or "nameserver 10.0.0.3\nsearch" in made.text
        wire.send(ether(EVERYBODY, ME, 0x806, arp_bytes(1, ME, MINE, 0, THEIRS)))
        answer = wire.wait(lambda frame: frame[:6] == ME.to_bytes(6, "big") and frame[12:14] == b"\x08\x06")
        assert answer[14:42] == arp_bytes(2, MACHINE, THEIRS, ME, MINE)
        settled(wire)
        for six in (False, True):
            for size in (0, 1, 56, 1400):
                data = os.urandom(size)
                assert wire.ping(data, size, six) == data


def test_pieces_of_a_packet_come_in_any_order(image: Path, tmp_path: Path) -> None:
    with on_wire(image, tmp_path, "microvm, legacy", STATIC) as (_, wire):
        settled(wire)
        data = os.urandom(5000)
        body = struct.pack(">BBHHH", 8, 0, 0, 1, 9) + data
        body = body[:2] + struct.pack(">H", ones(body)) + body[4:]
        pieces = []
        for at in range(0, len(body), 1000):
            more = 0x2000 if at + 1000 < len(body) else 0
            pieces.append(ether(MACHINE, ME, 0x800, ip4(MINE, THEIRS, 1, body[at : at + 1000], 55, more | at // 8)))
        random.Random(3).shuffle(pieces)
        for piece in pieces:
            wire.send(piece)
        got: dict[int, bytes] = {}
        while sum(map(len, got.values())) < len(body):
            frame = wire.wait(lambda each: each[12:14] == b"\x08\x00" and each[23] == 1)
            length, field = struct.unpack(">H2xH", frame[16:22])
            got[(field & 0x1FFF) * 8] = frame[34 : 14 + length]
        assert b"".join(got[at] for at in sorted(got))[8:] == data


@pytest.mark.parametrize("form", ["microvm, legacy", "q35, modern"])
def test_no_frame_brings_it_down(image: Path, tmp_path: Path, form: str) -> None:
    chance = random.Random(42)
    datagram = udp_bytes(MINE, THEIRS, 68, 67, b"x" * 60)
    router = bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8) + b"\3\4\x40\xc0" + bytes(12) + raw("fd01::")
    good = [
        ether(MACHINE, ME, 0x806, arp_bytes(1, ME, MINE, 0, THEIRS)),
        ether(MACHINE, ME, 0x800, ip4(MINE, THEIRS, 17, datagram, 1)),
        ether(MACHINE, ME, 0x800, ip4(MINE, THEIRS, 6, bytes([0x23, 0x28] * 2) + bytes(8) + b"\x50\2" + bytes(6), 1)),
        ether(MACHINE, ME, 0x800, ip4(MINE, THEIRS, 1, bytes([8, 0, 0xF7, 0xFF]) + bytes(4), 1)),
        ether(MACHINE, ME, 0x800, ip4(MINE, THEIRS, 17, datagram, 7, 0x2000)),
        ether(MACHINE, ME, 0x86DD, ip6(MINE6, THEIRS6, 0, b"\x3a\0" + bytes(14))),
        ether(MACHINE, ME, 0x86DD, ip6(MINE6, THEIRS6, 44, b"\x3a\0\0\1" + bytes(20))),
        ether(MACHINE, ME, 0x86DD, ip6("fe80::1", "ff02::1", 58, router, 255)),
        ether(MACHINE, ME, 0x8100, b"\0\5\x08\0" + bytes(40)),
    ]
    with on_wire(image, tmp_path, form, STATIC) as (made, wire):
        settled(wire)
        for number in range(3000):
            frame = bytearray(chance.choice(good))
            for _ in range(chance.randrange(6)):
                frame[chance.randrange(12, len(frame))] = chance.choice([0, 1, 255, chance.randrange(256)])
            cut = chance.choice([len(frame), len(frame), chance.randrange(1, len(frame))])
            wire.send(bytes(frame[:cut]) + bytes(chance.choice([0, 0, 1, 1400])))
            if number % 500 == 499:
                assert wire.ping(b"still there", number) == b"still there"
        assert made.process.poll() is None


class DhcpServer:
    """Answers what a machine asks; keeps what was said."""

    def __init__(self, wire: Wire, options: dict[int, bytes]) -> None:
        self.wire, self.options = wire, options
        self.kinds: list[int] = []
        wire.handlers.append(self.answer)

    def wait(self, count: int) -> None:
        """Wait until so many messages have come."""
        deadline = time.monotonic() + 120
        while len(self.kinds) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def answer(self, frame: bytes) -> bool:
        if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != b"\0\x43":
            return False
        assert ones(frame[14:34]) == 0
        _, transaction, flags, current, said = fields(frame[42:])
        kind = said[53][0]
        self.kinds.append(kind)
        address = int.from_bytes(raw(THEIRS), "big")
        body = reply(transaction, {1: 2, 3: 5}[kind], address, self.options, MACHINE, int.from_bytes(raw(MINE), "big"))
        target = "255.255.255.255" if flags & 0x8000 else THEIRS
        assert (flags & 0x8000 != 0) == (current == 0)
        packet = ip4(MINE, target, 17, udp_bytes(MINE, target, 67, 68, body), 1)
        self.wire.send(ether(EVERYBODY if flags & 0x8000 else MACHINE, ME, 0x800, packet))
        return True


def number(value: int) -> bytes:
    return struct.pack(">I", value)


@pytest.mark.parametrize("form", ["microvm, legacy", "q35, modern"])
def test_dhcp_configures_it(image: Path, tmp_path: Path, form: str) -> None:
    wire = Wire()
    options = {51: number(600), 58: number(2), 1: number(0xFFFFFF00), 3: raw(MINE), 6: raw("10.0.0.7"),
               15: b"example.net", 12: b"box"}  # fmt: skip
    server = DhcpServer(wire, options)
    wire.answer_questions()
    words = ["-netdev", f"socket,id=n0,connect={wire.address}", *FORMS[form]]
    with machine(image, words, tmp_path, "verbose", wire) as made:
        made.wait("box <nil>")  # it starts when it has an address
        assert f"eth0: DHCP gave {THEIRS}" in made.text
        assert "#PROTO: DHCP\n" in made.text
        assert "nameserver 10.0.0.7\n" in made.text and "search example.net\n" in made.text
        assert wire.ping(b"there") == b"there"
        server.wait(4)
        assert server.kinds[:4] == [1, 3, 3, 3]  # discovered, requested, renewed twice
        made.set_link("d0", False)
        time.sleep(0.5)
        server.kinds.clear()
        made.set_link("d0", True)
        wire.wait(lambda frame: frame[12:14] == b"\x86\xdd")
        server.wait(1)
        assert server.kinds[0] == 3 and wire.ping(b"back", 2) == b"back"


def test_without_a_dhcp_server_it_starts_all_the_same(image: Path, tmp_path: Path) -> None:
    with on_wire(image, tmp_path, "microvm, legacy", "") as (made, _):
        made.wait("no DHCP server has answered so far")
        made.wait("goanna <nil>")


def test_several_devices(image: Path, tmp_path: Path) -> None:
    wires = [Wire(), Wire()]
    words = ["-machine", "microvm"]
    for index, wire in enumerate(wires):
        words += ["-netdev", f"socket,id=n{index},connect={wire.address}",
                  "-device", f"virtio-net-device,netdev=n{index},mac=52:54:00:00:00:0{index + 2}"]  # fmt: skip
    append = (f"net=name=lan,mac=52:54:00:00:00:03,address=10.1.0.2/24 "
              f"net=name=wan,mac=52:54:00:00:00:02,address={THEIRS}/24")  # fmt: skip
    with machine(image, words, tmp_path, append, wires[0]) as made:
        wires[1].accept()
        made.wait("goanna <nil>")
        wires[0].answer_questions()
        assert wires[0].ping(b"one") == b"one"
        mac = MACHINE + 1
        wires[1].send(ether(EVERYBODY, ME, 0x806, arp_bytes(1, ME, "10.1.0.1", 0, "10.1.0.2")))
        answer = wires[1].wait(lambda frame: frame[:6] == ME.to_bytes(6, "big"))
        assert answer[14:42] == arp_bytes(2, mac, "10.1.0.2", ME, "10.1.0.1")
        wires[1].close()


def test_a_setting_that_makes_no_sense_is_said(image: Path, tmp_path: Path) -> None:
    with on_wire(image, tmp_path, "microvm, legacy", "net=address=10.0.0.300/24") as (made, _):
        made.wait("a network's setting can't be understood: address=10.0.0.300/24")


@pytest.mark.parametrize("kind", ["microvm", "q35"])
@pytest.mark.parametrize("net", ["user", "user,dhcp"])
def test_ports_lead_in(tmp_path: Path, kind: str, net: str, processors: int) -> None:
    record = tmp_path / "record.pcap"
    words = ["--machine", kind, "-c", str(processors), "--net", net, "-p", "127.0.0.1::9000",
             "-p", "127.0.0.1::9000/udp", "--pcap", os.fspath(record)]  # fmt: skip
    with goanna_run(*words, str(program()), ready="ready\n") as (process, ports):
        data = os.urandom(300_000)
        got = bytearray()
        with socket.create_connection(("127.0.0.1", ports["9000/tcp"]), timeout=120) as connection:
            sent = 0
            while len(got) < len(data):
                if sent < len(data) and sent - len(got) < 50_000:
                    sent += connection.send(data[sent : sent + 10_000])
                else:
                    got += connection.recv(65536)
        assert got == data
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(120)
            datagrams.connect(("127.0.0.1", ports["9000/udp"]))
            datagrams.send(b"datagram")
            assert datagrams.recv(100) == b"datagram"
            datagrams.send(b"end")
        assert process.wait(120) == 7
    content = record.read_bytes()
    assert content[:4] == b"\xd4\xc3\xb2\xa1" and len(content) > 600_000


def test_machines_of_a_segment_reach_each_other_by_name(monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    names = ("alpha", "beta")
    with tempfile.TemporaryDirectory(prefix="gs") as folder:  # a short path, as sockets want it
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        environment = {"GOANNA_ACCEL": "tcg"} | dict(os.environ)
        machines = []
        for name, other in (names, names[::-1]):
            words = ["-c", str(processors), "--hostname", name, "--net", "segment=shop", str(program())]
            machines.append(subprocess.Popen(
                [*GOANNA, "run", *words, "--", "meet", other], env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            ))  # fmt: skip
        try:
            for each, other in zip(machines, names[::-1], strict=True):
                text, _ = each.communicate(timeout=120)
                assert each.returncode == 0, text
                for family in ("tcp4", "tcp6"):
                    assert f"{family} {other} {1 << 13} <nil>\n" in text, text
                lines = [line.split() for line in text.splitlines()]
                for name in names:
                    found = [line[0] for line in lines if line[1:] == [name]]
                    assert [":" in address for address in found] == [False, True], text
            assert not list(Path(folder).glob("goanna/shop/*.name"))
        finally:
            for each in machines:
                if each.poll() is None:
                    os.killpg(each.pid, signal.SIGKILL)
                    each.wait()


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = [*GOANNA, "run", "-p", f"127.0.0.1:{port}:80", str(program())]
        done = subprocess.run(words, capture_output=True, text=True, timeout=240)
    assert done.returncode == 125 and f"tcp port {port} of this computer is in use" in done.stderr
