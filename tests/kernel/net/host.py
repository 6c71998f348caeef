"""A whole IP host behind a compiled unit: one Ethernet interface whose frames Python takes out and puts in."""

import ipaddress
import struct

from goanna.kernel.net import (
    arrival,
    claim,
    ip_input,
    keyed_hash,
    loopback,
    membership,
    neighbour,
    network,
    packet,
    path_mtu,
    reassembly,
    route,
    tap,
    udp,
)
from goanna.kernel.net import raw as raw_sockets
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, Kind, Local, Standing, add_interface
from goanna.kernel.net.packet import Packet, Packets, drop
from goanna.kernel.net.path import Path
from goanna.metal import Array, Ptr, Slice, i64, metal, static, u8, u16, u32, u64
from tests.kernel.net.machine import ROOTS as PACKET_ROOTS
from tests.kernel.net.machine import Memory, hooks

SECOND = 1_000_000_000
device = static(Interface)
sent = static(Packets)
lost = static(u32)  # addresses
notified = static(u32)
endpoints = static(Array[udp.Endpoint, 8])
segments = static(u32)  # that IP handed on


@metal
def transmit(interface: Interface, packet: Packet) -> None:
    sent.append(packet)


@metal
def lose(interface: Interface, address: Address, now: u64) -> None:
    global lost
    lost += 1


@metal
def notify(endpoint: udp.Endpoint) -> None:
    global notified
    notified += 1


@metal
def take_segment(arrival: arrival.Arrival, packet: Packet) -> None:
    global segments
    segments += 1
    drop(packet)


@metal
def no_error(report: arrival.Report) -> bool:
    return False


@metal
def start(mac: u64, mtu: u32, features: u32) -> None:
    keyed_hash.new_keys()
    loopback.start_loopback()
    device.kind = Kind.ETHERNET
    device.mac = mac
    device.mtu = mtu
    device.features = features
    device.segment_limit = 65000
    device.transmit = transmit
    device.hop_limit = 64
    device.up = True
    device.running = True
    add_interface(device)


@metal
def take_frame(out: Slice[u8]) -> u64:
    """The oldest frame sent; 0 if there is none."""
    first = sent.pop()
    if first is None:
        return 0
    size = u64(first.total)
    first.copy_out(0, out[0:size])
    packet.drop(first)
    return size


@metal
def frame_in(data: Slice[u8], now: u64) -> bool:
    """A frame comes, in buffers as a device would fill them. False: it is lost, there are none."""
    first: Ptr[Packet] = None
    at: u64 = 0
    while at < len(data) or first is None:
        made = packet.allocate(packet.BUFFER, 12)
        if made is None:
            return False
        count = min(len(data) - at, u64(packet.BUFFER_ROOM - 12))
        made.extend(u32(count))[:] = data[at : at + count]
        at += count
        if first is None:
            first = made
        else:
            first.append(made)
    ip_input.receive(device, first, now)
    return True


@metal
def add_address(address: Address, length: u32, probe: bool, now: u64) -> bool:
    return claim.claim(device, address, length, probe, now)


@metal
def add_route(prefix: Address, length: u32, gateway: Address, metric: u32, kind: route.RouteKind) -> i64:
    made = route.Route()
    made.prefix = prefix
    made.length = length
    made.gateway = gateway
    made.metric = metric
    made.kind = kind
    made.interface = device
    return route.add_route(made)


@metal
def standing(address: Address) -> Standing:
    local = device.find(address)
    return Standing.UNUSED if local is None else local.standing


@metal
def endpoint(index: u64, local: Address, port: u16, options: u32) -> i64:
    each = endpoints[index]
    each.local = local
    each.limit = udp.DEFAULT_LIMIT
    each.notify = notify
    each.only6 = options & 1 != 0
    each.reuse_address = options & 2 != 0
    each.reuse_port = options & 4 != 0
    each.discover = udp.Discover.WANT
    return udp.bind(each, port)


@metal
def send(index: u64, data: Slice[u8], target: Address, port: u16, now: u64) -> i64:
    first: Ptr[Packet] = None
    at: u64 = 0
    while at < len(data) or first is None:
        made = packet.allocate(packet.CHUNK if len(data) > 1500 else packet.BUFFER, packet.HEADROOM)
        if made is None:
            return -1
        count = min(len(data) - at, u64(made.room()))
        made.extend(u32(count))[:] = data[at : at + count]
        at += count
        if first is None:
            first = made
        else:
            first.append(made)
    return udp.send(endpoints[index], first, target, port, now)


@metal
def receive(index: u64, data: Slice[u8], source: Address) -> tuple[i64, u16]:
    """The oldest datagram of an endpoint: its size and port; -1 if there is none."""
    each = udp.take(endpoints[index])
    if each is None:
        return -1, 0
    port = udp.datagram_source(each, source)
    size = i64(each.total)
    each.copy_out(0, data[0 : u64(each.total)])
    packet.drop(each)
    return size, port


@metal
def connect(index: u64, target: Address, port: u16, now: u64) -> i64:
    return udp.connect(endpoints[index], target, port, now)


@metal
def close(index: u64) -> None:
    udp.unbind(endpoints[index])


@metal
def take_error(index: u64) -> u32:
    return udp.take_error(endpoints[index])


@metal
def timers(now: u64) -> None:
    claim.claim_timer(device, now)
    neighbour.neighbour_timer(now)
    membership.membership_timer(now)
    ip_input.reassembly_timer(now)
    ip_input.receive_looped(now, 1000)


@metal
def deadline() -> u64:
    return min(
        claim.claim_deadline(device), neighbour.neighbour_deadline(), reassembly.reassembly_deadline(),
        membership.membership_deadline(),
    )  # fmt: skip


@metal
def neighbours() -> u64:
    return neighbour.count


@metal
def reach_of(address: Address) -> u32:
    """A neighbour's state, 99 if there is none."""
    found = neighbour.lookup(device, address)
    if found is None:
        return 99
    return u32(found.reach == neighbour.Reach.REACHABLE) + 2 * u32(found.reach == neighbour.Reach.STALE)


HOST_ROOTS = (
    *PACKET_ROOTS, start, take_frame, frame_in, add_address, add_route, standing, endpoint, send, receive, connect,
    close, take_error, timers, deadline, neighbours, reach_of, Address, Path, Local, network.counters, lost,
    notified, segments, raw_sockets.begin, tap.open_tap, path_mtu.known_mtu, path_mtu.learn_mtu,
    reassembly.reassembly_memory, device, endpoints,
)  # fmt: skip


def host_hooks(*more):
    """All hooks filled for a host; without TCP unless `more` says otherwise."""
    return hooks(
        (claim.on_lost_address, lose),
        (ip_input.on_segment, take_segment),
        (arrival.on_tcp_error, no_error),
        *more,
    )


class Host:
    """One host: `frames()` are those it sent, `put(frame)` is one that comes."""

    def __init__(self, unit, mac=0x020000000001, mtu=1500, features=0, memory=8 << 20):
        self.memory = Memory(unit, memory)
        self.unit, self.mac, self.now = unit, mac, SECOND
        self.out = bytearray(70000)
        unit.call(start, mac, mtu, features)

    def call(self, function, *arguments):
        return self.unit.call(function, *(self.address(each) if isinstance(each, str) else each for each in arguments))

    def address(self, text):
        value, made = ipaddress.ip_address(text), self.unit.new(Address)
        if value.version == 4:
            self.unit.call(Address.set4, made, int(value))
        else:
            self.unit.call(Address.load, made, value.packed)
        return made

    def add(self, text, probe=False):
        address, length = text.split("/")
        assert self.call(add_address, address, int(length) + (96 if "." in address else 0), probe, self.now)
        prefix = self.address(address)
        none = "0.0.0.0" if "." in address else "::"
        assert self.call(add_route, prefix, int(length) + (96 if "." in address else 0), none, 0, 1) == 0

    def route(self, text, gateway, metric=0, kind=1):
        address, length = text.split("/")
        return self.call(add_route, address, int(length) + (96 if "." in address else 0), gateway, metric, kind)

    ours = True

    def known_mtu(self, target):
        """The path MTU that was learnt of a target, 0 if none was."""
        return self.call(path_mtu.known_mtu, target, self.now)[0]

    def close(self, index):
        self.unit.call(close, index)

    def frames(self):
        found = []
        while size := self.unit.call(take_frame, self.out):
            found.append(bytes(self.out[:size]))
        return found

    def frame(self):
        """The only frame sent."""
        (only,) = self.frames()
        return only

    def put(self, frame):
        assert self.unit.call(frame_in, frame, self.now)

    def pass_time(self, seconds):
        """Let time pass, doing what falls due."""
        end = self.now + int(seconds * SECOND)
        while (due := self.unit.call(deadline)) <= end:
            self.now = max(self.now, due)
            self.unit.call(timers, self.now)
        self.now = end
        self.unit.call(timers, self.now)

    def bind(self, index, local, port, options=0):
        return self.call(endpoint, index, local, port, options)

    def send(self, index, data, target, port):
        return self.call(send, index, bytes(data), target, port, self.now)

    def receive(self, index):
        """(data, address, port) of the oldest datagram, or None."""
        source = self.unit.new(Address)
        size, port = self.unit.call(receive, index, self.out, source)
        return None if size < 0 else (bytes(self.out[:size]), show(source), port)


def show(address):
    value = ipaddress.IPv6Address(address.high << 64 | address.low)
    return str(value.ipv4_mapped or value)


def ones(data):
    """The Internet checksum."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def raw(text):
    return ipaddress.ip_address(text).packed


def ether(target, source, kind, data):
    return target.to_bytes(6, "big") + source.to_bytes(6, "big") + struct.pack(">H", kind) + data


def ip4(source, target, protocol, data, identification=0, fragment=0, hops=64, options=b""):
    size = 20 + len(options)
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x40 + size // 4, 0, size + len(data), identification, fragment, hops, protocol, 0,
        raw(source), raw(target),
    ) + options  # fmt: skip
    return head[:10] + struct.pack(">H", ones(head)) + head[12:] + data


def ip6(source, target, protocol, data, hops=64):
    return struct.pack(">IHBB", 6 << 28, len(data), protocol, hops) + raw(source) + raw(target) + data


def summed(source, target, protocol, data, at):
    """The data with the checksum over its pseudo header at an offset."""
    a, b = raw(source), raw(target)
    pseudo = a + b + struct.pack(">IxxxB", len(data), protocol)
    value = ones(pseudo + data) if len(a) == 16 else ones(a + b + struct.pack(">BBH", 0, protocol, len(data)) + data)
    return data[:at] + struct.pack(">H", value) + data[at + 2 :]


def udp_bytes(source, target, from_port, to_port, data):
    made = struct.pack(">HHHH", from_port, to_port, 8 + len(data), 0) + data
    return summed(source, target, 17, made, 6)


def arp_bytes(operation, sender_mac, sender, target_mac, target):
    return struct.pack(
        ">HHBBH6s4s6s4s", 1, 0x800, 6, 4, operation, sender_mac.to_bytes(6, "big"), raw(sender),
        target_mac.to_bytes(6, "big"), raw(target),
    )  # fmt: skip
