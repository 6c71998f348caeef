"""What a device may do for what is sent, done here where it can't: the transport's checksum."""

from goanna.kernel.net.checksum import finish
from goanna.kernel.net.packet import CHECKSUM_GOOD, CHECKSUM_WANTED, Packet
from goanna.metal import metal, u8, u16, u32, u64, unsafe

__all__ = ["fill_checksum", "want_checksum"]

UDP = 17


@metal(inline=True)
def want_checksum(packet: Packet, offset: u32, pseudo: u64) -> None:
    """Ask for the sum of what the packet has now, to be stored `offset` bytes behind its start. `pseudo`: the folded
    sum of the pseudo header, which is put there as devices expect it."""
    packet.checksum_start = u16(packet.start)
    packet.checksum_offset = u16(offset)
    packet.flags |= CHECKSUM_WANTED
    unsafe.store(u16, packet.at(packet.start + offset), u16(pseudo), unaligned=True)


@metal
def fill_checksum(packet: Packet) -> None:
    """Compute the checksum that was asked for. A UDP checksum of 0 is sent as its other form (RFC 768)."""
    packet.flags &= ~u8(CHECKSUM_WANTED)
    packet.flags |= CHECKSUM_GOOD
    total = packet.summed(u32(packet.checksum_start) - packet.start)
    result = finish(total)
    if result == 0 and packet.protocol == UDP:
        result = 0xFFFF
    unsafe.store(u16, packet.at(u32(packet.checksum_start) + u32(packet.checksum_offset)), result, unaligned=True)
