"""Errors of what an endpoint sent: the one that its next call answers, and the queue of all of them for who wants to
read it (IP_RECVERR, ip(7))."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.arrival import Report
from goanna.kernel.net.endpoint import Endpoint
from goanna.kernel.net.packet import BUFFER, Packet, allocate, drop
from goanna.kernel.net.path import Discover
from goanna.kernel.net.wire import ip4, ip6
from goanna.kernel.net.wire.bytes import put32
from goanna.metal import Ptr, fill, metal, sizeof, struct, u8, u16, u32, unsafe

__all__ = ["LOCAL", "Described", "hear_error", "queue_error", "record_of", "take_error_packet"]

LOCAL, ICMP, ICMP6 = 1, 2, 3  # SO_EE_ORIGIN_


@struct
class Described:
    """struct sock_extended_err."""

    error: u32
    origin: u8
    type: u8
    code: u8
    pad: u8
    info: u32
    data: u32


@struct
class Record:
    """What stands before the bytes of an entry of the queue, an IP header with its two addresses between them."""

    described: Described
    target: Address  # whom the packet was sent to
    port: u16


@metal
def hear_error(endpoint: Endpoint, report: Report, skipped: u32) -> None:
    """A connected endpoint hears of errors that are hard (RFC 1122 4.1.3.3), and that its packets are too large for
    their way; one that wants the queue of all. `skipped`: bytes of the transport's header. With the bucket's lock."""
    wanted = endpoint.wants_errors & (2 if report.six else 1) != 0
    hard = report.hard or (report.mtu != 0 and endpoint.discover != Discover.DONT)
    if wanted:
        queue_error(endpoint, report, ICMP6 if report.six else ICMP, skipped)
    elif not hard or not endpoint.connected:
        return
    with endpoint.lock:
        endpoint.error = report.error
    if endpoint.notify is not None:
        endpoint.notify(endpoint)


@metal
def queue_error(endpoint: Endpoint, report: Report, origin: u8, skipped: u32) -> None:
    """Put an error on the queue, with the bytes that are quoted. It is lost if there is no room."""
    made = allocate(BUFFER, 0)
    if made is None:
        return
    record = unsafe.at(Record, made.at(0))
    header: u32 = ip6.HEADER if report.six else ip4.HEADER
    fill(made.extend(sizeof(Record) + header), 0)
    described = record.described
    described.error = report.error
    described.origin = origin
    if origin != LOCAL:
        described.type = report.kind
        described.code = report.code
    described.info = report.mtu
    record.target = report.remote
    record.port = report.remote_port
    source = report.local if report.reporter.unspecified() else report.reporter
    made.network = u16(sizeof(Record))
    place = made.bytes()[sizeof(Record) :]
    if report.six:
        source.store(place[8:24])
        report.local.store(place[24:40])
    else:
        put32(place, 12, source.four())
        put32(place, 16, report.local.four())
    made.pull(u32(sizeof(Record)) + header)
    made.six = report.six
    made.hops = report.hops
    made.traffic = report.traffic
    made.interface = report.interface
    quoted: Ptr[Packet] = report.packet
    if quoted is not None and quoted.total > report.quoted + skipped:
        count = min(quoted.total - report.quoted - skipped, made.room())
        quoted.copy_out(report.quoted + skipped, made.extend(count))
    cost = made.footprint()
    made.base = cost
    full = False
    with endpoint.lock:
        full = endpoint.queued >= endpoint.limit
        if not full:
            endpoint.errors.append(made)
            endpoint.queued += cost
    if full:
        drop(made)


@metal
def record_of(packet: Packet) -> Record:
    """What an entry of the queue says."""
    return unsafe.at(Record, packet.at(0))


@metal
def take_error_packet(endpoint: Endpoint) -> tuple[Ptr[Packet], u32]:
    """Take the oldest entry of the queue, or None; and what error is pending then."""
    with endpoint.lock:
        packet = endpoint.errors.pop()
        following = endpoint.errors.head()
        if packet is not None:
            endpoint.queued -= packet.base
        if following is None or record_of(following).described.origin == LOCAL:
            return packet, 0
        return packet, record_of(following).described.error
