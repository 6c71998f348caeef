"""The link layer of what is sent: Ethernet headers, and the link addresses of groups."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.interface import Interface, Kind
from goanna.kernel.net.packet import BUFFER, HEADROOM, Packet, allocate
from goanna.kernel.net.wire import ethernet
from goanna.metal import Ptr, fill, metal, u16, u32, u64

__all__ = ["blank", "group_mac", "link_header", "link_send"]


@metal
def group_mac(address: Address) -> u64:
    """The link address of a multicast group (RFC 1112 6.4, RFC 2464 7)."""
    if address.is4():
        return 0x0100_5E00_0000 | (address.low & 0x7F_FFFF)
    return 0x3333_0000_0000 | (address.low & 0xFFFF_FFFF)


@metal
def link_header(interface: Interface) -> u32:
    """The bytes of a link header on an interface."""
    if interface.kind != Kind.ETHERNET:
        return 0
    return ethernet.HEADER if interface.vlan == 0 else ethernet.HEADER + ethernet.TAG


@metal
def link_send(interface: Interface, packet: Packet, target: u64, kind: u16) -> None:
    """Put the link header in front of a packet, and hand it to the device."""
    size = link_header(interface)
    if size != 0:
        ethernet.write(packet.push(size), target, interface.mac, kind, interface.vlan)
    interface.send(packet)


@metal
def blank(size: u32) -> Ptr[Packet]:
    """A packet of `size` zero bytes with room for all headers in front, or None."""
    packet = allocate(BUFFER, HEADROOM)
    if packet is None:
        return None
    fill(packet.extend(size), 0)
    return packet
