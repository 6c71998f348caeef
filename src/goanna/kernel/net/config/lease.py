"""What a DHCP lease says, put into force on an interface and taken out again; how the client's messages are sent."""

from goanna.kernel.net.address import Address
from goanna.kernel.net.checksum import finish, joined, pseudo_header, summed
from goanna.kernel.net.claim import claim
from goanna.kernel.net.config.dhcp import Client
from goanna.kernel.net.config.dhcp_message import CLIENT_PORT, LARGEST, SERVER_PORT, Lease, write
from goanna.kernel.net.interface import Interface, interfaces_lock
from goanna.kernel.net.link import blank, link_send
from goanna.kernel.net.route import Route, RouteKind, add_route, remove_route
from goanna.kernel.net.udp import Endpoint
from goanna.kernel.net.udp import send as send_datagram
from goanna.kernel.net.wire import ethernet, ip4, udp
from goanna.kernel.net.wire.bytes import raw16
from goanna.metal import Slice, metal, u8, u16, u32, u64

__all__ = ["add_address", "apply_lease", "forget_lease", "same_place", "send_message"]

UDP = 17
HOPS = 64
LEAST_MTU = 576  # of option 26 that is believed
BY_KERNEL, BY_DHCP = 2, 16  # rtnetlink's RTPROT_KERNEL, RTPROT_DHCP


@metal
def send_message(client: Client, endpoint: Endpoint, interface: Interface, hostname: Slice[u8], now: u64) -> None:
    """Send what the client wants to: to its server, or to everybody. Memory may be out: lost."""
    packet = blank(LARGEST)
    if packet is None:
        return
    packet.trim(u32(write(packet.bytes(), client.message, hostname)))
    if client.unicast:
        server = Address()
        server.set4(client.lease.server)
        send_datagram(endpoint, packet, server, SERVER_PORT, now)
        return
    size = packet.total + udp.HEADER
    head = packet.push(udp.HEADER)
    udp.write(head, CLIENT_PORT, SERVER_PORT, u16(size))
    pseudo = pseudo_header(0, u64(client.message.current), 0, 0xFFFF_FFFF, UDP, size)
    raw16(head, 6, finish(joined(pseudo, summed(packet.bytes()), 0)))
    ip = ip4.Header()
    ip.source = client.message.current
    ip.target = 0xFFFF_FFFF
    ip.header_length = ip4.HEADER
    ip.total_length = size + ip4.HEADER
    ip.hops = HOPS
    ip.protocol = UDP
    ip4.write(packet.push(ip4.HEADER), ip)
    link_send(interface, packet, ethernet.BROADCAST, ethernet.IP4)


@metal
def add_address(interface: Interface, address: Address, length: u32, protocol: u8, now: u64) -> None:
    """Give an interface an address, and the route to its network."""
    claim(interface, address, length, not address.is4(), now)
    route = Route()
    network_route(interface, address, length, protocol, route)
    add_route(route)


@metal
def network_route(interface: Interface, address: Address, length: u32, protocol: u8, route: Route) -> None:
    """The route to the network that an address is in."""
    route.prefix = address
    route.prefix.mask(length)
    route.length = length
    if address.is4():
        route.source = address
    route.interface = interface
    route.kind = RouteKind.UNICAST
    route.protocol = protocol


@metal
def lease_route(interface: Interface, lease: Lease, index: u64, route: Route) -> None:
    """A route that a lease says."""
    said = lease.routes[index]
    route.prefix.set4(said.target)
    route.length = said.length + 96
    route.prefix.mask(route.length)
    if said.router != 0:
        route.gateway.set4(said.router)
    route.interface = interface
    route.kind = RouteKind.UNICAST
    route.protocol = BY_DHCP


@metal
def apply_lease(interface: Interface, lease: Lease, now: u64) -> None:
    """Put a lease into force."""
    address = Address()
    address.set4(lease.address)
    add_address(interface, address, lease.length + 96, BY_KERNEL, now)
    for index in range(u64(lease.route_count)):
        route = Route()
        lease_route(interface, lease, index, route)
        add_route(route)
    if LEAST_MTU <= u32(lease.mtu) < interface.mtu:
        interface.mtu = u32(lease.mtu)


@metal
def forget_lease(interface: Interface, lease: Lease) -> None:
    """Take a lease that is over out of force."""
    address = Address()
    address.set4(lease.address)
    for index in range(u64(lease.route_count)):
        route = Route()
        lease_route(interface, lease, index, route)
        remove_route(route)
    network = Route()
    network_route(interface, address, lease.length + 96, BY_KERNEL, network)
    remove_route(network)
    with interfaces_lock:
        interface.remove_address(address)


@metal
def same_place(a: Lease, b: Lease) -> bool:
    """Whether two leases say the same of address and routes."""
    if a.address != b.address or a.length != b.length or a.route_count != b.route_count or a.mtu != b.mtu:
        return False
    for index in range(u64(a.route_count)):
        one, other = a.routes[index], b.routes[index]
        if one.target != other.target or one.length != other.length or one.router != other.router:
            return False
    return True
