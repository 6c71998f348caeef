"""Segments that no connection sends: resets for what nobody listens to, answers of half-open and ended connections."""

from goanna.kernel.net.arrival import Arrival
from goanna.kernel.net.checksum import pseudo_header
from goanna.kernel.net.interface import Target
from goanna.kernel.net.network import counters
from goanna.kernel.net.offload import want_checksum
from goanna.kernel.net.packet import HEADROOM, SHORT, allocate
from goanna.kernel.net.path import Path
from goanna.kernel.net.tcp.sequence import plus
from goanna.kernel.net.wire import tcp
from goanna.metal import metal, struct, u8, u16, u32, u64

__all__ = ["Answer", "refuse", "reply"]

TCP = 6


@struct
class Answer:
    """What a segment says."""

    sequence: u32
    acknowledgment: u32
    flags: u8
    window: u16
    synchronize: bool  # with the options of a SYN: mss, scale, sack
    mss: u16
    scale: u8
    sack: bool
    stamped: bool
    stamp: u32
    echo: u32


@metal
def reply(arrival: Arrival, segment: tcp.Segment, answer: Answer) -> None:
    """Send a segment back to where one came from. It may be lost for want of memory or a way."""
    path = Path()
    path.target = arrival.source
    path.source = arrival.target
    path.bound = arrival.interface.index if arrival.source.link_local() else 0
    path.protocol = TCP
    if path.open(arrival.now) != 0:
        return
    packet = allocate(SHORT, HEADROOM)
    if packet is None:
        return
    place = packet.push(tcp.HEADER + 24)
    end: u64 = tcp.HEADER
    if answer.synchronize:
        mss = min(u32(answer.mss), path.mtu - (60 if path.six else 40))
        end = tcp.write_syn_options(
            place, end, u16(mss), answer.scale, answer.sack, answer.stamped, answer.stamp, answer.echo
        )
    elif answer.stamped:
        end = tcp.write_stamp(place, end, answer.stamp, answer.echo)
    packet.trim(u32(end))
    tcp.write(
        packet.bytes(), segment.target, segment.source, answer.sequence, answer.acknowledgment, u32(end), answer.flags,
        answer.window,
    )  # fmt: skip
    a, b = path.source, path.target
    if path.six:
        want_checksum(packet, 16, pseudo_header(a.high, a.low, b.high, b.low, TCP, packet.total))
    else:
        want_checksum(packet, 16, pseudo_header(0, u64(a.four()), 0, u64(b.four()), TCP, packet.total))
    path.send(packet, arrival.now)


@metal
def refuse(arrival: Arrival, segment: tcp.Segment) -> None:
    """Answer a segment for which there is no connection by a reset (RFC 9293 3.10.7.1)."""
    if segment.flags & tcp.RST != 0 or arrival.to != Target.UNICAST:
        return
    answer = Answer()
    if segment.flags & tcp.ACK != 0:
        answer.sequence = segment.acknowledgment
        answer.flags = tcp.RST
    else:
        size = segment.length + u32(segment.flags & tcp.SYN != 0) + u32(segment.flags & tcp.FIN != 0)
        answer.acknowledgment = plus(segment.sequence, size)
        answer.flags = tcp.RST | tcp.ACK
    counters.tcp_resets_sent += 1
    reply(arrival, segment, answer)
