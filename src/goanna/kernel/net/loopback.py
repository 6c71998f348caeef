"""The loopback interface: what is sent there comes in again, from a queue, so that no call goes deeper and deeper.

Each processor has a queue of its own, which it empties at the end of the turn in which something got there (turn.py).
So a program finds what it sent to itself as soon as the call is over, as on Linux.
"""

from goanna.kernel.arch import MAXIMUM_PROCESSORS, processor_index
from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import (
    CHECKSUM,
    SEGMENT4,
    SEGMENT6,
    Interface,
    Kind,
    Standing,
    add_interface,
    interfaces_lock,
)
from goanna.kernel.net.packet import CHECKSUM_GOOD, CHECKSUM_WANTED, SHORT, Packet, Packets, allocate, drop, views
from goanna.metal import Array, Ptr, metal, static, struct, u8, u32, u64

__all__ = ["has_looped", "loop_group", "loopback", "next_looped", "start_loopback"]

MTU = 65536
MOST_HEADERS = 64  # bytes that are copied of what is sent to a group: IP's header, a fragment's, the transport's
MOST_QUEUED = 4096  # packets; more are lost, as by a full device

loopback = static(Interface)


@struct(align=64)
class Backlog:
    """What one processor sent to ourselves and has not taken in yet."""

    packets: Packets
    length: u32


backlogs = static(Array[Backlog, MAXIMUM_PROCESSORS])  # each touched by its own processor alone


@metal
def loop(interface: Interface, packet: Packet) -> None:
    """Transmit. Nobody sums what never leaves the machine's memory."""
    packet.flags = (packet.flags & ~u8(CHECKSUM_WANTED)) | CHECKSUM_GOOD
    here = backlogs[u64(processor_index())]
    if here.length < MOST_QUEUED:
        packet.interface = interface.index
        here.packets.append(packet)
        here.length += 1
        interface.received_packets += 1
        interface.received_bytes += u64(packet.total)
    else:
        interface.sent_dropped += 1
        drop(packet)


@metal
def loop_group(packet: Packet, offset: u32, index: u32) -> None:
    """Take in what is sent to a group by an interface, as if it had come from there. The packet, whose IP header is
    `offset` bytes behind its start, goes on."""
    here = backlogs[u64(processor_index())]
    copy: Ptr[Packet] = None
    if here.length < MOST_QUEUED:
        copy = allocate(SHORT, 0)
    if copy is None:
        return
    size = packet.total - offset
    headers = min(size, u32(MOST_HEADERS))  # which parsers want in one piece
    packet.copy_out(offset, copy.extend(headers))
    if size > headers:
        rest = views(packet, offset + headers, size - headers)
        if rest is None:
            drop(copy)
            return
        copy.append(rest)
    copy.flags = CHECKSUM_GOOD
    copy.six = packet.six
    copy.interface = index
    here.packets.append(copy)
    here.length += 1


@metal
def has_looped() -> bool:
    """Whether there is something for next_looped."""
    return backlogs[u64(processor_index())].length != 0


@metal
def next_looped() -> Ptr[Packet]:
    """Take the oldest packet that this processor sent to ourselves, or None."""
    here = backlogs[u64(processor_index())]
    packet = here.packets.pop()
    if packet is not None:
        here.length -= 1
    return packet


@metal
def start_loopback() -> None:
    """Bring up "lo" with 127.0.0.1/8 and ::1/128. Once, at start, before all other interfaces: its index is 1."""
    loopback.kind = Kind.LOOPBACK
    loopback.name[0:2] = b"lo"
    loopback.mtu = MTU
    loopback.features = CHECKSUM | SEGMENT4 | SEGMENT6
    loopback.segment_limit = 65000
    loopback.transmit = loop
    loopback.hop_limit = 64
    loopback.up = True
    loopback.running = True
    assert add_interface(loopback), "the table of interfaces is full at start"
    address = Address()
    with interfaces_lock:
        address.set4(0x7F00_0001)
        loopback.add_address(address, 104, Standing.PREFERRED)
        address.set(0, 1)
        loopback.add_address(address, 128, Standing.PREFERRED)
