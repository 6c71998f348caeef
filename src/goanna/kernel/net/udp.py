"""UDP (RFC 768, RFC 1122 4.1): datagrams sent from endpoints, and found theirs when they come."""

from goanna.kernel.base.errno import EMSGSIZE
from goanna.kernel.net.address import Address
from goanna.kernel.net.arrival import Arrival, Report, on_udp_error
from goanna.kernel.net.checksum import finish, joined, pseudo_header
from goanna.kernel.net.endpoint import (
    DEFAULT_LIMIT,
    FIRST_PORT,
    LAST_PORT,
    UDP,
    Endpoint,
    Ports,
    Way,
    aim,
    bind,
    concerns,
    connect,
    disconnect,
    note,
    ports_of,
    put,
    read_address,
    share,
    take,
    take_error,
    unbind,
)
from goanna.kernel.net.error_queue import hear_error
from goanna.kernel.net.icmp_error import send_error
from goanna.kernel.net.interface import Target
from goanna.kernel.net.ip_input import on_datagram
from goanna.kernel.net.keyed_hash import hash_words
from goanna.kernel.net.network import counters
from goanna.kernel.net.offload import want_checksum
from goanna.kernel.net.packet import CHECKSUM_GOOD, Packet, drop
from goanna.kernel.net.path import Discover
from goanna.kernel.net.wire import icmp, udp
from goanna.kernel.net.wire.bytes import get16
from goanna.metal import Array, Ptr, i64, metal, u8, u16, u32, u64, unsafe

__all__ = [
    "DEFAULT_LIMIT", "FIRST_PORT", "LAST_PORT", "Discover", "Endpoint", "Way", "bind", "connect", "datagram_source",
    "disconnect", "send", "send_by", "source_port", "take", "take_error", "unbind",
]  # fmt: skip

LARGEST = 65535 - udp.HEADER
PURPOSE = 0x756470  # of the hash that spreads datagrams over endpoints of one port


@metal
def send(endpoint: Endpoint, packet: Packet, target: Address, port: u16, now: u64) -> i64:
    """Send a datagram, whose bytes are a packet with HEADROOM in front. It is gone, whatever the result: 0, -EMSGSIZE
    or what Path.send says. The endpoint is bound."""
    way = Way()
    return send_by(endpoint, packet, target, port, way, now)


@metal
def send_by(endpoint: Endpoint, packet: Packet, target: Address, port: u16, way: Way, now: u64) -> i64:
    """The same in a way that is this datagram's own."""
    if packet.total > LARGEST:
        drop(packet)
        return -EMSGSIZE
    with endpoint.lock:
        result = aim(endpoint, target, way, now)
        if result != 0:
            drop(packet)
            return result
        path = endpoint.path
        total = packet.total + udp.HEADER
        udp.write(packet.push(udp.HEADER), endpoint.local_port, port, u16(total))
        a, b = path.source, path.target
        if path.six:
            want_checksum(packet, 6, pseudo_header(a.high, a.low, b.high, b.low, UDP, total))
        else:
            want_checksum(packet, 6, pseudo_header(0, u64(a.four()), 0, u64(b.four()), UDP, total))
        counters.udp_sent += 1
        return path.send(packet, now)


@on_datagram.set
@metal
def receive(arrival: Arrival, packet: Packet) -> None:
    """A datagram came, from its header on."""
    datagram = udp.Datagram()
    good = packet.pullable(udp.HEADER) and udp.parse(packet.bytes(), packet.total, datagram)
    if not good or not checked(arrival, packet, datagram):
        counters.udp_malformed += 1
        drop(packet)
        return
    packet.trim(datagram.length)
    packet.pull(udp.HEADER)
    note(packet, arrival)
    if arrival.to != Target.UNICAST:
        to_all(arrival, packet, datagram)
        return
    found: Ptr[Endpoint] = None
    ports = ports_of(datagram.target)
    ports.lock.acquire()
    found = choose(ports, arrival, datagram)
    if found is None:
        ports.lock.release()
        counters.udp_no_port += 1
        packet.push(udp.HEADER)
        code: u8 = icmp.PORT6 if arrival.six else icmp.PORT4
        send_error(arrival, packet, icmp.UNREACHABLE6 if arrival.six else icmp.UNREACHABLE4, code, 0)
        drop(packet)
        return
    put(found, packet)
    ports.lock.release()


@metal
def checked(arrival: Arrival, packet: Packet, datagram: udp.Datagram) -> bool:
    """Whether the checksum is right; IPv4 may do without (RFC 768), IPv6 not (RFC 8200 8.1)."""
    if packet.flags & CHECKSUM_GOOD != 0:
        return True
    if not datagram.summed:
        return not arrival.six
    packet.trim(datagram.length)
    a, b = arrival.source, arrival.target
    total = packet.summed(0)
    if arrival.six:
        return finish(joined(pseudo_header(a.high, a.low, b.high, b.low, UDP, packet.total), total, 0)) == 0
    return finish(joined(pseudo_header(0, u64(a.four()), 0, u64(b.four()), UDP, packet.total), total, 0)) == 0


@metal
def choose(ports: Ports, arrival: Arrival, datagram: udp.Datagram) -> Ptr[Endpoint]:
    """The endpoint that fits best. Of several that share a port, senders are spread over them. With the lock."""
    best: Ptr[Endpoint] = None
    score: u32 = 0
    equal: u64 = 0
    each = ports.endpoints.head()
    while each is not None:
        if each.local_port == datagram.target and each.space == 0:
            own = each.takes(arrival, datagram.source)
            if own > score:
                best = each
                score = own
                equal = 1
            elif own != 0 and own == score and each.reuse_port and best.reuse_port:
                equal += 1
                if spread(arrival, datagram) % equal == 0:
                    best = each
            elif own != 0 and own == score:
                best = each  # the youngest of those that share an address, as on Linux
        each = ports.endpoints.after(each)
    return best


@metal
def spread(arrival: Arrival, datagram: udp.Datagram) -> u64:
    """A number that is always the same for one sender and receiver."""
    words = Array[u64, 4]()
    words[0] = arrival.source.high
    words[1] = arrival.source.low
    words[2] = arrival.target.high ^ arrival.target.low
    words[3] = u64(datagram.source) << 16 | u64(datagram.target)
    return hash_words(PURPOSE, words) >> 8


@metal
def to_all(arrival: Arrival, packet: Packet, datagram: udp.Datagram) -> None:
    """A datagram for a group: each endpoint that it fits gets one (RFC 1122 4.1.3.3 says nothing; Linux does so)."""
    ports = ports_of(datagram.target)
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None:
            same = each.local_port == datagram.target and each.space == 0
            if same and each.takes(arrival, datagram.source) != 0:
                shared = share(packet)
                if shared is not None:
                    put(each, shared)
            each = ports.endpoints.after(each)
    drop(packet)


@metal
def datagram_source(packet: Packet, address: Address) -> u16:
    """Whom a queued datagram is from: address and port."""
    read_address(packet, address, True)
    return source_port(packet)


@metal
def source_port(packet: Packet) -> u16:
    """The port that a queued datagram is from."""
    return get16(unsafe.slice(u8, packet.at(u32(packet.transport)), udp.HEADER), 0)


@on_udp_error.set
@metal
def receive_error(report: Report) -> bool:
    """An ICMP error about a datagram of ours goes to the endpoint that may have sent it. Whether there is one."""
    ports = ports_of(report.local_port)
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None:
            same = each.local_port == report.local_port and each.space == 0
            if same and concerns(each, report.local, report.remote, report.remote_port):
                hear_error(each, report, udp.HEADER)
                return True
            each = ports.endpoints.after(each)
    return False
