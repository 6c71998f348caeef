"""The loopback interface: what is sent there comes in again, from a queue, so that no call goes deeper and deeper."""

from goanna.kernel.base.lock import SpinLock
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
from goanna.kernel.net.packet import CHECKSUM_GOOD, CHECKSUM_WANTED, Packet, Packets, drop
from goanna.metal import Fn, Ptr, hook, metal, static, u8, u32, u64

__all__ = ["loopback", "next_looped", "on_looped", "start_loopback"]

MTU = 65536
MOST_QUEUED = 4096  # packets; more are lost, as by a full device

loopback = static(Interface)
backlog_lock = static(SpinLock)  # protects both below
backlog = static(Packets)
backlog_length = static(u32)

# There is something for next_looped: whoever runs the network's input should come by, after this call.
on_looped = hook(Fn[[], None])


@metal
def loop(interface: Interface, packet: Packet) -> None:
    """Transmit. Nobody sums what never leaves the machine's memory."""
    global backlog_length
    packet.flags = (packet.flags & ~u8(CHECKSUM_WANTED)) | CHECKSUM_GOOD
    first = False
    with backlog_lock:
        if backlog_length < MOST_QUEUED:
            first = backlog_length == 0
            backlog.append(packet)
            backlog_length += 1
            interface.received_packets += 1
            interface.received_bytes += u64(packet.total)
        else:
            interface.sent_dropped += 1
            drop(packet)
    if first:
        on_looped()


@metal
def next_looped() -> Ptr[Packet]:
    """Take the oldest packet that was sent to ourselves, or None."""
    global backlog_length
    with backlog_lock:
        packet = backlog.pop()
        if packet is not None:
            backlog_length -= 1
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
