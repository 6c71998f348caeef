"""--net, -p and --pcap as they are written: what they mean, and the sentence for what can't be."""

import socket
from pathlib import Path

import pytest

from goanna.failure import Failure
from goanna.machine import networks as networks_module
from goanna.machine.forwards import Forward, parse_forwards, settled, told
from goanna.machine.networks import network_words, parse_networks


@pytest.mark.parametrize(
    ("text", "host", "host_port", "port", "protocol"),
    [
        ("8080:80", "0.0.0.0", 8080, 80, "tcp"),
        ("127.0.0.1:8080:80", "127.0.0.1", 8080, 80, "tcp"),
        ("5353:53/udp", "0.0.0.0", 5353, 53, "udp"),
        ("5353:53/UDP", "0.0.0.0", 5353, 53, "udp"),
        ("80", "0.0.0.0", 0, 80, "tcp"),
        ("127.0.0.1::80/tcp", "127.0.0.1", 0, 80, "tcp"),
    ],
)
def test_ports_as_written(text: str, host: str, host_port: int, port: int, protocol: str) -> None:
    assert parse_forwards([text]) == [Forward(host, host_port, port, protocol, text)]


def test_ranges_of_ports() -> None:
    found = parse_forwards(["8000-8002:9000-9002", "80-81"])
    ports = [(each.host_port, each.port) for each in found]
    assert ports == [(8000, 9000), (8001, 9001), (8002, 9002), (0, 80), (0, 81)]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["x:80"], "'x' is no port"),
        (["80:"], "'' is no port"),
        ([""], "'' is no port"),
        (["0:80"], "ports are 1 to 65535, and '0' is not"),
        (["80:65536"], "ports are 1 to 65535"),
        (["80:80/sctp"], "sctp is neither tcp nor udp"),
        (["80:80/"], "nothing is neither"),
        (["localhost:80:80"], "'localhost' is no IPv4 address"),
        (["[::1]:80:80"], "IPv4 addresses only"),
        (["80-82:80-81"], "not equally many ports"),
        (["82-80:82-80"], "ports are 1 to 65535"),
        (["8080:80", "8080:81"], "port 8080 of this computer is -p 8080:80's already"),
        (["127.0.0.1:8080:80", "8080:81"], "already"),
        (["8000-8010:1-11", "8005:5"], "already"),
    ],
)
def test_ports_that_are_none(texts: list[str], message: str) -> None:
    with pytest.raises(Failure, match=message.replace("[", r"\[")):
        parse_forwards(texts)


def test_one_port_may_lead_in_by_both_protocols_and_by_several_addresses() -> None:
    assert len(parse_forwards(["53:53", "53:53/udp", "127.0.0.1:54:53", "127.0.0.2:54:53"])) == 4


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_in_use_is_said(protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            other.listen(1)
        port = other.getsockname()[1]
        with pytest.raises(Failure, match=f"{protocol} port {port} of this computer is in use"):
            settled(parse_forwards([f"127.0.0.1:{port}:80/{protocol}"]))
    assert settled(parse_forwards([f"127.0.0.1:{port}:80/{protocol}"]))[0].host_port == port


def test_an_address_of_another_computer_is_said() -> None:
    with pytest.raises(Failure, match=r"192\.0\.2\.1 is no address of this computer"):
        settled(parse_forwards(["192.0.2.1:0080:80".replace("0080", "18080")]))


def test_ports_that_nobody_chose_are_told() -> None:
    before = parse_forwards(["127.0.0.1::80"])
    after = settled(before)
    assert after[0].host_port != 0
    assert told(after, before) == f"goanna: 127.0.0.1:{after[0].host_port} leads to port 80/tcp\n"
    assert told(after, after) == ""


@pytest.fixture
def tap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tap0", "eth0"):
        (tmp_path / name).mkdir()
    (tmp_path / "tap0" / "tun_flags").write_text("0x1002\n")
    monkeypatch.setattr(networks_module, "_TAPS", tmp_path)


def words_of(*nets: str, ports: list[str] | None = None, bus: str = "device", pcap: str | None = None) -> list[str]:
    return list(network_words(parse_networks(nets, ports or [], pcap), bus))


def test_a_machine_has_what_is_asked_for() -> None:
    assert parse_networks([], [], None).nets == ()
    assert [each.kind for each in parse_networks([], [], None, "user").nets] == ["user"]
    assert [each.kind for each in parse_networks([], ["80:80"], None).nets] == ["user"]
    assert parse_networks(["none"], [], None, "user").nets == ()


def test_user() -> None:
    networks = parse_networks(["user"], ["8080:80", "127.0.0.1:53:53/udp"], None)
    assert networks.told() == [b"mac=52:54:00:12:34:56,address=10.0.2.15/24,gateway=10.0.2.2,dns=10.0.2.3"]
    assert list(network_words(networks, "device")) == [
        "-netdev",
        "user,id=net0,net=10.0.2.0/24,ipv6=off,hostfwd=tcp::8080-:80,hostfwd=udp:127.0.0.1:53-:53",
        "-device",
        "virtio-net-device,netdev=net0,mac=52:54:00:12:34:56",
    ]
    assert parse_networks(["user,dns=1.1.1.1,name=wan"], [], None).told() == [
        b"dns=1.1.1.1,name=wan,mac=52:54:00:12:34:56,address=10.0.2.15/24,gateway=10.0.2.2"
    ]
    assert parse_networks(["user,dhcp"], [], None).told() == [b"dhcp,mac=52:54:00:12:34:56"]
    assert "ipv6" not in words_of("user,auto")[1]


def test_tap_and_sockets(tap: None) -> None:
    assert words_of("tap=tap0")[1] == "tap,id=net0,ifname=tap0,script=no,downscript=no"
    assert words_of("socket=mcast:230.0.0.1:1234", bus="pci")[1] == "socket,id=net0,mcast=230.0.0.1:1234"
    assert words_of("socket=listen::1234")[1] == "socket,id=net0,listen=:1234"
    assert words_of("socket=connect:127.0.0.1:1234")[1] == "socket,id=net0,connect=127.0.0.1:1234"
    (net,) = parse_networks(["tap=tap0,mtu=9000"], [], None).nets
    assert net.setting().decode() == f"mtu=9000,mac={net.mac},dhcp,auto" and net.mac.startswith("52:54:00:")
    (net,) = parse_networks(
        ["tap=tap0,mac=52:54:00:00:00:01,address=FD00::2/64,gateway=fd00::1,route=10.9.0.0/16@10.0.0.3"], [], None
    ).nets
    assert net.setting() == (b"mac=52:54:00:00:00:01,address=fd00:0:0:0:0:0:0:2/64,gateway=fd00:0:0:0:0:0:0:1,"
                             b"route=10.9.0.0/16@10.0.0.3")  # fmt: skip


def test_several(tap: None) -> None:
    networks = parse_networks(["tap=tap0,name=lan", "user,name=wan", "user"], ["80:80"], None)
    words = list(network_words(networks, "pci"))
    assert "hostfwd" not in words[1] and "net=10.0.3.0/24" in words[5] and "hostfwd" in words[5]
    assert "net=10.0.4.0/24" in words[9] and "hostfwd" not in words[9]
    assert len({each.mac for each in networks.nets}) == 3


def test_records(tmp_path: Path) -> None:
    path = str(tmp_path / "a.pcap")
    assert words_of("user", pcap=path)[-1] == f"filter-dump,id=record0,netdev=net0,file={path}"
    assert words_of(pcap=path)[1].startswith("user")
    assert [each.name for each in parse_networks(["user", "user"], [], path).records] == ["a.0.pcap", "a.1.pcap"]


@pytest.mark.parametrize(
    ("nets", "ports", "pcap", "message"),
    [
        (["bridge"], [], None, "there is no network 'bridge'"),
        (["user=x"], [], None, "user takes no value"),
        (["tap"], [], None, "tap wants a value"),
        (["none", "user"], [], None, "--net none and --net user contradict each other"),
        (["none", "none"], [], None, "contradict each other"),
        (["none"], ["80:80"], None, "-p 80:80 leads to a machine's interface, and with --net none it has no interface"),
        (["none"], [], "x.pcap", "--pcap x.pcap records an interface, and with --net none there is no interface"),
        (["tap=tap0"], ["80:80"], None, "-p 80:80 leads .* through --net user, and this one has --net tap=tap0"),
        (["user,address=10.0.2.9/24"], [], None, "user and address= contradict each other"),
        (["user,gateway=10.0.2.9"], [], None, "user and gateway= contradict each other"),
        (["tap=tap1"], [], None, "this computer has no interface tap1"),
        (["tap=eth0"], [], None, "eth0 is no tap device"),
        (["tap=../x"], [], None, "no name of an interface"),
        (["socket=mcast:10.0.0.1:5"], [], None, "'10.0.0.1' is no multicast group"),
        (["socket=connect::5"], [], None, "is none of listen"),
        (["socket=listen:x:99999"], [], None, "is none of listen"),
        (["user,x"], [], None, "'x' means nothing"),
        (["user,x=y"], [], None, "'x=y' means nothing"),
        (["user,mtu=67"], [], None, "'mtu=67' is not right"),
        (["user,mac=01:00:5e:00:00:01"], [], None, "is not right"),
        (["user,name=lo"], [], None, "is not right"),
        (["tap=tap0,address=10.0.0.1"], [], None, "is not right"),
        (["tap=tap0,route=10.0.0.0/8@::1"], [], None, "is not right"),
        (["user,mtu=1400,mtu=1500"], [], None, "mtu is there more than once"),
        (["user," + ",".join(["dns=1.1.1.1"] * 5)], [], None, "at most 4 words dns="),
        (["user,mac=52:54:00:00:00:01", "user,mac=52:54:00:00:00:01"], [], None, "have the same mac"),
        (["user,name=a", "user,name=a"], [], None, "have the same name, a"),
        (["user"] * 9, [], None, "at most 8 interfaces"),
        (["user"], [], "/missing/x.pcap", "can't be written"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be(tap: None, nets: list[str], ports: list[str], pcap: str | None, message: str) -> None:
    with pytest.raises(Failure, match=message.replace("(", r"\(")):
        parse_networks(nets, ports, pcap)
