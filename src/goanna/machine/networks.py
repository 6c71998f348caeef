"""How a machine is connected: --net KIND[,WORD...], one for each interface, and --pcap.

    user                        through QEMU, as any program of this computer; -p leads in
    segment=NAME                a private segment of this computer, whose machines reach each other by name
    tap=NAME                    a tap device of this computer, with bridges and routes as its owner likes
    socket=listen:HOST:PORT     a wire to one other machine: this end waits,
    socket=connect:HOST:PORT    and this one calls
    socket=mcast:GROUP:PORT     a segment for any number of machines, on this computer or its network
    none                        not at all

The words behind say what the kernel does with the interface (kernel/net/config/setting.py): name=, mac=, mtu=,
address=, gateway=, route=NETWORK@GATEWAY, dns=, search=,
host=NAME@ADDRESS, dhcp, auto.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from goanna.failure import Failure
from goanna.machine.forwards import Forward, parse_forwards
from goanna.machine.segments import NAME as SEGMENT_NAME
from goanna.machine.segments import Member, join, segment_of

_EXAMPLE = "Write it like --net user, --net tap=tap0,address=10.0.0.2/24,gateway=10.0.0.1 or --net none."
_SINGLE = ("name", "mac", "mtu", "search")
_MANY = ("address", "gateway", "route", "dns", "host")
_SWITCHES = ("dhcp", "auto")
_MOST = 8
_MOST_SERVERS = 4  # as the kernel keeps (kernel/net/config/setting.py)
_MOST_ADDRESSES = 16
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
_TAPS = Path("/sys/class/net")


@dataclass(frozen=True)
class Net:
    """One interface."""

    kind: str  # user, segment, tap, socket
    value: str  # behind the kind's `=`
    words: tuple[tuple[str, str], ...]  # what the kernel is told, in order; switches have no value
    text: str  # as it was written

    def all(self, key: str) -> list[str]:
        """The values of a word."""
        return [value for each, value in self.words if each == key]

    @property
    def mac(self) -> str:
        """Its link address, which is always said."""
        return self.all("mac")[0]

    def setting(self) -> bytes:
        """What boot information says of it."""
        return ",".join(f"{key}={value}" if value else key for key, value in self.words).encode()


@dataclass(frozen=True)
class Networks:
    """All of a machine's interfaces, what leads into them, and where what crosses them is kept."""

    nets: Sequence[Net] = ()
    forwards: Sequence[Forward] = ()
    records: Sequence[Path] = field(default=())  # one for each interface, or none
    members: Sequence[Member] = ()  # what it is in the segments of its interfaces

    @property
    def hostname(self) -> str | None:
        """What its segments call it."""
        return self.members[0].name if self.members else None

    def joined(self, name: str, chosen: bool) -> Networks:
        """The same as a machine of its segments, under a name that a person has `chosen` or not. Raises Failure."""
        nets: list[Net] = []
        members: list[Member] = []
        for each in self.nets:
            if each.kind == "segment":
                segment = segment_of(each.value)
                member = join(segment, members[0].name if members else name, chosen)
                members.append(member)
                others = [("host", said) for said in member.news()]
                each = replace(each, words=(*segment.words(member.number), *each.words, *others))
            nets.append(each)
        return replace(self, nets=nets, members=members)

    def told(self) -> list[bytes] | None:
        """What boot information says."""
        return [each.setting() for each in self.nets] or None


def parse_networks(nets: Sequence[str], ports: Sequence[str], pcap: str | None, unasked: str = "none") -> Networks:
    """Networks as the flags have them; `unasked` is the kind that a machine has if nobody says. Raises Failure."""
    forwards = parse_forwards(ports)
    kinds = nets or (["user"] if forwards or pcap is not None else [unasked])
    if any(each.partition(",")[0] == "none" for each in kinds):
        _check_none(kinds, ports, pcap)
        return Networks()
    if len(kinds) > _MOST:
        raise Failure(f"--net: a machine has at most {_MOST} interfaces, and these are {len(kinds)}")
    found: list[Net] = []
    for text in kinds:
        found.append(_parse(text, found))
    if forwards and not any(each.kind == "user" for each in found):
        raise Failure(
            f"-p {ports[0]} leads into a machine through --net user, and this one has --net {found[0].text}",
            "Reach the program at its own address, or add --net user.",
        )
    return Networks(found, forwards, _records(pcap, found))


def _check_none(kinds: Sequence[str], ports: Sequence[str], pcap: str | None) -> None:
    if list(kinds) != ["none"]:
        other = next((each for each in kinds if each != "none"), kinds[0])
        raise Failure(f"--net none and --net {other} contradict each other", _EXAMPLE)
    if ports:
        raise Failure(f"-p {ports[0]} leads to a machine's interface, and with --net none it has no interface")
    if pcap is not None:
        raise Failure(f"--pcap {pcap} records an interface, and with --net none there is no interface")


def _records(pcap: str | None, nets: Sequence[Net]) -> list[Path]:
    if pcap is None:
        return []
    path = Path(pcap)
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise Failure(f"--pcap {pcap}: can't be written", "Name a file in a folder that is there.")
    if len(nets) == 1:
        return [path]
    return [path.with_name(f"{path.stem}.{number}{path.suffix}") for number in range(len(nets))]


def _parse(text: str, others: Sequence[Net]) -> Net:
    first, *rest = text.split(",")
    kind, _, value = first.partition("=")
    if kind not in ("user", "segment", "tap", "socket"):
        raise Failure(
            f"--net {text}: there is no network {kind!r}: user, segment=, tap=, socket= and none are", _EXAMPLE
        )
    if (kind == "user") != (value == ""):
        raise Failure(f"--net {text}: {kind} {'takes no value' if kind == 'user' else 'wants a value'}", _EXAMPLE)
    words = [_word(text, each) for each in rest]
    keys = [key for key, _ in words]
    for key in (*_SINGLE, *_SWITCHES):
        if keys.count(key) > 1:
            raise Failure(f"--net {text}: {key} is there more than once")
    for key, most in (("dns", _MOST_SERVERS), ("address", _MOST_ADDRESSES)):
        if keys.count(key) > most:
            raise Failure(f"--net {text}: an interface has at most {most} words {key}=")
    if keys.count("gateway") + keys.count("route") > _MOST_ADDRESSES:
        raise Failure(f"--net {text}: an interface has at most {_MOST_ADDRESSES} routes")
    if kind == "segment":
        _check_segment(text, value, keys, others)
    elif "mac" not in keys:
        words.append(("mac", _fresh_mac(kind, len(others))))
    if kind == "user":
        words += _user_words(text, keys, len(others))
    elif kind != "segment" and not {"address", "dhcp", "auto"} & set(keys):
        words += [("dhcp", ""), ("auto", "")]
    if kind == "tap":
        _check_tap(text, value)
    elif kind == "socket":
        _check_socket(text, value)
    made = Net(kind, value, tuple(words), text)
    for other in others:
        for key in ("mac", "name"):
            if made.all(key) and made.all(key) == other.all(key):
                raise Failure(f"--net {text} and --net {other.text} have the same {key}, {made.all(key)[0]}")
    return made


def _word(text: str, word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if key in _SWITCHES and not equals:
        return key, ""
    try:
        match key:
            case "name" if _NAME.fullmatch(value) and value != "lo":
                return key, value
            case "mac" if _MAC.fullmatch(value.lower()) and value.strip("0:"):
                return key, value.lower()
            case "mtu" if 68 <= int(value) <= 65535:
                return key, str(int(value))
            case "search" if re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", value):
                return key, value
            case "address":
                address = ipaddress.ip_interface(value)
                if "/" not in value or address.is_multicast or address.is_unspecified:
                    raise ValueError
                return key, f"{_plain(address.ip)}/{address.network.prefixlen}"
            case "gateway" | "dns":
                return key, _plain(ipaddress.ip_address(value))
            case "host":
                host, _, place = value.partition("@")
                if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", host):
                    raise ValueError
                return key, f"{host}@{_plain(ipaddress.ip_address(place))}"
            case "route":
                network, _, gateway = value.partition("@")
                target = ipaddress.ip_network(network)
                way = ipaddress.ip_address(gateway)
                if target.version != way.version:
                    raise ValueError
                return key, f"{target}@{_plain(way)}"
    except ValueError:
        pass
    known = key in (*_SINGLE, *_MANY, *_SWITCHES)
    raise Failure(f"--net {text}: {word!r} {'is not right' if known else 'means nothing'}", _EXAMPLE)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    # Without a scope, and in hexadecimal all through: the kernel knows neither.
    return (
        ":".join(f"{int(part, 16):x}" for part in address.exploded.partition("%")[0].split(":"))
        if (address.version == 6)
        else str(address)
    )


def _fresh_mac(kind: str, number: int) -> str:
    # Only who shares a segment needs an address of its own.
    tail = bytes([0x12, 0x34, 0x56 + number]) if kind == "user" else os.urandom(3)
    return "52:54:00:" + tail.hex(":")


def _user_words(text: str, keys: Sequence[str], number: int) -> list[tuple[str, str]]:
    for key in ("address", "gateway"):
        if key in keys:
            raise Failure(
                f"--net {text}: user and {key}= contradict each other: QEMU chooses the addresses there",
                "Networks with addresses of your own are --net tap= and --net socket=.",
            )
    if "dhcp" in keys:
        return []
    network = user_network(number)
    words = [("address", f"{network[15]}/24"), ("gateway", str(network[2]))]
    return words if "dns" in keys else [*words, ("dns", str(network[3]))]


def user_network(number: int) -> ipaddress.IPv4Network:
    """The network of the machine's interface of a number, if that is --net user."""
    return ipaddress.IPv4Network(f"10.0.{2 + number}.0/24")


def _check_segment(text: str, name: str, keys: Sequence[str], others: Sequence[Net]) -> None:
    if not SEGMENT_NAME.fullmatch(name):
        raise Failure(f"--net {text}: a segment's name has up to 31 letters, digits, dots and dashes", _EXAMPLE)
    for key in ("mac", "address", "dhcp", "auto"):
        if key in keys:
            raise Failure(
                f"--net {text}: segment and {key} contradict each other: the machines of a segment get theirs by turns",
                "Segments with addresses of your own are --net socket=mcast:GROUP:PORT.",
            )
    if any(each.kind == "segment" and each.value == name for each in others):
        raise Failure(f"--net {text}: the machine is in that segment already")


def _check_tap(text: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Failure(f"--net {text}: {name!r} is no name of an interface", _EXAMPLE)
    if not (_TAPS / name).exists():
        raise Failure(
            f"--net {text}: this computer has no interface {name}",
            f"Make one: ip tuntap add dev {name} mode tap user $USER && ip link set {name} up",
        )
    if not (_TAPS / name / "tun_flags").exists():
        raise Failure(f"--net {text}: {name} is no tap device")


def _several_queues(name: str) -> bool:
    # IFF_MULTI_QUEUE: such a tap device is opened once for each of its queues, and no other more than once.
    try:
        return int((_TAPS / name / "tun_flags").read_text(), 16) & 0x100 != 0
    except (OSError, ValueError):
        return False


def _check_socket(text: str, value: str) -> None:
    found = re.fullmatch(r"(listen|connect|mcast):([^:,]*):(\d{1,5})", value)
    if found is None or not 0 < int(found[3]) <= 65535 or (found[1] != "listen" and not found[2]):
        raise Failure(
            f"--net {text}: {value!r} is none of listen:[HOST]:PORT, connect:HOST:PORT and mcast:GROUP:PORT", _EXAMPLE
        )
    if found[1] == "mcast":
        try:
            group = ipaddress.IPv4Address(found[2])
        except ValueError:
            group = ipaddress.IPv4Address(0)
        if not group.is_multicast:
            raise Failure(f"--net {text}: {found[2]!r} is no multicast group", "They are 224.0.0.0 to 239.255.255.255.")


def network_words(networks: Networks, bus: str, processors: int = 1) -> Iterator[str]:
    """The words of QEMU's command line that give a machine its interfaces, with queues for each of its processors where
    the other side takes them."""
    forwards = list(networks.forwards)
    for number, each in enumerate(networks.nets):
        queues = processors if each.kind == "tap" and _several_queues(each.value) else 1
        yield "-netdev"
        match each.kind:
            case "user":
                backend = f"user,id=net{number},net={user_network(number)}"
                if "auto" not in dict(each.words):
                    backend += ",ipv6=off"
                backend += "".join(f",hostfwd={forward.rule()}" for forward in forwards)
                forwards = []
                yield backend
            case "tap":
                more = f",queues={processors}" if queues > 1 else ""
                yield f"tap,id=net{number},ifname={each.value},script=no,downscript=no{more}"
            case "segment":
                yield f"socket,id=net{number},mcast={segment_of(each.value).place},localaddr=127.0.0.1"
            case _:
                way, _, place = each.value.partition(":")
                yield f"socket,id=net{number},{way}={place}"
        yield "-device"
        several = "" if queues == 1 else f",mq=on,vectors={queues * 2 + 2}" if bus == "pci" else ",mq=on"
        yield f"virtio-net-{bus},netdev=net{number},mac={each.mac}{',romfile=' if bus == 'pci' else ''}{several}"
    for number, path in enumerate(networks.records):
        yield "-object"
        yield f"filter-dump,id=record{number},netdev=net{number},file={str(path.absolute()).replace(',', ',,')}"
