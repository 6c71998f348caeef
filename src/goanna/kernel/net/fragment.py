"""Cutting a packet that is too large for its path into fragments (RFC 791 3.2, RFC 8200 4.5)."""

from goanna.kernel.base.errno import EMSGSIZE, ENOBUFS
from goanna.kernel.memory.placement import random_u64
from goanna.kernel.net.checksum import finish, summed
from goanna.kernel.net.network import counters
from goanna.kernel.net.offload import fill_checksum
from goanna.kernel.net.packet import CHECKSUM_WANTED, HEADROOM, SHORT, Packet, allocate, drop, views
from goanna.kernel.net.wire import ip4, ip6
from goanna.kernel.net.wire.bytes import put16, put32, raw16
from goanna.metal import Ptr, i64, metal, u16, u32, u64

__all__ = ["fragment"]

LARGEST = 65535


@metal
def fragment(path: "goanna.kernel.net.path.Path", packet: Packet, now: u64) -> i64:
    """Send a packet, which begins with the transport's header, in fragments. It is gone, whatever the result: 0,
    -EMSGSIZE (no IP packet is as large) or -ENOBUFS, when some fragments may have been sent."""
    result: i64 = 0
    extra: u32 = ip6.FRAGMENT_HEADER if path.six else 0
    size = (path.mtu - (path.head_size - path.link_size) - extra) & ~u32(7)
    if packet.total + (0 if path.six else ip4.HEADER) > LARGEST:
        drop(packet)
        return -EMSGSIZE
    if packet.flags & CHECKSUM_WANTED != 0:
        packet.protocol = path.protocol
        fill_checksum(packet)
    identification = u32.wrap(random_u64())
    at: u32 = 0
    while at < packet.total and result == 0:
        count = min(size, packet.total - at)
        result = send_part(path, packet, at, count, identification, now)
        at += count
    drop(packet)
    return result


@metal
def send_part(
    path: "goanna.kernel.net.path.Path", packet: Packet, at: u32, count: u32, identification: u32, now: u64
) -> i64:
    """Send `count` bytes of the packet as a fragment."""
    rest = views(packet, at, count)
    head: Ptr[Packet] = None if rest is None else allocate(SHORT, HEADROOM)
    if head is None:
        if rest is not None:
            drop(rest)
        counters.ip_dropped += 1
        return -ENOBUFS
    head.append(rest)
    counters.fragmented += 1
    more = at + count < packet.total
    extra: u32 = ip6.FRAGMENT_HEADER if path.six else 0
    head.transport = u16(head.start)
    place = head.push(path.head_size + extra)
    place[0 : u64(path.head_size)] = path.template[0 : u64(path.head_size)]
    head.network = u16(head.start + path.link_size)
    head.six = path.six
    base = u64(path.link_size)
    if path.six:
        put16(place, base + 4, u16(count + ip6.FRAGMENT_HEADER))
        place[base + 6] = ip6.FRAGMENT
        place[base + 40] = path.protocol
        place[base + 41] = 0
        put16(place, base + 42, u16(at | u32(more)))
        put32(place, base + 44, identification)
    else:
        put16(place, base + 2, u16(count + ip4.HEADER))
        put16(place, base + 4, u16.wrap(identification))
        put16(place, base + 6, u16(at // 8 | (ip4.MORE_FRAGMENTS if more else 0)))
        raw16(place, base + 10, 0)
        raw16(place, base + 10, finish(summed(place[base : base + ip4.HEADER])))
    path.hand_on(head, now)
    return 0
