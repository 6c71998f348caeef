"""Asking for link addresses and answering: ARP messages, and the neighbour messages of IPv6 in their packets."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.checksum import finish, joined, pseudo_header, summed
from goanna.kernel.net.interface import Interface
from goanna.kernel.net.link import blank, group_mac, link_send
from goanna.kernel.net.packet import Packet
from goanna.kernel.net.wire import arp, discovery, ethernet, ip6
from goanna.kernel.net.wire.bytes import raw16
from goanna.metal import Ptr, metal, u8, u16, u32, u64

__all__ = ["send_arp", "send_discovery", "send_from_link", "solicit", "solicited_node", "source_for"]

ICMP6 = 58
DISCOVERY_HOPS = 255  # RFC 4861 7.1: shows that a message is from the link


@metal
def send_arp(interface: Interface, operation: u16, sender: u32, target: u32, target_mac: u64, link: u64) -> None:
    """Send an ARP message to a link address. `target_mac` is what stands in the message. Memory may be out: lost."""
    packet = blank(arp.SIZE)
    if packet is None:
        return
    message = arp.Arp()
    message.operation = operation
    message.sender_mac = interface.mac
    message.sender = sender
    message.target_mac = target_mac
    message.target = target
    arp.write(packet.bytes(), message)
    link_send(interface, packet, link, ethernet.ARP)


@metal
def solicited_node(address: Address, group: Address) -> None:
    """Make `group` the solicited-node multicast address of an address (RFC 4291 2.7.1)."""
    group.set(0xFF02 << 48, 0x1_FF00_0000 | (address.low & 0xFF_FFFF))


@metal
def send_discovery(
    interface: Interface, kind: u8, flags: u8, about: Address, source: Address, target: Address, link: u64
) -> None:
    """Send a neighbour solicitation or advertisement about an address. Our link address is in it unless `source` is ::
    (RFC 4861 4.3, 4.4). Memory may be out: lost."""
    packet = blank(ip6.HEADER + discovery.SIZE)
    if packet is None:
        return
    mac: u64 = 0 if source.unspecified() else interface.mac
    size = discovery.write_neighbour(packet.bytes()[ip6.HEADER :], kind, flags, about, mac)
    packet.trim(ip6.HEADER + u32(size))
    send_from_link(interface, packet, source, target, link)


@metal
def send_from_link(interface: Interface, packet: Packet, source: Address, target: Address, link: u64) -> None:
    """Fill in the IPv6 header and the checksum of a neighbour discovery message that stands behind room for the header,
    and send it."""
    data = packet.bytes()
    size = packet.total - ip6.HEADER
    head = ip6.Header()
    head.source = source
    head.target = target
    head.payload_length = size
    head.next = ICMP6
    head.hops = DISCOVERY_HOPS
    ip6.write(data, head)
    pseudo = pseudo_header(source.high, source.low, target.high, target.low, ICMP6, size)
    total = joined(pseudo, summed(data[ip6.HEADER :]), 0)
    raw16(data, ip6.HEADER + 2, finish(total))
    link_send(interface, packet, link, ethernet.IP6)


@metal
def source_for(interface: Interface, target: Address, source: Address) -> bool:
    """An address of the interface to ask from: of the target's network if there is one, else any of its family."""
    best: Ptr[Address] = None
    for local in interface.addresses:
        if local.usable() and local.address.is4() == target.is4():
            if local.address.within(target, local.length):
                best = local.address
                break
            if best is None:
                best = local.address
    if best is None:
        return False
    source.set(best.high, best.low)
    return True


@metal
def solicit(interface: Interface, target: Address, link: u64) -> None:
    """Ask who has an address: everybody (`link` is 0), or the one at a link address whether it still has."""
    source = Address()
    found = source_for(interface, target, source)
    if target.is4():
        if found:
            everybody = ethernet.BROADCAST if link == 0 else link
            send_arp(interface, arp.REQUEST, source.four(), target.four(), 0, everybody)
        return
    if not found:
        return
    to = Address()
    to.set(target.high, target.low)
    if link == 0:
        solicited_node(target, to)
    send_discovery(interface, discovery.SOLICITATION, 0, target, source, to, group_mac(to) if link == 0 else link)
