"""ICMP and ICMPv6 taken in: echo is answered, errors go to whom they concern (RFC 1122 3.2.2, RFC 4443)."""

from goanna.kernel.base.errno import (
    EACCES,
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETUNREACH,
    ENONET,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPROTO,
)
from goanna.kernel.net.arrival import (
    Arrival,
    Report,
    on_echo_reply,
    on_raw_error,
    on_tcp_error,
    on_udp_error,
    raw_users,
)
from goanna.kernel.net.checksum import finish, joined, pseudo_header
from goanna.kernel.net.icmp_error import ICMP4, ICMP6, send_message
from goanna.kernel.net.interface import Target
from goanna.kernel.net.membership import receive_mld
from goanna.kernel.net.neighbour_input import receive_discovery, receive_router
from goanna.kernel.net.network import counters
from goanna.kernel.net.packet import CHECKSUM_GOOD, Packet, drop, views
from goanna.kernel.net.path import Path
from goanna.kernel.net.path_mtu import learn_mtu, plateau
from goanna.kernel.net.wire import discovery, icmp, ip4, ip6
from goanna.kernel.net.wire.bytes import get16, get32
from goanna.metal import Array, Ptr, Slice, constant, metal, u8, u32, u64

__all__ = ["receive_icmp", "report_locally"]

QUOTE = 128  # bytes of a quoted packet that are looked at: headers, and ports behind them
TCP, UDP = 6, 17

# Linux's icmp_err_convert: errno of each code of "unreachable", and which are hard.
ERRORS4 = constant(
    Array[u32, 16],
    [ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP, ENETUNREACH, EHOSTDOWN, ENONET,
     ENETUNREACH, EHOSTUNREACH, ENETUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH],
)  # fmt: skip
SOFT4 = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 11 | 1 << 12
ERRORS6 = constant(
    Array[u32, 7], [ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES]
)  # fmt: skip
SOFT6 = 1 << 0 | 1 << 2 | 1 << 3


@metal
def receive_icmp(arrival: Arrival, packet: Packet) -> None:
    """A message, from its ICMP header on. It is gone afterwards."""
    counters.icmp_received += 1
    message = icmp.Message()
    if not packet.pullable(icmp.HEADER) or not icmp.parse(packet.bytes(), message) or not good(arrival, packet):
        counters.icmp_malformed += 1
        drop(packet)
        return
    if arrival.six:
        receive6(arrival, packet, message)
    else:
        receive4(arrival, packet, message)
    drop(packet)


@metal
def good(arrival: Arrival, packet: Packet) -> bool:
    """Whether the checksum is right."""
    if packet.flags & CHECKSUM_GOOD != 0:
        return True
    total = packet.summed(0)
    if arrival.six:
        a, b = arrival.source, arrival.target
        total = joined(pseudo_header(a.high, a.low, b.high, b.low, ICMP6, packet.total), total, 0)
    return finish(total) == 0


@metal
def receive4(arrival: Arrival, packet: Packet, message: icmp.Message) -> None:
    """By type. What nobody needs is passed over (RFC 1122 3.2.2): redirects and sources of old attacks among it."""
    match message.kind:
        case icmp.ECHO4:
            if arrival.to == Target.UNICAST:
                answer(arrival, packet, icmp.ECHO_REPLY4, message)
        case icmp.ECHO_REPLY4:
            on_echo_reply(arrival, packet)
        case icmp.UNREACHABLE4 | icmp.EXCEEDED4 | icmp.PARAMETER4:
            quoted(arrival, packet, message)
        case _:
            pass


@metal
def receive6(arrival: Arrival, packet: Packet, message: icmp.Message) -> None:
    """By type."""
    match message.kind:
        case icmp.ECHO6:
            answer(arrival, packet, icmp.ECHO_REPLY6, message)
        case icmp.ECHO_REPLY6:
            on_echo_reply(arrival, packet)
        case icmp.UNREACHABLE6 | icmp.TOO_BIG6 | icmp.EXCEEDED6 | icmp.PARAMETER6:
            quoted(arrival, packet, message)
        case discovery.ROUTER_ADVERTISEMENT:
            if packet.pullable(packet.total):
                receive_router(arrival.interface, arrival.source, arrival.hops, packet.bytes(), arrival.now)
        case icmp.MLD_QUERY | icmp.MLD_REPORT:
            if arrival.hops == 1 and arrival.source.link_local():
                receive_mld(arrival.interface, packet, arrival.now)
        case discovery.SOLICITATION | discovery.ADVERTISEMENT:
            if packet.pullable(packet.total):
                receive_discovery(
                    arrival.interface, arrival.source, arrival.target, arrival.hops, packet.bytes(), arrival.now
                )
        case _:
            pass


@metal
def answer(arrival: Arrival, packet: Packet, kind: u8, message: icmp.Message) -> None:
    """Echo a message back (RFC 1122 3.2.2.6, RFC 4443 4.2)."""
    path = Path()
    path.target = arrival.source
    if arrival.to == Target.UNICAST:
        path.source = arrival.target
    path.bound = arrival.interface.index if arrival.source.link_local() else 0
    path.protocol = ICMP6 if arrival.six else ICMP4
    path.traffic = arrival.traffic
    if arrival.source.unspecified() or arrival.source.multicast() or path.open(arrival.now) != 0:
        return
    body: Ptr[Packet] = None
    if packet.total > icmp.HEADER:
        body = views(packet, icmp.HEADER, packet.total - icmp.HEADER)
        if body is None:
            return
    send_message(path, kind, 0, message.rest, body, arrival.now)


@metal
def quoted(arrival: Arrival, packet: Packet, message: icmp.Message) -> None:
    """An error about a packet of ours, which is quoted."""
    if arrival.six and message.kind == icmp.TOO_BIG6 and message.rest < 1280:
        return  # no link of IPv6 is so narrow (RFC 8201 4)
    data = Array[u8, QUOTE]()
    size = min(packet.total - icmp.HEADER, u32(QUOTE))
    packet.copy_out(icmp.HEADER, data[0 : u64(size)])
    report = Report()
    report.now = arrival.now
    report.reporter = arrival.source
    report.six = arrival.six
    report.kind = message.kind
    report.code = message.code
    report.hops = arrival.hops
    report.traffic = arrival.traffic
    report.interface = arrival.interface.index
    report.packet = packet
    report.quoted = icmp.HEADER
    translate(report, message.rest)
    tell(report, data[0 : u64(size)])


@metal
def translate(report: Report, rest: u32) -> None:
    """What the message means: errno, whether it is hard, and the MTU."""
    report.hard = True
    report.error = EPROTO
    if report.six:
        if report.kind == icmp.UNREACHABLE6 and u64(report.code) < len(ERRORS6):
            report.error = ERRORS6[u64(report.code)]
            report.hard = SOFT6 >> u32(report.code) & 1 == 0
        elif report.kind == icmp.TOO_BIG6:
            report.error = EMSGSIZE
            report.hard = False
            report.mtu = rest
        elif report.kind == icmp.EXCEEDED6:
            report.error = EHOSTUNREACH
            report.hard = False
        return
    if report.kind == icmp.UNREACHABLE4 and u64(report.code) < len(ERRORS4):
        report.error = ERRORS4[u64(report.code)]
        report.hard = SOFT4 >> u32(report.code) & 1 == 0
        if report.code == icmp.TOO_BIG4:
            report.mtu = max(rest & 0xFFFF, u32(1))  # 1: the router did not say
    elif report.kind == icmp.EXCEEDED4:
        report.error = EHOSTUNREACH
        report.hard = False


@metal
def tell(report: Report, data: Slice[u8]) -> None:
    """Find out whose packet it was, and tell. `data` begins with its IP header and may be cut anywhere."""
    offset: u64 = 0
    protocol: u8 = 0
    size: u32 = 0
    if report.six:
        head = ip6.Header()
        chain = ip6.Chain()
        if not ip6.parse(data, 0xFFFF_FFFF, head):
            return
        if ip6.walk(data, head.next, chain) != ip6.Verdict.GOOD or chain.fragment_offset != 0:
            return
        offset = u64(chain.offset)
        protocol = chain.protocol
        report.local = head.source
        report.remote = head.target
    else:
        if len(data) < ip4.HEADER or data[0] >> 4 != 4 or get16(data, 6) & ip4.OFFSET != 0:
            return
        offset = u64(data[0] & 15) * 4
        protocol = data[9]
        size = u32(get16(data, 2))
        report.local.set4(get32(data, 12))
        report.remote.set4(get32(data, 16))
    if offset + 8 > len(data):
        return
    report.quoted += u32(offset)
    report.local_port = get16(data, offset)
    report.remote_port = get16(data, offset + 2)
    if report.mtu == 1:
        report.mtu = plateau(size)
    report.protocol = protocol
    report.sequence = get32(data, offset + 4)
    believed = raw_users.load() != 0 and on_raw_error(report)
    if protocol == TCP:
        believed = on_tcp_error(report)
    elif protocol == UDP:
        believed = on_udp_error(report)
    if believed and report.mtu != 0:
        learn_mtu(report.remote, report.mtu, report.now)


@metal
def report_locally(packet: Packet, now: u64) -> None:
    """A packet of ours, from its IP header on, did not find its neighbour: its sender hears as from a router."""
    data = Array[u8, QUOTE]()
    size = min(packet.total, u32(QUOTE))
    packet.copy_out(0, data[0 : u64(size)])
    report = Report()
    report.now = now
    report.six = data[0] >> 4 == 6
    report.kind = icmp.UNREACHABLE6 if report.six else icmp.UNREACHABLE4
    report.code = icmp.ADDRESS6 if report.six else icmp.HOST4
    report.error = EHOSTUNREACH
    report.packet = packet
    tell(report, data[0 : u64(size)])
    drop(packet)
