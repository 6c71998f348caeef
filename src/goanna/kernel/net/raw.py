"""Raw and ping endpoints: which of them get a packet or an ICMP error that came (Linux net/ipv4/raw.c, ping.c)."""

from goanna.kernel.net.arrival import Arrival, Report, on_echo_reply, on_raw, on_raw_error, raw_users
from goanna.kernel.net.checksum import finish, joined, pseudo_header, summed
from goanna.kernel.net.endpoint import PING, RAW, Endpoint, bind, concerns, note, ports_of, put, share
from goanna.kernel.net.error_queue import hear_error
from goanna.kernel.net.icmp_error import ICMP4, ICMP6
from goanna.kernel.net.packet import CHECKSUM_GOOD, Packet
from goanna.kernel.net.wire import ip4
from goanna.kernel.net.wire.bytes import get16, put16, raw16
from goanna.metal import metal, u8, u16, u32, u64, unsafe

__all__ = ["begin", "end"]


@metal
def begin(endpoint: Endpoint, number: u16, raw: bool) -> None:
    """Let an endpoint be a raw socket's, which gets all packets of a protocol, or a ping socket's, to be bound yet."""
    endpoint.space = RAW if raw else PING
    endpoint.protocol = u8.wrap(number)
    endpoint.only6 = True
    raw_users.add(1)
    if raw:
        bind(endpoint, number)


@metal
def end(endpoint: Endpoint) -> None:
    """The endpoint goes, and must be unbound yet."""
    if endpoint.space != 0:
        raw_users.sub(1)


@metal
def fits(endpoint: Endpoint, arrival: Arrival) -> bool:
    """Whether a packet is for an endpoint, by its addresses and interface. With the bucket's lock."""
    if endpoint.local.is4() == arrival.six or (arrival.six and not endpoint.only6):
        return False
    if not endpoint.local.unspecified() and not endpoint.local.equals(arrival.target):
        return False
    if endpoint.space == RAW and endpoint.connected and not endpoint.remote.equals(arrival.source):
        return False
    return endpoint.bound == 0 or endpoint.bound == arrival.interface.index


@on_raw.set
@metal
def receive_raw(arrival: Arrival, packet: Packet) -> bool:
    """Give a packet to all raw sockets of its protocol: of IPv4 with its header, of IPv6 without. Whether there are
    any, even if they do not want this one."""
    taken = False
    number = u16(arrival.protocol)
    note(packet, arrival)
    if not arrival.six:
        mend_header(packet)
    ports = ports_of(number)
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None:
            if each.space == RAW and each.local_port == number and fits(each, arrival):
                taken = True
                if wanted(each, arrival, packet):
                    shared = share(packet)
                    if shared is not None:
                        if not arrival.six:
                            shared.push(shared.start - u32(shared.network))
                        put(each, shared)
            each = ports.endpoints.after(each)
    return taken


@metal
def mend_header(packet: Packet) -> None:
    """Let the header of what came in fragments say what it is now: one whole packet."""
    size = packet.total + packet.start - u32(packet.network)
    head = unsafe.slice(u8, packet.at(u32(packet.network)), u64(packet.start - u32(packet.network)))
    fragment = get16(head, 6)
    if fragment & (ip4.MORE_FRAGMENTS | ip4.OFFSET) != 0:
        put16(head, 2, u16.wrap(size))
        put16(head, 6, fragment & ip4.DONT_FRAGMENT)
        put16(head, 10, 0)
        raw16(head, 10, finish(summed(head)))


@metal
def wanted(endpoint: Endpoint, arrival: Arrival, packet: Packet) -> bool:
    """Whether a raw socket's filter lets a packet through, and its checksum is right where that is asked for."""
    if arrival.protocol == (ICMP6 if arrival.six else ICMP4):
        if not packet.pullable(4 if arrival.six else 8):
            return False
        kind = packet.bytes()[0]
        if (arrival.six or kind < 32) and endpoint.blocked[u64(kind) // 32] >> u32(kind % 32) & 1 != 0:
            return False
    if not endpoint.summed or packet.flags & CHECKSUM_GOOD != 0:
        return True
    a, b = arrival.source, arrival.target
    pseudo = pseudo_header(a.high, a.low, b.high, b.low, arrival.protocol, packet.total)
    return finish(joined(pseudo, packet.summed(0), 0)) == 0


@on_echo_reply.set
@metal
def receive_reply(arrival: Arrival, packet: Packet) -> None:
    """An echo reply goes to the ping socket that has its identifier."""
    note(packet, arrival)
    number = get16(packet.bytes(), 4)
    ports = ports_of(number)
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None:
            if each.space == PING and each.local_port == number and fits(each, arrival):
                shared = share(packet)
                if shared is not None:
                    put(each, shared)
                return
            each = ports.endpoints.after(each)


@on_raw_error.set
@metal
def receive_error(report: Report) -> bool:
    """An ICMP error about a packet of ours: the raw sockets of its protocol hear, and of an echo request the ping
    socket that sent it. Whether there are any."""
    found = tell_all(RAW, u16(report.protocol), report)
    if report.protocol == (ICMP6 if report.six else ICMP4):
        found = tell_all(PING, u16(report.sequence >> 16), report) or found
    return found


@metal
def tell_all(space: u8, number: u16, report: Report) -> bool:
    """Let the endpoints of a space and number that may have sent a packet know of an error. Whether there are any."""
    found = False
    ports = ports_of(number)
    with ports.lock:
        each = ports.endpoints.head()
        while each is not None:
            same = each.space == space and each.local_port == number and each.local.is4() != report.six
            if same and concerns(each, report.local, report.remote, 0):
                found = True
                hear_error(each, report, 0 if space == RAW else 8)
            each = ports.endpoints.after(each)
    return found
